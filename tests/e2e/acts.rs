//! What people do at the same time, and twice.

use api::PhaseName::RolledBack;
use api::{ActRequest, Refusal};
use demo::load::{Load, LoadPlan};
use tests::{EnvoyOptions, Models, Seen, Serin, a_core};

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

fn because(reason: &str) -> ActRequest {
    ActRequest { reason: reason.to_owned(), ..ActRequest::default() }
}

/// A promotion over HTTP.
async fn promote(serin: &Serin, headers: &[(&str, &str)]) -> Result<(), Refusal> {
    let mut request = reqwest::Client::new().post(serin.url("/v1/rollouts/ranker/promote"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.json(&because("go")).send().await.expect("an answer");
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    Err(Refusal::of(status.as_u16(), answer.json().await.expect("a refusal")))
}

/// One of these was done; to the others the rollout had moved on.
#[track_caller]
fn check_one(answers: &[Result<(), Refusal>]) {
    let done = answers.iter().filter(|answer| answer.is_ok()).count();
    let refused = answers.iter().filter(|answer| matches!(answer, Err(Refusal::MovedOn(_)))).count();
    assert_eq!((done, refused), (1, answers.len() - 1), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn promotions_at_once_move_one_stage() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let mut serin = Serin::start(&models, EnvoyOptions::default()).await;
    let _load = Load::start(LoadPlan { rate: 50.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    serin.apply(STAGES).await;
    let at = |stage: usize| move |view: &Seen| view.run.stage == stage && view.run.exposed.requests != 0;
    let requests = |view: &Seen| view.run.exposed.requests;
    let first = requests(&serin.until("ranker", "its first stage", at(1)).await);
    serin.until("ranker", "another look", |view| requests(view) > first).await;

    // Who says nothing.
    let (a, b, c) = tokio::join!(promote(&serin, &[]), promote(&serin, &[]), promote(&serin, &[]));
    check_one(&[a, b, c]);
    let view = serin.view("ranker").await;
    assert_eq!(view.run.stage, 2, "{view}");

    // Who says what was seen: over HTTP, and as a command.
    let seen = view.revision.clone();
    let meant = [(api::EXPECT_HEADER, seen.as_str())];
    let (a, b) = tokio::join!(promote(&serin, &meant), promote(&serin, &meant));
    check_one(&[a, b]);
    let (code, text) = serin.command(&["promote", "ranker", "--reason", "go", "--revision", &seen]).await;
    assert!(code == 1 && text.contains("has moved on") && text.contains("stage 3 of 5"), "{text}");
    assert_eq!(serin.view("ranker").await.run.stage, 3);

    // Who asks again under a key, over a restart too.
    let seen = serin.view("ranker").await.revision.clone();
    let keyed = [(api::KEY_HEADER, "step-7"), (api::EXPECT_HEADER, seen.as_str())];
    promote(&serin, &keyed).await.expect("done");
    promote(&serin, &keyed).await.expect("answered as before");
    serin.kill();
    serin.run().await;
    serin.until("ranker", "its fourth stage", |view| view.run.stage == 4).await;
    promote(&serin, &keyed).await.expect("answered as before");
    assert_eq!(serin.view("ranker").await.run.stage, 4);

    // Nothing of this holds up who takes traffic back.
    let abort = reqwest::Client::new().post(serin.url("/v1/rollouts/ranker/abort"));
    let abort = abort.header(api::EXPECT_HEADER, "9-9").header(api::KEY_HEADER, "step-7");
    assert_eq!(abort.json(&because("x")).send().await.expect("an answer").status(), 200);
    serin.until("ranker", "the way back", |view| view.is(RolledBack)).await;
}
