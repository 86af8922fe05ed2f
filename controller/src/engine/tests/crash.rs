//! A process that ends at any point loses nothing and repeats nothing that can be seen.

use std::fmt::Write as _;

use judge::random::SplitMix64;
use rollout::{HandBackProgress, Pause, Phase, State};

use super::world::{Fate, Seen, World};
use super::*;
use store::Failpoint;

fn text(name: &str, stable: &str, canary: &str, more: &str) -> String {
    format!(
        "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {{name: {name}}}\nspec:\n  stable: {{version: {stable}}}\n  canary: {{version: {canary}}}\n{more}"
    )
}

/// Everything a run can meet: a probe, stages by evidence and by a person's yes, the hand-back, a watch, an abort with the
/// next one waiting, a stage that a person moves past, one that takes the place of another, a ramp on the way down; what
/// is kept after the end, hooks then, and the way back to it.
pub async fn script(world: &mut World) {
    let asked = world.asked_file().display().to_string();
    let mut stages = String::from("  stages:\n");
    for stage in ["weight: 1%, bake: 3s", "weight: 50%, bake: 2s, approval: true", "weight: 100%, bake: 2s"] {
        let _ = writeln!(stages, "    - {{{stage}, deadline: 10m}}");
    }
    let gates = "  gates: [{name: errors, metric: error_rate, max: 50%, minSamples: 20}]\n";
    let hook =
        format!("  handBack: {{hook: {{command: [sh, -c, 'echo \"$SERIN_KEY\" >> {asked}']}}, step: 1s}}\n");
    let stage =
        |number: usize| move |state: &State| state.stage + 1 == number && state.phase == Phase::Progressing;
    let over = |state: &State| state.is_over();

    let after = |name: &str| {
        let call = format!("{{command: [sh, -c, 'echo \"$SERIN_KEY-of-$SERIN_VERSIONS\" >> {asked}']}}");
        format!("  {name}: {call}\n")
    };
    let kept = |time: &str| {
        let (succeeded, rolled_back) = (after("succeeded"), after("rolledBack"));
        format!("  keepWarm: {{for: {time}}}\n  after:\n  {succeeded}  {rolled_back}")
    };
    // Longer than a machine is away: whatever happens, it is still kept when it is gone back to.
    let long = kept("1h");
    let watch = "  watch: {for: always}\n";
    world.apply(&text("ranker", "v1", "v2", &format!("{stages}{gates}{hook}{long}{watch}"))).await;
    world.apply(&text("other", "v1", "v2", &format!("{stages}{gates}{hook}"))).await;
    world.until("ranker", "stage 1", stage(1)).await;
    world.act("ranker", Act::Pause, "wait a moment").await;
    world.second().await;
    world.act("ranker", Act::Resume, "go on").await;
    world.until("ranker", "approval", |state| state.phase == Phase::Paused(Pause::Approval)).await;
    world.act("ranker", Act::Approve, "samples good").await;
    world
        .until("ranker", "hand-back", |state| {
            matches!(state.phase, Phase::HandBack(HandBackProgress::Lowering { .. }) | Phase::Succeeded)
        })
        .await;
    world.until("ranker", "the end", over).await;
    world.act("ranker", Act::Pause, "no watch, please").await;
    world.second().await;
    world.act("ranker", Act::Resume, "watch again").await;
    world.second().await;
    // Back to what is kept; the way back keeps a version as well, and the next run ends that.
    world.roll_back("ranker", "clicks fell").await;
    world.until("ranker", "the way back", over).await;

    world.apply(&text("ranker", "v1", "v3", &stages)).await;
    world.until("ranker", "stage 1", stage(1)).await;
    world.apply(&text("ranker", "v1", "v4", &format!("{stages}  supersede: queue\n"))).await;
    world.second().await;
    world.act("ranker", Act::Abort, "complaints").await;
    world.until("ranker", "run 4", |state| state.run == 4 && state.phase == Phase::Progressing).await;
    world.act("ranker", Act::Promote, "in a hurry").await;
    world.second().await;
    let ramp = "  supersede: replace\n  rollback: {ramp: [1%], step: 2s}\n";
    let short = kept("2s");
    world.apply(&text("ranker", "v1", "v5", &format!("{stages}{ramp}{short}"))).await;
    world.until("ranker", "run 5", |state| state.run == 5 && state.phase == Phase::Progressing).await;
    world.act("ranker", Act::Promote, "faster").await;
    world.second().await;
    world.act("ranker", Act::Abort, "enough").await;
    world
        .until("ranker", "the end of what comes after the end", |state| {
            over(state) && !state.has_post_run_work()
        })
        .await;
    world.act("other", Act::Abort, "this one too").await;
    world.second().await;
}

