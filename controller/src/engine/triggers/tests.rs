//! Versions of a registry against an engine without a mesh.

use std::path::Path;

use envoy::{Ecds, Resource};
use rollout::Human;

use super::*;
use crate::engine::Act;
use crate::hook::Hooks;
use crate::lease::Leases;
use crate::publish::Publisher;
use sources::{Hosts, Secrets, Sources};
use store::Store;

fn keep(engine: &mut Engine, text: &str) -> Result<TriggerApplied, Refusal> {
    engine.keep_trigger(ReadTrigger::read(text.to_owned())?, false)
}

fn engine(file: &Path) -> Engine {
    let store = Store::open(file).expect("a store");
    let incarnation = store.incarnation;
    let ecds = Ecds::new(Resource::local("/filter.wasm"), incarnation);
    let publisher = Publisher::new(vec![Box::new(ecds)], incarnation, 1_000);
    let sources = Sources::new(Secrets::default(), Hosts::default()).expect("sources");
    Engine::open(store, publisher, Leases::new(incarnation, 5_000), sources, Hooks::any())
        .expect("an engine")
        .0
}

fn text(more: &str) -> String {
    format!(
        "apiVersion: serin.dev/v1alpha1\nkind: Trigger\nmetadata: {{name: registry}}\nspec:\n  webhook: {{unsigned: true}}\n  template:\n    metadata: {{name: ranker}}\n    spec:\n      stable: {{version: v6}}\n      canary: {{version: 'v{{{{version}}}}'}}\n{more}"
    )
}

async fn go(engine: &mut Engine, version: &str) -> Fired {
    engine.go("registry", version, "a test", false).await.expect("taken")
}

async fn end(engine: &mut Engine) {
    let human = Human { who: "ben".to_owned(), reason: "seen enough".to_owned() };
    engine.act("ranker", Act::Abort, human).await.expect("aborted");
}

/// Run, stable and canary of the rollout; what waits at the trigger; the outcome of each version, as its variant.
fn seen(engine: &Engine) -> (u64, String, String, Option<String>, Vec<(String, String)>) {
    let views = engine.views.borrow();
    let run = views.get("ranker").map(|view| view.run.clone());
    let trigger = engine.triggers["registry"].view();
    let mut outcomes: Vec<(String, String)> = trigger
        .versions
        .iter()
        .map(|one| {
            let text = serde_json::to_string(&one.outcome).expect("JSON");
            (one.version.clone(), text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect())
        })
        .collect();
    outcomes.sort();
    let (number, stable, canary) = run.map(|run| (run.run, run.stable, run.canary)).unwrap_or_default();
    (number, stable, canary, trigger.pending.map(|pending| pending.version), outcomes)
}

#[track_caller]
fn check(engine: &Engine, run: (u64, &str, &str), pending: Option<&str>, outcomes: &[(&str, &str)]) {
    let (number, stable, canary, waits, became) = seen(engine);
    assert_eq!((number, stable.as_str(), canary.as_str()), run);
    assert_eq!(waits.as_deref(), pending);
    let became: Vec<(&str, &str)> = became.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(became, outcomes);
}

/// What was deleted left a version behind the stable route, which the template does not know.
#[tokio::test]
async fn stable_is_known_after_its_rollout_was_deleted() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = engine(&dir.path().join("serin.db"));
    let own = "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {name: ranker}\nspec:\n  stable: {version: v8}\n  canary: {version: v9}\n";
    engine.apply(own, "anna".to_owned(), false).await.expect("begun");
    end(&mut engine).await;
    let human = Human { who: "ben".to_owned(), reason: String::new() };
    engine.delete("ranker", &human).await.expect("deleted");
    keep(&mut engine, &text("")).expect("kept");
    assert!(!go(&mut engine, "8").await.triggered, "stable serves it");
    assert!(go(&mut engine, "10").await.triggered);
    check(&engine, (2, "v8", "v10"), None, &[("10", "begunrun2"), ("8", "stable")]);
}

#[tokio::test]
async fn a_version_triggers_once_over_restarts_too() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut first = engine(&file);
    keep(&mut first, &text("")).expect("kept");
    assert!(go(&mut first, "7").await.triggered);
    check(&first, (1, "v6", "v7"), None, &[("7", "begunrun1")]);
    assert!(!go(&mut first, "7").await.triggered);
    assert!(!go(&mut first, "6").await.triggered);
    let outcomes = [("6", "stable"), ("7", "begunrun1")];
    check(&first, (1, "v6", "v7"), None, &outcomes);
    end(&mut first).await;
    let gone = go(&mut first, "7").await;
    assert!(!gone.triggered && gone.message.contains("serin trigger fire registry 7 --again"), "{gone:?}");
    drop(first);

    let mut second = engine(&file);
    second.recover().await;
    assert!(!go(&mut second, "7").await.triggered);
    check(&second, (1, "v6", "v7"), None, &outcomes);
    // A person wants it once more.
    assert!(second.go("registry", "7", "anna", true).await.expect("taken").triggered);
    check(&second, (2, "v6", "v7"), None, &[("6", "stable"), ("7", "begunrun2")]);
}

