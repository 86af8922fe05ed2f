//! Exercises in the engine's hands: at most one at a time for each rollout, and only between its runs.

use std::collections::BTreeMap;

use manifest::{ExerciseKind, MOST_DRILLED_PPM, MOST_SHARED_PPM, PARITY_MS, Percent, Span};
use rollout::{
    Acks, Acted, CounterAccumulator, Drill, DrillOrder, Event, Exercise, ExerciseEvent, Heartbeats, Human,
    LastCanaryRequest, Outcome, Parity, ParityOrder, PracticeSchedule, State,
};

use super::acknowledged::Acknowledged;
use super::commit::{Draft, ExerciseDraft, RunDraft};
use super::practice::ScheduledPractice;
use super::registry::ProxyUpdate;
use super::{Conditions, Engine, Refusal};
use scrape::{Increments, Unread};
use store::Entry;

/// The exercises of one rollout: the present one, and the last of each kind.
#[derive(Default)]
pub struct ExerciseState {
    /// The last of each kind; at most one of them is not over.
    exercises: Vec<Exercise>,
    /// When one of each kind last passed, in milliseconds since 1970.
    passed_ms: BTreeMap<ExerciseKind, u64>,
    /// What begins by itself.
    pub scheduled: BTreeMap<ExerciseKind, ScheduledPractice>,
    /// How far the last publication has come.
    pub acknowledged: Acknowledged,
    /// How its counters are read.
    pub(super) counting: Option<(CounterAccumulator, State)>,
    /// Does a decision hold that the store does not have?
    pub unsaved: bool,
    /// How often something of it was decided.
    pub decisions: u64,
    /// Lines of the journal that are written with it.
    pub unwritten: Vec<Entry>,
}

/// An exercise as it is asked for.
#[derive(Clone, Debug)]
pub enum Order {
    Drill {
        weight: Percent,
        limit: Span,
    },
    /// A version against itself. What is not said has a default: half of the traffic to either part (5 % where the
    /// second part is deployed), until there is evidence, for an hour at most.
    Parity {
        share: Option<Percent>,
        deployed: bool,
        duration: Option<Span>,
        until_evidence: bool,
    },
}

impl Order {
    /// Its kind, as in the API.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Drill { .. } => ExerciseKind::Drill.name(),
            Self::Parity { .. } => ExerciseKind::Parity.name(),
        }
    }
}

impl ExerciseState {
    /// The one that took a step last.
    pub fn latest(&self) -> Option<&Exercise> {
        self.exercises.last()
    }

    /// The store has it as it was after so many decisions, with so many of its lines.
    pub fn mark_written(&mut self, decisions: u64, lines: usize) {
        self.unsaved &= self.decisions != decisions;
        self.unwritten.drain(..lines.min(self.unwritten.len()));
    }

    /// As the last process left it and could not write it down, unless the store knows better.
    pub fn restore(&mut self, exercise: Exercise, entries: Vec<Entry>) {
        let known = self.last_of(exercise.kind());
        let knows = known.is_some_and(|known| {
            known.number() > exercise.number() || known.number() == exercise.number() && known.is_over()
        });
        if !knows {
            self.put(exercise);
            (self.unsaved, self.unwritten) = (true, entries);
        }
    }

    pub fn live(&self) -> Option<&Exercise> {
        self.exercises.iter().find(|exercise| !exercise.is_over())
    }

    pub fn last_of(&self, what: ExerciseKind) -> Option<&Exercise> {
        self.exercises.iter().find(|exercise| exercise.kind() == what)
    }

    pub fn last_passed_ms(&self, what: ExerciseKind) -> Option<u64> {
        self.passed_ms.get(&what).copied()
    }

    /// The highest epoch any of them published.
    pub fn epoch(&self) -> u64 {
        self.policies().map(|policy| policy.epoch).max().unwrap_or(0)
    }

    fn policies(&self) -> impl Iterator<Item = &split::policy::Rollout> {
        self.exercises.iter().filter_map(Exercise::policy)
    }

    /// What is in force of the run's part of the policy and that of the exercises: whichever came last.
    pub fn newest(&self, run: Option<split::policy::Rollout>) -> Option<split::policy::Rollout> {
        self.policies().cloned().chain(run).max_by_key(|policy| policy.epoch)
    }

