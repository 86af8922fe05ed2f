//! Going back, against an engine without a mesh.

use std::path::Path;

use api::{OpenEnum, PhaseName};
use axum::http::HeaderName;
use rollout::Phase;
use tokio::net::TcpListener;

use super::*;
use crate::engine::tests::engine;

/// An endpoint that reports a version.
async fn endpoint(version: &'static str) -> String {
    let answer = async move || [(HeaderName::from_static("x-model-version"), version)];
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("its address"));
    tokio::spawn(axum::serve(listener, axum::Router::new().fallback(answer)).into_future());
    url
}

fn text(stable: &str, canary: &str, more: &str) -> String {
    format!(
        "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {{name: ranker}}\nspec:\n  stable: {{version: {stable}}}\n  canary: {{version: {canary}}}\n{more}"
    )
}

async fn apply(engine: &mut Engine, text: &str) -> Result<u64, Refusal> {
    engine.apply(text, "anna".to_owned(), false).await.map(|applied| applied.run)
}

/// As if the present run had gone the whole way up.
fn promote(engine: &mut Engine, name: &str) {
    let state = &mut engine.runs.get_mut(name).expect("a run").state;
    state.stable_version = state.plan.canary.clone();
    state.phase = Phase::Succeeded;
    state.weights = manifest::Weights::default();
}

/// An engine whose ranker went from v0 to v1, and from there to v2.
async fn promoted(file: &Path, more: &str) -> Engine {
    let mut engine = engine(file);
    for (stable, canary) in [("v0", "v1"), ("v1", "v2")] {
        apply(&mut engine, &text(stable, canary, more)).await.expect("begun");
        promote(&mut engine, "ranker");
    }
    engine
}

/// `serin rollback NAME` with `--to`, and `--unverified` where it begins with a `!`.
async fn back(engine: &mut Engine, name: &str, to: &str, reason: &str) -> Result<RollbackReply, Refusal> {
    let (to, unverified) = (to.trim_start_matches('!'), to.starts_with('!'));
    let to = Some(to.to_owned()).filter(|to| !to.is_empty());
    let human = Human { who: "ben".to_owned(), reason: reason.to_owned() };
    let (answer, mut answered) = oneshot::channel();
    engine
        .roll_back(name.to_owned(), RollbackOrder { to, unverified }, human, Conditions::default(), answer)
        .await;
    loop {
        if let Ok(said) = answered.try_recv() {
            return said;
        }
        let report = engine.external.reported.recv().await.expect("an answer");
        engine.report(report).await;
    }
}

#[track_caller]
fn refused(said: &Result<RollbackReply, Refusal>, part: &str) {
    match said {
        Err(refusal) => assert!(refusal.text().contains(part), "{part:?} is missing in: {}", refusal.text()),
        Ok(went) => panic!("{went:?}"),
    }
}

/// Run, phase, version behind the stable route, canary, its weight.
fn seen(engine: &Engine) -> (u64, OpenEnum<PhaseName>, String, String, u32) {
    let views = engine.views.borrow();
    let run = &views["ranker"].run;
    (run.run, run.phase.clone(), run.stable.clone(), run.canary.clone(), run.weight_ppm)
}

#[tokio::test]
async fn while_a_run_lasts_going_back_is_an_abort() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = engine(&dir.path().join("serin.db"));
    refused(&back(&mut engine, "ranker", "", "").await, "there is no rollout");
    apply(&mut engine, &text("v1", "v2", "")).await.expect("begun");
    refused(
        &back(&mut engine, "ranker", "v0", "x").await,
        "serin abort ranker, then serin rollback ranker --to v0",
    );
    let went = back(&mut engine, "ranker", "v1", "").await.expect("taken back");
    assert!(!went.begun);
    assert_eq!(seen(&engine).1, PhaseName::RolledBack);
    // What is there cannot be gone back to, and nobody meant something else.
    refused(&back(&mut engine, "ranker", "", "x").await, "stable serves v1 already: rolled back to v1");
}

#[tokio::test]
async fn after_a_promotion_it_is_a_run_of_its_own_and_somebody_says_that_the_version_is_there() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut first = promoted(&file, "").await;
    refused(&back(&mut first, "ranker", "v2", "x").await, "stable serves v2 already");
    refused(
        &back(&mut first, "ranker", "v9", "x").await,
        "was never behind its stable route; those that were: v1, v0",
    );
    refused(&back(&mut first, "ranker", "", " ").await, "--reason");
    refused(
        &back(&mut first, "ranker", "", "x").await,
        "(spec.keepWarm.endpoints); put v1 behind the canary route",
    );
    let went = back(&mut first, "ranker", "!", "clicks fell").await.expect("gone back");
    assert_eq!((went.run, went.begun, went.message.as_str()), (3, true, "everybody goes back to v1"));
    let there = (3, PhaseName::Promoting.into(), "v2".to_owned(), "v1".to_owned(), 1_000_000);
    assert_eq!(seen(&first), there);
    assert_eq!(first.views.borrow()["ranker"].run.overrides.len(), 1, "nobody's word is counted");
    // Impatience does not give the traffic to the bad version again.
    refused(&back(&mut first, "ranker", "", "again").await, "goes back to v1 already (run 3)");
    drop(first);

    let mut second = engine(&file);
    second.recover().await;
    second.tick().await;
    assert_eq!(seen(&second), there);
    promote(&mut second, "ranker");
    refused(
        &back(&mut second, "ranker", "", "x").await,
        "went back from v2 to v1; to go further, name the version: --to, one of v2, v0",
    );
    // Every version that was there before, however long ago.
    assert_eq!(back(&mut second, "ranker", "!v0", "worse and worse").await.expect("gone back").run, 4);
    assert_eq!(seen(&second), (4, PhaseName::Promoting.into(), "v1".to_owned(), "v0".to_owned(), 1_000_000));
}

