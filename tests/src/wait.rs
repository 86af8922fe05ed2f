use std::fmt::Debug;
use std::time::{Duration, Instant};

use demo::load::Load;

use super::Models;

/// Longer than anything here takes on a slow machine; reached only when something is wrong.
const DEADLINE: Duration = Duration::from_secs(60);

/// Looks again and again until `look` finds what it wants; panics with the last thing seen when it never does.
pub async fn until<T, S: Debug>(what: &str, look: impl AsyncFnMut() -> Result<T, S>) -> T {
    within(DEADLINE, what, look).await
}

/// The same with a deadline of one's own.
pub async fn within<T, S: Debug>(
    deadline: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, S>,
) -> T {
    let begun = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) => {
                assert!(begun.elapsed() < deadline, "waited {deadline:?} for {what}; last seen: {seen:?}")
            }
        }
        // Not a wait for something to have happened: only the pause between two looks.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until a hundred requests went by and none of them reached the canary.
pub async fn left_alone(models: &Models, load: &Load) {
    let mut seen = (models.canary.log().len(), load.sent());
    until("the canary to be left alone", async || {
        let (arrived, sent) = (models.canary.log().len(), load.sent());
        if arrived > seen.0 {
            seen = (arrived, sent);
        }
        if sent >= seen.1 + 100 { Ok(()) } else { Err(arrived) }
    })
    .await;
}
