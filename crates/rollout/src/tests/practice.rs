//! Practice by a timetable, on clocks that go on, stand still and jump.

use manifest::{ExerciseKind, Timetable};

use super::story::{HEAD, human};
use crate::{
    Admission, DueAction, Event, Now, PracticeBlocker, PracticeSchedule, Severity, State, admit, step,
};

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
/// 2026-11-23 is a Monday; its 09:00 in UTC.
const MONDAY: u64 = 1_795_424_400_000;

fn plan(lines: &str) -> manifest::Plan {
    let text = format!("{HEAD}{lines}");
    manifest::load(&text).unwrap_or_else(|problems| panic!("{problems}")).plan
}

fn timetable(when: &str) -> Timetable {
    let plan = plan(&format!("  practice: {{drill: {{{when}}}}}\n"));
    plan.practice.and_then(|practice| practice.drill).expect("a drill").timetable
}

const WEEKLY: &str = "at: [{days: [mon], time: '09:00'}]";
const OFTEN: &str = "every: 7d";

/// A rollout in whose way something may stand, looked at now and then.
struct Diary {
    schedule: PracticeSchedule,
    by: Timetable,
    hindrance: Option<PracticeBlocker>,
    begun: Vec<u64>,
    told: Vec<(Severity, String)>,
}

impl Diary {
    fn new(when: &str, now_ms: u64) -> Self {
        let by = timetable(when);
        let schedule = PracticeSchedule::new(&by, now_ms);
        Self { schedule, by, hindrance: None, begun: Vec::new(), told: Vec::new() }
    }

    fn look(&mut self, now_ms: u64) {
        // What is stored can be taken up at any moment.
        let text = serde_json::to_string(&self.schedule).expect("JSON");
        let schedule: PracticeSchedule = serde_json::from_str(&text).expect("read back");
        let schedule = schedule.under(&self.by, now_ms).after_clock_change(now_ms);
        let Some(due) = schedule.due(now_ms) else {
            self.schedule = schedule;
            return;
        };
        let what = ("ranker", ExerciseKind::Drill);
        let (schedule, turn) = schedule.turn(what, due, self.hindrance.as_ref(), now_ms);
        self.schedule = match turn {
            DueAction::Begin => {
                self.begun.push(now_ms);
                schedule.began(now_ms)
            }
            DueAction::Wait => schedule,
            DueAction::Say(notice) => {
                self.told.push((notice.severity, notice.text));
                schedule
            }
        };
    }

    /// Looks every ten minutes, until a moment and at it.
    fn live(&mut self, from_ms: u64, to_ms: u64) {
        (from_ms..=to_ms).step_by(600_000).for_each(|now_ms| self.look(now_ms));
    }

    fn hinder(&mut self, why: Option<&str>) {
        self.hindrance = why.map(|why| PracticeBlocker { why: why.to_owned(), brief: false });
    }
}

#[test]
fn what_is_done_every_so_often_is_done_at_once_and_then_so_often() {
    let mut diary = Diary::new(OFTEN, MONDAY);
    diary.live(MONDAY, MONDAY + 15 * DAY);
    assert_eq!(diary.begun, [MONDAY, MONDAY + 7 * DAY, MONDAY + 14 * DAY]);
    assert!(diary.told.is_empty());
}

#[test]
fn a_time_of_the_week_is_waited_for() {
    let mut diary = Diary::new(WEEKLY, MONDAY + DAY);
    diary.live(MONDAY + DAY, MONDAY + 15 * DAY);
    assert_eq!(diary.begun, [MONDAY + 7 * DAY, MONDAY + 14 * DAY]);
}

#[test]
fn of_all_that_went_by_while_nobody_looked_one_is_made_up_for() {
    let mut diary = Diary::new(OFTEN, MONDAY);
    diary.look(MONDAY);
    diary.live(MONDAY + 100 * DAY, MONDAY + 101 * DAY);
    assert_eq!(diary.begun, [MONDAY, MONDAY + 100 * DAY]);

    // Of times of the week none, when it is too late for the last; people hear of one.
    let mut diary = Diary::new(WEEKLY, MONDAY);
    diary.live(MONDAY + 30 * DAY, MONDAY + 31 * DAY);
    assert!(diary.begun.is_empty());
    let [(Severity::Warning, said)] = diary.told.as_slice() else { panic!("{:?}", diary.told) };
    for part in [
        "the drill due Mon 2026-12-21 09:00 UTC was missed",
        "controller was not there",
        "next is due Mon 2026-12-28",
    ] {
        assert!(said.contains(part), "{part:?} is missing in {said}");
    }
    // And the last one, when it is not.
    let mut diary = Diary::new(WEEKLY, MONDAY);
    diary.live(MONDAY + 28 * DAY + HOUR / 2, MONDAY + 31 * DAY);
    assert_eq!(diary.begun, [MONDAY + 28 * DAY + HOUR / 2]);
}

