//! A mesh of which only a part is read.

use rollout::State;

use super::world::{Admins, Canary, World};
use super::*;

const STAGES: &str = "  stages: [{weight: 10%, bake: 5s, deadline: 2h}, {weight: 50%, bake: 5s, deadline: 2h}, {weight: 100%, bake: 1h, deadline: 2h}]
  gates: [{name: errors, metric: error_rate, max: 50%, minSamples: 20}]
";

/// Who is read in the end, as far as the first stage, and what the plan says of it.
#[derive(Clone, Copy, Debug)]
enum Silent {
    FromTheStart,
    InTheMiddle,
}

async fn world(silent: Silent, more: &str) -> World {
    let mut world = World::new([]).await;
    world.second_admin = Some(Admins::Two { silent: matches!(silent, Silent::FromTheStart) });
    world.apply(&spec("v1", "v2", &format!("{STAGES}{more}"))).await;
    if matches!(silent, Silent::InTheMiddle) {
        world.until("ranker", "stage 1", |state| state.weights.canary_ppm == 100_000).await;
        world.second().await;
        world.second_admin = Some(Admins::Two { silent: true });
    }
    world
}

fn weight(state: &State) -> u32 {
    state.weights.canary_ppm
}

/// By default 95 % of the proxies that are read must speak: one of two is no proof, and no exposure.
#[tokio::test]
async fn a_part_of_the_counts_proves_nothing_unless_the_plan_says_so() {
    for (silent, held) in [(Silent::FromTheStart, 0), (Silent::InTheMiddle, 100_000)] {
        let mut partly = world(silent, "").await;
        partly.seconds(60).await;
        let state = partly.state("ranker").expect("a run");
        assert_eq!(weight(state), held, "{silent:?}: {}", state.message());
        let view = partly.view("ranker");
        let said = format!("{:?} {}", view.run.attention, view.run.message);
        assert!(said.contains("b does not answer"), "{silent:?}: {said}");
        // Of the part that speaks harm is seen all the same.
        if held > 0 {
            partly.canary = Canary::Fails;
            partly.until("ranker", "back", |state| weight(state) == 0).await;
        } else {
            partly.second_admin = Some(Admins::Two { silent: false });
            partly.until("ranker", "stage 1", |state| weight(state) == 100_000).await;
        }
        // Whoever lowers the quorum has a part decide.
        let mut told = world(silent, "  acknowledge: {quorum: 50%}\n").await;
        told.until("ranker", "stage 2", |state| weight(state) == 500_000).await;
    }
}

/// A proxy that carries the canary and whose counters nobody reads is told of; where the plan expects it by name, its counts
/// are missing like those of one that is silent.
#[tokio::test]
async fn who_is_expected_by_name_must_be_read() {
    for (more, exposed) in [
        ("", true),
        ("  acknowledge: {expect: {count: 2}}\n", true),
        ("  acknowledge: {expect: {names: [a, b]}}\n", false),
        ("  acknowledge: {quorum: 50%, expect: {names: [a, b]}}\n", true),
    ] {
        let mut world = World::new([]).await;
        world.second_admin = Some(Admins::One);
        world.apply(&spec("v1", "v2", &format!("{STAGES}{more}"))).await;
        world.seconds(40).await;
        let state = world.state("ranker").expect("a run");
        assert_eq!(weight(state) > 0, exposed, "{more}: {}", state.message());
        let view = world.view("ranker");
        let said = format!("{:?} {}", view.run.attention, view.run.message);
        assert!(said.contains("b takes the weights, and its counters are not read"), "{more}: {said}");
        if !exposed {
            world.second_admin = Some(Admins::Two { silent: false });
            world.until("ranker", "stage 2", |state| weight(state) == 500_000).await;
        }
    }
}
