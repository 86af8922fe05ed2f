//! Practice that begins by itself: at most one exercise at a time that moves leases, over all rollouts, since a lease
//! stands for all rollouts of a proxy.

use manifest::{ExerciseKind, Percent, Span};
use rollout::{DueAction, Effect, Exercise, Human, Notice, PracticeBlocker, PracticeSchedule, PracticeView};

use super::exercise::{ExerciseState, Order};
use super::fleets::applied_as;
use super::journal::Wish;
use super::{Engine, Refusal, record};

/// Times are looked for this often.
const LOOK_NS: u64 = 1_000_000_000;

/// The practice of one kind on one rollout. Reckoning by a wall clock costs something, so what is shown is kept.
pub struct ScheduledPractice {
    schedule: PracticeSchedule,
    view: PracticeView,
    /// The time since which one should have passed.
    expected_ms: Option<u64>,
}

impl ScheduledPractice {
    pub fn new(schedule: PracticeSchedule, what: ExerciseKind, now_ms: u64) -> Self {
        let (view, expected_ms) = (schedule.view(what, now_ms), schedule.expected(now_ms));
        Self { schedule, view, expected_ms }
    }

    pub const fn schedule(&self) -> &PracticeSchedule {
        &self.schedule
    }
}

impl ExerciseState {
    /// Practice that begins by itself, for people and tools.
    pub fn practice(&self) -> Vec<PracticeView> {
        let view = |(what, known): (&ExerciseKind, &ScheduledPractice)| {
            let live = self.live().is_some_and(|live| live.kind() == *what);
            let passed = self.last_passed_ms(*what);
            let late = known.expected_ms.is_some_and(|ms| passed.is_none_or(|passed| passed < ms));
            PracticeView { overdue: late && !live, ..known.view.clone() }
        };
        self.scheduled.iter().map(view).collect()
    }
}

impl Engine {
    /// What the store holds of practice.
    pub(super) fn load_practice(&mut self) -> anyhow::Result<()> {
        let now_ms = clock::unix_ms();
        for (name, what, schedule) in self.journal.practice_schedules()? {
            let known = ScheduledPractice::new(schedule, what, now_ms);
            self.exercises.entry(name).or_default().scheduled.insert(what, known);
        }
        Ok(())
    }

    /// Begins whatever is due and may begin; who has waited longest first.
    pub(super) async fn practise(&mut self) {
        let now = clock::now();
        if now.monotonic_ns.saturating_sub(self.maintenance.practice_looked_ns) < LOOK_NS {
            return;
        }
        self.maintenance.practice_looked_ns = now.monotonic_ns;
        if let Err(error) = self.keep_timetables(now.unix_ms).await {
            return self.unwritten(&error);
        }
        let mut due = Vec::new();
        for (name, slot) in &self.exercises {
            for (what, known) in &slot.scheduled {
                let soon = known.view.next_unix_ms.is_some_and(|next| next <= now.unix_ms);
                if soon && self.runs.contains_key(name) {
                    due.extend(known.schedule.due(now.unix_ms).map(|due| (due, name.clone(), *what)));
                }
            }
        }
        due.sort();
        for (due_ms, name, what) in due {
            if let Err(error) = self.take_turn(&name, what, due_ms, now.unix_ms).await {
                return self.unwritten(&error);
            }
        }
    }

    /// Every plan's timetables, and no others, are reckoned by.
    async fn keep_timetables(&mut self, now_ms: u64) -> anyhow::Result<()> {
        let mut changes = Vec::new();
        for (name, run) in &self.runs {
            for what in ExerciseKind::ALL {
                let practice = run.state.plan.practice.as_ref();
                let timetable = practice.and_then(|practice| practice.timetable(what));
                let known = self.exercises.get(name).and_then(|slot| slot.scheduled.get(&what));
                let known = known.map(ScheduledPractice::schedule);
                let wanted = timetable.map(|by| match known {
                    Some(known) => known.clone().under(by, now_ms).after_clock_change(now_ms),
                    None => PracticeSchedule::new(by, now_ms),
                });
                if wanted.as_ref() != known {
                    changes.push((name.clone(), what, wanted));
                }
            }
        }
        // Of what was let go nothing is due.
        for (name, slot) in self.exercises.iter().filter(|(name, _)| !self.runs.contains_key(*name)) {
            changes.extend(slot.scheduled.keys().map(|what| (name.clone(), *what, None)));
        }
        for (name, what, wanted) in changes {
            self.keep_schedule(&name, what, wanted, None).await?;
        }
        Ok(())
    }

