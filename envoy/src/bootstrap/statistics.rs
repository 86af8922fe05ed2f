use serde_json::{Value, json};
use tally::TAGS;

/// Istio's own expression for each name in `extraStatTags`, so that one form of name serves both.
pub(super) fn config(latency_buckets_ms: &[u32]) -> Value {
    let tags: Vec<Value> =
        TAGS.iter().map(|tag| json!({"tag_name": tag, "regex": format!(r"({tag}=\.=(.*?);\.;)")})).collect();
    json!({
        "stats_tags": tags,
        "histogram_bucket_settings": [{
            "match": {"prefix": format!("wasmcustom.{}latency_ms", tally::PREFIX)},
            "buckets": latency_buckets_ms,
        }],
    })
}
