//! The table in `tests/scenarios`, replayed three ways that must agree; and on `host` what a real Envoy cannot show
//! at a given moment.

mod client;
mod host_calls;
mod lease_on_host;
mod ledger;
mod malformed_on_host;
mod on_envoy;
mod on_host;
mod on_split;
mod places_on_host;
mod policies_on_host;
mod retries_on_host;
mod self_check;
mod stage;
mod strictness;
mod table;
mod trap_on_host;
mod value;
mod verdict;

use envoy::bootstrap::Role;
use on_envoy::Replay;
use table::{Scenario, Way};
use verdict::Failure;

use tests::a_core;

#[test]
fn the_assignment_alone_agrees_with_the_table() {
    let scenarios = Scenario::all();
    agree(&scenarios, Way::Split, scenarios.iter().flat_map(on_split::replay).collect());
}

#[test]
fn the_filter_in_process_agrees_with_the_table() {
    let scenarios = Scenario::all();
    agree(&scenarios, Way::Host, scenarios.iter().flat_map(on_host::replay).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_filter_in_envoy_agrees_with_the_table() {
    let scenarios = Scenario::all();
    let (follow, decide): (Vec<Scenario>, Vec<Scenario>) =
        scenarios.iter().cloned().partition(Scenario::follows);
    // A few share an Envoy; two Envoys run at a time.
    let (first, second) = decide.split_at(decide.len() / 2);
    let (first, second, third) = tokio::join!(
        through_envoy(Role::Decide, first),
        through_envoy(Role::Decide, second),
        through_envoy(Role::Follow, &follow),
    );
    let failures = [first, second, third].into_iter().flatten().collect();
    agree(&scenarios, Way::Envoy, failures);
}

async fn through_envoy(role: Role, scenarios: &[Scenario]) -> Vec<Failure> {
    let _core = a_core().await;
    let mut replay = Replay::start(role).await;
    let mut failures = Vec::new();
    for scenario in scenarios {
        failures.extend(replay.run(scenario).await);
    }
    assert!(replay.is_quiet().await, "something was counted after its row");
    failures
}

#[track_caller]
fn agree(scenarios: &[Scenario], way: Way, failures: Vec<Failure>) {
    let rows: usize = scenarios
        .iter()
        .map(|scenario| scenario.rows.iter().filter(|row| row.ways.contains(&way)).count())
        .sum();
    println!("{way:?}: {} scenarios, {rows} rows, {} failures", scenarios.len(), failures.len());
    let lines: Vec<String> = failures.iter().map(Failure::to_string).collect();
    assert!(lines.is_empty(), "{} of {rows} rows' expectations fail:\n{}", lines.len(), lines.join("\n"));
}
