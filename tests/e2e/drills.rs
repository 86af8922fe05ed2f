//! What is tried between runs: the rollback path, and a version against itself.

use api::PhaseName::{Progressing, RolledBack};
use api::{DrillPhase, DrillView, Outcome, ParityFinding, ParityPhase, ParityView};

use demo::load::{Load, LoadPlan};
use demo::model::Behaviour;
use tests::{EnvoyOptions, Models, Seen, Serin, a_core, alone, get, until};

const DRILLED: &str = "apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: ranker}
spec:
  stable: {version: v1}
  canary: {version: v2}
";

/// What two parts of one version are proven alike by within a minute.
const COMPARED: &str = "apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: ranker}
spec:
  stable: {version: v1}
  canary: {version: v2}
  gates:
    - {name: errors, metric: error_rate, against: stable, margin: 2x, passBelow: 2%}
    - {name: latency, metric: latency_p99, against: stable, margin: 3x, harm: 3x}
";

/// The last drill, or the one under way.
fn drill(view: &Seen) -> DrillView {
    view.drill.clone().unwrap_or_default()
}

fn exposing(view: &Seen) -> bool {
    drill(view).phase == DrillPhase::Exposing
}

fn cancelled(view: &Seen) -> bool {
    drill(view).outcome.is_some_and(|outcome| outcome == Outcome::Cancelled)
}

/// A rollout that was begun and aborted: it rests.
async fn rested(models: &Models) -> Serin {
    rested_as(models, DRILLED).await
}

