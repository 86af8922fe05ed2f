//! Fleets in the engine: one decision, one transaction, one publication.

use api::{Applied, Figure};
use rollout::{Acks, Human, Phase};

use super::super::tests::engine;
use super::super::{Act, Conditions};
use super::*;

const TWO: &str = "apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: shop}
spec:
  stable: {version: v1}
  canary: {version: v2}
  models:
    - {name: retrieval, match: {pathPrefix: /retrieve}}
    - {name: ranking, match: {pathPrefix: /rank}}
  gates:
    - {name: end-to-end, source: {push: {}}, max: 300ms}
    - {name: errors, metric: error_rate, max: 5%}
";

async fn apply(engine: &mut Engine, text: &str) -> Result<Applied, Refusal> {
    engine.apply(text, "anna".to_owned(), false).await
}

/// Every proxy follows, and can be read.
async fn follow(engine: &mut Engine) {
    for name in engine.runs.keys().cloned().collect::<Vec<_>>() {
        let publication = engine.runs[&name].state.publication.as_ref().expect("published").sent.id;
        let acks = Acks { publication, acknowledged: 1, connected: 1, ..Acks::default() };
        engine.advance(&name, &Event::Acks(acks)).await;
    }
    for name in engine.runs.keys().cloned().collect::<Vec<_>>() {
        engine.advance(&name, &Event::Interval(Box::default())).await;
    }
}

fn phases(engine: &Engine) -> Vec<(String, String, u32)> {
    let views = engine.views.borrow();
    views.iter().map(|(name, view)| (name.clone(), view.run.phase.to_string(), view.run.weight_ppm)).collect()
}

#[track_caller]
fn check(engine: &Engine, phase: &str, ppm: u32) {
    let names = ["shop", "shop.ranking", "shop.retrieval"];
    assert_eq!(phases(engine), names.map(|name| (name.to_owned(), phase.to_owned(), ppm)));
}

async fn act(engine: &mut Engine, name: &str, act: Act) -> Result<(), Refusal> {
    // As the command does: it is meant for what is there.
    let conditions = Conditions { expect: Some(engine.revision_of(name)), key: None };
    let human = Human { who: "ben".to_owned(), reason: "seen enough".to_owned() };
    engine.act_if(name, act, human, &conditions).await
}

#[tokio::test]
async fn a_fleet_begins_and_goes_back_with_one_publication_and_survives_restarts() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut first = engine(&file);
    let applied = apply(&mut first, TWO).await.expect("begun");
    assert_eq!((applied.name.as_str(), applied.run, first.mesh.generation), ("shop", 1, 1));
    check(&first, "Pending", 0);
    // One follows: nobody is exposed. Both do: both are, by one publication.
    let one = Acks { publication: 1, acknowledged: 1, connected: 1, ..Acks::default() };
    first.advance("shop.ranking", &Event::Acks(one)).await;
    check(&first, "Pending", 0);
    drop(first);
    let mut second = engine(&file);
    second.recover().await;
    check(&second, "Pending", 0);
    follow(&mut second).await;
    check(&second, "Progressing", 50_000);
    assert_eq!(second.mesh.generation, 2);

    act(&mut second, "shop.ranking", Act::Abort).await.expect("aborted");
    check(&second, "RolledBack", 0);
    assert_eq!(second.mesh.generation, 3, "one publication");
    assert_eq!(second.mesh.revoked_since(2).collect::<Vec<_>>(), ["shop.ranking", "shop.retrieval"]);
    assert_eq!(second.mesh.revoked_since(3).next(), None);
    let reason = second.views.borrow()["shop.retrieval"].run.rollback.clone().expect("it").reason;
    assert!(reason.starts_with("shop.ranking went back: aborted by ben"), "{reason}");
    let mesh = second.mesh.clone();
    drop(second);
    let mut third = engine(&file);
    third.recover().await;
    check(&third, "RolledBack", 0);
    assert_eq!(third.mesh, mesh);
}

