//! Tests of the judge through its public functions.
#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests read fixtures and may stop at the first surprise"
)]

mod alerts;
mod anomaly;
mod bandit;
mod classical;
mod gates;
mod kayenta;
mod levels;
mod misuse;
mod moving_edges;
mod planning;
mod properties;
mod rates;
#[path = "../vectors/run.rs"]
mod run;
mod sequential;
mod vectors;