#[tokio::test]
async fn what_comes_while_a_run_lasts_waits_and_the_newest_goes_first() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut first = engine(&file);
    keep(&mut first, &text("")).expect("kept");
    go(&mut first, "7").await;
    assert!(go(&mut first, "8").await.triggered);
    assert!(!go(&mut first, "8").await.triggered);
    go(&mut first, "9").await;
    let outcomes = [("7", "begunrun1"), ("8", "passed_overby_version9")];
    check(&first, (1, "v6", "v7"), Some("9"), &outcomes);
    first.tick().await;
    check(&first, (1, "v6", "v7"), Some("9"), &outcomes);
    drop(first);

    let mut second = engine(&file);
    second.recover().await;
    end(&mut second).await;
    check(&second, (1, "v6", "v7"), Some("9"), &outcomes);
    second.tick().await;
    check(&second, (2, "v6", "v9"), None, &[outcomes[0], outcomes[1], ("9", "begunrun2")]);
}

/// What stable serves is known when the turn has come, not when the version is heard of.
#[tokio::test]
async fn stable_is_what_the_last_run_left_there() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = engine(&dir.path().join("serin.db"));
    keep(&mut engine, &text("")).expect("kept");
    go(&mut engine, "7").await;
    go(&mut engine, "8").await;
    let run = engine.runs.get_mut("ranker").expect("a run");
    run.state.phase = rollout::Phase::Succeeded;
    run.state.stable_version = "v7".to_owned();
    engine.tick().await;
    check(&engine, (2, "v7", "v8"), None, &[("7", "begunrun1"), ("8", "begunrun2")]);
}

#[tokio::test]
async fn the_templates_policy_says_what_becomes_of_the_present_run() {
    for (policy, run, outcome) in
        [("reject", (1, "v6", "v7"), "refused"), ("replace", (2, "v6", "v8"), "begunrun2")]
    {
        let dir = tempfile::tempdir().expect("a folder");
        let mut engine = engine(&dir.path().join("serin.db"));
        keep(&mut engine, &text(&format!("      supersede: {policy}\n"))).expect("kept");
        go(&mut engine, "7").await;
        go(&mut engine, "8").await;
        let (number, stable, canary, waits, became) = seen(&engine);
        assert_eq!(
            (number, stable.as_str(), canary.as_str(), waits),
            (run.0, run.1, run.2, None),
            "{policy}"
        );
        assert!(became[1].1.starts_with(outcome), "{policy}: {became:?}");
    }
}

#[tokio::test]
async fn a_version_that_cannot_be_a_label_is_refused_by_name_and_harms_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = engine(&dir.path().join("serin.db"));
    keep(&mut engine, &text("")).expect("kept");
    let gone = go(&mut engine, "7/../8").await;
    assert!(!gone.triggered && gone.message.contains("spec.canary.version"), "{gone:?}");
    match engine.go("nobody", "7", "a test", false).await {
        Err(Refusal::Unknown(why)) => assert!(why.contains("registry"), "{why}"),
        other => panic!("{other:?}"),
    }
    match keep(&mut engine, &text("      stages: []\n")) {
        Err(Refusal::Invalid(why)) => assert!(why.contains("spec.template.spec.stages"), "{why}"),
        other => panic!("{other:?}"),
    }
    let hook = text("").replace("unsigned: true", "secret: mlflow-hook");
    match keep(&mut engine, &hook) {
        Err(Refusal::Invalid(why)) => {
            assert!(why.contains("spec.webhook.secret") && why.contains("--secret-dir"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    engine.drop_trigger("registry").expect("dropped");
    assert!(engine.triggers.is_empty() && engine.journal.triggers().expect("read").is_empty());
}

/// A full disk loses no version: whoever tells of it is told to tell again.
#[tokio::test]
async fn a_store_that_takes_nothing_triggers_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = engine(&dir.path().join("serin.db"));
    keep(&mut engine, &text("")).expect("kept");
    engine.journal.refuse_writes(true).expect("a switch");
    assert!(matches!(engine.go("registry", "7", "a test", false).await, Err(Refusal::Failed(_))));
    engine.journal.refuse_writes(false).expect("a switch");
    assert!(go(&mut engine, "7").await.triggered);
    check(&engine, (1, "v6", "v7"), None, &[("7", "begunrun1")]);
}
