//! How long a rollback took, by the canary server's own clock.

use serde::Serialize;

use crate::model::Arrival;

/// From decision to silence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rollback {
    /// When the controller decided, in milliseconds since the rollout was applied.
    pub decided_ms: f64,
    /// When the last request reached the canary server, likewise; none when none ever did.
    pub last_canary_ms: Option<f64>,
    /// From the decision to that last request, in milliseconds; 0 when none came after the decision.
    pub latency_ms: f64,
    /// Requests that reached the canary after the decision.
    pub arrived_after: u64,
    /// Requests that were open at the canary when it was decided; they are not part of the latency.
    pub open_at_decision: u64,
    /// Why, in the controller's words.
    pub reason: String,
}

/// Measures one rollback. All times in nanoseconds of `CLOCK_MONOTONIC`; `origin_ns` is when the rollout was applied.
/// `canary` must go on long enough after the decision to be sure that nothing else came.
pub fn measure(canary: &[Arrival], decided_ns: u64, origin_ns: u64, reason: &str) -> Rollback {
    let since = |from: u64, to: u64| (to as f64 - from as f64) / 1e6;
    let (before, after): (Vec<&Arrival>, Vec<&Arrival>) =
        canary.iter().partition(|arrival| arrival.arrived_ns <= decided_ns);
    let last_ns = canary.iter().map(|arrival| arrival.arrived_ns).max();
    let is_open = |arrival: &&&Arrival| arrival.finished_ns.is_none_or(|finished| finished > decided_ns);
    Rollback {
        decided_ms: since(origin_ns, decided_ns),
        last_canary_ms: last_ns.map(|last| since(origin_ns, last)),
        latency_ms: last_ns.map_or(0.0, |last| since(decided_ns, last).max(0.0)),
        arrived_after: after.len() as u64,
        open_at_decision: before.iter().filter(is_open).count() as u64,
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Outcome;

    /// Arrivals as (arrived, finished) in milliseconds; decided at 100 ms, applied at 10 ms.
    #[track_caller]
    fn check(arrivals: &[(u64, Option<u64>)], expected: (Option<f64>, f64, u64, u64)) {
        let arrivals: Vec<Arrival> = arrivals
            .iter()
            .map(|(arrived, finished)| Arrival {
                request_id: "a".into(),
                user: None,
                arm: None,
                version: "v2".into(),
                arrived_ns: arrived * 1_000_000,
                finished_ns: finished.map(|finished| finished * 1_000_000),
                outcome: Outcome::Open,
            })
            .collect();
        let rollback = measure(&arrivals, 100_000_000, 10_000_000, "errors");
        assert_eq!(rollback.decided_ms, 90.0);
        let got =
            (rollback.last_canary_ms, rollback.latency_ms, rollback.arrived_after, rollback.open_at_decision);
        assert_eq!(got, expected);
    }

    #[test]
    fn from_the_decision_to_the_last_arrival() {
        check(&[], (None, 0.0, 0, 0));
        check(&[(50, Some(60))], (Some(40.0), 0.0, 0, 0));
        // Open at the decision: counted apart.
        check(&[(50, Some(160)), (60, None)], (Some(50.0), 0.0, 0, 2));
        check(&[(50, Some(60)), (101, Some(102)), (131, None)], (Some(121.0), 31.0, 2, 0));
    }
}
