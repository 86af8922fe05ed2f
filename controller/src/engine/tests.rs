//! The engine without a mesh: what is received, what waits, and what a restart finds.

use std::path::Path;

use api::Applied;
use envoy::{Ecds, Resource};
use rollout::Human;

use super::*;
use hooks::Programs;
use sources::{Hosts, Secrets};
use store::Store;

mod acts;
mod beforehand;
mod clocks;
mod crash;
mod delete;
mod disk;
mod fence;
mod kept;
mod keys;
mod lost;
mod partly;
mod practice;
mod shown;
mod world;

pub(super) fn engine(file: &Path) -> Engine {
    let store = Store::open(file).expect("a store");
    let incarnation = store.incarnation;
    let ecds = Ecds::new(Resource::local("/filter.wasm"), incarnation);
    let publisher = Publisher::new(vec![Box::new(ecds)], incarnation, 1_000);
    let sources = Sources::new(Secrets::default(), outbound::system(), Hosts::default()).expect("sources");
    Engine::open(store, publisher, Leases::new(incarnation, 5_000), sources, Hooks::any())
        .expect("an engine")
        .0
}

fn spec(stable: &str, canary: &str, more: &str) -> String {
    format!(
        "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {{name: ranker}}\nspec:\n  stable: {{version: {stable}}}\n  canary: {{version: {canary}}}\n{more}"
    )
}

const QUEUE: &str = "  supersede: queue\n";
const REPLACE: &str = "  supersede: replace\n";
const RAMPED: &str = "  supersede: replace\n  rollback: {ramp: [1%], step: 1m}\n";

async fn apply(engine: &mut Engine, text: &str) -> Result<Applied, Refusal> {
    engine.apply(text, "anna".to_owned(), false).await
}

async fn abort(engine: &mut Engine) {
    let human = Human { who: "ben".to_owned(), reason: "seen enough".to_owned() };
    engine.act("ranker", Act::Abort, human).await.expect("aborted");
}

/// Run, canary, phase, what waits, and whether that was refused.
fn seen(engine: &Engine) -> (u64, String, String, Option<String>, bool) {
    let views = engine.views.borrow();
    let view = &views["ranker"];
    let queued = view.queued.as_ref();
    (
        view.run.run,
        view.run.canary.clone(),
        view.run.phase.to_string(),
        queued.map(|queued| queued.canary.clone()),
        queued.is_some_and(|queued| queued.refused.is_some()),
    )
}

#[track_caller]
fn check(engine: &Engine, run: u64, canary: &str, phase: &str, queued: Option<&str>, refused: bool) {
    let expected = (run, canary.to_owned(), phase.to_owned(), queued.map(str::to_owned), refused);
    assert_eq!(seen(engine), expected);
}

#[tokio::test]
async fn a_secret_nobody_offers_is_refused_before_anything_is_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = engine(&dir.path().join("serin.db"));
    let gate = "  gates: [{name: q, max: 1, source: {http: {url: 'https://h', jsonPointer: /a, access: {bearer: {secret: token}}}}}]\n";
    let refused = apply(&mut engine, &spec("v1", "v2", gate)).await.expect_err("nothing is offered");
    let Refusal::Invalid(why) = refused else { panic!("{refused:?}") };
    assert!(
        why.contains("gate q: source.http.access.bearer.secret") && why.contains("--secret-dir"),
        "{why}"
    );
    assert!(engine.journal.rollouts().expect("a store").is_empty());
}

#[tokio::test]
async fn a_program_nobody_named_is_refused_before_anything_is_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = engine(&dir.path().join("serin.db"));
    engine.external.hooks = Hooks::of(Programs::default());
    let hook = "  handBack: {hook: {command: [deploy]}}\n";
    let refused = apply(&mut engine, &spec("v1", "v2", hook)).await.expect_err("nothing is named");
    let Refusal::Invalid(why) = refused else { panic!("{refused:?}") };
    assert!(why.contains("spec.handBack.hook.command") && why.contains("--hook-command"), "{why}");
    assert!(engine.journal.rollouts().expect("a store").is_empty());
}

