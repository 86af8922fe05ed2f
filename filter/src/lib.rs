//! The proxy-wasm filter: host calls around `split`.
//!
//! ```text
//! on_configure        policy text -> Splitter; a bad one is refused, a stale one passed over: the last good one stays
//! on_tick             is the lease alive? one VM in the process asks the controller
//! on_request_headers  claim, assign, count, set the routing header
//! on_response_headers version and confidence headers
//! on_response_body    watch the answer go by, where the policy asks for what it says
//! on_log              count how it ended
//! ```
//!
//! Nothing here may panic: a trap costs every request in flight on the worker. So the SDK serves for dispatch alone,
//! and host calls go through [`host`], where an unexpected status is a value.

#![allow(missing_docs)] // proxy_wasm::main! exports an undocumented function

mod body;
mod configure;
mod count;
mod host;
mod lease;
mod stream;

use configure::Root;
use proxy_wasm::traits::RootContext;
use proxy_wasm::types::LogLevel;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Warn);
    proxy_wasm::set_root_context(|id| -> Box<dyn RootContext> { Box::new(Root::new(id)) });
}}
