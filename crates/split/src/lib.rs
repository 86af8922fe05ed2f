//! Which version does this request go to?
//!
//! A [`policy::Policy`] is what the controller writes: one JSON document, strict. [`Splitter::compile`] turns it
//! once into what a request needs; [`Splitter::claim`] finds the rollout that owns a request and
//! [`Claim::assign`] picks the arm. Nothing here reads a clock, draws a random number of its own or knows of a
//! proxy: whoever calls brings the request, the standing of the lease and the stream of draws.
//!
//! ```text
//! request -> claim (first rollout in scope) -> override? cohort? -> weight (hash or draw) -> lease -> Assignment
//! ```

mod arm;
mod arms;
mod assign;
mod compile;
mod draw;
mod key;
mod overlap;
mod pattern;
mod point;
pub mod policy;
mod request;
mod rule;
mod weight;

pub use arm::{Arm, ArmName, Cause, Route, SHADOW};
pub use assign::{Assignment, Claim, Splitter, Standing};
pub use compile::{Answers, Confidence, PolicyError};
pub use draw::Draws;
pub use overlap::{Overlap, overlap};
pub use pattern::Pattern;
pub use point::{GROUPS, Point};
pub use request::{Attribute, Request, direction, without_port};
pub use weight::{MILLION, Weight};

#[cfg(test)]
mod tests;
