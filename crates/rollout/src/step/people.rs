//! What people may do.

use std::sync::Arc;

use manifest::{ExerciseKind, Weights};

use super::{Run, named};
use crate::{Cause, Event, HandBackProgress, Human, Pause, Phase};

impl Run {
    /// A person begins it: the proxies prove that they follow before any request goes to the canary.
    pub(super) fn start(&mut self, human: &Human) {
        if self.state.phase != (Phase::Pending { started_by: None }) {
            return;
        }
        self.state.phase = Phase::Pending { started_by: Some(human.who.clone()) };
        if let Some(returning) = self.state.plan.returning.clone() {
            self.go_back_to(human, &returning);
            return self.settle_calls();
        }
        let (stable, canary) = (&self.state.plan.stable, &self.state.plan.canary);
        self.record(format!(
            "Start {stable} to {canary} for {}: probe the proxies at weight 0",
            named(human)
        ));
        self.publish(Weights::default(), Cause::Probe);
        self.settle_calls();
    }

    pub(super) fn pause_by(&mut self, human: &Human) {
        if self.state.phase == Phase::Succeeded {
            return self.pause_watch(human);
        }
        let text = format!("stopped by {}", named(human));
        self.pause(Pause::Human { who: human.who.clone() }, text);
    }

    pub(super) fn resume_by(&mut self, human: &Human) {
        if self.call_again(human) {
            return;
        }
        match self.state.phase.clone() {
            Phase::Paused(Pause::Approval) => {}
            Phase::Paused(why) => {
                if let Pause::Gate { gate } | Pause::Marginal { gate } | Pause::Unread { gate } = &why {
                    self.forgive(gate);
                }
                self.state.endpoints.wanted_age_ms = None;
                self.measure_stage_again();
                if let Some(publication) = &mut self.state.publication {
                    publication.sent_age_ms = self.state.age_ms;
                }
                self.state.sight.unseen_ms = 0;
                if self.state.counts_age_ms.is_some() {
                    self.state.counts_age_ms = Some(self.state.age_ms);
                }
                self.record(format!("Go on at {} for {}", self.state.weight(), named(human)));
                self.go_on();
            }
            Phase::HandBack(_) => self.ask_again(human),
            Phase::Pending { .. } => self.warm_again(human),
            Phase::Succeeded => self.resume_watch(human),
            _ => {}
        }
    }

    /// All of the stage anew: what was proven before it stopped is not proven of what comes after.
    fn measure_stage_again(&mut self) {
        self.void_approval("the stage is measured again");
        self.state.evidence.begin_stage();
        self.begin_stage_of_rivals();
        self.state.coverage.begin_stage();
        let now_ms = self.now.unix_ms;
        if let Some(stage) = self.state.stages.last_mut() {
            (stage.baked_ms, stage.spent_ms, stage.complete_age_ms) = (0, 0, None);
            stage.gates.clear();
            // A look that began before tells of what was before.
            if let Some(from_ms) = &mut stage.counts_from_ms {
                *from_ms = now_ms;
            }
        }
    }

    /// A person chooses the weight. The stage becomes the last planned one at or below it, whose gates and times hold
    /// from there on, and the run stands still: the person who set the weight resumes it.
    pub(super) fn set_weight(&mut self, human: &Human, weight_ppm: u32) {
        let event = Event::SetWeight { human: human.clone(), weight_ppm };
        if self.state.stages.is_empty() || self.state.allows(&event).is_err() {
            return;
        }
        let stages = &self.state.plan.stages;
        let index = stages.iter().rposition(|stage| stage.weight_ppm <= weight_ppm).unwrap_or(0);
        if let Some(stage) = self.state.stages.last_mut() {
            stage.overridden_by = Some(human.who.clone());
        }
        if weight_ppm > self.state.least_ppm() {
            let mut past = self.state.held_back();
            past.push("a weight by hand, without a verdict".to_owned());
            self.override_by(human, past);
        }
        self.leave_stage();
        let weight = manifest::Percent::from_ppm(weight_ppm);
        self.record(format!("Set {} to {weight} by hand for {}", self.state.plan.canary, named(human)));
        self.enter(index, (weight_ppm, 0), Cause::Human { who: human.who.clone() });
        self.state.phase = Phase::Paused(Pause::Human { who: human.who.clone() });
    }

    /// When practice is due is nothing to a run under way, so this means the same in every phase.
    pub(super) fn practise(&mut self, human: &Human, practice: Option<&manifest::Practice>) {
        let practice = practice.cloned().map(Box::new);
        if self.state.plan.practice == practice {
            return;
        }
        let times = ExerciseKind::ALL.into_iter().filter_map(|what| {
            let timetable = practice.as_ref()?.timetable(what)?;
            Some(format!("{} {}", what.words(), timetable.words()))
        });
        let times: Vec<String> = times.collect();
        let times = if times.is_empty() { "nothing by itself".to_owned() } else { times.join("; ") };
        Arc::make_mut(&mut self.state.plan).practice = practice;
        self.record(format!("Practice between runs is now {times}, for {}", named(human)));
    }

    pub(super) fn promote(&mut self, human: &Human) {
        match self.state.phase.clone() {
            // Of several, which one is meant is for the person to say.
            Phase::Progressing | Phase::Paused(_) if self.state.must_choose() => {}
            // To where no endpoint is, nothing moves it.
            Phase::Progressing | Phase::Promoting | Phase::Paused(_)
                if self.state.reaches_somebody(self.state.next_seen()).is_err() => {}
            Phase::Progressing | Phase::Promoting | Phase::Paused(_) => {
                let past = self.state.held_back();
                // Past a freeze or a gate only a reason moves it.
                if human.reason.trim().is_empty() && !past.is_empty() {
                    return;
                }
                self.promote_past(human, past);
            }
            Phase::HandBack(HandBackProgress::Asked { .. }) => {
                let doubts = self.state.hand_back_doubts();
                if human.reason.trim().is_empty() && !doubts.is_empty() {
                    return;
                }
                self.override_by(human, doubts);
                self.confirm_hand_back(human);
            }
            Phase::HandBack(HandBackProgress::Lowering { .. })
            | Phase::Pending { .. }
            | Phase::Succeeded
            | Phase::RolledBack => {}
        }
    }

    /// To the next stage, past what holds it.
    pub(super) fn promote_past(&mut self, human: &Human, past: Vec<String>) {
        self.override_by(human, past);
        if let Phase::Paused(Pause::Gate { gate } | Pause::Marginal { gate }) = &self.state.phase {
            let gate = gate.clone();
            self.forgive(&gate);
        }
        if let Some(stage) = self.state.stages.last_mut() {
            stage.overridden_by = Some(human.who.clone());
        }
        self.permit(self.state.wants());
        self.advance(Cause::Human { who: human.who.clone() }, format!("promoted by {}", named(human)));
    }
}