    /// Writes down how far it is, and tells people what they should know.
    async fn keep_schedule(
        &mut self,
        name: &str,
        what: ExerciseKind,
        schedule: Option<PracticeSchedule>,
        notice: Option<Notice>,
    ) -> anyhow::Result<()> {
        let now_ms = clock::unix_ms();
        let run = self.runs.get(name).map_or(0, |run| run.state.run);
        let effects: Vec<Effect> = notice.into_iter().map(Effect::Notify).collect();
        let entries = record::of_effects(&effects, now_ms, self.mesh.generation);
        let of = (name.to_owned(), run);
        self.wish(Wish::Practice { of, what, schedule: schedule.clone(), entries })?;
        for effect in effects {
            self.carry_out(name, effect).await;
        }
        let slot = self.exercises.entry(name.to_owned()).or_default();
        match schedule {
            Some(schedule) => slot.scheduled.insert(what, ScheduledPractice::new(schedule, what, now_ms)),
            None => slot.scheduled.remove(&what),
        };
        self.show_run(name);
        Ok(())
    }

    async fn take_turn(
        &mut self,
        name: &str,
        what: ExerciseKind,
        due_ms: u64,
        now_ms: u64,
    ) -> anyhow::Result<()> {
        let known = self.exercises.get(name).and_then(|slot| slot.scheduled.get(&what));
        let Some(known) = known.map(|known| known.schedule.clone()) else { return Ok(()) };
        let hindrance = self.hindrance(name, what, now_ms);
        let (schedule, turn) = known.clone().turn((name, what), due_ms, hindrance.as_ref(), now_ms);
        let (schedule, notice) = match turn {
            DueAction::Wait => (schedule, None),
            DueAction::Say(notice) => (schedule, Some(notice)),
            DueAction::Begin => match self.begin_practice(name, what).await {
                // That it began is written with it. What the store would not take is tried again.
                Ok(()) | Err(Refusal::Failed(_)) => return Ok(()),
                Err(refusal) => {
                    let why = refusal.text().to_owned();
                    match schedule.give_up((name, what), due_ms, why, now_ms) {
                        (schedule, DueAction::Say(notice)) => (schedule, Some(notice)),
                        (schedule, _) => (schedule, None),
                    }
                }
            },
        };
        if schedule != known {
            self.keep_schedule(name, what, Some(schedule), notice).await?;
        }
        Ok(())
    }

    async fn begin_practice(&mut self, name: &str, what: ExerciseKind) -> Result<(), Refusal> {
        let state = &self.named(name)?.state;
        let Some(practice) = state.plan.practice.clone() else { return Ok(()) };
        let barred = state.may_expose(None).err();
        let mut reason = String::new();
        let order = match (what, &practice.drill, &practice.parity) {
            (ExerciseKind::Drill, Some(drill), _) => {
                let mut weight = Percent::from_ppm(drill.weight_ppm);
                if let Some(why) = barred.filter(|_| drill.weight_ppm > 0) {
                    // The way back can be proven all the same.
                    reason = format!("at 0% and not {weight}: {why}");
                    weight = Percent::from_ppm(0);
                }
                Order::Drill { weight, limit: Span::from_ms(drill.limit_ms) }
            }
            (ExerciseKind::Parity, _, Some(parity)) => Order::Parity {
                share: Some(Percent::from_ppm(parity.share_ppm)),
                deployed: parity.deployed,
                duration: Some(Span::from_ms(parity.duration_ms)),
                until_evidence: parity.until_evidence,
            },
            _ => return Ok(()),
        };
        let by = Human { who: "its schedule".to_owned(), reason };
        self.order(name, order, by, true).await.map(|_| ())
    }

    /// What is in the way of practice now.
    fn hindrance(&self, name: &str, what: ExerciseKind, now_ms: u64) -> Option<PracticeBlocker> {
        let plan = &self.runs.get(name)?.state.plan;
        let mates = self.mates(name);
        if let Some(found) = self.states(&mates).into_iter().find_map(|mate| mate.blocker(what, now_ms)) {
            return Some(found);
        }
        let brief = |why| Some(PracticeBlocker { why, brief: true });
        if self.waiting.get(applied_as(plan)).is_some_and(|waiting| waiting.queued.refused.is_none()) {
            return brief("another run is about to begin".to_owned());
        }
        if let Some(live) = self.exercises.get(name).and_then(ExerciseState::live) {
            return brief(format!("{} {} is under way", live.words(), live.number()));
        }
        let moves_leases = what == ExerciseKind::Drill
            || plan.practice.as_ref().is_some_and(|practice| practice.exposes(what));
        let live = self.exercises.iter().filter_map(|(name, slot)| Some((name, slot.live()?)));
        let first = live.filter(|_| moves_leases).find(|(_, live)| live.affects_leases());
        first.and_then(|(name, live)| {
            brief(format!("{} {} of {name} comes first", live.words(), live.number()))
        })
    }

    /// A run begins over what began by itself: its time has still come when that is over.
    pub(super) async fn cut_short(&mut self, name: &str) {
        let Some(slot) = self.exercises.get(name) else { return };
        let scheduled = slot.live().filter(|live| live.is_scheduled()).map(Exercise::kind);
        let Some((what, known)) = scheduled.and_then(|what| Some((what, slot.scheduled.get(&what)?))) else {
            return;
        };
        let schedule = known.schedule.clone().cut_short();
        if let Err(error) = self.keep_schedule(name, what, Some(schedule), None).await {
            self.unwritten(&error);
        }
    }
}
