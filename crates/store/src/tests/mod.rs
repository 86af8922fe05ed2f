use std::collections::BTreeMap;

use rollout::{Event, Human, Now, step};

use super::*;

mod crash;
mod measured;
mod migrations;
mod trouble;

pub fn save(store: &mut Store, run: &Stored, generation: u64, revoked_below: u64) -> Result<()> {
    let revoked = [(run.state.plan.name.clone(), revoked_below)];
    store.commit(&Change { runs: &[run.writing()], generation, revoked: &revoked, ..Change::default() })
}

pub fn run(name: &str) -> Stored {
    let spec = format!(
        "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {{name: {name}}}\nspec:\n  stable: {{version: v1}}\n  canary: {{version: v2}}\n"
    );
    let plan = manifest::load(&spec).expect("a rollout").plan;
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
    save(&mut store, &run("ranker"), 7, 3).expect("written");
    drop(store);

    let store = Store::open(&file).expect("the same store");
    assert_eq!(store.incarnation, incarnation);
    let revoked_below = BTreeMap::from([("ranker".to_owned(), 3)]);
    let mesh = Mesh { incarnation, generation: 7, all_revoked_below: 0, revoked_below };
    assert_eq!(store.mesh().expect("it"), mesh);
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
    save(&mut store, &run("ranker"), 7, 7).expect("written");
    save(&mut store, &run("other"), 5, 2).expect("written");
    save(&mut store, &run("ranker"), 5, 4).expect("written");
    let mesh = store.mesh().expect("it");
    assert_eq!(mesh.generation, 7);
    for (generation, expected) in
        [(1, vec!["other", "ranker"]), (2, vec!["ranker"]), (6, vec!["ranker"]), (7, vec![])]
    {
        assert_eq!(mesh.revoked_since(generation).collect::<Vec<_>>(), expected, "{generation}");
    }
}

#[test]
fn earlier_runs_are_kept_by_their_number() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut store = Store::open(&dir.path().join("serin.db")).expect("a new store");
    let first = run("ranker");
    let (runs, past) = ([run("ranker")], [first.writing()]);
    let change = Change { runs: &[runs[0].writing()], past: &past, generation: 7, ..Change::default() };
    store.commit(&change).expect("written");
    assert!(store.past_runs("ranker", 1).expect("read") == [first.state]);
    assert_eq!(store.past_runs("ranker", 2).expect("read"), []);
    assert_eq!(store.past_runs("other", 1).expect("read"), []);
}

pub fn queued(name: &str, canary: &str) -> Queued {
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
    let begun = run("ranker");
    let unqueue = ["ranker".to_owned()];
    let change = Change { runs: &[begun.writing()], unqueue: &unqueue, generation: 7, ..Change::default() };
    store.commit(&change).expect("written");
    assert_eq!(store.queued().expect("read").len(), 1, "what began waits no longer");
    store.unqueue("other").expect("withdrawn");
    assert_eq!(store.queued().expect("read"), []);
}
