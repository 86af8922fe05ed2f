//! Several new versions at once, on a real Envoy.

use std::net::SocketAddr;

use api::PhaseName::{HandBack, Paused, RolledBack, Succeeded};
use api::{ArmView, ChallengerOutcome};
use demo::load::{Load, LoadPlan};
use demo::model::{Behaviour, ModelServer};

use tests::{EnvoyOptions, Models, Seen, Serin, alone, until};

/// Three versions side by side at 10, then 20 %; the one with fewest errors goes on alone.
const THREE: &str = "
apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: ranker}
spec:
  stable: {version: v1}
  canary: {version: v2}
  arms: [{name: b, version: v3}, {name: c, version: v4}]
  choose: {by: error_rate, after: 20%}
  stages:
    - {weight: 10%, bake: 1s, deadline: 30m}
    - {weight: 20%, bake: 1s, deadline: 30m}
    - {weight: 50%, bake: 1s, deadline: 30m}
    - {weight: 100%, bake: 1s}
  gates:
    - {name: errors, metric: error_rate, against: stable, margin: 4x, passBelow: 15%, ignoreBelow: 12%}
  guardrails:
    - {name: errors-limit, metric: error_rate, max: 25%}
  handBack: {step: 1s}
";

fn arm<'v>(view: &'v Seen, name: &str) -> &'v ArmView {
    let mut arms = view.run.arms.iter();
    arms.find(|arm| arm.arm.to_string() == name).unwrap_or_else(|| panic!("no arm {name} in {view}"))
}

/// Has nobody a share any more?
fn all_back(view: &Seen) -> bool {
    view.run.arms.iter().all(|arm| arm.weight_ppm == 0)
}

async fn model(version: &str, error_share: f64) -> ModelServer {
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    ModelServer::start(any, Behaviour { error_share, ..Behaviour::plain(version) }).await.expect("a server")
}

/// Canary, b and c fail at these shares.
async fn three(shares: [f64; 3]) -> (Models, ModelServer, ModelServer, Serin) {
    let models = Models { stable: model("v1", 0.02).await, canary: model("v2", shares[0]).await };
    let (b, c) = (model("v3", shares[1]).await, model("v4", shares[2]).await);
    let options = EnvoyOptions { others: vec![("b", b.addr()), ("c", c.addr())], ..EnvoyOptions::default() };
    let serin = Serin::start(&models, options).await;
    (models, b, c, serin)
}

