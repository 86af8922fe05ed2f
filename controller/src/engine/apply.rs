//! What people ask for: a new run, or something of a running one.

use api::{Applied, ObjectView, Refusal};
use manifest::{ExerciseKind, Plan};
use rollout::{Acted, Admission, Event, Exercise, ExerciseView, Human, Now, State, fleet};
use split::Splitter;
use split::policy::{Policy, SCHEMA};

use super::admission::Admitted;
use super::commit::{Draft, NewRun, PastRun, RunDraft};
use super::run::AppliedSpec;
use super::{Act, Conditions, Engine, Run, record};
use crate::specification::Specification;

/// What a key of an applied specification stands for.
const APPLY: &str = "apply";

impl Engine {
    /// Reads a specification and takes it. `again`: one that was rolled back is wanted once more.
    pub(super) async fn apply(&mut self, text: &str, who: String, again: bool) -> Result<Applied, Refusal> {
        let spec = Specification::read(text.to_owned())?;
        self.apply_for(&spec, Human { who, reason: String::new() }, again).await
    }

    /// Takes one that was read, with what the person says about it.
    pub(super) async fn apply_for(
        &mut self,
        spec: &Specification,
        human: Human,
        again: bool,
    ) -> Result<Applied, Refusal> {
        self.apply_if(spec, human, again, &Conditions::default()).await
    }

    /// The same, if what is there is what the person has seen, and once.
    pub(super) async fn apply_if(
        &mut self,
        spec: &Specification,
        human: Human,
        again: bool,
        conditions: &Conditions,
    ) -> Result<Applied, Refusal> {
        if let Some(applied) = self.applied_before(spec.loaded.name(), conditions)? {
            return Ok(applied);
        }
        let text = spec.text.as_str();
        if self.is_made_anew(spec) {
            let name = spec.loaded.name().to_owned();
            let present = self.applied(&name);
            self.carry_object(&present, text);
            let run = self.states(&present).iter().map(|state| state.run).max().unwrap_or(0);
            let warnings = self.withdraw(&name)?.into_iter().collect();
            return Ok(Applied { name, run, unchanged: true, warnings, ..Applied::default() });
        }
        let Admitted { name, plans, run, admission, mut warnings } = self.admit(spec, again)?;
        let mut applied = Applied { name: name.clone(), run, ..Applied::default() };
        if matches!(admission, Admission::Begin { .. } | Admission::Replace | Admission::Queue) {
            self.expect(&name, conditions)?;
        }
        match admission {
            Admission::Begin { run, epoch } => {
                let acted = conditions.acted(APPLY);
                self.begin(&name, plans, text, human, (run, epoch), acted).await?;
                applied.run = run;
            }
            Admission::Unchanged => {
                self.carry_object(&self.applied(&name), text);
                // Applying the present specification again cancels what is queued after it.
                warnings.extend(self.withdraw(&name)?);
                applied.unchanged = true;
            }
            Admission::Practice => {
                self.reschedule(&name, &plans, text, &human).await?;
                warnings.extend(self.withdraw(&name)?);
                applied.rescheduled = true;
            }
            Admission::Refused(why) => return Err(Refusal::Conflict(why)),
            Admission::Replace | Admission::Queue => {
                warnings.extend(self.wait(&name, plans, text, human.who)?);
                self.serve(&name).await;
                let now = self.applied(&name);
                applied.run = self.states(&now).iter().map(|present| present.run).max().unwrap_or(run);
                applied.queued = applied.run == run;
                applied.replaces = Some(run).filter(|_| !applied.queued);
            }
        }
        Ok(Applied { warnings, ..applied })
    }

    /// Does it come from an object that was deleted and made again as it was, while what it keeps stayed? Then nothing is asked
    /// for, not even where the same would be refused because it was rolled back.
    fn is_made_anew(&self, spec: &Specification) -> bool {
        let present = self.applied(spec.loaded.name());
        let present = present.first().and_then(|name| self.runs.get(name)).and_then(|run| run.spec.object());
        let (Some(present), Some(other)) = (present, ObjectView::of(&spec.loaded.typed)) else {
            return false;
        };
        let anew = ObjectView { uid: present.uid.clone(), ..other.clone() };
        anew == *present && other != *present
    }

