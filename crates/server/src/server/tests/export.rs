//! Exports whose readers do not read.

use store::{Change, Store, Writing};

use super::*;

/// A store with runs enough to fill every buffer on the way.
fn stored(file: &FilePath) {
    let mut store = Store::open(file).expect("a store");
    for n in 0..30 {
        let name = format!("ranker-{n}");
        let text = ROLLOUT.replace("ranker", &name) + &format!("# {}\n", "x".repeat(100_000));
        let plan = manifest::load(&text).expect("a rollout").plan;
        let state = rollout::State::new(plan, 1, 0, rollout::Now::at_ms(1_000));
        let writing = Writing { spec: &text, state: &state, generation: 1, entries: &[], samples: &[] };
        store.commit(&Change { runs: &[writing], generation: 1, ..Change::default() }).expect("written");
    }
}

async fn export(router: &Router) -> Response {
    router.clone().oneshot(request("GET /v1/export\nhost: localhost")).await.expect("infallible")
}

async fn whole(router: &Router) -> Vec<serde_json::Value> {
    let body = axum::body::to_bytes(export(router).await.into_body(), 64 << 20).await.expect("all of it");
    serde_json::from_slice(&body).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_do_not_read_are_left_and_meanwhile_others_are_told_to_come_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    stored(&file);
    let stalled = Duration::from_millis(500);
    let exports = Exports::of(2, stalled, Duration::from_secs(600));
    let served = with(Api { archive: Archive::of(&file), exports, ..served("127.0.0.1:7070", &[]).api });
    assert_eq!(whole(&served.router).await.len(), 30);
    let slow = [export(&served.router).await, export(&served.router).await];
    let refused = export(&served.router).await;
    assert_eq!(refused.status().as_u16(), 429);
    let body = axum::body::to_bytes(refused.into_body(), 1 << 20).await.expect("a body");
    assert!(String::from_utf8_lossy(&body).contains("try again"), "{body:?}");
    // Nobody else is kept waiting.
    assert_eq!(status(&served.router, request("GET /v1/rollouts\nhost: localhost")).await.0, 200);
    tokio::task::spawn_blocking(|| ()).await.expect("a thread is free");
    let again = async {
        let left = || served.refused_requests.render(0).contains("{reason=\"slow_reader\"} 2");
        while !left() || export(&served.router).await.status().as_u16() != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), again).await.expect("their places are free");
    let page = served.refused_requests.render(0);
    assert!(!page.contains("{reason=\"exports\"} 0"), "{page}");
    for slow in slow {
        let read = axum::body::to_bytes(slow.into_body(), 64 << 20).await;
        assert!(read.is_err(), "an end that is none does not look like one");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_for_ever() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    stored(&file);
    let exports = Exports::of(1, Duration::from_secs(600), Duration::ZERO);
    let served = with(Api { archive: Archive::of(&file), exports, ..served("127.0.0.1:7070", &[]).api });
    let read = axum::body::to_bytes(export(&served.router).await.into_body(), 64 << 20).await;
    assert!(
        read.is_err()
            || read.is_ok_and(|body| String::from_utf8_lossy(&body).contains("the client stopped reading"))
    );
    assert!(served.refused_requests.render(0).contains("{reason=\"slow_reader\"} 1"));
}

#[tokio::test]
async fn what_cannot_be_read_is_said() {
    let served = served("127.0.0.1:7070", &[]);
    let (code, body, _) = status(&served.router, request("GET /v1/export\nhost: localhost")).await;
    assert!(code == 500 && String::from_utf8_lossy(&body).contains("cannot be opened"), "{code} {body:?}");
}