/// Waits until `requests` went by and none of them reached the server.
async fn left_alone(server: &ModelServer, load: &Load, requests: u64) {
    let seen = std::cell::Cell::new((server.log().len(), load.sent()));
    until("the version to be left alone", async || {
        let now = server.log().len();
        if now > seen.get().0 {
            seen.set((now, load.sent()));
        }
        if load.sent() >= seen.get().1 + requests { Ok(()) } else { Err(now) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_three_the_bad_one_is_dropped_alone_and_the_best_is_promoted() {
    let _machine = alone().await;
    let (models, b, c, serin) = three([0.06, 0.6, 0.001]).await;
    let load = Load::start(LoadPlan { rate: 300.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    serin.apply(THREE).await;

    let view = serin
        .until("ranker", "b to be dropped", |view| arm(view, "b").standing == ChallengerOutcome::Dropped)
        .await;
    let reason = arm(&view, "b").reason.as_deref().expect("a reason");
    println!("dropped: {reason}");
    assert!(reason.contains("errors"), "{view}");
    assert_eq!(arm(&view, "b").weight_ppm, 0);
    assert!(["canary", "c"].iter().all(|name| arm(&view, name).weight_ppm > 0), "{view}");
    left_alone(&b, &load, 100).await;
    let met_b = b.log().len();
    let (code, text) = serin.command(&["get", "ranker"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("b (v3)   0%   dropped: "), "{text}");

    let view =
        serin.until("ranker", "a winner", |view| arm(view, "c").standing == ChallengerOutcome::Chosen).await;
    println!("chosen: {:?}", arm(&view, "c").reason);
    assert!(arm(&view, "canary").standing == ChallengerOutcome::Left && view.run.canary == "v4", "{view}");
    left_alone(&models.canary, &load, 100).await;

    serin.until("ranker", "the hand-back", |view| view.is(HandBack)).await;
    let before = models.stable.log().len();
    until("everybody on the winner", async || {
        let answer = tests::get(serin.envoy().addr, "/", &[]).await.expect("an answer");
        if answer.version() == Some("v4") { Ok(()) } else { Err(answer.version().map(str::to_owned)) }
    })
    .await;
    let (code, text) =
        serin.command(&["promote", "ranker", "--reason", "v4 is behind the stable route"]).await;
    assert_eq!(code, 0, "{text}");
    let view = serin.until("ranker", "the end", |view| view.is(Succeeded)).await;
    assert_eq!((view.run.stable.as_str(), view.run.weight_ppm), ("v4", 0));
    let records = load.stop().await;
    assert_eq!(b.log().len(), met_b, "b was dropped for good");
    assert!(models.stable.log().len() > before && c.log().len() > met_b);
    let lost = records.iter().filter(|record| record.failed()).count();
    let models_failed = [&models.stable, &models.canary, &b, &c].map(failures).iter().sum::<usize>();
    assert!(lost <= models_failed, "{lost} failed, the models failed {models_failed}");
}

fn failures(server: &ModelServer) -> usize {
    server
        .log()
        .with(|arrivals| arrivals.iter().filter(|arrival| arrival.outcome.is_server_failure()).count())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_drops_one_and_chooses_another() {
    let _machine = alone().await;
    let (models, b, _c, serin) = three([0.0; 3]).await;
    let load = Load::start(LoadPlan { rate: 200.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    serin.apply(&THREE.replace("by: error_rate", "by: person")).await;
    serin.until("ranker", "the first stage", |view| arm(view, "b").weight_ppm == 100_000).await;

    let (code, text) = serin.command(&["abort", "ranker", "--arm", "d"]).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("d is not on trial") && text.contains("v3 (b)"), "{text}");
    let (code, text) = serin.command(&["abort", "ranker", "--arm", "b", "--reason", "complaints"]).await;
    assert_eq!(code, 0, "{text}");
    left_alone(&b, &load, 100).await;

    serin.until("ranker", "the choice", |view| view.is(Paused) && view.run.message.contains("--arm")).await;
    let (code, text) = serin.command(&["promote", "ranker"]).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("v2 (canary), v4 (c)"), "{text}");
    let (code, text) = serin.command(&["promote", "ranker", "--arm", "c"]).await;
    assert_eq!(code, 0, "{text}");
    let view =
        serin.until("ranker", "c alone", |view| arm(view, "c").standing == ChallengerOutcome::Chosen).await;
    assert_eq!(arm(&view, "canary").weight_ppm, 0);
    left_alone(&models.canary, &load, 100).await;
    let (code, text) = serin.command(&["abort", "ranker"]).await;
    assert_eq!(code, 0, "{text}");
    let view = serin.until("ranker", "the rollback", |view| view.is(RolledBack)).await;
    assert!(all_back(&view), "{view}");
    load.stop().await;
}

/// Two versions on trial whose shares follow the evidence, every 30 s, between 5 and 60 % together.
const FOLLOWING: &str = "
apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: ranker}
spec:
  stable: {version: v1}
  canary: {version: v2}
  arms: [{name: b, version: v3}]
  choose: {by: person, after: 20%}
  bandit: {by: error_rate, floor: 5%, ceiling: 60%, every: 30s}
  stages:
    - {weight: 15%, bake: 1h, deadline: 3h}
    - {weight: 20%, bake: 1s, deadline: 30m}
    - {weight: 100%, bake: 1s}
  gates:
    - {name: errors, metric: error_rate, against: stable, margin: 9x, ignoreBelow: 60%, passBelow: 60%}
  guardrails:
    - {name: errors-limit, metric: error_rate, max: 70%}
";

#[tokio::test(flavor = "multi_thread")]
async fn shares_follow_the_better_one_and_an_abort_takes_all_back() {
    let _machine = alone().await;
    let (models, b, _c, serin) = three([0.3, 0.0, 0.0]).await;
    let load = Load::start(LoadPlan { rate: 200.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    serin.apply(FOLLOWING).await;
    serin.until("ranker", "the first stage", |view| arm(view, "b").weight_ppm == 150_000).await;

    let view = serin
        .until("ranker", "shares to move", |view| {
            arm(view, "canary").weight_ppm == 50_000 && arm(view, "b").weight_ppm > 150_000
        })
        .await;
    let shares = view.run.bandit.clone().expect("shares that move").versions;
    println!("shares: {shares:?}");
    let best = |at: usize| shares[at].best.expect("a chance");
    assert!(best(0) < 0.01 && best(1) > best(2), "{view}");
    let line = &view.run.history.last().expect("a line").what;
    assert!(line.starts_with("Shares: v2 5%, v3 "), "{line}");
    let (code, text) = serin.command(&["get", "ranker"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("shares follow error_rate, each between 5% and 20%, up to 60% together"), "{text}");

    let metrics = serin.metrics().await;
    for line in [
        "serin_rollout_best_probability{rollout=\"ranker\",version=\"v3\",arm=\"b\"} ",
        "serin_rollout_share_ceiling_ratio{rollout=\"ranker\"} 0.6",
        "serin_demand_largest_share_ratio{rollout=\"ranker\",role=\"canary\",version=\"v2\"} 0.5",
        "serin_demand_largest_share_ratio{rollout=\"ranker\",role=\"stable\",version=\"v1\"} 0.9",
    ] {
        assert!(metrics.contains(line), "{line} is missing in {metrics}");
    }

    // What Envoy does: b gets more requests than the canary.
    let (canary, other, all) = (models.canary.log().len(), b.log().len(), load.sent());
    until("the shares to be felt", async || {
        let (canary, other) = (models.canary.log().len() - canary, b.log().len() - other);
        let felt = load.sent() >= all + 600 && canary > 0 && other > 2 * canary;
        if felt { Ok(()) } else { Err((canary, other)) }
    })
    .await;

    let (code, text) = serin.command(&["abort", "ranker", "--reason", "enough"]).await;
    assert_eq!(code, 0, "{text}");
    let view = serin.until("ranker", "the rollback", |view| view.is(RolledBack)).await;
    assert!(all_back(&view), "{view}");
    assert!(view.run.bandit.is_none(), "{view}");
    left_alone(&models.canary, &load, 100).await;
    left_alone(&b, &load, 100).await;
    load.stop().await;
}
