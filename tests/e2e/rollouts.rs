//! Whole rollouts through the controller.

use api::{PhaseName, RunView};
use serde_json::Value;

use demo::load::{Latencies, Load, LoadPlan};
use demo::model::Behaviour;
use tests::{EnvoyOptions, Models, Seen, Serin, a_core, alone, left_alone};

/// Stages that no gate holds up: what is tested is the way, not the evidence.
const QUICK: &str = "
apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: ranker}
spec:
  stable: {version: v1}
  canary: {version: v2}
  stages:
    - {weight: 50%, bake: 1h, deadline: 2h}
    - {weight: 100%, bake: 1s, deadline: 10s}
";

#[tokio::test(flavor = "multi_thread")]
async fn rollback_is_fast_and_keep_alive_connections_obey() {
    let _machine = alone().await;
    let models = Models::plain().await;
    let serin = Serin::start(&models, EnvoyOptions::default()).await;
    let load = Load::start(LoadPlan { rate: 300.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    let (mut latencies, mut told) = (Latencies::default(), Vec::new());
    for run in 1..=20_u64 {
        let arrived = models.canary.log().len();
        serin.apply(QUICK).await;
        serin
            .until("ranker", "the stage", |view| view.run.run == run && view.is(PhaseName::Progressing))
            .await;
        tests::until("canary traffic", async || {
            let now = models.canary.log().len();
            if now >= arrived + 30 { Ok(()) } else { Err(now) }
        })
        .await;
        let (code, text) = serin.command(&["abort", "ranker", "--reason", "measured"]).await;
        assert_eq!(code, 0, "{text}");
        let view = serin.until("ranker", "the rollback", |view| view.is(PhaseName::RolledBack)).await;
        let decided = view.run.rollback.as_ref().expect("a decision").decided_monotonic_ns;
        left_alone(&models, &load).await;
        let last = models.canary.log().last_arrival_ns().expect("an arrival");
        latencies.record_ns(last.saturating_sub(decided));
        // What the proxies tell of it, without any sample server's help.
        let view = serin
            .until("ranker", "the proxies' word", |view| {
                view.rollback_latency.is_some_and(|latency| latency.complete)
            })
            .await;
        let latency = view.rollback_latency.expect("a latency");
        told.push((latency.from_ms, latency.to_ms));
    }
    load.stop().await;
    let quantile = |share| latencies.quantile_ms(share).expect("twenty were recorded");
    let (median, largest) = (quantile(0.5), quantile(0.99));
    println!(
        "20 rollbacks, decision to last canary request: median {median:.1} ms, p99 (largest) {largest:.1} ms"
    );
    println!("as the proxies tell it (ms, from..to): {told:?}");
    let metrics = serin.metrics().await;
    let line = "serin_rollback_latency_seconds{rollout=\"ranker\",bound=\"to\",complete=\"true\"}";
    assert!(metrics.contains(line), "{metrics}");
    assert!(told.iter().all(|(from, to)| from <= to && *to < 30_000), "{told:?}");
    // Not a timing: far above any machine's noise, and far below what leaves a canary exposed.
    assert!(largest < 30_000.0, "{largest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_controller_goes_on_with_the_same_rollout() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let mut serin = Serin::start(&models, EnvoyOptions::default()).await;
    serin.apply(QUICK).await;
    let before = serin
        .until("ranker", "the acknowledged stage", |view| {
            view.is(PhaseName::Progressing) && !view.acks.is_empty()
        })
        .await;
    serin.kill();
    serin.run().await;
    let after = serin.until("ranker", "the same stage", |view| view.is(PhaseName::Progressing)).await;
    let lasting = |view: &Seen| {
        let run = &view.run;
        (run.run, run.stage, run.weight_ppm, run.epoch, view.generation, run.stages[0].entered_unix_ms)
    };
    assert_eq!(lasting(&after), lasting(&before));
    let (code, text) = serin.command(&["abort", "ranker"]).await;
    assert_eq!(code, 0, "{text}");
    serin.until("ranker", "the rollback", |view| view.is(PhaseName::RolledBack)).await;
}

/// Envoy dies and comes back: it takes the policy again by itself, and what it could not tell is left out.
#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_envoy_serves_the_same_weights_and_its_counters_are_marked() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let mut serin = Serin::start(&models, EnvoyOptions::default()).await;
    serin.apply(QUICK).await;
    serin.until("ranker", "the stage", |view| view.is(PhaseName::Progressing)).await;
    let mut sent = 0;
    let before = evidence_of(&serin, &mut sent, 50).await;
    let envoy = serin.envoy.take().expect("an Envoy").restart().await;
    serin.envoy = Some(envoy);
    let passed = std::cell::Cell::new(0);
    tests::until("the policy in the new process", async || {
        let answer = tests::get(serin.envoy().addr, "/", &[]).await.expect("an answer");
        passed.set(passed.get() + 1);
        answer.version().map(|_| ()).ok_or("passing through")
    })
    .await;
    sent += passed.get();
    // Counters that began again at nothing are neither negative evidence nor evidence twice.
    let after = evidence_of(&serin, &mut sent, before + 50).await;
    assert!(after <= sent, "{after} of {sent}");
    assert!(serin.view("ranker").await.is(PhaseName::Progressing));
}

/// Sends requests until the first gate rests on as many as wanted. Some are never evidence: those sent while weights
/// were changing, or while a source was silent.
async fn evidence_of(serin: &Serin, sent: &mut u64, wanted: u64) -> u64 {
    let n = std::cell::Cell::new(*sent);
    let measured = tests::until("requests as evidence", async || {
        let user = format!("user-{}", n.replace(n.get() + 1));
        tests::get(serin.envoy().addr, "/", &[("x-user-id", &user)]).await.expect("an answer");
        let measured = measured(&serin.view("ranker").await);
        if measured >= wanted { Ok(measured) } else { Err(measured) }
    })
    .await;
    *sent = n.get();
    measured
}

/// Requests of both arms that the first gate rests on.
fn measured(view: &Seen) -> u64 {
    view.gates(1).first().map_or(0, |gate| gate.n_canary + gate.n_control)
}

/// The controller dies at 50 %: the lease ends the canary without it.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_controller_ends_the_canary_by_the_lease() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let mut serin = Serin::start(&models, EnvoyOptions::default()).await;
    serin.apply(QUICK).await;
    serin.until("ranker", "the stage", |view| view.is(PhaseName::Progressing)).await;
    let load = Load::start(LoadPlan { rate: 100.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    tests::until("canary traffic", async || {
        let now = models.canary.log().len();
        if now >= 20 { Ok(()) } else { Err(now) }
    })
    .await;
    serin.kill();
    let gone = demo::clock::monotonic_ns();
    left_alone(&models, &load).await;
    let last = models.canary.log().last_arrival_ns().expect("an arrival");
    println!(
        "controller gone: last canary request {:.0} ms later (lease: 5 s)",
        last.saturating_sub(gone) as f64 / 1e6
    );
    let records = load.stop().await;
    assert!(records.iter().all(|record| !record.failed()), "losing the controller fails no request");
}

/// A canary that answers errors is rolled back by evidence alone.
#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_canary_end_the_rollout() {
    let _machine = alone().await;
    let bad = Behaviour { error_share: 0.3, ..Behaviour::plain("v2") };
    let models = Models::behaving(Behaviour { error_share: 0.01, ..Behaviour::plain("v1") }, bad).await;
    let serin = Serin::start(&models, EnvoyOptions::default()).await;
    let load = Load::start(LoadPlan { rate: 300.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    serin.apply(QUICK).await;
    let view = serin.until("ranker", "the rollback", |view| view.is(PhaseName::RolledBack)).await;
    load.stop().await;
    // The document itself, beside what is read of it: nothing that a real run says is lost by reading it.
    let document: Value = serin.read("/v1/rollouts/ranker").await;
    let read: RunView = serde_json::from_value(document.clone()).expect("a run");
    assert_eq!(serde_json::to_value(&read).expect("JSON"), document);
    assert_eq!(view.run.weight_ppm, 0);
    let reason = view.reason();
    println!("errors: {reason}");
    assert!(reason.contains("error"), "{view}");
    // The very same specification is not tried again unless somebody says so.
    let file = serin.file("again.yaml", QUICK);
    let (code, text) = serin.command(&["apply", "-f", &file]).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("--again"), "{text}");
}
