//! Readings that are out of line, and what is done about figures of the user's own beside limits.

use judge::anomaly::Spread;

use super::gates::{rolled_back_by, with};
use super::story::Story;
use crate::{Answer, Event, Phase, Reading, RollbackBy};

const HISTORY: &str =
    "source: {prometheus: {url: 'http://p', query: f}}, anomaly: {history: {over: 6h, step: 5m}}";

/// At its first stage, with a gate of these lines.
fn story(gate: &str) -> Story {
    let mut story = with(&format!("gates: [{{name: a, better: higher, {gate}}}]")).start();
    story.until(5, |state| state.stages.first().is_some_and(|stage| stage.acknowledged.is_some()));
    story
}

fn take(story: &mut Story, canary: f64, stable: Option<f64>, history: Option<Spread>) -> (Answer, String) {
    let reading =
        Reading { gate: "a".to_owned(), canary: Some(canary), stable, history, ..Reading::default() };
    story.take(&Event::Reading(reading));
    let verdict = &story.state.stages[0].gates[0];
    (verdict.answer, verdict.why.clone())
}

/// Twelve readings of stable with median 10 and MAD 0.3, the canary's beside them with the same spread.
fn told(story: &mut Story) {
    for step in [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 1.0, -1.0, 4.0, -4.0, 0.0] {
        let value = 10.0 + 0.3 * step / 2.0;
        let (answer, why) = take(story, value, Some(value), None);
        assert_eq!(answer, Answer::Insufficient, "{why}");
    }
}

#[test]
fn a_reading_is_held_against_stables_and_only_the_worse_side_counts() {
    let push = "source: {push: {}}, failureLimit: 9, consecutive: 2";
    let mut story = self::story(&format!("{push}, anomaly: {{}}"));
    let (_, why) = take(&mut story, 10.0, Some(10.0), None);
    assert!(why.contains("0 of 12 readings to compare it with"), "{why}");
    told(&mut story);
    // A fall is an outlier, a rise is none, and neither is one in line.
    let (answer, why) = take(&mut story, 7.0, Some(10.0), None);
    assert_eq!(answer, Answer::Insufficient);
    assert!(why.contains("an outlier, ") && why.contains("deviations below 10, the median of 13"), "{why}");
    assert!(why.contains("1 bad"), "{why}");
    take(&mut story, 13.0, Some(10.0), None);
    assert_eq!(take(&mut story, 10.1, Some(10.0), None).0, Answer::Pass);

    // Either side, where that is asked for.
    let mut story = self::story(&format!("{push}, anomaly: {{sides: both}}"));
    told(&mut story);
    let (_, why) = take(&mut story, 13.0, Some(10.0), None);
    assert!(why.contains("deviations above 10, the median of 12"), "{why}");

    // What befalls stable as well is nobody's fault.
    let mut story = self::story(&format!("{push}, anomaly: {{}}"));
    told(&mut story);
    let (_, why) = take(&mut story, 7.0, Some(7.1), None);
    assert!(why.contains("an outlier, and so is stable") && why.contains("0 bad"), "{why}");

    // A wider limit, and a distance too small to matter.
    for anomaly in ["{z: 20}", "{least: 40%}", "{least: 310pp}"] {
        let mut story = self::story(&format!("{push}, anomaly: {anomaly}"));
        told(&mut story);
        let (_, why) = take(&mut story, 7.0, Some(10.0), None);
        assert!(!why.contains("outlier"), "{anomaly}: {why}");
    }
}

/// Where the canary's share is small its figures are noisier than stable's, and no worse for it.
#[test]
fn a_noisy_canary_is_held_by_its_own_spread() {
    let mut story = self::story("source: {push: {}}, anomaly: {}, failureLimit: 9");
    for step in [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 1.0, -1.0, 4.0, -4.0, 0.0] {
        take(&mut story, 10.0 + step, Some(10.0 + 0.1 * step), None);
    }
    let (_, why) = take(&mut story, 6.5, Some(10.0), None);
    assert!(!why.contains("outlier"), "{why}");
}

