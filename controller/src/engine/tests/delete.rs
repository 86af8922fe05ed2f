//! What is over can be let go; what was is kept.

use super::*;
use store::Archive;

async fn delete(engine: &mut Engine, name: &str) -> Result<(), Refusal> {
    let human = Human { who: "ben".to_owned(), reason: "retired".to_owned() };
    engine.delete_if(name, &human, &Conditions::default()).await
}

#[track_caller]
fn refused(done: Result<(), Refusal>, part: &str) {
    match done {
        Err(Refusal::Conflict(why) | Refusal::Unknown(why)) => assert!(why.contains(part), "{part:?}: {why}"),
        other => panic!("{part:?}: {other:?}"),
    }
}

#[tokio::test]
async fn what_is_over_is_let_go_and_its_numbers_are_not_used_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut first = engine(&file);
    apply(&mut first, &spec("v1", "v2", "")).await.expect("begun");
    refused(delete(&mut first, "ranker").await, "serin abort ranker");
    refused(delete(&mut first, "nobody").await, "there are: ranker");
    check(&first, 1, "v2", "Pending", None, false);
    abort(&mut first).await;
    let plan = manifest::load(&spec("v9", "v3", QUEUE)).expect("a rollout").plan;
    first.wait("ranker", vec![plan], &spec("v9", "v3", QUEUE), "anna".to_owned()).expect("written");
    let (generation, epoch) = (first.mesh.generation, first.runs["ranker"].state.epoch);
    delete(&mut first, "ranker").await.expect("deleted");
    assert_eq!(first.mesh.generation, generation + 1, "proxies are told");
    assert!(first.views.borrow().is_empty() && first.waiting.is_empty());
    refused(delete(&mut first, "ranker").await, "there are: none");
    drop(first);

    let mut second = engine(&file);
    second.recover().await;
    second.tick().await;
    assert!(second.views.borrow().is_empty() && second.waiting.is_empty());
    let past = second.past("ranker", 1).expect("kept");
    assert_eq!(past.run.phase.to_string(), "RolledBack");
    let journal = Archive::of(&file).journal("ranker", 1).expect("a journal");
    let last = journal.lines.last().expect("a line");
    let said = (last.kind.to_string(), last.what.as_str(), last.who.as_deref(), last.why.as_deref());
    assert_eq!(said, ("act".to_owned(), "delete", Some("ben"), Some("retired")));
    assert_eq!(journal.broken_at, None);

    // Nothing is left that the specification would have to agree with; its history stays its own.
    let applied = apply(&mut second, &spec("v5", "v6", "")).await.expect("begun");
    assert_eq!(applied.run, 2);
    check(&second, 2, "v6", "Pending", None, false);
    assert!(second.runs["ranker"].state.first_epoch > epoch);
}

#[tokio::test]
async fn a_fleet_is_let_go_whole() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = engine(&dir.path().join("serin.db"));
    let models =
        "  models:\n  - {name: a, match: {pathPrefix: /a}}\n  - {name: b, match: {pathPrefix: /b}}\n";
    apply(&mut engine, &spec("v1", "v2", models)).await.expect("begun");
    abort(&mut engine).await;
    refused(delete(&mut engine, "ranker.a").await, "delete ranker");
    delete(&mut engine, "ranker").await.expect("deleted");
    assert!(engine.views.borrow().is_empty());
    assert_eq!(apply(&mut engine, &spec("v1", "v2", models)).await.expect("begun").run, 2);
}

/// A crash before the write leaves all of it, one after it nothing.
#[tokio::test]
async fn a_disk_that_refuses_leaves_all_of_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut first = engine(&file);
    apply(&mut first, &spec("v1", "v2", "")).await.expect("begun");
    abort(&mut first).await;
    let generation = first.mesh.generation;
    first.journal.refuse_writes(true).expect("a switch");
    assert!(matches!(delete(&mut first, "ranker").await, Err(Refusal::Failed(_))));
    check(&first, 1, "v2", "RolledBack", None, false);
    assert_eq!(first.mesh.generation, generation);
    first.journal.refuse_writes(false).expect("a switch");
    drop(first);
    let mut second = engine(&file);
    second.recover().await;
    check(&second, 1, "v2", "RolledBack", None, false);
}
