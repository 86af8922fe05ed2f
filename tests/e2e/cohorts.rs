//! Requests of different moments, weights and proxies, on the real Envoy: only what is alike is compared, whatever lags,
//! falls silent, hangs, leaves or streams. `simulate` has the same situations as worlds.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use api::PhaseName::{Paused, Progressing, RolledBack};
use demo::load::{Load, LoadPlan};
use demo::model::Behaviour;
use hyper::body::{Body, Bytes, Frame};

use tests::{Counts, EnvoyOptions, EnvoyProcess, Look, Models, Seen, Serin, Ways, a_core, alone, until};

fn spec(lines: &str) -> String {
    format!(
        "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {{name: ranker}}\nspec:\n  stable: {{version: v1}}\n  canary: {{version: v2}}\n{lines}"
    )
}

/// Errors are all that is asked for; nobody's are too many by themselves.
const ERRORS: &str =
    "  gates: [{name: errors, metric: error_rate, against: stable, margin: 3x, passBelow: 10%, minSamples: 500}]
  guardrails: [{name: errors-limit, metric: error_rate, max: 95%}]
";

/// Canary requests that were judged so far.
fn judged(view: &Seen) -> u64 {
    view.run.exposed.requests
}

fn harmful() -> Behaviour {
    Behaviour { error_share: 0.8, ..Behaviour::plain("v2") }
}

fn load(envoy: &EnvoyProcess, rate: f64) -> Load {
    Load::start(LoadPlan { rate, timeout: Duration::from_secs(20), ..LoadPlan::to(envoy.addr) })
        .expect("a load")
}

/// Begins a rollout; its proxies have the stage, and whoever asks from now on is counted.
async fn begin(serin: &Serin, proxies: usize, lines: &str) -> Seen {
    serin.apply(&spec(lines)).await;
    let ready = |view: &Seen| view.is(Progressing) && view.acknowledged() == proxies;
    let view = serin.until("ranker", "the stage at every proxy", ready).await;
    // What counters held before a look asked for them belongs to nobody.
    until("two looks", async || {
        let looks = looks(serin).await.len();
        if looks >= 2 { Ok(()) } else { Err(looks) }
    })
    .await;
    view
}

/// Two proxies with models of their own under one rollout; nobody has asked them anything yet.
async fn two(near: &Models, far: &Models, lines: &str) -> (Serin, Ways) {
    let mut serin = Serin::start(near, EnvoyOptions { node: "near", ..EnvoyOptions::default() }).await;
    let ways = serin.add_behind(far, EnvoyOptions { node: "far", ..EnvoyOptions::default() }).await;
    begin(&serin, 2, lines).await;
    (serin, ways)
}

async fn judge(serin: &Serin, more: u64) -> Seen {
    let due = judged(&serin.view("ranker").await) + more;
    serin.until("ranker", "requests to be judged", |view| judged(view) >= due).await
}

