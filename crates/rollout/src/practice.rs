//! When is practice due, and what is done when it is?
//!
//! ```text
//! [ Timetable ] + [ PracticeSchedule ] -- due(now) --> a time that has come -- turn(hindrance, now) --> begin, wait or say
//! ```
//!
//! Reckoned by the wall clock from what is stored, so it goes on over restarts. Of all times that went by only the last
//! one counts, so a clock that jumps or a process that was away for long brings at most one exercise, never a storm.

use manifest::{ExerciseKind, Times, Timetable};
use serde::{Deserialize, Serialize};

use crate::{Notice, OpenEnum, Severity, State};

/// A wall clock that is set back by no more than this makes nothing come twice, in milliseconds: a day.
const SET_BACK_MS: u64 = 86_400_000;

/// What is known of the practice of one kind on one rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PracticeSchedule {
    /// The timetable it is reckoned by.
    pub by: Timetable,
    /// Since when there is one, in milliseconds since 1970.
    pub since_ms: u64,
    /// The next time is the first after this moment, in milliseconds since 1970: when the last one began, or the time
    /// that was given up.
    pub counted_ms: u64,
    /// `counted_ms` before the last one began, for when it is cut short through no fault of its own.
    pub before_ms: Option<u64>,
    /// The time that came and brought nothing yet.
    pub late: Option<OverdueTime>,
}

/// A time that came and brought nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverdueTime {
    /// The time, in milliseconds since 1970.
    pub due_ms: u64,
    /// What was in its way, in one clause.
    pub why: String,
    /// Were people told?
    pub said: bool,
    /// Is it given up?
    pub missed: bool,
}

/// What is in the way of practice now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PracticeBlocker {
    /// One English clause.
    pub why: String,
    /// Does it pass in a moment, so that no notice is needed?
    pub brief: bool,
}

/// What becomes of a time that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DueAction {
    /// It begins.
    Begin,
    /// Not in the present state.
    Wait,
    /// Not now, and people should know.
    Say(Notice),
}

/// Practice, as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PracticeView {
    /// What is tried.
    pub exercise: OpenEnum<ExerciseKind>,
    /// Its times in words.
    pub when: String,
    /// When the next is due, in milliseconds since 1970; not later than now: it is late.
    pub next_unix_ms: Option<u64>,
    /// The same by the wall clock of its place.
    pub next: Option<String>,
    /// What is, or was, in the way of the last time that brought nothing.
    pub late: Option<String>,
    /// Was that time given up?
    pub missed: bool,
    /// Has a time come without one that passed since, or is under way? The caller knows.
    pub overdue: bool,
}

impl PracticeSchedule {
    /// Nothing was tried yet. What is to be done every so often is due at once, a time of the week when it comes.
    #[must_use]
    pub fn new(by: &Timetable, now_ms: u64) -> Self {
        let counted_ms = match &by.times {
            Times::Every(ms) => now_ms.saturating_sub(*ms),
            Times::Weekly { .. } => now_ms,
        };
        Self { by: by.clone(), since_ms: now_ms, counted_ms, before_ms: None, late: None }
    }

    /// As the timetable says now: what went by under another one is no matter.
    #[must_use]
    pub fn under(self, by: &Timetable, now_ms: u64) -> Self {
        if self.by == *by {
            return self;
        }
        let counted_ms = match (&self.by.times, &by.times) {
            (_, Times::Weekly { .. }) => now_ms,
            (Times::Weekly { .. }, Times::Every(_)) if self.before_ms.is_none() => {
                return Self::new(by, now_ms);
            }
            _ => self.counted_ms,
        };
        Self { by: by.clone(), since_ms: now_ms, counted_ms, late: None, ..self }
    }

    /// The time that has come; of several the last. `None`: none has.
    #[must_use]
    pub fn due(&self, now_ms: u64) -> Option<u64> {
        match &self.by.times {
            Times::Every(ms) => Some(self.counted_ms.saturating_add(*ms)).filter(|due| *due <= now_ms),
            Times::Weekly { .. } => self.by.last_until(now_ms).filter(|due| *due > self.counted_ms),
        }
    }

    /// The time that has come, or the next that will.
    #[must_use]
    pub fn next(&self, now_ms: u64) -> Option<u64> {
        self.due(now_ms).or_else(|| self.by.first_after(self.counted_ms))
    }

    /// The wall clock was far ahead when this was written: reckoned from now, so that it comes again at all.
    #[must_use]
    pub fn after_clock_change(self, now_ms: u64) -> Self {
        if self.counted_ms <= now_ms.saturating_add(SET_BACK_MS) {
            return self;
        }
        let since_ms = self.since_ms.min(now_ms);
        Self { since_ms, counted_ms: now_ms, before_ms: None, late: None, ..self }
    }

