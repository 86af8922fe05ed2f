//! Practice that begins by itself, in a world of its own.

use std::collections::BTreeSet;

use rollout::Outcome;

use super::world::World;
use super::*;

const DAY: u64 = 86_400_000;

fn text(name: &str, more: &str) -> String {
    format!(
        "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {{name: {name}}}\nspec:\n  stable: {{version: v1}}\n  canary: {{version: v2}}\n  match: {{pathPrefix: /{name}}}\n{more}"
    )
}

const WEEKLY: &str = "  practice: {drill: {every: 7d}}\n";

/// Begun, and aborted.
async fn rested(world: &mut World, name: &str, more: &str) {
    world.apply(&text(name, more)).await;
    world.until(name, "stage 1", |state| state.phase == rollout::Phase::Progressing).await;
    world.act(name, Act::Abort, &format!("enough of {name}")).await;
}

/// The number of its last drill, and how that ended.
fn last(world: &World, name: &str) -> Option<(u64, Option<Outcome>)> {
    world
        .view(name)
        .drill
        .as_ref()
        .map(|drill| (drill.number, drill.outcome.as_ref().and_then(|outcome| outcome.known().copied())))
}

#[track_caller]
fn check(world: &World, name: &str, number: u64, outcome: Option<Outcome>) {
    assert_eq!(last(world, name), Some((number, outcome)), "{:?}", world.view(name).drill);
}

/// Lines of the journal that hold this.
fn told(world: &World, part: &str) -> usize {
    world.seen().journal.iter().filter(|line| line.4.contains(part)).count()
}

#[tokio::test]
async fn it_begins_when_its_time_has_come_and_once_however_long_nobody_was_there() {
    let mut world = World::new([]).await;
    world.apply(&text("ranker", WEEKLY)).await;
    world.until("ranker", "stage 1", |state| state.phase == rollout::Phase::Progressing).await;
    assert_eq!(last(&world, "ranker"), None, "not while a run is under way");
    assert_eq!(told(&world, "the drill due"), 1, "which is said once");
    world.act("ranker", Act::Abort, "enough").await;
    world.seconds(10).await;
    check(&world, "ranker", 1, Some(Outcome::Passed));
    assert_eq!(told(&world, "Drill 1 for its schedule"), 1);

    world.sleep(6 * DAY).await;
    world.seconds(10).await;
    check(&world, "ranker", 1, Some(Outcome::Passed));
    world.restart().await;
    world.sleep(DAY).await;
    world.seconds(10).await;
    check(&world, "ranker", 2, Some(Outcome::Passed));
    world.restart().await;
    world.sleep(300 * DAY).await;
    world.seconds(30).await;
    check(&world, "ranker", 3, Some(Outcome::Passed));
    let view = world.view("ranker");
    let [practice] = view.practice.as_slice() else { panic!("{:?}", view.practice) };
    assert!(!practice.overdue && practice.when == "every 7d" && practice.late.is_none(), "{practice:?}");

    // Whoever drills by hand has drilled.
    world.sleep(6 * DAY).await;
    let order =
        Order::Drill { weight: "0%".parse().expect("a share"), limit: "30s".parse().expect("a time") };
    assert_eq!(world.order("ranker", order).await.expect("begun"), 4);
    world.sleep(6 * DAY).await;
    world.seconds(10).await;
    check(&world, "ranker", 4, Some(Outcome::Passed));
}

#[tokio::test]
async fn what_was_rolled_back_meets_nobody_by_itself() {
    let mut world = World::new([]).await;
    rested(
        &mut world,
        "ranker",
        "  practice: {drill: {every: 7d, weight: 1%}, aa: {every: 7d, deployed: true}}\n",
    )
    .await;
    world.seconds(15).await;
    let weight = |world: &World| world.view("ranker").drill.as_ref().map(|drill| drill.weight_ppm);
    check(&world, "ranker", 1, Some(Outcome::Passed));
    assert_eq!(weight(&world), Some(0), "the way back is proven all the same");
    assert_eq!(told(&world, "for its schedule (at 0% and not 1%: v2 was rolled back"), 1);
    assert!(world.view("ranker").parity.is_none());
    assert_eq!(told(&world, "was missed: v2 was rolled back"), 1, "and is not tried again at once");
    assert!(
        world
            .view("ranker")
            .practice
            .iter()
            .any(|known| known.missed && known.exercise == manifest::ExerciseKind::Parity)
    );
}

#[tokio::test]
async fn of_many_that_are_due_one_at_a_time_moves_leases() {
    let mut world = World::new([]).await;
    let names = ["a", "b", "c"];
    for name in names {
        rested(&mut world, name, "").await;
    }
    for name in names {
        world.apply_once(&text(name, WEEKLY)).await.expect("another timetable");
    }
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for _ in 0..40 {
        world.second().await;
        let live: Vec<_> =
            names.iter().filter(|name| matches!(last(&world, name), Some((_, None)))).collect();
        assert!(live.len() <= 1, "{live:?}");
        let passed = |name: &&str| last(&world, name) == Some((1, Some(Outcome::Passed)));
        done.extend(names.into_iter().filter(passed));
    }
    assert_eq!(done.len(), 3);
    assert_eq!(told(&world, "waits"), 0, "whose turn comes in a moment is no news");
}

