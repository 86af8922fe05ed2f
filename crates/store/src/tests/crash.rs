//! The file as it is found after a process, or the whole machine, went down in the middle of a write.

use std::fs;
use std::sync::{Arc, Mutex};

use super::*;

/// Copies what is on the disk now, as it would be found after a kill.
fn copy(file: &Path, to: &Path) {
    fs::copy(file, to).expect("the store");
    let log = |file: &Path| PathBuf::from(format!("{}-wal", file.display()));
    if log(file).exists() {
        fs::copy(log(file), log(to)).expect("its log");
    }
}

/// Whatever length of the log a lost machine kept: all of a decision is there, or nothing of it.
#[test]
fn a_log_cut_anywhere_holds_whole_decisions() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut store = Store::open(&file).expect("a new store");
    for generation in 1..=3 {
        let line = Entry::new(generation, Kind::Record, "line");
        let run = run("ranker");
        let writing = Writing { entries: &[line], generation, ..run.writing() };
        let revoked = [("ranker".to_owned(), generation)];
        let change = Change { runs: &[writing], generation, revoked: &revoked, ..Change::default() };
        store.commit(&change).expect("written");
    }
    let cut = dir.path().join("cut.db");
    copy(&file, &cut);
    let log = PathBuf::from(format!("{}-wal", cut.display()));
    let whole = fs::read(&log).expect("the log");
    let mut seen = std::collections::BTreeSet::new();
    for length in (0..=whole.len()).rev().step_by(509) {
        fs::copy(&file, &cut).expect("the store");
        fs::write(&log, &whole[..length]).expect("cut");
        fs::remove_file(format!("{}-shm", cut.display())).ok();
        // A log without even the tables: nothing was ever decided.
        let Ok(store) = Store::open(&cut) else { panic!("cut at {length} it does not open") };
        let mesh = store.mesh().expect("it");
        let revoked = mesh.revoked_below.get("ranker").copied().unwrap_or(0);
        assert_eq!(mesh.generation, revoked, "cut at {length}");
        let runs = store.rollouts().expect("read");
        assert_eq!(runs.first().map_or(0, |run| run.generation), mesh.generation, "cut at {length}");
        let lines: i64 = store
            .connection
            .query_row("SELECT count(*) FROM journal", [], |row| row.get(0))
            .expect("the journal");
        assert_eq!(u64::try_from(lines).expect("a count"), mesh.generation, "cut at {length}");
        seen.insert(mesh.generation);
        drop(store);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3], "every decision was cut off once");
}

#[test]
fn every_write_has_its_points_and_only_a_committed_one_is_found() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut store = Store::open(&file).expect("a new store");
    save(&mut store, &run("ranker"), 1, 0).expect("written");
    let found = Arc::new(Mutex::new(Vec::new()));
    let (seen, at, to) = (found.clone(), file.clone(), dir.path().join("found.db"));
    store.failpoints = Failpoints::watched(move |point| {
        copy(&at, &to);
        fs::remove_file(format!("{}-shm", to.display())).ok();
        let generation = Store::open(&to).and_then(|store| store.mesh()).expect("opens").generation;
        seen.lock().expect("not poisoned").push((point, generation));
        Ok(())
    });
    save(&mut store, &run("ranker"), 2, 0).expect("written");
    let found = found.lock().expect("not poisoned");
    assert_eq!(*found, [(Failpoint::Begin, 1), (Failpoint::Written, 1), (Failpoint::Committed, 2)]);
}

#[test]
fn lines_of_the_journal_are_chained_and_not_changed() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut store = Store::open(&dir.path().join("serin.db")).expect("a new store");
    let lines = ["one", "two"].map(|what| Entry::new(5, Kind::Record, what));
    for line in &lines {
        let run = run("ranker");
        let writing = Writing { entries: std::slice::from_ref(line), ..run.writing() };
        let change = Change { runs: &[writing], generation: 1, ..Change::default() };
        store.commit(&change).expect("written");
    }
    let changed = store.connection.execute("UPDATE journal SET what = 'other'", []);
    assert!(changed.is_err_and(|error| error.to_string().contains("not changed")));
    let chain: Vec<String> = store
        .connection
        .prepare("SELECT chain FROM journal ORDER BY seq")
        .and_then(|mut query| query.query_map([], |row| row.get(0))?.collect())
        .expect("the chain");
    let texts = |what| [Some("ranker"), Some("record"), None, Some(what), None, None];
    let first = journal::link("", &texts("one"), &[1, 5]);
    assert_eq!(chain, [first.clone(), journal::link(&first, &texts("two"), &[1, 5])]);
}