async fn rested_as(models: &Models, spec: &str) -> Serin {
    let serin = Serin::start(models, EnvoyOptions::default()).await;
    serin.apply(spec).await;
    serin.until("ranker", "the first stage", |view| view.is(Progressing)).await;
    let (code, text) = serin.command(&["drill", "ranker"]).await;
    assert!(code == 1 && text.contains("under way"), "not while a run is live: {text}");
    let (code, text) = serin.command(&["abort", "ranker"]).await;
    assert_eq!(code, 0, "{text}");
    serin.until("ranker", "the rollback", |view| view.is(RolledBack)).await;
    serin
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_proves_both_ways_back_and_reports_how_long_they_take() {
    let _machine = alone().await;
    let models = Models::plain().await;
    let serin = rested(&models).await;
    let load = Load::start(LoadPlan { rate: 200.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");

    // At weight 0 nobody is exposed, and the path is proven all the same.
    let met = models.canary.log().len();
    let (code, text) = serin.command(&["drill", "ranker", "-o", "json"]).await;
    assert_eq!(code, 0, "{text}");
    let drill: DrillView = serde_json::from_str(&text).expect("a drill");
    println!("drill at 0 %: {}", drill.message);
    assert!(drill.outcome.is_some_and(|outcome| outcome == Outcome::Passed), "{text}");
    assert!(drill.lease.told_ms.is_some() && drill.lease.proxies == 1, "{text}");
    let push = drill.push.expect("a push");
    assert!(push.acknowledged_ms.is_some() && push.acknowledged == 1, "{text}");
    assert_eq!(models.canary.log().len(), met, "nobody met the canary");
    // The proxy says so itself.
    let gauges = serin.envoy().counted().await.others;
    assert_eq!(gauges.get("serin_lease_revoked_total"), Some(&1), "{gauges:?}");

    // What was rolled back gets requests again only for a reason.
    let (code, text) = serin.command(&["drill", "ranker", "--weight", "2%"]).await;
    assert!(code == 1 && text.contains("give a reason"), "{text}");
    let (code, text) = serin.command(&["drill", "ranker", "--weight", "50%", "--reason", "x"]).await;
    assert!(code == 1 && text.contains("5% or less"), "{text}");
    let (code, text) = serin.command(&["drill", "ranker", "--weight", "2%", "--reason", "practice"]).await;
    assert_eq!(code, 0, "{text}");
    println!("{text}");
    assert!(text.contains("ranker drill 2 at 2%: passed") && text.contains("last request"), "{text}");
    let met = models.canary.log().len();
    assert!(met > 0, "somebody met the canary");
    let sent = load.sent();
    until(
        "two hundred requests more",
        async || {
            if load.sent() >= sent + 200 { Ok(()) } else { Err(load.sent()) }
        },
    )
    .await;
    assert_eq!(models.canary.log().len(), met, "nothing is left on the canary");

    // A limit that cannot be kept fails it.
    let (code, text) = serin.command(&["drill", "ranker", "--limit", "1ms"]).await;
    assert!(code == 1 && text.contains("1ms NOT kept"), "{text}");

    let (code, text) = serin.command(&["get", "ranker"]).await;
    assert!(code == 0 && text.contains("drill 3: failed"), "{text}");
    let metrics = serin.metrics().await;
    for line in [
        "serin_drill_seconds{rollout=\"ranker\",way=\"push\"}",
        "serin_drill_passed{rollout=\"ranker\"} 0",
        "serin_drill_last_success_timestamp_seconds{rollout=\"ranker\"}",
    ] {
        assert!(metrics.contains(line), "{line} is missing in {metrics}");
    }
    let all: Vec<DrillView> = serin.read("/v1/rollouts/ranker/drills").await;
    let numbers: Vec<_> = all.iter().map(|drill| drill.number).collect();
    assert_eq!(numbers, [3, 2, 1]);
    let records = load.stop().await;
    assert!(records.iter().all(|record| !record.failed()), "a drill fails no request");
}

/// By its timetable it begins, passes and begins again; another timetable begins no run.
#[tokio::test(flavor = "multi_thread")]
async fn a_drill_begins_when_its_time_has_come() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let often = format!("{DRILLED}  practice: {{drill: {{every: 3s}}}}\n");
    let serin = rested_as(&models, &often).await;
    let passed = |number: u64| {
        move |view: &Seen| {
            let drill = drill(view);
            drill.number >= number && drill.outcome.is_some_and(|outcome| outcome == Outcome::Passed)
        }
    };
    let view = serin.until("ranker", "the second drill by itself", passed(2)).await;
    let DrillView { scheduled, by, .. } = drill(&view);
    assert_eq!((scheduled, by.as_str()), (true, "its schedule"));
    let (code, text) = serin.command(&["get", "ranker"]).await;
    assert!(code == 0 && text.contains("drill every 3s: ") && text.contains("the last passed"), "{text}");
    let metrics = serin.metrics().await;
    let line = "serin_practice_next_timestamp_seconds{rollout=\"ranker\",exercise=\"drill\"}";
    assert!(metrics.contains(line), "{line} is missing in {metrics}");

    let file = serin.file("rollout.yaml", &format!("{DRILLED}  practice: {{drill: {{every: 30d}}}}\n"));
    let (code, text) = serin.command(&["apply", "-f", &file]).await;
    assert!(code == 0 && text.contains("run 1 stays as it is, practice has another timetable"), "{text}");
    let (code, text) = serin.command(&["history", "ranker", "--run", "1"]).await;
    assert!(code == 0 && text.contains("for its schedule") && text.contains("drill every 30d"), "{text}");
}

/// The controller dies while the canary has its weight: the next one takes it back before it does anything else.
#[tokio::test(flavor = "multi_thread")]
async fn a_drill_cut_short_by_a_crash_leaves_nothing_on_the_canary() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let mut serin = rested(&models).await;
    let begin = ["drill", "ranker", "--weight", "5%", "--reason", "practice", "--detach"];
    let (code, text) = serin.command(&begin).await;
    assert_eq!(code, 0, "{text}");
    // Without traffic it waits for a canary request.
    let exposed =
        |view: &Seen| exposing(view) && drill(view).message == "the canary has 5% (1 of 1 proxies follow)";
    serin.until("ranker", "the canary's weight", exposed).await;
    serin.kill();
    serin.run().await;
    let view = serin.until("ranker", "the end of the drill", |view| drill(view).outcome.is_some()).await;
    assert!(cancelled(&view) && drill(&view).message.contains("restarted"), "{view}");
    let before = models.canary.log().len();
    for n in 0..200 {
        let answer =
            get(serin.envoy().addr, "/", &[("x-user-id", &format!("user-{n}"))]).await.expect("an answer");
        assert_eq!(answer.model(), Some("v1"));
    }
    assert_eq!(models.canary.log().len(), before);
    // It is over for good, and the next run begins above everything it published.
    serin.kill();
    serin.run().await;
    let view = serin.view("ranker").await;
    assert!(cancelled(&view), "{view}");
    let epoch = view.run.epoch;
    serin.apply(DRILLED).await;
    let view = serin.until("ranker", "the next run", |view| view.is(Progressing)).await;
    assert!(view.run.epoch > epoch + 3, "{view}");
}

/// A real run goes before practice, and a person may end it at any time.
#[tokio::test(flavor = "multi_thread")]
async fn an_abort_or_a_new_run_ends_a_drill() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let serin = rested(&models).await;
    let begin = ["drill", "ranker", "--weight", "1%", "--reason", "practice", "--detach"];
    let (code, text) = serin.command(&begin).await;
    assert_eq!(code, 0, "{text}");
    serin.until("ranker", "the canary's weight", exposing).await;
    let (code, text) = serin.command(&begin).await;
    assert!(code == 1 && text.contains("drill 1 of ranker is under way"), "one at a time: {text}");
    let (code, text) = serin.command(&["abort", "ranker", "--reason", "enough"]).await;
    assert_eq!(code, 0, "{text}");
    let view = serin.until("ranker", "the end of the drill", cancelled).await;
    assert!(drill(&view).message.contains("(enough)"), "{view}");

    let (code, text) = serin.command(&begin).await;
    assert_eq!(code, 0, "{text}");
    serin.until("ranker", "the canary's weight", exposing).await;
    serin.apply(DRILLED).await;
    let view = serin.until("ranker", "the run", |view| view.is(Progressing)).await;
    assert_eq!(view.run.run, 2);
    serin.until("ranker", "the end of the drill", cancelled).await;
    assert!(serin.view("ranker").await.is(Progressing), "the run goes on");
}

