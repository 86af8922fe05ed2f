//! A disk that is full, locked or stuck delays nothing that protects, in whatever state a run is; and what was taken back
//! stays taken back.

use rollout::{Pause, Phase, State};

use super::world::{Canary, Disk, Loss, World};
use super::*;

const LOSSES: [Loss; 3] = [Loss::Full, Loss::Locked, Loss::Stuck];

/// Where a run is when the disk is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Stage,
    Paused,
    Approval,
    All,
    HandBack,
}

const EVERYWHERE: [At; 5] = [At::Stage, At::Paused, At::Approval, At::All, At::HandBack];

/// What takes it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Abort,
    Fails,
    Hangs,
}

const GATES: &str = "  gates: [{name: errors, metric: error_rate, max: 50%, minSamples: 20}]
  guardrails: [{name: hanging, metric: overdue, max: 10%}]\n";

async fn run_at(at: At) -> World {
    let mut world = World::on(Disk::apart(), []).await;
    let stages = match at {
        At::Stage | At::Paused => {
            "{weight: 10%, bake: 1h, deadline: 2h}, {weight: 100%, bake: 1h, deadline: 2h}"
        }
        At::Approval => {
            "{weight: 10%, bake: 2s, deadline: 2h, approval: true}, {weight: 100%, bake: 1h, deadline: 2h}"
        }
        At::All => "{weight: 100%, bake: 1h, deadline: 2h}",
        At::HandBack => "{weight: 100%, bake: 2s, deadline: 2h}",
    };
    world.apply(&spec("v1", "v2", &format!("  stages: [{stages}]\n{GATES}"))).await;
    let exposed = |state: &State| state.stages.last().is_some_and(|stage| stage.acknowledged.is_some());
    world.until("ranker", "its first stage", exposed).await;
    match at {
        At::Stage | At::All => {}
        At::Paused => world.act("ranker", Act::Pause, "wait a moment").await,
        At::Approval => {
            let asks = |state: &State| state.phase == Phase::Paused(Pause::Approval);
            world.until("ranker", "a person's yes", asks).await;
        }
        At::HandBack => {
            world.until("ranker", "the hand-back", |state| matches!(state.phase, Phase::HandBack(_))).await;
        }
    }
    world.seconds(3).await;
    assert!(world.in_force("ranker").1 > 0, "{at:?}");
    world
}

#[track_caller]
fn is_back(world: &World, what: &str) {
    let phase = world.state("ranker").map(|state| state.phase.clone());
    assert_eq!((world.in_force("ranker").1, phase), (0, Some(Phase::RolledBack)), "{what}");
}

async fn check(at: At, loss: Loss, why: Why) {
    let what = format!("{at:?}, {loss:?}, {why:?}");
    let mut world = run_at(at).await;
    let begun = std::time::Instant::now();
    let lost = world.lose(loss);
    match why {
        Why::Abort => world.act("ranker", Act::Abort, "complaints").await,
        Why::Fails | Why::Hangs => {
            world.canary = if why == Why::Fails { Canary::Fails } else { Canary::Hangs };
            world.seconds(3).await;
        }
    }
    is_back(&world, &what);
    // Half a second for each second of the world's is what a raise would be waited for.
    assert!(begun.elapsed() < Duration::from_secs(20), "{what}: {:?}", begun.elapsed());
    let generation = world.in_force("ranker").0;
    let engine = world.engine_mut();
    assert!(engine.mesh.revoked_since(generation - 1).any(|name| name == "ranker"), "{what}");
    assert!(engine.not_yet_written().is_some(), "{what}: whoever asks is told");
    world.canary = Canary::Good;
    if loss == Loss::Stuck {
        // A thread that hangs in a write holds the file, as a process would.
        drop(lost);
        world.second().await;
        world.until_written().await;
        world.kill().await;
    } else {
        // The reserve knows.
        world.kill().await;
        is_back(&world, &format!("{what}, started again"));
        world.seconds(2).await;
        drop(lost);
    }
    world.seconds(3).await;
    world.until_written().await;
    is_back(&world, &format!("{what}, and when the disk is back"));
    assert!(world.engine_mut().not_yet_written().is_none(), "{what}: it is written");
    world.kill().await;
    is_back(&world, &format!("{what}, and after that"));
    let aborts =
        world.seen().journal.iter().filter(|line| line.2 == "act" && line.4 == "abort/complaints").count();
    assert_eq!(aborts, usize::from(why == Why::Abort), "{what}: said once");
}