    /// Who keeps these runs is known by what was applied last: an object is told from one that was made anew by it.
    pub(super) fn carry_object(&mut self, names: &[String], text: &str) {
        for name in names {
            let Some(run) = self.runs.get_mut(name) else { continue };
            let spec = AppliedSpec::new(text.to_owned());
            if spec.object().is_some() && spec.object() != run.spec.object() {
                run.rename(spec);
                self.show_run(name);
            }
        }
    }

    /// A specification that began a run under this key.
    pub(super) fn applied_before(
        &self,
        name: &str,
        conditions: &Conditions,
    ) -> Result<Option<Applied>, Refusal> {
        if !self.was_done(name, APPLY, conditions)? {
            return Ok(None);
        }
        let present = self.applied(name);
        let run = self.states(&present).iter().map(|state| state.run).max().unwrap_or(0);
        Ok(Some(Applied { name: name.to_owned(), run, ..Applied::default() }))
    }

    /// The same rollout, with other practice between its runs.
    pub(super) async fn reschedule(
        &mut self,
        name: &str,
        plans: &[Plan],
        text: &str,
        human: &Human,
    ) -> Result<(), Refusal> {
        let present = self.applied(name);
        let events = present.iter().enumerate().filter_map(|(index, name)| {
            let practice = plans.iter().find(|plan| plan.name == *name)?.practice.clone();
            Some((index, Event::Practice { human: human.clone(), practice }))
        });
        let events = events.collect();
        // What is written with the decision is what was applied last.
        let specs: Vec<_> = present
            .iter()
            .filter_map(|name| {
                let run = self.runs.get_mut(name)?;
                Some((name, std::mem::replace(&mut run.spec, AppliedSpec::new(text.to_owned()))))
            })
            .collect();
        if let Err(error) = self.try_together(&present, events).await {
            for (name, spec) in specs {
                if let Some(run) = self.runs.get_mut(name) {
                    run.spec = spec;
                }
            }
            return Err(Refusal::unwritten(&error));
        }
        self.show_applied(name, &present);
        Ok(())
    }

    /// Runs begin. They are on the disk, and the runs before them archived, before anything of them is published.
    pub(super) async fn begin(
        &mut self,
        name: &str,
        plans: Vec<Plan>,
        text: &str,
        human: Human,
        (run, epoch): (u64, u64),
        acted: Option<Acted>,
    ) -> Result<(), Refusal> {
        let present = self.applied(name);
        let mut epoch = epoch;
        for name in present.iter().chain(plans.iter().map(|plan| &plan.name)) {
            self.cut_short(name).await;
            self.end_exercise(name, format!("run {run} begins")).await;
            epoch = epoch.max(self.epoch(name));
        }
        let now = clock::now();
        let states = successors(plans, &self.states(&present), (run, epoch), now);
        let start = |index| (index, Event::Start(human.clone()));
        let begun: Vec<&State> = states.iter().collect();
        let goes_back = states.iter().all(|state| state.plan.returning.is_some());
        let once = acted.into_iter().flat_map(|acted| {
            (0..begun.len()).map(move |index| (index, Event::Acted(acted.clone()))).collect::<Vec<_>>()
        });
        let events = (0..begun.len()).map(start).chain(once).collect();
        // A way back waits for no disk, and hooks of what was before it can wait.
        let moved = if goes_back { fleet::protect } else { fleet::step }(&begun, events, now);
        let runs = moved.into_iter().filter_map(|moved| {
            let (index, draft) = RunDraft::step(moved)?;
            let begins = NewRun { spec: text.to_owned(), before: states.get(index)?.clone() };
            Some(RunDraft { begins: Some(begins), ..draft })
        });
        let runs = runs.collect();
        let past = present.iter().filter_map(|name| self.runs.get(name));
        let past = past.map(|before| last(before, run, now)).collect();
        let unqueue = Some(name.to_owned());
        let draft = Draft { runs, past, unqueue, goes_back, ..Draft::default() };
        self.commit(draft).await.map_err(|error| Refusal::unwritten(&error))?;
        // Those that have no successor are seen no more.
        self.show_applied(name, &present);
        Ok(())
    }

