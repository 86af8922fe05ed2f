//! What was done under a key is known by the store, whatever became of the run it was done to.

use api::RollbackReply;
use manifest::{Percent, Span};
use rollout::State;
use tokio::sync::oneshot;

use super::world::World;
use super::*;

fn human() -> Human {
    Human { who: "ben".to_owned(), reason: "clicks fell".to_owned() }
}

fn under(key: &str) -> Conditions {
    Conditions { expect: None, key: Some(key.to_owned()) }
}

async fn goes_back(world: &mut World, to: Option<&str>, key: &str) -> Result<RollbackReply, Refusal> {
    let engine = world.engine_mut();
    let (answer, mut answered) = oneshot::channel();
    let order = RollbackOrder { to: to.map(str::to_owned), unverified: true };
    engine.roll_back("ranker".to_owned(), order, human(), under(key), answer).await;
    loop {
        match answered.try_recv() {
            Ok(said) => return said,
            Err(_) => {
                let report = engine.external.reported.recv().await.expect("an answer");
                engine.report(report).await;
            }
        }
    }
}

async fn promoted(world: &mut World) {
    world.until("ranker", "the hand-back", |state| matches!(state.phase, rollout::Phase::HandBack(_))).await;
    world.act("ranker", Act::Promote, &format!("stable serves it, {}", world.seconds)).await;
    world.until("ranker", "the end", State::is_over).await;
}

#[tokio::test]
async fn who_goes_back_under_a_key_goes_back_once() {
    let mut world = World::new([]).await;
    let stages = "  stages: [{weight: 100%, bake: 1s, deadline: 2h, gates: []}]\n";
    world.apply(&spec("v1", "v2", stages)).await;
    promoted(&mut world).await;
    let back = goes_back(&mut world, None, "k1").await.expect("begun");
    assert_eq!((back.run, back.begun), (2, true));
    let at = |world: &World| {
        let state = world.state("ranker").expect("a run");
        (state.run, state.plan.canary.clone(), state.weights.canary_ppm)
    };
    let there = at(&world);
    for restarts in 0..2 {
        let again = goes_back(&mut world, None, "k1").await.expect("as it was");
        assert_eq!((again.run, again.begun, at(&world)), (2, false, there.clone()), "{restarts}");
        world.kill().await;
    }
    // Its end is no reason to go the other way by the same word.
    promoted(&mut world).await;
    world.kill().await;
    assert_eq!(goes_back(&mut world, None, "k1").await.expect("as it was").run, 2);
    assert_eq!(at(&world).0, 2);
    match goes_back(&mut world, Some("v2"), "k1").await {
        Err(Refusal::Invalid(why)) => assert!(why.contains("another act (rollback)"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(goes_back(&mut world, Some("v2"), "k2").await.expect("another word").run, 3);
    promoted(&mut world).await;
    // While a run lasts it is taken back, and what began since is not.
    world.apply(&spec("v2", "v7", "")).await;
    assert!(!goes_back(&mut world, None, "k3").await.expect("taken back").begun);
    world.until("ranker", "the end", State::is_over).await;
    let stable = world.state("ranker").expect("a run").stable_version.clone();
    world.apply(&spec(&stable, "v8", "")).await;
    world.kill().await;
    let run = world.state("ranker").expect("a run").run;
    assert!(!goes_back(&mut world, None, "k3").await.expect("as it was").begun);
    let state = world.state("ranker").expect("a run");
    assert!(state.run == run && !state.is_over(), "{}", state.message());
}

#[tokio::test]
async fn who_deletes_under_a_key_deletes_once() {
    let mut world = World::new([]).await;
    let apply = async |world: &mut World, version: &str| {
        world.apply(&spec("v1", version, "")).await;
        world.act("ranker", Act::Abort, version).await;
    };
    apply(&mut world, "v2").await;
    for restarts in 0..3 {
        world.engine_mut().delete_if("ranker", &human(), &under("k1")).await.expect("deleted");
        assert!(world.state("ranker").is_none(), "{restarts}");
        world.kill().await;
    }
    match world.engine_mut().delete_if("ranker", &human(), &Conditions::default()).await {
        Err(Refusal::Unknown(_)) => {}
        other => panic!("{other:?}"),
    }
    // What bears its name by now is another.
    apply(&mut world, "v3").await;
    world.engine_mut().delete_if("ranker", &human(), &under("k1")).await.expect("as it was");
    assert!(world.state("ranker").is_some());
    world.engine_mut().delete_if("ranker", &human(), &under("k2")).await.expect("deleted");
    assert!(world.state("ranker").is_none());
}

#[tokio::test]
async fn who_orders_a_drill_under_a_key_gets_one() {
    let mut world = World::new([]).await;
    world.apply(&spec("v1", "v2", "")).await;
    world.act("ranker", Act::Abort, "complaints").await;
    let order = || Order::Drill { weight: Percent::from_ppm(0), limit: Span::from_ms(30_000) };
    let ordered = async |world: &mut World, key: &str| {
        world.engine_mut().order_if("ranker", order(), human(), &under(key)).await
    };
    for restarts in 0..3 {
        assert_eq!(ordered(&mut world, "k1").await.expect("begun"), 1, "{restarts}");
        world.kill().await;
    }
    while !world.engine_mut().exercise_names().is_empty() {
        world.second().await;
        assert!(world.seconds < 600, "it never ends");
    }
    assert_eq!(ordered(&mut world, "k2").await.expect("begun"), 2);
    assert_eq!(ordered(&mut world, "k1").await.expect("as it was"), 1);
    match world.engine_mut().act_if("ranker", Act::Promote, human(), &under("k1")).await {
        Err(Refusal::Invalid(why)) => assert!(why.contains("another act (drill 1)"), "{why}"),
        other => panic!("{other:?}"),
    }
}
