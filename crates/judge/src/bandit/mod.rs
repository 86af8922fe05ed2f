//! How much traffic should each version get while they are compared?
//!
//! ```text
//! samples -> [ Record ] -> Known per version -> [ Posterior ] -> chances of being best -> shares
//! ```
//!
//! Probability matching: a version's share is proportional to the probability that it is the best of all, given what
//! was seen (Thompson, "On the likelihood that one unknown probability exceeds another", Biometrika 1933; Scott, "A
//! modern Bayesian look at the multi-armed bandit", 2010; Chapelle & Li, "An empirical evaluation of Thompson sampling",
//! 2011). Thompson draws a version per request; here the probabilities themselves are computed and given as weights, which is
//! the same in expectation and has no chance in it: the same counts give the same shares.
//!
//! Nothing here proves anything. Gates are e-processes on what was counted at the same moments, and stay valid under
//! shares that are chosen from the past.

mod best;
mod record;
mod shares;

pub use best::{Posterior, chances};
pub use record::{Known, Record, Sample};
pub use shares::{Range, Version, shares};