    /// What was exercised, the newest first.
    pub(super) fn past_exercises(
        &self,
        name: &str,
        what: ExerciseKind,
    ) -> Result<Vec<ExerciseView>, Refusal> {
        let read = self.journal.past_exercises(name, what);
        let mut all = read.map_err(|error| Refusal::unread(&error))?;
        // What is under way is known better here than in the store.
        if let Some(live) = self.exercises.get(name).and_then(|slot| slot.last_of(what))
            && let Some(first) = all.first_mut().filter(|first| first.number() == live.number())
        {
            *first = live.clone();
        }
        Ok(all.iter().map(Exercise::view).collect())
    }

    /// The run of a name as a user gives it.
    pub(super) fn named(&mut self, name: &str) -> Result<&mut Run, Refusal> {
        self.there_is(name)?;
        self.runs.get_mut(name).ok_or_else(|| Refusal::Unknown(name.to_owned()))
    }

    /// Is there a run of this name?
    pub(super) fn there_is(&self, name: &str) -> Result<(), Refusal> {
        if self.runs.contains_key(name) {
            return Ok(());
        }
        let members = self.applied(name);
        if !members.is_empty() {
            let members = members.join(", ");
            return Err(Refusal::Conflict(format!("{name} is several runs; name one of them: {members}")));
        }
        let names: Vec<&str> = self.runs.keys().map(String::as_str).collect();
        let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Err(Refusal::Unknown(format!("there is no rollout {name:?}; there are: {there}")))
    }

    /// The same, whatever was seen.
    #[cfg(test)]
    pub(super) async fn act(&mut self, name: &str, act: Act, human: Human) -> Result<(), Refusal> {
        self.act_if(name, act, human, &Conditions::default()).await
    }

    /// The same, if what is there is what the person has seen, and once.
    pub(super) async fn act_if(
        &mut self,
        name: &str,
        act: Act,
        human: Human,
        conditions: &Conditions,
    ) -> Result<(), Refusal> {
        self.act_as(name, act, human, conditions, &act.words()).await
    }

    /// The same under other words: going back may be an abort, and is kept under its key as what was asked for.
    pub(super) async fn act_as(
        &mut self,
        name: &str,
        act: Act,
        human: Human,
        conditions: &Conditions,
        words: &str,
    ) -> Result<(), Refusal> {
        match self.was_done(name, words, conditions) {
            Ok(true) => return Ok(()),
            Err(refusal) if act != Act::Abort => return Err(refusal),
            _ => {}
        }
        self.is_meant(name, act, conditions)?;
        let event = match act {
            Act::Abort => Event::Abort(human.clone()),
            Act::Promote => Event::Promote(human.clone()),
            Act::Approve => Event::Approve(human.clone()),
            Act::Pause => Event::Pause(human.clone()),
            Act::Resume => Event::Resume(human.clone()),
            Act::SetWeight(weight_ppm) => Event::SetWeight { human: human.clone(), weight_ppm },
            Act::Drop(arm) => Event::Drop { arm, human: human.clone() },
            Act::Choose(arm) => Event::Choose { arm, human: human.clone() },
        };
        let exercised = |name: &String| self.exercises.get(name).is_some_and(|slot| slot.live().is_some());
        let exercised: Vec<String> = self.meant(name)?.into_iter().filter(exercised).collect();
        if act == Act::Abort && !exercised.is_empty() {
            let Human { who, reason } = human;
            let why = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
            for name in exercised {
                self.end_exercise(&name, format!("aborted by {who}{why}")).await;
            }
            return Ok(());
        }
        self.act_on(name, event, conditions.expect.is_some(), conditions.acted(words)).await
    }
}

