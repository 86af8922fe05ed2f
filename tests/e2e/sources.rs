//! Gates on figures of the user's own.

use api::PhaseName::{Progressing, RolledBack};
use api::{Answer, VerdictView};
use demo::load::{Load, LoadPlan};

use tests::{EnvoyOptions, Models, PrometheusProcess, Seen, Serin, a_core, alone};

/// The first gate of the stage it is in.
fn gate(view: &Seen) -> Option<&VerdictView> {
    view.run.stages.last()?.gates.first()
}

/// Passed the first stage by its first gate?
#[track_caller]
fn check_passed(view: &Seen) {
    assert!(view.gates(1).first().is_some_and(|gate| gate.answer == Answer::Pass), "{view}");
}

/// A real Prometheus reads a real Envoy, and what it says decides: the same query, once within its limit and once not.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_of_prometheus_lets_a_stage_pass_and_ends_a_run() {
    let _machine = alone().await;
    let models = Models::plain().await;
    let serin = Serin::start(&models, EnvoyOptions::default()).await;
    let prometheus = PrometheusProcess::of(serin.envoy().admin).await;
    let load = Load::start(LoadPlan { rate: 50.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    // The canary's share of all requests since the beginning. Empty until it has had one.
    let spec = |max: &str, how: &str| {
        format!(
            r#"
apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {{name: ranker}}
spec:
  stable: {{version: v1}}
  canary: {{version: v2}}
  gates:
    - name: share
      source:
        prometheus:
          url: {}
          query: >-
            sum(serin_finished_total{{rollout="{{{{rollout}}}}", version="{{{{canary}}}}"}})
            / sum(serin_finished_total{{rollout="{{{{rollout}}}}"}})
{how}
      max: {max}
      every: 1s
      consecutive: 2
      failureLimit: 0
  stages:
    - {{weight: 50%, bake: 1s, deadline: 10m, gates: [share]}}
    - {{weight: 100%, bake: 1h, deadline: 2h, gates: []}}
"#,
            prometheus.url()
        )
    };
    serin.apply(&spec("0.9", "")).await;
    let view = serin.until("ranker", "the second stage", |view| view.run.stage == 2).await;
    check_passed(&view);
    println!("within its limit: {}", view.gates(1)[0].why);
    assert_eq!(view.gates(1)[0].name, "share");
    let (code, text) = serin.command(&["abort", "ranker", "--reason", "seen enough"]).await;
    assert_eq!(code, 0, "{text}");
    serin.until("ranker", "the end", |view| view.is(RolledBack)).await;

    let range = "          range: {over: 10s, step: 1s}\n          reduce: max";
    serin.apply(&spec("0.0001", range)).await;
    let view = serin.until("ranker", "the rollback", |view| view.run.run == 2 && view.is(RolledBack)).await;
    let reason = view.reason();
    println!("beyond its limit: {reason}");
    assert!(reason.contains("share"), "{view}");
    load.stop().await;
}

const PUSHED: &str = "
apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: ranker}
spec:
  stable: {version: v1}
  canary: {version: v2}
  gates:
    - {name: accuracy, source: {push: {}}, min: 0.9, every: 1s, consecutive: 1}
  stages:
    - {weight: 50%, bake: 1s, deadline: 10m, gates: [accuracy]}
    - {weight: 100%, bake: 1h, deadline: 2h, gates: []}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_figure_is_waited_for_and_decides() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let serin = Serin::start(&models, EnvoyOptions::default()).await;
    serin.apply(PUSHED).await;
    let view = serin
        .until("ranker", "a stage that waits for its figure", |view| {
            gate(view).is_some_and(|gate| gate.answer == Answer::Insufficient)
        })
        .await;
    assert!(gate(&view).is_some_and(|gate| gate.why.contains("no data")), "{view}");
    // One figure counts until the next is due, a second later: nothing else is to be waited for by then.
    let baked = |view: &Seen| view.run.message.contains("baked, waits for proof");
    serin.until("ranker", "the end of the bake", baked).await;
    for (arguments, part) in [
        (["acuracy", "--version", "v2", "0.95"], "what takes figures: accuracy"),
        (["accuracy", "--version", "v3", "0.95"], "\"v2\" (the canary)"),
    ] {
        let (code, text) = serin.command(&[["push", "ranker"].as_slice(), &arguments].concat()).await;
        assert!(code == 1 && text.contains(part), "{arguments:?}: {text}");
    }
    let answer = reqwest::Client::new()
        .post(serin.url("/v1/rollouts/ranker/metrics"))
        .body(r#"[{"metric":"accuracy","version":"v2","valeu":1}]"#)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 422);
    let text = answer.text().await.expect("text");
    assert!(text.contains("valeu") && text.contains("SAMPLES"), "{text}");

    let (code, text) =
        serin.command(&["push", "ranker", "accuracy", "--version", "v2", "0.95", "--n", "40"]).await;
    assert_eq!(code, 0, "{text}");
    let view = serin.until("ranker", "the second stage", |view| view.run.stage == 2).await;
    check_passed(&view);
}

