//! How does a policy reach the sidecars of an Istio mesh, where istiod configures them?
//!
//! The filter is installed once, by a TrafficExtension (Istio 1.30 and later) or a WasmPlugin (before), at weight 0. From then
//! on [`Plugin`] keeps one field of that object, `pluginConfig`, as the controller wants it: it writes each policy, and puts
//! right what somebody else has changed. istiod takes it to the proxies; what they run is read from their own metrics, since
//! Kubernetes shows nothing of a policy that a proxy refused.

mod document;
pub mod installation;
pub mod journal;
mod keeper;
pub mod leader;
pub mod objects;
mod place;
mod plugin;
mod pods;
mod refusal;
mod service;
mod workload;

#[cfg(test)]
mod api_server;
#[cfg(test)]
mod tests;

pub use document::LeaseAddress;
pub use installation::Deed;
pub use kube::Client;
pub use place::{Kind, Place};
pub use plugin::{Plugin, PluginError, Standing};
pub use pods::{Known, Pod, Pods, Selection};
pub use service::{Away, Service, ServiceName};
pub use workload::{Ready, Workloads};
