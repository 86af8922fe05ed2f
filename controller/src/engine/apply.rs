//! What people ask for: a new run, or something of a running one.

use rollout::{Event, Exercise, ExerciseView, Human, Reception, State, View, receive, step};
use serde::Serialize;
use spec::{Plan, Problem};
use split::Splitter;
use split::policy::{Policy, SCHEMA};

use super::act::Decision;
use super::{Act, Engine, Run};
use crate::clock;
use crate::store::Stored;

/// What became of a specification.
#[derive(Clone, Debug, Serialize)]
pub struct Applied {
    pub name: String,
    pub run: u64,
    /// Nothing changed: this very run is under way or done.
    pub unchanged: bool,
    /// It begins by itself when this run is over.
    pub queued: bool,
    pub warnings: Vec<String>,
}

/// Why something was not done.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// The request is wrong.
    Invalid(String),
    /// There is no such rollout.
    Unknown(String),
    /// Not now.
    Conflict(String),
    /// Not from you.
    Denied(String),
    /// Our fault.
    Failed(String),
}

impl Refusal {
    /// One English sentence.
    pub fn text(&self) -> &str {
        match self {
            Self::Invalid(text)
            | Self::Unknown(text)
            | Self::Conflict(text)
            | Self::Denied(text)
            | Self::Failed(text) => text,
        }
    }

    pub(super) fn unwritten(error: &anyhow::Error) -> Self {
        Self::Failed(format!("nothing was changed, because it cannot be written down: {error:#}"))
    }
}

impl Engine {
    pub(super) async fn apply(&mut self, text: &str, who: String, again: bool) -> Result<Applied, Refusal> {
        let loaded = spec::load(text).map_err(|problems| Refusal::Invalid(problems.to_string()))?;
        let mut warnings: Vec<String> = loaded.warnings.iter().map(Problem::to_string).collect();
        let plan = loaded.plan;
        let name = plan.name.clone();
        compiles(&plan)?;
        self.sources.allow(&plan).map_err(Refusal::Invalid)?;
        let present = self.runs.get(&name).map(|run| &run.state);
        let run = present.map_or(1, |present| present.run);
        match receive(present, &plan, again) {
            Reception::Begin { run, epoch } => {
                self.begin(plan, text, who, run, epoch).await?;
                Ok(Applied { name, run, unchanged: false, queued: false, warnings })
            }
            Reception::Unchanged => {
                // Whoever applies what is there wants nothing else to come.
                warnings.extend(self.withdraw(&name)?);
                Ok(Applied { name, run, unchanged: true, queued: false, warnings })
            }
            Reception::Refused(why) => Err(Refusal::Conflict(with_command(present, &plan, why))),
            Reception::Replace | Reception::Queue => {
                if let Some(why) = present.and_then(|present| never_fits(present, &plan)) {
                    return Err(Refusal::Conflict(why));
                }
                warnings.extend(self.wait(plan, text, who)?);
                self.serve(&name).await;
                let now = self.runs.get(&name).map_or(run, |present| present.state.run);
                Ok(Applied { name, run: now, unchanged: false, queued: now == run, warnings })
            }
        }
    }

    /// A run begins. It is on the disk, and the one before it kept, before anybody hears of it.
    pub(super) async fn begin(
        &mut self,
        plan: Plan,
        text: &str,
        who: String,
        run: u64,
        epoch: u64,
    ) -> Result<(), Refusal> {
        let name = plan.name.clone();
        self.end_exercise(&name, format!("run {run} begins")).await;
        let epoch = epoch.max(self.epoch(&name));
        let state = State::new(plan, run, epoch, clock::now());
        let start = Event::Start(Human { who, reason: String::new() });
        let decision = Decision::make(&state, self.generation, &start, self.mesh());
        let before = self.runs.get(&name).map(Run::writing);
        self.store
            .begin(decision.writing(text), before, decision.mesh())
            .map_err(|error| Refusal::unwritten(&error))?;
        self.waiting.remove(&name);
        let stored = Stored { spec: text.to_owned(), state, generation: self.generation };
        self.runs.insert(name.clone(), Run::new(stored));
        self.adopt(&name, decision).await;
        Ok(())
    }

    /// An earlier run, as it ended.
    pub(super) fn past(&self, name: &str, run: u64) -> Result<Box<View>, Refusal> {
        match self.store.past_run(name, run) {
            Ok(Some(state)) => Ok(Box::new(state.view())),
            Ok(None) => Err(Refusal::Unknown(format!("{name} has no earlier run {run}"))),
            Err(error) => Err(Refusal::Failed(format!("the store cannot be read: {error:#}"))),
        }
    }

