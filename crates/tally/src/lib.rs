//! What is a counter or another metric called, which bin does a value fall in, and the outcome of a request?
//!
//! The filter writes counters, the `envoy` crate reads them back; this crate is the one place where both learn the
//! names. They stand in Istio's own tag form, `serin_assigned_total.rollout=.=ranker;.;version=.=v1.2;.;…`, so that
//! Istio's `extraStatTags` (or our bootstrap's tag expressions) make labels of them, and versions keep their dots.

mod answers;
mod bins;
mod confidence;
mod end;
mod flat;
mod follower;
mod grpc;
mod in_flight;
pub mod lease;
pub mod metric;
mod outcome;
mod series;
mod slot;
mod tokens;

pub use answers::{AnswerClass, AnswerReading, Finish, OTHER_PREDICTION, coarse_bin};
pub use bins::{ConfidenceScale, LATENCY_BINS, LATENCY_TOP, latency_bin, latency_upper_ms};
pub use confidence::{ConfidenceReading, ConfidenceSource, scored};
pub use end::End;
pub use flat::{FlatName, FlatNames};
pub use follower::{Counted, Follower, Loss, Reading};
pub use grpc::{StatusIn, grpc_status};
pub use in_flight::{AGES_MS, Ending, InFlight, Reached, Ticket};
pub use outcome::{AnswerTime, Outcome};
pub use series::{
    Class, GroupEvent, Progress, Series, TAGS, What, epoch_gauge, gauge, last_canary_gauge, policy_refused,
};
pub use slot::{SLOTS, Slot};
pub use tokens::{TOKEN_POINTS, token_point, tokens_at};

/// What every name of ours begins with; Envoy puts `wasmcustom.` before it.
pub const PREFIX: &str = "serin_";

#[cfg(test)]
mod tests;
