//! The way up: from the probe to 100 %.

use manifest::{Insufficient, OnTimeout};

use super::Run;
use crate::{Cause, Interval, Pause, Phase, Reading, RollbackBy, Severity, StageRecord};
use evidence::{Look, OnMargin};

impl Run {
    pub(super) fn settle_pending(&mut self) {
        if self.acknowledged() {
            if self.protects {
                return;
            }
            // The window last: what warms is warm when it opens.
            let first = self.state.plan.stages.first().map_or(0, manifest::Stage::seen_ppm);
            if self.waits_for_calls()
                || self.waits_for_endpoints(first)
                || self.waits_for_warmth()
                || self.waits_for_fleet(0)
                || self.waits_for_window()
                || self.waits_for_sight()
                || self.waits_for_stable()
                || self.waits_after_step_back()
            {
                return;
            }
            let Phase::Pending { started_by: Some(who) } = &self.state.phase else { return };
            let cause = Cause::Start { who: who.clone() };
            self.enter_stage(0, cause);
        } else if self.overdue_quorum() {
            let text = format!("{}: nobody is exposed yet: {}", self.state.plan.name, self.followers());
            if self.state.plan.acknowledge.on_timeout == OnTimeout::Rollback {
                self.roll_back(RollbackBy::Quorum, text);
            } else {
                self.notify(Severity::Warning, "quorum", text);
            }
        }
    }

    /// Adds an interval to the evidence, and acts on harm.
    pub(super) fn count(&mut self, interval: &Interval) {
        if self.state.phase == Phase::Succeeded {
            return self.watch(interval);
        }
        let state = &mut self.state;
        let ramping = state.ramp().is_some();
        let live = match state.phase {
            Phase::Progressing | Phase::Promoting | Phase::Paused(_) | Phase::HandBack(_) => true,
            Phase::RolledBack => ramping,
            // Requests of a stage it came back from may be under way.
            Phase::Pending { .. } => !state.stages.is_empty(),
            Phase::Succeeded => false,
        };
        if matches!(state.phase, Phase::Pending { .. }) && !live && interval.gap.is_none() {
            return self.count_before(interval);
        }
        if !live
            || interval.gap.is_some()
            || interval.epoch < state.first_epoch
            || interval.epoch > state.epoch
        {
            return;
        }
        state.counts_age_ms = Some(state.age_ms);
        state.sight.unseen_ms = 0;
        let span_ms = interval.to_ms.saturating_sub(interval.from_ms);
        self.cover(span_ms);
        let state = &mut self.state;
        state.unproven = interval.unproven.as_deref().map(Box::from);
        // A shadow exposes no user.
        if !state.shadows() {
            let others = interval.others.iter().map(|stratum| &stratum.canary);
            for canary in std::iter::once(&interval.canary).chain(others) {
                state.exposed.requests = state.exposed.requests.saturating_add(canary.assigned);
                state.exposed.errors = state.exposed.errors.saturating_add(canary.errors);
            }
        }
        let stage = state.stages.last();
        // Counts that begin before the quorum are of a mesh that splits in two ways.
        let whole =
            stage.and_then(|stage| stage.counts_from_ms).is_some_and(|from_ms| interval.from_ms >= from_ms);
        let raised = state.raised_age_ms.or(state.exposed_age_ms);
        let warm = raised.is_some_and(|since| state.age_ms - since >= state.plan.warm_up_ms);
        let look = Look {
            age_ms: state.coverage.covered(state.age_ms),
            baked_ms: stage.map_or(0, |stage| stage.baked_ms),
            span_ms,
            of_stage: whole
                && interval.unproven.is_none()
                && interval.epoch == state.epoch
                && !matches!(state.phase, Phase::HandBack(_) | Phase::RolledBack | Phase::Pending { .. }),
            concurrent: state.concurrent(),
            warming: state.plan.warm_up_ms > 0 && !warm,
            copies: state.shadows(),
        };
        state.evidence.observe(&state.plan, interval, look);
        self.count_rivals(interval, look);
        self.learn(interval, look);
        self.show(interval, whole, look.warming);
        self.forget("no-data");
        if ramping {
            return self.cut_ramp_on_harm();
        }
        if !self.guarded() {
            return;
        }
        if let Some(reason) = self.state.overspent() {
            return self.roll_back(RollbackBy::Budget, reason);
        }
        self.bear_incident(span_ms);
        if self.state.phase == Phase::RolledBack {
            return;
        }
        self.judge_and_act();
        self.hold_alone(interval, look);
    }

