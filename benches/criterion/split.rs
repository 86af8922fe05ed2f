//! What the decision for one request costs: `Splitter::claim` and `Claim::assign`, natively.
//!
//! A figure is the time of one decision on one core, for a request with the headers of a browser behind a mesh, a
//! thousand users in turn. Inside the proxy the same code is WebAssembly and reads headers by host calls: see `filter`.

#![allow(clippy::expect_used, missing_docs, reason = "a bench that cannot begin has nothing to say")]

use std::hint::black_box;

use benches::policy;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};
use split::policy::Policy;
use split::{Draws, Splitter, Standing};

/// Policies by name, as `benches::policy` takes them.
fn policies() -> Vec<(&'static str, Value)> {
    let second_key =
        json!({"mode": "sticky", "salt": "ranker/1", "keys": [{"header": "x-account"}, {"cookie": "uid"}]});
    let by_id = json!({"mode": "random", "source": "request_id", "salt": "ranker/1"});
    let others = (1..=6).map(|at| {
        let (name, version, start_ppm) = (format!("c{at}"), format!("v{}", at + 2), at * 120_000);
        json!({"name": name, "version": version, "start_ppm": start_ppm, "weight_ppm": 50_000})
    });
    let eight = json!({
        "stable": {"version": "v1"}, "canary": {"version": "v2", "weight_ppm": 50_000},
        "others": others.collect::<Vec<_>>(),
    });
    let rules = json!({
        "match": {"authority": ["models.local"], "path_prefix": "/rank"},
        "overrides": [{"when": [{"header": "x-serin-force", "exact": "canary"}], "arm": "canary"}],
        "cohorts": [{"name": "staff", "when": [{"cookie": "group", "regex": "staff-[0-9]+"}], "weight_ppm": 1_000_000}],
    });
    vec![
        ("sticky by header", json!({})),
        ("sticky by header, eight arms", json!({"arms": &eight})),
        ("sticky by cookie, the second key", json!({"assignment": second_key})),
        ("sticky by header, with match, override and cohort", rules),
        ("random", json!({"assignment": {"mode": "random"}})),
        ("random, eight arms", json!({"assignment": {"mode": "random"}, "arms": &eight})),
        ("random by request id", json!({"assignment": by_id})),
    ]
}

fn splitter(with: Value) -> Splitter {
    let policy: Policy = serde_json::from_value(policy(with)).expect("a policy");
    Splitter::compile(&policy).expect("a policy that compiles")
}

/// What a request brings along; the key is late among the headers, as those of an application are.
fn headers<'a>(user: &'a str, cookie: &'a str, id: &'a str) -> Vec<(&'a str, &'a [u8])> {
    let text: [(&str, &str); 16] = [
        (":authority", "models.local:10000"),
        (":path", "/rank?query=red+shoes&page=2"),
        (":method", "GET"),
        (":scheme", "https"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-US,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-proto", "https"),
        ("x-envoy-expected-rq-timeout-ms", "15000"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("content-type", "application/json"),
        ("x-request-id", id),
        ("cookie", cookie),
        ("x-user-id", user),
    ];
    text.map(|(name, value)| (name, value.as_bytes())).to_vec()
}

fn decisions(criterion: &mut Criterion) {
    let users: Vec<[String; 3]> = (0..1_000)
        .map(|user| {
            let id = format!("7f3c1f6e-0c55-4b0e-9d4b-{user:012}");
            [format!("user-{user}"), format!("theme=dark; session=c2Vzc2lvbg; uid=user-{user}"), id]
        })
        .collect();
    let requests: Vec<_> = users.iter().map(|[user, cookie, id]| headers(user, cookie, id)).collect();
    let mut group = criterion.benchmark_group("split");
    group.throughput(Throughput::Elements(1));
    for (name, with) in policies() {
        let splitter = splitter(with);
        let (mut turn, mut draws) = (requests.iter().cycle(), Draws::seeded(1));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let request = turn.next().map(Vec::as_slice).unwrap_or_default();
                let claim = splitter.claim(&request).expect("it owns every request");
                black_box(claim.assign(black_box(&request), Standing::Live, &mut draws))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decisions);
criterion_main!(benches);
