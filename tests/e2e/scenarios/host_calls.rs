//! What a request costs: calls from the filter into its host, by name.

use host::{Answer, Process, ProcessOptions, Properties, Request};
use serde_json::{Value, json};

use super::on_host::FILTER;
use tests::policy;

struct Case {
    name: &'static str,
    policy: Value,
    /// Calls a warm request may make, whatever its arm; none: shown only.
    at_most: Option<u64>,
    /// Calls that each chunk of the answer's body costs.
    a_chunk: u64,
}

fn cases() -> Vec<Case> {
    let confidence = json!({
        "from_header": "x-model-confidence", "header": "x-serin-confidence",
        "source_header": "x-serin-confidence-source", "min": 0, "max": 1,
    });
    let everything = json!({
        "lease": {"cluster": "serin", "authority": "serin", "path": "/v1/lease", "interval_ms": 1_000, "ttl_ms": 5_000},
        "match": {"authority": ["models.local"], "path_prefix": "/rank", "port": 10_000, "direction": "unspecified"},
        "assignment": {"mode": "sticky", "salt": "ranker/1", "keys": [{"header": "x-user-id"}, {"cookie": "uid"}]},
        "overrides": [{"when": [{"header": "x-serin-force", "exact": "canary"}], "arm": "canary"}],
        "cohorts": [{"name": "staff", "when": [{"header": "x-group", "exact": "staff"}], "weight_ppm": 1_000_000}],
        "confidence": &confidence,
        "count": {"groups": true},
    });
    let answers =
        json!({"answer": {"read": {"format": "json", "failed_when": [{"at": "/error"}]}, "max_open": 10}});
    vec![
        Case { name: "small", policy: policy(1, json!({})), at_most: Some(14), a_chunk: 0 },
        Case {
            name: "confidence",
            policy: policy(1, json!({"confidence": confidence})),
            at_most: None,
            a_chunk: 0,
        },
        Case { name: "everything", policy: policy(1, everything), at_most: Some(24), a_chunk: 0 },
        // One clock more at the start, three headers of the answer, and what is counted of it.
        Case { name: "answers", policy: policy(1, answers), at_most: Some(20), a_chunk: 2 },
    ]
}

#[test]
fn a_request_costs_no_more_host_calls_than_it_may() {
    let mut over = Vec::new();
    for Case { name, policy, at_most, a_chunk } in cases() {
        let mut process = Process::new(&FILTER, ProcessOptions::default()).expect("a process");
        let configured = process.configure(policy.to_string().as_bytes()).expect("a configuration");
        assert!(configured.accepted, "{name}: {configured:?}");
        for (arm, user) in [("canary", "u1"), ("stable", "u2")] {
            let mut ask = |body: &[&str]| {
                let mut request = Request::get("models.local:10000", "/rank?user=7")
                    .header("x-user-id", user)
                    .header("x-request-id", "r1");
                request.properties = Properties::new().number(&["xds", "listener_direction"], 0);
                let mut answer = Answer::status(200)
                    .header("x-model-confidence", "1")
                    .header("content-type", "application/json");
                answer.body = body.iter().map(|chunk| chunk.as_bytes().to_vec()).collect();
                process.request(0, request, answer).expect("an exchange")
            };
            // The first defines the counters, which later ones only move.
            let (cold, warm) = (ask(&["{}"]), ask(&["{}"]));
            assert_eq!((warm.failed, warm.request.text("x-serin-arm").as_deref()), (None, Some(arm)));
            let longer = ask(&["{", "}", "\n"]).host_calls.total() - warm.host_calls.total();
            assert_eq!(longer, 2 * a_chunk, "{name}: two chunks more");
            let (cold, total) = (cold.host_calls.total(), warm.host_calls.total());
            println!("{name}, {arm}: {total} host calls (the first of its kind {cold})\n{}", warm.host_calls);
            if at_most.is_some_and(|most| total > most) {
                over.push(format!("{name}, {arm}: {total} host calls, at most {at_most:?} are allowed"));
            }
        }
    }
    assert!(over.is_empty(), "{}", over.join("\n"));
}
