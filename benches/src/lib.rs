//! What the programs and the criterion benches of this folder share: made-up traffic, and how figures are written.
//!
//! A bench of criterion says what one call costs on this machine. A program plays traffic for hours of its own time and
//! says how often a decision is wrong and how late it comes: the same on every machine, since chance is seeded. `load`
//! alone measures a real controller.

mod dice;
mod figures;
mod law;
mod policy;
mod run;

pub use dice::{Dice, seed_of};
pub use figures::{quantile, wilson};
pub use law::{Behaviour, Law};
pub use policy::policy;
pub use run::Run;

/// The number at a place of the command line, counted from 1; `or` when there is none.
#[must_use]
pub fn argument(at: usize, or: u64) -> u64 {
    std::env::args().nth(at).and_then(|text| text.parse().ok()).unwrap_or(or)
}
