//! The manifests of `istio/` before a real API server, which is asked and changed in nothing.

use std::collections::BTreeMap;

use serde_json::Value;

use tests::{alone, kubectl};

use crate::stage::{cluster, text};

/// Patches are for a Deployment of the reader's.
const PATCHES: [&str; 2] = ["stats-tags.yaml", "fast-lane-workload.yaml"];

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: storefront, namespace: default}
spec:
  selector: {matchLabels: {app: storefront}}
  template:
    metadata: {labels: {app: storefront}}
    spec: {containers: [{name: storefront, image: storefront}]}
";

/// The server that `KUBECONFIG` names, else our own.
async fn ask(arguments: &[&str], input: &str) -> Result<String, String> {
    match std::env::var("KUBECONFIG").ok().filter(|path| !path.is_empty()) {
        Some(path) => kubectl("kubectl", &path, arguments, input).await,
        None => cluster().await.kubectl(arguments, input).await,
    }
}

/// What the server says of manifests. They are put into the namespace that every server has, so that none is made.
async fn judged(manifests: &str) -> Result<String, String> {
    let manifests = ["models", "serin-system"].iter().fold(manifests.to_owned(), |text, namespace| {
        text.replace(&format!("namespace: {namespace}"), "namespace: default")
    });
    ask(&["apply", "--server-side", "--dry-run=server", "--filename", "-"], &manifests).await
}

#[track_caller]
fn check(file: &str, said: Result<String, String>, expected: Result<(), &str>) {
    match (said, expected) {
        (Ok(_), Ok(())) => {}
        (Err(said), Err(part)) => assert!(said.contains(part), "{file}: {part} is not in {said}"),
        (said, _) => panic!("{file}: expected {expected:?}, and the server said {said:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a control plane: SERIN_MESH=1 cargo xtask test"]
async fn every_manifest_is_taken() {
    let _machine = alone().await;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../istio");
    let entries = std::fs::read_dir(folder).expect("the folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
    let files: BTreeMap<String, String> =
        names.filter(|name| name.ends_with(".yaml")).map(|name| (name.clone(), text(&name))).collect();
    assert!(files.len() >= 10, "{files:?}");
    for (file, text) in files {
        let whole = match PATCHES.contains(&file.as_str()) {
            false => text,
            true => {
                let patch: Value = serde_saphyr::from_str(&text).expect("YAML");
                let patch = format!("--patch={patch}");
                let arguments = ["patch", "--local", "--filename", "-", "--output", "yaml", &patch];
                ask(&arguments, DEPLOYMENT).await.expect("a patch")
            }
        };
        check(&file, judged(&whole).await, Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a control plane: SERIN_MESH=1 cargo xtask test"]
async fn what_is_written_wrongly_is_refused() {
    let _machine = alone().await;
    let rows = [
        ("trafficextension.yaml", "pluginConfig:", "pluginConfg:", "pluginConfg"),
        ("wasmplugin.yaml", "url: oci://", "url: ftp://", "url"),
        ("wasmplugin.yaml", "phase: STATS", "phase: STATISTICS", "phase"),
        ("virtualservice.yaml", "exact: canary", "exactly: canary", "exactly"),
        ("envoyfilter-early-removal.yaml", "operation: MERGE", "operation: MERGED", "operation"),
        ("controller.yaml", "port: 7071", "port: 70710", "port"),
    ];
    for (file, good, bad, part) in rows {
        let text = text(file);
        assert!(text.contains(good), "{file} has no {good}");
        check(file, judged(&text.replacen(good, bad, 1)).await, Err(part));
    }
}