async fn told(fates: impl IntoIterator<Item = (usize, Fate)>) -> (Seen, Vec<Failpoint>) {
    let mut world = World::new(fates).await;
    script(&mut world).await;
    (world.seen(), world.points_passed())
}

/// The weights every proxy had, one after the other.
fn weights(seen: &Seen) -> Vec<&std::collections::BTreeMap<String, u64>> {
    let mut all: Vec<_> = seen.policies.iter().map(|(_, weights)| weights).collect();
    all.dedup();
    all
}

type Line = (String, u64, String, Option<String>, String);

/// The journal. A crash loses some seconds of evidence, so that there may be too little of it once more or once less.
fn lines(seen: &Seen) -> impl Iterator<Item = &Line> {
    seen.journal
        .iter()
        .filter(|line| line.2 != "verdict" || line.4.ends_with("pass") || line.4.ends_with("fail"))
}

#[track_caller]
pub fn check(seen: &Seen, expected: &Seen, crashes: usize, what: &str) {
    let generations: Vec<u64> = seen.policies.iter().map(|(generation, _)| *generation).collect();
    assert!(
        generations.is_sorted_by(|a, b| a < b),
        "{what}: one policy for each generation: {generations:?}"
    );
    for name in ["ranker", "other"] {
        let of = |seen: &Seen| {
            let mut of: Vec<_> = weights(seen).iter().map(|all| all.get(name).copied()).collect();
            of.dedup();
            of
        };
        assert_eq!(of(seen), of(expected), "{what}: the weights of {name}");
    }
    for (got, wanted) in lines(seen).zip(lines(expected)) {
        assert_eq!(got, wanted, "{what}: a line of the journal");
    }
    assert_eq!(lines(seen).count(), lines(expected).count(), "{what}: the journal ends elsewhere");
    assert_eq!(seen.ends, expected.ends, "{what}");
    for key in &expected.asked {
        let times = seen.asked.iter().filter(|asked| keyed(asked) == keyed(key)).count();
        assert!(
            (1..=1 + crashes).contains(&times),
            "{what}: asked {times} times for {key}: {:?}",
            seen.asked
        );
    }
    assert!(seen.asked.iter().all(|asked| expected.asked.iter().any(|key| keyed(key) == keyed(asked))));
}

/// A key without what differs from world to world: the incarnation, and the run's own time.
fn keyed(key: &str) -> Vec<&str> {
    key.split('-')
        .skip(1)
        .enumerate()
        .filter(|(at, part)| *at != 2 || part.parse::<u64>().is_err())
        .map(|(_, part)| part)
        .collect()
}

#[tokio::test]
async fn a_crash_at_any_point_changes_nothing_that_can_be_seen() {
    let (expected, points) = told([]).await;
    println!(
        "{} points, {} policies, {} lines",
        points.len(),
        expected.policies.len(),
        expected.journal.len()
    );
    assert!(points.len() > 200 && expected.asked.len() == 4, "{:?}", expected.asked);
    // What is written and not committed is not there: the same as nothing written (`store::tests::crash`).
    let points = points.iter().enumerate().filter(|(_, point)| **point != Failpoint::Written);
    for (point, _) in points {
        let (seen, _) = told([(point, Fate::Crash)]).await;
        check(&seen, &expected, 1, &format!("crash at {point}"));
    }
}

/// One refusal is a full disk that somebody clears: nothing is decided while it lasts, and nothing is forgotten.
#[tokio::test]
async fn a_disk_that_refuses_at_any_point_changes_nothing_that_can_be_seen() {
    let (expected, points) = told([]).await;
    let writes =
        points.iter().enumerate().filter(|(_, point)| matches!(point, Failpoint::Begin | Failpoint::Written));
    for (point, _) in writes {
        let (seen, _) = told([(point, Fate::Refuse)]).await;
        check(&seen, &expected, 0, &format!("refused at {point}"));
    }
}

/// Crashes while it comes back from crashes, at points that a seed chooses.
#[tokio::test]
async fn crashes_upon_crashes_change_nothing_that_can_be_seen() {
    let (expected, points) = told([]).await;
    let mut chance = SplitMix64::seeded(7);
    let mut chosen = |below: usize| chance.below(below as u64) as usize;
    for round in 0..6 {
        let mut fates: BTreeMap<usize, Fate> = BTreeMap::new();
        for _ in 0..8 {
            let first = chosen(points.len());
            let fate = if chosen(3) == 0 { Fate::Refuse } else { Fate::Crash };
            // Some right after each other: in the middle of coming back.
            fates.extend((0..=chosen(4)).map(|next| (first + next, fate)));
        }
        let what = format!("round {round}: {fates:?}");
        let crashes = fates.len();
        let (seen, _) = told(fates).await;
        check(&seen, &expected, crashes, &what);
    }
}