    /// What was exercised, the newest first.
    pub(super) fn past_exercises(&self, name: &str, kind: &str) -> Result<Vec<ExerciseView>, Refusal> {
        let read = self.store.past_exercises(name, kind);
        let mut all =
            read.map_err(|error| Refusal::Failed(format!("the store cannot be read: {error:#}")))?;
        // What is under way is known better here than in the store.
        if let Some(live) = self.exercises.get(name).and_then(|slot| slot.last(kind))
            && let Some(first) = all.first_mut().filter(|first| first.number() == live.number())
        {
            *first = live.clone();
        }
        Ok(all.iter().map(Exercise::view).collect())
    }

    /// The run of a name that somebody typed.
    pub(super) fn named(&mut self, name: &str) -> Result<&mut Run, Refusal> {
        let names: Vec<&str> = self.runs.keys().map(String::as_str).collect();
        let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        self.runs
            .get_mut(name)
            .ok_or_else(|| Refusal::Unknown(format!("there is no rollout {name:?}; there are: {there}")))
    }

    pub(super) async fn act(&mut self, name: &str, act: Act, human: Human) -> Result<(), Refusal> {
        let event = match act {
            Act::Abort => Event::Abort(human.clone()),
            Act::Promote => Event::Promote(human.clone()),
            Act::Approve => Event::Approve(human.clone()),
            Act::Pause => Event::Pause(human.clone()),
            Act::Resume => Event::Resume(human.clone()),
            Act::SetWeight(weight_ppm) => Event::SetWeight { human: human.clone(), weight_ppm },
        };
        if act == Act::Abort && self.exercises.get(name).is_some_and(|slot| slot.live().is_some()) {
            let Human { who, reason } = human;
            let why = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
            self.end_exercise(name, format!("aborted by {who}{why}")).await;
            return Ok(());
        }
        let run = self.named(name)?;
        run.state.allows(&event).map_err(|why| Refusal::Conflict(format!("{name}: {why}")))?;
        if run.state.is_over() {
            return Err(Refusal::Conflict(format!("{name} is over: {}", run.state.message())));
        }
        let before = shape(&run.state);
        self.try_advance(name, &event).await.map_err(|error| Refusal::unwritten(&error))?;
        let Some(run) = self.runs.get(name) else { return Ok(()) };
        if before == shape(&run.state) {
            return Err(Refusal::Conflict(format!(
                "that changes nothing while {name} is {}",
                run.state.phase.name()
            )));
        }
        Ok(())
    }
}

/// What a person's act would change.
fn shape(state: &State) -> (rollout::Phase, usize, Vec<rollout::StageRecord>, usize) {
    (state.phase.clone(), state.stage, state.stages.clone(), state.history.len())
}

/// Why a plan that would wait could never begin; better said now than in an hour.
fn never_fits(present: &State, plan: &Plan) -> Option<String> {
    if let Reception::Replace = receive(Some(present), plan, false) {
        let abort = Event::Abort(Human { who: String::new(), reason: String::new() });
        let (aborted, _) = step(present.clone(), &abort, clock::now());
        return match receive(Some(&aborted), plan, false) {
            Reception::Refused(why) => Some(why),
            _ => None,
        };
    }
    let may_be_left = [&present.stable_version, &present.plan.canary];
    (!may_be_left.contains(&&plan.stable)).then(|| {
        format!(
            "spec.stable.version is {:?}, but run {} will leave {:?} or {:?} behind the stable route; write one of them",
            plan.stable, present.run, present.stable_version, present.plan.canary
        )
    })
}

/// The machine knows what would help, the command knows how that is typed.
fn with_command(present: Option<&State>, plan: &Plan, why: String) -> String {
    match present {
        Some(present) if !present.is_over() => format!("{why} (serin abort {})", plan.name),
        Some(present) if present.plan == *plan => format!("{why} (serin apply --again)"),
        _ => why,
    }
}

/// Reads the plan's policies as a filter would, at every weight it will have: a refusal belongs to the person who
/// applies, not to a proxy at three in the morning.
pub(super) fn compiles(plan: &Plan) -> Result<(), Refusal> {
    for stage in &plan.stages {
        let rollout = plan.policy(1, plan.weights(stage.weight_ppm, true), &plan.stable);
        let policy =
            Policy { schema: SCHEMA, incarnation: 1, generation: 1, lease: None, rollouts: vec![rollout] };
        Splitter::compile(&policy).map_err(|error| Refusal::Invalid(error.to_string()))?;
    }
    Ok(())
}
