//! Evidence by other ways than the admin port: an Envoy's page for Prometheus, and Prometheus itself.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use api::PhaseName;
use demo::load::{Load, LoadPlan};
use demo::model::Behaviour;
use envoy::stats::{Admin, Counters, Interval, Mark, Metrics, Snapshot};
use serde_json::Value;
use tally::Loss;

use tests::{
    EnvoyOptions, EnvoyProcess, Evidence, Models, Plane, PrometheusProcess, Seen, Serin, a_core, alone, get,
    policy, until,
};

/// From 1 % to everybody, by evidence alone.
const STEPS: &str = "
apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: ranker}
spec:
  stable: {version: v1}
  canary: {version: v2}
  gates: [{name: errors, metric: error_rate, max: 50%, minSamples: 20}]
  stages:
    - {weight: 1%, bake: 2s, deadline: 10m}
    - {weight: 50%, bake: 2s, deadline: 10m}
    - {weight: 100%, bake: 2s, deadline: 10m}
";

fn is(view: &Seen, phase: PhaseName) -> bool {
    view.is(phase)
}

async fn ask(envoy: &EnvoyProcess, times: usize) {
    for user in 0..times {
        let user = format!("user-{user}");
        get(envoy.addr, "/", &[("x-user-id", &user)]).await.expect("an answer");
    }
}

/// Both ways, until they tell the same: answer times and ages are written while they are read.
async fn both(
    envoy: &EnvoyProcess,
    scope: &Arc<BTreeSet<(String, String)>>,
    finished: u64,
) -> (Snapshot, Snapshot) {
    let admin = Admin::new(&format!("http://{}", envoy.admin)).expect("an admin address");
    let page = Metrics::new(&format!("http://{}/stats/prometheus", envoy.admin)).expect("a page");
    let none = BTreeSet::new();
    let ended = |snapshot: &Snapshot| -> u64 {
        let finished = |series: &tally::Series| matches!(series.what, tally::What::Finished(..));
        snapshot.counters.iter().filter(|(series, _)| finished(series)).map(|(_, n)| n).sum()
    };
    until("the same by both ways", async || {
        let by_admin = admin.read_with(&none, Some(scope)).await.map_err(|error| error.to_string())?;
        let by_page = page.read_with(&none, Some(scope)).await.map_err(|error| error.to_string())?;
        match by_admin.counters == by_page.counters && ended(&by_page) == finished {
            true => Ok((by_admin, by_page)),
            false => Err(format!("{by_admin:?} {by_page:?}")),
        }
    })
    .await
}