    /// What was decided holds from here on. `published`: with which generation weights go out, and the filters' refusals
    /// as they stand.
    pub fn adopt(
        &mut self,
        exercise: Exercise,
        schedule: Option<PracticeSchedule>,
        published: Option<(u64, &BTreeMap<String, u64>)>,
    ) {
        if let Some(schedule) = schedule {
            let what = exercise.kind();
            self.scheduled.insert(what, ScheduledPractice::new(schedule, what, clock::unix_ms()));
        }
        self.put(exercise);
        let epoch = self.epoch();
        let quorum = self.live().and_then(Exercise::sent).is_some_and(|sent| sent.quorum.is_some());
        if let Some((generation, reasons)) = published {
            self.acknowledged.note_published(generation, reasons);
            if let Some((accumulator, _)) = &mut self.counting {
                accumulator.unsettle(epoch);
            }
        } else if let Some((accumulator, _)) = self.counting.as_mut().filter(|_| quorum) {
            accumulator.settle(clock::unix_ms());
        }
    }

    /// What the proxies' answers mean for the last publication; `None` when that is no news.
    pub fn news(&mut self, update: &mut ProxyUpdate<'_>, region: Option<&str>) -> Option<Acks> {
        let publication = self.live()?.sent()?.id;
        self.acknowledged.news(update, region, publication, None)
    }

    fn put(&mut self, exercise: Exercise) {
        if let Some(ended) = exercise.ended().filter(|ended| ended.outcome == Outcome::Passed) {
            self.passed_ms.insert(exercise.kind(), ended.at.unix_ms);
        }
        let same = |known: &Exercise| known.kind() == exercise.kind();
        if !self.exercises.iter().any(|known| same(known) && known.number() == exercise.number()) {
            self.counting = match &exercise {
                Exercise::Parity(parity) if !exercise.is_over() => {
                    let state = parity.counted_as();
                    Some((CounterAccumulator::new(&state), state))
                }
                _ => None,
            };
        }
        self.exercises.retain(|known| !same(known));
        self.exercises.push(exercise);
    }
}

impl Engine {
    /// What the store holds of exercises.
    pub(super) fn load_exercises(&mut self) -> anyhow::Result<()> {
        for exercise in self.journal.exercises()? {
            let known = self.exercises.entry(exercise.name().to_owned()).or_default();
            known.acknowledged = Acknowledged::of(self.mesh.generation);
            known.put(exercise);
        }
        for (name, what, unix_ms) in self.journal.passed_exercises()? {
            self.exercises.entry(name).or_default().passed_ms.insert(what, unix_ms);
        }
        Ok(())
    }

    /// Begins an exercise, if what is there is what was seen, and once; returns its number.
    pub(super) async fn order_if(
        &mut self,
        name: &str,
        order: Order,
        by: Human,
        conditions: &Conditions,
    ) -> Result<u64, Refusal> {
        let kind = order.kind();
        if let Some(number) = self.was_ordered(name, kind, conditions)? {
            return Ok(number);
        }
        self.expect(name, conditions)?;
        self.order_under(name, order, by, false, conditions.key.as_ref()).await
    }

    /// The number of the exercise of this kind that was begun under this key.
    fn was_ordered(&self, name: &str, kind: &str, conditions: &Conditions) -> Result<Option<u64>, Refusal> {
        let mut acted = self.runs.get(name).into_iter().flat_map(|run| &run.state.acted);
        let Some(acted) = acted.find(|acted| Some(&acted.key) == conditions.key.as_ref()) else {
            return Ok(None);
        };
        let number = acted.what.strip_prefix(kind).and_then(|rest| rest.trim().parse().ok());
        // Another act's key is refused in the words that are used for any.
        if number.is_none() {
            self.was_done(name, kind, conditions)?;
        }
        Ok(number)
    }

    /// Begins an exercise; returns its number.
    pub(super) async fn order(
        &mut self,
        name: &str,
        order: Order,
        by: Human,
        scheduled: bool,
    ) -> Result<u64, Refusal> {
        self.order_under(name, order, by, scheduled, None).await
    }