#[tokio::test]
async fn all_endpoints_must_report_the_version() {
    for (serves, refusal) in [(["v1", "v1"], None), (["v1", "v2"], Some("reports v2; put v1 behind"))] {
        let dir = tempfile::tempdir().expect("a folder");
        let endpoints = [endpoint(serves[0]).await, endpoint(serves[1]).await].join("', '");
        let more = format!("  keepWarm: {{endpoints: ['{endpoints}']}}\n");
        let mut engine = promoted(&dir.path().join("serin.db"), &more).await;
        let went = back(&mut engine, "ranker", "", "clicks fell").await;
        match refusal {
            Some(part) => refused(&went, part),
            None => {
                went.expect("gone back");
                let said = engine.runs["ranker"].state.history[0].what.clone();
                assert!(said.contains("all endpoints of the canary route report v1: 2"), "{said}");
                assert!(engine.runs["ranker"].state.overrides.is_empty());
            }
        }
    }
    let dir = tempfile::tempdir().expect("a folder");
    let gone = "  keepWarm: {endpoints: ['http://127.0.0.1:1/']}\n";
    let mut engine = promoted(&dir.path().join("serin.db"), gone).await;
    refused(&back(&mut engine, "ranker", "", "x").await, "http://127.0.0.1:1/ does not answer");
}

