//! Leaders one after the other, and at once, at one journal.

use axum::http::Method;
use serde_json::json;
use tokio::time::Instant;

use super::*;
use crate::api_server::{ApiServer, Fault};

async fn journal(server: &ApiServer, identity: &str) -> Journal {
    let lease = "serin-system/serin".parse().expect("a name");
    let own = Replica { identity: identity.to_owned(), address: format!("http://{identity}:7070") };
    Journal::new(
        server.client().await,
        &lease,
        own,
        Hold::held_until(Instant::now() + Duration::from_secs(3_600)),
    )
}

fn change(rows: &[(&str, Option<&str>)], generation: u64) -> Change {
    let rows = rows.iter().map(|(key, row)| ((*key).to_owned(), row.map(str::to_owned))).collect();
    Change { form: 9, mesh: json!({"generation": generation}), rows }
}

fn rows(taken: &Taken) -> Vec<(&str, &str)> {
    taken.rows.iter().map(|(key, row)| (&**key, &**row)).collect()
}

fn is_deposed<T: std::fmt::Debug>(answer: Result<T, JournalError>) {
    assert!(matches!(answer, Err(JournalError::Deposed(_))), "{answer:?}");
}

#[tokio::test]
async fn another_goes_on_from_what_was_decided() {
    let server = ApiServer::default();
    let a = journal(&server, "a").await;
    assert_eq!(a.look(None).await.expect("an answer"), None);
    assert_eq!(a.take_over().await.expect("taken").form, 0);
    a.commit(change(&[("x", Some("1")), ("y", Some("2"))], 1)).await.expect("written");
    a.commit(change(&[("x", None), ("z", Some("3"))], 2)).await.expect("written");
    let b = journal(&server, "b").await;
    let taken = b.take_over().await.expect("taken");
    assert_eq!((taken.form, rows(&taken)), (9, vec![("y", "2"), ("z", "3")]));
    is_deposed(a.commit(change(&[("y", Some("4"))], 3)).await);
    assert!(!a.hold.is_sure(), "it knows from here on");
    assert_eq!(rows(&b.read().await.expect("read")), [("y", "2"), ("z", "3")]);
    b.commit(change(&[("y", Some("5"))], 3)).await.expect("written");
    assert_eq!(rows(&journal(&server, "c").await.read().await.expect("read")), [("y", "5"), ("z", "3")]);
}

/// Whether an answer is lost or the server fails: what is written again is there once, and nobody deposes itself.
#[tokio::test]
async fn whatever_fails_the_next_write_makes_sure() {
    for fault in [Fault::Status(500), Fault::Status(403), Fault::Status(429), Fault::Silent, Fault::Lost] {
        for (method, part) in
            [(Method::PUT, "serin-journal"), (Method::POST, "configmaps"), (Method::GET, "serin-journal")]
        {
            let server = ApiServer::default();
            let a = journal(&server, "a").await;
            a.take_over().await.expect("taken");
            a.commit(change(&[("x", Some("1"))], 1)).await.expect("written");
            server.fail(method.clone(), part, fault, usize::MAX);
            let failed = a.commit(change(&[("x", Some("2"))], 2)).await;
            assert_eq!(failed.is_err(), method != Method::GET, "{method} {fault:?}: {failed:?}");
            server.mend();
            a.commit(change(&[("x", Some("3"))], 3)).await.expect("written");
            let b = journal(&server, "b").await;
            assert_eq!(rows(&b.take_over().await.expect("taken")), [("x", "3")], "{method} {fault:?}");
        }
    }
}

/// A leader that was stopped between two questions goes on after another took over.
#[tokio::test]
async fn who_was_deposed_changes_nothing() {
    let server = ApiServer::default();
    let a = journal(&server, "a").await;
    a.take_over().await.expect("taken");
    a.commit(change(&[("x", Some("1"))], 1)).await.expect("written");
    server.fail(Method::PUT, "serin-journal", Fault::Silent, 1);
    a.commit(change(&[("x", Some("2"))], 2)).await.expect_err("no answer");
    let b = journal(&server, "b").await;
    b.take_over().await.expect("taken");
    b.commit(change(&[("x", Some("7"))], 2)).await.expect("written");
    is_deposed(a.commit(change(&[("x", Some("3"))], 3)).await);
    assert_eq!(rows(&b.read().await.expect("read")), [("x", "7")]);
    is_deposed_or_unsure(a.publish(5, 3, b"{}", Value::Null).await);
    assert_eq!(b.look(None).await.expect("an answer").expect("a head").policy, None);
}

fn is_deposed_or_unsure(answer: Result<(), JournalError>) {
    assert!(matches!(answer, Err(JournalError::Deposed(_) | JournalError::Unsure)), "{answer:?}");
}

