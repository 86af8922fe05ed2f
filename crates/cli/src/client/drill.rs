//! `serin drill`: asks for a drill, follows it, and says what it found.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use api::{DrillRequest, DrillView, ExerciseKind, OpenEnum, Outcome, PromiseView};

use super::Client;
use super::exercise::{Exercise, Shown, exercise, so_far};
use crate::args;

impl Exercise for DrillView {
    const WHAT: ExerciseKind = ExerciseKind::Drill;
    const ASKED_AT: &str = api::path::DRILL;
    const READ_AT: &str = api::path::DRILLS;

    fn outcome(&self) -> Option<&OpenEnum<Outcome>> {
        self.outcome.as_ref()
    }

    fn message(&self) -> &str {
        &self.message
    }

    fn report(&self) -> String {
        report(self)
    }
}

pub async fn drill(options: args::Drill) -> Result<ExitCode> {
    let args::Drill { server, name, weight, limit, reason, detach, output } = options;
    let request = DrillRequest { weight, limit, reason };
    exercise::<DrillView>(&Client::new(&server), &name, &request, Shown { detach, output }).await
}

/// What it found, line by line.
fn report(drill: &DrillView) -> String {
    let mut out = String::new();
    let weight = f64::from(drill.weight_ppm) / 10_000.0;
    let outcome = so_far(drill.outcome());
    // Writing to a String does not fail.
    let _ =
        writeln!(out, "{} drill {} at {weight}%: {outcome}\n  {}", drill.name, drill.number, drill.message);
    let lease = match (&drill.lease.skipped, drill.lease.told_ms) {
        (Some(why), _) => format!("not revoked alone ({})", why.to_string().replace('_', " ")),
        (None, Some(ms)) => format!("revoked alone: {} told after {ms} ms", drill.lease.proxies),
        (None, None) => {
            format!("revoked alone: {} did not ask {}", drill.lease.missing, drill.lease.silent.join(", "))
        }
    };
    let _ = writeln!(out, "  lease      {lease}");
    if let Some(push) = &drill.push {
        let when = push.acknowledged_ms.map_or("not by all yet".to_owned(), |ms| format!("after {ms} ms"));
        let missing = if push.laggards.is_empty() {
            String::new()
        } else {
            format!("; missing: {}", push.laggards.join(", "))
        };
        let _ = writeln!(
            out,
            "  push       {} of {} acknowledged, {when}{missing}",
            push.acknowledged, push.connected
        );
        if let Some(ms) = push.last_canary_ms {
            let bound = if push.last_canary_complete { "" } else { " (lower bound: a proxy is silent)" };
            let _ = writeln!(out, "  canary     last request {ms} ms after the decision{bound}");
        }
    }
    let limit = PromiseView {
        limit_ms: drill.limit_ms,
        kept: drill.slowest_ms.is_some_and(|ms| ms <= drill.limit_ms),
    };
    let mut promises: Vec<&PromiseView> = drill.promises.iter().collect();
    if !promises.iter().any(|promise| promise.limit_ms == limit.limit_ms) {
        promises.push(&limit);
    }
    let promises = promises.iter().map(|promise| {
        let kept = if promise.kept { "kept" } else { "NOT kept" };
        format!("{} {kept}", manifest::Span::from_ms(promise.limit_ms))
    });
    let _ = writeln!(out, "  promises   {}", promises.collect::<Vec<_>>().join(", "));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_fits_a_terminal() {
        let drill: DrillView = serde_json::from_str(
            r#"{"name":"ranker","number":3,"weight_ppm":1000,"outcome":"failed","message":"late","unknown":1,
                "lease":{"told_ms":900,"proxies":2},"limit_ms":10000,"slowest_ms":40000,
                "push":{"acknowledged_ms":9,"acknowledged":2,"connected":2,"last_canary_ms":40000,"last_canary_complete":true},
                "promises":[{"limit_ms":30000,"kept":false},{"limit_ms":120000,"kept":true}]}"#,
        )
        .expect("a drill");
        assert_eq!(
            report(&drill),
            "ranker drill 3 at 0.1%: failed\n  late\n  lease      revoked alone: 2 told after 900 ms\n  push       2 of 2 \
             acknowledged, after 9 ms\n  canary     last request 40000 ms after the decision\n  promises   30s NOT \
             kept, 2m kept, 10s NOT kept\n"
        );
    }
}
