//! The rules, against a server that answers whatever a case wants.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::any;
use rustls::RootCertStore;
use tokio::net::TcpListener;

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

fn client(named: &[&str]) -> Client {
    let named = named.iter().map(|host| host.parse().expect("a host")).collect();
    Client::new(Arc::new(RootCertStore::empty()), Hosts::new("--source-host", named)).expect("a client")
}

/// `/moved` leads to `/there`; the rest says what credentials it was sent. Counts what comes to `/there`.
async fn server() -> (String, Arc<AtomicUsize>) {
    let there = Arc::new(AtomicUsize::new(0));
    let seen = there.clone();
    let router = axum::Router::new()
        .route("/moved", any(|| async { (StatusCode::FOUND, [("location", "/there?token=x")]) }))
        .route("/there", any(move || async move { seen.fetch_add(1, Ordering::Relaxed).to_string() }))
        .route("/long", any(|| async { "x".repeat(5_000) }))
        .fallback(|headers: HeaderMap| async move {
            headers
                .get("authorization")
                .cloned()
                .map_or_else(String::new, |it| format!("{it:?}"))
                .into_response()
        });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    tokio::spawn(axum::serve(listener, router).into_future());
    (format!("http://localhost:{port}"), there)
}

#[tokio::test]
async fn redirects_are_not_followed_and_answers_are_bounded() {
    let (server, there) = server().await;
    let client = client(&[]);
    let url = |path: &str| client.url(&format!("{server}{path}")).expect("a URL");
    for question in [Question::get(&url("/moved")), Question::post_json(&url("/moved"), "{}".to_owned())] {
        let answer = client.ask(question, PATIENCE, 100).await.expect("an answer");
        assert_eq!(answer.status, StatusCode::FOUND);
        let why = answer.refusal(&Scrub::default());
        assert!(why.starts_with("answered 302 Found to /there; redirects are not followed"), "{why}");
    }
    assert_eq!(there.load(Ordering::Relaxed), 0);
    let long = client.ask(Question::get(&url("/long")), PATIENCE, 4_096).await.expect_err("too long");
    assert!(long.contains("/long answered more than 4 KiB"), "{long}");
    let reply = client.send(Question::get(&url("/long"))).await.expect("an answer");
    assert_eq!(reply.beginning(100).await.body.len(), 100);
    client.send(Question::get(&url("/long"))).await.expect("an answer").drained().await.expect("all of it");
}

#[tokio::test]
async fn what_a_name_leads_to_is_checked_before_it_is_connected_to() {
    let (server, there) = server().await;
    for (named, reached) in [
        (&[][..], true),
        (&["localhost"], true),
        (&["127.0.0.0/8", "::1/128"], true),
        (&["10.0.0.0/8"], false),
    ] {
        let client = client(named);
        let url = client.url(&format!("{server}/there")).expect("told by what it resolves to");
        let before = there.load(Ordering::Relaxed);
        let said = client.ask(Question::get(&url), PATIENCE, 100).await;
        assert_eq!(
            (said.is_ok(), there.load(Ordering::Relaxed) > before),
            (reached, reached),
            "{named:?}: {said:?}"
        );
        if let Err(why) = said {
            assert!(why.contains("--source-host names 10.0.0.0/8"), "{why}");
        }
    }
    for address in
        ["http://169.254.169.254/latest", "http://[fe80::1]/", "http://0.0.0.0/", "http://2852039166/"]
    {
        let why = client(&[]).url(address).expect_err("nobody's address");
        assert!(why.contains("--source-host"), "{address}: {why}");
    }
}

#[tokio::test]
async fn credentials_of_a_url_are_sent_where_that_is_asked_for_and_never_shown() {
    let (server, _) = server().await;
    let client = client(&[]);
    let text = server.replace("://", "://anna:p%40ss@");
    let why = client.url(&text).expect_err("credentials");
    assert!(why.contains("access: {basic") && !why.contains("anna"), "{why}");
    let (url, headers) = client.url_with_credentials(&text).expect("a URL");
    assert!(!url.as_str().contains("anna"), "{url}");
    let answer = client.ask(Question::get(&url).with(headers), PATIENCE, 100).await.expect("an answer");
    assert!(answer.body.starts_with(b"\"Basic "), "{answer:?}");
    assert!(client.url_with_credentials("ftp://x").is_err() && client.url_with_credentials("x").is_err());
}

#[tokio::test]
async fn a_question_has_a_deadline_with_everything_in_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let client = client(&[]);
    let url =
        client.url(&format!("http://{}/x", listener.local_addr().expect("its address"))).expect("a URL");
    // It is connected to, and nobody ever answers.
    let said = client.ask(Question::get(&url), Duration::from_millis(20), 100).await.expect_err("silence");
    assert!(said.contains("/x did not answer within 20ms"), "{said}");
}
