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
    is_deposed_or_unsure(a.publish(5, 3, b"{}").await);
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
    a.publish(5, 1, b"one").await.expect("written");
    a.publish(5, 0, b"none").await.expect("passed over");
    let seen = b.look(None).await.expect("an answer").expect("a head");
    assert_eq!((seen.mesh, seen.policy), (json!({"generation": 1}), Some((5, 1, b"one".to_vec()))));
    assert_eq!(b.look(Some((5, 1))).await.expect("an answer").expect("a head").policy, None);
    a.publish(6, 0, b"two").await.expect("written");
    let seen = b.look(Some((5, 1))).await.expect("an answer").expect("a head");
    assert_eq!(seen.policy, Some((6, 0, b"two".to_vec())));
    assert_eq!(b.take_over().await.expect("taken").form, 9);
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
