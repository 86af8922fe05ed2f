//! What this crate promises of real things: an Envoy, and the compose file beside it.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking; Clippy's own exemption ends at the test functions"
)]

mod compose;
mod details;
mod mesh;
mod real;
