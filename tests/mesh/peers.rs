//! What stories with other tools' controllers share: what a kubelet would do, and what docs/other-tools.md shows.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::AbortHandle;

use crate::stage::{cluster, document};

/// A stage that a person would have to leave, with a gate that some requests prove: `pending`, then `pass`.
pub fn rollout(version: &str) -> String {
    format!(
        "
apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {{name: ranker}}
spec:
  stable: {{version: v1}}
  canary: {{version: {version}}}
  noData: {{after: 1h}}
  gates: [{{name: errors, metric: error_rate, max: 50%, minSamples: 20}}]
  stages:
    - {{weight: 50%, bake: 1h, deadline: 2h, gates: [errors]}}
    - {{weight: 100%, bake: 1h, deadline: 2h, gates: [errors]}}
"
    )
}

/// The example of that kind in docs/other-tools.md.
pub fn shown(kind: &str) -> Value {
    let text = include_str!("../../docs/other-tools.md");
    let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut documents = blocks.map(document);
    documents.find(|document| document["kind"] == kind).unwrap_or_else(|| panic!("no {kind} is shown"))
}

/// Says of every Deployment of a namespace that its pods run, as a controller and kubelets would.
pub struct Kubelet(AbortHandle);

impl Kubelet {
    pub fn of(namespace: &'static str) -> Self {
        let task = tokio::spawn(async move {
            loop {
                let listed =
                    cluster().await.kubectl(&["-n", namespace, "get", "deploy", "-o", "json"], "").await;
                let listed: Value =
                    listed.ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
                for deployment in listed["items"].as_array().into_iter().flatten() {
                    let generation = &deployment["metadata"]["generation"];
                    if &deployment["status"]["observedGeneration"] != generation {
                        let name = deployment["metadata"]["name"].as_str().expect("a name");
                        run(namespace, name, generation, &deployment["spec"]["replicas"]).await;
                    }
                }
                // Not a wait for something: only the pause between two looks.
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
        Self(task.abort_handle())
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn run(namespace: &str, name: &str, generation: &Value, replicas: &Value) {
    let status = json!({"status": {
        "observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas,
        "readyReplicas": replicas, "availableReplicas": replicas,
        "conditions": [{"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}],
    }});
    let status = status.to_string();
    let arguments =
        ["-n", namespace, "patch", "deploy", name, "--subresource=status", "--type=merge", "-p", &status];
    // Changed meanwhile: the next look sees it.
    let _ = cluster().await.kubectl(&arguments, "").await;
}