#[tokio::test]
async fn without_a_lease_nothing_is_written() {
    let server = ApiServer::default();
    let a = journal(&server, "a").await;
    a.take_over().await.expect("taken");
    let before = server.changes().len();
    let unsure = Journal { hold: Hold::held_until(Instant::now()), ..a.clone() };
    let refused = unsure.commit(change(&[("x", Some("1"))], 1)).await;
    assert!(matches!(refused, Err(JournalError::Unsure)), "{refused:?}");
    assert_eq!(server.changes().len(), before);
}

#[tokio::test]
async fn those_who_follow_read_the_policy_once() {
    let server = ApiServer::default();
    let (a, b) = (journal(&server, "a").await, journal(&server, "b").await);
    a.take_over().await.expect("taken");
    a.commit(change(&[], 1)).await.expect("written");
    a.publish(5, 1, b"one", Value::Null).await.expect("written");
    a.publish(5, 0, b"none", Value::Null).await.expect("passed over");
    let seen = b.look(None).await.expect("an answer").expect("a head");
    assert_eq!((seen.mesh, seen.policy), (json!({"generation": 1}), Some((5, 1, b"one".to_vec()))));
    assert_eq!(b.look(Some((5, 1))).await.expect("an answer").expect("a head").policy, None);
    a.publish(6, 0, b"two", Value::Null).await.expect("written");
    let seen = b.look(Some((5, 1))).await.expect("an answer").expect("a head");
    assert_eq!(seen.policy, Some((6, 0, b"two".to_vec())));
    let taken = b.take_over().await.expect("taken");
    assert_eq!((taken.form, taken.policy), (9, Some((6, 0))), "more than the rows may tell of");
    assert!(b.look(None).await.expect("an answer").expect("a head").policy.is_some(), "it stays");
}

/// What was written is all there is: pages that nothing names are gone after a while, and a label costs nothing.
#[tokio::test]
async fn objects_stay_few_and_labels_do_no_harm() {
    let server = ApiServer::default();
    let a = journal(&server, "a").await;
    a.take_over().await.expect("taken");
    for turn in 0..40 {
        let (key, row) = (format!("k{}", turn % 7), turn.to_string());
        a.commit(change(&[(&key, Some(&row))], turn)).await.expect("written");
        if turn == 20 {
            server
                .edit("configmaps/serin-journal", |object| object["metadata"]["labels"]["team"] = "x".into());
        }
    }
    let b = journal(&server, "b").await;
    assert_eq!(b.take_over().await.expect("taken").rows.len(), 7);
    let few = async {
        while server.names("configmaps").len() > 15 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), few).await.expect("few objects");
}

/// Waits until the journal has no more objects than its head, its rows' pages and two policies.
async fn until_few(server: &ApiServer, most: usize) {
    let few = async {
        while server.names("configmaps").len() > most {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), few).await.expect("few objects");
}

/// What could not be deleted, or was written and never named, is not kept for ever, and people hear of it while it grows.
#[tokio::test]
async fn what_is_left_over_is_said_and_deleted_when_that_goes() {
    let server = ApiServer::default();
    let a = journal(&server, "a").await;
    a.take_over().await.expect("taken");
    server.fail(Method::DELETE, "configmaps", Fault::Status(403), usize::MAX);
    for turn in 0..24 {
        a.commit(change(&[("x", Some(&turn.to_string()))], turn)).await.expect("written");
    }
    let told = async {
        while !a.left.is_told() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), told).await.expect("people are told");
    assert!(server.names("configmaps").len() > 15, "{:?}", server.names("configmaps"));
    server.mend();
    a.commit(change(&[("x", Some("last"))], 25)).await.expect("written");
    until_few(&server, 8).await;

    // Pages whose head was refused are named by none.
    server.fail(Method::PUT, "serin-journal", Fault::Status(500), usize::MAX);
    for turn in 30..50 {
        a.commit(change(&[("x", Some(&turn.to_string()))], turn)).await.expect_err("refused");
    }
    assert!(server.names("configmaps").len() > 20);
    server.mend();
    a.commit(change(&[("x", Some("at last"))], 51)).await.expect("written");
    until_few(&server, 8).await;
    let b = journal(&server, "b").await;
    assert_eq!(rows(&b.take_over().await.expect("taken")), [("x", "at last")]);
}

