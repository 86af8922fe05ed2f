//! The counters' way back: Envoy's admin endpoint, read and turned into what happened per interval.
//!
//! [`Admin`] reads one Envoy into a [`Snapshot`]; [`Counters`] turns successive snapshots of any number of Envoys
//! into [`Interval`]s. What is not known is marked, never guessed over.

mod admin;
mod counters;
mod endpoints;
mod snapshot;
mod upstream;

pub use admin::{Admin, ReadError};
pub use counters::{Counters, Interval, Mark, Span};
pub use snapshot::{Reloads, Snapshot};
pub use upstream::{Upstream, UpstreamWhat};
