//! `serin doctor` on a real API server with istiod: it finds what was planted, and what it cannot see it says.

use serde_json::{Value, json};

use tests::{EnvoyProcess, alone, tools};

use crate::stage::{Stage, cluster, module};

const LABELS: &[(&str, &str)] = &[("app", "storefront"), ("serin.dev/decide", "true")];
const NAMESPACE: &str = "doctored";

/// What it says, as JSON, and its exit code.
async fn doctor(sidecar: &EnvoyProcess, more: &[&str]) -> (i32, Value) {
    let page = format!("http://{}/stats/prometheus", sidecar.admin);
    let arguments = [
        "doctor",
        "--kubeconfig",
        &cluster().await.kubeconfig(),
        "--namespace",
        NAMESPACE,
        "--plugin",
        "doctored/serin",
        "--proxy-metrics",
        &page,
        "--output",
        "json",
    ]
    .map(str::to_owned);
    let mut command = tokio::process::Command::new(tools::serin());
    command.args(arguments).args(more).env_remove("SERIN_SERVER").env_remove("SERIN_PROMETHEUS_URL");
    let output = command.output().await.expect("serin runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let report = serde_json::from_str(&said)
        .unwrap_or_else(|_| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().expect("a code"), report)
}

fn found(report: &Value) -> Vec<(String, String)> {
    let text = |finding: &Value, field: &str| finding[field].as_str().expect("text").to_owned();
    let all = report["findings"].as_array().expect("findings");
    all.iter().map(|finding| (text(finding, "check"), text(finding, "what"))).collect()
}

/// A caller's pod and the two of the service, as objects; no kubelet runs them.
fn pods() -> Vec<Value> {
    let tags: Vec<&str> = tally::TAGS.to_vec();
    let pod = |name: &str, labels: Value| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels,
                         "annotations": {"proxy.istio.io/config": format!("extraStatTags: [{}]", tags.join(", "))}},
            "spec": {"containers": [{"name": "app", "image": "app"}, {"name": "istio-proxy", "image": "proxyv2"}]},
        })
    };
    vec![
        pod("storefront-1", json!({"app": "storefront", "serin.dev/decide": "true"})),
        pod("ranker-1", json!({"app": "ranker", "serin.dev/arm": "stable"})),
    ]
}

fn deployment() -> Value {
    let args = ["--ecds=0.0.0.0:7071", "--istio-plugin=doctored/serin", "--prometheus=http://prometheus"];
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "serin", "namespace": NAMESPACE},
        "spec": {"selector": {"matchLabels": {"app": "serin"}}, "template": {
            "metadata": {"labels": {"app": "serin"}},
            "spec": {"serviceAccountName": "serin", "automountServiceAccountToken": true, "containers": [{"name": "serin", "image": "r/serin:0.1.0", "args": args}]},
        }},
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a control plane: SERIN_MESH=1 cargo xtask test"]
async fn the_doctor_finds_what_was_planted() {
    let _machine = alone().await;
    let (cluster, stage) = (cluster().await, Stage::set(NAMESPACE, LABELS).await);
    for object in pods().into_iter().chain([deployment()]) {
        cluster.apply(&object.to_string()).await;
    }
    cluster
        .apply(&stage.text("plugin-rbac.yaml").replace("namespace: serin-system", "namespace: doctored"))
        .await;
    cluster.apply(&stage.text("envoyfilter-early-removal.yaml")).await;
    // Without a lease: here is no Service of the controller's.
    let plugin = |change: fn(&mut Value)| {
        stage.plugin("trafficextension.yaml", &module(), "", |policy| {
            policy.as_object_mut().expect("a policy").remove("lease");
            change(policy);
        })
    };
    cluster.apply(&plugin(|_| {})).await;
    let sidecar = stage.sidecar(&[]).await;
    stage.answered_by("v1", Some("v1")).await;

    // The module is a file, nobody makes the Deployment's pods, and the proxy was started without tags: those it finds in any case.
    let always = ["url is file", "none of its pods is ready", "its counters have no labels"];
    let expected = |report: &Value, planted: &[&str]| {
        let mut found = found(report);
        // The filter's own count of refusals goes with its VM, since a file's VM is made anew at each write: it is there or not.
        found.retain(|(_, what)| !what.starts_with("it refused"));
        for part in always.iter().chain(planted) {
            assert!(found.iter().any(|(_, what)| what.contains(part)), "{part} is not in {found:#?}");
        }
        assert_eq!(found.len(), always.len() + planted.len(), "{found:#?}");
    };
    let without = ["--without", "controller,prometheus,versions"];
    let (code, report) = doctor(&sidecar, &without).await;
    expected(&report, &[]);
    assert_eq!((code, report["unseen"].as_array().map(Vec::len)), (1, Some(0)), "{report:#}");
    let (_, report) = doctor(&sidecar, &[]).await;
    let unseen = report["unseen"].to_string();
    for check in ["controller's figures", "prometheus", "versions"] {
        assert!(unseen.contains(check), "{unseen}");
    }

    // Three faults: weights left in a route, no early removal, a policy that the filter refuses.
    let edit =
        |route: &str| format!("[{{\"op\":\"replace\",\"path\":\"/spec/http/2/route\",\"value\":{route}}}]");
    let host = stage.service.host();
    let shared = json!([
        {"destination": {"host": host, "subset": "stable"}, "weight": 95},
        {"destination": {"host": host, "subset": "canary"}, "weight": 5},
    ]);
    let patch = ["-n", NAMESPACE, "patch", "virtualservice", "ranker", "--type=json", "-p"];
    cluster.kubectl(&[&patch[..], &[&edit(&shared.to_string())]].concat(), "").await.expect("patched");
    cluster
        .kubectl(&["-n", NAMESPACE, "delete", "envoyfilter", "serin-early-removal"], "")
        .await
        .expect("deleted");
    let refused = |policy: &mut Value| {
        policy["generation"] = 2.into();
        policy["rollouts"][0]["arms"]["canary"]["weight_ppm"] = 1_000_001.into();
    };
    cluster.apply(&plugin(refused)).await;
    stage.answered_by("v1", Some("v1")).await;
    let (code, report) = doctor(&sidecar, &without).await;
    expected(
        &report,
        &[
            "still shares traffic by weights ([95, 5])",
            "takes a client's own x-serin-arm",
            "refuses its policy",
        ],
    );
    assert_eq!(code, 1);
    let routes = report["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .find(|one| one["check"] == "routes")
        .expect("it");
    assert!(
        routes["mend"].as_str().expect("text").starts_with("kubectl -n doctored edit virtualservice ranker"),
        "{routes}"
    );
}
