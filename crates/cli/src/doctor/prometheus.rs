//! What Prometheus says of the sidecars.

#![allow(clippy::indexing_slicing, reason = "a JSON value is indexed by name, and what is not there is null")]

use std::collections::{BTreeMap, BTreeSet};

use doctor::{Clock, Prometheus, Sampled};
use serde_json::Value;
use tally::PREFIX;
use tally::metric::filter::POLICY_GENERATION;

use super::read::{Web, ahead_ms};

/// Asks it for the filter's gauges in these namespaces.
pub async fn ask(
    web: &Web,
    url: &str,
    namespaces: &BTreeSet<String>,
    clocks: &mut Vec<Clock>,
) -> Result<Prometheus, String> {
    let shown = tally::gauge(POLICY_GENERATION, &[]);
    let (series, date) = query(web, url, &format!("time() - timestamp({shown})")).await?;
    if let Some(ahead_ms) = date.as_deref().and_then(ahead_ms) {
        clocks.push(Clock { of: format!("Prometheus {url}"), ahead_ms });
    }
    let within = namespaces.iter().cloned().collect::<Vec<_>>().join("|");
    let failing = query(web, url, &format!("up{{namespace=~\"{within}\"}} == 0")).await?.0.len();
    let flat =
        query(web, url, &format!("count({{__name__=~\"{PREFIX}.+_total_rollout___.+\"}}) > 0")).await?.0;
    Ok(Prometheus { url: url.to_owned(), sidecars: sidecars(&series), failing, flat: !flat.is_empty() })
}

/// One for each sidecar: two jobs may scrape it, and the younger sample counts.
fn sidecars(series: &[Value]) -> Vec<Sampled> {
    let mut all = BTreeMap::new();
    for one in series {
        let label = |names: [&str; 2]| {
            names.iter().find_map(|name| one["metric"][*name].as_str()).unwrap_or_default().to_owned()
        };
        let (namespace, pod) = (label(["namespace", "kubernetes_namespace"]), label(["pod", "pod_name"]));
        let key = if pod.is_empty() { label(["instance", "job"]) } else { pod.clone() };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // seconds, not negative
        let Some(age_ms) = value(one).map(|age| (age.max(0.0) * 1e3) as u64) else { continue };
        let sampled = all.entry((namespace.clone(), key)).or_insert(Sampled { namespace, pod, age_ms });
        sampled.age_ms = sampled.age_ms.min(age_ms);
    }
    all.into_values().collect()
}

fn value(sample: &Value) -> Option<f64> {
    sample.pointer("/value/1")?.as_str()?.parse().ok()
}

/// The samples of an instant query, and the `Date` of the answer.
async fn query(web: &Web, url: &str, query: &str) -> Result<(Vec<Value>, Option<String>), String> {
    let address = format!("{}/api/v1/query", url.trim_end_matches('/'));
    // A refused query says why in its body.
    let said = web.ask(&address, &[("query", query)]).await?;
    let answer: Value = match serde_json::from_str(&said.text) {
        Ok(answer) => answer,
        Err(_) if !said.is_success => return Err(format!("{address} answers {}", said.status)),
        Err(error) => return Err(format!("{url}: its answer is no JSON: {error}")),
    };
    let text = |field| answer.get(field).and_then(Value::as_str);
    if text("status") != Some("success") {
        return Err(format!("{url} refuses {query}: {}", text("error").unwrap_or("no reason given")));
    }
    Ok((answer.pointer("/data/result").and_then(Value::as_array).cloned().unwrap_or_default(), said.date))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sidecar_is_counted_once() {
        let one = |metric: Value, age: &str| json!({"metric": metric, "value": [0, age]});
        let found = sidecars(&[
            one(json!({"namespace": "models", "pod": "a", "job": "x"}), "4.5"),
            one(json!({"namespace": "models", "pod": "a", "job": "y"}), "3"),
            one(json!({"namespace": "models", "pod_name": "b"}), "70"),
            one(json!({"instance": "10.0.0.7:15020"}), "1"),
        ]);
        let found: Vec<_> =
            found.iter().map(|one| (one.namespace.as_str(), one.pod.as_str(), one.age_ms)).collect();
        assert_eq!(found, [("", "", 1_000), ("models", "a", 3_000), ("models", "b", 70_000)]);
    }
}
