//! What a proxy takes, what it refuses, and that a refusal changes nothing.

use serde_json::json;
use tally::What;

use tests::{EnvoyOptions, EnvoyProcess, Models, Plane, a_core, arms, get, policy, until};

/// A user who is at 100 % and not at 0 %.
async fn model(envoy: &EnvoyProcess) -> Option<String> {
    let answer = get(envoy.addr, "/", &[("x-user-id", "somebody")]).await.expect("an answer");
    answer.model().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_policy_leaves_traffic_as_it_was_and_names_the_reason() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let mut plane = Plane::start().await;
    let envoy = plane.envoy(&models, EnvoyOptions::default()).await;
    plane.put(|generation| policy(generation, json!({"arms": arms(1_000_000)}))).await;
    assert_eq!(model(&envoy).await.as_deref(), Some("v2"));

    let too_heavy = json!({"arms": arms(1_000_001)});
    for (bad, reason) in [
        (
            Box::new(|generation| policy(generation, too_heavy)) as Box<dyn FnOnce(u64) -> serde_json::Value>,
            "weight",
        ),
        (Box::new(|generation| policy(generation, json!({"weihgt": 1}))), "malformed"),
    ] {
        let generation = plane.publish(bad);
        let nodes = plane.ecds.nodes();
        let refused = until("the refusal", async || {
            let known = nodes.borrow().0.get("envoy-1").and_then(|node| node.refused.clone());
            known.clone().filter(|refused| refused.generation == generation).ok_or(known)
        })
        .await;
        assert!(refused.reason.contains("serin"), "{refused:?}");
        let counted = envoy.counted().await;
        assert!(counted.refusals().get(reason).is_some_and(|n| *n > 0), "{reason}: {:?}", counted.others);
        assert_eq!(counted.accepted.as_deref(), Some("1-1"), "the good one stays in force");
        assert_eq!(model(&envoy).await.as_deref(), Some("v2"), "traffic is as it was after {reason}");
    }

    plane.put(|generation| policy(generation, json!({"arms": arms(0)}))).await;
    assert_eq!(model(&envoy).await.as_deref(), Some("v1"), "a good one is taken again");
}

/// An old leader, or an answer out of order: taken by Envoy, ignored by the filter, counted.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_policy_never_undoes_a_newer_one() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let mut plane = Plane::start().await;
    let envoy = plane.envoy(&models, EnvoyOptions::default()).await;
    plane.put(|generation| policy(generation, json!({"arms": arms(1_000_000)}))).await;
    plane.put(|generation| policy(generation, json!({"arms": arms(0)}))).await;
    assert_eq!(model(&envoy).await.as_deref(), Some("v1"));
    for stale in [
        policy(1, json!({"arms": arms(1_000_000)})),
        policy(9, json!({"arms": arms(1_000_000), "incarnation": 0})),
    ] {
        plane.put(|_| stale).await;
        assert_eq!(model(&envoy).await.as_deref(), Some("v1"), "the rollback stands");
        let counted = envoy.counted().await;
        assert!(counted.refusals().get("stale").is_some_and(|n| *n > 0), "{:?}", counted.others);
        assert_eq!(counted.gauge("policy_generation", &[]), Some(2));
    }
    // The next good one is taken as ever.
    plane.put(|_| policy(3, json!({"arms": arms(1_000_000)}))).await;
    assert_eq!(model(&envoy).await.as_deref(), Some("v2"));
}

/// Pushes so close together that a worker's turn comes after the next push was tried: the last one counts.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_pushes_ends_with_the_last() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let mut plane = Plane::start().await;
    let envoy = plane.envoy(&models, EnvoyOptions::default()).await;
    plane.put(|generation| policy(generation, json!({"arms": arms(1_000_000)}))).await;
    let mut pace = tokio::time::interval(std::time::Duration::from_millis(4));
    for _ in 0..300 {
        pace.tick().await;
        plane.publish(|generation| policy(generation, json!({"arms": arms(1_000_000)})));
    }
    plane.put(|generation| policy(generation, json!({"arms": arms(0)}))).await;
    for _ in 0..20 {
        assert_eq!(model(&envoy).await.as_deref(), Some("v1"));
    }
    let node = plane.ecds.nodes().borrow().0.get("envoy-1").cloned().expect("the proxy");
    assert_eq!(node.refused, None);
}

/// Two proxies on the path of one request: the first decides and counts, the second keeps what the first decided.
#[tokio::test(flavor = "multi_thread")]
async fn two_proxies_in_series_count_once_and_agree() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let mut inner = Plane::start().await;
    let mut outer = Plane::start().await;
    let follow = EnvoyOptions { role: envoy::bootstrap::Role::Follow, ..EnvoyOptions::default() };
    let second = inner.envoy(&models, follow).await;
    let options = EnvoyOptions {
        policy: Some(envoy::bootstrap::PolicySource::Grpc(outer.ecds_addr.into())),
        ..EnvoyOptions::default()
    };
    // Both routes of the first lead to the second.
    let first = EnvoyProcess::start(second.addr, second.addr, options).await;
    inner.put(|generation| policy(generation, json!({"role": {"follow": {"peers": ["*"]}}}))).await;
    outer.put(|generation| policy(generation, json!({}))).await;
    for user in 0..40 {
        let user = format!("user-{user}");
        let answer = get(first.addr, "/", &[("x-user-id", &user)]).await.expect("an answer");
        assert_eq!(answer.version(), answer.model(), "{user}");
        assert!(answer.version().is_some());
    }
    let assigned = |series: &tally::Series| matches!(series.what, What::Assigned(..));
    assert_eq!((first.count(assigned).await, second.count(assigned).await), (40, 0));
    let arms: Vec<u64> = vec![
        first.count(|series| assigned(series) && series.arm == split::Arm::Canary).await,
        first.count(|series| assigned(series) && series.arm == split::Arm::Stable).await,
    ];
    assert_eq!(
        arms,
        [models.canary.log().len() as u64, models.stable.log().len() as u64],
        "what was counted is what arrived"
    );
}
