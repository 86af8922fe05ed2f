//! Pushes under load cost no request anything.

use demo::load::{Ledger, Load, LoadPlan};
use serde_json::json;

use tests::{EnvoyOptions, Models, Plane, a_core, alone, arms, policy, until};

#[tokio::test(flavor = "multi_thread")]
async fn twenty_pushes_under_load_fail_and_mis_tag_nothing() {
    let _machine = alone().await;
    let models = Models::plain().await;
    let mut plane = Plane::start().await;
    let envoy = plane.envoy(&models, EnvoyOptions::default()).await;
    plane.put(|generation| policy(generation, json!({"arms": arms(100_000)}))).await;
    let load = Load::start(LoadPlan { rate: 400.0, ..LoadPlan::to(envoy.addr) }).expect("a load");
    for push in 0..20_u32 {
        let weight = if push % 2 == 0 { 900_000 } else { 100_000 };
        let sent = load.sent();
        plane.put(|generation| policy(generation, json!({"arms": arms(weight)}))).await;
        // Each policy sees traffic of its own before the next replaces it.
        until("some requests under this policy", async || {
            if load.sent() >= sent + 80 { Ok(()) } else { Err(load.sent()) }
        })
        .await;
    }
    let records = load.stop().await;
    let (stable, canary) = (models.stable.log().arrivals(), models.canary.log().arrivals());
    let totals = Ledger::new(&records, &stable, &canary).totals();
    println!(
        "20 pushes under load: {} requests, {} failed by us, {} mis-tagged, {} untagged",
        totals.total, totals.failed_by_us, totals.mis_tagged, totals.untagged
    );
    assert!(totals.total >= 1_600, "{totals:?}");
    assert_eq!((totals.failed_by_us, totals.mis_tagged, totals.untagged), (0, 0, 0), "{totals:?}");
    let nodes = plane.ecds.nodes().borrow().clone();
    let node = nodes.0.get("envoy-1").expect("the proxy");
    assert_eq!((node.refused.clone(), node.acknowledged.map(|ack| ack.generation)), (None, Some(21)));
}

/// Numbers that never move prove nothing: one request failed and one tagged wrongly on purpose must show.
#[tokio::test(flavor = "multi_thread")]
async fn the_numbers_move_when_something_is_wrong() {
    let _core = a_core().await;
    let test = demo::load::self_test::SelfTest::run(7).await.expect("the self-test runs");
    test.verdict().expect("one of each is seen");
    assert_eq!((test.clean.failed_by_us, test.clean.mis_tagged), (0, 0));
    assert_eq!((test.faulty.failed_by_us, test.faulty.mis_tagged), (1, 1));
}