    /// A figure of the user's own.
    pub(super) fn take_reading(&mut self, reading: &Reading) {
        let state = &mut self.state;
        if !state.wanted().iter().any(|wanted| wanted.name == reading.gate) {
            return;
        }
        let concurrent = state.concurrent();
        match reading.arm.filter(|arm| *arm != state.plan.arm()) {
            None => {
                state.evidence.take_reading(&state.plan, reading, state.age_ms, concurrent);
            }
            Some(arm) => {
                if let Some(rival) = state.arms.rivals.get_mut(&arm) {
                    rival.evidence.take_reading(&state.plan, reading, state.age_ms, concurrent);
                }
            }
        }
        if !self.guarded() {
            return;
        }
        self.judge_and_act();
    }

    pub(super) fn act_on_margin(&mut self) {
        let state = &mut self.state;
        let Some(stage) = state.stages.last_mut() else { return };
        let found = state.evidence.on_margin(&state.plan, &stage.gates, stage.baked_ms);
        stage.reanalyzed |= found.iter().any(|(_, what)| matches!(what, OnMargin::Again(_)));
        for (gate, what) in found {
            self.bear(gate, what, "");
        }
    }

    /// Does what a gate between good and bad leads to; `whose` it is, where there are several.
    pub(super) fn bear(&mut self, gate: String, what: OnMargin, whose: &str) {
        match what {
            OnMargin::Again(why) => self.record(format!("Measure {whose}gate {gate} again, {why}")),
            OnMargin::Ask(why) => {
                let reason = format!("{whose}gate {gate}: {why}");
                self.pause(Pause::Marginal { gate }, reason);
            }
        }
    }

    /// Writes down what the gates say now.
    pub(super) fn judge(&mut self) {
        let verdicts = self.state.verdicts();
        if matches!(self.state.phase, Phase::HandBack(_)) {
            return;
        }
        self.note_worse(&verdicts);
        if let Some(stage) = self.state.stages.last_mut() {
            stage.gates = verdicts;
        }
        self.tell_faults();
    }

    /// People hear of what cannot be evaluated: it proves nothing, and guards nothing.
    fn tell_faults(&mut self) {
        let faults = self.state.faults();
        if faults.is_empty() {
            return self.forget("fault");
        }
        let text =
            format!("{}: holds at {}: {}", self.state.plan.name, self.state.weight(), faults.join("; "));
        self.notify(Severity::Warning, "fault", text);
    }

