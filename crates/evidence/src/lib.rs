//! What was measured, gate by gate, and what it proves.
//!
//! Harm is watched through the whole run and may be acted on at any look; proof of no harm is gathered anew in every
//! stage. All tests are e-processes of crate `judge`, so looking often costs nothing.

mod anomaly;
mod answers;
mod bursts;
mod claims;
mod clumps;
mod contest;
mod findings;
mod gate;
mod guard;
mod guard_readings;
mod incident;
mod interval;
mod margin;
mod measure;
mod proven;
mod reading;
mod readings;
mod test;
mod verdict;
mod words;

use judge::gate::Span;
use manifest::{Gate, Guardrail, Insufficient, Metric, Plan, Unit};
use serde::{Deserialize, Serialize};

pub use answers::Answers;
use bursts::Bursts;
pub use bursts::Effects;
use claims::OF_COPIES;
pub use clumps::{Groups, UserClustering};
pub use contest::Contest;
use findings::reached;
pub use gate::GateEvidence;
pub use guard::GuardrailEvidence;
pub use incident::Incident;
pub use margin::OnMargin;
pub use measure::{at_margin, estimate, trials};
pub use proven::proven;
pub use test::scale;
pub use words::{digits, e_value, value};

pub use interval::{Aged, Bins, Counts, Group, Interval, Moments, ProxyCoverage, Stratum};
pub use reading::{Reading, Wanted};
pub use verdict::{Answer, Verdict};

/// Whose requests guardrails rest on.
const CANARY: &str = "canary requests";

/// The evidence of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// In the order of the plan's gates.
    pub gates: Vec<GateEvidence>,
    /// In the order of the plan's guardrails.
    pub guardrails: Vec<GuardrailEvidence>,
    /// Stable's outcomes per group of users; empty while the source counts none.
    pub groups: Groups,
    /// How much stable's events come in bursts.
    #[serde(default)]
    bursts: Box<Bursts>,
    /// The epoch of the last interval.
    #[serde(default)]
    epoch: u64,
    /// The age at which a request without an answer is overdue now, in milliseconds; 0: nobody said.
    #[serde(default)]
    overdue_age_ms: u32,
}

/// Under which circumstances an interval was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The run's own clock.
    pub age_ms: u64,
    /// Time at the stage's acknowledged weights.
    pub baked_ms: u64,
    /// How long the interval lasted.
    pub span_ms: u64,
    /// Does the interval belong to the present stage, whole and acknowledged?
    pub of_stage: bool,
    /// Is stable at work beside the canary, as another version?
    pub concurrent: bool,
    /// Is the canary still warming up?
    pub warming: bool,
    /// Does the canary get copies?
    pub copies: bool,
}

/// What can be asked of gates at the present weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Does the canary get traffic?
    pub exposed: bool,
    /// Is stable at work beside the canary, as another version?
    pub concurrent: bool,
    /// Does the canary get copies?
    pub copies: bool,
    /// Time at the stage's acknowledged weights.
    pub baked_ms: u64,
}

/// A watch that fired.
#[derive(Clone, Debug, PartialEq)]
pub struct Fired {
    /// Which gate or guardrail, by index.
    pub index: usize,
    /// What it says.
    pub verdict: Verdict,
}

