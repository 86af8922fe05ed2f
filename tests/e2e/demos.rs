//! The demo, scenario by scenario: what a newcomer sees first.

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use tests::{alone, tools};

struct Told {
    code: i32,
    text: String,
    /// The document that `--report` writes for other tools; the demo alone knows its types.
    report: Value,
}

/// Served by any machine that can run the tests at all; evidence takes its time.
const FEW: &str = "150";

/// Runs a scenario to its end, with its seed, at the rate the machine can serve.
async fn tell(scenario: &str) -> Told {
    let _machine = alone().await;
    let told = run(scenario, &[]).await;
    if told.code == 3 && told.text.contains("too slow now") {
        run(scenario, &["--rate", FEW]).await
    } else {
        told
    }
}

async fn run(scenario: &str, more: &[&str]) -> Told {
    let dir = tempfile::tempdir().expect("a folder");
    let report = dir.path().join("report.json");
    let output = tokio::process::Command::new(tools::demo())
        .args(["run", "--headless", "--seed", "1", "--scenario", scenario, "--report"])
        .arg(&report)
        .arg("--envoy")
        .arg(tools::envoy())
        .arg("--wasm")
        .arg(tools::wasm())
        .arg("--serin")
        .arg(tools::serin())
        .args(more)
        .kill_on_drop(true)
        .output()
        .await
        .expect("the demo runs");
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let written = std::fs::read_to_string(&report).unwrap_or_default();
    // Whoever could not run leaves it empty.
    let report = serde_json::from_str(&written).unwrap_or_default();
    Told { code: output.status.code().unwrap_or(-1), text, report }
}

/// What holds whatever happens: nothing fails or is tagged wrongly because of us, and nobody leaves the canary while
/// its weight rises.
#[track_caller]
fn check(told: &Told, code: i32, outcome: &str) {
    let Told { text, report, .. } = told;
    assert_eq!((told.code, report["outcome"].as_str()), (code, Some(outcome)), "{text}");
    assert_eq!(report["requests"]["failed_by_us"], 0, "{text}");
    assert_eq!(report["users"]["left_canary"], 0, "{text}");
    let tried = report["ground"]["tried"].as_array().expect("what was tried before the rollout");
    assert!(tried[0]["sent_rate"].is_number(), "{text}");
    assert_eq!(report["rate"], report["ground"]["rate"], "{text}");
    assert_eq!(report["requests"]["mis_tagged"], 0, "{text}");
    assert!(report["requests"]["total"].as_u64().is_some_and(|n| n > 1_000), "{text}");
    assert!(!report["acks"].as_array().expect("acks").is_empty(), "{text}");
    for stage in report["stages"].as_array().expect("stages") {
        assert!(
            stage["weight_ppm"].is_u64() && stage["entered_ms"].is_number() && stage["gates"].is_array(),
            "{stage}"
        );
    }
}

/// A rollback: which gate or guardrail, and how fast.
#[track_caller]
fn check_rolled_back(told: &Told, word: &str) {
    check(told, 1, "rolled_back");
    let rollback = &told.report["rollback"];
    assert!(rollback["latency_ms"].as_f64().is_some_and(|ms| ms < 30_000.0), "{rollback}");
    println!("rollback latency {} ms", rollback["latency_ms"]);
    assert!(told.text.contains(word), "{word}: {}", told.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_version_is_promoted_and_the_next_begins_on_the_same_routes() {
    let told = tell("good").await;
    check(&told, 0, "promoted");
    let shares: Vec<(f64, f64, f64)> = told.report["stages"]
        .as_array()
        .expect("stages")
        .iter()
        .map(|stage| {
            (
                stage["weight_ppm"].as_f64().expect("a weight") / 1e6,
                stage["observed_share"].as_f64().expect("a share"),
                stage["observed_of"].as_f64().expect("users"),
            )
        })
        .collect();
    for (weight, observed, of) in &shares {
        println!("weight {weight}, observed share {observed} of {of}");
        let deviation = (weight * (1.0 - weight) / of).sqrt();
        assert!((weight - observed).abs() <= 5.0 * deviation + 0.002, "{shares:?}");
    }
    assert!(told.text.contains("v2 → v3") || told.text.contains("v3 over v2"), "{}", told.text);
    assert!(told.report["rollback"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_rolled_back() {
    check_rolled_back(&tell("errors").await, "error");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_tail_is_rolled_back() {
    check_rolled_back(&tell("slow").await, "latency");
}

#[tokio::test(flavor = "multi_thread")]
async fn valid_answers_of_low_confidence_are_rolled_back() {
    check_rolled_back(&tell("unsure").await, "confidence");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_stops_answering_is_rolled_back() {
    check_rolled_back(&tell("hang").await, "overdue");
}

/// Answers as soon as v1's, and half as long: no time to answer shows it.
#[tokio::test(flavor = "multi_thread")]
async fn slower_tokens_are_rolled_back() {
    check_rolled_back(&tell("tokens").await, "token-time");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_rolled_back() {
    check_rolled_back(&tell("refusals").await, "refusals");
}

/// A model that is told to stop has done what it was asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_ends_with_zero_when_it_is_told_to_stop() {
    let mut model = tokio::process::Command::new(tools::demo())
        .args(["model", "--version", "v1", "--listen", "127.0.0.1:0"])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the model starts");
    let mut lines = BufReader::new(model.stdout.take().expect("an output")).lines();
    let said = lines.next_line().await.expect("a line").expect("a line");
    assert!(said.contains("listens on"), "{said}");
    let id = model.id().expect("a process").to_string();
    let told = std::process::Command::new("kill").args(["-TERM", &id]).status().expect("kill runs");
    assert!(told.success(), "{told}");
    assert_eq!(model.wait().await.expect("an end").code(), Some(0));
}
