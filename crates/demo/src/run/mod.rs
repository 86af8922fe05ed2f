//! One rollout on a real Envoy, from the first request to the report.

mod account;
mod follow;
mod ground;
mod http;
mod machine;
mod mesh;
mod processes;
mod progress;
mod report;
mod rollback;
mod scenario;
mod spec;
mod story;
mod through_istio;
mod traffic;

pub use follow::{CouldNotRun, run};
pub use ground::{Rate, USUAL};
pub use mesh::Programs;
pub use progress::Progress;
pub use report::{Outcome, Report};
pub use scenario::Scenario;
pub use spec::Assignment;
pub use through_istio::Istio;

use crate::model::ModelKind;

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The programs.
    pub programs: Programs,
    /// What happens to the new version.
    pub scenario: Scenario,
    /// What the models are.
    pub kind: ModelKind,
    /// How requests are spread over versions.
    pub assignment: Assignment,
    /// All chance of the run.
    pub seed: u64,
    /// Stage times are divided by this; what counts as evidence is not.
    pub speed: f64,
    /// Requests per second.
    pub rate: Rate,
    /// Number of users who send them.
    pub users: u32,
    /// Leave the run's files where they are.
    pub keep: bool,
}