#[track_caller]
fn check_harm(view: &Seen, what: &str) {
    let reason = view.reason();
    println!("{reason}");
    assert!(reason.contains("harm is proven") && reason.contains(what), "{view}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_cannot_be_read_costs_its_own_evidence_and_tells_it_later() {
    let _machine = alone().await;
    let (near, far) = (Models::plain().await, Models::plain().await);
    let stages = "  stages: [{weight: 40%, bake: 1s, deadline: 1h}, {weight: 60%, bake: 1h, deadline: 3h}, {weight: 100%, bake: 1h}]\n";
    let (serin, ways) = two(&near, &far, &format!("{stages}{ERRORS}")).await;
    let loads = [load(serin.envoy(), 100.0), load(&serin.more[0], 100.0)];
    judge(&serin, 40).await;
    ways.admin.close();
    serin.until("ranker", "the silence", |view| said(view, "1 of 2 proxies gave all their counts")).await;
    // More than the stage asks for, and no proof of it: what the other proxy would say is not known.
    let silent = far.canary.log().len();
    let view = judge(&serin, 600).await;
    assert!(view.is_at(Progressing, 1), "{view}");
    assert!(far.canary.log().len() > silent + 100, "it serves all the while");
    ways.admin.open();
    serin.until("ranker", "the next stage", |view| view.run.stage == 2).await;
    for load in loads {
        load.stop().await;
    }
    // Nothing was lost over it.
    let met = || (near.canary.log().len() + far.canary.log().len()) as u64;
    let view = serin.until("ranker", "every request to be judged", |view| judged(view) >= met()).await;
    assert!(view.is(Progressing) && judged(&view) == met(), "{view}");
}

fn said(view: &Seen, what: &str) -> bool {
    view.run.message.contains(what)
}

/// A quorum is enough for proof, whatever the rest would say: the weight rises while one cannot be read.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_proxy_stops_no_rollout_whose_quorum_speaks() {
    let _machine = alone().await;
    let (near, far) = (Models::plain().await, Models::plain().await);
    let lines = "  acknowledge: {quorum: 50%}
  stages: [{weight: 40%, bake: 1h, deadline: 3h}, {weight: 50%, bake: 1s, deadline: 1h}, {weight: 60%, bake: 1h, deadline: 3h}, {weight: 100%, bake: 1h}]
";
    let (serin, ways) = two(&near, &far, &format!("{lines}{ERRORS}")).await;
    let loads = [load(serin.envoy(), 100.0), load(&serin.more[0], 30.0)];
    judge(&serin, 40).await;
    ways.admin.close();
    let told = far.canary.log().len();
    let (code, text) =
        serin.command(&["promote", "ranker", "--reason", "to a weight it has not told of"]).await;
    assert_eq!(code, 0, "{text}");
    let view = serin.until("ranker", "the stage after", |view| view.run.stage == 3).await;
    assert!(view.is(Progressing), "{view}");
    let most = (near.canary.log().len() + told) as u64;
    assert!(judged(&view) <= most && far.canary.log().len() > told, "it was silent all the while: {view}");
    for load in loads {
        load.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn harm_at_one_proxy_is_found_while_the_other_stands_still() {
    let _machine = alone().await;
    let (near, far) = (Models::plain().await, Models::plain().await);
    let stages = "  stages: [{weight: 40%, bake: 1h, deadline: 3h}, {weight: 60%, bake: 1h, deadline: 3h}, {weight: 100%, bake: 1h}]\n";
    let (serin, _ways) = two(&near, &far, &format!("{stages}{ERRORS}")).await;
    let (one, other) = (load(serin.envoy(), 100.0), load(&serin.more[0], 20.0));
    judge(&serin, 40).await;
    other.stop().await;
    serin.more[0].stand_still(true);
    serin.until("ranker", "the silence", |view| said(view, "1 of 2 proxies gave all their counts")).await;
    let view = judge(&serin, 100).await;
    assert!(view.is(Progressing), "silence is no harm: {view}");
    near.canary.set(harmful()).expect("a behaviour");
    let view = serin.until("ranker", "the rollback", |view| view.is(RolledBack)).await;
    check_harm(&view, "gate errors");
    serin.more[0].stand_still(false);
    serin.until("ranker", "both proxies to have it", |view| view.acknowledged() == 2).await;
    one.stop().await;
}

/// It keeps more of the canary's traffic than the others, and whatever it asks fails more: added up without regard to
/// weights, its troubles would be the canary's.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_lags_and_is_in_trouble_blames_nobody_and_hides_nothing() {
    let _machine = alone().await;
    let (near, far) = (Models::plain().await, Models::plain().await);
    let lines = "  acknowledge: {quorum: 50%}\n  stages: [{weight: 50%, bake: 1h, deadline: 3h}, {weight: 60%, bake: 1h, deadline: 3h}, {weight: 100%, bake: 1h}]\n";
    let (serin, ways) = two(&near, &far, &format!("{lines}{ERRORS}")).await;
    let before = serin.view("ranker").await.run.epoch;
    ways.policies.close();
    let (code, text) = serin.command(&["set-weight", "ranker", "5%", "--reason", "too much"]).await;
    assert_eq!(code, 0, "{text}");
    let lowered = |view: &Seen| view.run.weight_ppm == 50_000 && view.acknowledged() == 1;
    serin.until("ranker", "the lower weight at one proxy", lowered).await;
    for models in [&far.stable, &far.canary] {
        let behaviour = Behaviour { error_share: 0.3, latency_median_ms: 50.0, ..models.behaviour() };
        models.set(behaviour).expect("a behaviour");
    }
    let loads = [load(serin.envoy(), 200.0), load(&serin.more[0], 100.0)];
    let counts = until("the troubles of the proxy that lags", async || {
        let view = serin.view("ranker").await;
        assert!(view.is(Paused) && view.run.weight_ppm == 50_000, "{view}");
        let counts = counted(&serin).await;
        let enough = |arm: &str| counts.get(&before).is_some_and(|arms| arms[arm].errors >= 100);
        if enough("canary") && enough("stable") { Ok(counts) } else { Err(counts) }
    })
    .await;
    let view = judge(&serin, 50).await;
    assert!(view.is(Paused) && view.run.weight_ppm == 50_000, "{view}");
    println!("{counts:?}");

    near.canary.set(harmful()).expect("a behaviour");
    let view = serin.until("ranker", "the rollback", |view| view.is(RolledBack)).await;
    check_harm(&view, "gate errors");
    for load in loads {
        load.stop().await;
    }
}

/// People lower the weight while requests are open: those end under the new weights, the canary's more of them than it
/// gets by then, and a tenth of them as timeouts.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_open_when_a_person_lowers_the_weight_belong_to_the_weights_before() {
    let _machine = alone().await;
    let slow = |version| Behaviour {
        latency_median_ms: 1_000.0,
        latency_sigma: 0.1,
        hang_share: 0.1,
        ..Behaviour::plain(version)
    };
    let models = Models::behaving(slow("v1"), slow("v2")).await;
    let options = EnvoyOptions { route_timeout: Duration::from_secs(4), ..EnvoyOptions::default() };
    let serin = Serin::start(&models, options).await;
    let guardrails = "  guardrails:
    - {name: errors-limit, metric: error_rate, max: 95%}
    - {name: overdue-limit, metric: overdue, max: 5%, against: stable}
    - {name: gone-limit, metric: gone_rate, max: 10%, against: stable}
";
    let stages = "  stages: [{weight: 50%, bake: 1h, deadline: 3h}, {weight: 60%, bake: 1h, deadline: 3h}, {weight: 100%, bake: 1h}]\n";
    let view = begin(&serin, 1, &format!("{stages}{guardrails}")).await;
    let before = view.run.epoch;
    let load = load(serin.envoy(), 100.0);
    judge(&serin, 250).await;
    let (code, text) = serin.command(&["set-weight", "ranker", "5%", "--reason", "too much"]).await;
    assert_eq!(code, 0, "{text}");
    let view = serin.until("ranker", "the lower weight", |view| view.acknowledged() == 1).await;
    let after = view.run.epoch;
    // As many as came to an end under the wrong weights, were they charged by their ends.
    until("requests of the lower weight to end", async || {
        let counts = counted(&serin).await;
        let ended = counts.get(&after).map_or(0, |arms| arms["canary"].finished);
        if ended >= 40 { Ok(()) } else { Err(counts) }
    })
    .await;
    let view = serin.view("ranker").await;
    assert!(view.is(Paused) && view.run.weight_ppm == 50_000, "{view}");

    // Once all have ended, each is where it was assigned.
    let sent = load.stop().await.len() as u64;
    let counts = until("every request to be counted", async || {
        let counts = counted(&serin).await;
        let sum =
            |what: fn(&Counts) -> u64| -> u64 { counts.values().flat_map(BTreeMap::values).map(what).sum() };
        let sums = (sum(|counts| counts.assigned), sum(|counts| counts.finished));
        if sums == (sent, sent) { Ok(counts) } else { Err((sent, counts)) }
    })
    .await;
    println!("{counts:?}");
    for (epoch, arm) in [(before, "canary"), (before, "stable"), (after, "canary"), (after, "stable")] {
        let Counts { assigned, finished, .. } = counts[&epoch][arm];
        assert_eq!(finished, assigned, "{epoch} {arm}: {counts:?}");
    }
}

