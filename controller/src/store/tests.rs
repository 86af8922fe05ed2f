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
    store.begin(&run("ranker"), Some(&first), 7, 0).expect("written");
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

fn queued(name: &str, canary: &str) -> Queued {
    Queued {
        name: name.to_owned(),
        spec: run(name).spec.replace("v2", canary),
        who: "anna".to_owned(),
        unix_ms: 1_700_000_000_000,
        refused: None,
    }
}

#[test]
fn what_waits_is_there_after_the_process_is_gone_and_waits_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut store = Store::open(&file).expect("a new store");
    store.queue(&queued("ranker", "v3")).expect("written");
    store.queue(&queued("ranker", "v4")).expect("the later one takes its place");
    store.queue(&Queued { refused: Some("why".to_owned()), ..queued("other", "v3") }).expect("written");
    drop(store);

    let mut store = Store::open(&file).expect("the same store");
    let refused = Queued { refused: Some("why".to_owned()), ..queued("other", "v3") };
    assert_eq!(store.queued().expect("read"), [refused, queued("ranker", "v4")]);
    store.begin(&run("ranker"), None, 7, 0).expect("written");
    assert_eq!(store.queued().expect("read").len(), 1, "what began waits no longer");
    store.unqueue("other").expect("withdrawn");
    assert_eq!(store.queued().expect("read"), []);
}

#[test]
fn a_store_of_form_1_is_brought_to_the_present_form_with_all_it_holds() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let written = run("ranker");
    {
        let old = Connection::open(&file).expect("a file");
        old.execute_batch(FORM_1).expect("form 1");
        old.execute_batch(
            "INSERT INTO meta VALUES ('incarnation', 17), ('generation', 7), ('revoked_below', 3);
             PRAGMA user_version = 1;",
        )
        .expect("form 1");
        write(&old, &written).expect("a run");
    }
    for opened in 1..=2 {
        let mut store = Store::open(&file).expect("opened");
        assert_eq!((store.incarnation, store.generation().expect("it")), (17, 7), "opened {opened} times");
        assert!(store.rollouts().expect("the runs").iter().all(|stored| stored.state == written.state));
        assert_eq!(store.queued().expect("read").len(), opened - 1);
        store.queue(&queued("ranker", "v3")).expect("the new table is there");
    }
}

#[test]
fn a_migration_that_fails_leaves_the_old_form() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let old = Connection::open(&file).expect("a file");
    old.execute_batch(FORM_1).expect("form 1");
    // Somebody's own table is in the way.
    old.execute_batch("CREATE TABLE queued (mine TEXT); PRAGMA user_version = 1;").expect("form 1");
    let error = format!("{:#}", Store::open(&file).err().expect("refused"));
    assert!(error.contains("queued") && error.contains("serin.db"), "{error}");
    let form: i64 = old.pragma_query_value(None, "user_version", |row| row.get(0)).expect("it");
    assert_eq!(form, 1);
}
