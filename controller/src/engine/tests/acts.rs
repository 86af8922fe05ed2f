//! An act is for what was seen, is done once, and moves one stage.

use std::sync::Arc;

use hooks::{Call, Calling, Cluster, Counting, DeployHook};
use rollout::{Acks, Interval};
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::specification::Specification;

const STAGES: &str = "  stages:
    - {weight: 5%, bake: 1h, deadline: 5h, gates: []}
    - {weight: 10%, bake: 1h, deadline: 5h, gates: []}
    - {weight: 20%, bake: 1h, deadline: 5h, gates: []}
    - {weight: 100%, bake: 1h, deadline: 5h, gates: []}
";

fn read(text: &str) -> Specification {
    Specification::read(text.to_owned()).expect("a specification")
}

fn human() -> Human {
    Human { who: "anna".to_owned(), reason: "go".to_owned() }
}

fn seen_as(revision: &str) -> Conditions {
    Conditions { expect: Some(revision.to_owned()), key: None }
}

fn under(key: &str) -> Conditions {
    Conditions { expect: None, key: Some(key.to_owned()) }
}

/// Every proxy follows.
async fn follow(engine: &mut Engine) {
    for name in engine.runs.keys().cloned().collect::<Vec<_>>() {
        let publication = engine.runs[&name].state.publication.as_ref().expect("published").sent.id;
        let acks = Acks { publication, acknowledged: 1, connected: 1, ..Acks::default() };
        engine.advance(&name, &Event::Acks(acks)).await;
    }
}

/// Counts of the present weights come, a little later.
async fn counts(engine: &mut Engine) {
    let before = clock::now();
    while clock::now().since_ms(before) < 2 {
        tokio::task::yield_now().await;
    }
    let epoch = engine.runs["ranker"].state.epoch;
    let look = Interval { epoch, from_ms: 0, to_ms: 1_000, ..Interval::default() };
    engine.advance("ranker", &Event::Interval(Box::new(look))).await;
}

/// In its first stage, which somebody has looked at.
async fn at_work(file: &Path) -> Engine {
    let mut engine = engine(file);
    apply(&mut engine, &spec("v1", "v2", STAGES)).await.expect("begun");
    follow(&mut engine).await;
    // Nobody is exposed before the proxies can be read.
    counts(&mut engine).await;
    follow(&mut engine).await;
    counts(&mut engine).await;
    assert_eq!(stage(&engine), 0);
    engine
}

fn stage(engine: &Engine) -> usize {
    engine.runs["ranker"].state.stage
}

fn revision(engine: &Engine) -> String {
    engine.views.borrow()["ranker"].revision.clone()
}

#[track_caller]
fn refused(answer: Result<(), Refusal>, parts: &[&str]) {
    match answer {
        Err(Refusal::MovedOn(why)) => assert!(parts.iter().all(|part| why.contains(part)), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn promotions_that_come_at_once_move_one_stage() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = at_work(&dir.path().join("serin.db")).await;
    engine.act("ranker", Act::Promote, human()).await.expect("promoted");
    refused(
        engine.act("ranker", Act::Promote, human()).await,
        &["only just moved on", "on their way", "x-serin-expect"],
    );
    // Not even when the proxies are quick.
    follow(&mut engine).await;
    refused(engine.act("ranker", Act::Promote, human()).await, &["nothing was counted in stage 2"]);
    assert_eq!(stage(&engine), 1);
    counts(&mut engine).await;
    engine.act("ranker", Act::Promote, human()).await.expect("promoted");
    assert_eq!(stage(&engine), 2);
}

#[tokio::test]
async fn whoever_says_what_was_seen_moves_that_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = at_work(&dir.path().join("serin.db")).await;
    let seen = revision(&engine);
    assert!(seen.starts_with("1-"), "{seen}");
    engine.act_if("ranker", Act::Promote, human(), &seen_as(&seen)).await.expect("promoted");
    for act in [Act::Promote, Act::Approve, Act::Resume, Act::SetWeight(70_000), Act::Choose(Arm::Canary)] {
        let answer = engine.act_if("ranker", act, human(), &seen_as(&seen)).await;
        refused(answer, &["ranker has moved on", "at stage 2 of 4 (10%)", &seen, "look again"]);
    }
    assert_eq!(stage(&engine), 1);
    // Who has seen it goes on at once.
    let now = revision(&engine);
    engine.act_if("ranker", Act::Promote, human(), &seen_as(&now)).await.expect("promoted");
    assert_eq!(stage(&engine), 2);
    // What holds is meant for wherever it is, of the same run; what takes back for all.
    refused(engine.act_if("ranker", Act::Pause, human(), &seen_as("9-1")).await, &["moved on"]);
    engine.act_if("ranker", Act::Pause, human(), &seen_as(&seen)).await.expect("paused");
    engine.act_if("ranker", Act::Abort, human(), &seen_as("no such thing")).await.expect("aborted");
    check(&engine, 1, "v2", "RolledBack", None, false);
    let retried = engine.retry("ranker", human(), &seen_as(&seen)).await;
    refused(retried.map(|_| ()), &["moved on"]);
    let now = revision(&engine);
    assert_eq!(engine.retry("ranker", human(), &seen_as(&now)).await.expect("begun").run, 2);
}

#[tokio::test]
async fn a_specification_replaces_nothing_that_was_not_seen() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = at_work(&dir.path().join("serin.db")).await;
    let applied = async |engine: &mut Engine, text: &str, seen: &str| {
        engine.apply_if(&read(text), human(), false, &seen_as(seen)).await.map(|applied| applied.run)
    };
    let other = spec("v1", "v3", REPLACE);
    refused(applied(&mut engine, &other, api::NO_RUN).await.map(|_| ()), &["moved on"]);
    check(&engine, 1, "v2", "Progressing", None, false);
    // What is there already replaces nothing.
    assert_eq!(applied(&mut engine, &spec("v1", "v2", STAGES), api::NO_RUN).await, Ok(1));
    let seen = revision(&engine);
    apply(&mut engine, &spec("v1", "v4", QUEUE)).await.expect("queued");
    refused(applied(&mut engine, &other, &seen).await.map(|_| ()), &["moved on"]);
    let seen = revision(&engine);
    assert_eq!(applied(&mut engine, &other, &seen).await, Ok(2));
}