/// What all looks counted, by epoch and arm.
type Counted = BTreeMap<u64, BTreeMap<&'static str, Counts>>;

async fn counted(serin: &Serin) -> Counted {
    let mut counted = Counted::new();
    for look in looks(serin).await {
        for stratum in look.strata() {
            let arms = counted.entry(stratum.epoch).or_default();
            for (arm, counts) in [("canary", stratum.canary), ("stable", stratum.stable_and_baseline())] {
                let sums = arms.entry(arm).or_default();
                sums.assigned += counts.assigned;
                sums.finished += counts.finished;
                sums.errors += counts.errors;
            }
        }
    }
    counted
}

/// What was measured in each look.
async fn looks(serin: &Serin) -> Vec<Look> {
    Look::all(&serin.exported("ranker", &["--what", "measurements"]).await)
}

/// The first specification of the README and the one in `examples`; and clients that wait for nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_hangs_is_rolled_back_although_its_clients_give_up_at_once() {
    let _core = a_core().await;
    let hangs = Behaviour { hang_share: 0.5, ..Behaviour::plain("v2") };
    // What comes after the end, and when weights may rise, is not of this story.
    let (example, _) =
        include_str!("../../examples/rollout.yaml").split_once("  handBack:").expect("an example");
    for (spec, rate) in [(spec(""), 200.0), (example.to_owned(), 400.0)] {
        let models = Models::behaving(Behaviour::plain("v1"), hangs.clone()).await;
        let serin = Serin::start(&models, EnvoyOptions::default()).await;
        let (timeout, path) = (Duration::from_millis(300), "/v1/rank".to_owned());
        let load = Load::start(LoadPlan { rate, timeout, path, ..LoadPlan::to(serin.envoy().addr) });
        let load = load.expect("a load");
        serin.apply(&spec).await;
        let view = serin.until("ranker", "the rollback", |view| view.is(RolledBack)).await;
        let reason = view.reason();
        println!("{reason}");
        // Whichever speaks first: their share is beyond any limit, and no client of stable's leaves.
        let names = ["gate overdue", "guardrail overdue-limit", "guardrail gone-limit"];
        assert!(names.iter().any(|name| reason.starts_with(name)), "{view}");
        load.stop().await;
    }
}