#[tokio::test]
async fn what_is_queued_survives_a_restart_and_begins_by_itself() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut first = engine(&file);
    apply(&mut first, &spec("v1", "v2", "")).await.expect("begun");
    let applied = apply(&mut first, &spec("v1", "v3", QUEUE)).await.expect("queued");
    assert!((applied.queued, applied.unchanged, applied.run) == (true, false, 1), "{applied:?}");
    let applied = apply(&mut first, &spec("v1", "v4", QUEUE)).await.expect("queued");
    assert!(applied.warnings.iter().any(|warning| warning.contains("place of v3")), "{applied:?}");
    first.tick().await;
    check(&first, 1, "v2", "Pending", Some("v4"), false);
    drop(first);

    let mut second = engine(&file);
    // Shown from the first, before it has done anything.
    check(&second, 1, "v2", "Pending", Some("v4"), false);
    second.recover().await;
    second.tick().await;
    check(&second, 1, "v2", "Pending", Some("v4"), false);
    abort(&mut second).await;
    check(&second, 1, "v2", "RolledBack", Some("v4"), false);
    drop(second);

    // Between the end of the one and the beginning of the other.
    let mut third = engine(&file);
    third.recover().await;
    check(&third, 1, "v2", "RolledBack", Some("v4"), false);
    third.tick().await;
    check(&third, 2, "v4", "Pending", None, false);
    assert!(third.past("ranker", 1).is_ok(), "the run before it is kept");
    drop(third);
    let mut fourth = engine(&file);
    fourth.recover().await;
    fourth.tick().await;
    check(&fourth, 2, "v4", "Pending", None, false);
}

#[tokio::test]
async fn what_replaces_begins_at_once_and_finishes_its_way_after_a_crash() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut first = engine(&file);
    apply(&mut first, &spec("v1", "v2", "")).await.expect("begun");
    let applied = apply(&mut first, &spec("v1", "v3", REPLACE)).await.expect("replaced");
    assert!((applied.queued, applied.run) == (false, 2), "{applied:?}");
    check(&first, 2, "v3", "Pending", None, false);
    let past = first.past("ranker", 1).expect("kept");
    assert!(past.run.rollback.is_some_and(|rollback| rollback.reason.contains("v3 takes its place")));

    // A crash when it was written down, and nothing else done.
    let plan = manifest::load(&spec("v1", "v4", RAMPED)).expect("a rollout").plan;
    first.wait("ranker", vec![plan], &spec("v1", "v4", RAMPED), "anna".to_owned()).expect("written");
    drop(first);
    let mut second = engine(&file);
    second.recover().await;
    check(&second, 2, "v3", "Pending", Some("v4"), false);
    second.tick().await;
    check(&second, 3, "v4", "Pending", None, false);
}

#[tokio::test]
async fn what_never_fits_is_said_at_once_and_harms_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = engine(&dir.path().join("serin.db"));
    apply(&mut engine, &spec("v1", "v2", "")).await.expect("begun");
    for (text, part) in [
        (spec("v1", "v3", ""), "serin abort ranker"),
        (spec("v2", "v3", REPLACE), "\"v1\" behind the stable route"),
        (spec("v9", "v3", QUEUE), "\"v1\" or \"v2\""),
    ] {
        match apply(&mut engine, &text).await {
            Err(Refusal::Conflict(why)) => assert!(why.contains(part), "{part:?} is missing in: {why}"),
            other => panic!("{other:?}"),
        }
        check(&engine, 1, "v2", "Pending", None, false);
    }
    // v2 may yet be what stable serves.
    apply(&mut engine, &spec("v2", "v3", QUEUE)).await.expect("queued");
    check(&engine, 1, "v2", "Pending", Some("v3"), false);
    // It is not: that is said where people look, and tried no more.
    abort(&mut engine).await;
    engine.tick().await;
    check(&engine, 1, "v2", "RolledBack", Some("v3"), true);
    engine.tick().await;
    check(&engine, 1, "v2", "RolledBack", Some("v3"), true);
    apply(&mut engine, &spec("v1", "v3", "")).await.expect("begun");
    check(&engine, 2, "v3", "Pending", None, false);
}

