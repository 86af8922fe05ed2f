use rollout::{Event, Human, Now, step};

use super::*;

fn run(name: &str) -> Stored {
    let spec = format!(
        "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {{name: {name}}}\nspec:\n  stable: {{version: v1}}\n  canary: {{version: v2}}\n"
    );
    let plan = spec::load(&spec).expect("a rollout").plan;
    let state = State::new(plan, 1, 0, Now::at_ms(1));
    let start = Event::Start(Human { who: "me".into(), reason: String::new() });
    let (state, _) = step(state, &start, Now::at_ms(2));
    Stored { spec, state, generation: 7 }
}

#[test]
fn what_was_written_is_there_after_the_process_is_gone() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut store = Store::open(&file).expect("a new store");
    let incarnation = store.incarnation;
    store.save(&run("ranker"), 7, 3).expect("written");
    drop(store);

    let store = Store::open(&file).expect("the same store");
    assert_eq!(store.incarnation, incarnation);
    assert_eq!((store.generation().expect("it"), store.revoked_below().expect("it")), (7, 3));
    let stored = store.rollouts().expect("the runs");
    let [one] = stored.as_slice() else { panic!("{} runs", stored.len()) };
    let written = run("ranker");
    assert!(one.state == written.state, "to the last bit");
    assert_eq!((&one.spec, one.generation), (&written.spec, 7));
}

#[test]
fn generations_never_fall() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut store = Store::open(&dir.path().join("serin.db")).expect("a new store");
    store.save(&run("ranker"), 7, 7).expect("written");
    store.save(&run("other"), 5, 2).expect("written");
    assert_eq!((store.generation().expect("it"), store.revoked_below().expect("it")), (7, 7));
}

#[test]
fn earlier_runs_are_kept_by_their_number() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut store = Store::open(&dir.path().join("serin.db")).expect("a new store");
    let first = run("ranker");
    store.archive(&first).expect("written");
    assert!(store.past_run("ranker", 1).expect("read") == Some(first.state));
    assert_eq!(store.past_run("ranker", 2).expect("read"), None);
    assert_eq!(store.past_run("other", 1).expect("read"), None);
}

#[test]
fn a_later_form_and_a_foreign_file_are_named_and_left_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let later = dir.path().join("later.db");
    Connection::open(&later).and_then(|c| c.pragma_update(None, "user_version", 99)).expect("a store");
    let error = format!("{:#}", Store::open(&later).err().expect("refused"));
    assert!(error.contains("form 99") && error.contains("later.db"), "{error}");

    let foreign = dir.path().join("foreign.db");
    std::fs::write(&foreign, "not a store at all, but long enough to be looked at").expect("a file");
    let error = format!("{:#}", Store::open(&foreign).err().expect("refused"));
    assert!(error.contains("foreign.db"), "{error}");
    assert!(std::fs::read_to_string(&foreign).expect("still there").starts_with("not a store"));

    let nowhere = dir.path().join("nowhere/serin.db");
    let error = format!("{:#}", Store::open(&nowhere).err().expect("refused"));
    assert!(error.contains("must be writable"), "{error}");
}
