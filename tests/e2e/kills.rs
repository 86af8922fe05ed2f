//! The controller is killed (SIGKILL), again and again, wherever it happens to be: in the middle of a stage change, of a
//! hook, of the hand-back, of a rollback, of coming back. Nothing is lost, and nothing that can be seen happens twice.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use demo::load::{Ledger, Load, LoadPlan, Record};
use demo::model::Behaviour;
use serde_json::{Value, json};
use split::Draws;

use tests::{EnvoyOptions, Models, Serin, alone, until};

/// More kills than any of these stories needs: whoever dies as often gets nowhere.
const MOST_KILLS: usize = 60;

/// The controller is away a good part of the time; what is tested is that its return changes nothing, not the lease.
const PATIENT: &str = "  lease: {intervals: 120}";

/// Moments, the same for the same seed.
struct Chance(Draws);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0.draw() % n
    }
}

/// What the controller asks when the canary is good: it hangs when it is asked first, so that whoever asked is killed
/// over it, and deploys whenever it is asked again.
#[derive(Clone)]
struct DeployTool {
    keys: Arc<Mutex<Vec<String>>>,
    /// Where the sample server takes another version.
    stable: String,
}

impl DeployTool {
    async fn start(models: &Models) -> (Self, String) {
        let stable = format!("http://{}/admin/version", models.stable.addr());
        let tool = Self { keys: Arc::default(), stable };
        let router = axum::Router::new().fallback(deploy).with_state(tool.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/deploy", listener.local_addr().expect("its address"));
        tokio::spawn(axum::serve(listener, router).into_future());
        (tool, url)
    }

    fn keys(&self) -> Vec<String> {
        self.keys.lock().expect("not poisoned").clone()
    }
}

async fn deploy(State(tool): State<DeployTool>, headers: HeaderMap) -> StatusCode {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default();
    let first = {
        let mut keys = tool.keys.lock().expect("not poisoned");
        keys.push(key.to_owned());
        keys.len() == 1
    };
    if first {
        return std::future::pending().await;
    }
    let told = reqwest::Client::new().post(&tool.stable).json(&json!({"version": "v2"})).send().await;
    if told.is_ok_and(|answer| answer.status().is_success()) {
        StatusCode::OK
    } else {
        StatusCode::BAD_GATEWAY
    }
}

/// What anybody can see of where the run is.
fn sight(view: &Value) -> Option<String> {
    let phase = view["phase"].as_str()?;
    Some(format!("{phase} {} at {}", view["stage"], view["weight_ppm"]))
}

async fn pass(load: &Load, requests: u64) {
    let due = load.sent() + requests;
    until("requests to go by", async || if load.sent() >= due { Ok(()) } else { Err(load.sent()) }).await;
}

/// Kills the controller and starts it again: whenever the run is seen where it was not seen before, and at moments of
/// chance between. Returns what was seen at each kill.
async fn kill_until(serin: &mut Serin, load: &Load, chance: &mut Chance, end: &str) -> Vec<String> {
    let (mut seen, mut kills) = (BTreeSet::new(), Vec::new());
    loop {
        let due = load.sent() + 150 + chance.below(600);
        let found = until("the next moment to die", async || {
            let view = serin.view("ranker").await;
            let found = sight(&view).ok_or_else(|| view.to_string())?;
            let ready = found.starts_with(end) || !seen.contains(&found) || load.sent() >= due;
            if ready { Ok(found) } else { Err(found) }
        })
        .await;
        // What is new is still under way: pushed and not acknowledged, asked and not answered.
        pass(load, chance.below(12)).await;
        serin.kill();
        let over = found.starts_with(end);
        seen.insert(found.clone());
        kills.push(found);
        assert!(kills.len() < MOST_KILLS, "it gets nowhere: {kills:?}");
        // And now and then on its way up.
        while chance.below(4) == 0 {
            serin.spawn();
            pass(load, chance.below(60)).await;
            serin.kill();
            kills.push("coming back".to_owned());
        }
        serin.run().await;
        if over {
            return kills;
        }
    }
}

/// A run as `serin export` gives it.
async fn exported(serin: &Serin, run: u64) -> Value {
    let file = serin.file("export.json", "");
    let run = run.to_string();
    let (code, text) = serin.command(&["export", "ranker", "--run", &run, "--file", &file]).await;
    assert_eq!(code, 0, "{text}");
    let runs: Value = serde_json::from_str(&std::fs::read_to_string(file).expect("a file")).expect("JSON");
    runs[0].clone()
}

/// The weights that were decided, in parts per million, each with what allowed it.
fn published(run: &Value) -> Vec<(u64, String)> {
    let lines = run["journal"].as_array().expect("a journal");
    let told = lines.iter().filter(|line| line["kind"] == "publish").map(|line| &line["detail"]);
    let generations: Vec<u64> = told.clone().filter_map(|told| told["generation"].as_u64()).collect();
    let epochs: Vec<u64> = told.clone().filter_map(|told| told["epoch"].as_u64()).collect();
    assert!(generations.is_sorted_by(|a, b| a < b) && epochs.is_sorted_by(|a, b| a < b), "{lines:#?}");
    let cause = |cause: &Value| {
        let named = cause.as_object().and_then(|cause| cause.keys().next()).map(String::as_str);
        named.or(cause.as_str()).unwrap_or_default().to_owned()
    };
    told.map(|told| (told["weight_ppm"].as_u64().expect("a weight"), cause(&told["cause"]))).collect()
}

/// The journal is whole, and tells of everything once.
#[track_caller]
fn check_journal(run: &Value) {
    assert_eq!(run["journal_broken_at"], Value::Null, "the chain holds");
    let lines = run["journal"].as_array().expect("a journal");
    let mut once = BTreeSet::new();
    for line in lines.iter().filter(|line| line["kind"] == "record" || line["kind"] == "act") {
        assert!(
            once.insert((line["kind"].to_string(), line["what"].to_string())),
            "twice: {line}\n{lines:#?}"
        );
    }
    // What is written down is what the state remembers.
    let history = run["view"]["history"].as_array().expect("a history");
    let whats = |lines: &[Value]| lines.iter().map(|line| line["what"].to_string()).collect::<Vec<_>>();
    let records: Vec<Value> = lines.iter().filter(|line| line["kind"] == "record").cloned().collect();
    assert_eq!(whats(&records), whats(history));
}

/// No request is evidence twice: each look comes after the one before it, and all of them count no more than there was.
#[track_caller]
fn check_evidence(run: &Value, models: &Models) {
    let looks: Vec<&Value> = run["measurements"]
        .as_array()
        .expect("measurements")
        .iter()
        .map(|look| &look["counts"]["interval"])
        .collect();
    let ms = |look: &Value, field: &str| look[field].as_u64().expect("a moment");
    let in_order = |looks: &[&Value], field: &str| {
        for pair in looks.windows(2) {
            assert!(ms(pair[1], field) > ms(pair[0], field), "{field}: {} and {}", pair[0], pair[1]);
        }
    };
    in_order(&looks, "to_ms");
    // A look that nobody answered covers nothing: the next one begins where it did.
    let told: Vec<&Value> = looks.iter().copied().filter(|look| look["gap"].is_null()).collect();
    in_order(&told, "from_ms");
    // By the weights of the moment, and by those before.
    let strata =
        || looks.iter().flat_map(|look| look["others"].as_array().into_iter().flatten().chain([*look]));
    let assigned = |arm: &str| strata().filter_map(|look| look[arm]["assigned"].as_u64()).sum::<u64>();
    let met = models.canary.log().len() as u64;
    assert!(assigned("canary") > 0 && assigned("canary") <= met, "{} of {met}", assigned("canary"));
    let (stable, met) = (assigned("stable") + assigned("baseline"), models.stable.log().len() as u64);
    assert!(stable > 0 && stable <= met, "{stable} of {met}");
    let exposed = run["view"]["exposed"]["requests"].as_u64().expect("a count");
    assert!(exposed > 0 && exposed <= assigned("canary"), "{exposed} of {}", assigned("canary"));
}

#[track_caller]
fn check_requests(records: &[Record], models: &Models) {
    let (stable, canary) = (models.stable.log().arrivals(), models.canary.log().arrivals());
    let totals = Ledger::new(records, &stable, &canary).totals();
    assert_eq!((totals.failed_by_us, totals.mis_tagged), (0, 0), "{totals:?}");
}

/// From the probe to the end of the hand-back.
#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_is_killed_again_and_again_promotes_once() {
    let _machine = alone().await;
    let models = Models::plain().await;
    let (tool, deploy) = DeployTool::start(&models).await;
    let mut serin = Serin::start(&models, EnvoyOptions::default()).await;
    let load = Load::start(LoadPlan { rate: 200.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    serin
        .apply(&format!(
            "apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {{name: ranker}}
spec:
  stable: {{version: v1}}
  canary: {{version: v2}}
{PATIENT}
  stages:
    - {{weight: 10%, bake: 2s, deadline: 10m}}
    - {{weight: 50%, bake: 2s, deadline: 10m}}
    - {{weight: 100%, bake: 2s, deadline: 10m}}
  gates: [{{name: errors, metric: error_rate, max: 50%, minSamples: 20}}]
  handBack:
    hook: {{url: '{deploy}'}}
    endpoints: ['http://{}/version']
    steps: [50%, 0%]
    step: 1s
",
            models.stable.addr()
        ))
        .await;
    let kills = kill_until(&mut serin, &load, &mut Chance(Draws::seeded(11)), "Succeeded").await;
    println!("promoted over {} kills: {kills:?}", kills.len());
    for phase in ["Progressing 1", "Progressing 2", "Promoting", "HandBack", "Succeeded", "coming back"] {
        assert!(kills.iter().any(|kill| kill.starts_with(phase)), "never killed at {phase}: {kills:?}");
    }
    let view = serin.until("ranker", "the end", |view| view["phase"] == "Succeeded").await;
    assert_eq!((&view["weight_ppm"], &view["run"]), (&json!(0), &json!(1)), "{view}");
    check_requests(&load.stop().await, &models);

    let run = exported(&serin, 1).await;
    let expected = [
        (0, "probe"),
        (100_000, "start"),
        (500_000, "verdict"),
        (1_000_000, "verdict"),
        (500_000, "hand_back"),
        (0, "hand_back"),
    ];
    assert_eq!(published(&run), expected.map(|(weight, cause)| (weight, cause.to_owned())));
    check_journal(&run);
    check_evidence(&run, &models);
    let keys = tool.keys();
    assert!(keys.len() >= 2 && !keys[0].is_empty(), "asked again after the kill: {keys:?}");
    assert!(keys.iter().all(|key| *key == keys[0]), "one hand-back, one key: {keys:?}");
}

/// Whatever is decided stays decided: the canary gets nothing more.
#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_is_killed_again_and_again_rolls_back_for_good() {
    let _machine = alone().await;
    let bad = Behaviour { error_share: 0.3, ..Behaviour::plain("v2") };
    let models = Models::behaving(Behaviour::plain("v1"), bad).await;
    let mut serin = Serin::start(&models, EnvoyOptions::default()).await;
    let load = Load::start(LoadPlan { rate: 200.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    let spec = format!(
        "apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {{name: ranker}}
spec:
  stable: {{version: v1}}
  canary: {{version: v2}}
{PATIENT}
  stages: [{{weight: 20%, bake: 10m, deadline: 1h}}, {{weight: 100%, bake: 10m, deadline: 1h}}]
"
    );
    let mut chance = Chance(Draws::seeded(5));
    // First by evidence alone; then by a person's word, and the controller dies as soon as it has answered.
    for run in [1, 2] {
        serin.apply(&spec).await;
        if run == 2 {
            serin.until("ranker", "the stage", |view| view["phase"] == "Progressing").await;
            let (code, text) = serin.command(&["abort", "ranker", "--reason", "seen enough"]).await;
            assert_eq!(code, 0, "{text}");
            serin.kill();
            serin.run().await;
        } else {
            let kills = kill_until(&mut serin, &load, &mut chance, "RolledBack").await;
            println!("rolled back over {} kills: {kills:?}", kills.len());
        }
        // It came back after the decision, and so does the traffic: until the proxies have it again, and never after.
        let view = serin
            .until("ranker", "the proxies' word", |view| view["phase"] == "RolledBack" && acknowledged(view))
            .await;
        let met = until("open requests to end", async || {
            let met = models.canary.log().len();
            pass(&load, 20).await;
            if models.canary.log().len() == met { Ok(met) } else { Err(met) }
        })
        .await;
        for _ in 0..4 {
            serin.kill();
            pass(&load, chance.below(100)).await;
            serin.spawn();
            pass(&load, chance.below(200)).await;
        }
        serin.kill();
        serin.run().await;
        serin
            .until("ranker", "the same end", |view| view["phase"] == "RolledBack" && acknowledged(view))
            .await;
        pass(&load, 100).await;
        assert_eq!(models.canary.log().len(), met, "nothing reaches the canary any more");
        let after = serin.view("ranker").await;
        for field in ["run", "epoch", "weight_ppm", "rollback", "history", "exposed"] {
            assert_eq!(after[field], view[field], "{field}");
        }
        let exported = exported(&serin, run).await;
        let expected = [(0, "probe"), (200_000, "start"), (0, "rollback")];
        assert_eq!(published(&exported), expected.map(|(weight, cause)| (weight, cause.to_owned())));
        check_journal(&exported);
    }
    check_requests(&load.stop().await, &models);
}

/// Has the proxy the run's last publication?
fn acknowledged(view: &Value) -> bool {
    let generation = view["generation"].as_u64();
    let acks = view["acks"].as_array();
    acks.is_some_and(|acks| acks.iter().any(|ack| ack["generation"].as_u64() >= generation))
}
