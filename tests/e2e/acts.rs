//! What people do at the same time, twice, and while nobody was there to count.

use std::time::{Duration, Instant};

use demo::load::{Load, LoadPlan};
use serde_json::{Value, json};
use tests::{EnvoyOptions, Models, Serin, a_core};

const STAGES: &str = "apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: ranker}
spec:
  stable: {version: v1}
  canary: {version: v2}
  stages:
    - {weight: 5%, bake: 1h, deadline: 5h, gates: []}
    - {weight: 10%, bake: 1h, deadline: 5h, gates: []}
    - {weight: 20%, bake: 1h, deadline: 5h, gates: []}
    - {weight: 50%, bake: 1h, deadline: 5h, gates: []}
    - {weight: 100%, bake: 1h, deadline: 5h, gates: []}
";

/// A promotion over HTTP: the status, and the code of a refusal.
async fn promote(serin: &Serin, headers: &[(&str, &str)]) -> (u16, String) {
    let mut request = reqwest::Client::new().post(serin.url("/v1/rollouts/ranker/promote"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.json(&json!({"reason": "go"})).send().await.expect("an answer");
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap_or_default();
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}

/// The statuses of some promotions, sorted.
fn statuses(answers: &[(u16, String)]) -> Vec<u16> {
    let mut statuses: Vec<u16> = answers.iter().map(|(status, _)| *status).collect();
    statuses.sort_unstable();
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn promotions_at_once_move_one_stage() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let mut serin = Serin::start(&models, EnvoyOptions::default()).await;
    let _load = Load::start(LoadPlan { rate: 50.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    serin.apply(STAGES).await;
    let at = |stage: u64| move |view: &Value| view["stage"] == stage && view["exposed"]["requests"] != 0;
    let requests = |view: &Value| view["exposed"]["requests"].as_u64();
    let first = requests(&serin.until("ranker", "its first stage", at(1)).await);
    serin.until("ranker", "another look", |view| requests(view) > first).await;

    // Who says nothing.
    let (a, b, c) = tokio::join!(promote(&serin, &[]), promote(&serin, &[]), promote(&serin, &[]));
    let three = [a, b, c];
    assert_eq!(statuses(&three), [200, 409, 409], "{three:?}");
    assert!(three.iter().all(|(status, code)| *status == 200 || code == "moved_on"), "{three:?}");
    let view = serin.view("ranker").await;
    assert_eq!(view["stage"], 2, "{view}");

    // Who says what was seen: over HTTP, and as a command.
    let seen = view["revision"].as_str().expect("a revision").to_owned();
    let meant = [("x-serin-expect", seen.as_str())];
    let (a, b) = tokio::join!(promote(&serin, &meant), promote(&serin, &meant));
    let two = [a, b];
    assert_eq!(statuses(&two), [200, 409], "{two:?}");
    let (code, text) = serin.command(&["promote", "ranker", "--reason", "go", "--revision", &seen]).await;
    assert!(code == 1 && text.contains("has moved on") && text.contains("stage 3 of 5"), "{text}");
    assert_eq!(serin.view("ranker").await["stage"], 3);

    // Who asks again under a key, over a restart too.
    let seen = serin.view("ranker").await["revision"].as_str().expect("a revision").to_owned();
    let keyed = [("idempotency-key", "step-7"), ("x-serin-expect", seen.as_str())];
    assert_eq!(promote(&serin, &keyed).await.0, 200);
    assert_eq!(promote(&serin, &keyed).await.0, 200);
    serin.kill();
    serin.run().await;
    serin.until("ranker", "its fourth stage", |view| view["stage"] == 4).await;
    assert_eq!(promote(&serin, &keyed).await.0, 200);
    assert_eq!(serin.view("ranker").await["stage"], 4);

    // Nothing of this holds up who takes traffic back.
    let abort = reqwest::Client::new().post(serin.url("/v1/rollouts/ranker/abort"));
    let abort = abort.header("x-serin-expect", "9-9").header("idempotency-key", "step-7");
    assert_eq!(abort.json(&json!({"reason": "x"})).send().await.expect("an answer").status(), 200);
    serin.until("ranker", "the way back", |view| view["phase"] == "RolledBack").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_controller_is_no_bake() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let mut serin = Serin::start(&models, EnvoyOptions::default()).await;
    let _load = Load::start(LoadPlan { rate: 50.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    serin.apply(&STAGES.replacen("bake: 1h", "bake: 15s", 1)).await;
    let begun = Instant::now();
    serin.until("ranker", "the canary", |view| view["exposed"]["requests"] != 0).await;
    serin.kill();
    // A bake of 15 s has had so much at most.
    let baked = begun.elapsed();
    tokio::time::sleep(Duration::from_secs(16)).await;
    let back = Instant::now();
    serin.run().await;
    serin.until("ranker", "the second stage", |view| view["stage"] == 2).await;
    let least = Duration::from_secs(15).saturating_sub(baked).saturating_sub(Duration::from_secs(1));
    assert!(back.elapsed() >= least, "{:?} after it came back, {least:?} were left", back.elapsed());
}
