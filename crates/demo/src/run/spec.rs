//! The rollout that the demo applies, as a user would write it.

use std::net::SocketAddr;

use clap::ValueEnum;
use serde::Serialize;

use super::ground::USUAL;
use crate::model::ModelKind;

/// The rollout's name.
pub const NAME: &str = "ranker";

/// How requests are spread over versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Assignment {
    /// Each user stays with a version.
    Sticky,
    /// Each request by itself.
    Random,
}

impl Assignment {
    /// What a share of the traffic is a share of.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Sticky => "users",
            Self::Random => "requests",
        }
    }
}

/// Longest time in one stage, in seconds, at normal speed: 5 % of 700 requests/s prove a factor of 2 on 2 % errors
/// in about half a minute, now and then in two, and in four where others use the machine and answer times wander.
const DEADLINE_S: f64 = 300.0;

/// A deadline is not shortened further than this: evidence takes its time at any speed.
const LEAST_DEADLINE_S: f64 = 180.0;

/// How fast a run goes.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Stage times are divided by this.
    pub speed: f64,
    /// Requests per second: with fewer, evidence takes longer, and deadlines wait for it.
    pub rate: f64,
}

/// What chats are held to besides.
const SAID: &str = "  - {name: refusals, metric: refusal_rate, against: stable, margin: 2x}
  - {name: token-time, metric: time_per_output_token_p95, against: stable, margin: 1.4x}
";

fn deadline_s(pace: Pace) -> f64 {
    let seconds = (DEADLINE_S / pace.speed).max(LEAST_DEADLINE_S);
    (seconds * (USUAL / pace.rate).max(1.0)).ceil()
}

/// Writes a rollout of `canary` over `stable`, whose server at `stable_addr` is its own deploy tool. Margins and sample
/// sizes are the same at any pace.
pub fn rollout(
    kind: ModelKind,
    assignment: Assignment,
    stable: &str,
    canary: &str,
    stable_addr: SocketAddr,
    pace: Pace,
) -> String {
    let span = |seconds: f64| match (seconds * 1000.0).max(1.0).round() {
        ms if ms % 1000.0 == 0.0 => format!("{}s", ms / 1000.0),
        ms => format!("{ms}ms"),
    };
    let time = |seconds: f64| span(seconds / pace.speed);
    let assignment = match assignment {
        // The sample models draw each answer anew: requests of one user do not go together.
        Assignment::Sticky => "{mode: sticky, keys: [{header: x-user-id}], unit: request}",
        Assignment::Random => "{mode: random}",
    };
    // Of chats their bodies tell, too.
    let (answer, said) = match kind {
        ModelKind::Predict => ("", ""),
        ModelKind::Chat => ("  answer: {format: openai}\n", SAID),
    };
    let (bake, last_bake, deadline, step) = (time(8.0), time(4.0), span(deadline_s(pace)), time(2.0));
    format!(
        "apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {{name: {NAME}}}
spec:
  stable: {{version: {stable}}}
  canary: {{version: {canary}}}
  assignment: {assignment}
  confidence: {{fromHeader: x-model-confidence}}
{answer}  stages:
  - {{weight: 5%, bake: {bake}, deadline: {deadline}}}
  - {{weight: 25%, bake: {bake}, deadline: {deadline}}}
  - {{weight: 50%, bake: {bake}, deadline: {deadline}}}
  - {{weight: 100%, bake: {last_bake}, deadline: {deadline}}}
  gates:
  - {{name: errors, metric: error_rate, against: stable, margin: 2x}}
  - {{name: latency, metric: latency_p99, against: stable, margin: 1.4x}}
  - {{name: confidence, metric: confidence_mean, against: stable, margin: 5%}}
  - {{name: overdue, metric: overdue, against: stable, margin: 2x}}
{said}  handBack:
    hook: {{url: 'http://{stable_addr}/admin/version'}}
    endpoints: ['http://{stable_addr}/version']
    steps: [50%, 0%]
    step: {step}
"
    )
}

/// How long a run may take before it counts as undecided: every stage up to its deadline, and a minute for what is
/// between them.
pub fn longest_run(pace: Pace) -> std::time::Duration {
    std::time::Duration::from_secs_f64(4.0 * deadline_s(pace) + 60.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        kind: ModelKind,
        assignment: Assignment,
        (speed, rate): (f64, f64),
        bake_ms: u64,
        deadline_ms: u64,
    ) {
        let pace = Pace { speed, rate };
        let text = rollout(kind, assignment, "v1", "v2", ([127, 0, 0, 1], 8080).into(), pace);
        let loaded = ::manifest::load(&text).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        // The many series are meant: this Envoy lives for two minutes. So are six gates: a chat is held to two of its own.
        let is_meant = |what: &str| what.contains("series in each sidecar") || what.contains("gates must");
        let others = loaded.warnings.iter().filter(|warning| !is_meant(&warning.what));
        assert_eq!(others.count(), 0, "{:?}", loaded.warnings);
        let plan = loaded.plan;
        assert_eq!((plan.name.as_str(), plan.stable.as_str(), plan.canary.as_str()), (NAME, "v1", "v2"));
        let weights: Vec<u32> = plan.stages.iter().map(|stage| stage.weight_ppm).collect();
        assert_eq!(weights, [50_000, 250_000, 500_000, 1_000_000]);
        assert_eq!((plan.stages[0].bake_ms, plan.stages[0].deadline_ms), (bake_ms, deadline_ms));
    }

    #[test]
    fn the_rollout_is_one_a_user_may_write() {
        check(ModelKind::Predict, Assignment::Sticky, (1.0, 700.0), 8_000, 300_000);
        check(ModelKind::Predict, Assignment::Random, (1.0, 2_000.0), 8_000, 300_000);
        check(ModelKind::Predict, Assignment::Sticky, (0.5, 700.0), 16_000, 600_000);
        check(ModelKind::Predict, Assignment::Sticky, (16.0, 700.0), 500, 180_000);
        check(ModelKind::Chat, Assignment::Sticky, (1.0, 700.0), 8_000, 300_000);
        // Half the traffic takes twice as long to prove anything.
        check(ModelKind::Predict, Assignment::Sticky, (1.0, 350.0), 8_000, 600_000);
    }
}