#[test]
fn what_is_hindered_waits_and_people_hear_of_it_once() {
    let mut diary = Diary::new(OFTEN, MONDAY);
    diary.hinder(Some("run 3 of ranker is under way"));
    diary.live(MONDAY, MONDAY + 20 * DAY);
    let [(Severity::Info, said)] = diary.told.as_slice() else { panic!("{:?}", diary.told) };
    assert!(said.contains("waits, however long that takes: run 3 of ranker"), "{said}");
    diary.hinder(None);
    diary.live(MONDAY + 20 * DAY, MONDAY + 26 * DAY);
    assert_eq!(diary.begun, [MONDAY + 20 * DAY]);

    // A time of the week is given up after an hour, once, and comes again.
    let mut diary = Diary::new(WEEKLY, MONDAY - DAY);
    diary.hinder(Some("run 3 of ranker is under way"));
    diary.live(MONDAY - DAY, MONDAY + DAY);
    let [(Severity::Info, waits), (Severity::Warning, missed)] = diary.told.as_slice() else {
        panic!("{:?}", diary.told)
    };
    assert!(waits.contains("until Mon 2026-11-23 10:00 UTC at the latest"), "{waits}");
    assert!(missed.contains("was missed: run 3 of ranker"), "{missed}");
    let view = diary.schedule.view(ExerciseKind::Drill, MONDAY + DAY);
    assert!(view.missed && view.next_unix_ms == Some(MONDAY + 7 * DAY), "{view:?}");
    diary.hinder(None);
    diary.live(MONDAY + DAY, MONDAY + 7 * DAY);
    assert_eq!(diary.begun, [MONDAY + 7 * DAY]);

    // Of what is gone in a moment nobody hears.
    let mut diary = Diary::new(WEEKLY, MONDAY - DAY);
    diary.hindrance = Some(PracticeBlocker { why: "others come first".to_owned(), brief: true });
    diary.live(MONDAY - DAY, MONDAY + HOUR);
    assert_eq!((diary.told.len(), diary.schedule.late.is_some()), (0, true));
}

#[test]
fn a_clock_that_jumps_brings_one_more_at_most_and_never_ends_it() {
    // Ahead by a year, and back again.
    let mut diary = Diary::new(OFTEN, MONDAY);
    diary.live(MONDAY, MONDAY + DAY);
    diary.live(MONDAY + 366 * DAY, MONDAY + 366 * DAY + HOUR);
    diary.live(MONDAY + DAY, MONDAY + 9 * DAY);
    assert_eq!(diary.begun, [MONDAY, MONDAY + 366 * DAY, MONDAY + 8 * DAY]);
    // Back by a second, right after it began.
    let mut diary = Diary::new(WEEKLY, MONDAY - HOUR);
    diary.look(MONDAY + 10);
    diary.look(MONDAY - 990);
    diary.live(MONDAY + 10, MONDAY + DAY);
    assert_eq!(diary.begun, [MONDAY + 10]);
}

#[test]
fn a_person_who_tries_it_and_a_run_that_cuts_it_short_count() {
    let mut diary = Diary::new(OFTEN, MONDAY);
    diary.look(MONDAY);
    diary.schedule = diary.schedule.clone().began(MONDAY + 3 * DAY);
    diary.live(MONDAY + 3 * DAY, MONDAY + 11 * DAY);
    assert_eq!(diary.begun, [MONDAY, MONDAY + 10 * DAY], "by hand counts");
    diary.schedule = diary.schedule.clone().cut_short();
    diary.live(MONDAY + 11 * DAY, MONDAY + 12 * DAY);
    assert_eq!(diary.begun.last(), Some(&(MONDAY + 11 * DAY)), "made up for");
}

