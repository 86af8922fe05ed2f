//! Versions of a registry against an engine without a mesh.

use rollout::Human;

use super::*;
use crate::engine::tests::engine;
use crate::engine::{Act, Conditions};

fn keep(engine: &mut Engine, text: &str) -> Result<TriggerApplied, Refusal> {
    engine.keep_trigger(ReadTrigger::read(text.to_owned())?, false)
}

fn text(more: &str) -> String {
    format!(
        "apiVersion: serin.dev/v1alpha1\nkind: Trigger\nmetadata: {{name: registry}}\nspec:\n  webhook: {{unsigned: true}}\n  template:\n    metadata: {{name: ranker}}\n    spec:\n      stable: {{version: v6}}\n      canary: {{version: 'v{{{{version}}}}'}}\n{more}"
    )
}

async fn go(engine: &mut Engine, version: &str) -> Fired {
    engine.go("registry", version, "a test", NamedBy::Event { said_ms: None }).await.expect("taken")
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
    engine.delete_if("ranker", &human, &Conditions::default()).await.expect("deleted");
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
    assert!(
        second.go("registry", "7", "anna", NamedBy::Person { again: true }).await.expect("taken").triggered
    );
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
    match engine.go("nobody", "7", "a test", NamedBy::Registry).await {
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
    assert!(matches!(engine.go("registry", "7", "a test", NamedBy::Registry).await, Err(Refusal::Failed(_))));
    engine.journal.refuse_writes(false).expect("a switch");
    assert!(go(&mut engine, "7").await.triggered);
    check(&engine, (1, "v6", "v7"), None, &[("7", "begunrun1")]);
}

/// A trigger on a model of a registry that is not asked.
fn of_model(when: &str) -> String {
    text("").replace("spec:\n  webhook", &format!("spec:\n  mlflow: {{model: m, when: {when}}}\n  webhook"))
}

/// Tells of each: version, whether it is to go, and the registry's time; while run 1 of version 7 lasts. Then what waits,
/// and what came of the rest.
async fn told(
    when: &str,
    news: &[(Option<&str>, bool, Option<u64>)],
    pending: Option<&str>,
    outcomes: &[(&str, &str)],
) {
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = engine(&dir.path().join("serin.db"));
    keep(&mut engine, &of_model(when)).expect("kept");
    engine.go("registry", "7", "a test", NamedBy::Event { said_ms: Some(70_000) }).await.expect("taken");
    for (version, go, said_ms) in news {
        let version = version.map(str::to_owned);
        let (answer, answered) = oneshot::channel();
        let news = RegistryEvent { version, go: *go, by: "a webhook".to_owned(), said_ms: *said_ms };
        engine.deliver("registry".to_owned(), news, answer).await;
        answered.await.expect("an answer").expect("taken");
    }
    let mut outcomes: Vec<_> = [("7", "begunrun1")].into_iter().chain(outcomes.iter().copied()).collect();
    outcomes.sort_unstable();
    check(&engine, (1, "v6", "v7"), pending, &outcomes);
}

const ALIAS: &str = "{alias: challenger}";

#[tokio::test]
async fn events_go_in_the_order_in_which_they_happened() {
    let passed = ("8", "passed_overby_version9");
    // As it happened, and the other way round.
    told(ALIAS, &[(Some("8"), true, Some(80_000)), (Some("9"), true, Some(90_000))], Some("9"), &[passed])
        .await;
    told(ALIAS, &[(Some("9"), true, Some(90_000)), (Some("8"), true, Some(80_000))], Some("9"), &[passed])
        .await;
    // Told of again: nothing is lost, and nothing comes back.
    let again =
        [(Some("9"), true, Some(90_000)), (Some("8"), true, Some(80_000)), (Some("9"), true, Some(90_000))];
    told(ALIAS, &again, Some("9"), &[passed]).await;
    // An alias may go back, and a version that was passed over is meant then.
    let back =
        [(Some("8"), true, Some(80_000)), (Some("9"), true, Some(90_000)), (Some("8"), true, Some(95_000))];
    told(ALIAS, &back, Some("8"), &[passed, ("9", "passed_overby_version8")]).await;
    // An event from before the run that is under way.
    told(ALIAS, &[(Some("5"), true, Some(50_000))], None, &[("5", "passed_overby_version7")]).await;
    // Less than a second apart: by number.
    let at_once = [(Some("9"), true, Some(69_500)), (Some("8"), true, Some(69_900))];
    told(ALIAS, &at_once, Some("9"), &[passed]).await;
    // Without times, as they come.
    told(
        ALIAS,
        &[(Some("9"), true, None), (Some("8"), true, None)],
        Some("8"),
        &[("9", "passed_overby_version8")],
    )
    .await;
}

#[tokio::test]
async fn the_newest_is_the_one_with_the_highest_number() {
    let passed = ("8", "passed_overby_version10");
    for when in ["{created: true}", "{tag: {key: ready}}"] {
        told(when, &[(Some("10"), true, None), (Some("8"), true, None)], Some("10"), &[passed]).await;
        told(
            when,
            &[(Some("10"), true, Some(90_000)), (Some("8"), true, Some(95_000))],
            Some("10"),
            &[passed],
        )
        .await;
        told(when, &[(Some("8"), true, None), (Some("10"), true, None)], Some("10"), &[passed]).await;
    }
}

#[tokio::test]
async fn what_the_registry_takes_back_waits_no_longer() {
    let withdrawn = ("9", "withdrawnbyawebhook");
    told(ALIAS, &[(Some("9"), true, Some(90_000)), (None, false, Some(95_000))], None, &[withdrawn]).await;
    // Late news of an alias that was deleted before.
    told(ALIAS, &[(Some("9"), true, Some(90_000)), (None, false, Some(85_000))], Some("9"), &[]).await;
    told(
        "{tag: {key: r}}",
        &[(Some("9"), true, Some(90_000)), (Some("8"), false, Some(95_000))],
        Some("9"),
        &[],
    )
    .await;
    told(
        "{tag: {key: r}}",
        &[(Some("9"), true, Some(90_000)), (Some("9"), false, Some(95_000))],
        None,
        &[withdrawn],
    )
    .await;
    // And once more.
    let again =
        [(Some("9"), true, Some(90_000)), (None, false, Some(95_000)), (Some("9"), true, Some(99_000))];
    told(ALIAS, &again, Some("9"), &[withdrawn]).await;
    // What was named before it was taken back comes too late, in whatever order.
    let late =
        [(Some("9"), true, Some(90_000)), (None, false, Some(95_000)), (Some("9"), true, Some(90_000))];
    told(ALIAS, &late, None, &[withdrawn]).await;
    told(ALIAS, &[(None, false, Some(95_000)), (Some("9"), true, Some(90_000))], None, &[]).await;
}

/// What a person wants is not undone by a registry that names something else.
#[tokio::test]
async fn a_persons_version_waits_whatever_a_registry_says() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = engine(&dir.path().join("serin.db"));
    keep(&mut engine, &of_model(ALIAS)).expect("kept");
    engine.go("registry", "7", "a test", NamedBy::Registry).await.expect("taken");
    engine.go("registry", "9", "a test", NamedBy::Registry).await.expect("taken");
    engine.go("registry", "10", "anna", NamedBy::Person { again: false }).await.expect("taken");
    for named in [NamedBy::Registry, NamedBy::Event { said_ms: Some(99_000) }] {
        let gone = engine.go("registry", "11", "a test", named).await.expect("taken");
        assert!(!gone.triggered && gone.message.contains("which a person named"), "{gone:?}");
        assert!(!engine.go("registry", "9", "a test", named).await.expect("taken").triggered);
    }
    assert_eq!(engine.take_back_word("registry", "a test", None).expect("taken"), None);
    check(&engine, (1, "v6", "v7"), Some("10"), &[("7", "begunrun1"), ("9", "passed_overby_version10")]);
}

