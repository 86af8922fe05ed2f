use std::path::PathBuf;

/// A real Envoy.
pub fn envoy() -> PathBuf {
    from("SERIN_ENVOY")
}

/// The filter as it is shipped.
pub fn wasm() -> PathBuf {
    from("SERIN_WASM")
}

/// The filter with a request header that traps it.
pub fn wasm_trap() -> PathBuf {
    from("SERIN_WASM_TRAP")
}

/// The controller and its command.
pub fn serin() -> PathBuf {
    from("SERIN_BIN")
}

/// The demo.
pub fn demo() -> PathBuf {
    from("SERIN_DEMO")
}

/// What starts a cluster.
pub fn xtask() -> PathBuf {
    from("SERIN_XTASK")
}

/// Helm.
pub fn helm() -> PathBuf {
    from("SERIN_HELM")
}

/// A real Prometheus.
pub fn prometheus() -> PathBuf {
    let path = std::env::var_os("SERIN_PROMETHEUS").map(PathBuf::from).filter(|path| path.is_file());
    path.unwrap_or_else(|| {
        panic!(
            "SERIN_PROMETHEUS names no file: run these tests by `cargo xtask test`, or set it to what \
             `cargo xtask prometheus` prints"
        )
    })
}

/// A tool, as `cargo xtask test` hands it over.
fn from(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable).map(PathBuf::from);
    let path = path.unwrap_or_else(|| panic!("{variable} is not set: run these tests by `cargo xtask test`"));
    assert!(path.is_file(), "{variable} is {}, which is no file: run `cargo xtask test`", path.display());
    path
}