#[test]
fn it_is_overdue_while_none_has_passed_since_its_time() {
    let at = |schedule: &PracticeSchedule, passed: Option<u64>, now| {
        schedule.expected(now).is_some_and(|ms| passed.is_none_or(|passed| passed < ms))
    };
    let new = PracticeSchedule::new(&timetable(OFTEN), MONDAY);
    assert!(!at(&new, None, MONDAY + DAY), "the first has seven days");
    assert!(at(&new, None, MONDAY + 7 * DAY));
    let began = new.began(MONDAY + DAY);
    assert!(at(&began, None, MONDAY + DAY), "it began, and has not passed");
    assert!(!at(&began, Some(MONDAY + DAY + 4), MONDAY + 8 * DAY - 1));
    assert!(at(&began, Some(MONDAY + DAY + 4), MONDAY + 8 * DAY));
    let weekly = PracticeSchedule::new(&timetable(WEEKLY), MONDAY + DAY);
    assert!(!at(&weekly, None, MONDAY + 6 * DAY), "the Monday before it is no matter");
    assert!(at(&weekly, Some(MONDAY + 6 * DAY), MONDAY + 7 * DAY));
    assert!(!at(&weekly, Some(MONDAY + 7 * DAY), MONDAY + 7 * DAY));
}

#[test]
fn another_timetable_begins_afresh() {
    let mut diary = Diary::new(OFTEN, MONDAY);
    diary.look(MONDAY);
    diary.by = timetable(WEEKLY);
    diary.live(MONDAY + 2 * DAY, MONDAY + 6 * DAY);
    assert_eq!((diary.begun.len(), diary.told.len()), (1, 0), "the Monday that went by was never its time");
    diary.by = timetable("every: 1d");
    diary.look(MONDAY + 6 * DAY);
    assert_eq!(diary.begun.last(), Some(&(MONDAY + 6 * DAY)));
}

fn begun(lines: &str) -> State {
    let (state, _) =
        step(State::new(plan(lines), 1, 0, Now::at_ms(0)), &Event::Start(human()), Now::at_ms(1));
    state
}

#[test]
fn a_run_windows_and_freezes_are_in_its_way() {
    #[track_caller]
    fn check(state: &State, unix_ms: u64, expected: Option<&str>) {
        let why = state.blocker(ExerciseKind::Drill, unix_ms).map(|hindrance| hindrance.why);
        match (why, expected) {
            (None, None) => {}
            (Some(why), Some(part)) => assert!(why.contains(part), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    let over = |state: State, phase| State { phase, ..state };
    let windows = "  windows: {open: [{days: [mon], from: '09:00', to: '10:00'}], freezes: [{from: 2026-11-24, to: 2026-11-25, reason: audit}]}\n";
    let live = begun(&format!("  practice: {{drill: {{{OFTEN}}}}}\n{windows}"));
    check(&live, MONDAY, Some("run 1 of ranker is under way (Pending)"));
    let rests = over(live, crate::Phase::Succeeded);
    check(&rests, MONDAY, None);
    check(&rests, MONDAY + 12 * HOUR, None);
    check(&rests, MONDAY + DAY, Some("frozen until the end of 2026-11-25 (audit)"));
    let anyway = begun(&format!("  practice: {{duringFreezes: true, drill: {{{OFTEN}}}}}\n{windows}"));
    check(&over(anyway, crate::Phase::Succeeded), MONDAY + DAY, None);
    // Whoever exposes somebody keeps to the windows; what was rolled back is exposed to nobody.
    let lines = format!("  practice: {{duringFreezes: true, drill: {{{OFTEN}, weight: 1%}}}}\n{windows}");
    let exposes = begun(&lines);
    check(&over(exposes.clone(), crate::Phase::Succeeded), MONDAY, None);
    check(&over(exposes.clone(), crate::Phase::Succeeded), MONDAY + 12 * HOUR, Some("outside its windows"));
    check(&over(exposes, crate::Phase::RolledBack), MONDAY + 12 * HOUR, None);
}

#[test]
fn another_schedule_is_no_other_rollout() {
    let scheduled = plan(&format!("  practice: {{drill: {{{OFTEN}}}}}\n"));
    let live = begun("");
    assert_eq!(admit(Some(&live), &scheduled, false), Admission::Practice);
    let (back, _) = step(live, &Event::Abort(human()), Now::at_ms(5));
    assert_eq!(admit(Some(&back), &scheduled, false), Admission::Practice, "not tried again");
    assert!(matches!(admit(Some(&back), &scheduled, true), Admission::Begin { run: 2, .. }));
    let practice = Event::Practice { human: human(), practice: scheduled.practice.clone() };
    let (changed, effects) = step(back, &practice, Now::at_ms(6));
    assert_eq!((*changed.plan == scheduled, changed.is_over(), effects.len()), (true, true, 1));
    assert!(matches!(admit(Some(&changed), &scheduled, false), Admission::Refused(_)));
    let (same, effects) = step(changed.clone(), &practice, Now::at_ms(7));
    assert_eq!((same.history.len(), effects.len()), (changed.history.len(), 0));
}
