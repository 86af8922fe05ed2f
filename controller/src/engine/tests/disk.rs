//! What was decided while the disk refused, and holds.

use super::*;

/// The next decision is written before the next checkpoint: what was revoked meanwhile is written with it.
#[tokio::test]
async fn what_was_revoked_on_a_full_disk_is_written_with_whatever_is_written_next() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut first = engine(&file);
    apply(&mut first, &spec("v1", "v2", "")).await.expect("begun");
    first.journal.refuse_writes(true).expect("a switch");
    abort(&mut first).await;
    assert_eq!(first.mesh.revoked_since(0).collect::<Vec<_>>(), ["ranker"]);
    assert_ne!(first.journal.mesh().expect("read"), first.mesh);
    first.journal.refuse_writes(false).expect("a switch");
    apply(&mut first, &spec("v1", "v3", "")).await.expect("the next run begins");
    assert_eq!(first.journal.mesh().expect("read"), first.mesh);
    drop(first);
    let second = engine(&file);
    assert_eq!(second.mesh.revoked_since(0).collect::<Vec<_>>(), ["ranker"]);
}

/// Runs and exercises are one transaction: none of them is written again because another was not.
#[tokio::test]
async fn what_waits_for_the_disk_is_written_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut first = engine(&file);
    apply(&mut first, &spec("v1", "v2", "")).await.expect("begun");
    first.journal.refuse_writes(true).expect("a switch");
    abort(&mut first).await;
    for _ in 0..3 {
        first.tick().await;
    }
    first.journal.refuse_writes(false).expect("a switch");
    for _ in 0..3 {
        first.tick().await;
    }
    let lines = store::Archive::of(&file).journal("ranker", 1).expect("a journal").lines;
    let aborts = lines.iter().filter(|line| line.kind == "act" && line.what == "abort").count();
    assert_eq!(aborts, 1, "{lines:?}");
}