    pub(super) fn settle_stage(&mut self) {
        if self.blind() || self.missing_readings() {
            return;
        }
        if !self.acknowledged() {
            if self.overdue_quorum() {
                self.too_few_follow();
            }
            return;
        }
        if self.state.stages.last().is_some_and(|stage| stage.gates.is_empty()) {
            self.judge();
        }
        if self.state.is_complete() {
            let next = self.state.wants();
            let age_ms = self.state.age_ms;
            if let Some(stage) = self.state.stages.last_mut() {
                stage.complete_age_ms.get_or_insert(age_ms);
            }
            if self.protects || self.waits_for_fleet(next) {
                return;
            }
            if self.state.must_choose() {
                return self.settle_choice();
            }
            let Some((planned, _)) = self.state.in_stage() else { return };
            if planned.approval && !self.is_approved() {
                let text = format!("stage {} is complete and awaits a person's yes", self.state.stage + 1);
                self.pause(Pause::Approval, text);
            } else if !self.waits_for_endpoints(self.state.next_seen()) && !self.waits_for_window() {
                let (cause, why) = match self.state.stages.last().and_then(|stage| stage.approved_by.clone())
                {
                    Some(who) => (Cause::Human { who: who.clone() }, format!("approved by {who}")),
                    None if self.state.plan.returning.is_some() => {
                        (Cause::Verdict { stage: self.state.stage }, "it bears all traffic".to_owned())
                    }
                    None => (Cause::Verdict { stage: self.state.stage }, "every gate passed".to_owned()),
                };
                self.advance(cause, why);
            }
            return;
        }
        if !self.state.is_proven() {
            self.void_approval("the stage is not proven any more");
        }
        if let Some((planned, stage)) = self.state.in_stage()
            && stage.spent_ms >= planned.deadline_ms
            // The deadline was for evidence, and that of a member that waits for the others had come.
            && !(self.state.permitted.is_some() && stage.complete_age_ms.is_some())
        {
            let open = stage.gates.iter().filter(|verdict| verdict.holds());
            let open = open.map(|verdict| format!("{}: {}", verdict.name, verdict.why));
            let unguarded = self.state.unguarded().map(|what| format!("it waits for {what}"));
            let open: Vec<_> = open.chain(self.state.rivals_open()).chain(unguarded).collect();
            let open = if open.is_empty() { "counts are missing".to_owned() } else { open.join("; ") };
            let text = format!(
                "stage {} reached its deadline without enough evidence: {open}",
                self.state.stage + 1
            );
            let action = match planned.on_insufficient {
                // Nobody is to be left in trouble that asks for no more than a look.
                Insufficient::Pause if self.shares_trouble() => Insufficient::Rollback,
                action => action,
            };
            self.undecided(action, Pause::Deadline, RollbackBy::Deadline, text);
        }
    }

    /// Is this a time at which nothing rises? People hear of it once per stage.
    fn waits_for_window(&mut self) -> bool {
        let Err(manifest::Closed { why, .. }) = self.state.window() else { return false };
        let name = &self.state.plan.name;
        let text = format!(
            "{name}: holds at {}: {why}; promote with a reason to go on all the same",
            self.state.weight()
        );
        let key = format!("window/{}", self.state.stages.len());
        self.notify(Severity::Info, &key, text);
        true
    }

    /// Acts on a source that gives nothing; has the phase changed?
    fn missing_readings(&mut self) -> bool {
        let Some((gate, action, why)) = self.state.unread() else {
            self.forget("unread");
            return false;
        };
        self.undecided(action, Pause::Unread { gate }, RollbackBy::NoData, why);
        !matches!(self.state.phase, Phase::Progressing | Phase::Promoting)
    }

    pub(super) fn undecided(&mut self, action: Insufficient, pause: Pause, by: RollbackBy, text: String) {
        match action {
            Insufficient::Hold => {
                let key = match pause {
                    Pause::NoData => "no-data".to_owned(),
                    Pause::Quorum => "quorum".to_owned(),
                    Pause::Unread { .. } => "unread".to_owned(),
                    Pause::Endpoints => "endpoints".to_owned(),
                    _ => format!("deadline/{}", self.state.stage),
                };
                let text = format!("{}: holds at {}: {text}", self.state.plan.name, self.state.weight());
                self.notify(Severity::Warning, &key, text);
            }
            Insufficient::Pause => self.pause(pause, text),
            Insufficient::Rollback => self.roll_back(by, text),
        }
    }

    /// Stops with the weight as it is.
    pub(super) fn pause(&mut self, why: Pause, text: String) {
        // A failed gate goes before whatever else is waited for: a yes that is awaited must not cover it.
        let stops = match &self.state.phase {
            Phase::Progressing | Phase::Promoting => true,
            Phase::Paused(Pause::Gate { .. }) => false,
            Phase::Paused(_) => matches!(why, Pause::Gate { .. }),
            _ => false,
        };
        if !stops {
            return;
        }
        self.record(format!("Pause at {}: {text}", self.state.weight()));
        self.void_approval("the run was stopped");
        // Every pause is a matter of its own, and those before it are settled.
        self.state.told.retain(|told| !told.starts_with("paused/"));
        let key = format!("paused/{}/{}", self.state.stage, self.state.age_ms);
        let text = format!("{}: paused at {}: {text}", self.state.plan.name, self.state.weight());
        self.state.phase = Phase::Paused(why);
        self.notify(Severity::Warning, &key, text);
    }

