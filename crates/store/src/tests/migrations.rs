//! Stores that an older serin wrote.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use rollout::Interval;
use sha2::{Digest as _, Sha256};

use super::*;

/// The form with which the journal came; from then on the serin that wrote the store kept it.
const JOURNAL: usize = 5;

/// The form with which measurements came.
const MEASURED: usize = 6;

/// Runs as the serin of form 2 wrote them: their states must be read for ever.
fn written() -> Vec<serde_json::Value> {
    let lines = include_str!("form-2.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).expect("a line of the fixture")).collect()
}

/// A store of an earlier form, with a present run and one before it.
fn of_form(form: usize, file: &Path) {
    let old = Connection::open(file).expect("a file");
    old.execute_batch(&super::super::migrations::until(form)).expect("the old form");
    old.execute_batch("INSERT INTO meta VALUES ('incarnation', 17), ('generation', 7), ('revoked_below', 3)")
        .expect("the mesh");
    let runs = written();
    let [past, present] = runs.as_slice() else { panic!("two runs") };
    old.execute(
        "INSERT INTO past_run VALUES ('ranker', 1, ?, ?, 5)",
        params![past["spec"].as_str(), past["state"].to_string()],
    )
    .expect("the run before");
    let mut state = present["state"].clone();
    state["run"] = 2.into();
    old.execute(
        "INSERT INTO rollout VALUES ('ranker', ?, ?, 7, 5)",
        params![present["spec"].as_str(), state.to_string()],
    )
    .expect("the present run");
    if form >= MEASURED {
        let interval = serde_json::to_value(Interval::default()).expect("JSON");
        let looks = serde_json::json!([
            {"counts": {"stage": 1, "weight_ppm": 50_000, "looks": 1, "interval": interval}}
        ]);
        let mut packed = DeflateEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(looks.to_string().as_bytes()).expect("packed");
        old.execute(
            "INSERT INTO measured (name, run, from_ms, to_ms, thinned, looks) VALUES ('ranker', 2, 1, 2, 0, ?)",
            [packed.finish().expect("packed")],
        )
        .expect("what was measured");
    }
}

#[track_caller]
fn check(form: usize) {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    of_form(form, &file);
    for opened in 1..=2 {
        let mut store = Store::open(&file).expect("opened");
        let mesh = Mesh {
            incarnation: store.incarnation,
            generation: 7,
            all_revoked_below: 3,
            revoked_below: BTreeMap::new(),
        };
        assert_eq!((store.incarnation, store.mesh().expect("it")), (17, mesh), "opened {opened} times");
        let runs = store.rollouts().expect("the runs");
        let [present] = runs.as_slice() else { panic!("{} runs", runs.len()) };
        assert_eq!((present.state.run, present.generation), (2, 7));
        assert_eq!(store.past_runs("ranker", 1).expect("read").len(), 1);
        assert_eq!(store.queued().expect("read").len(), opened - 1);
        store.queue(&queued("ranker", "v3")).expect("the new table is there");
        // What the states remember of what happened is in the journal, once.
        let lines: i64 = store
            .connection
            .query_row("SELECT count(*) FROM journal WHERE run = 2", [], |row| row.get(0))
            .expect("the journal");
        let expected = if form < JOURNAL { present.state.history.len() } else { 0 };
        assert_eq!(usize::try_from(lines).expect("a count"), expected);
        let measured = Archive::of(&file).samples("ranker", 2).expect("read").len();
        assert_eq!(measured, if form >= MEASURED { opened } else { opened - 1 });
        let sample = Sample::of(&present.state, &Event::Interval(Box::default()), 5);
        let samples: Vec<Sample> = sample.into_iter().collect();
        let writing = Writing { samples: &samples, ..present.writing() };
        let change = Change { runs: &[writing], ..Change::default() };
        store.commit(&change).expect("the next decision is written");
        // And the run goes on from there.
        let abort = Event::Abort(Human { who: "me".into(), reason: String::new() });
        let (state, _) = step(present.state.clone(), &abort, Now::at_ms(1_000_000));
        assert!(state.is_over());
    }
}

#[test]
fn every_earlier_form_is_brought_to_the_present_one_with_all_it_holds() {
    for form in 1..super::super::migrations::PRESENT {
        check(usize::try_from(form).expect("a form"));
    }
}

#[test]
fn a_change_of_form_that_is_killed_half_way_is_done_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    of_form(1, &file);
    // A step that fails stands for a kill: what was done before it is gone with it.
    let name = |store: &Connection, name: &str| {
        let found =
            store.query_row("SELECT count(*) FROM sqlite_master WHERE name = ?", [name], |row| row.get(0));
        found.unwrap_or(0_i64)
    };
    let old = Connection::open(&file).expect("a file");
    old.execute_batch("CREATE TABLE journal (in_the_way)").expect("a table");
    drop(old);
    assert!(Store::open(&file).is_err());
    let old = Connection::open(&file).expect("a file");
    assert_eq!(name(&old, "queued"), 0, "the first step did not stay without the second");
    old.execute_batch("DROP TABLE journal").expect("out of the way");
    drop(old);
    assert_eq!(Store::open(&file).expect("opened").incarnation, 17);
}

#[test]
fn a_later_form_is_named_and_left_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let later = dir.path().join("later.db");
    Connection::open(&later).and_then(|c| c.pragma_update(None, "user_version", 99)).expect("a store");
    let error = format!("{:#}", Store::open(&later).err().expect("refused"));
    assert!(error.contains("form 99") && error.contains("later.db"), "{error}");
}

#[test]
fn a_state_of_a_later_serin_is_named_and_left_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut store = Store::open(&file).expect("a new store");
    save(&mut store, &run("ranker"), 7, 3).expect("written");
    store.connection.execute("UPDATE rollout SET state = '{\"of\": \"tomorrow\"}'", []).expect("changed");
    let error = format!("{:#}", store.rollouts().err().expect("refused"));
    assert!(error.contains("ranker") && error.contains("use the serin that wrote it"), "{error}");
}

/// A step that a store somewhere has taken is never changed: it would not be taken again.
#[test]
fn steps_that_were_released_are_as_they_were() {
    let released = [
        "8620de7d25e83736",
        "244ca10efee7873d",
        "9b00bbdee7f7d277",
        "f0cba5e76dfd7db8",
        "3b492029b62b6b90",
        "9f03550278f7e515",
        "65970ff6905ef170",
    ];
    for (form, expected) in (1..).zip(released) {
        let text = super::super::migrations::until(form);
        let digest: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest.get(..16), Some(expected), "all steps to form {form}");
    }
}
