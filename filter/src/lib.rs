//! The proxy-wasm filter: host calls around split.
