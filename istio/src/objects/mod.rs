//! Rollouts as objects of Kubernetes.

mod crd;
mod rules;
mod status;
mod structural;

#[cfg(test)]
mod tests;

pub use crd::{GROUP, PLURAL, VERSION, definition, text};
pub use status::{Condition, Status};
