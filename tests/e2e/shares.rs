//! What a weight says is what happens: by users when sticky, by requests when random, and nobody leaves the canary
//! while the weight rises.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use demo::load::{Ledger, Load, LoadPlan, Popularity, Unit, Users};
use serde_json::json;

use tests::{EnvoyOptions, Models, Plane, alone, arms, policy};

const WEIGHTS: [u32; 4] = [1_000, 10_000, 50_000, 500_000];

fn load(target: SocketAddr, seed: u64, requests: u64) -> LoadPlan {
    let users = Users { count: 20_000, popularity: Popularity::Uniform };
    LoadPlan { rate: 1_500.0, users, seed, requests: Some(requests), ..LoadPlan::to(target) }
}

/// Four standard deviations of a share of `n` draws: reached by chance once in 16,000 looks.
fn tolerance(share: f64, n: u64) -> f64 {
    4.0 * (share * (1.0 - share) / n as f64).sqrt()
}

#[tokio::test(flavor = "multi_thread")]
async fn observed_shares_are_the_weights() {
    let _machine = alone().await;
    for (mode, unit) in [("sticky", Unit::Users), ("random", Unit::Requests)] {
        let models = Models::plain().await;
        let mut plane = Plane::start().await;
        let envoy = plane.envoy(&models, EnvoyOptions::default()).await;
        let mut all = Vec::new();
        for (seed, weight) in (1..).zip(WEIGHTS) {
            let assignment = match mode {
                "sticky" => {
                    json!({"mode": "sticky", "salt": "ranker/1", "keys": [{"header": "x-user-id"}]})
                }
                _ => json!({"mode": "random"}),
            };
            plane
                .put(|generation| policy(generation, json!({"arms": arms(weight), "assignment": assignment})))
                .await;
            let records = Load::start(load(envoy.addr, seed, 12_000)).expect("a load").wait().await;
            let (stable, canary) = (models.stable.log().arrivals(), models.canary.log().arrivals());
            let (share, n) =
                Ledger::new(&records, &stable, &canary).share(&(0..u64::MAX), unit).expect("some");
            let wanted = f64::from(weight) / 1e6;
            println!("{mode}: weight {:>7} ppm, observed {share:.5} of {n}", weight);
            assert!((share - wanted).abs() <= tolerance(wanted, n), "{mode} {weight}: {share} of {n}");
            all.extend(records);
        }
        if mode == "sticky" {
            let (stable, canary) = (models.stable.log().arrivals(), models.canary.log().arrivals());
            let left = Ledger::new(&all, &stable, &canary).left_canary(&(0..u64::MAX), 0);
            println!("sticky: {} users left the canary while the weight rose", left.len());
            assert!(left.is_empty(), "{left:?}");
        }
    }
}

/// The same user goes the same way through a restarted Envoy.
#[tokio::test(flavor = "multi_thread")]
async fn users_keep_their_arm_over_a_restart() {
    let _core = tests::a_core().await;
    let models = Models::plain().await;
    let mut plane = Plane::start().await;
    let envoy = plane.envoy(&models, EnvoyOptions::default()).await;
    let generation = plane.put(|generation| policy(generation, json!({}))).await;
    let before = versions(envoy.addr).await;
    let envoy = envoy.restart().await;
    plane.in_force(generation).await;
    assert_eq!(versions(envoy.addr).await, before);
    assert!(before.values().any(|version| version == "v1") && before.values().any(|version| version == "v2"));
}

async fn versions(target: SocketAddr) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    for user in 0..60 {
        let user = format!("user-{user}");
        let answer = tests::get(target, "/", &[("x-user-id", &user)]).await.expect("an answer");
        versions.insert(user, answer.version().unwrap_or("none").to_owned());
    }
    versions
}