/// A registry that can be asked is asked before anything begins, whatever was delivered.
#[tokio::test]
async fn a_registry_is_asked_again_before_anything_begins() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = engine(&dir.path().join("serin.db"));
    // Nobody is there to be asked.
    let asked = of_model(ALIAS).replace("model: m,", "model: m, url: 'http://127.0.0.1:1',");
    keep(&mut engine, &asked).expect("kept");
    let (answer, answered) = oneshot::channel();
    let news = RegistryEvent {
        version: Some("8".to_owned()),
        go: true,
        by: "a webhook".to_owned(),
        said_ms: Some(80_000),
    };
    engine.deliver("registry".to_owned(), news.clone(), answer).await;
    let report = engine.external.reported.recv().await.expect("an answer");
    engine.report(report).await;
    match answered.await.expect("an answer") {
        Err(Refusal::Failed(why)) => assert!(why.contains("gave no answer"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(engine.runs.is_empty());
    let spec = engine.triggers["registry"].spec.clone();
    let hears = |said: Option<&str>, answer| ConfirmedEvent {
        name: "registry".to_owned(),
        asked: spec.clone(),
        news: news.clone(),
        said: Ok(said.map(str::to_owned)),
        answer,
    };
    // What was asked for another template begins nothing.
    let (answer, answered) = oneshot::channel();
    let mut other = (*spec).clone();
    "other".clone_into(&mut other.rollout);
    engine.take_confirmed(ConfirmedEvent { asked: Arc::new(other), ..hears(Some("9"), answer) }).await;
    match answered.await.expect("an answer") {
        Err(Refusal::Failed(why)) => assert!(why.contains("was changed"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(engine.runs.is_empty());
    // It names another version than it told of.
    let (answer, answered) = oneshot::channel();
    engine.take_confirmed(hears(Some("9"), answer)).await;
    let fired = answered.await.expect("an answer").expect("taken");
    assert!(fired.triggered && fired.message.contains("names 9 now, not 8"), "{fired:?}");
    let (answer, _) = oneshot::channel();
    engine.take_confirmed(hears(Some("10"), answer)).await;
    check(&engine, (1, "v6", "v9"), Some("10"), &[("9", "begunrun1")]);
    // What waits does not begin by itself, either.
    end(&mut engine).await;
    engine.tick().await;
    check(&engine, (1, "v6", "v9"), Some("10"), &[("9", "begunrun1")]);
    let question = engine.triggers["registry"].polling.question();
    engine.take_polled("registry", question, Ok(Some("10".to_owned()))).await;
    check(&engine, (2, "v6", "v10"), None, &[("10", "begunrun2"), ("9", "begunrun1")]);
    let (answer, _) = oneshot::channel();
    engine.take_confirmed(hears(Some("11"), answer)).await;
    let question = engine.triggers["registry"].polling.question();
    engine.take_polled("registry", question, Ok(None)).await;
    let withdrawn = "withdrawnbyitsregistrywasaskedandnamesnoversion";
    check(&engine, (2, "v6", "v10"), None, &[("10", "begunrun2"), ("11", withdrawn), ("9", "begunrun1")]);
}

/// While the store takes nothing, what waits is tried less and less often, and its registry is asked no more than that.
#[tokio::test]
async fn a_store_that_refuses_has_nobody_asked_at_every_tick() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut engine = engine(&dir.path().join("serin.db"));
    let asked = of_model(ALIAS).replace("model: m,", "model: m, url: 'http://127.0.0.1:1',");
    keep(&mut engine, &asked).expect("kept");
    let said = || Ok(Some("8".to_owned()));
    engine.take_polled("registry", 0, said()).await;
    engine.go("registry", "9", "a test", NamedBy::Registry).await.expect("waits");
    check(&engine, (1, "v6", "v8"), Some("9"), &[("8", "begunrun1")]);
    end(&mut engine).await;
    engine.journal.refuse_writes(true).expect("a switch");
    let now = clock::now();
    let mut asked = 0;
    for tick in 0..240 {
        let monotonic_ns = now.monotonic_ns + tick * 250_000_000;
        clock::fake::set(rollout::Now { monotonic_ns, ..now });
        let before = engine.triggers["registry"].polling.question();
        engine.settle_triggers().await;
        let question = engine.triggers["registry"].polling.question();
        if question > before {
            asked += 1;
            engine.take_polled("registry", question, Ok(Some("9".to_owned()))).await;
        }
    }
    // In a minute: at 0, 1, 3, 7, 15 and 31 s, and as often as it is asked by itself.
    assert!((3..=8).contains(&asked), "{asked}");
    engine.journal.refuse_writes(false).expect("a switch");
    let monotonic_ns = now.monotonic_ns + 120_000_000_000;
    clock::fake::set(rollout::Now { monotonic_ns, ..now });
    engine.settle_triggers().await;
    let question = engine.triggers["registry"].polling.question();
    engine.take_polled("registry", question, Ok(Some("9".to_owned()))).await;
    check(&engine, (2, "v6", "v9"), None, &[("8", "begunrun1"), ("9", "begunrun2")]);
}