/// Somebody deleted the head alone: what its pages held is nobody's any more, though they are named as the next ones would be.
#[tokio::test]
async fn a_name_that_is_taken_is_not_taken_over() {
    let server = ApiServer::default();
    let first = journal(&server, "a").await;
    first.take_over().await.expect("taken");
    for turn in 0..5 {
        first.commit(change(&[(&format!("k{turn}"), Some("old"))], turn)).await.expect("written");
    }
    server.remove("configmaps/serin-journal");
    // Nothing of it is deleted meanwhile.
    server.fail(Method::DELETE, "configmaps", Fault::Status(403), usize::MAX);
    let b = journal(&server, "b").await;
    assert_eq!(b.take_over().await.expect("taken").form, 0);
    b.commit(change(&[("x", Some("new"))], 1)).await.expect("written");
    b.publish(7, 1, b"policy", Value::Null).await.expect("written");
    let c = journal(&server, "c").await;
    assert_eq!(
        c.look(None).await.expect("an answer").expect("a head").policy,
        Some((7, 1, b"policy".to_vec()))
    );
    assert_eq!(rows(&c.take_over().await.expect("taken")), [("x", "new")]);
}

#[tokio::test]
async fn a_page_that_is_missing_is_named() {
    let server = ApiServer::default();
    let a = journal(&server, "a").await;
    a.take_over().await.expect("taken");
    a.commit(change(&[("x", Some("1"))], 1)).await.expect("written");
    server.edit("configmaps/serin-journal-1-0-0", |object| object["binaryData"] = json!({}));
    let damaged = journal(&server, "b").await.take_over().await.expect_err("a damaged page");
    assert!(damaged.to_string().contains("serin-journal-1-0-0"), "{damaged}");
}

/// A policy is published before its change is committed, if that ever is: what it takes back is known with it, for good.
#[tokio::test]
async fn what_is_taken_back_travels_with_the_policy() {
    let server = ApiServer::default();
    let (a, b) = (journal(&server, "a").await, journal(&server, "b").await);
    a.take_over().await.expect("taken");
    let mesh =
        |generation: u64, below: u64| json!({"generation": generation, "revoked_below": {"ranker": below}});
    a.publish(5, 3, b"three", mesh(3, 3)).await.expect("written");
    let seen = async || b.look(None).await.expect("an answer").expect("a head").mesh;
    assert_eq!(seen().await, mesh(3, 3));
    // A write that was under way does not know of it.
    a.commit(Change { mesh: mesh(2, 1), form: 9, rows: Vec::new() }).await.expect("written");
    assert_eq!(seen().await, mesh(3, 3));
    a.commit(Change { mesh: json!({"revoked_below": {"other": 1}}), form: 9, rows: Vec::new() })
        .await
        .expect("written");
    assert_eq!(seen().await, json!({"generation": 3, "revoked_below": {"ranker": 3, "other": 1}}));
}

/// Whoever has read the head reads the page a little later.
#[tokio::test]
async fn the_last_policy_stays_until_the_next() {
    let server = ApiServer::default();
    let (a, b) = (journal(&server, "a").await, journal(&server, "b").await);
    a.take_over().await.expect("taken");
    for (number, gone) in [(1, None), (2, None), (3, Some(1)), (4, Some(2))] {
        let (head, before) = b.head().await.expect("an answer").expect("a head");
        drop(before);
        a.publish(5, number, b"{}", Value::Null).await.expect("written");
        let gone = gone.map(|number| format!("-1-{}-0", number - 1));
        let is_there = |name: &str| server.names("configmaps").iter().any(|found| found.ends_with(name));
        while gone.as_ref().is_some_and(|gone| is_there(gone)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if let Some(last) = head.policy {
            b.page(&last.page).await.expect("it is still there");
        }
    }
    // One that is gone all the same is looked for again, at the head as it is then.
    server.fail(Method::GET, "serin-journal-1-", Fault::Status(404), 1);
    assert!(b.look(None).await.expect("an answer").expect("a head").policy.is_some());
}

#[tokio::test]
async fn who_takes_over_waits_for_what_passes_and_deposes_nobody_when_it_leads_no_more() {
    for (fault, method) in [(Fault::Status(500), Method::PUT), (Fault::Status(429), Method::GET)] {
        let server = ApiServer::default();
        let (a, b) = (journal(&server, "a").await, journal(&server, "b").await);
        a.take_over().await.expect("taken");
        a.commit(change(&[("x", Some("1"))], 1)).await.expect("written");
        server.fail(method, "serin-journal", fault, 2);
        assert_eq!(rows(&b.take_over().await.expect("taken")), [("x", "1")], "{fault:?}");
        server.mend();
        let before = server.changes().len();
        let unsure = Journal { hold: Hold::held_until(Instant::now()), ..a.clone() };
        let refused = unsure.take_over().await;
        assert!(matches!(refused, Err(JournalError::Unsure)), "{refused:?}");
        assert_eq!(server.changes().len(), before);
        server.fail(Method::GET, "serin-journal", Fault::Status(403), 1);
        let error = b.read().await.expect_err("refused").to_string();
        assert!(error.contains("may not get configmaps in namespace serin-system"), "{error}");
    }
}
