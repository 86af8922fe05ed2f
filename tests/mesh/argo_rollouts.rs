//! Argo Rollouts' real controller measures by its web provider, with the AnalysisTemplate that docs/other-tools.md shows.

use demo::load::{Load, LoadPlan};
use serde_json::{Value, json};

use tests::{EnvoyOptions, Models, Serin, a_core, until};

use crate::peers::{rollout, shown};
use crate::stage::cluster;

const NAMESPACE: &str = "argo";

/// An analysis as a Rollout of Argo's would run it.
fn analysis(serin: &Serin, name: &str, version: &str) -> String {
    let mut spec = shown("AnalysisTemplate")["spec"].take();
    let metric = &mut spec["metrics"][0];
    assert_eq!(metric["interval"], "10s");
    metric["interval"] = "1s".into();
    let url = metric["provider"]["web"]["url"].as_str().expect("a URL");
    metric["provider"]["web"]["url"] = url.replace("http://serin.serin-system:7070", &serin.url("")).into();
    spec["args"] = json!([{"name": "version", "value": version}]);
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun",
        "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec,
    })
    .to_string()
}

async fn status(name: &str) -> Value {
    let asked = ["-n", NAMESPACE, "get", "analysisrun", name, "-o", "jsonpath={.status}"];
    let said = cluster().await.kubectl(&asked, "").await.unwrap_or_default();
    serde_json::from_str(&said).unwrap_or_default()
}

async fn phase(name: &str, wanted: impl Fn(&Value) -> bool) {
    until(&format!("the analysis {name}"), async || {
        let found = status(name).await;
        if wanted(&found) { Ok(()) } else { Err(found) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants Argo Rollouts: SERIN_MESH=argo-rollouts cargo xtask test"]
async fn argo_measures_until_serin_knows() {
    let _core = a_core().await;
    let cluster = cluster().await;
    cluster.up(&["--with", "argo-rollouts"]).await;
    let models = Models::plain().await;
    let serin = Serin::start(&models, EnvoyOptions::default()).await;
    cluster
        .apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}).to_string())
        .await;

    // Not yet is neither a failure nor an error, however often it is said.
    serin.apply(&rollout("v2")).await;
    cluster.apply(&analysis(&serin, "proven", "v2")).await;
    let inconclusive = |status: &Value| status["metricResults"][0]["inconclusive"].as_u64().unwrap_or(0);
    phase("proven", |status| status["phase"] == "Running" && inconclusive(status) >= 6).await;
    let load = Load::start(LoadPlan { rate: 100.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    phase("proven", |status| status["phase"] == "Successful").await;

    // Another version's run lends nobody its verdict.
    cluster.apply(&analysis(&serin, "another", "v3")).await;
    phase("another", |status| status["phase"] == "Running" && inconclusive(status) >= 2).await;

    cluster.apply(&analysis(&serin, "bad", "v4")).await;
    let abort = async || {
        let (code, text) = serin.command(&["abort", "ranker", "--reason", "told so"]).await;
        assert_eq!(code, 0, "{text}");
    };
    abort().await;
    serin.apply(&rollout("v4")).await;
    abort().await;
    phase("bad", |status| status["phase"] == "Failed").await;
    let found = status("another").await;
    assert_eq!(
        (&found["phase"], &found["metricResults"][0]["error"]),
        (&"Running".into(), &Value::Null),
        "{found}"
    );
    load.stop().await;
}