/// What Prometheus knows of the time before is the series a reading is held against.
#[tokio::test(flavor = "multi_thread")]
async fn a_reading_out_of_line_with_prometheus_past_ends_a_run() {
    let _machine = alone().await;
    let models = Models::plain().await;
    let serin = Serin::start(&models, EnvoyOptions::default()).await;
    let prometheus = PrometheusProcess::of(serin.envoy().admin).await;
    let spec = |canary: &str| {
        format!(
            "
apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {{name: ranker}}
spec:
  stable: {{version: v1}}
  canary: {{version: v2}}
  gates:
    - name: conversion
      source: {{prometheus: {{url: '{}', query: vector({canary}), stableQuery: vector(0.5)}}}}
      better: higher
      anomaly: {{history: {{over: 30s, step: 1s}}}}
      every: 1s
      consecutive: 2
      failureLimit: 0
  stages:
    - {{weight: 50%, bake: 1s, deadline: 10m, gates: [conversion]}}
    - {{weight: 100%, bake: 1h, deadline: 2h, gates: []}}
",
            prometheus.url()
        )
    };
    serin.apply(&spec("0.5")).await;
    let view = serin.until("ranker", "the second stage", |view| view.run.stage == 2).await;
    check_passed(&view);
    let (code, text) = serin.command(&["abort", "ranker", "--reason", "seen enough"]).await;
    assert_eq!(code, 0, "{text}");
    serin.until("ranker", "the end", |view| view.is(RolledBack)).await;

    serin.apply(&spec("0.1")).await;
    let view = serin.until("ranker", "the rollback", |view| view.run.run == 2 && view.is(RolledBack)).await;
    let reason = view.reason();
    println!("out of line: {reason}");
    assert!(reason.contains("an outlier") && reason.contains("below 0.5, the median of"), "{view}");
}

/// A guardrail is read in a stage that has no gate, and takes back without waiting for its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_guardrail_on_a_pushed_figure_takes_a_run_back() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let serin = Serin::start(&models, EnvoyOptions::default()).await;
    serin
        .apply(
            "
apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: ranker}
spec:
  stable: {version: v1}
  canary: {version: v2}
  guardrails:
    - {name: complaints, source: {push: {}}, max: 5, every: 5s, failureLimit: 0}
  stages:
    - {weight: 50%, bake: 1h, gates: []}
    - {weight: 100%, bake: 1h, gates: []}
",
        )
        .await;
    serin.until("ranker", "the first stage", |view| view.is(Progressing)).await;
    let push = async |value: &str| {
        let (code, text) = serin.command(&["push", "ranker", "complaints", "--version", "v2", value]).await;
        assert_eq!(code, 0, "{text}");
    };
    push("4").await;
    let view = serin
        .until("ranker", "a good reading", |view| {
            view.run.guardrails.first().is_some_and(|known| known.answer == Answer::Pass)
        })
        .await;
    assert!(view.is(Progressing) && view.run.guardrails[0].estimate == Some(4.0), "{view}");
    push("7").await;
    let view = serin.until("ranker", "the rollback", |view| view.is(RolledBack)).await;
    let reason = view.reason();
    assert!(reason.contains("guardrail complaints: 1 readings in a row are above 5, 0 are borne"), "{view}");
}

/// What waits for the present run begins by itself, a dead controller between them or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_queued_version_begins_when_the_run_is_over() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let mut serin = Serin::start(&models, EnvoyOptions::default()).await;
    serin.apply(PUSHED).await;
    let next = PUSHED.replace("canary: {version: v2}", "canary: {version: v3}\n  supersede: queue");
    let file = serin.file("next.yaml", &next);
    let (code, text) = serin.command(&["apply", "-f", &file]).await;
    assert!(code == 0 && text.contains("queued, it begins when run 1 is over"), "{text}");
    serin.kill();
    serin.run().await;
    let (code, text) = serin.command(&["get", "ranker"]).await;
    assert!(code == 0 && text.contains("v1 -> v2") && text.contains("queued: v3"), "{text}");
    let (code, text) = serin.command(&["abort", "ranker"]).await;
    assert_eq!(code, 0, "{text}");
    let view = serin.until("ranker", "the next run", |view| view.run.run == 2).await;
    assert!(view.run.canary == "v3" && view.queued.is_none(), "{view}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_linted_and_explained_without_a_controller() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("rollout.yaml");
    std::fs::write(&file, PUSHED).expect("a file");
    let file = file.display().to_string();
    for (arguments, code, parts) in [
        (vec!["lint", "-f", &file, "--rate", "10"], 0, vec!["figures of your own seldom settle", "fine"]),
        (vec!["explain", "-f", &file, "--rate", "6000/m"], 0, vec!["ranker: from v1 to v2", "Stage 1: 50%"]),
        (vec!["explain", "--schema"], 0, vec!["\"$schema\"", "jsonPointer"]),
        (vec!["explain"], 64, vec!["--file"]),
        (vec!["lint", "-f", &file, "--rate=-3"], 64, vec!["--rate"]),
    ] {
        let output = tokio::process::Command::new(tests::tools::serin()).args(&arguments).output().await;
        let output = output.expect("serin runs");
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        for part in parts {
            assert!(text.contains(part), "{arguments:?}: {part:?} is missing in: {text}");
        }
    }
}