/// Runs that have not begun, each following those of its name; the first also those that have no successor.
fn successors(plans: Vec<Plan>, before: &[&State], (run, epoch): (u64, u64), now: Now) -> Vec<State> {
    let names: Vec<String> = plans.iter().map(|plan| plan.name.clone()).collect();
    let mut states = Vec::with_capacity(plans.len());
    for plan in plans {
        let first = states.is_empty();
        let follows =
            |state: &State| state.plan.name == plan.name || first && !names.contains(&state.plan.name);
        let of_its: Vec<&State> = before.iter().copied().filter(|state| follows(state)).collect();
        states.push(State::new(plan, run, epoch, now).following(&of_its));
    }
    states
}

/// A run as it ends for good: what it was doing since it was over is done.
fn last(run: &Run, next: u64, now: Now) -> PastRun {
    if !run.state.has_post_run_work() {
        return PastRun { state: run.state.clone(), entries: Vec::new() };
    }
    let (state, effects) = rollout::step(run.state.clone(), &Event::NextRun { run: next }, now);
    let entries = record::of_effects(&effects, now.unix_ms, run.acknowledged.generation);
    PastRun { state, entries }
}

/// Why plans that would wait could never begin; better said now than in an hour.
pub(super) fn never_fits(present: &[&State], plans: &[Plan]) -> Option<String> {
    if let Admission::Replace = fleet::admit(present, plans, false) {
        let abort = || Event::Abort(Human { who: String::new(), reason: String::new() });
        let events = (0..present.len()).map(|index| (index, abort())).collect();
        let aborted: Vec<State> =
            fleet::step(present, events, clock::now()).into_iter().map(|moved| moved.state).collect();
        let aborted: Vec<&State> = aborted.iter().collect();
        return match fleet::admit(&aborted, plans, false) {
            Admission::Refused(why) => Some(why),
            _ => None,
        };
    }
    plans.iter().find_map(|plan| {
        let present = present.iter().find(|present| present.plan.name == plan.name)?;
        let may_be_left = [&present.stable_version, &present.plan.canary];
        (!may_be_left.contains(&&plan.stable)).then(|| {
            format!(
                "spec.stable.version is {:?}, but run {} will leave {:?} or {:?} behind the stable route; write one of them",
                plan.stable, present.run, present.stable_version, present.plan.canary
            )
        })
    })
}

/// The machine knows what would help, the command knows how that is typed.
pub(super) fn with_command(present: &[&State], name: &str, plans: &[Plan], why: String) -> String {
    let same = |plan: &Plan| present.iter().any(|present| present.plan.as_applied() == *plan);
    let barred = |plan: &Plan| {
        present.iter().any(|present| present.plan.name == plan.name && present.rejects(plan).is_some())
    };
    let returns = present.iter().any(|present| present.plan.returning.is_some());
    let over = fleet::is_over(present);
    if present.is_empty() || !over && returns && !plans.iter().any(barred) {
        why
    } else if plans.iter().any(barred) || over && plans.iter().all(same) {
        format!("{why} (serin apply --again)")
    } else if !over {
        format!("{why} (serin abort {name})")
    } else {
        why
    }
}

/// Reads the plan's policies as a filter would, at every weight it will have: a refusal belongs to the person who
/// applies, not to a proxy at three in the morning.
pub fn compiles(plan: &Plan) -> Result<(), Refusal> {
    for (index, stage) in plan.stages.iter().enumerate() {
        for way in plan.ways(index) {
            let rollout = way.policy(1, way.weights(stage.weight_ppm, true), &way.stable);
            let policy = Policy {
                schema: SCHEMA,
                incarnation: 1,
                generation: 1,
                lease: None,
                rollouts: vec![rollout],
            };
            Splitter::compile(&policy).map_err(|error| Refusal::Invalid(error.to_string()))?;
        }
    }
    Ok(())
}
