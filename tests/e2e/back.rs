//! The way back after a promotion: the old version is kept warm, and gone back to at once.

use std::sync::{Arc, Mutex};

use api::KeepWarmView;
use api::PhaseName::Succeeded;
use axum::Json;
use axum::extract::{Path, State};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use demo::load::{Load, LoadPlan};
use demo::model::Behaviour;
use tests::{EnvoyOptions, Models, Seen, Serin, alone, until};

/// A deploy tool: puts versions behind routes as it is asked to, and takes down what it is told can go.
struct Deployer {
    url: String,
    /// The bodies as they came: what a hook is told is the form itself, for tools that know no type of ours.
    heard: Arc<Mutex<Vec<(String, Value)>>>,
    serving: JoinHandle<()>,
}

type Shared = (Arc<Models>, Arc<Mutex<Vec<(String, Value)>>>);

impl Deployer {
    async fn of(models: Arc<Models>) -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let router = axum::Router::new()
            .route("/{what}", axum::routing::post(deploy))
            .with_state((models, heard.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("served") });
        Self { url, heard, serving }
    }

    /// What it was asked at an address, in order.
    fn heard(&self, what: &str) -> Vec<Value> {
        let heard = self.heard.lock().expect("not poisoned");
        heard.iter().filter(|(asked, _)| asked == what).map(|(_, body)| body.clone()).collect()
    }
}

impl Drop for Deployer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn deploy(State((models, heard)): State<Shared>, Path(what): Path<String>, Json(body): Json<Value>) {
    let version = |value: &Value| Behaviour::plain(value.as_str().expect("a version"));
    match what.as_str() {
        "stable" => models.stable.set(version(&body["to"])).expect("deployed"),
        "keep" => models.canary.set(version(&body["versions"][0])).expect("deployed"),
        _ => {}
    }
    heard.lock().expect("not poisoned").push((what, body));
}

fn spec(deployer: &Deployer, models: &Models, kept: &str) -> String {
    let (url, stable, canary) = (&deployer.url, models.stable.addr(), models.canary.addr());
    format!(
        "apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {{name: ranker}}
spec:
  stable: {{version: v1}}
  canary: {{version: v2}}
  stages: [{{weight: 100%, bake: 1s}}]
  gates: [{{name: errors, metric: error_rate, max: 50%, minSamples: 20}}]
  handBack: {{hook: {{url: '{url}/stable'}}, endpoints: ['http://{stable}/version'], step: 1s}}
  keepWarm: {{for: {kept}, hook: {{url: '{url}/keep'}}, endpoints: ['http://{canary}/version']}}
  after: {{succeeded: {{url: '{url}/gone'}}, rolledBack: {{url: '{url}/gone'}}}}
"
    )
}