    async fn order_under(
        &mut self,
        name: &str,
        order: Order,
        by: Human,
        scheduled: bool,
        key: Option<&String>,
    ) -> Result<u64, Refusal> {
        // Of one that ended while the disk refused, the next one's lines must not be all that is written.
        if self.exercises.get(name).is_some_and(|known| known.unsaved) {
            self.write_backlog();
        }
        let epoch = self.epoch(name);
        let number = |slot: Option<&ExerciseState>, kind| {
            slot.and_then(|slot| slot.last_of(kind)).map_or(1, |last| last.number() + 1)
        };
        let state = &self.named(name)?.state.clone();
        state.at_rest().map_err(Refusal::Conflict)?;
        let slot = self.exercises.get(name);
        if let Some(live) = slot.and_then(ExerciseState::live) {
            return Err(Refusal::Conflict(format!(
                "{} {} of {name} is under way; wait for its end, or end it: serin abort {name}",
                live.words(),
                live.number()
            )));
        }
        if slot.is_some_and(|slot| slot.unsaved) {
            return Err(Refusal::Failed(format!(
                "the end of what was tried on {name} is not written down yet, because the store refuses: free the disk (the \
                 controller's log says what it wants), then try again"
            )));
        }
        let exercise = match order {
            Order::Drill { weight, limit } => {
                let number = number(slot, ExerciseKind::Drill);
                drill(
                    state,
                    number,
                    epoch,
                    DrillOrder { weight_ppm: weight.ppm(), limit_ms: limit.ms(), by, scheduled },
                )?
            }
            Order::Parity { share, deployed, duration, until_evidence } => {
                let usual = if deployed { MOST_DRILLED_PPM } else { MOST_SHARED_PPM };
                let order = ParityOrder {
                    share_ppm: share.map_or(usual, Percent::ppm),
                    deployed,
                    duration_ms: duration.map_or(3_600_000, Span::ms),
                    until_evidence: until_evidence || duration.is_none(),
                    by,
                    scheduled,
                };
                parity(state, number(slot, ExerciseKind::Parity), epoch, order)?
            }
        };
        let (number, what) = (exercise.number(), exercise.kind());
        let schedule = slot.and_then(|slot| slot.scheduled.get(&what));
        let schedule = schedule.map(|known| known.schedule().clone().began(clock::unix_ms()));
        let begins = ExerciseDraft { exercise, effects: Vec::new(), schedule, begins: true };
        // The run keeps the key, in the same transaction.
        let runs = key.and_then(|key| {
            let acted = Acted { key: key.clone(), what: format!("{} {number}", what.name()) };
            let heard = Event::Acted(acted);
            let (state, effects) = rollout::step(self.runs.get(name)?.state.clone(), &heard, clock::now());
            Some(RunDraft { state, heard, effects, begins: None })
        });
        let runs = runs.into_iter().collect();
        self.commit(Draft { runs, exercise: Some(begins), ..Draft::default() })
            .await
            .map_err(|error| Refusal::unwritten(&error))?;
        self.exercise(name, &ExerciseEvent::Begin).await;
        Ok(number)
    }

    /// The highest epoch published under a name.
    pub(super) fn epoch(&self, name: &str) -> u64 {
        let of_run = self.runs.get(name).map_or(0, |run| run.state.epoch);
        self.exercises.get(name).map_or(0, ExerciseState::epoch).max(of_run)
    }

    /// Lets the exercise under way take one event. As with runs, what is decided is on the disk before it is done.
    pub(super) async fn exercise(&mut self, name: &str, event: &ExerciseEvent) {
        let Some(live) = self.exercises.get(name).and_then(ExerciseState::live) else { return };
        let (exercise, effects) = live.clone().step(event, clock::now());
        let draft = ExerciseDraft { exercise, effects, schedule: None, begins: false };
        if let Err(error) = self.commit(Draft { exercise: Some(draft), ..Draft::default() }).await {
            return self.unwritten(&error);
        }
        self.show_run(name);
    }

    /// Ends what is under way; whatever it exposes is taken back before this returns.
    pub(super) async fn end_exercise(&mut self, name: &str, why: String) {
        self.exercise(name, &ExerciseEvent::Cancel(why)).await;
    }

    /// Whatever the last process was exercising is taken back, before anything is published.
    pub(super) async fn take_back_exercises(&mut self) {
        for name in self.exercise_names() {
            self.exercise(&name, &ExerciseEvent::Restart).await;
        }
    }

