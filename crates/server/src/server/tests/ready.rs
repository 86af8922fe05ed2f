//! Ready, and what is not.

use api::Readiness;

use super::*;
use scrape::{Increments, Source};
use store::Store;

async fn readiness(router: &Router) -> (u16, Readiness) {
    let (code, body, _) = status(router, request("GET /readyz\nhost: localhost")).await;
    (code, serde_json::from_slice(&body).expect("a readiness"))
}

/// `expected`: what is not as it should be, each with a part of why.
async fn check(served: &Served, expected: &[(&str, &str)]) {
    let (code, found) = readiness(&served.router).await;
    assert_eq!((found.ready, code == 200), (expected.is_empty(), expected.is_empty()), "{found:?}");
    let names: Vec<&str> = found.checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(names, ["engine", "store", "counters"]);
    let not: Vec<_> = found.checks.iter().filter(|check| !check.ready).collect();
    assert_eq!(not.len(), expected.len(), "{found:?}");
    for (check, (name, part)) in not.iter().zip(expected) {
        let why = check.why.as_deref().unwrap_or_default();
        assert!(check.name == *name && why.contains(part), "{part:?} is missing in {check:?}");
    }
}

fn looked(told: &[bool]) -> Increments {
    let sources = told.iter().map(|told| Source { told: *told, ..Source::default() }).collect();
    Increments { sources, ..Increments::default() }
}

#[tokio::test]
async fn ready_is_who_decides_writes_and_sees() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    drop(Store::open(&file).expect("a store"));
    let api =
        |health: Health| Api { archive: Archive::of(&file), health, ..served("127.0.0.1:7070", &[]).api };
    let blind = Health::new(0, Duration::from_secs(1));
    let served = with(api(blind));
    check(&served, &[]).await;
    let (_, found) = readiness(&served.router).await;
    assert!(found.checks[2].why.as_deref().is_some_and(|why| why.contains("--envoy-admin")), "{found:?}");

    let health = Health::new(2, Duration::from_secs(1));
    let served = with(api(health.clone()));
    check(&served, &[("counters", "--envoy-admin")]).await;
    health.note_look(&looked(&[false, false]));
    check(&served, &[("counters", "--envoy-admin")]).await;
    health.note_look(&looked(&[false, true]));
    check(&served, &[]).await;
    health.note_turn(true);
    check(&served, &[("store", "refused the last write")]).await;
    health.note_turn(false);
    check(&served, &[]).await;
    let now = clock::now();
    clock::fake::set(rollout::Now { monotonic_ns: now.monotonic_ns + 60_000_000_000, ..now });
    check(&served, &[("engine", "60 s"), ("counters", "60 s")]).await;
}

#[tokio::test]
async fn a_store_that_another_holds_or_that_has_no_room_is_not_ready() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    drop(Store::open(&file).expect("a store"));
    let fresh = || with(Api { archive: Archive::of(&file), ..served("127.0.0.1:7070", &[]).api });
    check(&fresh(), &[]).await;
    let other = rusqlite::Connection::open(&file).expect("a connection");
    other.execute_batch("BEGIN IMMEDIATE").expect("held");
    check(&fresh(), &[("store", "held by another program")]).await;
    drop(other);
    // A folder where the file would be: whoever runs the tests may write everywhere.
    std::fs::create_dir(dir.path().join(".serin-room")).expect("a folder");
    check(&fresh(), &[("store", "no room")]).await;
}
