//! What happens next: the table of phases and events.
//!
//! | event \ phase      | Pending      | Progressing, Promoting | Paused            | HandBack            | over |
//! | ------------------ | ------------ | ---------------------- | ----------------- | ------------------- | ---- |
//! | Start              | probe        | -                      | -                 | -                   | -    |
//! | Tick               | ack timeout  | bake, deadline, ack timeout, no data, shares | goes on by itself? shares fall | next step, remind | ramp, keep, watch ends |
//! | Interval           | -            | guardrails, harm, proof | guardrails, harm | guardrails          | drift |
//! | Reading            | -            | readings, guardrails   | readings, guardrails | guardrails       | -    |
//! | Acks               | first stage  | bake begins            | quorum: goes on   | next step           | keep |
//! | Abort              | rolled back  | rolled back            | rolled back       | rolled back         | at once |
//! | Promote            | -            | next stage             | next stage        | counts as confirmed | -    |
//! | Drop               | -            | one goes, or rolled back | the same         | -                   | -    |
//! | Choose             | -            | the others go, next stage | the same        | -                   | -    |
//! | Approve            | -            | -                      | next stage, if that is awaited | -      | -    |
//! | Pause              | -            | paused                 | -                 | -                   | watch paused |
//! | Resume             | -            | -                      | goes on           | asks again          | watch goes on |
//! | SetWeight          | -            | paused at that weight  | paused at that weight | -               | -    |
//! | Practice           | noted        | noted                  | noted             | noted               | noted |
//! | Permit             | may begin    | may go on              | may go on         | -                   | -    |
//! | CascadeRollback           | rolled back  | rolled back            | rolled back       | rolled back         | -    |
//! | Endpoints          | first stage  | next stage, none left  | goes on           | -                   | -    |
//! | WarmedUp/WarmUpFailed | first stage / tell | -             | -                 | -                   | -    |
//! | StableReports      | -            | -                      | -                 | next step           | -    |
//! | HandBackDone/Failed | -           | -                      | -                 | next step / tell    | -    |
//! | Called/CallFailed  | first stage / again later, in every phase ||||
//! | KeptReports        | -            | -                      | -                 | -                   | note |
//! | NextRun            | -            | -                      | -                 | -                   | watch ends |
//! | Acted              | the key is kept, in every phase ||||
//!
//! A run that goes back to a version from before ([`manifest::Plan::returning`]) needs no probe: its Start is all traffic at
//! once. What is over keeps a version warm, and calls hooks (also those of runs before it, in every phase); no weight
//! rises from there in the same run.
//! "-" changes nothing but the clock; [`State::allows`] says so to people beforehand.

mod act;
mod approval;
mod arms;
mod bandit;
mod barrier;
mod ending;
mod hand_back;
mod harm;
mod incident;
mod past;
mod people;
mod ready;
mod sight;
mod stage;
mod standing;
mod watch;

use std::sync::Arc;

use manifest::Plan;

use crate::{Effect, Event, HandBackProgress, Human, Now, Pause, Phase, PhaseName, State};

/// Time longer than this between two steps was not watched. Of what was watched, bakes, windows and deadlines take what
/// counts tell of alone ([`crate::Coverage`]).
const LONGEST_STEP_MS: u64 = 60_000;

/// What happens next.
///
/// The only place where a run changes. Nothing is read and nothing is done here: the caller stores the new state
/// first and then carries out the effects, in order. An event that means nothing in the present phase changes
/// nothing but the clock.
#[must_use]
pub fn step(state: State, event: &Event, now: Now) -> (State, Vec<Effect>) {
    Run::new(state, now, false).step(event)
}

/// The same for a caller whose decisions cannot be written down now: what is counted counts, harm is found and traffic is
/// taken back, and nothing rises, ends or calls a hook. What would have, does at a later step.
#[must_use]
pub fn protect(state: State, event: &Event, now: Now) -> (State, Vec<Effect>) {
    Run::new(state, now, true).step(event)
}