/// What waits by itself does not end what somebody kept to go back to; a person may.
#[tokio::test]
async fn what_is_queued_waits_for_what_is_kept_and_a_person_does_not() {
    const KEEP: &str = "  keepWarm: {for: 1h}\n";
    let queue = format!("{KEEP}  supersede: queue\n");
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = engine(&dir.path().join("serin.db"));
    apply(&mut engine, &text("v1", "v2", KEEP)).await.expect("begun");
    apply(&mut engine, &text("v2", "v3", &queue)).await.expect("queued");
    promote(&mut engine, "ranker");
    for _ in 0..3 {
        engine.tick().await;
    }
    assert_eq!(engine.runs["ranker"].state.run, 1);
    // Going back takes its turn away: it was made for what is gone back from.
    let went = back(&mut engine, "ranker", "!", "clicks fell").await.expect("gone back");
    assert!(went.message.contains("v3, which waited, does not begin"), "{went:?}");
    assert!(engine.waiting.is_empty());

    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = crate::engine::tests::engine(&dir.path().join("serin.db"));
    apply(&mut engine, &text("v1", "v2", KEEP)).await.expect("begun");
    promote(&mut engine, "ranker");
    // Nor is it let go of unheard.
    let human = |reason: &str| Human { who: "ben".to_owned(), reason: reason.to_owned() };
    match engine.delete_if("ranker", &human(""), &Conditions::default()).await {
        Err(Refusal::Conflict(why)) => assert!(why.contains("keeps a version warm"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(apply(&mut engine, &text("v2", "v3", KEEP)).await.expect("begun"), 2);
    abort_now(&mut engine).await;
    engine.delete_if("ranker", &human("retired"), &Conditions::default()).await.expect("a person wants it");
}

async fn abort_now(engine: &mut Engine) {
    let human = Human { who: "ben".to_owned(), reason: String::new() };
    engine.act("ranker", Act::Abort, human).await.expect("aborted");
}

/// The version had its turn, whoever tells of it: a registry, a file, or the same file with a higher voice.
#[tokio::test]
async fn nobody_brings_back_what_a_person_went_back_from() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = engine(&dir.path().join("serin.db"));
    let trigger = "apiVersion: serin.dev/v1alpha1\nkind: Trigger\nmetadata: {name: registry}\nspec:\n  webhook: {unsigned: true}\n  template:\n    metadata: {name: ranker}\n    spec:\n      stable: {version: v1}\n      canary: {version: 'v{{version}}'}\n";
    let read = crate::specification::ReadTrigger::read(trigger.to_owned()).expect("a trigger");
    engine.keep_trigger(read, false).expect("kept");
    let named = crate::engine::triggers::NamedBy::Event { said_ms: None };
    assert!(engine.go("registry", "2", "a test", named).await.expect("taken").triggered);
    promote(&mut engine, "ranker");
    apply(&mut engine, &text("v2", "v3", "")).await.expect("begun by hand");
    promote(&mut engine, "ranker");
    for (to, from) in [("!v2", "3"), ("!v1", "2")] {
        back(&mut engine, "ranker", to, "bad").await.expect("gone back");
        for over in [false, true] {
            if over {
                promote(&mut engine, "ranker");
            }
            let gone = engine.go("registry", from, "a test", named).await.expect("taken");
            assert!(!gone.triggered, "{from} {over}: {gone:?}");
            engine.tick().await;
            assert!(engine.runs["ranker"].state.plan.returning.is_some());
        }
    }
    for supersede in ["queue", "replace", "reject"] {
        let file = text("v1", "v2", &format!("  supersede: {supersede}\n"));
        match apply(&mut engine, &file).await {
            Err(Refusal::Conflict(why)) => {
                assert!(why.contains("ben went back from v2 in run 4 (bad)"), "{why}");
                assert!(why.ends_with("(serin apply --again)"), "{why}");
            }
            other => panic!("{other:?}"),
        }
    }
    let file = text("v1", "v2", "");
    assert_eq!(engine.apply(&file, "anna".to_owned(), true).await.expect("a person wants it").run, 5);
}

#[tokio::test]
async fn a_fleet_goes_back_as_one_and_everywhere_at_once() {
    let fleet = "  models: [{name: a, match: {pathPrefix: /a}}, {name: b, match: {pathPrefix: /b}, canary: {version: b2}}]\n  regions: {waves: [[eu], [us]], soak: 1h}\n";
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = engine(&dir.path().join("serin.db"));
    apply(&mut engine, &text("v1", "v2", fleet)).await.expect("begun");
    let members = ["ranker.a.eu", "ranker.a.us", "ranker.b.eu", "ranker.b.us"];
    members.iter().skip(1).for_each(|name| promote(&mut engine, name));
    engine.runs.get_mut(members[0]).expect("it").state.phase = Phase::RolledBack;
    refused(&back(&mut engine, "ranker", "!", "x").await, "stable serves v1 already");
    promote(&mut engine, members[0]);
    refused(
        &back(&mut engine, members[0], "!", "x").await,
        "goes back with all of ranker: serin rollback ranker",
    );
    let went = back(&mut engine, "ranker", "!", "clicks fell").await.expect("gone back");
    assert_eq!((went.run, went.message.as_str()), (2, "everybody goes back to v1"));
    for name in members {
        let state = &engine.runs[name].state;
        assert_eq!(
            (state.run, state.weights.canary_ppm, state.plan.canary.as_str()),
            (2, 1_000_000, "v1"),
            "{name}"
        );
    }
    // And one of them that is taken back takes the others along, as ever.
    assert_eq!(engine.views.borrow()["ranker"].run.phase, PhaseName::Promoting);
    let human = Human { who: "ben".to_owned(), reason: "no".to_owned() };
    engine.act("ranker", Act::Abort, human).await.expect("aborted");
    assert!(members.iter().all(|name| engine.runs[*name].state.weights.canary_ppm == 0));
}

/// A cluster whose Deployments have so many ready pods.
struct Pods(u32);

impl hooks::Cluster for Pods {
    fn may_change(&self, _: &str) -> Result<(), String> {
        Ok(())
    }

    fn change(&self, _: &manifest::WorkloadChange, _: &[String], _: &str) -> Box<dyn hooks::DeployHook> {
        unreachable!("nothing is changed here")
    }

    fn ready<'a>(&'a self, of: &'a ReadyWorkloads, _: &'a [String]) -> hooks::Counting<'a> {
        let canary = Workload::Deployment("ranker-canary".to_owned());
        assert_eq!(
            *of,
            ReadyWorkloads { namespace: "models".to_owned(), of: ReadyOf::Each { canary, stable: None } }
        );
        Box::pin(std::future::ready(Ok(hooks::ReadyCounts { canary: self.0, stable: None })))
    }
}

/// What was kept warm was scaled to nothing when its time was over: nobody is sent there, whatever a person vouches for.
#[tokio::test]
async fn what_was_scaled_down_gets_nobody() {
    let kept = "  keepWarm: {for: 30m, kubernetes: {deployment: ranker-canary, image: 'r:{{version}}', replicas: 0}}\n";
    for (pods, goes) in [(0, false), (1, true)] {
        let dir = tempfile::tempdir().expect("a folder");
        let mut engine = engine(&dir.path().join("serin.db"));
        engine.external.hooks = Hooks::of(hooks::Programs::default()).within(std::sync::Arc::new(Pods(pods)));
        let text = text("v1", "v2", kept).replace("{name: ranker}", "{name: ranker, namespace: models}");
        apply(&mut engine, &text).await.expect("begun");
        promote(&mut engine, "ranker");
        refused(&back(&mut engine, "ranker", "", "x").await, "--unverified");
        let went = back(&mut engine, "ranker", "!v1", "x").await;
        if goes {
            assert!(went.expect("it goes back").begun);
        } else {
            refused(&went, "kubectl -n models scale deployment ranker-canary --replicas=N");
        }
    }
}
