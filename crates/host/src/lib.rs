//! Runs the built filter in-process: a proxy-wasm 0.2.1 host on wasmtime.
//!
//! A [`Process`] stands for one Envoy: a VM per worker and one on the main thread, shared data and metrics that
//! outlive them, a clock that only the test moves. It shows what a real Envoy 1.40 shows, down to the status numbers:
//! which header map is open in which phase, which property exists when, what a trap does to the requests in
//! flight. What it leaves out (queues, gRPC, some foreign functions) stops the test by name.
//!
//! ```no_run
//! use host::{Module, Process, ProcessOptions, Request, Upstream};
//!
//! # fn main() -> host::Result<()> {
//! let mut process = Process::new(&Module::from_file("filter.wasm")?, ProcessOptions::default())?;
//! assert!(process.configure(br#"{"schema":1}"#)?.accepted);
//! let exchange = process.request(0, Request::get("models.local", "/"), Upstream::status(200))?;
//! println!("{:?}\n{}", exchange.request, exchange.host_calls);
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod abi;
mod calls;
mod clock;
mod configure;
mod error;
mod exchange;
mod headers;
mod imports;
mod metrics;
mod module;
mod process;
mod properties;
mod shared;
mod stream;
mod vm;
mod world;

pub use abi::Callback;
pub use calls::HostCalls;
pub use clock::CallAnswer;
pub use configure::Configured;
pub use error::{Error, Result};
pub use exchange::StreamId;
pub use headers::Headers;
pub use metrics::Metrics;
pub use module::Module;
pub use process::{FailurePolicy, Process, ProcessOptions, Reloads, Trap};
pub use properties::Properties;
pub use stream::{Answer, Exchange, LocalReply, Request, Upstream, flags};
pub use vm::VmName;
pub use world::{HttpCall, LogLevel, LogLine};

#[cfg(test)]
mod tests;
