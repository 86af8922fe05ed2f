//! What people ask for: a new run, or something of a running one.

use rollout::{Event, Human, Phase, State, View};
use serde::Serialize;
use spec::Problem;
use split::Splitter;
use split::policy::{Policy, SCHEMA};

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
    /// Our fault.
    Failed(String),
}

impl Engine {
    pub(super) async fn apply(&mut self, text: &str, who: String, again: bool) -> Result<Applied, Refusal> {
        let loaded = spec::load(text).map_err(|problems| Refusal::Invalid(problems.to_string()))?;
        let warnings = loaded.warnings.iter().map(Problem::to_string).collect();
        let name = loaded.plan.name.clone();
        compiles(&loaded.plan)?;
        let (mut run, mut epoch, mut before) = (1, 0, None);
        if let Some(present) = self.runs.get(&name) {
            let state = &present.state;
            let same = state.plan == loaded.plan;
            if same && !matches!(state.phase, Phase::RolledBack) {
                return Ok(Applied { name, run: state.run, unchanged: true, warnings });
            }
            if !state.is_over() {
                return Err(Refusal::Conflict(format!(
                    "{name} is {} (run {}); end it first: serin abort {name}",
                    state.phase.name(),
                    state.run
                )));
            }
            if same && !again {
                return Err(Refusal::Conflict(format!(
                    "{name} was rolled back with this very specification: {}; to try it again: serin apply --again",
                    state.rollback.as_ref().map_or("", |rollback| rollback.reason.as_str())
                )));
            }
            if state.stable_version != loaded.plan.stable {
                return Err(Refusal::Conflict(format!(
                    "spec.stable.version is {:?}, but run {} left {:?} behind the stable route; write that",
                    loaded.plan.stable, state.run, state.stable_version
                )));
            }
            (run, epoch) = (state.run + 1, state.epoch);
            before = Some(present.stored(state.clone(), present.generation));
        }
        let state = State::new(loaded.plan, run, epoch, clock::now());
        let stored = Stored { spec: text.to_owned(), state, generation: self.generation };
        let written = before
            .map_or(Ok(()), |before| self.store.archive(&before))
            .and_then(|()| self.store.save(&stored, self.generation, self.revoked_below));
        written.map_err(|error| Refusal::Failed(format!("the store cannot be written: {error:#}")))?;
        self.runs.insert(name.clone(), Run::new(stored));
        self.advance(&name, &Event::Start(Human { who, reason: String::new() })).await;
        Ok(Applied { name, run, unchanged: false, warnings })
    }

    /// An earlier run, as it ended.
    pub(super) fn past(&self, name: &str, run: u64) -> Result<Box<View>, Refusal> {
        match self.store.past_run(name, run) {
            Ok(Some(state)) => Ok(Box::new(state.view())),
            Ok(None) => Err(Refusal::Unknown(format!("{name} has no earlier run {run}"))),
            Err(error) => Err(Refusal::Failed(format!("the store cannot be read: {error:#}"))),
        }
    }

    pub(super) async fn act(&mut self, name: &str, act: Act, human: Human) -> Result<(), Refusal> {
        let Some(run) = self.runs.get(name) else {
            let names: Vec<&str> = self.runs.keys().map(String::as_str).collect();
            let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(Refusal::Unknown(format!("there is no rollout {name:?}; there are: {there}")));
        };
        if run.state.is_over() {
            return Err(Refusal::Conflict(format!("{name} is over: {}", run.state.message())));
        }
        let before = (run.state.phase.clone(), run.state.stage, run.state.stages.clone());
        let event = match act {
            Act::Abort => Event::Abort(human),
            Act::Promote => Event::Promote(human),
            Act::Approve => Event::Approve(human),
            Act::Pause => Event::Pause(human),
            Act::Resume => Event::Resume(human),
        };
        self.advance(name, &event).await;
        let Some(run) = self.runs.get(name) else { return Ok(()) };
        if before == (run.state.phase.clone(), run.state.stage, run.state.stages.clone()) {
            return Err(Refusal::Conflict(format!(
                "that changes nothing while {name} is {}",
                run.state.phase.name()
            )));
        }
        Ok(())
    }
}

/// Reads the plan's policies as a filter would, at every weight it will have: a refusal belongs to the person who
/// applies, not to a proxy at three in the morning.
fn compiles(plan: &spec::Plan) -> Result<(), Refusal> {
    for stage in &plan.stages {
        let rollout = plan.policy(1, plan.weights(stage.weight_ppm, true), &plan.stable);
        let policy =
            Policy { schema: SCHEMA, incarnation: 1, generation: 1, lease: None, rollouts: vec![rollout] };
        Splitter::compile(&policy).map_err(|error| Refusal::Invalid(error.to_string()))?;
    }
    Ok(())
}
