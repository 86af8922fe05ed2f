//! The host against filters small enough to read, written in WebAssembly text.
//!
//! Each test's filter is [`PRELUDE`] plus a few callbacks. `$note` logs a status as one digit, `$say` the bytes a
//! host function handed over; the tests compare the log.

mod configuration;
mod failure;
mod loading;
mod messages;
mod phases;
mod stores;

use crate::{Module, Process, ProcessOptions};

/// Imports, memory with a bump allocator, and two ways to tell the test something.
/// Out-arguments: pointer at 0, size at 4, numbers at 16. Text of the tests: from 1024 on.
const PRELUDE: &str = r#"
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value" (func $header (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
  (import "env" "proxy_set_header_map_pairs" (func $set_pairs (param i32 i32 i32) (result i32)))
  (import "env" "proxy_replace_header_map_value" (func $replace (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_property" (func $set_property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes" (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_status" (func $buffer_status (param i32 i32 i32) (result i32)))
  (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_increment_metric" (func $increment (param i32 i64) (result i32)))
  (import "env" "proxy_record_metric" (func $record (param i32 i64) (result i32)))
  (import "env" "proxy_get_metric" (func $metric (param i32 i32) (result i32)))
  (import "env" "proxy_get_shared_data" (func $get_shared (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_shared_data" (func $set_shared (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))
  (import "env" "proxy_get_current_time_nanoseconds" (func $time (param i32) (result i32)))
  (import "env" "proxy_http_call"
    (func $http_call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response"
    (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
  (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
  (import "env" "proxy_call_foreign_function" (func $foreign (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_done" (func $done (result i32)))
  (import "env" "proxy_grpc_call"
    (func $grpc_call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 4)
  (global $heap (mut i32) (i32.const 65536))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param $size i32) (result i32)
    (global.get $heap)
    (global.set $heap (i32.add (global.get $heap) (local.get $size))))
  (func $note (param $status i32)
    (i32.store8 (i32.const 32) (i32.add (i32.const 48) (local.get $status)))
    (drop (call $log (i32.const 2) (i32.const 32) (i32.const 1))))
  (func $say
    (drop (call $log (i32.const 2) (i32.load (i32.const 0)) (i32.load (i32.const 4)))))
  (func $tell (param $at i32) (param $size i32)
    (drop (call $log (i32.const 2) (local.get $at) (local.get $size))))
"#;

fn module(callbacks: &str) -> Module {
    let text = format!("(module {PRELUDE} {callbacks})");
    Module::from_bytes(&wat::parse_str(text).unwrap()).unwrap()
}

/// A process that runs `callbacks`, configured with `configuration`, its log so far forgotten by [`said`].
fn process_with(callbacks: &str, options: ProcessOptions, configuration: &str) -> Process {
    let mut process = Process::new(&module(callbacks), options).unwrap();
    let configured = process.configure(configuration.as_bytes()).unwrap();
    assert!(configured.accepted, "{configured:?}");
    process.world.borrow_mut().log.clear();
    process
}

fn process(callbacks: &str) -> Process {
    process_with(callbacks, ProcessOptions::default(), "v1")
}

/// What was logged since last asked.
fn said(process: &Process) -> Vec<String> {
    process.world.borrow_mut().log.drain(..).map(|line| line.message).collect()
}