#[tokio::test]
async fn commands_hand_on_what_was_seen() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = at_work(&dir.path().join("serin.db")).await;
    let (name, stale) = ("ranker".to_owned(), seen_as("1-0"));
    let (answer, done) = oneshot::channel();
    let (human_of, conditions) = (human(), stale.clone());
    let act = Command::Act { name: name.clone(), act: Act::Promote, human: human_of, conditions, answer };
    engine.command(act).await;
    refused(done.await.expect("an answer").map(|_| ()), &["moved on"]);
    abort(&mut engine).await;
    let (answer, done) = oneshot::channel();
    let conditions = stale.clone();
    engine.command(Command::Delete { name: name.clone(), human: human(), conditions, answer }).await;
    refused(done.await.expect("an answer"), &["moved on"]);
    let (answer, done) = oneshot::channel();
    let order =
        Order::Drill { weight: manifest::Percent::from_ppm(0), limit: manifest::Span::from_ms(1_000) };
    let conditions = stale.clone();
    engine.command(Command::Exercise { name: name.clone(), order, human: human(), conditions, answer }).await;
    refused(done.await.expect("an answer").map(|_| ()), &["moved on"]);
    let (answer, done) = oneshot::channel();
    let (spec, who) = (Box::new(read(&spec("v1", "v3", ""))), "anna".to_owned());
    let apply = Command::Apply { spec, who, again: false, dry_run: false, conditions: stale, answer };
    engine.command(apply).await;
    refused(done.await.expect("an answer").map(|_| ()), &["moved on"]);
}

#[tokio::test]
async fn what_was_done_under_a_key_is_not_done_again_whatever_happened_since() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut first = at_work(&file).await;
    let promote =
        async |engine: &mut Engine| engine.act_if("ranker", Act::Promote, human(), &under("k1")).await;
    promote(&mut first).await.expect("promoted");
    follow(&mut first).await;
    counts(&mut first).await;
    promote(&mut first).await.expect("as the first time");
    assert_eq!(stage(&first), 1);
    drop(first);
    let mut second = engine(&file);
    second.recover().await;
    follow(&mut second).await;
    counts(&mut second).await;
    promote(&mut second).await.expect("as the first time");
    assert_eq!(stage(&second), 1);
    match second.act_if("ranker", Act::SetWeight(1), human(), &under("k1")).await {
        Err(Refusal::Invalid(why)) => assert!(why.contains("another act (promote)"), "{why}"),
        other => panic!("{other:?}"),
    }
    second.act_if("ranker", Act::Abort, human(), &under("k1")).await.expect("nothing holds that up");
    second.act_if("ranker", Act::Abort, human(), &under("k1")).await.expect("as it was");
    // A run that was begun under a key is begun once.
    assert_eq!(second.retry("ranker", human(), &under("k2")).await.expect("begun").run, 2);
    assert_eq!(second.retry("ranker", human(), &under("k2")).await.expect("as it was").run, 2);
    let text = spec("v1", "v5", REPLACE);
    let applied =
        async |engine: &mut Engine| engine.apply_if(&read(&text), human(), false, &under("k3")).await;
    assert_eq!(applied(&mut second).await.expect("begun").run, 3);
    assert_eq!(applied(&mut second).await.expect("as it was").run, 3);
}

