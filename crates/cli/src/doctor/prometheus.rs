//! What Prometheus says of the sidecars.

#![allow(clippy::indexing_slicing, reason = "a JSON value is indexed by name, and what is not there is null")]

use doctor::{Clock, Prometheus};
use serde_json::Value;
use tally::PREFIX;
use tally::metric::filter::POLICY_GENERATION;

use super::read::{Web, ahead_ms};

/// Asks it for the filter's gauges in these namespaces.
pub async fn ask(
    web: &Web,
    url: &str,
    namespaces: &str,
    clocks: &mut Vec<Clock>,
) -> Result<Prometheus, String> {
    let shown = tally::gauge(POLICY_GENERATION, &[]);
    let within = format!("namespace=~\"{namespaces}\"");
    let (ages, date) = query(web, url, &format!("time() - timestamp({shown}{{{within}}})")).await?;
    let asked = if ages.is_empty() {
        // A target that was found otherwise than by Kubernetes has no such label.
        query(web, url, &format!("time() - timestamp({shown})")).await?.0
    } else {
        ages
    };
    if let Some(ahead_ms) = date.as_deref().and_then(ahead_ms) {
        clocks.push(Clock { of: format!("Prometheus {url}"), ahead_ms });
    }
    let mut ages: Vec<f64> = asked.iter().filter_map(value).collect();
    ages.sort_by(f64::total_cmp);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // seconds, not negative
    let age_ms = ages.get(ages.len() / 2).map(|age| (age.max(0.0) * 1e3) as u64);
    let failing = query(web, url, &format!("up{{{within}}} == 0")).await?.0.len();
    let flat =
        query(web, url, &format!("count({{__name__=~\"{PREFIX}.+_total_rollout___.+\"}}) > 0")).await?.0;
    Ok(Prometheus { url: url.to_owned(), proxies: ages.len(), age_ms, failing, flat: !flat.is_empty() })
}

fn value(sample: &Value) -> Option<f64> {
    sample.pointer("/value/1")?.as_str()?.parse().ok()
}

/// The samples of an instant query, and the `Date` of the answer.
async fn query(web: &Web, url: &str, query: &str) -> Result<(Vec<Value>, Option<String>), String> {
    let address = format!("{}/api/v1/query", url.trim_end_matches('/'));
    let (page, date) = web.get(&address, &[("query", query)]).await?;
    let answer: Value =
        serde_json::from_str(&page).map_err(|error| format!("{url}: its answer is no JSON: {error}"))?;
    let text = |field| answer.get(field).and_then(Value::as_str);
    if text("status") != Some("success") {
        return Err(format!("{url} refuses {query}: {}", text("error").unwrap_or("no reason given")));
    }
    Ok((answer.pointer("/data/result").and_then(Value::as_array).cloned().unwrap_or_default(), date))
}
