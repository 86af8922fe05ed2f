//! The seeded load, and what it found.

pub mod client;
pub mod latencies;
pub mod ledger;
pub mod record;
pub mod self_test;
pub mod spans;
pub mod summary;
pub mod users;

pub use client::{Load, LoadPlan, Protocol};
pub use latencies::Latencies;
pub use ledger::{Ledger, Left, Reached, Totals, Unit};
pub use record::{NoResponse, Record};
pub use spans::Spans;
pub use summary::Summary;
pub use users::{Popularity, Users};
