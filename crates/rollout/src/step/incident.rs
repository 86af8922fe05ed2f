//! Trouble that stable has as well: the run holds, tells, and bears it for a while.

use manifest::Span;
use split::Arm;

use super::Run;
use crate::{Interval, Phase, RollbackBy, Severity, SharedIncident};
use evidence::{Incident, Look};

/// Under this key people have heard of it.
const TOLD: &str = "shared-incident";

/// Nothing waits longer for a word on stable.
const LEANS_MS: u64 = 30_000;

impl Run {
    /// What stable shows before the canary has a request: trouble that is older than the canary is not its doing.
    pub(super) fn count_before(&mut self, interval: &Interval) {
        let state = &mut self.state;
        if interval.epoch < state.first_epoch || interval.epoch > state.epoch {
            return;
        }
        let look = Look {
            age_ms: state.coverage.covered(state.age_ms),
            baked_ms: 0,
            span_ms: interval.to_ms.saturating_sub(interval.from_ms),
            of_stage: false,
            concurrent: true,
            warming: false,
            copies: false,
        };
        state.evidence.observe_before(&state.plan, interval, look);
        for rival in state.arms.rivals.values_mut() {
            rival.evidence.observe_before(&state.plan, interval, look);
        }
    }

    /// Trouble is known to be older than the canary only when it is proven before the canary's first request: does stable
    /// look like it?
    pub(super) fn waits_for_stable(&mut self) -> bool {
        let state = &self.state;
        let Some(since) = state.publication.as_ref().and_then(|publication| publication.quorum_age_ms) else {
            return false;
        };
        let late = state.age_ms.saturating_sub(since) >= LEANS_MS || !state.stages.is_empty();
        let Some(limit) = state.evidence.leans_before(&state.plan).filter(|_| !late) else { return false };
        let name = &state.plan.name;
        let text = format!(
            "{name}: nobody is exposed yet: stable seems to be beyond {limit}, which is being measured"
        );
        self.notify(Severity::Info, "stable-leans", text);
        true
    }

    /// Tells of trouble that stable has as well, and ends what both have when it lasts longer than it may: the canary may be
    /// its cause.
    pub(super) fn bear_incident(&mut self, span_ms: u64) {
        let found = self.incidents();
        let Some(text) = said(&found) else {
            return self.end_incident();
        };
        let text = format!("shared incident: {text}");
        match &mut self.state.incident {
            Some(incident) => incident.text = text,
            None => {
                let since_age_ms = self.state.age_ms;
                self.record(format!("Hold at {}: {text}", self.state.weight()));
                let told = format!("{}: holds at {}: {text}", self.state.plan.name, self.state.weight());
                self.state.incident = Some(Box::new(SharedIncident { since_age_ms, text }));
                self.state.told.retain(|key| key != TOLD);
                self.notify(Severity::Warning, TOLD, told);
            }
        }
        let may_be_cause: Vec<(Arm, Incident)> =
            found.into_iter().filter(|(_, incident)| incident.both && !incident.older).collect();
        let Some(stage) = self.state.stages.last_mut().filter(|_| !may_be_cause.is_empty()) else { return };
        stage.shared_ms = stage.shared_ms.saturating_add(span_ms);
        let most_ms = self.state.plan.rollback.shared_incident.for_ms;
        if stage.shared_ms < most_ms {
            return;
        }
        let arms: Vec<Arm> = self.state.plan.arms_in().collect();
        for arm in arms {
            let Some((_, incident)) = may_be_cause.iter().find(|(whose, _)| *whose == arm) else { continue };
            let Incident { guardrail, name, why, grown, .. } = incident.clone();
            let (by, what) = match guardrail {
                true => (RollbackBy::Guardrail(name.clone()), "guardrail"),
                false => (RollbackBy::Gate(name.clone()), "gate"),
            };
            let most = Span::from_ms(most_ms);
            let since = match grown {
                true => "stable is worse than before the canary's first request",
                false => "stable was not known to be beyond the limit before the canary's first request",
            };
            let reason = format!(
                "a shared incident lasts longer than {most} in this stage (rollback.sharedIncidentFor), and the canary may be its \
                 cause, for {since}: {what} {name}: {why}"
            );
            self.lose(arm, by, reason, None);
            if self.state.phase == Phase::RolledBack {
                self.state.incident = None;
                return;
            }
        }
    }

    /// Are both versions in trouble?
    pub(super) fn shares_trouble(&self) -> bool {
        self.incidents().iter().any(|(_, incident)| incident.both)
    }

    fn incidents(&self) -> Vec<(Arm, Incident)> {
        let (plan, age_ms) = (&self.state.plan, self.state.age_ms);
        let lead =
            self.state.evidence.incidents(plan, age_ms).into_iter().map(|incident| (plan.arm(), incident));
        let rivals = self.state.arms.rivals.iter().flat_map(|(arm, rival)| {
            rival.evidence.incidents(plan, age_ms).into_iter().map(|incident| (*arm, incident))
        });
        lead.chain(rivals).collect()
    }

    fn end_incident(&mut self) {
        let Some(incident) = self.state.incident.take() else { return };
        let ms = self.state.age_ms.saturating_sub(incident.since_age_ms) / 1_000 * 1_000;
        self.record(format!("The shared incident is over, after {}", Span::from_ms(ms)));
        self.forget(TOLD);
    }
}

/// All of it, each gate and guardrail by name, once.
fn said(found: &[(Arm, Incident)]) -> Option<String> {
    let mut clauses: Vec<String> = Vec::new();
    for (_, Incident { guardrail, name, why, .. }) in found {
        let what = if *guardrail { "guardrail" } else { "gate" };
        let clause = format!("{what} {name}: {why}");
        if !clauses.iter().any(|known| known.starts_with(&format!("{what} {name}: "))) {
            clauses.push(clause);
        }
    }
    (!clauses.is_empty()).then(|| clauses.join("; "))
}
