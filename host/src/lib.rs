//! Runs the built filter in-process: a proxy-wasm 0.2.1 host on wasmtime.