/// Server-sent events: the answer begins at once and goes on for three seconds.
struct Events {
    ticks: tokio::time::Interval,
    left: u8,
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(left) = self.left.checked_sub(1) else { return Poll::Ready(None) };
        if self.ticks.poll_tick(context).is_pending() {
            return Poll::Pending;
        }
        self.left = left;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"data: a token\n\n")))))
    }
}

async fn streaming() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let answer = async || {
        let events = Events { ticks: tokio::time::interval(Duration::from_millis(500)), left: 7 };
        ([("content-type", "text/event-stream")], axum::body::Body::new(events))
    };
    tokio::spawn(axum::serve(listener, axum::Router::new().fallback(answer)).into_future());
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_stream_prove_what_others_do_whether_or_not_clients_stay() {
    let _machine = alone().await;
    let serin = Serin::start_at(streaming().await, streaming().await, EnvoyOptions::default()).await;
    let stages = "  stages: [{weight: 50%, bake: 1s, deadline: 1h}, {weight: 60%, bake: 1h, deadline: 3h}, {weight: 100%, bake: 1h}]";
    begin(&serin, 1, stages).await;
    let stay = load(serin.envoy(), 100.0);
    // One in three listens for a second.
    let plan =
        LoadPlan { rate: 50.0, seed: 2, timeout: Duration::from_secs(1), ..LoadPlan::to(serin.envoy().addr) };
    let leave = Load::start(plan).expect("a load");
    let view = serin.until("ranker", "the proof", |view| view.run.stage == 2).await;
    assert!(view.is(Progressing), "{view}");
    println!("{:?}", view.gates(1));
    let left = leave.stop().await.iter().filter(|record| record.failed()).count();
    assert!(left > 0, "clients that stop");
    assert!(stay.stop().await.iter().all(|record| !record.failed()));
}
