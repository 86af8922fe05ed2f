//! Figures of the user's own: which are wanted now, of whom, and which come in vain.

use manifest::{Gate, Guardrail, Insufficient, Range, Source};
use split::Arm;

use crate::{Phase, State, Wanted};
use evidence::Evidence;

/// A source that wants to be asked; answer with [`crate::Event::Reading`].
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The gate's or guardrail's name.
    pub gate: String,
    /// Whose figure it is, where several versions are on trial.
    pub arm: Option<Arm>,
    /// The source, its placeholders filled in.
    pub source: Source,
    /// What Prometheus had over this time is wanted too.
    pub history: Option<Range>,
    /// The time between two readings, in milliseconds: an older value is no reading of now.
    pub every_ms: u64,
    /// For how long what is measured has been so, in milliseconds: earlier values do not count. A gate measures its stage,
    /// a guardrail the run since the canary first got traffic.
    pub for_ms: u64,
    /// Does it protect, as guardrails do? Then it waits for no gate.
    pub protects: bool,
}

impl State {
    /// Everything that takes readings now: gates of the stage, once its weights are taken, and guardrails whenever the
    /// canary has traffic.
    #[must_use]
    pub fn wanted(&self) -> Vec<Wanted<'_>> {
        if !self.measures() {
            return Vec::new();
        }
        let climbs = matches!(self.phase, Phase::Progressing | Phase::Promoting | Phase::Paused(_));
        let stage = self.stages.last().filter(|stage| climbs && stage.acknowledged.is_some());
        let planned = self.plan.stages.get(self.stage).map_or(&[][..], |planned| &planned.gates);
        let gates = stage.into_iter().flat_map(|stage| {
            let gates = planned.iter().filter_map(|&index| self.plan.gates.get(index));
            gates.filter(|gate| stage.baked_ms >= gate.start_after_ms).filter_map(|gate| self.of_gate(gate))
        });
        let guards = climbs || matches!(self.phase, Phase::HandBack(_));
        let guardrails = self.plan.guardrails.iter().filter(|_| guards).filter_map(of_guardrail);
        gates.chain(guardrails).collect()
    }

    fn of_gate<'a>(&self, gate: &'a Gate) -> Option<Wanted<'a>> {
        let source = gate.source().filter(|_| gate.applies(self.concurrent()))?;
        Some(Wanted {
            name: &gate.name,
            source,
            every_ms: gate.every_ms,
            window_ms: gate.every_ms.max(gate.min_window_ms),
            compares: gate.against.is_some() && self.concurrent(),
            history: gate.anomaly().and_then(|anomaly| anomaly.history),
            protects: false,
        })
    }

    /// For how long the present stage's weights have been in force, in milliseconds.
    fn staged_ms(&self) -> u64 {
        let acknowledged = self.stages.last().and_then(|stage| stage.acknowledged);
        acknowledged.map_or(0, |since| self.last.since_ms(since))
    }

    /// For how long the canary has had traffic in this run, in milliseconds: since its first weights were published.
    #[must_use]
    pub fn exposed_ms(&self) -> u64 {
        self.stages.first().map_or(0, |stage| self.last.since_ms(stage.entered))
    }

    /// The versions whose figures are wanted: `None` stands for the only one.
    pub fn measured_arms(&self) -> impl Iterator<Item = Option<Arm>> {
        let several = !self.plan.challengers.is_empty();
        self.plan.arms_in().map(move |arm| several.then_some(arm))
    }

    /// Sources that want to be asked now. Ask each once at a time.
    #[must_use]
    pub fn questions(&self) -> Vec<Question> {
        let wanted = self.wanted();
        let asked = || wanted.iter().filter(|wanted| !matches!(wanted.source, Source::Push(_)));
        let of = |arm: Option<Arm>| {
            let version = arm.and_then(|arm| self.plan.version_of(arm)).unwrap_or(&self.plan.canary);
            let due = asked().filter(move |wanted| {
                self.evidence_of(arm)
                    .is_some_and(|evidence| evidence.due(&self.plan, wanted.name, self.age_ms))
            });
            due.map(move |wanted| Question {
                gate: wanted.name.to_owned(),
                arm,
                source: wanted.source.filled(&self.plan.name, &self.plan.stable, version),
                history: wanted.history,
                every_ms: wanted.every_ms,
                for_ms: if wanted.protects { self.exposed_ms() } else { self.staged_ms() },
                protects: wanted.protects,
            })
        };
        self.measured_arms().flat_map(of).collect()
    }

    /// What was measured of an arm; `None` stands for the lead.
    fn evidence_of(&self, arm: Option<Arm>) -> Option<&Evidence> {
        match arm {
            Some(arm) if arm != self.plan.arm() => self.arms.rivals.get(&arm).map(|rival| &rival.evidence),
            _ => Some(&self.evidence),
        }
    }

    /// A hard gate of the stage, or a guardrail, whose source gives nothing for longer than it bears.
    pub(crate) fn unread(&self) -> Option<(String, Insufficient, String)> {
        let wanted = self.wanted();
        self.measured_arms().find_map(|arm| {
            let (gate, action, why) = self.evidence_of(arm)?.unread(&self.plan, &wanted)?;
            let whose = arm.map_or_else(String::new, |arm| format!("{arm}: "));
            Some((gate, action, format!("{whose}{why}")))
        })
    }

    /// What cannot be evaluated now, each in a clause.
    pub(crate) fn faults(&self) -> Vec<String> {
        if !self.measures() {
            return Vec::new();
        }
        let gates = self.plan.stages.get(self.stage).map_or(&[][..], |planned| &planned.gates);
        let of = |arm: Option<Arm>| {
            let whose = arm.map_or_else(String::new, |arm| format!("{arm}: "));
            let faults = self.evidence_of(arm).map(|evidence| evidence.faults(&self.plan, gates));
            faults.unwrap_or_default().into_iter().map(move |fault| format!("{whose}{fault}"))
        };
        self.measured_arms().flat_map(of).collect()
    }

    /// The guardrail that guards nothing, as what is waited for: nothing guards in its place.
    pub(crate) fn unguarded(&self) -> Option<String> {
        if !self.measures() {
            return None;
        }
        let wanted = self.wanted();
        let name = |arm| self.evidence_of(arm)?.unguarded(&self.plan, &wanted);
        self.measured_arms().find_map(name)
    }
}

fn of_guardrail(guardrail: &Guardrail) -> Option<Wanted<'_>> {
    let reads = guardrail.reads.as_deref()?;
    Some(Wanted {
        name: &guardrail.name,
        source: &reads.source,
        every_ms: reads.every_ms,
        window_ms: reads.every_ms,
        compares: false,
        history: None,
        protects: true,
    })
}