/// A run in the middle of a step.
struct Run {
    state: State,
    now: Now,
    /// Only what takes traffic back is decided.
    protects: bool,
    effects: Vec<Effect>,
}

impl Run {
    const fn new(state: State, now: Now, protects: bool) -> Self {
        Self { state, now, protects, effects: Vec::new() }
    }

    fn step(mut self, event: &Event) -> (State, Vec<Effect>) {
        self.pass_time();
        self.take(event);
        (self.state, self.effects)
    }
}

impl Run {
    fn take(&mut self, event: &Event) {
        match event {
            Event::Start(human) => self.start(human),
            Event::Tick => self.settle(),
            Event::Interval(interval) => {
                self.see(interval);
                self.count(interval);
                self.settle();
            }
            Event::Reading(reading) => {
                self.take_reading(reading);
                self.settle();
            }
            Event::Acks(acks) => {
                self.acknowledge(acks);
                self.settle();
            }
            Event::Abort(human) => self.abort(human),
            Event::Promote(human) => self.promote(human),
            Event::Drop { arm, human } => {
                self.drop_by(*arm, human);
                self.settle();
            }
            Event::Choose { arm, human } => self.choose_by(*arm, human),
            Event::Approve(human) => self.approve(human),
            Event::Pause(human) => self.pause_by(human),
            Event::Resume(human) => self.resume_by(human),
            Event::SetWeight { human, weight_ppm } => self.set_weight(human, *weight_ppm),
            Event::Practice { human, practice } => self.practise(human, practice.as_deref()),
            Event::Permit { stage } => {
                self.permit(*stage);
                self.settle();
            }
            Event::CascadeRollback { member, reason, gentle } => self.take_back(member, reason, *gentle),
            Event::Endpoints(endpoints) => {
                self.count_endpoints(endpoints);
                self.settle();
            }
            Event::WarmedUp => {
                self.warmed();
                self.settle();
            }
            Event::WarmUpFailed { reason } => self.warm_up_failed(reason),
            Event::StableReports(endpoints) => {
                self.stable_reports(endpoints);
                self.settle();
            }
            Event::HandBackDone => {
                self.hand_back_done();
                self.settle();
            }
            Event::HandBackFailed { reason } => self.hand_back_failed(reason),
            Event::Called { run, duty } => {
                self.called(*run, *duty);
                self.settle();
            }
            Event::CallFailed { run, duty, reason } => {
                self.call_failed(*run, *duty, reason);
                self.settle();
            }
            Event::KeptReports(endpoints) => self.kept_reports(endpoints),
            Event::NextRun { run } => self.end_watch(&format!("as run {run} begins")),
            Event::Acted(acted) => self.keep_key(acted),
        }
    }

    /// Does whatever is due by now.
    fn settle(&mut self) {
        self.settle_phase();
        self.settle_ending();
    }

    fn settle_phase(&mut self) {
        match &self.state.phase {
            Phase::Pending { started_by: Some(_) } => self.settle_pending(),
            Phase::Pending { started_by: None } => {}
            Phase::Succeeded => self.settle_watch(),
            Phase::Progressing | Phase::Promoting => {
                self.settle_stage();
                self.allocate();
            }
            Phase::Paused(why) => {
                let why = why.clone();
                self.settle_paused(&why);
                self.allocate();
            }
            Phase::HandBack(_) => self.settle_hand_back(),
            Phase::RolledBack => self.settle_ramp(),
        }
    }
}