/// What is kept warm.
fn kept(view: &Seen) -> KeepWarmView {
    view.run.kept.clone().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_version_from_before_is_kept_and_gone_back_to_at_once() {
    let _machine = alone().await;
    let models = Arc::new(Models::plain().await);
    let deployer = Deployer::of(models.clone()).await;
    let mut serin = Serin::start(&models, EnvoyOptions::default()).await;
    let load = Load::start(LoadPlan { rate: 200.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    let text = spec(&deployer, &models, "1h");
    serin.apply(&text).await;
    serin.until("ranker", "the promotion", |view| view.is(Succeeded)).await;
    let view =
        serin.until("ranker", "v1 behind the canary route", |view| kept(view).there == Some(true)).await;
    assert_eq!(deployer.heard("stable")[0]["keep_seconds"], 3600, "it is told before it takes anything down");
    assert_eq!(kept(&view).versions, ["v1"]);
    let (_, shown) = serin.command(&["get", "ranker"]).await;
    println!("{shown}");
    assert!(shown.contains("kept warm: v1") && shown.contains("serin rollback ranker"), "{shown}");

    // A version nobody has seen there, and a person who does not say why.
    let (code, said) = serin.command(&["rollback", "ranker", "--to", "v0", "--reason", "x"]).await;
    assert!(code == 1 && said.contains("was never behind its stable route; those that were: v1"), "{said}");
    let (code, said) = serin.command(&["rollback", "ranker"]).await;
    assert!(code == 1 && said.contains("--reason"), "{said}");

    let asked_ns = demo::clock::monotonic_ns();
    let (code, said) = serin.command(&["rollback", "ranker", "--reason", "clicks fell"]).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("everybody goes back to v1"), "{said}");
    // A controller that ends in the middle of it goes on with it, and gives nobody the new version again.
    serin.kill();
    serin.run().await;
    let view = serin.until("ranker", "the way back", |view| view.run.run == 2 && view.is(Succeeded)).await;
    assert_eq!(view.run.stable, "v1");
    assert!(view.run.returning.as_ref().is_some_and(|returning| returning.from == "v2"), "{view}");
    let decided_ns = view.run.history.first().expect("a decision").monotonic_ns;
    let sent = load.sent();
    until(
        "two hundred requests more",
        async || if load.sent() >= sent + 200 { Ok(()) } else { Err(load.sent()) },
    )
    .await;
    let records = load.stop().await;
    assert!(records.iter().all(|record| !record.failed()), "going back fails no request");
    let bad = records.iter().filter(|record| record.model_version.as_deref() == Some("v2"));
    let last_ns = bad.map(|record| record.sent_ns).max().expect("v2 was promoted");
    println!(
        "rollback after a promotion: command to decision {:.1} ms, decision to last request of v2 {:.1} ms",
        decided_ns.saturating_sub(asked_ns) as f64 / 1e6,
        last_ns.saturating_sub(decided_ns) as f64 / 1e6
    );
    // Not a timing: long before the hand-back is over everybody has the old version.
    assert!(last_ns < decided_ns + 30_000_000_000, "{last_ns} {decided_ns}");
    assert_eq!(deployer.heard("gone"), Vec::<Value>::new(), "v1 was gone back to, so nobody may delete it");
    assert_eq!(deployer.heard("stable").last().expect("asked")["to"], "v1");

    // The file that is still there does not bring it back.
    let file = serin.file("rollout.yaml", &text);
    let (code, said) = serin.command(&["apply", "-f", &file]).await;
    assert!(
        code == 1 && said.contains("went back from v2 in run 2 (clicks fell)") && said.contains("--again"),
        "{said}"
    );
    let (_, history) = serin.command(&["history", "ranker", "--run", "2"]).await;
    assert!(history.contains("rollback by") && history.contains("clicks fell"), "{history}");
    assert!(history.contains("all endpoints of the canary route report v1"), "{history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hook_after_the_end_is_called_once_whoever_ends_in_between() {
    let _machine = alone().await;
    let models = Arc::new(Models::plain().await);
    let deployer = Deployer::of(models.clone()).await;
    let mut serin = Serin::start(&models, EnvoyOptions::default()).await;
    let load = Load::start(LoadPlan { rate: 100.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    serin.apply(&spec(&deployer, &models, "4s")).await;
    serin.until("ranker", "what is kept", |view| kept(view).versions == ["v1"]).await;
    serin.kill();
    assert!(deployer.heard("gone").is_empty(), "it is kept");
    serin.run().await;
    until("the hook", async || match deployer.heard("gone").as_slice() {
        [] => Err("not called"),
        _ => Ok(()),
    })
    .await;
    let view =
        serin.until("ranker", "the end", |view| view.run.kept.is_none() && view.run.calls.is_empty()).await;
    assert!(view.is(Succeeded), "{view}");
    serin.kill();
    serin.run().await;
    let sent = load.sent();
    until(
        "a hundred requests more",
        async || if load.sent() >= sent + 100 { Ok(()) } else { Err(load.sent()) },
    )
    .await;
    load.stop().await;
    let gone = deployer.heard("gone");
    let [told] = gone.as_slice() else { panic!("{gone:?}") };
    assert_eq!(
        (&told["what"], &told["versions"][0], &told["stable"]),
        (&"succeeded".into(), &"v1".into(), &"v2".into())
    );
    assert!(told["key"].as_str().is_some_and(|key| key.ends_with("-ranker-1-succeeded")), "{told}");
    // Nobody is asked whether v1 is there any more but its endpoint, which says what it is.
    let (code, said) = serin.command(&["rollback", "ranker", "--to", "v1", "--reason", "late"]).await;
    assert_eq!(code, 0, "a version that answers can be gone back to whenever: {said}");
}
