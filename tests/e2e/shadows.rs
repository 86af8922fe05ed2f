//! Copies before users.

use api::Answer;
use api::PhaseName::{Progressing, RolledBack};
use demo::load::{Load, LoadPlan, Record};
use demo::model::Behaviour;

use tests::{EnvoyOptions, Models, Seen, Serin, a_core};

const SPEC: &str = "
apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: ranker}
spec:
  stable: {version: v1}
  canary: {version: v2}
  gates:
    - {name: errors, metric: error_rate, against: stable, margin: 3x, passBelow: 5%}
    - {name: latency, metric: latency_p99, against: stable, margin: 100%}
  stages:
    - {shadow: 50%, bake: 1s, deadline: 10m}
    - {weight: 5%, bake: 1h, deadline: 3h}
    - {weight: 100%, bake: 1s}
";

struct Shadowed {
    view: Seen,
    answers: Vec<Record>,
    /// The routing header of every request the canary got.
    arms: Vec<String>,
}

/// Runs until the shadow is over, one way or the other, while users are at work.
async fn shadowed(canary: Behaviour) -> Shadowed {
    let models = Models::behaving(Behaviour::plain("v1"), canary).await;
    let serin = Serin::start(&models, EnvoyOptions::default()).await;
    let load = Load::start(LoadPlan { rate: 150.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    serin.apply(SPEC).await;
    let over = |view: &Seen| view.is(RolledBack) || view.run.stage == 2;
    let view = serin.until("ranker", "the end of the shadow", over).await;
    let answers = load.take_records();
    let arms = models.canary.log().with(|arrivals| {
        arrivals.iter().map(|arrival| arrival.arm.as_deref().unwrap_or_default().to_owned()).collect()
    });
    load.stop().await;
    Shadowed { view, answers, arms }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_version_is_rolled_back_before_anybody_met_it() {
    let _core = a_core().await;
    let seen = shadowed(Behaviour { error_share: 0.2, ..Behaviour::plain("v2") }).await;
    let reason = seen.view.reason();
    println!("rolled back from a shadow, after {} copies: {reason}", seen.arms.len());
    assert!(reason.contains("errors") && seen.view.run.stage == 1, "{}", seen.view);
    assert_eq!(seen.view.run.exposed.requests, 0, "nobody meets a shadow");
    assert!(!seen.arms.is_empty() && seen.arms.iter().all(|arm| arm == "shadow"), "a copy says what it is");
    let disturbed = seen.answers.iter().filter(|answer| answer.failed()).count();
    assert_eq!(disturbed, 0, "of {} users", seen.answers.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_version_goes_on_to_users_when_its_copies_prove_it() {
    let _core = a_core().await;
    let seen = shadowed(Behaviour::plain("v2")).await;
    assert!(seen.view.is_at(Progressing, 2), "{}", seen.view);
    let [errors, latency] = seen.view.gates(1) else { panic!("{}", seen.view) };
    println!("after {} copies: {}; {}", seen.arms.len(), errors.why, latency.why);
    // Answer times of copies are told, and decide nothing: a copy is sent after the live request.
    assert!(errors.answer == Answer::Pass && latency.answer == Answer::NotApplicable, "{}", seen.view);
    assert!(latency.why.contains("tells and decides nothing"), "{}", latency.why);
    #[allow(clippy::cast_precision_loss)] // counts
    let share = seen.arms.len() as f64 / seen.answers.len() as f64;
    assert!((0.35..0.65).contains(&share), "half of the requests are copied, not {share}");
}
