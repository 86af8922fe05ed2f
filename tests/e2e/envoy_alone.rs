//! An Envoy without a controller, and a client who would like to choose its arm.

use serde_json::json;

use tests::{EnvoyOptions, EnvoyProcess, Models, Plane, a_core, arms, get, policy};

#[tokio::test(flavor = "multi_thread")]
async fn serves_stable_with_no_controller_in_sight() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let envoy = EnvoyProcess::with_models(&models, EnvoyOptions::default()).await;
    for forged in [None, Some("canary"), Some("baseline")] {
        let headers: Vec<(&str, &str)> = forged.iter().map(|arm| ("x-serin-arm", *arm)).collect();
        let answer = get(envoy.addr, "/v1/predict", &headers).await.expect("an answer");
        assert_eq!((answer.status, answer.model()), (200, Some("v1")), "{forged:?}");
        assert_eq!(answer.version(), None, "passing through touches nothing");
    }
    assert_eq!(envoy.counted().await.counters.len(), 0);
}

/// The filter gone from the chain, as after FAIL_OPEN, and the client's own routing header: still stable.
#[tokio::test(flavor = "multi_thread")]
async fn a_bypassed_filter_and_a_forged_header_still_go_to_stable() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let without_filter = |config: &mut serde_json::Value| {
        let filters = config
            .pointer_mut("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters")
            .and_then(serde_json::Value::as_array_mut)
            .expect("filters");
        let before = filters.len();
        filters.retain(|filter| filter["name"] != "serin");
        assert_eq!(filters.len(), before - 1);
    };
    let options = EnvoyOptions { edit: Box::new(without_filter), ..EnvoyOptions::default() };
    let envoy = EnvoyProcess::with_models(&models, options).await;
    let answer = get(envoy.addr, "/v1/predict", &[("x-serin-arm", "canary")]).await.expect("an answer");
    assert_eq!((answer.status, answer.model()), (200, Some("v1")));
}

/// With the filter in place a forged header is worth nothing either: it is overwritten in every path.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_header_does_not_choose_the_arm() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let mut plane = Plane::start().await;
    let envoy = plane.envoy(&models, EnvoyOptions::default()).await;
    plane.put(|generation| policy(generation, json!({"arms": arms(0)}))).await;
    let answer =
        get(envoy.addr, "/", &[("x-user-id", "a"), ("x-serin-arm", "canary")]).await.expect("an answer");
    assert_eq!((answer.model(), answer.version()), (Some("v1"), Some("v1")));
}
