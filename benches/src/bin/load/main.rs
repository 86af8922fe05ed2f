//! `cargo xtask bench load`: the real controller under many rollouts and many proxies, and how late its looks are.
//!
//! The controller is the release build, with its store on the disk. The proxies are made up: admin endpoints whose
//! counters move like those of real traffic, and ECDS streams that acknowledge what they are sent.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench"
)]

mod admins;
mod process;
mod streams;

use std::time::{Duration, Instant};

use admins::Traffic;
use demo::load::Latencies;
use process::{Controller, Usage};
use serde_json::Value;
use streams::Fleet;
use tally::metric::{LOOK_LATENESS_SECONDS, LOOK_SECONDS};

/// What is measured; each can be given as `--name value`.
struct Plan {
    rollouts: usize,
    nodes: usize,
    /// Admin endpoints: Envoys whose counters are read.
    admins: usize,
    /// Requests per second and rollout.
    rate: f64,
    seconds: u64,
    period_ms: u64,
}

impl Plan {
    fn of(mut words: impl Iterator<Item = String>) -> Self {
        let mut plan =
            Self { rollouts: 100, nodes: 1_000, admins: 2, rate: 100.0, seconds: 60, period_ms: 1_000 };
        while let Some(word) = words.next() {
            let value = words.next().unwrap_or_else(|| panic!("{word} wants a number"));
            let number: f64 = value.parse().unwrap_or_else(|_| panic!("{word} wants a number, not {value}"));
            match word.as_str() {
                "--rollouts" => plan.rollouts = number as usize,
                "--nodes" => plan.nodes = number as usize,
                "--admins" => plan.admins = number as usize,
                "--rate" => plan.rate = number,
                "--seconds" => plan.seconds = number as u64,
                "--period-ms" => plan.period_ms = number as u64,
                other => {
                    panic!("{other} is unknown; --rollouts --nodes --admins --rate --seconds --period-ms")
                }
            }
        }
        plan
    }
}

fn name(rollout: usize) -> String {
    format!("ranker-{rollout:03}")
}

fn spec(rollout: usize) -> String {
    format!(
        "apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {{name: {}}}
spec:
  stable: {{version: v1}}
  canary: {{version: v2}}
  match: {{pathPrefix: /{rollout}}}
  stages: [{{weight: 10%, bake: 10h, deadline: 20h}}, {{weight: 100%, bake: 10h, deadline: 20h}}]
",
        name(rollout)
    )
}

#[tokio::main]
async fn main() {
    let plan = Plan::of(std::env::args().skip(1));
    let traffic = Traffic::start(plan.rollouts, plan.admins, plan.rate).await;
    let controller = Controller::start(&traffic.urls, plan.period_ms).await;
    let fleet = Fleet::connect(controller.ecds, plan.nodes).await;
    println!(
        "{} rollouts, {} proxies by ECDS, {} read, {} counters each, {} requests/s per rollout, a look every {} ms, {} cores",
        plan.rollouts,
        plan.nodes,
        plan.admins,
        traffic.series(),
        plan.rate,
        plan.period_ms,
        std::thread::available_parallelism().map_or(0, usize::from)
    );

    let begun = Instant::now();
    for rollout in 0..plan.rollouts {
        controller.apply(&spec(rollout)).await;
    }
    println!("applied in {:.1} s", begun.elapsed().as_secs_f64());
    controller.until_all("Progressing").await;
    println!("all in their first stage, acknowledged, after {:.1} s", begun.elapsed().as_secs_f64());

    let before = controller.usage();
    let looks = controller.looks().await;
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_secs(plan.seconds)).await;
    let (seconds, after) = (begun.elapsed().as_secs_f64(), controller.usage());
    let looks = controller.looks().await - looks;
    let per_second = |of: fn(&Usage) -> f64| (of(&after) - of(&before)) / seconds;
    let metrics = controller.metrics().await;
    let ms = |metric: &str, quantile: &str| 1_000.0 * process::quantile(&metrics, metric, quantile);
    println!("{looks:.0} looks in {seconds:.0} s; each judges all rollouts");
    for (metric, about) in [
        (LOOK_LATENESS_SECONDS, "lateness: from when a look was due until all rollouts were judged"),
        (LOOK_SECONDS, "of it, judging all rollouts"),
    ] {
        println!(
            "{about}: p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
            ms(metric, "0.5"),
            ms(metric, "0.99"),
            ms(metric, "1")
        );
    }
    println!(
        "processor {:.0} % of one core, memory {:.0} MB, written {:.0} kB/s, store {:.1} MB",
        100.0 * per_second(|usage| usage.cpu_s),
        after.memory_mb,
        per_second(|usage| usage.written_kb),
        controller.store_mb()
    );

    let (mut answered, mut everywhere) = (Latencies::default(), Latencies::default());
    let rollbacks = plan.rollouts.min(10);
    for rollout in 0..rollbacks {
        let begun = Instant::now();
        controller.abort(&name(rollout)).await;
        answered.record_ns(begun.elapsed().as_nanos() as u64);
        let view: Value = controller.view(&name(rollout)).await;
        let generation = view["generation"].as_u64().expect("a generation");
        fleet.has(generation).await;
        everywhere.record_ns(begun.elapsed().as_nanos() as u64);
    }
    let worst = |of: &Latencies| of.quantile_ms(1.0).unwrap_or_default();
    println!(
        "{rollbacks} rollbacks meanwhile: decided, written and sent within {:.1} ms; all {} proxies had it within {:.0} ms",
        worst(&answered),
        plan.nodes,
        worst(&everywhere)
    );
}
