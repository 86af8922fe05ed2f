//! At 100 % nothing stands beside the canary any more: its rates are held to what both versions showed while they stood
//! side by side.
//!
//! A limit is the gate's margin from the worst value that either version may have had in the last stage with both. Only
//! shares of requests are held so: answer times follow the load of the hour, and would need a stable beside them. A part
//! of the gates' alpha ([`manifest::Alpha::alone`]) is spent here, half on the bounds and half on the tests; after an hour the comparison is too old.

use manifest::{Guardrail, Metric, Plan, Room};
use serde::{Deserialize, Serialize};

use crate::Counts;
use crate::watching::derived;
use evidence::{Effects, Evidence, GuardrailEvidence, UserClustering, Verdict, scale};

/// For so long it is a fair comparison, on the run's own clock, in milliseconds.
const FAIR_MS: u64 = 3_600_000;

/// Gates that compare, held to limits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixedLimits {
    /// When it began, on the run's own clock.
    since_age_ms: u64,
    gates: Vec<Held>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Held {
    /// Which, by index.
    gate: usize,
    limit: Guardrail,
    evidence: GuardrailEvidence,
}

impl FixedLimits {
    /// What the stage that ends has shown becomes the limits; `None`: it has shown nothing that could.
    pub(crate) fn new(plan: &Plan, shown: &Evidence, age_ms: u64) -> Option<Self> {
        let gates = || {
            let all = plan.gates.iter().zip(&shown.gates).enumerate();
            let compares = |metric| matches!(metric, Metric::ErrorRate | Metric::Overdue);
            all.filter(move |(_, (gate, _))| gate.hard && compares(gate.metric()))
        };
        let clumps = shown.groups.clumps(plan.unit, Effects::NONE);
        let each = level(plan, gates().count());
        let held = gates().filter_map(|(index, (gate, seen))| {
            let room = Room::of(gate)?;
            let (canary, control) = seen.counted();
            let bound = |counts: &Counts| derived(plan, gate.metric(), room, counts, clumps, each).ok();
            // The worse of both: a canary within its margin is not to be told from itself.
            let limit = bound(canary)?.max(bound(control)?);
            let limit = gate.held_to(limit);
            let evidence = GuardrailEvidence::new(&limit, scale(plan));
            Some(Held { gate: index, limit, evidence })
        });
        let gates: Vec<Held> = held.collect();
        (!gates.is_empty()).then_some(Self { since_age_ms: age_ms, gates })
    }

    /// Takes what the canary showed; the gate that is proven to be beyond its limit, and what that says.
    pub(crate) fn observe(
        &mut self,
        plan: &Plan,
        canary: &Counts,
        clumps: UserClustering,
        ms: u64,
        age_ms: u64,
    ) -> Option<(usize, Verdict)> {
        if age_ms.saturating_sub(self.since_age_ms) > FAIR_MS {
            return None;
        }
        let height = -level(plan, self.gates.len()).ln();
        let span = judge::gate::Span { ms, of_stage: false };
        self.gates.iter_mut().find_map(|held| {
            let deff = clumps.of(held.limit.metric)?;
            held.evidence.observe(canary, None, span, deff);
            (held.evidence.log_e() >= height).then(|| {
                let mut verdict = held.evidence.verdict(&held.limit, "canary requests at 100 %", true);
                verdict
                    .why
                    .push_str(", which leaves the gate's margin to what both versions showed side by side");
                (held.gate, verdict)
            })
        })
    }

    /// A person advances in spite of a gate: what was seen of it so far counts no more.
    pub(crate) fn forgive(&mut self, plan: &Plan, gate: &str) {
        for held in self.gates.iter_mut().filter(|held| held.limit.name == gate) {
            held.evidence = GuardrailEvidence::new(&held.limit, scale(plan));
        }
    }
}

#[allow(clippy::cast_precision_loss)] // a handful
fn level(plan: &Plan, gates: usize) -> f64 {
    plan.alpha.alone() / (2 * gates.max(1)) as f64
}