    pub(super) async fn exercises_tick(&mut self) {
        for name in self.exercise_names() {
            let Some(slot) = self.exercises.get(&name) else { continue };
            let told = self.publication.leases.answers_of(&name, slot.acknowledged.generation);
            let others = self.exercises.iter().filter(|(other, _)| **other != name);
            let alone = !self.runs.values().any(|run| exposes(&run.state))
                && !others.filter_map(|(_, slot)| slot.live()).any(Exercise::affects_leases);
            let connected = self.registry.connected().cloned().collect();
            let heard = Heartbeats { connected, renewed: told.renewed, revoked: told.revoked, alone };
            self.exercise(&name, &ExerciseEvent::Heartbeats(heard)).await;
            self.exercise(&name, &ExerciseEvent::Tick).await;
        }
    }

    pub(super) async fn exercises_counted(&mut self, news: &Increments) {
        for name in self.exercise_names() {
            let gauge = tally::last_canary_gauge(&name);
            let look = LastCanaryRequest {
                whole_since_ms: news.gap.is_none().then_some(news.from_ms),
                last_ms: news.gauges.iter().filter_map(|gauges| gauges.get(&gauge)).max().copied(),
            };
            self.exercise(&name, &ExerciseEvent::Look(look)).await;
            let Some((accumulator, state)) =
                self.exercises.get_mut(&name).and_then(|slot| slot.counting.as_mut())
            else {
                continue;
            };
            let interval = Box::new(news.interval(accumulator, state, &Unread::default()));
            self.exercise(&name, &ExerciseEvent::Interval(interval)).await;
        }
    }

    /// Must the policy carry a lease although no request goes to the canary?
    pub(super) fn vouched(&self) -> bool {
        self.exercises.values().filter_map(ExerciseState::live).any(Exercise::wants_lease)
    }

    /// Names of the rollouts on which something is exercised.
    pub(super) fn exercise_names(&self) -> Vec<String> {
        let live = self.exercises.iter().filter(|(_, slot)| slot.live().is_some());
        live.map(|(name, _)| name.clone()).collect()
    }
}

/// Do requests go to the run's canary?
pub(super) fn exposes(state: &State) -> bool {
    state.publication.as_ref().is_some_and(|publication| crate::publish::exposes(&publication.sent.policy))
}

fn drill(state: &State, number: u64, epoch: u64, order: DrillOrder) -> Result<Exercise, Refusal> {
    if order.weight_ppm > MOST_DRILLED_PPM {
        return Err(Refusal::Invalid(format!(
            "weight is {}: a drill proves the way back, not the version; write {} or less",
            Percent::from_ppm(order.weight_ppm),
            Percent::from_ppm(MOST_DRILLED_PPM)
        )));
    }
    if order.limit_ms == 0 {
        return Err(Refusal::Invalid("limit is 0s: nothing comes back in no time; write 30s".to_owned()));
    }
    if order.weight_ppm > 0 {
        let human = (!order.scheduled).then_some(&order.by);
        state.may_expose(human).map_err(Refusal::Conflict)?;
    }
    Ok(Exercise::Drill(Box::new(Drill::new(state, number, epoch, order, clock::now()))))
}

fn parity(state: &State, number: u64, epoch: u64, order: ParityOrder) -> Result<Exercise, Refusal> {
    if order.share_ppm == 0 || order.share_ppm > MOST_SHARED_PPM {
        return Err(Refusal::Invalid(format!(
            "share is {}: write more than 0% and at most {}",
            Percent::from_ppm(order.share_ppm),
            Percent::from_ppm(MOST_SHARED_PPM)
        )));
    }
    if !PARITY_MS.contains(&order.duration_ms) {
        return Err(Refusal::Invalid(format!(
            "duration is {}: write {} to {}",
            Span::from_ms(order.duration_ms),
            Span::from_ms(*PARITY_MS.start()),
            Span::from_ms(*PARITY_MS.end())
        )));
    }
    if order.deployed {
        let human = (!order.scheduled).then_some(&order.by);
        state.may_expose(human).map_err(Refusal::Conflict)?;
    }
    let parity = Parity::new(state, number, epoch, order, clock::now());
    if parity.plan.gates.is_empty() {
        return Err(Refusal::Conflict(format!(
            "{} has no gate that compares what the proxies count, so there is nothing to find equal; add one such as \
             error_rate",
            state.plan.name
        )));
    }
    Ok(Exercise::Parity(Box::new(parity)))
}