impl State {
    /// A run that has not begun. `run` numbers the runs of this name from 1; `epoch` is the last epoch any earlier
    /// run of this name published, 0 for the first.
    #[must_use]
    pub fn new(plan: impl Into<Arc<Plan>>, run: u64, epoch: u64, now: Now) -> Self {
        let plan: Arc<Plan> = plan.into();
        // A return to an earlier version waits for nothing.
        let waits = plan.member.is_some() && plan.returning.is_none();
        Self {
            run,
            stable_version: plan.stable.clone(),
            evidence: crate::Evidence::new(&plan),
            arms: crate::Arms::new(&plan),
            bandit: crate::Bandit::new(&plan).map(Box::new),
            plan,
            phase: Phase::Pending { started_by: None },
            stage: 0,
            applied: now,
            last: now,
            age_ms: 0,
            epoch,
            first_epoch: epoch.saturating_add(1),
            weights: manifest::Weights::default(),
            publication: None,
            stages: Vec::new(),
            overrides: Vec::new(),
            exposed: crate::Exposed::default(),
            exposed_age_ms: None,
            raised_age_ms: None,
            unproven: None,
            counts_age_ms: None,
            coverage: crate::Coverage::default(),
            revision: 0,
            acted: Vec::new(),
            sight: Box::default(),
            alone: None,
            incident: None,
            stable_ready: false,
            endpoints: crate::KnownEndpoints::default(),
            warming: None,
            told: Vec::new(),
            permitted: waits.then_some(0),
            succeeded_age_ms: None,
            rollback: None,
            ending: Box::default(),
            rejected: Vec::new(),
            baseline: None,
            watching: None,
            history: Vec::new(),
        }
    }

    /// Is it over? A ramped rollback is over when its weight is 0.
    #[must_use]
    pub fn is_over(&self) -> bool {
        match self.phase {
            Phase::Succeeded => true,
            Phase::RolledBack => self.ramp().is_none(),
            _ => false,
        }
    }

    /// The step of a ramped rollback that is published.
    pub(crate) fn ramp(&self) -> Option<usize> {
        self.rollback.as_ref().and_then(|rollback| rollback.ramp)
    }

    /// Does it want [`Event::StableReports`]?
    #[must_use]
    pub const fn watches_stable(&self) -> bool {
        matches!(self.phase, Phase::HandBack(_))
    }

