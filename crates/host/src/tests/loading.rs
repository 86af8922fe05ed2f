//! What is refused before anything runs, and in which words.

use crate::{Module, Process, ProcessOptions};

#[track_caller]
fn check(text: &str, expected: &str) {
    let bytes = wat::parse_str(text).unwrap();
    let error = Module::from_bytes(&bytes).map(drop).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

const MARKER: &str = r#"(func (export "proxy_abi_version_0_2_1"))"#;
const MALLOC: &str = r#"(func (export "malloc") (param i32) (result i32) (i32.const 0))"#;
const MEMORY: &str = r#"(memory (export "memory") 1)"#;

#[test]
fn a_module_that_cannot_run_is_refused_by_name() {
    check("(module)", "does not export `proxy_abi_version_0_2_1`");
    check(r#"(module (func (export "proxy_abi_version_0_2_0")))"#, "exports `proxy_abi_version_0_2_0`");
    check(&format!("(module {MARKER} {MALLOC})"), "does not export `memory`");
    check(&format!("(module {MARKER} {MEMORY})"), "does not export `malloc`");
    let wasi = r#"(import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32)))"#;
    check(&format!("(module {wasi} {MARKER} {MEMORY} {MALLOC})"), "`wasi_snapshot_preview1.random_get`");
    let unknown = r#"(import "env" "proxy_brew_coffee" (func (param i32)))"#;
    check(&format!("(module {unknown} {MARKER} {MEMORY} {MALLOC})"), "`env.proxy_brew_coffee`");
    let mistyped = r#"(import "env" "proxy_log" (func (param i32)))"#;
    check(&format!("(module {mistyped} {MARKER} {MEMORY} {MALLOC})"), "proxy_log");
    let memory = r#"(import "env" "memory" (memory 1))"#;
    check(
        &format!("(module {memory} {MARKER} {MALLOC} (export \"memory\" (memory 0)))"),
        "`env.memory` (memory)",
    );
}

#[test]
fn bytes_that_are_no_module_and_a_file_that_is_not_there() {
    let error = Module::from_bytes(b"not wasm").map(drop).unwrap_err().to_string();
    assert!(error.contains("not a WebAssembly module"), "{error}");
    let error = Module::from_file("no/such.wasm").map(drop).unwrap_err().to_string();
    assert!(error.contains("no/such.wasm") && error.contains("cargo xtask wasm"), "{error}");
}

#[test]
fn the_other_name_of_malloc_will_do() {
    let malloc = r#"(func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 0))"#;
    let bytes = wat::parse_str(format!("(module {MARKER} {MEMORY} {malloc})")).unwrap();
    Module::from_bytes(&bytes).unwrap();
}

#[test]
fn initialize_may_log_and_nothing_else() {
    let start = |body: &str| {
        let module = super::module(&format!("(func (export \"_initialize\") {body})"));
        Process::new(&module, ProcessOptions::default()).map(drop)
    };
    start("(call $note (i32.const 7))").unwrap();
    let error = start("(drop (call $time (i32.const 16)))").unwrap_err().to_string();
    assert!(error.contains("proxy_get_current_time_nanoseconds called in _initialize"), "{error}");
}
