//! What a whole request costs in the built filter, run by the test host: every callback from headers to log.
//!
//! A figure is the time of filter and host together on one core. The host is wasmtime and not Envoy's V8, it checks what it
//! is told and keeps a record of each exchange, so the figure says nothing of Envoy's own time; policies compare with each
//! other, and builds with each other. Beside the filter, a request through a process without any is measured.
//!
//! The filter is `target/serin/filter.wasm`, or what `SERIN_WASM` names.

#![allow(
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a bench that cannot begin has nothing to say"
)]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Duration;

use benches::policy;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use host::{Answer, Module, Process, ProcessOptions, Properties, Request};
use serde_json::{Value, json};

/// A thousand requests a second at one worker.
const BETWEEN: Duration = Duration::from_millis(1);

fn module() -> Module {
    let named = std::env::var_os("SERIN_WASM").filter(|path| !path.is_empty()).map(PathBuf::from);
    let built = || Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("serin").join("filter.wasm");
    let path = named.unwrap_or_else(built);
    Module::from_file(&path).unwrap_or_else(|error| {
        panic!(
            "no filter in {}: build it by `cargo xtask wasm`, or name one by SERIN_WASM ({error})",
            path.display()
        )
    })
}

fn policies() -> Vec<(&'static str, Value)> {
    let confidence = json!({
        "from_header": "x-model-confidence", "header": "x-serin-confidence",
        "source_header": "x-serin-confidence-source", "min": 0, "max": 1,
    });
    let everything = json!({
        "match": {"authority": ["models.local"], "path_prefix": "/rank"},
        "assignment": {"mode": "sticky", "salt": "ranker/1", "keys": [{"header": "x-user-id"}, {"cookie": "uid"}]},
        "overrides": [{"when": [{"header": "x-serin-force", "exact": "canary"}], "arm": "canary"}],
        "cohorts": [{"name": "staff", "when": [{"header": "x-group", "exact": "staff"}], "weight_ppm": 1_000_000}],
        "confidence": &confidence,
        "count": {"groups": true},
    });
    let elsewhere = json!({"match": {"path_prefix": "/elsewhere"}});
    vec![
        ("no rollout's request", policy(elsewhere)),
        ("sticky", policy(json!({}))),
        ("random", policy(json!({"assignment": {"mode": "random"}}))),
        ("sticky, with confidence", policy(json!({"confidence": confidence}))),
        ("everything", policy(everything)),
    ]
}

fn request(user: u64) -> Request {
    let mut request = Request::get("models.local:10000", "/rank?query=red+shoes&page=2")
        .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
        .header("accept", "application/json")
        .header("x-forwarded-for", "203.0.113.7")
        .header("x-request-id", format!("7f3c1f6e-0c55-4b0e-9d4b-{user:012}"))
        .header("cookie", "theme=dark; session=c2Vzc2lvbg")
        .header("x-user-id", format!("user-{user}"));
    request.properties = Properties::new().number(&["xds", "listener_direction"], 0);
    request
}

fn requests(criterion: &mut Criterion) {
    let module = module();
    let mut group = criterion.benchmark_group("filter");
    group.throughput(Throughput::Elements(1));
    for (name, policy) in policies() {
        let mut process = Process::new(&module, ProcessOptions::default()).expect("a process");
        let configured = process.configure(policy.to_string().as_bytes()).expect("a configuration");
        assert!(configured.accepted, "{name}: {configured:?}");
        let mut user = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                user = (user + 1) % 1_000;
                process.advance(BETWEEN).expect("ticks");
                let answer = Answer::status(200).header("x-model-confidence", "0.93");
                let exchange = process.request(0, request(user), answer).expect("an exchange");
                assert!(exchange.failed.is_none(), "{:?}", exchange.failed);
                black_box(exchange)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, requests);
criterion_main!(benches);