#[tokio::test]
async fn whoever_applies_what_is_there_withdraws_what_waits() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut first = engine(&file);
    apply(&mut first, &spec("v1", "v2", "")).await.expect("begun");
    apply(&mut first, &spec("v1", "v3", QUEUE)).await.expect("queued");
    let applied = apply(&mut first, &spec("v1", "v2", "")).await.expect("unchanged");
    assert!(applied.unchanged && applied.warnings.iter().any(|said| said.contains("v3")), "{applied:?}");
    check(&first, 1, "v2", "Pending", None, false);
    drop(first);
    assert!(engine(&file).waiting.is_empty());
}

#[tokio::test]
async fn a_plan_that_was_rolled_back_does_not_come_back_by_itself() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = engine(&dir.path().join("serin.db"));
    let text = spec("v1", "v2", QUEUE);
    apply(&mut engine, &text).await.expect("begun");
    abort(&mut engine).await;
    let plan = manifest::load(&text).expect("a rollout").plan;
    engine.wait("ranker", vec![plan], &text, "anna".to_owned()).expect("written");
    engine.tick().await;
    check(&engine, 1, "v2", "RolledBack", Some("v2"), true);
    match apply(&mut engine, &text).await {
        Err(Refusal::Conflict(why)) => assert!(why.contains("serin apply --again"), "{why}"),
        other => panic!("{other:?}"),
    }
    engine.apply(&text, "anna".to_owned(), true).await.expect("a person wants it");
    check(&engine, 2, "v2", "Pending", None, false);
}

#[tokio::test]
async fn an_act_that_means_nothing_now_is_refused_with_what_would() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = engine(&dir.path().join("serin.db"));
    apply(&mut engine, &spec("v1", "v2", "")).await.expect("begun");
    for (act, part) in [
        (Act::Promote, "quorum"),
        (Act::Approve, "no approval is awaited"),
        (Act::Pause, "nothing to pause"),
        (Act::Resume, "not paused"),
    ] {
        let human = Human { who: "ben".to_owned(), reason: "why not".to_owned() };
        match engine.act("ranker", act, human).await {
            Err(Refusal::Conflict(why)) => {
                assert!(why.contains(part) && why.contains("ranker"), "{act:?}: {why}")
            }
            other => panic!("{act:?}: {other:?}"),
        }
    }
    abort(&mut engine).await;
    let human = Human { who: "ben".to_owned(), reason: String::new() };
    match engine.act("ranker", Act::Abort, human).await {
        Err(Refusal::Conflict(why)) => assert!(why.contains("over"), "{why}"),
        other => panic!("{other:?}"),
    }
}

/// A rollback does not wait for a disk; and it is not forgotten when the disk is back.
#[tokio::test]
async fn a_rollback_the_store_would_not_take_is_written_as_soon_as_it_does() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut first = disk::aborted_on_a_full_disk(&file).await;
    check(&first, 1, "v2", "RolledBack", None, false);
    first.tick().await;
    let generation = first.mesh.generation;

    first.journal.refuse_writes(false).expect("a switch");
    first.tick().await;
    drop(first);
    let mut second = engine(&file);
    second.recover().await;
    check(&second, 1, "v2", "RolledBack", None, false);
    assert_eq!(second.mesh.generation, generation, "what was published is not published over");
}

/// Runs move by value through the engine, and builds for tests keep every copy: threads have two megabytes, of which a
/// whole story takes well under one.
#[test]
fn half_the_usual_stack_is_enough() {
    let story = std::thread::Builder::new().stack_size(1024 * 1024).spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async { crash::script(&mut world::World::new([]).await).await });
    });
    story.expect("a thread").join().expect("the story");
}