#[tokio::test]
async fn an_abort_waits_for_no_disk() {
    for (at, loss) in EVERYWHERE.into_iter().flat_map(|at| LOSSES.map(|loss| (at, loss))) {
        check(at, loss, Why::Abort).await;
    }
}

#[tokio::test]
async fn harm_is_found_and_acted_on_whatever_the_disk_does() {
    let states = [At::Stage, At::Paused, At::Approval, At::All];
    for (at, loss) in states.into_iter().flat_map(|at| LOSSES.map(|loss| (at, loss))) {
        for why in [Why::Fails, Why::Hangs] {
            check(at, loss, why).await;
        }
    }
}

/// What would rise waits, its evidence counts meanwhile, and it goes on when the disk is back.
#[tokio::test]
async fn nothing_rises_while_the_disk_is_lost_and_no_count_is() {
    for loss in LOSSES {
        let mut world = World::on(Disk::apart(), []).await;
        let stages = "  stages: [{weight: 10%, bake: 5s, deadline: 2h}, {weight: 50%, bake: 1h, deadline: 2h}, {weight: 100%, bake: 1h, deadline: 2h}]\n";
        world.apply(&spec("v1", "v2", &format!("{stages}{GATES}"))).await;
        world.until("ranker", "stage 1", |state| state.weights.canary_ppm == 100_000).await;
        world.seconds(2).await;
        let before = world.state("ranker").expect("a run").exposed.requests;
        let lost = world.lose(loss);
        world.seconds(12).await;
        let state = world.state("ranker").expect("a run");
        assert_eq!(world.in_force("ranker").1, 100_000, "{loss:?}");
        assert!(
            state.exposed.requests >= before + 1_000,
            "{loss:?}: {} after {before}",
            state.exposed.requests
        );
        drop(lost);
        world.until_written().await;
        world.until("ranker", "stage 2", |state| state.weights.canary_ppm == 500_000).await;
        let all = world.state("ranker").expect("a run").exposed.requests;
        assert!(all >= before + 1_000, "{loss:?}: {all}");
        world.seconds(2).await;
        world.until_written().await;
        world.kill().await;
        assert_eq!(world.state("ranker").map(|state| state.weights.canary_ppm), Some(500_000), "{loss:?}");
    }
}

/// A decision for which the disk takes its time is done when it is written, unless it was taken back meanwhile.
#[tokio::test]
async fn what_was_taken_back_meanwhile_does_not_rise_when_a_slow_disk_answers() {
    for abort in [false, true] {
        let mut world = run_at(At::Stage).await;
        world.until_idle().await;
        let lost = world.lose(Loss::Stuck);
        let human = Human { who: "ben".to_owned(), reason: "faster".to_owned() };
        let late = world.engine_mut().act("ranker", Act::SetWeight(300_000), human).await;
        let Err(Refusal::Failed(why)) = late else { panic!("{late:?}") };
        assert!(why.contains("slow"), "{why}");
        assert_eq!(world.in_force("ranker").1, 100_000);
        if abort {
            world.act("ranker", Act::Abort, "complaints").await;
            is_back(&world, "taken back");
        }
        drop(lost);
        world.until_written().await;
        world.seconds(2).await;
        world.until_written().await;
        let expected = if abort { 0 } else { 300_000 };
        assert_eq!(world.in_force("ranker").1, expected);
        world.kill().await;
        world.second().await;
        assert_eq!(world.in_force("ranker").1, expected, "started again");
    }
}