#[tokio::test]
async fn rollouts_over_the_same_requests_are_told_of() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = engine(&dir.path().join("serin.db"));
    let named =
        |name: &str, more: &str| spec("v1", "v2", more).replace("name: ranker", &format!("name: {name}"));
    let warned = |applied: Result<Applied, Refusal>| applied.expect("begun").warnings.join("; ");
    assert_eq!(warned(apply(&mut engine, &named("m", "")).await), "");
    let said = warned(apply(&mut engine, &named("n", "")).await);
    assert!(said.contains("m takes all of the requests of n") && said.contains("delete m"), "{said}");
    // The other way round: the one that is there loses some of its own.
    let said = warned(apply(&mut engine, &named("a", "  match: {pathPrefix: /rank}\n")).await);
    assert!(said.contains("a takes some of the requests of m") && !said.contains("delete a"), "{said}");
    let view = |engine: &Engine, name: &str| engine.views.borrow()[name].clone();
    let n = view(&engine, "n");
    let claimed: Vec<(&str, bool)> = n.claimed_by.iter().map(|by| (by.name.as_str(), by.all)).collect();
    assert_eq!(claimed, [("a", false), ("m", true)]);
    assert!(n.run.message.starts_with("another rollout owns its requests: m"), "{}", n.run.message);
    assert!(view(&engine, "a").claimed_by.is_empty());
    engine.tick().await;
    let m = view(&engine, "m").run.message.clone();
    assert!(m.starts_with("another rollout owns some of its requests: a"), "{m}");
    // What is over still owns them, until it is deleted.
    engine.act("m", Act::Abort, human()).await.expect("aborted");
    assert_eq!(view(&engine, "n").claimed_by.len(), 2);
    engine.delete_if("m", &human(), &Conditions::default()).await.expect("deleted");
    assert_eq!(view(&engine, "n").claimed_by.len(), 1);
    // Who is no neighbour is not told of.
    let far = "  match: {authority: [far.example], port: 9}\n";
    assert_eq!(warned(apply(&mut engine, &named("z", far)).await).matches("takes").count(), 2);
}

/// A cluster in which a change waits for ever for pods that are ready; who waits holds the sender.
struct NeverReady(mpsc::Sender<()>);

struct Waits(mpsc::Sender<()>);

impl DeployHook for Waits {
    fn call<'a>(&'a self, _: &'a Call) -> Calling<'a> {
        let waits = self.0.clone();
        Box::pin(async move {
            let _ = waits.send(()).await;
            std::future::pending().await
        })
    }
}

impl Cluster for NeverReady {
    fn may_change(&self, _: &str) -> Result<(), String> {
        Ok(())
    }

    fn change(&self, _: &manifest::WorkloadChange, _: &[String], _: &str) -> Box<dyn DeployHook> {
        Box::new(Waits(self.0.clone()))
    }

    fn ready<'a>(&'a self, _: &'a manifest::ReadyWorkloads, _: &'a [String]) -> Counting<'a> {
        Box::pin(std::future::ready(Err("not counted".to_owned())))
    }
}

/// What only waits to change a workload must not change it after the abort.
#[tokio::test]
async fn an_abort_gives_up_a_change_in_kubernetes_that_still_waits() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = engine(&dir.path().join("serin.db"));
    let (waits, mut waiting) = mpsc::channel(1);
    engine.external.hooks = Hooks::of(Programs::default()).within(Arc::new(NeverReady(waits)));
    let text = spec("v1", "v2", "  stages: [{weight: 100%, bake: 1h, deadline: 5h, gates: []}]\n  handBack: {kubernetes: {service: ranker, selector: {version: '{{version}}'}}}\n")
        .replace("{name: ranker}", "{name: ranker, namespace: models}");
    apply(&mut engine, &text).await.expect("begun");
    for _ in 0..4 {
        follow(&mut engine).await;
        counts(&mut engine).await;
    }
    engine.act("ranker", Act::Promote, human()).await.expect("promoted");
    let patience = Duration::from_secs(20);
    tokio::time::timeout(patience, waiting.recv()).await.expect("in time").expect("it waits");
    abort(&mut engine).await;
    // Nobody can begin another change, and the one that waited is gone.
    engine.external.hooks = Hooks::of(Programs::default());
    assert_eq!(tokio::time::timeout(patience, waiting.recv()).await.expect("given up"), None);
}
