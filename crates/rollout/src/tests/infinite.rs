//! Figures that are no ordinary numbers: 1/0, 0/0, and what is said of data that is missing.

use super::gates::with;
use super::story::Story;
use crate::{Event, Phase, Reading};

const INF: f64 = f64::INFINITY;

fn read(story: &mut Story, value: f64, stable: Option<f64>) {
    let reading = Reading { gate: "a".to_owned(), canary: Some(value), stable, ..Reading::default() };
    story.take(&Event::Reading(reading));
}

fn begun(lines: &str) -> Story {
    let mut story = with(lines).start();
    story.until(5, |state| state.stages.first().is_some_and(|stage| stage.acknowledged.is_some()));
    story
}

fn why(story: &Story, guards: bool) -> String {
    let view = story.state.view();
    let verdicts = if guards { view.guardrails } else { view.stages.last().expect("a stage").gates.clone() };
    verdicts.iter().find(|verdict| verdict.name == "a").expect("it").why.clone()
}

/// `terms` of a gate or a guardrail that bears no bad reading; what is read once; is it rolled back by that?
#[track_caller]
fn check(terms: &str, value: f64, stable: Option<f64>, bad: bool) {
    let compares = terms.contains("against") || terms.contains("anomaly");
    for kind in ["gates", "guardrails"].into_iter().take(if compares { 1 } else { 2 }) {
        let lines = format!("{kind}: [{{name: a, source: {{push: {{}}}}, {terms}, failureLimit: 0}}]");
        let mut story = begun(&lines);
        read(&mut story, value, stable);
        assert_eq!(
            *story.phase() == Phase::RolledBack,
            bad,
            "{kind} {terms} {value}: {}",
            story.state.message()
        );
        // What was read is written down, and read again.
        let text = serde_json::to_string(&*story.state).expect("JSON");
        let state: crate::State = serde_json::from_str(&text).expect("its own words");
        assert_eq!(state, *story.state);
        if !bad {
            assert!(
                why(&story, kind == "guardrails").contains("yet"),
                "{}",
                why(&story, kind == "guardrails")
            );
        }
    }
}

#[test]
fn an_infinite_figure_is_bad_on_the_worse_side_and_no_data_on_the_other() {
    check("max: 10", INF, None, true);
    check("max: 10", -INF, None, false);
    check("max: 10", f64::NAN, None, false);
    check("min: 0.9", -INF, None, true);
    check("min: 0.9", INF, None, false);
    check("better: lower, against: stable, margin: 5%, harm: 10%", INF, Some(1.0), true);
    check("better: lower, against: stable, margin: 5%, harm: 10%", -INF, Some(1.0), false);
    check("better: higher, against: stable, margin: 5%, harm: 10%", -INF, Some(1.0), true);
    // Nothing can be held against what is infinite itself.
    check("better: lower, against: stable, margin: 5%, harm: 10%", 1.0, Some(INF), false);
    check("better: lower, anomaly: {}", INF, None, true);
}

#[test]
fn what_is_infinite_is_called_so() {
    let mut story = begun("guardrails: [{name: a, source: {push: {}}, max: 10, failureLimit: 2}]");
    read(&mut story, INF, None);
    assert!(why(&story, true).contains("a is infinite"), "{}", why(&story, true));
}

/// "No data" alone leaves a person to guess.
#[test]
fn why_there_is_no_data_is_said() {
    let old = Some("the query's newest value is 53m old".to_owned());
    let source = "source: {http: {url: 'http://q', jsonPointer: /a}}, max: 1";
    for (lines, guards) in [
        (format!("gates: [{{name: a, {source}}}]"), false),
        (format!("guardrails: [{{name: a, {source}}}]"), true),
    ] {
        let mut story = begun(&lines);
        for times in 1..6 {
            let reading = Reading { gate: "a".to_owned(), missing: old.clone(), ..Reading::default() };
            story.take(&Event::Reading(reading));
            let why = why(&story, guards);
            assert!(why.contains("53m old"), "{times}: {why}");
        }
        read(&mut story, 0.5, None);
        assert!(!why(&story, guards).contains("53m old"));
    }
}