#[tokio::test]
async fn a_decision_the_store_refuses_is_no_decision_for_any_member_unless_it_takes_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut first = engine(&file);
    apply(&mut first, TWO).await.expect("begun");
    first.journal.refuse_writes(true).expect("a switch");
    follow(&mut first).await;
    check(&first, "Pending", 0);
    first.journal.refuse_writes(false).expect("a switch");
    follow(&mut first).await;
    check(&first, "Progressing", 50_000);
    first.journal.refuse_writes(true).expect("a switch");
    act(&mut first, "shop", Act::Abort).await.expect("aborted");
    check(&first, "RolledBack", 0);
    first.journal.refuse_writes(false).expect("a switch");
    first.tick().await;
    drop(first);
    let mut second = engine(&file);
    second.recover().await;
    check(&second, "RolledBack", 0);
}

#[tokio::test]
async fn what_people_say_to_the_whole_reaches_every_member() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = engine(&dir.path().join("serin.db"));
    apply(&mut engine, TWO).await.expect("begun");
    assert!(apply(&mut engine, TWO).await.expect("known").unchanged);
    match act(&mut engine, "shop", Act::Promote).await {
        Err(Refusal::Conflict(why)) => assert!(why.contains("quorum"), "{why}"),
        other => panic!("{other:?}"),
    }
    follow(&mut engine).await;
    act(&mut engine, "shop", Act::Pause).await.expect("paused");
    check(&engine, "Paused", 50_000);
    act(&mut engine, "shop", Act::Resume).await.expect("resumed");
    act(&mut engine, "shop", Act::Promote).await.expect("promoted");
    check(&engine, "Progressing", 250_000);

    // The gate of the whole is held once, and figures for it find their way.
    let gates = |name: &str| {
        engine.runs[name].state.plan.gates.iter().map(|gate| gate.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        (gates("shop.ranking"), gates("shop.retrieval")),
        (vec!["errors".into()], vec!["errors".into(), "end-to-end".into()])
    );
    let figure =
        |metric: &str| Figure { metric: metric.to_owned(), version: "v2".to_owned(), value: 250.0, n: 1 };
    engine.push("shop", vec![figure("end-to-end")]).expect("taken");
    match engine.push("shop", vec![figure("clicks")]) {
        Err(Refusal::Invalid(why)) => assert!(why.contains("clicks"), "{why}"),
        other => panic!("{other:?}"),
    }
    match act(&mut engine, "nobody", Act::Abort).await {
        Err(Refusal::Unknown(why)) => assert!(why.contains("shop.ranking"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn members_may_change_from_run_to_run_and_their_past_is_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut first = engine(&file);
    apply(&mut first, TWO).await.expect("begun");
    let other = TWO.replace("ranking", "reranking");
    match apply(&mut first, &other).await {
        Err(Refusal::Conflict(why)) => assert!(why.contains("serin abort shop"), "{why}"),
        other => panic!("{other:?}"),
    }
    let replaced = format!("{other}  supersede: replace\n");
    let applied = apply(&mut first, &replaced).await.expect("replaced");
    assert_eq!(applied.run, 2);
    let names = |engine: &Engine| engine.runs.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&first), ["shop.reranking", "shop.retrieval"]);
    assert!(first.runs.values().all(|run| matches!(run.state.phase, Phase::Pending { .. })));
    let past = first.past("shop", 1).expect("kept");
    let members: Vec<&str> = past.members.iter().map(|member| member.name.as_str()).collect();
    assert_eq!(
        (past.run.phase.to_string(), members),
        ("RolledBack".to_owned(), vec!["shop.ranking", "shop.retrieval"])
    );
    drop(first);
    assert_eq!(names(&engine(&file)), ["shop.reranking", "shop.retrieval"]);
}

#[tokio::test]
async fn a_name_has_one_owner() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = engine(&dir.path().join("serin.db"));
    apply(&mut engine, TWO).await.expect("begun");
    let plain = |name: &str| {
        format!(
            "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {{name: {name}}}\nspec: {{stable: {{version: v1}}, canary: {{version: v2}}}}\n"
        )
    };
    match apply(&mut engine, &plain("shop.ranking")).await {
        Err(Refusal::Conflict(why)) => assert!(why.contains("a member of shop"), "{why}"),
        other => panic!("{other:?}"),
    }
    apply(&mut engine, &plain("shop2.ranking")).await.expect("another");
    match apply(&mut engine, &TWO.replace("name: shop", "name: shop2")).await {
        Err(Refusal::Conflict(why)) => assert!(why.contains("another rollout"), "{why}"),
        other => panic!("{other:?}"),
    }
}