impl Evidence {
    /// Nothing is known yet of this plan's gates and guardrails.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let scale = test::scale(plan);
        Self {
            gates: plan.gates.iter().map(|gate| GateEvidence::new(gate, scale)).collect(),
            guardrails: plan.guardrails.iter().map(|rail| GuardrailEvidence::new(rail, scale)).collect(),
            groups: Groups::default(),
            bursts: Box::default(),
            epoch: 0,
            overdue_age_ms: 0,
        }
    }

    /// Adds an interval without gap.
    pub fn observe(&mut self, plan: &Plan, interval: &Interval, look: Look) {
        let mut control = interval.stable.clone();
        control.add(&interval.baseline);
        let scale = test::scale(plan);
        self.groups.count(&control);
        if interval.overdue_age_ms > 0 && interval.overdue_age_ms != self.overdue_age_ms {
            self.other_age(plan);
            self.overdue_age_ms = interval.overdue_age_ms;
        }
        if interval.epoch != self.epoch {
            self.gates.iter_mut().for_each(GateEvidence::new_weights);
            self.epoch = interval.epoch;
        }
        let clumps = self.clumps(plan.unit);
        // Gates remember what they saw, for display: answer times are large, and one gate's alone.
        let may_share = look.concurrent && incident::is_asked(plan);
        let bare = (interval.canary.without_latencies(), control.without_latencies());
        // Known from before this look, so that no look decides how it is read.
        self.bursts.observe(&control, &interval.canary, look.span_ms);
        // Of weights before: a stratum of their own each, and they may show harm only.
        let others: Vec<(&Counts, Counts)> = interval.others.iter().map(Stratum::compared).collect();
        for (gate, evidence) in plan.gates.iter().zip(&mut self.gates) {
            evidence.begin(gate, scale);
            let late = look.of_stage && look.baked_ms >= gate.start_after_ms;
            if !look.warming {
                let look = Look { of_stage: late, ..look };
                let times = gate.metric().is_time();
                let (canary, of_control) =
                    if times { (&interval.canary, &control) } else { (&bare.0, &bare.1) };
                evidence.look_aside(gate, (Some(canary), of_control), (scale, clumps), look, may_share);
                evidence.observe(gate, canary, of_control, look, clumps.of(gate.metric()));
                for (canary, control) in &others {
                    let look = Look { of_stage: false, span_ms: 0, ..look };
                    evidence.observe(gate, canary, control, look, clumps.of(gate.metric()));
                }
                evidence.review(plan.alpha.pass);
            }
        }
        for (guardrail, evidence) in plan.guardrails.iter().zip(&mut self.guardrails) {
            evidence.begin(guardrail, scale);
            if guard::is_of_difference(guardrail) && !look.concurrent {
                continue;
            }
            // A cold model is slow, not broken: only its times are excused, and those of copies.
            if !((look.warming || look.copies) && guardrail.metric.is_time()) {
                // A guardrail guards from the first request; how users clump is taken in as soon as it is known.
                let span = Span { ms: look.span_ms, of_stage: false };
                let deff = clumps.of(guardrail.metric).unwrap_or(1.0);
                let beside = |control| Some(control).filter(|_| guardrail.against_stable && look.concurrent);
                let times = guardrail.metric.is_time();
                let (canary, of_control) =
                    if times { (&interval.canary, &control) } else { (&bare.0, &bare.1) };
                evidence.look_aside(guardrail, (Some(canary), of_control), (scale, deff), look, may_share);
                evidence.observe(canary, beside(&control), span, deff);
                for (canary, control) in &others {
                    let span = Span { ms: 0, of_stage: false };
                    evidence.observe(canary, beside(control), span, deff);
                }
            }
        }
    }

    /// A figure of the user's own: of a gate, or of a guardrail.
    /// `concurrent`: is stable at work beside the canary, as another version?
    pub fn take_reading(&mut self, plan: &Plan, reading: &Reading, age_ms: u64, concurrent: bool) {
        let external = |gate: &Gate| gate.name == reading.gate && gate.metric().is_external();
        for (gate, evidence) in plan.gates.iter().zip(&mut self.gates).filter(|(gate, _)| external(gate)) {
            evidence.take_reading(gate, reading, age_ms);
        }
        let named = plan.guardrails.iter().zip(&mut self.guardrails);
        for (guardrail, evidence) in named.filter(|(guardrail, _)| guardrail.name == reading.gate) {
            evidence.take_reading(guardrail, reading, age_ms, concurrent && incident::is_asked(plan));
        }
    }

    /// Does the source of this gate or guardrail want to be asked?
    pub fn due(&self, plan: &Plan, name: &str, age_ms: u64) -> bool {
        let mut gates = plan.gates.iter().zip(&self.gates);
        let mut guardrails = plan.guardrails.iter().zip(&self.guardrails);
        gates.any(|(gate, evidence)| gate.name == name && evidence.due(gate, age_ms))
            || guardrails.any(|(rail, evidence)| rail.name == name && evidence.due(rail, age_ms))
    }

    /// A hard gate or a guardrail of these that was read in vain more often than it bears, what is done about it, and
    /// why.
    pub fn unread(&self, plan: &Plan, wanted: &[Wanted<'_>]) -> Option<(String, Insufficient, String)> {
        let is_wanted = |name: &str| wanted.iter().any(|wanted| wanted.name == name);
        let gates = plan.gates.iter().zip(&self.gates).filter(|(gate, _)| gate.hard && is_wanted(&gate.name));
        let gates = gates.filter_map(|(gate, evidence)| Some(("gate", &gate.name, evidence.unread(gate)?)));
        let rails = plan.guardrails.iter().zip(&self.guardrails).filter(|(rail, _)| is_wanted(&rail.name));
        let rails =
            rails.filter_map(|(rail, evidence)| Some(("guardrail", &rail.name, evidence.unread(rail)?)));
        let (what, name, (action, why)) = gates.chain(rails).next()?;
        Some((name.clone(), action, format!("{what} {name}: {why}")))
    }

    /// The guardrail that guards nothing: one of these that is read in vain for longer than it bears, or one that cannot
    /// be evaluated. As what a stage waits for.
    pub fn unguarded(&self, plan: &Plan, wanted: &[Wanted<'_>]) -> Option<String> {
        let of_these = |name: &str| wanted.iter().any(|wanted| wanted.name == name);
        plan.guardrails.iter().zip(&self.guardrails).find_map(|(rail, evidence)| {
            let name = &rail.name;
            if let Some(fault) = evidence.fault() {
                return Some(format!("guardrail {name}, which could not be evaluated: {fault}"));
            }
            let in_vain = of_these(name) && evidence.unread(rail).is_some();
            in_vain.then(|| format!("readings of guardrail {name}"))
        })
    }

    /// The hard gates and the guardrails that cannot be evaluated, each in a clause. They prove nothing and guard nothing.
    pub fn faults(&self, plan: &Plan, gates: &[usize]) -> Vec<String> {
        let gates = gates.iter().filter_map(|&index| {
            let (gate, evidence) = (plan.gates.get(index)?, self.gates.get(index)?);
            Some(("gate", &gate.name, evidence.fault().filter(|_| gate.hard)?))
        });
        let rails = plan.guardrails.iter().zip(&self.guardrails);
        let rails = rails.filter_map(|(rail, evidence)| Some(("guardrail", &rail.name, evidence.fault()?)));
        let words = |(what, name, fault)| format!("{what} {name} could not be evaluated: {fault}");
        gates.chain(rails).map(words).collect()
    }

    /// A stage begins: proof starts at nothing.
    pub fn begin_stage(&mut self) {
        self.gates.iter_mut().for_each(GateEvidence::begin_stage);
        self.guardrails.iter_mut().for_each(GuardrailEvidence::begin_stage);
    }

    /// What is to be done about the hard gates between good and bad, by name, given what all say now.
    pub fn on_margin(&mut self, plan: &Plan, verdicts: &[Verdict], baked_ms: u64) -> Vec<(String, OnMargin)> {
        let gates = plan.gates.iter().zip(&mut self.gates).filter(|(gate, _)| gate.hard);
        let done = gates.filter_map(|(gate, evidence)| {
            let verdict = verdicts.iter().find(|verdict| verdict.name == gate.name)?;
            Some((gate.name.clone(), evidence.on_margin(gate, verdict, baked_ms)?))
        });
        done.collect()
    }

    /// A named person goes on in spite of a gate: the same counts do not stop the run twice.
    pub fn forgive(&mut self, gate: &str, plan: &Plan) {
        for (_, evidence) in plan.gates.iter().zip(&mut self.gates).filter(|(known, _)| known.name == gate) {
            evidence.forget();
        }
        let rails = plan.guardrails.iter().zip(&mut self.guardrails);
        rails.filter(|(known, _)| known.name == gate).for_each(|(_, evidence)| evidence.forget());
    }

    /// Of the gates that prove harm the one whose failure does most, the plainest first; its words name the others.
    pub fn harm(&self, plan: &Plan, scope: Scope) -> Option<Fired> {
        let found = self.harms(plan, scope);
        let rolls_back = |fired: &Fired| {
            plan.gates.get(fired.index).is_some_and(|gate| gate.on_fail == manifest::OnFail::Rollback)
        };
        let first = found.iter().position(rolls_back).unwrap_or(0);
        findings::acted_on(found, first, "gate")
    }

    /// The guardrail that is broken most plainly, if any; its words name the others.
    pub fn broken(&self, plan: &Plan) -> Option<Fired> {
        findings::acted_on(self.all_broken(plan), 0, "guardrail")
    }

    /// What these gates say now, one after the other; whatever proves harm has failed.
    pub fn verdicts(&self, plan: &Plan, gates: &[usize], scope: Scope) -> Vec<Verdict> {
        let harmful = self.harmful(plan);
        let said = |&gate: &usize| self.verdict(plan, gate, scope, harmful.contains(&gate));
        gates.iter().filter_map(said).collect()
    }

    /// What gate `index` says now.
    pub fn verdict(&self, plan: &Plan, index: usize, scope: Scope, failed: bool) -> Option<Verdict> {
        let (gate, evidence) = (plan.gates.get(index)?, self.gates.get(index)?);
        let unknown = !gate.metric().is_external() && self.clumps(plan.unit).of(gate.metric()).is_none();
        // An advisory gate spends nothing of the run's budget: it warns at that level by itself.
        let warns = !gate.hard && (evidence.harm() >= -plan.alpha.gates.ln() || evidence.limit_reached(gate));
        Some(self.explained(
            plan,
            gate.metric(),
            evidence.verdict(gate, plan.alpha.pass, scope, unknown, failed || warns),
        ))
    }

    /// What is overdue is asked at another age from now on: proof and figures begin anew, and suspicion stays.
    fn other_age(&mut self, plan: &Plan) {
        let of_time = |metric: Metric| metric == Metric::Overdue;
        for (_, evidence) in plan.gates.iter().zip(&mut self.gates).filter(|(gate, _)| of_time(gate.metric()))
        {
            evidence.begin_stage();
        }
        let rails = plan.guardrails.iter().zip(&mut self.guardrails);
        for (_, evidence) in rails.filter(|(rail, _)| of_time(rail.metric)) {
            evidence.begin_figures();
        }
    }

    /// A verdict of what is overdue says after how long, and whether that is as written.
    fn explained(&self, plan: &Plan, metric: Metric, verdict: Verdict) -> Verdict {
        let age_ms = u64::from(self.overdue_age_ms);
        if metric != Metric::Overdue || age_ms == 0 || verdict.n_canary == 0 {
            return verdict;
        }
        let (age, written) =
            (manifest::Span::from_ms(age_ms), manifest::Span::from_ms(plan.overdue_after_ms));
        let why = if age_ms > plan.overdue_after_ms {
            format!(
                "{}; overdue: no answer within {age}, since stable itself often takes longer than {written}",
                verdict.why
            )
        } else {
            format!("{}; overdue: no answer within {age}", verdict.why)
        };
        Verdict { why, ..verdict }
    }

    /// What the guardrails say now.
    pub fn guardrail_verdicts(&self, plan: &Plan, scope: Scope) -> Vec<Verdict> {
        let (broken, clumps, scale) = (self.broken_ones(plan), self.clumps(plan.unit), test::scale(plan));
        let said = |(index, (guardrail, evidence)): (usize, (&Guardrail, &GuardrailEvidence))| {
            let broken = broken.contains(&index);
            let chance = (clumps.of(guardrail.metric).unwrap_or(1.0), plan.alpha.pass);
            let verdict = evidence.verdict(guardrail, CANARY, broken);
            let verdict = evidence.proven(guardrail, (scale, CANARY), chance, verdict);
            let verdict = self.explained(plan, guardrail.metric, verdict);
            if !broken && scope.copies && !guardrail.metric.decides_in_shadow() {
                let why = format!("{OF_COPIES}; it guards from the first request on");
                return Verdict { answer: Answer::NotApplicable, why, ..verdict };
            }
            verdict
        };
        plan.guardrails.iter().zip(&self.guardrails).enumerate().map(said).collect()
    }

    /// How much requests of one user go together.
    pub fn clumps(&self, unit: Unit) -> UserClustering {
        self.groups.clumps(unit, self.bursts.effects())
    }
}

/// The e-values (as ln) that two parts differ, gate by gate: the average of both directions, which is an e-value too;
/// and whether all gates together prove a difference at this level.
pub fn difference(forward: &Evidence, backward: &Evidence, alpha: f64) -> (Vec<f64>, bool) {
    let both = forward.gates.iter().zip(&backward.gates);
    let either = |a: f64, b: f64| judge::anytime::average(&[(1.0, a), (1.0, b)]).unwrap_or(0.0);
    let log_e: Vec<f64> = both.map(|(a, b)| either(a.harm(), b.harm())).collect();
    let proven = reached(alpha, &log_e);
    (log_e, proven)
}

#[cfg(test)]
mod tests;