    /// Would this event of a person mean anything now?
    ///
    /// # Errors
    /// Why not, and what would, in one sentence.
    pub fn allows(&self, event: &Event) -> Result<(), String> {
        let phase = self.phase.name();
        match (event, &self.phase) {
            (Event::Resume(_), _) if self.has_failed_calls() => Ok(()),
            (Event::Pause(_) | Event::Resume(_), Phase::Succeeded) if self.watched().is_some() => {
                let paused = self.watched().is_some_and(|watching| watching.paused_by.is_some());
                match (event, paused) {
                    (Event::Pause(_), true) => Err("the watch is paused".to_owned()),
                    (Event::Resume(_), false) => Err("the watch is not paused".to_owned()),
                    _ => Ok(()),
                }
            }
            (
                Event::Start(_)
                | Event::Promote(_)
                | Event::Approve(_)
                | Event::Pause(_)
                | Event::Resume(_)
                | Event::SetWeight { .. }
                | Event::Drop { .. }
                | Event::Choose { .. },
                Phase::Succeeded | Phase::RolledBack,
            ) => Err(format!("the run is over ({phase}); apply the rollout again to begin another")),
            (Event::Abort(_), Phase::Succeeded) => Err(format!(
                "the run is over: stable serves {}; ask for a rollback to go back to {}",
                self.stable_version, self.plan.stable
            )),
            (Event::Start(_), Phase::Pending { started_by: None }) => Ok(()),
            (Event::Start(_), _) => Err(format!("it has begun ({phase})")),
            (Event::Promote(_), Phase::Pending { .. }) => {
                Err("nobody has proven to follow yet: it begins when a quorum of proxies has taken weight 0"
                    .to_owned())
            }
            (Event::Promote(_), Phase::Progressing | Phase::Paused(_)) if self.must_choose() => {
                Err(format!("there is {}; name the arm that goes on", self.names_in()))
            }
            (Event::Promote(human), Phase::Progressing | Phase::Promoting | Phase::Paused(_)) => {
                self.reaches_somebody(self.next_seen())?;
                in_spite_of(&self.held_back(), human)
            }
            (Event::Promote(human), Phase::HandBack(HandBackProgress::Asked { .. })) => {
                in_spite_of(&self.hand_back_doubts(), human)
            }
            (Event::Promote(_), Phase::HandBack(HandBackProgress::Lowering { .. })) => {
                Err("stable gets the traffic back already; it is over when the canary's weight is 0"
                    .to_owned())
            }
            (Event::Approve(human), Phase::Paused(Pause::Approval)) => {
                in_spite_of(&self.lacks_for_yes(), human)
            }
            (Event::Approve(_), _) => {
                Err(format!("no approval is awaited ({phase}); to move past the present stage, promote"))
            }
            (Event::Pause(_), Phase::Progressing | Phase::Promoting) => Ok(()),
            (Event::Pause(_), _) => Err(format!("there is nothing to pause ({phase})")),
            (Event::Resume(_), Phase::Paused(Pause::Approval)) => {
                Err("a person's yes is awaited: approve, or abort".to_owned())
            }
            (Event::Resume(_), Phase::Paused(_) | Phase::HandBack(HandBackProgress::Asked { .. })) => Ok(()),
            (Event::Resume(_), Phase::Pending { .. })
                if matches!(self.warming, Some(crate::WarmingUp::Failed { .. })) =>
            {
                Ok(())
            }
            (Event::Resume(_), _) => Err(format!("it is not paused ({phase})")),
            (Event::Drop { .. } | Event::Choose { .. }, Phase::Pending { .. } | Phase::HandBack(_)) => {
                Err(format!("nothing is compared ({phase})"))
            }
            (Event::Drop { arm, .. } | Event::Choose { arm, .. }, _)
                if self.plan.arms_in().all(|known| known != *arm) =>
            {
                Err(format!("{arm} is not on trial; there is {}", self.names_in()))
            }
            (Event::Choose { arm, human }, _) if human.reason.trim().is_empty() => {
                in_spite_of(&self.held_back_from(*arm), human)
            }
            (Event::SetWeight { .. }, Phase::Pending { .. } | Phase::HandBack(_)) => {
                Err(format!("there is no weight to set ({phase})"))
            }
            (Event::SetWeight { weight_ppm, .. }, _) if *weight_ppm >= split::MILLION => {
                Err("all traffic is a stage's to give; promote goes there".to_owned())
            }
            (Event::SetWeight { weight_ppm, .. }, _)
                if self.room_ppm().is_some_and(|room| *weight_ppm > room) =>
            {
                let room = manifest::Percent::from_ppm(self.room_ppm().unwrap_or(0));
                Err(format!("there is {}, and room for {room} each; choose one first", self.names_in()))
            }
            (Event::SetWeight { human, weight_ppm }, _)
                if *weight_ppm > self.least_ppm() && human.reason.is_empty() =>
            {
                Err("a weight that rises without a verdict wants a reason".to_owned())
            }
            (Event::SetWeight { weight_ppm, .. }, _) if *weight_ppm > self.weights.canary_ppm => {
                self.reaches_somebody(*weight_ppm)
            }
            _ => Ok(()),
        }
    }
}

impl Phase {
    /// Its name: for people, in metrics and in the API.
    #[must_use]
    pub const fn name(&self) -> PhaseName {
        match self {
            Self::Pending { .. } => PhaseName::Pending,
            Self::Progressing => PhaseName::Progressing,
            Self::Paused(_) => PhaseName::Paused,
            Self::Promoting => PhaseName::Promoting,
            Self::HandBack(_) => PhaseName::HandBack,
            Self::Succeeded => PhaseName::Succeeded,
            Self::RolledBack => PhaseName::RolledBack,
        }
    }
}

/// What is gone past needs a reason.
fn in_spite_of(past: &[String], human: &Human) -> Result<(), String> {
    if past.is_empty() || !human.reason.trim().is_empty() {
        return Ok(());
    }
    Err(format!("{}; give a reason to go on all the same: it is written down and counted", past.join("; ")))
}

/// "anna", or "anna (too many complaints)".
fn named(human: &Human) -> String {
    if human.reason.is_empty() { human.who.clone() } else { format!("{} ({})", human.who, human.reason) }
}
