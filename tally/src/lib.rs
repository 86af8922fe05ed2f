//! What is a counter called, and which bin does a value fall in?
//!
//! The filter writes counters, the `envoy` crate reads them back; this crate is the one place where both learn the
//! names. They stand in Istio's own tag form, `serin_assigned_total.rollout=.=ranker;.;version=.=v1.2;.;…`, so that
//! Istio's `extraStatTags` (or our bootstrap's tag expressions) make labels of them, and versions keep their dots.

mod bins;
mod series;

pub use bins::{ConfidenceScale, LATENCY_BINS, LATENCY_TOP, latency_bin, latency_upper_ms};
pub use series::{Class, GroupEvent, Series, TAGS, What, gauge, policy_refused};

/// What every name of ours begins with; Envoy puts `wasmcustom.` before it.
pub const PREFIX: &str = "serin_";

#[cfg(test)]
mod tests;