    /// What becomes of a time that has come ([`Self::due`]). People hear once of what it waits for, and once when it is
    /// given up.
    #[must_use]
    pub fn turn(
        mut self,
        (rollout, what): (&str, ExerciseKind),
        due_ms: u64,
        hindrance: Option<&PracticeBlocker>,
        now_ms: u64,
    ) -> (Self, DueAction) {
        let latest_ms = self.by.within_ms().map(|within| due_ms.saturating_add(within));
        let known = self.late.take().filter(|late| late.due_ms == due_ms);
        if latest_ms.is_some_and(|latest| now_ms > latest) {
            let why = hindrance.map(|hindrance| hindrance.why.clone()).or(known.map(|late| late.why));
            let why =
                why.unwrap_or_else(|| "the controller was not there then, or its clock was set".to_owned());
            return self.give_up((rollout, what), due_ms, why, now_ms);
        }
        let Some(hindrance) = hindrance else {
            self.late = known;
            return (self, DueAction::Begin);
        };
        let said = known.is_some_and(|late| late.said);
        let say = !said && !hindrance.brief;
        let why = hindrance.why.clone();
        self.late = Some(OverdueTime { due_ms, why: why.clone(), said: said || say, missed: false });
        if !say {
            return (self, DueAction::Wait);
        }
        let until = match latest_ms {
            Some(latest) => format!("until {} at the latest", self.by.shown(latest)),
            None => "however long that takes".to_owned(),
        };
        let (what, due) = (what.words(), self.by.shown(due_ms));
        let text = format!("{rollout}: the {what} due {due} waits, {until}: {why}");
        let key = format!("{rollout}/practice/{what}/{due_ms}");
        (self, DueAction::Say(Notice { severity: Severity::Info, key, text }))
    }

    /// It would not begin, and will not another time: people hear why, and what to do.
    #[must_use]
    pub fn give_up(
        mut self,
        (rollout, what): (&str, ExerciseKind),
        due_ms: u64,
        why: String,
        now_ms: u64,
    ) -> (Self, DueAction) {
        // Done every so often, it is tried again so long after now and not at once.
        self.counted_ms = match &self.by.times {
            Times::Every(_) => now_ms,
            Times::Weekly { .. } => due_ms,
        };
        let next = self.by.first_after(now_ms).map(|at| format!(", the next is due {}", self.by.shown(at)));
        let (word, due) = (what.words(), self.by.shown(due_ms));
        let text = format!(
            "{rollout}: the {word} due {due} was missed: {why}{}; to make up for it, begin one by hand",
            next.unwrap_or_default()
        );
        self.late = Some(OverdueTime { due_ms, why, said: true, missed: true });
        let key = format!("{rollout}/practice/{word}/{due_ms}");
        (self, DueAction::Say(Notice { severity: Severity::Warning, key, text }))
    }

    /// One began, ordered or scheduled.
    #[must_use]
    pub fn began(self, now_ms: u64) -> Self {
        let before_ms = Some(self.counted_ms);
        Self { counted_ms: self.counted_ms.max(now_ms), before_ms, late: None, ..self }
    }

    /// The last one was cut short by a run that began: its time has still come.
    #[must_use]
    pub fn cut_short(self) -> Self {
        let counted_ms = self.before_ms.unwrap_or(self.counted_ms);
        Self { counted_ms, before_ms: None, ..self }
    }

    /// The time that has come since which one should have passed; `None`: none is expected yet.
    #[must_use]
    pub fn expected(&self, now_ms: u64) -> Option<u64> {
        let expected_ms = match &self.by.times {
            Times::Weekly { .. } => self.by.last_until(now_ms),
            Times::Every(ms) => match self.due(now_ms) {
                Some(due) => Some(due.max(self.since_ms.saturating_add(*ms))),
                None => Some(self.counted_ms),
            },
        };
        // Times before the timetable began do not count.
        expected_ms.filter(|expected| (self.since_ms..=now_ms).contains(expected))
    }

    /// The run, as the API shows it.
    #[must_use]
    pub fn view(&self, what: ExerciseKind, now_ms: u64) -> PracticeView {
        let next = self.next(now_ms);
        PracticeView {
            exercise: what.into(),
            when: self.by.words(),
            next_unix_ms: next,
            next: next.map(|at| self.by.shown(at)),
            late: self.late.as_ref().map(|late| late.why.clone()),
            missed: self.late.as_ref().is_some_and(|late| late.missed),
            overdue: false,
        }
    }
}

impl State {
    /// What of this run and its schedule is in the way of practice now.
    #[must_use]
    pub fn blocker(&self, what: ExerciseKind, unix_ms: u64) -> Option<PracticeBlocker> {
        let lasting = |why| Some(PracticeBlocker { why, brief: false });
        if !self.is_over() {
            let (name, run, phase) = (&self.plan.name, self.run, self.phase.name());
            return lasting(format!("run {run} of {name} is under way ({phase})"));
        }
        let practice = self.plan.practice.as_ref()?;
        let windows = self.plan.windows.as_ref()?;
        if practice.exposes(what) && self.may_expose(None).is_ok() {
            return windows.open_at(unix_ms).err().and_then(|closed| lasting(closed.why));
        }
        if practice.during_freezes { None } else { windows.frozen_at(unix_ms).and_then(lasting) }
    }
}
