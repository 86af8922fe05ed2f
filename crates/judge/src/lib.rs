//! Is the canary as good as stable?
//!
//! Statistics for model rollouts, as pure functions and small mergeable states:
//!
//! - [`anytime`]: e-processes and confidence sequences that stay valid however often one looks.
//! - [`gate`]: gates built from them, with a three-way answer and one sentence each.
//! - [`verdict`]: what a judge says: [`Verdict`], [`Finding`].
//! - [`score`]: one weighted score over many gates; [`multiplicity`]: corrections for many tests.
//! - [`classical`]: tests for one look at a planned end; [`power`] and [`plan`]: how much data that takes.
//! - [`balance`]: do both arms hold the same people?
//! - [`bandit`]: how much traffic each version should get while they are compared.
//! - [`trigger`]: fixed rules with a severity; [`anomaly`]: outliers, by a rule of thumb.
//! - [`random`]: the one seeded generator of this workspace, for resampling, simulations and tests.
//! - [`kayenta`]: the named, versioned judge compatible with Kayenta's.
//!
//! Nothing here reads a clock, draws a random number or touches a file: seeds and counts come in as
//! arguments. Arm 1 is always the canary, arm 0 the stable (control) version.

pub mod alert;
pub mod anomaly;
pub mod anytime;
pub mod balance;
pub mod bandit;
pub mod classical;
mod error;
pub mod gate;
pub mod kayenta;
pub mod multiplicity;
pub mod plan;
pub mod power;
pub mod random;
pub mod score;
pub mod special;
pub mod verdict;

pub use error::JudgeError;
pub use verdict::{Finding, Verdict};

/// Name and version of this judge; part of every finding, so that an old decision can be replayed.
pub const JUDGE: &str = concat!("serin-judge/", env!("CARGO_PKG_VERSION"));
