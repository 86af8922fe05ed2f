//! What stands in a cluster, read as it is: for whoever looks whether an installation is whole.

use std::collections::BTreeSet;
use std::time::Duration;

use http::Request;
use kube::{Client, Error};
use serde_json::{Value, json};
use tokio::time::timeout;

/// One question may take so long.
const ANSWER: Duration = Duration::from_secs(10);

/// A kind, and where the API server has its objects.
const KINDS: [(&str, &str, &str); 12] = [
    ("Deployment", "apis/apps/v1", "deployments"),
    ("StatefulSet", "apis/apps/v1", "statefulsets"),
    ("Service", "api/v1", "services"),
    ("Pod", "api/v1", "pods"),
    ("ConfigMap", "api/v1", "configmaps"),
    ("TrafficExtension", "apis/extensions.istio.io/v1alpha1", "trafficextensions"),
    ("WasmPlugin", "apis/extensions.istio.io/v1alpha1", "wasmplugins"),
    ("EnvoyFilter", "apis/networking.istio.io/v1alpha3", "envoyfilters"),
    ("VirtualService", "apis/networking.istio.io/v1", "virtualservices"),
    ("DestinationRule", "apis/networking.istio.io/v1", "destinationrules"),
    ("Sidecar", "apis/networking.istio.io/v1", "sidecars"),
    ("HTTPRoute", "apis/gateway.networking.k8s.io/v1", "httproutes"),
];

/// The kinds of Istio's extensions that the API server serves, as `GROUP/KIND`.
///
/// # Errors
/// When it does not answer.
pub async fn served(client: &Client) -> Result<BTreeSet<String>, String> {
    let list = get(client, "/apis/extensions.istio.io/v1alpha1").await?.unwrap_or_default();
    let kinds = list
        .get("resources")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|one| one.get("kind")?.as_str());
    Ok(kinds.map(|kind| format!("extensions.istio.io/{kind}")).collect())
}

/// What the API server's clock says, as the `Date` of an answer.
///
/// # Errors
/// When it does not answer.
pub async fn date(client: &Client) -> Result<Option<String>, String> {
    let request = Request::get("/version").body(kube::client::Body::empty());
    let request = request.map_err(|error| error.to_string())?;
    let answer = timeout(ANSWER, client.send(request)).await.map_err(|_| silent())?;
    let answer = answer.map_err(|error| error.to_string())?;
    Ok(answer.headers().get("date").and_then(|date| date.to_str().ok()).map(str::to_owned))
}

/// The objects of a kind in these namespaces, whole. A kind that is not served has none.
///
/// # Errors
/// When they may not be read, or the API server does not answer; the kind is one of [`KINDS`].
pub async fn objects(
    client: &Client,
    kind: &str,
    namespaces: &BTreeSet<String>,
) -> Result<Vec<Value>, String> {
    let known = KINDS.iter().find(|(known, ..)| *known == kind);
    let (_, group, plural) = known.ok_or_else(|| format!("nobody knows where {kind}s are"))?;
    let mut all = Vec::new();
    for namespace in namespaces {
        let list = get(client, &format!("/{group}/namespaces/{namespace}/{plural}")).await?;
        if let Some(Value::Array(items)) = list.and_then(|mut list| list.get_mut("items").map(Value::take)) {
            all.extend(items);
        }
    }
    Ok(all)
}

/// The page that a pod answers with at a port and path, by way of the API server.
///
/// # Errors
/// When it may not be asked, or does not answer.
pub async fn page(client: &Client, namespace: &str, pod: &str, at: &str) -> Result<String, String> {
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{at}");
    let request = Request::get(path).body(Vec::new()).map_err(|error| error.to_string())?;
    let answer = timeout(ANSWER, client.request_text(request)).await.map_err(|_| silent())?;
    answer.map_err(|error| told(&error))
}

/// What a service account is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Deed<'d> {
    /// `get`, ...
    pub verb: &'d str,
    /// The resource's group; empty: Kubernetes' own.
    pub group: &'d str,
    /// The resource's plural, of a subresource with its name: `rollouts/status`.
    pub resource: &'d str,
    /// Where; empty: everywhere.
    pub namespace: &'d str,
    /// Which object; empty: any.
    pub name: &'d str,
}

/// May this service account (`NAMESPACE`, `NAME`) do that?
///
/// # Errors
/// When the asker may not ask that, or the API server does not answer.
pub async fn may(client: &Client, account: (&str, &str), deed: Deed<'_>) -> Result<bool, String> {
    let (namespace, name) = account;
    let (resource, subresource) = deed.resource.split_once('/').unwrap_or((deed.resource, ""));
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {
            "user": format!("system:serviceaccount:{namespace}:{name}"),
            "groups": ["system:serviceaccounts", format!("system:serviceaccounts:{namespace}"), "system:authenticated"],
            "resourceAttributes": {
                "verb": deed.verb, "group": deed.group, "resource": resource, "subresource": subresource,
                "namespace": deed.namespace, "name": deed.name,
            },
        },
    });
    let request = Request::post("/apis/authorization.k8s.io/v1/subjectaccessreviews")
        .header("content-type", "application/json")
        .body(review.to_string().into_bytes())
        .map_err(|error| error.to_string())?;
    let answer = timeout(ANSWER, client.request::<Value>(request)).await.map_err(|_| silent())?;
    let answer = answer.map_err(|error| told(&error))?;
    answer
        .pointer("/status/allowed")
        .and_then(Value::as_bool)
        .ok_or_else(|| "the answer says neither".to_owned())
}

/// `None`: it is not there.
async fn get(client: &Client, path: &str) -> Result<Option<Value>, String> {
    let request = Request::get(path).body(Vec::new()).map_err(|error| error.to_string())?;
    match timeout(ANSWER, client.request::<Value>(request)).await.map_err(|_| silent())? {
        Ok(value) => Ok(Some(value)),
        Err(Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(told(&error)),
    }
}

/// An error with its causes.
fn told(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
}

fn silent() -> String {
    format!("the API server did not answer within {} s", ANSWER.as_secs())
}

#[cfg(test)]
mod tests {
    use axum::{Json, Router, routing::post};

    use super::*;
    use crate::api_server::client_of;

    /// The API server knows subresources by a field of their own.
    #[tokio::test]
    async fn rights_to_a_status_are_asked_for_as_such() {
        for (resource, expected) in [("rollouts/status", ("rollouts", "status")), ("pods", ("pods", ""))] {
            let answer = async move |Json(review): Json<Value>| {
                let asked = review.pointer("/spec/resourceAttributes").cloned().unwrap_or_default();
                let is = asked["resource"] == expected.0 && asked["subresource"] == expected.1;
                Json(json!({"status": {"allowed": is}}))
            };
            let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
            let client = client_of(Router::new().route(path, post(answer))).await;
            let deed = Deed { verb: "patch", group: "serin.dev", resource, namespace: "", name: "" };
            assert_eq!(may(&client, ("serin-system", "serin"), deed).await, Ok(true), "{resource}");
        }
    }
}