/// A run that the store took too late, when it was not to begin any more, does not begin after a restart either.
#[tokio::test]
async fn what_never_took_effect_does_not_come_to_life_by_a_restart() {
    for before in [false, true] {
        let mut world = World::on(Disk::apart(), []).await;
        if before {
            world.apply(&spec("v1", "v2", GATES)).await;
            world.seconds(2).await;
            world.act("ranker", Act::Abort, "complaints").await;
            world.until_written().await;
        }
        world.until_idle().await;
        let stuck = world.lose(Loss::Stuck);
        let late = world.apply_once(&spec("v1", "v3", GATES)).await;
        let Err(Refusal::Failed(why)) = late else { panic!("{late:?}") };
        assert!(why.contains("slow"), "{why}");
        world.engine_mut().void_late();
        drop(stuck);
        world.until_stored("v3").await;
        let full = world.lose(Loss::Full);
        world.until_idle().await;
        let number =
            |world: &World| world.state("ranker").map(|state| (state.run, state.plan.canary.clone()));
        let there = before.then(|| (1, "v2".to_owned()));
        assert_eq!(number(&world), there);
        world.kill().await;
        assert_eq!(number(&world), there, "started again on the full disk, {before}");
        world.seconds(2).await;
        assert_eq!(number(&world), there, "{before}");
        drop(full);
        world.until_written().await;
        world.kill().await;
        assert_eq!(number(&world), there, "written, {before}");
        // And its name and number are free.
        world.apply(&spec("v1", "v4", GATES)).await;
        world.until_written().await;
        world.kill().await;
        assert_eq!(number(&world).map(|(_, canary)| canary), Some("v4".to_owned()), "{before}");
    }
}

/// Back to the version from before, with its whole run, on a full disk.
#[tokio::test]
async fn a_promoted_version_is_gone_back_from_without_a_disk() {
    for loss in LOSSES {
        let mut world = run_at(At::HandBack).await;
        world.act("ranker", Act::Promote, "stable serves it").await;
        world.until("ranker", "the end", State::is_over).await;
        world.until_written().await;
        let lost = world.lose(loss);
        world.roll_back("ranker", "clicks fell").await;
        assert_eq!(
            world.in_force("ranker").1,
            1_000_000,
            "{loss:?}: all traffic goes to the version from before"
        );
        if loss != Loss::Stuck {
            world.kill().await;
            let state = world.state("ranker").expect("a run");
            assert_eq!((state.run, state.weights.canary_ppm), (2, 1_000_000), "{loss:?}");
        }
        drop(lost);
        world.seconds(3).await;
        world.until_written().await;
        world.kill().await;
        let state = world.state("ranker").expect("a run");
        assert_eq!((state.run, state.plan.canary.as_str()), (2, "v1"), "{loss:?}");
        assert!(world.engine_mut().past("ranker", 1).is_ok(), "{loss:?}: the run before it is kept");
    }
}

/// A challenger that does harm is dropped though nothing can be written, and the others go on.
#[tokio::test]
async fn a_harmful_challenger_goes_alone_whatever_the_disk_does() {
    for loss in LOSSES {
        let mut world = World::on(Disk::apart(), []).await;
        let arms = "  arms: [{name: b, version: v3}]\n  choose: {after: 10%}\n";
        let stages =
            "  stages: [{weight: 10%, bake: 1h, deadline: 2h}, {weight: 100%, bake: 1h, deadline: 2h}]\n";
        world.apply(&spec("v1", "v2", &format!("{arms}{stages}{GATES}"))).await;
        let exposed = |state: &State| state.stages.last().is_some_and(|stage| stage.acknowledged.is_some());
        world.until("ranker", "stage 1", exposed).await;
        let lost = world.lose(loss);
        world.fails = Some("v3".to_owned());
        world.seconds(3).await;
        let state = world.state("ranker").expect("a run");
        assert_eq!(state.plan.arms_in().count(), 1, "{loss:?}: {}", state.message());
        assert_eq!(world.in_force("ranker").1, 100_000, "{loss:?}");
        drop(lost);
    }
}
