//! A run is timed by the monotonic clock and dated by the wall clock; neither jumps it anywhere.

use super::crash::{check, script};
use super::world::{Jump, Seen, World};

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
