//! What can go wrong outside the filter: a module this host cannot load, a step out of order.
//!
//! A trap inside the filter is not an [`Error`]: Envoy lives through it, so the host does too
//! and reports it as a [`crate::Trap`]. Only a call this host does not implement stops the test.

use std::path::PathBuf;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the host could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The module's file is not readable.
    #[error("cannot read the module {}: {source}; build it with `cargo xtask wasm` or name another file", path.display())]
    Read {
        /// The file asked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bytes are not WebAssembly, or use a proposal this host has switched off.
    #[error("not a WebAssembly module this host can compile: {0}")]
    Compile(String),
    /// An export the ABI needs is not there.
    #[error("the module does not export `{name}`: {remedy}")]
    MissingExport {
        /// The name looked for.
        name: &'static str,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The module was built for another version of the ABI.
    #[error("the module exports `{found}`; this host speaks proxy_abi_version_0_2_1 only")]
    AbiVersion {
        /// The marker the module exports instead.
        found: String,
    },
    /// The module imports something that is not in the ABI (a WASI function, say).
    #[error(
        "the module imports `{module}.{name}` ({signature}), which is not in proxy-wasm 0.2.1; \
         build it for wasm32-unknown-unknown"
    )]
    UnknownImport {
        /// Name of the module it is imported from.
        module: String,
        /// Name of the function or other item.
        name: String,
        /// Its type, as the module declares it.
        signature: String,
    },
    /// The module imports an ABI function with another signature than the ABI's.
    #[error("the module cannot be linked: {0}")]
    Link(String),
    /// The module failed while it was set up, before any configuration.
    #[error("the module did not start: {0}")]
    Start(String),
    /// The filter called a function of the ABI that this host leaves out.
    #[error("{name} is not implemented by this host (called in {callback})")]
    Unimplemented {
        /// The host function, or `foreign function NAME`.
        name: String,
        /// The callback that made the call.
        callback: &'static str,
    },
    /// A request before any configuration was accepted (a real Envoy answers 500 here).
    #[error("no configuration has been accepted yet; call `configure` first")]
    NotConfigured,
    /// The worker's number is too high.
    #[error("there is no worker {worker}; the process has {workers}, counted from 0")]
    NoSuchWorker {
        /// The number asked for.
        worker: usize,
        /// How many there are.
        workers: usize,
    },
    /// The stream has ended or never was.
    #[error("stream {0} is not open; a stream ends with `finish`")]
    NoSuchStream(u64),
    /// The step does not fit what the stream is waiting for.
    #[error("stream {stream} cannot {step}: {why}")]
    OutOfOrder {
        /// The stream.
        stream: u64,
        /// What was asked for.
        step: &'static str,
        /// What stands in the way.
        why: &'static str,
    },
    /// The call was answered, timed out or belonged to a VM that is gone.
    #[error("HTTP call {0} is not waiting for an answer")]
    NoSuchCall(u64),
}
