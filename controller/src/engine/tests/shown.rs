//! What is to be seen of many runs, and what it costs to show one.

use std::sync::Arc;

use super::*;

fn document(name: &str, host: &str, more: &str) -> String {
    format!(
        "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {{name: {name}}}\nspec:\n  stable: {{version: v1}}\n  canary: {{version: v2}}\n  match: {{authority: [{host}]}}\n{more}"
    )
}

async fn delete(engine: &mut Engine, name: &str) {
    let human = Human { who: "ben".to_owned(), reason: "retired".to_owned() };
    engine.act(name, Act::Abort, human.clone()).await.expect("aborted");
    engine.delete_if(name, &human, &Conditions::default()).await.expect("deleted");
}

fn text(engine: &Engine) -> String {
    serde_json::to_string_pretty(&*engine.views.borrow().clone()).expect("JSON")
}

/// Nothing would be seen otherwise if all were shown anew.
#[track_caller]
fn all_is_shown(engine: &Engine, what: &str) {
    let seen = text(engine);
    engine.show();
    assert_eq!(seen, text(engine), "{what}");
}

/// Of hundreds of runs, one that begins, waits or goes has nobody else's view made anew.
#[tokio::test]
async fn showing_one_run_costs_nothing_of_the_others() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = engine(&dir.path().join("serin.db"));
    apply(&mut engine, &document("ant", "ant.local", "")).await.expect("begun");
    apply(&mut engine, &document("yak", "yak.local", "")).await.expect("begun");
    let others = |engine: &Engine| ["ant", "yak"].map(|name| engine.views.borrow()[name].clone());
    let before = others(&engine);
    apply(&mut engine, &document("ranker", "ranker.local", "")).await.expect("begun");
    let queued = document("ranker", "ranker.local", QUEUE).replace("v2", "v3");
    apply(&mut engine, &queued).await.expect("queued");
    assert!(engine.views.borrow()["ranker"].queued.is_some());
    apply(&mut engine, &document("ranker", "ranker.local", "")).await.expect("withdrawn");
    assert!(engine.views.borrow()["ranker"].queued.is_none());
    delete(&mut engine, "ranker").await;
    assert!(!engine.views.borrow().contains_key("ranker"));
    for (before, after) in before.iter().zip(&others(&engine)) {
        assert!(Arc::ptr_eq(before, after), "{} was shown anew", before.run.name);
    }
}

/// Fleets that come and go, and requests that several claim.
#[tokio::test]
async fn whoever_is_seen_otherwise_is_shown_otherwise() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = engine(&dir.path().join("serin.db"));
    const FLEET: &str = "  regions: {waves: [[eu], [us]]}\n";
    let all = "shared.local";
    apply(&mut engine, &document("ranker", "ranker.local", "")).await.expect("begun");
    apply(&mut engine, &document("yak", all, "")).await.expect("begun");
    all_is_shown(&engine, "two of them");
    apply(&mut engine, &document("ant", all, "")).await.expect("begun");
    engine.tick().await;
    all_is_shown(&engine, "one that takes the requests of the others");
    assert!(!engine.views.borrow()["yak"].claimed_by.is_empty());
    delete(&mut engine, "ant").await;
    assert!(engine.views.borrow()["yak"].claimed_by.iter().all(|by| by.name != "ant"));
    all_is_shown(&engine, "it is gone");
    delete(&mut engine, "ranker").await;
    apply(&mut engine, &document("ranker", "ranker.local", FLEET)).await.expect("begun");
    all_is_shown(&engine, "a fleet");
    assert_eq!(engine.views.borrow()["ranker"].members.len(), 2);
    let queued = document("ranker", "ranker.local", &format!("{FLEET}{QUEUE}")).replace("v2", "v3");
    apply(&mut engine, &queued).await.expect("queued");
    all_is_shown(&engine, "what waits");
    let human = Human { who: "ben".to_owned(), reason: "seen enough".to_owned() };
    engine.act("ranker", Act::Abort, human).await.expect("aborted");
    engine.serve_all().await;
    all_is_shown(&engine, "the next run of a fleet");
    delete(&mut engine, "ranker").await;
    all_is_shown(&engine, "the fleet is gone");
    assert_eq!(engine.views.borrow().keys().collect::<Vec<_>>(), ["yak"]);
}
