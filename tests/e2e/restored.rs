//! Stores that are locked or older than the mesh, beside a real Envoy.

use std::time::{Duration, Instant};

use api::PhaseName::{Paused, RolledBack};
use rusqlite::Connection;
use serde_json::Value;

use tests::{EnvoyOptions, Models, Serin, get, stages_by_hand, until};

async fn at_a_stage(models: &Models) -> Serin {
    let serin = Serin::start(models, EnvoyOptions::default()).await;
    serin.apply(&stages_by_hand(&["50%", "100%"], "")).await;
    serin.until("ranker", "stage 1", |view| view.run.weight_ppm == 500_000).await;
    share(&serin, "half", |share| (20..80).contains(&share)).await;
    serin
}

/// Of a hundred users, those that meet the canary, until they are as wanted.
async fn share(serin: &Serin, what: &str, wanted: impl Fn(usize) -> bool) {
    let addr = serin.envoy().addr;
    until(what, async || {
        let mut canary = 0;
        for user in 0..100 {
            let user = format!("user-{user}");
            let answer = get(addr, "/", &[("x-user-id", &user)]).await.map_err(|error| error.to_string())?;
            canary += usize::from(answer.version() == Some("v2"));
        }
        if wanted(canary) { Ok(()) } else { Err(canary.to_string()) }
    })
    .await;
}

/// An abort is answered and acted on while another program holds the file, and holds over SIGKILL.
#[tokio::test(flavor = "multi_thread")]
async fn an_abort_on_a_locked_store_is_done_at_once_and_for_good() {
    let models = Models::plain().await;
    let mut serin = at_a_stage(&models).await;
    let other = Connection::open(serin.store()).expect("the store");
    other.busy_timeout(Duration::from_secs(20)).expect("a time");
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let begun = Instant::now();
    let (code, said) = serin.command(&["abort", "ranker", "--reason", "complaints"]).await;
    // Far above what it takes, far below what it took when the engine waited for the lock.
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert!(code == 0 && said.contains("warning: it holds") && said.contains("another program"), "{said}");
    share(&serin, "nobody", |share| share == 0).await;
    serin.kill();
    serin.run().await;
    share(&serin, "nobody, started again", |share| share == 0).await;
    serin.until("ranker", "taken back", |view| view.is(RolledBack)).await;
    other.execute_batch("ROLLBACK").expect("the lock is given back");
    // The row itself, which is no answer of the controller.
    until("it is written", async || {
        let state: String = other
            .query_row("SELECT state FROM rollout WHERE name = 'ranker'", [], |row| row.get(0))
            .map_err(|error| error.to_string())?;
        let state: Value = serde_json::from_str(&state).map_err(|error| error.to_string())?;
        if state["rollback"].is_object() { Ok(()) } else { Err(state["phase"].to_string()) }
    })
    .await;
}

/// A backup is put in place, as people are told to; the canary was aborted since.
#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_canary_does_not_come_back_with_a_backup_and_pushes_are_taken() {
    let models = Models::plain().await;
    let mut serin = at_a_stage(&models).await;
    let (store, copy) = (serin.store(), serin.store().with_extension("copy"));
    let open = Connection::open(&store).expect("the store");
    open.execute("VACUUM INTO ?", [copy.to_str()]).expect("a backup");
    drop(open);
    let set = async |serin: &Serin, weight: &str| {
        let (code, said) = serin.command(&["set-weight", "ranker", weight, "--reason", "why not"]).await;
        assert_eq!(code, 0, "{said}");
    };
    set(&serin, "60%").await;
    set(&serin, "70%").await;
    let (code, said) = serin.command(&["abort", "ranker", "--reason", "complaints"]).await;
    assert_eq!(code, 0, "{said}");
    share(&serin, "nobody", |share| share == 0).await;
    serin.kill();
    for part in ["", "-wal", "-shm", ".reserve"] {
        let _ = std::fs::remove_file(format!("{}{part}", store.display()));
    }
    std::fs::copy(&copy, &store).expect("the backup in place");
    serin.run().await;
    serin.until("ranker", "held", |view| view.is(Paused) && view.run.weight_ppm == 0).await;
    share(&serin, "nobody, with the backup", |share| share == 0).await;
    assert!(serin.log().contains("the store is older than the mesh"), "{}", serin.log());
    let metrics = serin.metrics().await;
    assert!(metrics.contains("serin_contradictions_total "), "{metrics}");
    // What people decide now arrives.
    set(&serin, "40%").await;
    share(&serin, "some", |share| (15..70).contains(&share)).await;
    let (code, said) = serin.command(&["abort", "ranker", "--reason", "again"]).await;
    assert_eq!(code, 0, "{said}");
    share(&serin, "nobody again", |share| share == 0).await;
}
