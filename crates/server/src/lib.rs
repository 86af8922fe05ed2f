//! How do people, proxies, registries and monitoring reach the controller?
//!
//! [`run`] puts the process together and is all that the outside calls: listeners and who may use them (`listen`, `access`),
//! the API (`server`), the metrics page (`metrics`), exports (`export`). What is decided is decided in `controller`.

mod access;
mod cluster;
mod entrance;
mod export;
mod listen;
mod metrics;
mod objects;
mod options;
mod replicas;
mod serve;
mod server;
mod stopping;
mod webhook;

pub use listen::identity::WorkloadIdentity;
pub use listen::tls::TlsFiles;
pub use replicas::ReplicaTerms;
pub use scrape::prometheus::Terms as PrometheusTerms;
pub use serve::{Config, HookTerms, Plugins, ProxyTerms, run};
