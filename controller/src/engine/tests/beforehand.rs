//! What is asked beforehand, and what is begun once more.

use api::PhaseName;

use super::*;
use crate::specification::Specification;

/// Everything that could have been changed.
fn all(engine: &Engine) -> (u64, Vec<(String, u64, String)>, usize, String) {
    let runs = engine.journal.rollouts().expect("a store");
    let runs = runs.into_iter().map(|run| (run.spec, run.state.run, run.state.phase.name().to_string()));
    let views = serde_json::to_string(&*engine.views.borrow().clone()).expect("JSON");
    (engine.mesh.generation, runs.collect(), engine.journal.queued().expect("a store").len(), views)
}

/// What would become of it is what becomes of it, and asking changes nothing.
async fn check(engine: &mut Engine, text: &str, again: bool) -> Result<Applied, Refusal> {
    let before = all(engine);
    let would = Specification::read(text.to_owned()).and_then(|spec| engine.would_apply(&spec, again));
    assert_eq!(all(engine), before, "asking changes nothing");
    let did = engine.apply(text, "anna".to_owned(), again).await;
    match (&would, &did) {
        (Ok(would), Ok(did)) => {
            let shape =
                |one: &Applied| (one.name.clone(), one.run, one.unchanged, one.queued, one.rescheduled);
            assert_eq!(shape(would), shape(did), "{text}");
            assert!(would.dry_run && !did.dry_run);
        }
        (Err(would), Err(did)) => assert_eq!(would.text(), did.text()),
        other => panic!("{other:?}"),
    }
    would
}

#[tokio::test]
async fn what_would_become_of_a_specification_is_said_and_nothing_is_done() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = engine(&dir.path().join("serin.db"));
    let first = check(&mut engine, &spec("v1", "v2", ""), false).await.expect("it would begin");
    assert_eq!((first.run, first.replaces, first.changes.len()), (1, None, 0));
    let same = check(&mut engine, &spec("v1", "v2", ""), false).await.expect("unchanged");
    assert!(same.unchanged && same.changes.is_empty());
    let refused = check(&mut engine, &spec("v1", "v3", ""), false).await.expect_err("one is under way");
    assert!(refused.text().contains("serin abort ranker"), "{refused:?}");
    let invalid = check(&mut engine, "kind: Rollout", false).await.expect_err("no rollout");
    assert!(matches!(invalid, Refusal::Invalid(_)), "{invalid:?}");
    let queued = check(&mut engine, &spec("v1", "v3", QUEUE), false).await.expect("queued");
    assert!(queued.queued && queued.run == 1);
    let changes: Vec<String> = queued.changes.iter().map(ToString::to_string).collect();
    assert_eq!(changes, ["spec.canary.version: v2 -> v3", "spec.supersede: queue (new)"]);
    let later = check(&mut engine, &spec("v1", "v4", QUEUE), false).await.expect("queued");
    assert!(later.warnings.iter().any(|said| said.contains("v3, which waits")), "{later:?}");
    let instead = check(&mut engine, &spec("v1", "v5", REPLACE), false).await.expect("replaced");
    assert_eq!((instead.run, instead.replaces), (2, Some(1)));
    let practice = "  supersede: replace\n  practice: {drill: {every: 7d}}\n";
    let other = check(&mut engine, &spec("v1", "v5", practice), false).await.expect("another timetable");
    assert!(other.rescheduled && other.run == 2);
    abort(&mut engine).await;
    check(&mut engine, &spec("v1", "v5", practice), false).await.expect_err("it was rolled back");
    let again = check(&mut engine, &spec("v1", "v5", practice), true).await.expect("once more");
    assert_eq!(again.run, 3);
}

#[tokio::test]
async fn what_was_rolled_back_is_begun_once_more_from_what_is_stored() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut first = engine(&file);
    let human = |reason: &str| Human { who: "ben".to_owned(), reason: reason.to_owned() };
    let why = async |engine: &mut Engine, name: &str, reason: &str| match engine
        .retry(name, human(reason), &Conditions::default())
        .await
    {
        Err(refusal) => refusal.text().to_owned(),
        Ok(applied) => panic!("{applied:?}"),
    };
    assert!(why(&mut first, "ranker", "why not").await.contains("there is no rollout"));
    let text = spec("v1", "v2", "  warmUp: 7s\n");
    apply(&mut first, &text).await.expect("begun");
    assert!(why(&mut first, "ranker", "why not").await.contains("run 1 of ranker is under way (Pending)"));
    abort(&mut first).await;
    assert!(why(&mut first, "ranker", " ").await.contains("reason"));
    drop(first);

    let mut second = engine(&file);
    second.recover().await;
    let applied =
        second.retry("ranker", human("the index was cold"), &Conditions::default()).await.expect("begun");
    assert_eq!((applied.name.as_str(), applied.run), ("ranker", 2));
    check_run(&second, 2, PhaseName::Pending);
    let stored = second.journal.rollouts().expect("a store").remove(0);
    assert_eq!((stored.spec, stored.state.plan.warm_up_ms), (text, 7_000));
    let history = second.runs["ranker"].state.history.iter().map(|line| line.what.clone());
    assert!(history.collect::<String>().contains("for ben (the index was cold)"));
}

#[track_caller]
fn check_run(engine: &Engine, run: u64, phase: PhaseName) {
    let views = engine.views.borrow();
    assert_eq!((views["ranker"].run.run, &views["ranker"].run.phase), (run, &phase.into()));
}

#[tokio::test]
async fn nothing_new_has_a_name_that_nobody_can_ask_for_and_older_names_go_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut first = engine(&file);
    let named = |name: &str, canary: &str| {
        spec("v1", canary, "").replace("{name: ranker}", &format!("{{name: {name:?}}}"))
    };
    for name in ["..", ".", "-x", "Ranker_A"] {
        let refused = check(&mut first, &named(name, "v2"), false).await.expect_err("an unusable name");
        assert!(
            refused.text().contains("metadata.name") && refused.text().contains("such as ranker"),
            "{refused}"
        );
    }
    // As an earlier release took it.
    let text = named("Ranker_A", "v2");
    let loaded = manifest::load(&text).expect("a rollout");
    let human = Human { who: "anna".to_owned(), reason: String::new() };
    first
        .begin("Ranker_A", loaded.plans().to_vec(), &text, human.clone(), (1, 1), None)
        .await
        .expect("begun");
    first.act("Ranker_A", Act::Abort, human.clone()).await.expect("aborted");
    drop(first);
    let mut second = engine(&file);
    second.recover().await;
    assert_eq!(
        second
            .retry("Ranker_A", Human { reason: "again".to_owned(), ..human.clone() }, &Conditions::default())
            .await
            .expect("begun")
            .run,
        2
    );
    second.act("Ranker_A", Act::Abort, human).await.expect("aborted");
    assert_eq!(check(&mut second, &named("Ranker_A", "v3"), false).await.expect("begun").run, 3);
}