/// The same Envoy, read at its admin port and at its page, with labels and without: the same intervals, over a restart too.
async fn compare(edit: Box<dyn FnOnce(&mut Value) + Send>) {
    let _core = a_core().await;
    let models = Models::plain().await;
    let mut plane = Plane::start().await;
    let mut envoy = plane.envoy(&models, EnvoyOptions { edit, ..EnvoyOptions::default() }).await;
    plane.put(|generation| policy(generation, serde_json::json!({}))).await;
    let scope: BTreeSet<_> = ["v1", "v2"].map(|version| ("ranker".to_owned(), version.to_owned())).into();
    let scope = Arc::new(scope);
    let mut ways = [(); 2].map(|()| Counters::new(Duration::from_secs(60), envoy::monotonic_ns()));
    let mut look = |(admin, page): (Snapshot, Snapshot)| -> [Interval; 2] {
        assert_eq!(admin.accepted, page.accepted);
        assert_eq!(admin.reading().epochs, page.reading().epochs);
        let [one, other] = &mut ways;
        one.observe(admin);
        other.observe(page);
        let now_ns = envoy::monotonic_ns();
        [one.close(now_ns), other.close(now_ns)]
    };
    let marks = |intervals: &[Interval; 2]| {
        intervals.clone().map(|one| one.marks().map(|(_, mark)| mark.clone()).collect::<Vec<_>>())
    };
    ask(&envoy, 5).await;
    let first = look(both(&envoy, &scope, 5).await);
    assert_eq!(marks(&first), [(); 2].map(|()| vec![Mark::Lost(Loss::First)]));
    ask(&envoy, 40).await;
    let [by_admin, by_page] = look(both(&envoy, &scope, 45).await);
    assert!(by_admin.is_whole() && by_page.is_whole(), "{by_admin:?} {by_page:?}");
    assert_eq!(by_admin.counts, by_page.counts);
    assert!(by_page.counts.keys().all(|(series, _)| series.rollout == "ranker"), "{by_page:?}");

    envoy = envoy.restart().await;
    until("the policy in the new process", async || {
        let answer = get(envoy.addr, "/", &[]).await.map_err(|error| error.to_string())?;
        answer.version().map(|_| ()).ok_or_else(|| "passing through".to_owned())
    })
    .await;
    let known = envoy.counted().await;
    let so_far: u64 = {
        let finished = |series: &tally::Series| matches!(series.what, tally::What::Finished(..));
        known.counters.iter().filter(|(series, _)| finished(series)).map(|(_, n)| n).sum()
    };
    ask(&envoy, 30).await;
    let intervals = look(both(&envoy, &scope, so_far + 30).await);
    let [by_admin, by_page] = &intervals;
    assert_eq!(by_admin.counts, by_page.counts, "nothing lost and nothing doubled");
    assert_eq!(marks(&intervals), [(); 2].map(|()| vec![Mark::Lost(Loss::Restarted)]));
    let of = |interval: &Interval| interval.counts.values().sum::<u64>();
    assert!(of(by_page) > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_with_labels_tells_what_the_admin_port_tells() {
    compare(Box::new(|_| {})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_without_labels_tells_what_the_admin_port_tells() {
    compare(Box::new(|bootstrap| {
        let stats = bootstrap["stats_config"].as_object_mut().expect("statistics");
        stats.remove("stats_tags").expect("tags");
    }))
    .await;
}

/// A rollout on pages alone, from 1 % to everybody.
#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_goes_by_the_proxies_pages_alone() {
    let _machine = alone().await;
    let models = Models::plain().await;
    let mut serin = Serin::start(&models, EnvoyOptions::default()).await;
    serin.read_by(Evidence::Pages).await;
    promoted(&serin, "pages").await;
}

/// A good version is promoted, by what was counted.
async fn promoted(serin: &Serin, how: &str) {
    let load = Load::start(LoadPlan { rate: 300.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    serin.apply(STEPS).await;
    // It bears all traffic, and waits to be put behind the stable route.
    let view = serin.until("ranker", "the promotion", |view| is(view, PhaseName::HandBack)).await;
    load.stop().await;
    let stages = &view.run.stages;
    let counted: Vec<u64> =
        stages.iter().filter_map(|stage| stage.gates.first()).map(|gate| gate.n_canary).collect();
    println!("{how}: promoted on {counted:?} requests of the canary");
    assert_eq!(counted.len(), 3, "{view}");
    assert!(counted.iter().all(|n| *n >= 20), "{view}");
}

/// A controller that knows of its Envoy's counters what a real Prometheus tells it, which scrapes four times a second.
async fn by_prometheus(models: &Models) -> (Serin, PrometheusProcess) {
    let mut serin = Serin::start(models, EnvoyOptions::default()).await;
    let prometheus = PrometheusProcess::of(serin.envoy().admin).await;
    serin.read_by(Evidence::Options(vec!["--prometheus".to_owned(), prometheus.url()])).await;
    (serin, prometheus)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_goes_by_prometheus_alone() {
    let _machine = alone().await;
    let models = Models::plain().await;
    let (serin, _prometheus) = by_prometheus(&models).await;
    promoted(&serin, "Prometheus").await;
    let metrics = reqwest::get(serin.url("/metrics")).await.expect("metrics").text().await.expect("text");
    let delay = metrics.lines().find_map(|line| line.strip_prefix("serin_counts_delay_seconds "));
    println!("Prometheus: counts were {delay:?} s old");
    assert!(delay.is_some_and(|seconds| seconds.parse::<f64>().is_ok()), "{metrics}");
}

const HALF: &str = "
apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: ranker}
spec:
  stable: {version: v1}
  canary: {version: v2}
  noData: {after: 10s}
  stages:
    - {weight: 50%, bake: 1h, deadline: 2h}
    - {weight: 100%, bake: 1s, deadline: 10s}
";

#[tokio::test(flavor = "multi_thread")]
async fn errors_that_prometheus_tells_of_end_a_rollout() {
    let _machine = alone().await;
    let bad = Behaviour { error_share: 0.3, ..Behaviour::plain("v2") };
    let models = Models::behaving(Behaviour { error_share: 0.01, ..Behaviour::plain("v1") }, bad).await;
    let (serin, _prometheus) = by_prometheus(&models).await;
    let load = Load::start(LoadPlan { rate: 300.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    serin.apply(HALF).await;
    until("canary traffic", async || if !models.canary.log().is_empty() { Ok(()) } else { Err("none") })
        .await;
    let begun = demo::clock::monotonic_ns();
    let view = serin.until("ranker", "the rollback", |view| is(view, PhaseName::RolledBack)).await;
    load.stop().await;
    let rollback = view.run.rollback.as_ref().expect("a rollback");
    let took = rollback.decided_monotonic_ns.saturating_sub(begun);
    println!("Prometheus: taken back after {:.1} s: {}", took as f64 / 1e9, rollback.reason);
    assert!(rollback.reason.contains("error"), "{view}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_that_dies_leaves_nobody_exposed_unseen() {
    let _machine = alone().await;
    let models = Models::plain().await;
    let (serin, mut prometheus) = by_prometheus(&models).await;
    let load = Load::start(LoadPlan { rate: 100.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    serin.apply(HALF).await;
    serin.until("ranker", "the stage", |view| is(view, PhaseName::Progressing)).await;
    until("canary traffic", async || if models.canary.log().len() > 50 { Ok(()) } else { Err("none") }).await;
    assert!(is(&serin.view("ranker").await, PhaseName::Progressing));
    prometheus.kill();
    let killed = demo::clock::monotonic_ns();
    let view = serin.until("ranker", "the rollback", |view| is(view, PhaseName::RolledBack)).await;
    load.stop().await;
    let rollback = view.run.rollback.as_ref().expect("a rollback");
    let took = rollback.decided_monotonic_ns.saturating_sub(killed);
    println!("Prometheus dead: taken back after {:.1} s: {}", took as f64 / 1e9, rollback.reason);
    assert!(rollback.reason.contains("no metrics") && rollback.reason.contains(&prometheus.url()), "{view}");
}

/// A proxy restarts in the middle: nothing is counted twice, and after it evidence goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_restarts_is_counted_once_by_prometheus() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let (mut serin, _prometheus) = by_prometheus(&models).await;
    serin.apply(HALF).await;
    serin.until("ranker", "the stage", |view| is(view, PhaseName::Progressing)).await;
    let mut sent = 0;
    let before = evidence_of(&serin, &mut sent, 50).await;
    let envoy = serin.envoy.take().expect("an Envoy").restart().await;
    serin.envoy = Some(envoy);
    let passed = std::cell::Cell::new(0);
    until("the policy in the new process", async || {
        let answer = get(serin.envoy().addr, "/", &[]).await.map_err(|_| "no answer")?;
        passed.set(passed.get() + 1);
        answer.version().map(|_| ()).ok_or("passing through")
    })
    .await;
    sent += passed.get();
    let after = evidence_of(&serin, &mut sent, before + 50).await;
    println!("Prometheus: {after} of {sent} requests are evidence over a restart");
    assert!(after <= sent, "{after} of {sent}");
    assert!(is(&serin.view("ranker").await, PhaseName::Progressing));
}

/// Sends requests until the first gate rests on as many as wanted.
async fn evidence_of(serin: &Serin, sent: &mut u64, wanted: u64) -> u64 {
    let n = std::cell::Cell::new(*sent);
    let measured = until("requests as evidence", async || {
        let user = format!("user-{}", n.replace(n.get() + 1));
        get(serin.envoy().addr, "/", &[("x-user-id", &user)]).await.expect("an answer");
        let view = serin.view("ranker").await;
        let gate = view.run.stages.first().and_then(|stage| stage.gates.first());
        let measured = gate.map_or(0, |gate| gate.n_canary + gate.n_control);
        if measured >= wanted { Ok(measured) } else { Err(measured) }
    })
    .await;
    *sent = n.get();
    measured
}