#[tokio::test]
async fn a_run_that_begins_cuts_it_short_and_it_is_made_up_for() {
    let mut world = World::new([]).await;
    rested(&mut world, "ranker", WEEKLY).await;
    world.second().await;
    check(&world, "ranker", 1, None);
    world.apply(&text("ranker", &format!("{WEEKLY}  warmUp: 1s\n"))).await;
    world.seconds(3).await;
    check(&world, "ranker", 1, Some(Outcome::Cancelled));
    world.act("ranker", Act::Abort, "once more").await;
    world.seconds(10).await;
    check(&world, "ranker", 2, Some(Outcome::Passed));
    world.seconds(10).await;
    check(&world, "ranker", 2, Some(Outcome::Passed));
}

#[tokio::test]
async fn another_timetable_begins_no_run_and_is_kept() {
    let mut world = World::new([]).await;
    rested(&mut world, "ranker", WEEKLY).await;
    world.seconds(10).await;
    check(&world, "ranker", 1, Some(Outcome::Passed));
    let weekly = text("ranker", "  practice: {drill: {at: [{days: [mon], time: '09:00'}]}}\n");
    let applied = world.apply_once(&weekly).await.expect("taken");
    assert!((applied.rescheduled, applied.unchanged, applied.run) == (true, false, 1), "{applied:?}");
    world.restart().await;
    world.second().await;
    let when = |world: &World| {
        world.view("ranker").practice.iter().map(|known| known.when.clone()).collect::<Vec<_>>()
    };
    assert_eq!(when(&world), ["Mon 09:00, UTC"]);
    // What was rolled back stays so, and what was applied last is what is there.
    let refused = world.apply_once(&weekly).await.expect_err("it was rolled back");
    assert!(refused.text().contains("rolled back"), "{refused:?}");
    assert_eq!(world.state("ranker").map(|state| (state.run, state.is_over())), Some((1, true)));
    world.apply_once(&text("ranker", "")).await.expect("none any more");
    world.second().await;
    assert!(when(&world).is_empty());
    world.restart().await;
    world.sleep(30 * DAY).await;
    check(&world, "ranker", 1, Some(Outcome::Passed));
}

#[tokio::test]
async fn members_of_a_fleet_follow_each_other_when_all_of_them_rest() {
    let mut world = World::new([]).await;
    let models =
        "  models:\n    - {name: a, match: {pathPrefix: /a}}\n    - {name: b, match: {pathPrefix: /b}}\n";
    world
        .apply(&text("shop", &format!("{WEEKLY}{models}")).replace("  match: {pathPrefix: /shop}\n", ""))
        .await;
    world.until("shop.a", "stage 1", |state| state.phase == rollout::Phase::Progressing).await;
    world.act("shop", Act::Abort, "enough").await;
    for _ in 0..20 {
        world.second().await;
        let live =
            ["shop.a", "shop.b"].iter().filter(|name| matches!(last(&world, name), Some((_, None)))).count();
        assert!(live <= 1);
    }
    check(&world, "shop.a", 1, Some(Outcome::Passed));
    check(&world, "shop.b", 1, Some(Outcome::Passed));
    let shown = world.view("shop");
    assert!(shown.members.iter().all(|member| member.practice.len() == 1));
}

/// What ends while the disk refuses holds, and is on the disk as soon as that takes it: the next process exposes nobody.
#[tokio::test]
async fn an_exercise_that_ends_on_a_full_disk_is_written_as_soon_as_can_be() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut first = engine(&file);
    apply(&mut first, &spec("v1", "v2", "")).await.expect("begun");
    abort(&mut first).await;
    let order =
        Order::Drill { weight: "0%".parse().expect("a share"), limit: "30s".parse().expect("a time") };
    let human = Human { who: "ben".to_owned(), reason: "tried".to_owned() };
    first.order("ranker", order, human, false).await.expect("begun");
    let outcome = |engine: &Engine| {
        let exercise = engine.exercises["ranker"].latest().expect("one").clone();
        exercise.ended().map(|ended| ended.outcome)
    };
    assert_eq!(outcome(&first), None);
    first.journal.refuse_writes(true).expect("a switch");
    first.end_exercise("ranker", "aborted by ben".to_owned()).await;
    let taken_back = first.exercises["ranker"].latest().expect("one").policy().expect("a policy").epoch;
    let revoked = first.mesh.revoked_since(0).collect::<Vec<_>>().len();
    assert!(first.exercises["ranker"].unsaved && revoked == 1, "it holds all the same");
    first.journal.refuse_writes(false).expect("a switch");
    first.tick().await;
    assert!(!first.exercises["ranker"].unsaved);
    let stored = first.journal.exercises().expect("read");
    assert_eq!(
        stored.first().and_then(|stored| stored.policy()).map(|policy| policy.epoch),
        Some(taken_back)
    );
    assert_eq!(first.journal.mesh().expect("read"), first.mesh, "what was revoked is known to the store");
    let lines = store::Archive::of(&file).journal("ranker", 1).expect("a journal").lines;
    let said = lines.iter().filter(|line| line.what.contains("take everything back")).count();
    assert_eq!(said, 1, "said once: {lines:?}");
}
