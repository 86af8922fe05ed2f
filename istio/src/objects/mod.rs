//! Rollouts as objects of Kubernetes: `kubectl apply` is `serin apply`, and the status shows the run.
//!
//! ```text
//! API server -> [ watch ] -> [ keep ] -> [ settle ] -> Controller (a port: apply, abort, delete)
//!            <- status, Events, finalizer <- [ report, news ] <- views
//! ```
//!
//! The controller never waits for any of it, and knows nothing of it but which object a rollout is kept by
//! ([`api::ObjectView`]).

mod crd;
mod document;
mod events;
mod keep;
mod known;
mod list;
mod news;
mod port;
mod report;
mod rules;
mod settle;
mod status;
mod structural;
mod watch;

#[cfg(test)]
mod tests;

pub use crd::{GROUP, PLURAL, VERSION, definition, text};
pub use keep::{Patience, keep};
pub use list::{Listed, list};
pub use port::{Answered, Controller, Views};
pub use status::{Condition, Status};
pub use watch::Namespaces;
