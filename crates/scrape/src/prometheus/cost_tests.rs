//! What an answer costs that tells of a large fleet. `cargo test -p server --release --lib prometheus::cost -- --ignored
//! --nocapture` prints it; `SIDECARS` is their number.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use envoy::stats::Counters;
use rollout::Now;

use super::answer;
use super::fleet::{Fleet, Gathered};
use crate::Wanted;

/// Series of one sidecar: the usual ones of a rollout, answer times included.
const SERIES: usize = 300;

fn body(sidecars: usize, at_ms: u64, n: u64) -> String {
    let mut text = String::from(r#"{"status":"success","data":{"resultType":"matrix","result":["#);
    let at = format!("{}.{:03}", at_ms / 1_000, at_ms % 1_000);
    for pod in 0..sidecars {
        let target = format!(
            r#""cluster":"eu-1","container":"istio-proxy","endpoint":"http-envoy-prom","instance":"10.{}.{}.7:15020","job":"models/sidecars","namespace":"models","pod":"storefront-5d9c7b8f4-{pod:05}""#,
            pod / 250,
            pod % 250
        );
        let mut series = |name: &str, labels: &str, value: u64| {
            let _ = write!(
                text,
                r#"{{"metric":{{"__name__":"{name}"{labels},{target}}},"values":[[{at},"{value}"]]}},"#
            );
        };
        series("envoy_server_uptime", "", 1_000 + n);
        series("serin_policy_generation", "", 7);
        series("serin_policy_incarnation", "", 1_796_060_535_815);
        series("serin_epoch", r#","rollout":"ranker""#, 7);
        for bin in 0..SERIES - 4 {
            let (version, arm) = if bin % 3 == 0 { ("v2", "canary") } else { ("v1", "stable") };
            let labels = format!(r#","rollout":"ranker","version":"{version}","arm":"{arm}","bin":"{bin}""#);
            series("serin_latency_total", &labels, 10 + n);
        }
    }
    text.truncate(text.len() - 1);
    text.push_str("]}}");
    text
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) >> 10
}

#[test]
#[ignore = "prints figures, and takes a gigabyte"]
fn an_answer_of_a_large_fleet() {
    let sidecars = std::env::var("SIDECARS").ok().and_then(|n| n.parse().ok()).unwrap_or(5_000);
    let scope: BTreeSet<_> = ["v1", "v2"].map(|version| ("ranker".to_owned(), version.to_owned())).into();
    let wanted = Wanted { scope: Arc::new(scope), ..Wanted::default() };
    let (mut fleet, before) = (Fleet::default(), resident_mib());
    let mut counters = Counters::new(Duration::from_secs(60), 0);
    for look in 0..3 {
        let now = Now {
            unix_ms: 1_796_060_600_000 + look * 15_000,
            monotonic_ns: (600 + look * 15) * 1_000_000_000,
        };
        let text = body(sidecars, now.unix_ms - 500, look);
        let begun = Instant::now();
        let mut gathered = Gathered::new(&wanted);
        answer::read(text.as_bytes(), |series| gathered.take(&series)).expect("an answer");
        let read = begun.elapsed();
        let readings = fleet.settle(gathered, now, 0).expect("readings");
        let told = readings.snapshots.len();
        readings.snapshots.into_iter().for_each(|snapshot| counters.observe(snapshot));
        let interval = counters.close(now.monotonic_ns);
        let took = begun.elapsed();
        let size = text.len() >> 20;
        drop(text);
        println!(
            "look {look}: {told} sidecars, {} series, {size} MiB: read in {:.2} s, counted after {:.2} s, {} MiB held",
            told * SERIES,
            read.as_secs_f64(),
            took.as_secs_f64(),
            resident_mib().saturating_sub(before)
        );
        assert_eq!(told, sidecars);
        assert_eq!(
            interval.counts.values().sum::<u64>(),
            if look == 0 { 0 } else { (sidecars * (SERIES - 4)) as u64 }
        );
    }
}
