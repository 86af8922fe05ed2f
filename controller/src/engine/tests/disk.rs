//! What was decided while the disk refused, and holds.

use super::*;

/// A run was taken back, and the store does not know it.
pub(super) async fn aborted_on_a_full_disk(file: &Path) -> Engine {
    let mut engine = engine(file);
    apply(&mut engine, &spec("v1", "v2", "")).await.expect("begun");
    engine.journal.refuse_writes(true).expect("a switch");
    abort(&mut engine).await;
    engine
}

/// The next decision is written before the next checkpoint: what was revoked meanwhile is written with it.
#[tokio::test]
async fn what_was_revoked_on_a_full_disk_is_written_with_whatever_is_written_next() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut first = aborted_on_a_full_disk(&file).await;
    assert_eq!(first.mesh.revoked_since(0).collect::<Vec<_>>(), ["ranker"]);
    assert_ne!(first.journal.mesh().expect("read"), first.mesh);
    first.journal.refuse_writes(false).expect("a switch");
    apply(&mut first, &spec("v1", "v3", "")).await.expect("the next run begins");
    assert_eq!(first.journal.mesh().expect("read"), first.mesh);
    drop(first);
    let second = engine(&file);
    assert_eq!(second.mesh.revoked_since(0).collect::<Vec<_>>(), ["ranker"]);
}

/// It is tried at every tick while the disk refuses, and written once when it does not.
#[tokio::test]
async fn what_waits_for_the_disk_is_written_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut first = aborted_on_a_full_disk(&file).await;
    for _ in 0..3 {
        first.tick().await;
    }
    first.journal.refuse_writes(false).expect("a switch");
    for _ in 0..3 {
        first.tick().await;
    }
    let lines = store::Archive::of(&file).journal("ranker", 1).expect("a journal").lines;
    let aborts = lines.iter().filter(|line| line.kind == store::Kind::Act && line.what == "abort").count();
    assert_eq!(aborts, 1, "{lines:?}");
}

/// A drill that was ended while the disk refused: it holds, and nothing of its end is written.
async fn ended_unwritten(file: &Path) -> Engine {
    let mut engine = engine(file);
    apply(&mut engine, &spec("v1", "v2", "")).await.expect("begun");
    abort(&mut engine).await;
    drill(&mut engine).await.expect("begun");
    engine.journal.refuse_writes(true).expect("a switch");
    engine.end_exercise("ranker", "aborted by ben".to_owned()).await;
    assert!(engine.exercises["ranker"].unsaved);
    engine
}

async fn drill(engine: &mut Engine) -> Result<u64, Refusal> {
    let order =
        Order::Drill { weight: "0%".parse().expect("a share"), limit: "30s".parse().expect("a time") };
    let human = Human { who: "ben".to_owned(), reason: "tried".to_owned() };
    engine.order("ranker", order, human, false).await
}

/// How often a run's journal says that the drill took everything back.
fn said(file: &Path, run: u64) -> usize {
    let lines = store::Archive::of(file).journal("ranker", run).expect("a journal").lines;
    lines.iter().filter(|line| line.what.contains("take everything back")).count()
}

/// The lines of an exercise belong to the run after which it was tried, however late they are written.
#[tokio::test]
async fn late_lines_of_an_exercise_stand_in_the_journal_of_its_own_run() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut engine = ended_unwritten(&file).await;
    engine.journal.refuse_writes(false).expect("a switch");
    apply(&mut engine, &spec("v1", "v3", "")).await.expect("the next run begins");
    engine.tick().await;
    assert_eq!((said(&file, 1), said(&file, 2)), (1, 0));
}

/// The next exercise does not begin over one whose end is not on the disk, and what is stored of that one is its end.
#[tokio::test]
async fn an_exercise_begins_only_over_one_that_is_written() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut engine = ended_unwritten(&file).await;
    // Nobody acknowledges: after its time it is over, and that is not written either.
    let now = clock::now();
    let later_ms = manifest::DRILL_WAITS_MS + 60_000;
    clock::fake::set(rollout::Now {
        unix_ms: now.unix_ms + later_ms,
        monotonic_ns: now.monotonic_ns + later_ms * 1_000_000,
    });
    engine.exercise("ranker", &ExerciseEvent::Tick).await;
    assert!(engine.exercises["ranker"].live().is_none() && engine.exercises["ranker"].unsaved);
    let refused = drill(&mut engine).await.expect_err("the disk refuses");
    assert!(refused.text().contains("free the disk"), "{refused:?}");
    engine.journal.refuse_writes(false).expect("a switch");
    assert_eq!(drill(&mut engine).await.expect("begun"), 2);
    let stored = engine.journal.past_exercises("ranker", manifest::ExerciseKind::Drill).expect("read");
    let ended: Vec<bool> = stored.iter().map(|exercise| exercise.ended().is_some()).collect();
    assert_eq!(ended, [false, true], "the second is under way, the end of the first is written");
    assert_eq!(said(&file, 1), 1);
}