    pub(super) fn settle_paused(&mut self, why: &Pause) {
        if self.blind() {
            return;
        }
        let over = match why {
            Pause::Quorum => self.acknowledged().then_some("a quorum follows"),
            Pause::NoData => {
                let seen = self.state.sight.unseen_ms < self.state.plan.no_data.after_ms;
                seen.then_some("counts arrive again")
            }
            Pause::Unread { .. } => self.state.unread().is_none().then_some("its sources can be read again"),
            Pause::Choice => self.choice_is_over().then_some("one is left"),
            Pause::Endpoints => {
                let (now, next) = (self.state.weights.canary_ppm, self.state.next_seen());
                let enough = self.state.endpoints_for(now.max(next)).is_ok();
                enough.then_some("the canary has the endpoints")
            }
            _ => None,
        };
        if let Some(over) = over {
            self.record(format!("Go on at {}: {over}", self.state.weight()));
            self.go_on();
        }
    }

    /// Back to where it was stopped.
    pub(super) fn go_on(&mut self) {
        self.state.phase = self.state.climbing();
    }

    /// To the next stage, or past the last one.
    pub(super) fn advance(&mut self, cause: Cause, why: String) {
        self.judge();
        let age_ms = self.state.age_ms;
        if let Some(stage) = self.state.stages.last_mut() {
            stage.complete_age_ms.get_or_insert(age_ms);
        }
        if let Some(next) = self.state.next_stage() {
            self.record(format!("Stage {} is complete: {why}", self.state.stage + 1));
            self.leave_stage();
            self.enter_stage(next, cause);
        } else {
            self.leave_stage();
            self.begin_hand_back(&why);
        }
    }

    pub(super) fn leave_stage(&mut self) {
        let now = self.now;
        if let Some(stage) = self.state.stages.last_mut().filter(|stage| stage.left.is_none()) {
            stage.left = Some(now);
        }
    }

    pub(super) fn enter_stage(&mut self, index: usize, cause: Cause) {
        let Some(height) = self.state.plan.stages.get(index).map(manifest::Stage::height) else {
            return;
        };
        self.enter(index, height, cause);
        let count = self.state.plan.stages.len();
        let canary = &self.state.plan.canary;
        self.record(format!("Advance {canary} to {} (stage {} of {count})", self.state.weight(), index + 1));
    }

    /// At a weight or a shadow, under the gates and times of a planned stage.
    pub(super) fn enter(&mut self, index: usize, (weight_ppm, shadow_ppm): (u32, u32), cause: Cause) {
        let weights = manifest::Weights { shadow_ppm, ..self.state.plan.weights(weight_ppm, true) };
        self.enter_with(index, (weight_ppm, shadow_ppm), weights, cause);
    }

    /// The same with weights of its own.
    pub(super) fn enter_with(
        &mut self,
        index: usize,
        (weight_ppm, shadow_ppm): (u32, u32),
        weights: manifest::Weights,
        cause: Cause,
    ) {
        self.permit(index);
        self.state.stage = index;
        self.state.phase = self.state.climbing();
        // Another weight in the middle of an incident begins no bound anew.
        let before = self.state.stages.last().filter(|_| self.state.incident.is_some());
        let shared_ms = before.map_or(0, |stage| stage.shared_ms);
        self.state.stages.push(StageRecord {
            stage: index,
            weight_ppm,
            shadow_ppm,
            entered: self.now,
            acknowledged: None,
            counts_from_ms: None,
            left: None,
            baked_ms: 0,
            spent_ms: 0,
            gates: Vec::new(),
            overridden_by: None,
            approved_by: None,
            approval: None,
            reanalyzed: false,
            complete_age_ms: None,
            shared_ms,
            shown: crate::Counts::default(),
        });
        let state = &mut self.state;
        let alone = weights.canary_ppm >= split::MILLION && state.plan.returning.is_none();
        state.alone = alone
            .then(|| crate::FixedLimits::new(&state.plan, &state.evidence, state.age_ms).map(Box::new))
            .flatten();
        state.evidence.begin_stage();
        self.begin_stage_of_rivals();
        self.publish(weights, cause);
    }
}
