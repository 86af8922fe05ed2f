//! A run is timed by the monotonic clock and dated by the wall clock; neither jumps it anywhere.

use super::crash::{check, script};
use super::world::{Canary, Jump, Seen, World};

async fn told(jumps: impl IntoIterator<Item = (usize, Jump)>) -> (Seen, usize) {
    let mut world = World::new([]).await;
    world.jumps.extend(jumps);
    script(&mut world).await;
    (world.seen(), world.seconds)
}

#[tokio::test]
async fn clocks_that_jump_in_any_second_change_nothing_that_can_be_seen() {
    let (expected, seconds) = told([]).await;
    let hour = 3_600_000;
    for second in 0..seconds {
        for jump in [Jump::Set(hour), Jump::Set(-hour), Jump::Sleep(86_400_000), Jump::PowerCycle] {
            let (seen, told) = told([(second, jump)]).await;
            check(&seen, &expected, 1, &format!("{jump:?} in second {second}"));
            // A jump costs the evidence of a look or two, no more.
            assert!(told <= seconds + 12, "{jump:?} in second {second}: {told} seconds, not {seconds}");
        }
    }
}

/// How many seconds a harmful canary lasts when the clocks jump just before, or while it does harm.
async fn lasts(how: Canary, jumps: impl IntoIterator<Item = (usize, Jump)>) -> usize {
    let mut world = World::new([]).await;
    let more = "  stages: [{weight: 10%, bake: 1h, deadline: 2h}, {weight: 100%, bake: 1h, deadline: 2h}]
  gates: [{name: errors, metric: error_rate, max: 50%, minSamples: 20}]
  guardrails: [{name: hanging, metric: overdue, max: 10%}]\n";
    world.apply(&super::spec("v1", "v2", more)).await;
    world.until("ranker", "stage 1", |state| state.weights.canary_ppm == 100_000).await;
    world.seconds(12).await;
    let begun = world.seconds;
    world.jumps.extend(jumps.into_iter().map(|(after, jump)| (begun + after, jump)));
    world.canary = how;
    for second in 1..=60 {
        world.second().await;
        if world.state("ranker").is_some_and(|state| state.phase == rollout::Phase::RolledBack) {
            return second;
        }
    }
    panic!("{how:?} is never found");
}

#[tokio::test]
async fn harm_is_found_as_soon_whatever_the_wall_clock_does() {
    for how in [Canary::Fails, Canary::Hangs] {
        let usual = lasts(how, []).await;
        for by_ms in [-900_000, 900_000, -3_000, 3_000, -86_400_000] {
            for after in 0..=usual {
                let found = lasts(how, [(after, Jump::Set(by_ms))]).await;
                assert!(
                    found <= usual + 2,
                    "{how:?}, set by {by_ms} after {after} s: {found} s, not {usual}"
                );
            }
            // Set again and again, as by a daemon that fights another.
            let found = lasts(how, (0..60).map(|after| (after, Jump::Set(by_ms)))).await;
            assert!(found <= usual + 2, "{how:?}, set by {by_ms} every second: {found} s, not {usual}");
        }
    }
}

/// Whatever the outage lasts, the stage takes the seconds of its bake in which a process ran, and no more of them than before.
#[tokio::test]
async fn an_outage_of_the_process_is_no_bake() {
    const BAKE_S: usize = 15;
    for away_ms in [2_000, 16_000, 3_600_000] {
        let mut world = World::new([]).await;
        let more = "  stages: [{weight: 5%, bake: 15s, deadline: 5h, gates: []}, {weight: 100%, bake: 1h, deadline: 5h, gates: []}]\n";
        world.apply(&super::spec("v1", "v2", more)).await;
        world.until("ranker", "stage 1", |state| state.weights.canary_ppm == 50_000).await;
        let begun = world.seconds;
        world.seconds(5).await;
        world.stay_away(away_ms).await;
        world.until("ranker", "stage 2", |state| state.weights.canary_ppm == 1_000_000).await;
        let lasted = world.seconds - begun;
        assert!((BAKE_S..BAKE_S + 15).contains(&lasted), "{away_ms} ms away: {lasted} s");
    }
}
