//! After the promotion: a version that stays what it was, and one that does not.

use api::PhaseName::{HandBack, Succeeded};
use api::{GateStanding, GateWatchView, WatchView};
use demo::load::{Load, LoadPlan};
use demo::model::Behaviour;

use tests::{EnvoyOptions, Models, Seen, Serin, alone, until};

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

fn watch(view: &Seen) -> WatchView {
    view.run.watch.clone().unwrap_or_default()
}

/// The watched gate.
fn errors(view: &Seen) -> GateWatchView {
    watch(view).gates.into_iter().next().unwrap_or_default()
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
    let enough = |view: &Seen| view.is(HandBack) && view.run.exposed.requests > 3_000;
    serin.until("ranker", "a baseline", enough).await;
    // Somebody deploys v2 as stable, and says so.
    models.stable.set(good.clone()).expect("a behaviour");
    done(&serin, &["promote", "ranker"]).await;
    let view = serin.until("ranker", "the end", |view| view.is(Succeeded)).await;
    let since = watch(&view).since_unix_ms;
    let baseline = view.run.baseline.as_ref().expect("a baseline");
    // Of some of those who were exposed the answer was still awaited.
    assert!(baseline.version == "v2" && baseline.counts.outcomes >= 2_000, "{view}");
    let left_out: Vec<String> = watch(&view).left_out.into_iter().map(|gate| gate.name).collect();
    assert_eq!(left_out, ["clicks"]);

    // The end is shown while it is being written; only what the store has survives the kill.
    until("the end in the store", async || {
        let stored = serin.exported("ranker", &["--run", "1"]).await.view;
        if stored.as_ref().is_some_and(|view| view.phase == Succeeded) {
            Ok(())
        } else {
            Err(format!("{stored:?}"))
        }
    })
    .await;
    // At weight 0 stable is counted on, under the new version's name, and by the next controller too.
    serin.kill();
    serin.run().await;
    let healthy = |view: &Seen| errors(view).n > 3_000;
    let view = serin.until("ranker", "a healthy while", healthy).await;
    println!("healthy: {}", errors(&view).why);
    assert!(errors(&view).standing == GateStanding::Within && watch(&view).since_unix_ms == since, "{view}");
    assert!(!serin.log().contains("has drifted"), "{}", serin.log());

    models.stable.set(Behaviour { error_share: 0.3, ..good.clone() }).expect("a behaviour");
    let view = serin.until("ranker", "drift", |view| errors(view).standing == GateStanding::Drift).await;
    println!("drift: {}", errors(&view).why);
    assert!(view.is(Succeeded) && view.run.weight_ppm == 0, "{view}");
    assert!(serin.log().contains("v2 has drifted since it was promoted: gate errors"), "{}", serin.log());
    let text = done(&serin, &["get", "ranker"]).await;
    assert!(text.contains("watching: v2 since") && text.contains("drift        errors"), "{text}");
    assert!(done(&serin, &["history", "ranker", "--run", "1"]).await.contains("Drift of v2: gate errors"));
    let metrics = serin.metrics().await;
    assert!(metrics.contains("serin_watch_drift{rollout=\"ranker\",gate=\"errors\"} 1"), "{metrics}");

    // Quiet while it is repaired, and well again.
    done(&serin, &["pause", "ranker", "--reason", "we know"]).await;
    models.stable.set(good).expect("a behaviour");
    done(&serin, &["resume", "ranker"]).await;
    let view = serin.until("ranker", "health", |view| errors(view).standing == GateStanding::Within).await;
    println!("after: {}", errors(&view).why);
    load.stop().await;

    // The next run ends it.
    serin.apply(&SPEC.replace("version: v2", "version: v3").replace("version: v1", "version: v2")).await;
    serin.until("ranker", "the next run", |view| view.run.run == 2).await;
    assert!(done(&serin, &["history", "ranker", "--run", "1"]).await.contains("ends as run 2 begins"));
}
