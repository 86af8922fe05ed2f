//! Speaks Envoy: policy out over ECDS, counters back from the admin endpoint.
//!
//! ```text
//! controller ── Ecds::publish ──> every connected Envoy ── ACK / NACK ──> Ecds::nodes, Ecds::events
//! controller ── EcdsFile::write ─> a directory Envoy watches (no acknowledgement: read it back with stats::Admin)
//! controller <─ Counters::close ── Counters::observe <── stats::Admin::read ── every Envoy's /stats
//! ```
//!
//! [`Resource`] says what is sent, [`Bootstrap`] writes the configuration such an Envoy starts with. Nothing here
//! knows what a rollout is: a policy is text with a generation, a counter is a [`tally::Series`].

pub mod bootstrap;
mod clock;
pub mod ecds;
mod endpoint;
mod resource;
pub mod stats;
mod version;

pub use bootstrap::{Bootstrap, BootstrapError, PolicySource, Role, Upstream};
pub use clock::monotonic_ns;
pub use ecds::{Documents, Ecds, EcdsFile};
pub use endpoint::{Endpoint, InvalidEndpoint};
pub use resource::{NAME, Resource, WasmCode};
pub use version::{InvalidVersion, Version};
