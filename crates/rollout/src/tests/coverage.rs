//! What counts do not tell of is no bake and no window, and what nobody lived through is no deadline.

use super::story::{Story, human};
use crate::{Event, Interval, Phase};

const LINES: &str = "stages: [{weight: 50%, bake: 30s, deadline: 5m, gates: []}, {weight: 100%, bake: 1h}]
noData: {after: 1h}
";

fn story(lines: &str) -> Story {
    let mut story = Story::of(lines).start();
    story.until(5, |state| state.stages.first().is_some_and(|stage| stage.acknowledged.is_some()));
    story
}

fn baked(story: &Story) -> u64 {
    story.state.stages[0].baked_ms
}

/// `n` ticks of a controller that gets no counts.
fn blind(story: &mut Story, n: u64) {
    story.counted = false;
    (0..n).for_each(|_| story.second());
    story.counted = true;
}

#[test]
fn an_outage_of_the_controller_is_no_bake_no_deadline_and_completes_nothing() {
    for away_ms in [6_000, 32_000, 59_000, 3_600_000] {
        let mut story = story(LINES);
        (0..3).for_each(|_| story.second());
        let before = (baked(&story), story.state.stages[0].spent_ms);
        story.ms += away_ms;
        story.take(&Event::Tick);
        assert_eq!(baked(&story), before.0, "{away_ms}");
        story.second();
        let stage = &story.state.stages[0];
        assert!((before.0..=before.0 + 1_000).contains(&stage.baked_ms), "{away_ms}: {}", stage.baked_ms);
        assert!(stage.spent_ms <= before.1 + 6_000, "{away_ms}: {}", stage.spent_ms);
        let left = story.until(60, |state| state.stage == 1);
        assert!(left >= 25, "{away_ms}: {left}");
    }
    // What was complete but for a moment waits for a look of its own.
    let mut story = story(LINES);
    story.until(60, |state| state.stages[0].baked_ms >= 29_000);
    story.state.stages[0].baked_ms = 30_000;
    story.ms += 32_000;
    story.take(&Event::Tick);
    assert_eq!(story.state.stage, 0);
    story.second();
    assert_eq!(story.state.stage, 1, "{} {:?}", story.state.message(), story.state.coverage);
}

#[test]
fn time_without_counts_is_no_bake_and_a_look_covers_no_more_than_it_lasted() {
    let mut story = story(LINES);
    (0..3).for_each(|_| story.second());
    let before = baked(&story);
    blind(&mut story, 20);
    assert_eq!(baked(&story), before);
    story.second();
    assert!(baked(&story) <= before + 2_000, "{} after {before}", baked(&story));
    // A look that was long in coming and tells of all the time since covers all of it.
    let (epoch, from_ms) = (story.state.epoch, story.ms);
    let before = baked(&story);
    blind(&mut story, 10);
    let late = Interval { epoch, from_ms, to_ms: story.ms, ..Interval::default() };
    story.take(&Event::Interval(Box::new(late)));
    assert!((before + 9_000..=before + 11_000).contains(&baked(&story)), "{} after {before}", baked(&story));
    // One that was lost covers nothing.
    let before = baked(&story);
    story.counted = false;
    story.second();
    let lost =
        Interval { epoch, from_ms, to_ms: story.ms, gap: Some("lost".to_owned()), ..Interval::default() };
    story.take(&Event::Interval(Box::new(lost)));
    assert_eq!(baked(&story), before);
}

#[test]
fn looks_that_come_early_and_late_lose_nothing() {
    let mut story = story(LINES);
    story.counted = false;
    let begun = (baked(&story), story.ms);
    for (at, to) in [(1_400, 1_000), (2_050, 2_000), (3_300, 3_000), (4_010, 4_000), (5_000, 5_000)] {
        story.ms = begun.1 + at;
        let (from_ms, to_ms) = (begun.1 + to - 1_000, begun.1 + to);
        let look = Interval { epoch: story.state.epoch, from_ms, to_ms, ..Interval::default() };
        story.take(&Event::Interval(Box::new(look)));
    }
    assert_eq!(baked(&story) - begun.0, 5_000);
}

#[test]
fn a_window_of_readings_is_as_long_in_counts_as_it_says() {
    let lines = "stages: [{weight: 50%, bake: 1s, deadline: 5h}, {weight: 100%, bake: 1h}]
gates: [{name: e, metric: error_rate, max: 20%, every: 1m, consecutive: 2}]
";
    let good = |story: &Story| story.state.view().stages[0].gates[0].why.clone();
    let mut story = story(lines);
    story.until(120, |state| state.verdicts()[0].why.contains("1 of 2"));
    (0..5).for_each(|_| story.second());
    story.ms += 58_000;
    (0..5).for_each(|_| story.second());
    assert_eq!((story.state.stage, story.phase()), (0, &Phase::Progressing), "{}", good(&story));
    story.until(60, |state| state.stage == 1);
}

#[test]
fn a_stage_that_waits_for_a_window_spends_nothing_of_its_deadline() {
    let lines = format!("{LINES}windows: {{freezes: [{{from: 1970-01-02, to: 1970-01-03}}]}}");
    let mut story = Story::of(&lines);
    story.ms = 86_400_000 - 20_000;
    story.state.last = crate::Now::at_ms(story.ms);
    let mut story = story.start();
    story.until(60, |state| state.is_complete());
    (0..1_200).for_each(|_| story.second());
    assert!(story.state.stages[0].spent_ms < 40_000, "{}", story.state.stages[0].spent_ms);
    // One moment without evidence is no reason to end what had it.
    blind(&mut story, 10);
    assert_eq!((story.state.stage, story.phase()), (0, &Phase::Progressing));
    story.take(&Event::Abort(human()));
}