#[test]
fn without_stables_figures_its_own_past_is_the_series_over_all_stages() {
    let lines = "stages: [{weight: 5%, bake: 1s}, {weight: 10%, bake: 1h}, {weight: 100%, bake: 1s}]
gates: [{name: a, better: higher, source: {push: {}}, anomaly: {minReadings: 5}, consecutive: 1, failureLimit: 0}]";
    let mut story = Story::of(lines).start();
    story.until(5, |state| state.stages.first().is_some_and(|stage| stage.acknowledged.is_some()));
    for value in [10.0, 10.2, 9.8, 10.1, 9.9] {
        take(&mut story, value, None, None);
    }
    take(&mut story, 10.0, None, None);
    story.until(5, |state| state.stages.get(1).is_some_and(|stage| stage.acknowledged.is_some()));
    take(&mut story, 5.0, None, None);
    assert_eq!(rolled_back_by(&story), Some(RollbackBy::Gate("a".to_owned())));
    let reason = story.state.rollback.clone().unwrap().reason;
    assert!(reason.contains("1 bad readings, 0 are borne; a is 5, an outlier"), "{reason}");
}

#[test]
fn what_prometheus_had_before_is_the_series_where_it_is_asked_for() {
    let spread = |n: u64| Spread { n, median: 10.0, mad: 0.3, mean_deviation: 0.4 };
    let mut story = self::story(&format!("{HISTORY}, consecutive: 1, failureLimit: 0"));
    let question = &story.state.questions()[0];
    assert_eq!(question.history.map(|range| range.over.ms()), Some(21_600_000));
    for few in [None, Some(spread(11))] {
        let (answer, why) = take(&mut story, 5.0, None, few);
        assert_eq!(answer, Answer::Insufficient, "{why}");
        assert!(why.contains("of 12 readings to compare it with"), "{why}");
    }
    assert_eq!(take(&mut story, 10.1, None, Some(spread(72))).0, Answer::Pass);
    take(&mut story, 5.0, None, Some(spread(72)));
    assert_eq!(*story.phase(), Phase::RolledBack);
}

#[test]
fn a_bound_and_a_series_both_hold() {
    let gate = "source: {push: {}}, min: 9, failBelow: 8, anomaly: {minReadings: 5}, consecutive: 1, failureLimit: 9";
    let mut story = self::story(gate);
    // Worse than the limit is bad before there is a series, and so is an outlier that keeps the limit.
    assert!(take(&mut story, 7.0, None, None).1.contains("1 bad"));
    for value in [10.0, 10.01, 9.99, 10.0, 10.02, 9.98] {
        take(&mut story, value, None, None);
    }
    assert!(take(&mut story, 9.5, None, None).1.contains("2 bad"));
    assert_eq!(take(&mut story, 10.0, None, None).0, Answer::Pass);
}

/// A comparison has nothing to compare with once the canary has everything: it is not asked, and holds nothing up.
#[test]
fn at_100_percent_a_comparison_is_neither_asked_nor_missed() {
    let lines = |gate: &str| {
        format!(
            "stages: [{{weight: 5%, bake: 1s, gates: []}}, {{weight: 100%, bake: 10m}}]
handBack: {{endpoints: [http://stable], step: 1s}}
gates: [{{name: a, better: higher, source: {{prometheus: {{url: 'http://p', query: f, stableQuery: g}}}}, \
against: stable, margin: 5%, noData: {{limit: 0, action: rollback}}, {gate}}}]"
        )
    };
    let at_all = |state: &crate::State| state.stages.get(1).is_some_and(|stage| stage.acknowledged.is_some());
    let mut story = Story::of(&lines("anomaly: {}")).start();
    story.until(60, at_all);
    assert_eq!(story.state.questions(), []);
    story.take(&Event::Reading(Reading { gate: "a".to_owned(), ..Reading::default() }));
    story.ends(1_000);
    assert_eq!(*story.phase(), Phase::Succeeded, "{}", story.state.message());
    // A limit of its own holds there too, by the canary's value alone.
    let mut story = Story::of(&lines("min: 0.9, consecutive: 1")).start();
    story.until(60, at_all);
    let wanted: Vec<bool> = story.state.wanted().iter().map(|wanted| wanted.compares).collect();
    assert_eq!((story.state.questions().len(), wanted), (1, vec![false]));
    let reading = Reading { gate: "a".to_owned(), canary: Some(0.95), ..Reading::default() };
    story.take(&Event::Reading(reading));
    assert_eq!(story.state.stages[1].gates[0].answer, Answer::Pass);
}
