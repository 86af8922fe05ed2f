//! A canary gets traffic only when it is there; whoever scales it is told beforehand.

use api::Demand;
use api::PhaseName::{Pending, Progressing, RolledBack};
use demo::load::{Load, LoadPlan};
use demo::model::{Behaviour, ModelServer};
use serde_json::{Value, json};

use tests::{EnvoyOptions, Models, PrometheusProcess, Serin, a_core, until};

/// Envoy's own configuration. Envoy looks after the canary's endpoints itself, often.
fn checked(config: &mut Value) {
    let clusters = config["static_resources"]["clusters"].as_array_mut().expect("clusters");
    let canary = clusters.iter_mut().find(|cluster| cluster["name"] == "canary").expect("a canary");
    canary["health_checks"] = json!([{
        "timeout": "1s", "interval": "0.2s", "unhealthy_threshold": 1, "healthy_threshold": 1,
        "no_traffic_interval": "0.2s", "no_traffic_healthy_interval": "0.2s",
        "http_health_check": {"path": "/"},
    }]);
}

async fn demand(serin: &Serin) -> Demand {
    serin.read("/v1/rollouts/ranker/demand").await
}

/// The scaler of the documentation, asked as KEDA asks it: a real Prometheus has one number for its query. Both documents
/// are others' than ours: KEDA's object and Prometheus' answer.
async fn as_documented(serin: &Serin) {
    let text = include_str!("../../docs/delivery.md");
    let block = text.split("```yaml\n").find(|block| block.contains("kind: ScaledObject")).expect("a scaler");
    let object: Value = serde_saphyr::from_str(block.split("```").next().expect("its text")).expect("YAML");
    assert_eq!(object["apiVersion"], "keda.sh/v1alpha1");
    let prometheus =
        PrometheusProcess::reading(serin.url("").trim_start_matches("http://"), "/metrics").await;
    for trigger in object["spec"]["triggers"].as_array().expect("triggers") {
        assert_eq!(trigger["type"], "prometheus");
        let query = trigger["metadata"]["query"].as_str().expect("a query");
        let client = reqwest::Client::new();
        let said = until("one number", async || {
            let url = format!("{}/api/v1/query", prometheus.url());
            let answer = client.get(url).query(&[("query", query)]).send().await.expect("an answer");
            let answer: Value = answer.json().await.expect("JSON");
            let result = answer["data"]["result"].as_array().map_or(0, Vec::len);
            if result == 1 { Ok(answer) } else { Err(answer.to_string()) }
        })
        .await;
        println!("{query}: {}", said["data"]["result"][0]["value"][1]);
    }
}

/// The canary's endpoint is away, comes, is warmed, takes traffic, and goes again: real Envoy's health checks say so.
#[tokio::test(flavor = "multi_thread")]
async fn a_canary_gets_traffic_when_its_endpoint_is_there_and_loses_it_when_it_goes() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let away = models.canary.addr();
    let serin =
        Serin::start(&models, EnvoyOptions { edit: Box::new(checked), ..EnvoyOptions::default() }).await;
    let Models { stable, canary } = models;
    drop(canary);
    let load = Load::start(LoadPlan { rate: 100.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    let spec = format!(
        "
apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {{name: ranker}}
spec:
  stable: {{version: v1}}
  canary: {{version: v2}}
  ready: {{}}
  gates: [{{name: gone, metric: gone_rate, max: 90%}}]
  guardrails: [{{name: gone-limit, metric: gone_rate, max: 95%}}]
  warmUpHook: {{requests: {{url: 'http://{away}/warm', count: 7}}}}
  stages:
    - {{weight: 20%, bake: 10m, deadline: 1h}}
    - {{weight: 100%, bake: 10m}}
"
    );
    serin.apply(&spec).await;
    let view = serin
        .until("ranker", "the missing endpoint", |view| {
            view.run.message.contains("0 of the 1 ready endpoints")
        })
        .await;
    assert!(view.is(Pending) && view.run.weight_ppm == 0, "{view}");
    let (code, text) = serin.command(&["promote", "ranker", "--reason", "now"]).await;
    assert_eq!(code, 1, "{text}");
    let told = demand(&serin).await;
    let next = told.next.expect("a next step");
    assert_eq!((next.weight_ppm, next.needs_endpoints), (200_000, Some(1)));

    let canary = ModelServer::start(away, Behaviour::plain("v2")).await.expect("the canary server");
    serin.until("ranker", "the first stage", |view| view.is(Progressing)).await;
    let told = until("a measured share", async || {
        let told = demand(&serin).await;
        let felt = told.canary.per_second > Some(5.0) && told.stable.per_second > Some(20.0);
        if felt { Ok(told) } else { Err(told) }
    })
    .await;
    assert_eq!((told.canary.version.as_str(), told.canary.ready_endpoints), ("v2", Some(1)));
    // All of it comes next: what must be there before.
    let (now, then) = told.per_second.zip(told.canary.next_per_second).expect("rates");
    assert!((now - then).abs() < 1e-6, "{told:?}");
    assert!(told.next.is_some_and(|next| next.in_ms > Some(0)), "{told:?}");
    let metrics = serin.metrics().await;
    for line in [
        "serin_demand_peak_requests_per_second{rollout=\"ranker\",role=\"canary\",version=\"v2\"} ",
        "serin_demand_next_step_seconds{rollout=\"ranker\"} ",
        "serin_ready_endpoints{rollout=\"ranker\",role=\"canary\",version=\"v2\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is missing in:\n{metrics}");
    }
    as_documented(&serin).await;
    let history = serin.view("ranker").await.run.history.clone();
    let noted = |what: &str| history.iter().any(|line| line.what.contains(what));
    assert!(noted("by 7 requests") && noted("v2 is warm"), "{history:?}");

    // No gate looks at errors here: what takes it back is the count of endpoints alone.
    drop(canary);
    let view = serin.until("ranker", "the rollback", |view| view.is(RolledBack)).await;
    let reason = view.reason();
    println!("endpoint gone: {reason}");
    assert!(reason.contains("no ready endpoint left"), "{view}");
    load.stop().await;
    drop(stable);
}
