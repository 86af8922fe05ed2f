//! Where the controller answers. Each path is written here alone: a client gives a name, the server's routes give `{name}`.

use std::fmt::Display;

/// Is the process there?
pub const HEALTHZ: &str = "/healthz";
/// Is it ready to decide, and what is wrong if it is not?
pub const READYZ: &str = "/readyz";
/// The controller's metrics, for Prometheus. Every proxy and every server of metrics has its page there too.
pub const METRICS: &str = "/metrics";
/// All rollouts: `GET`, and `POST` of a document.
pub const ROLLOUTS: &str = "/v1/rollouts";
/// All triggers: `GET`, and `POST` of a document.
pub const TRIGGERS: &str = "/v1/triggers";
/// Measurements of runs, as a stream.
pub const EXPORT: &str = "/v1/export";
/// Verdicts and loads in the form of Prometheus's API.
pub const QUERY: &str = "/api/v1/query";
/// Leases of proxies; the digest of the policy that a proxy runs may follow ([`lease_of`]).
pub const LEASE: &str = "/v1/lease";

/// Of a rollout: its runs.
pub const RUNS: &str = "runs";
/// Of a rollout: how much the canary will have to bear.
pub const DEMAND: &str = "demand";
/// Of a rollout: the verdict, as other tools ask for it.
pub const VERDICT: &str = "verdict";
/// Of a rollout: questions of other tools before they go on.
pub const HOOKS: &str = "hooks";
/// Of a rollout: figures that are pushed.
pub const FIGURES: &str = "metrics";
/// Of a rollout: begins a drill.
pub const DRILL: &str = "drill";
/// Of a rollout: its drills.
pub const DRILLS: &str = "drills";
/// Of a rollout: its A/A checks, and the beginning of one.
pub const PARITY: &str = "parity";
/// Of a trigger: rolls a version out.
pub const FIRE: &str = "fire";
/// Of a trigger: what the registry delivers.
pub const WEBHOOK: &str = "webhook";

/// One rollout.
#[must_use]
pub fn rollout(name: &str) -> String {
    format!("{ROLLOUTS}/{name}")
}

/// What belongs to one rollout, such as [`FIGURES`], or a [`Verb`](crate::Verb) to act on it.
#[must_use]
pub fn of_rollout(name: &str, what: impl Display) -> String {
    format!("{ROLLOUTS}/{name}/{what}")
}

/// One of several of a kind that belong to a rollout: of [`RUNS`] or [`DRILLS`] by its number.
#[must_use]
pub fn one_of_rollout(name: &str, kind: &str, which: impl Display) -> String {
    format!("{ROLLOUTS}/{name}/{kind}/{which}")
}

/// One trigger.
#[must_use]
pub fn trigger(name: &str) -> String {
    format!("{TRIGGERS}/{name}")
}

/// What belongs to one trigger: [`FIRE`], [`WEBHOOK`].
#[must_use]
pub fn of_trigger(name: &str, what: &str) -> String {
    format!("{TRIGGERS}/{name}/{what}")
}

/// The lease of a proxy that runs the document with this digest.
#[must_use]
pub fn lease_of(document: impl Display) -> String {
    format!("{LEASE}/{document}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clients of earlier releases and other tools ask there.
    #[test]
    fn paths_stay() {
        assert_eq!(
            [HEALTHZ, READYZ, METRICS, ROLLOUTS, TRIGGERS, EXPORT, QUERY, LEASE],
            [
                "/healthz",
                "/readyz",
                "/metrics",
                "/v1/rollouts",
                "/v1/triggers",
                "/v1/export",
                "/api/v1/query",
                "/v1/lease"
            ]
        );
        assert_eq!(rollout("ranker"), "/v1/rollouts/ranker");
        assert_eq!(of_rollout("ranker", crate::Verb::Abort), "/v1/rollouts/ranker/abort");
        assert_eq!(of_rollout("ranker", crate::Verb::Rollback), "/v1/rollouts/ranker/rollback");
        let below = [DEMAND, VERDICT, FIGURES, DRILL, DRILLS, PARITY];
        assert_eq!(
            below.map(|what| of_rollout("r", what)),
            ["demand", "verdict", "metrics", "drill", "drills", "parity"]
                .map(|it| format!("/v1/rollouts/r/{it}"))
        );
        assert_eq!(one_of_rollout("{name}", DRILLS, "{number}"), "/v1/rollouts/{name}/drills/{number}");
        assert_eq!(one_of_rollout("ranker", RUNS, 3), "/v1/rollouts/ranker/runs/3");
        assert_eq!(one_of_rollout("ranker", HOOKS, "rollout"), "/v1/rollouts/ranker/hooks/rollout");
        assert_eq!(trigger("{name}"), "/v1/triggers/{name}");
        assert_eq!(of_trigger("registry", FIRE), "/v1/triggers/registry/fire");
        assert_eq!(of_trigger("registry", WEBHOOK), "/v1/triggers/registry/webhook");
        assert_eq!(lease_of("00ab"), "/v1/lease/00ab");
    }
}
