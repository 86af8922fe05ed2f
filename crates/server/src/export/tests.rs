use rollout::{Counts, Event, Human, Interval, Now, Reading, State, step};

use serde_json::Value;

use super::*;
use store::{Change, Entry, Kind, Sample, Store, Writing};

const SPEC: &str = "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {name: ranker}\nspec:\n  stable: {version: v1}\n  canary: {version: v2}\n";

/// A run in its first stage, which was measured twice, and whose gate once changed its answer.
fn told(file: &std::path::Path) -> State {
    let mut store = Store::open(file).expect("a store");
    let plan = manifest::load(SPEC).expect("a rollout").plan;
    let human = Human { who: "anna".into(), reason: String::new() };
    let (state, _) = step(State::new(plan, 1, 0, Now::at_ms(1_000)), &Event::Start(human), Now::at_ms(2_000));
    let acks = rollout::Acks { publication: 1, acknowledged: 1, connected: 1, ..rollout::Acks::default() };
    let (state, _) = step(state, &Event::Acks(acks), Now::at_ms(3_000));
    let (state, _) = step(state, &Event::Interval(Box::default()), Now::at_ms(3_000));
    let canary = Counts { assigned: 12, finished: 10, outcomes: 9, errors: 1, gone: 1, ..Counts::default() };
    let interval = Interval { epoch: 2, from_ms: 3_000, to_ms: 4_000, canary, ..Interval::default() };
    let reading = Reading { gate: "ctr".into(), canary: Some(0.25), ..Reading::default() };
    let samples: Vec<Sample> = [Event::Interval(Box::new(interval)), Event::Reading(reading)]
        .iter()
        .filter_map(|event| Sample::of(&state, event, 5_000))
        .collect();
    let verdict = serde_json::json!({"stage": 1, "gate": {"name": "errors", "verdict": "pass", "n_canary": 9, "why": "few, \"very\" few"}});
    let entries = [
        Entry { who: Some("anna".into()), why: Some("a, b".into()), ..Entry::new(2_000, Kind::Act, "apply") },
        Entry::new(4_000, Kind::Verdict, "errors: pass").with(&verdict),
    ];
    let writing = Writing { spec: SPEC, state: &state, generation: 2, entries: &entries, samples: &samples };
    let change = Change { runs: &[writing], generation: 2, ..Change::default() };
    store.commit(&change).expect("written");
    state
}

fn exported(file: &std::path::Path, filter: &Filter, format: Format, what: Option<Wanted>) -> String {
    let mut out = Vec::new();
    write(&Archive::of(file), filter, format, what, &mut out).expect("exported");
    String::from_utf8(out).expect("text")
}

#[test]
fn every_table_is_written_as_csv() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    told(&file);
    for (what, lines) in [
        (
            Wanted::Runs,
            vec!["ranker,1,v1,v2,Progressing,1970-01-01T00:00:01.000Z,1970-01-01T00:00:03.000Z,1,"],
        ),
        (Wanted::Stages, vec!["ranker,1,1,"]),
        (
            Wanted::Gates,
            vec!["ranker,1,1970-01-01T00:00:04.000Z,1,errors,pass,,,9,,,,,\"few, \"\"very\"\" few\""],
        ),
        (
            Wanted::Measurements,
            vec![
                "ranker,1,1970-01-01T00:00:03.000Z,1970-01-01T00:00:04.000Z,1,1,",
                "ranker,1,1970-01-01T00:00:03.000Z,1970-01-01T00:00:04.000Z,1,1,",
                "ranker,1,1970-01-01T00:00:05.000Z,1970-01-01T00:00:05.000Z,1,1,,,,canary,,,,,,,,,,,,ctr,0.25,",
            ],
        ),
        (
            Wanted::History,
            vec![
                "1,1970-01-01T00:00:02.000Z,ranker,1,act,anna,apply,\"a, b\",,",
                "2,1970-01-01T00:00:04.000Z,ranker,1,verdict,,errors: pass,,",
            ],
        ),
    ] {
        let text = exported(&file, &Filter::default(), Format::Csv, Some(what));
        let mut written = text.lines();
        let header = written.next().expect("a header");
        let columns = header.split(',').count();
        assert!(header.starts_with("name,run,") || header.starts_with("seq,"), "{header}");
        let written: Vec<&str> = written.collect();
        assert_eq!(written.len(), lines.len(), "{what:?}: {text}");
        for (line, begins) in written.iter().zip(&lines) {
            assert!(line.starts_with(begins), "{what:?}: {line} does not begin with {begins}");
        }
        let records = csv_columns(&text);
        assert!(records.iter().all(|n| *n == columns), "{what:?}: {records:?} of {columns}");
    }
}

fn csv_columns(text: &str) -> Vec<usize> {
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    reader.records().map(|record| record.expect("a record").len()).collect()
}

#[test]
fn json_holds_everything_and_says_when_somebody_changed_the_journal() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let state = told(&file);
    let all = || -> Value {
        serde_json::from_str(&exported(&file, &Filter::default(), Format::Json, None)).expect("JSON")
    };
    let run = &all()[0];
    assert_eq!(run["spec"], SPEC);
    assert_eq!(run["view"], serde_json::to_value(state.view()).expect("a view"));
    assert_eq!(run["stages"].as_array().map(Vec::len), Some(state.stages.len()));
    assert_eq!(run["measurements"][0]["counts"]["interval"]["canary"]["errors"], 1);
    assert_eq!(run["measurements"][1]["reading"]["reading"]["gate"], "ctr");
    assert_eq!((&run["journal"][0]["why"], &run["journal_broken_at"]), (&"a, b".into(), &Value::Null));

    // Whoever gets past the trigger still breaks the chain.
    let store = rusqlite::Connection::open(&file).expect("the store");
    store
        .execute_batch("DROP TRIGGER journal_stays; UPDATE journal SET why = 'c' WHERE seq = 1")
        .expect("changed");
    assert_eq!(all()[0]["journal_broken_at"], 1);
}

#[test]
fn only_what_is_asked_for_is_written() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    told(&file);
    for (filter, found) in [
        (Filter { name: Some("ranker".into()), ..Filter::default() }, true),
        (Filter { name: Some("other".into()), ..Filter::default() }, false),
        (Filter { run: Some(1), ..Filter::default() }, true),
        (Filter { run: Some(2), ..Filter::default() }, false),
        (Filter { since_ms: Some(3_000), ..Filter::default() }, true),
        (Filter { since_ms: Some(3_001), ..Filter::default() }, false),
        (Filter { until_ms: Some(1_000), ..Filter::default() }, true),
        (Filter { until_ms: Some(999), ..Filter::default() }, false),
    ] {
        let text = exported(&file, &filter, Format::Json, Some(Wanted::Runs));
        let runs: Vec<Value> = serde_json::from_str(&text).expect("JSON");
        assert_eq!(runs.len(), usize::from(found), "{filter:?}");
        assert!(runs.iter().all(|run| run["journal"].is_null()));
    }
}

/// A state that this serin cannot read is not lost to the export.
#[test]
fn what_cannot_be_read_is_passed_on_as_it_is() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    told(&file);
    let store = rusqlite::Connection::open(&file).expect("the store");
    store.execute_batch("UPDATE rollout SET state = '{\"run\": 1, \"of\": \"tomorrow\"}'").expect("changed");
    let runs: Value =
        serde_json::from_str(&exported(&file, &Filter::default(), Format::Json, None)).expect("JSON");
    assert_eq!(runs[0]["state"]["of"], "tomorrow");
    assert!(runs[0]["unreadable"].as_str().is_some_and(|why| why.contains("ranker run 1")));
}