/// Stable against its virtual baseline: nobody meets another version, and parity is proven.
#[tokio::test(flavor = "multi_thread")]
async fn stable_is_proven_equal_to_itself() {
    let _machine = alone().await;
    let models = Models::plain().await;
    let serin = rested_as(&models, COMPARED).await;
    let load = Load::start(LoadPlan { rate: 200.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    let met = models.canary.log().len();
    let (code, text) = serin.command(&["aa", "ranker"]).await;
    println!("{text}");
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("v1 against itself: parity") && text.contains("alike      errors"), "{text}");
    assert_eq!(models.canary.log().len(), met, "nobody met the canary");

    // A time too short for proof says so, and how long it would take.
    let (code, text) =
        serin.command(&["aa", "ranker", "--share", "1%", "--duration", "10s", "-o", "json"]).await;
    let check: ParityView = serde_json::from_str(&text).expect("a check");
    assert!(code == 2 && check.finding.is_some_and(|finding| finding == ParityFinding::NotEnough), "{text}");
    println!("too short: {}", check.message);
    let observed = check.split.observed.expect("a share");
    assert!(observed > 0.0 && observed < 0.05, "{text}");

    let (_, text) = serin.command(&["get", "ranker"]).await;
    assert!(text.contains("A/A check 2: not enough"), "{text}");
    let metrics = serin.metrics().await;
    assert!(metrics.contains("serin_parity_last_success_timestamp_seconds{rollout=\"ranker\"}"), "{metrics}");
    load.stop().await;
    // Stable has its traffic back, undivided.
    let view = serin.view("ranker").await;
    assert!(view.parity.as_ref().is_some_and(|check| check.phase == ParityPhase::Ended), "{view}");
}

/// The same version deployed twice, and one of the two deployments is ill: found, named and taken back.
#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_differs_from_its_twin_is_found_and_taken_back() {
    let _machine = alone().await;
    let ill = Behaviour { error_share: 0.2, ..Behaviour::plain("v1") };
    let models = Models::behaving(Behaviour::plain("v1"), ill).await;
    let serin = rested_as(&models, COMPARED).await;
    let load = Load::start(LoadPlan { rate: 200.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    let (code, text) = serin.command(&["aa", "ranker", "--deployed"]).await;
    assert!(code == 1 && text.contains("give a reason"), "{text}");
    let (code, text) = serin
        .command(&["aa", "ranker", "--deployed", "--share", "20%", "--reason", "v1 runs there now"])
        .await;
    println!("{text}");
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("v1 against itself: difference") && text.contains("different  errors"), "{text}");
    let (met, sent) = (models.canary.log().len(), load.sent());
    until(
        "two hundred requests more",
        async || {
            if load.sent() >= sent + 200 { Ok(()) } else { Err(load.sent()) }
        },
    )
    .await;
    assert_eq!(models.canary.log().len(), met, "nothing is left on the canary route");
    load.stop().await;
}
