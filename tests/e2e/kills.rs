//! The controller is killed (SIGKILL), again and again, wherever it happens to be: in the middle of a stage change, of a
//! hook, of the hand-back, of a rollback, of coming back. Nothing is lost, and nothing that can be seen happens twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use api::PhaseName::{Progressing, RolledBack, Succeeded};
use api::{ExportedRun, Journal, JournalKind};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use demo::load::{Ledger, Load, LoadPlan, Record};
use demo::model::Behaviour;
use serde::Deserialize;
use serde_json::json;
use split::Draws;

use tests::{EnvoyOptions, Look, Models, Seen, Serin, alone, until};

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
fn sight(view: &Seen) -> Option<String> {
    let phase = view.run.phase.known()?;
    Some(format!("{phase} {} at {}", view.run.stage, view.run.weight_ppm))
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
async fn exported(serin: &Serin, run: u64) -> ExportedRun {
    serin.exported("ranker", &["--run", &run.to_string()]).await
}

/// The `detail` of a line that tells of a publication: no type of `api` stands for it, so this is the document's form.
#[derive(Deserialize)]
struct Published {
    generation: u64,
    epoch: u64,
    weight_ppm: u64,
    cause: Cause,
}

/// A word, or a word with more of it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Cause {
    OpenEnum(String),
    More(BTreeMap<String, serde_json::Value>),
}

impl Cause {
    fn word(self) -> String {
        match self {
            Self::OpenEnum(word) => word,
            Self::More(more) => more.into_keys().next().unwrap_or_default(),
        }
    }
}

fn journal(run: &ExportedRun) -> &Journal {
    run.history.as_ref().expect("a journal")
}

/// The weights that were decided, in parts per million, each with what allowed it.
fn published(run: &ExportedRun) -> Vec<(u64, String)> {
    let lines = &journal(run).journal;
    let told =
        lines.iter().filter(|line| line.kind == JournalKind::Publish).filter_map(|line| line.detail.clone());
    let told: Vec<Published> =
        told.map(|told| serde_json::from_value(told).expect("a publication")).collect();
    let rises = |number: fn(&Published) -> u64| told.iter().map(number).is_sorted_by(|a, b| a < b);
    assert!(rises(|told| told.generation) && rises(|told| told.epoch), "{lines:#?}");
    told.into_iter().map(|told| (told.weight_ppm, told.cause.word())).collect()
}

/// The journal is whole, and tells of everything once.
#[track_caller]
fn check_journal(run: &ExportedRun) {
    let Journal { journal: lines, journal_broken_at } = journal(run);
    assert_eq!(*journal_broken_at, None, "the chain holds");
    let mut once = BTreeSet::new();
    for line in lines.iter().filter(|line| line.kind == JournalKind::Record || line.kind == JournalKind::Act)
    {
        assert!(once.insert((&line.kind, &line.what)), "twice: {line:?}\n{lines:#?}");
    }
    // What is written down is what the state remembers.
    let history = &run.view.as_ref().expect("a view").history;
    let written = lines.iter().filter(|line| line.kind == JournalKind::Record).map(|line| &line.what);
    assert!(written.eq(history.iter().map(|line| &line.what)), "{lines:#?}\n{history:#?}");
}

/// No request is evidence twice: each look comes after the one before it, and all of them count no more than there was.
#[track_caller]
fn check_evidence(run: &ExportedRun, models: &Models) {
    let looks = Look::all(run);
    assert!(looks.iter().map(|look| look.to_ms).is_sorted_by(|a, b| a < b), "{looks:?}");
    // A look that nobody answered covers nothing: the next one begins where it did.
    let told = looks.iter().filter(|look| look.gap.is_none());
    assert!(told.map(|look| look.from_ms).is_sorted_by(|a, b| a < b), "{looks:?}");
    let strata = || looks.iter().flat_map(Look::strata);
    let canary: u64 = strata().map(|look| look.canary.assigned).sum();
    let met = models.canary.log().len() as u64;
    assert!(canary > 0 && canary <= met, "{canary} of {met}");
    let stable: u64 = strata().map(|look| look.stable_and_baseline().assigned).sum();
    let met = models.stable.log().len() as u64;
    assert!(stable > 0 && stable <= met, "{stable} of {met}");
    let exposed = run.view.as_ref().expect("a view").exposed.requests;
    assert!(exposed > 0 && exposed <= canary, "{exposed} of {canary}");
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
    let view = serin.until("ranker", "the end", |view| view.is(Succeeded)).await;
    assert_eq!((view.run.weight_ppm, view.run.run), (0, 1), "{view}");
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
            serin.until("ranker", "the stage", |view| view.is(Progressing)).await;
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
            .until("ranker", "the proxies' word", |view| view.is(RolledBack) && view.acknowledged() > 0)
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
        serin.until("ranker", "the same end", |view| view.is(RolledBack) && view.acknowledged() > 0).await;
        pass(&load, 100).await;
        assert_eq!(models.canary.log().len(), met, "nothing reaches the canary any more");
        let after = serin.view("ranker").await;
        let lasting = |view: &Seen| {
            let run = view.run.clone();
            (run.run, run.epoch, run.weight_ppm, run.rollback, run.history, run.exposed)
        };
        assert_eq!(lasting(&after), lasting(&view));
        let exported = exported(&serin, run).await;
        let expected = [(0, "probe"), (200_000, "start"), (0, "rollback")];
        assert_eq!(published(&exported), expected.map(|(weight, cause)| (weight, cause.to_owned())));
        check_journal(&exported);
    }
    check_requests(&load.stop().await, &models);
}
