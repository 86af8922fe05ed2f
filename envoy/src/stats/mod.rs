//! The counters' way back: Envoy's admin endpoint or a page for Prometheus, read and turned into what happened per interval.
//!
//! [`Admin`] and [`Metrics`] read one Envoy into a [`Snapshot`]; [`Counters`] turns successive snapshots of any number of Envoys
//! into [`Interval`]s. What is not known is marked, never guessed over.

mod admin;
mod age;
mod counters;
mod endpoints;
mod exposition;
mod labelled;
mod metrics;
mod snapshot;
mod upstream;

pub use admin::{Admin, ReadError};
pub use age::Age;
pub use counters::{Counters, Interval, Mark, Span};
pub use labelled::{Labels, Unlabelled};
pub use metrics::Metrics;
pub use snapshot::{Reloads, Snapshot};
pub use upstream::{Upstream, UpstreamWhat};
