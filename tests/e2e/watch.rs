//! After the promotion: a version that stays what it was, and one that does not.

use demo::load::{Load, LoadPlan};
use demo::model::Behaviour;
use serde_json::Value;

use tests::{EnvoyOptions, Models, Serin, alone};

const SPEC: &str = "
apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: ranker}
spec:
  stable: {version: v1}
  canary: {version: v2}
  stages: [{weight: 100%, bake: 1s, deadline: 10m}]
  gates:
    - {name: errors, metric: error_rate, against: stable, margin: 2x}
    - {name: clicks, source: {push: {}}, max: 1, level: advisory}
  handBack: {steps: [0%]}
  watch: {for: always}
";

fn errors(view: &Value) -> &Value {
    &view["watch"]["gates"][0]
}

async fn done(serin: &Serin, arguments: &[&str]) -> String {
    let (code, text) = serin.command(arguments).await;
    assert_eq!(code, 0, "{text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_turns_bad_after_its_promotion_is_told_of() {
    let _machine = alone().await;
    let good = Behaviour { error_share: 0.01, ..Behaviour::plain("v2") };
    let models = Models::behaving(Behaviour::plain("v1"), good.clone()).await;
    let mut serin = Serin::start(&models, EnvoyOptions::default()).await;
    let load = Load::start(LoadPlan { rate: 300.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    serin.apply(SPEC).await;
    let enough =
        |view: &Value| view["phase"] == "HandBack" && view["exposed"]["requests"].as_u64() > Some(3_000);
    serin.until("ranker", "a baseline", enough).await;
    // Somebody deploys v2 as stable, and says so.
    models.stable.set(good.clone()).expect("a behaviour");
    done(&serin, &["promote", "ranker"]).await;
    let view = serin.until("ranker", "the end", |view| view["phase"] == "Succeeded").await;
    let since = view["watch"]["since_unix_ms"].clone();
    assert_eq!(view["baseline"]["version"], "v2");
    // Of some of those who were exposed the answer was still awaited.
    assert!(view["baseline"]["counts"]["outcomes"].as_u64() >= Some(2_000), "{}", view["baseline"]);
    assert_eq!(view["watch"]["left_out"][0]["name"], "clicks", "{}", view["watch"]);

    // At weight 0 stable is counted on, under the new version's name, and by the next controller too.
    serin.kill();
    serin.run().await;
    let healthy = |view: &Value| errors(view)["n"].as_u64() > Some(3_000);
    let view = serin.until("ranker", "a healthy while", healthy).await;
    println!("healthy: {}", errors(&view)["why"]);
    assert_eq!((&errors(&view)["standing"], &view["watch"]["since_unix_ms"]), (&"within".into(), &since));
    assert!(!serin.log().contains("has drifted"), "{}", serin.log());

    models.stable.set(Behaviour { error_share: 0.3, ..good.clone() }).expect("a behaviour");
    let view = serin.until("ranker", "drift", |view| errors(view)["standing"] == "drift").await;
    println!("drift: {}", errors(&view)["why"]);
    assert_eq!((&view["phase"], &view["weight_ppm"]), (&"Succeeded".into(), &0.into()));
    assert!(serin.log().contains("v2 has drifted since it was promoted: gate errors"), "{}", serin.log());
    let text = done(&serin, &["get", "ranker"]).await;
    assert!(text.contains("watching: v2 since") && text.contains("drift        errors"), "{text}");
    assert!(done(&serin, &["history", "ranker", "--run", "1"]).await.contains("Drift of v2: gate errors"));
    let metrics = reqwest::get(serin.url("/metrics")).await.expect("metrics").text().await.expect("text");
    assert!(metrics.contains("serin_watch_drift{rollout=\"ranker\",gate=\"errors\"} 1"), "{metrics}");

    // Quiet while it is repaired, and well again.
    done(&serin, &["pause", "ranker", "--reason", "we know"]).await;
    models.stable.set(good).expect("a behaviour");
    done(&serin, &["resume", "ranker"]).await;
    let view = serin.until("ranker", "health", |view| errors(view)["standing"] == "within").await;
    println!("after: {}", errors(&view)["why"]);
    load.stop().await;

    // The next run ends it.
    serin.apply(&SPEC.replace("version: v2", "version: v3").replace("version: v1", "version: v2")).await;
    serin.until("ranker", "the next run", |view| view["run"] == 2).await;
    assert!(done(&serin, &["history", "ranker", "--run", "1"]).await.contains("ends as run 2 begins"));
}
