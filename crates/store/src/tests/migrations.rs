//! Stores that an older serin wrote.

use super::*;

/// The form with which the journal came; from then on the serin that wrote the store kept it.
const JOURNAL: usize = 5;

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
}

#[track_caller]
fn check(form: usize) {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    of_form(form, &file);
    for opened in 1..=2 {
        let mut store = Store::open(&file).expect("opened");
        let mesh = Mesh { generation: 7, all_revoked_below: 3, revoked_below: BTreeMap::new() };
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
