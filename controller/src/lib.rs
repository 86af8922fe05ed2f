//! The long-running process: it keeps the runs, publishes weights, reads counters, and answers people and proxies.
//!
//! [`run`] is all that the outside calls.

mod clock;
mod doors;
mod engine;
mod evidence;
mod export;
mod health;
mod hook;
mod lease;
mod listen;
mod metrics;
mod publish;
mod scrape;
mod serve;
mod server;
mod specification;
mod traffic;
mod webhook;

pub use listen::tls::TlsFiles;
pub use serve::{Config, ProxyTerms, run};
