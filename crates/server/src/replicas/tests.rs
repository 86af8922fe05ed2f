//! A replica that follows beside a leader: both are routers here, and the API server is silent.

use std::sync::Mutex;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method};
use axum::routing::any;
use istio::journal::Followed;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::access::{Proxies, RefusedRequests};

fn patience() -> Patience {
    Patience::default()
}

fn terms(address: Option<&str>) -> ReplicaTerms {
    ReplicaTerms {
        lease: "serin-system/serin".parse().expect("a name"),
        address: address.map(str::to_owned),
        kubeconfig: None,
    }
}

#[test]
fn the_others_must_reach_it() {
    let anywhere: SocketAddr = "0.0.0.0:7070".parse().expect("an address");
    let here: SocketAddr = "10.0.0.7:7070".parse().expect("an address");
    for (given, http, expected) in [
        (None, here, Ok("http://10.0.0.7:7070")),
        (None, anywhere, Err("--kubernetes-address")),
        (Some("http://10.0.0.8:80/"), anywhere, Ok("http://10.0.0.8:80")),
        (Some("10.0.0.8:80"), anywhere, Err("http://HOST:PORT")),
    ] {
        match (address(&terms(given), http), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (found, _) => panic!("{given:?} {http}: {found:?}, not {expected:?}"),
        }
    }
}

/// What came to the leader: method, path, headers, body.
type Asked = Arc<Mutex<Vec<(Method, String, HeaderMap, String)>>>;

async fn leader() -> (String, Asked) {
    let asked = Asked::default();
    let seen = asked.clone();
    let answer = move |request: Request| {
        let seen = seen.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = to_bytes(body, 1 << 20).await.expect("a body");
            let body = String::from_utf8_lossy(&body).into_owned();
            seen.lock().expect("not poisoned").push((head.method, head.uri.to_string(), head.headers, body));
            (axum::http::StatusCode::CONFLICT, Json(json!({"error": "as the leader says"})))
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(answer))).await });
    (address, asked)
}

/// Its API server is nobody's address.
async fn follower(leader: Option<Replica>, heard: bool) -> (Follower, watch::Sender<Standing>) {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("kubeconfig");
    let text = "{apiVersion: v1, kind: Config, current-context: x, clusters: [{name: x, cluster: {server: 'http://127.0.0.1:1'}}], users: [{name: x, user: {}}], contexts: [{name: x, context: {cluster: x, user: x}}]}";
    std::fs::write(&file, text).expect("written");
    let client = Plugin::client(Some(&file)).await.expect("a client");
    let own = Replica { identity: "b".to_owned(), address: "http://127.0.0.1:2".to_owned() };
    let terms = terms(None);
    let election = Election::new(client.clone(), &terms.lease, own.clone(), patience());
    let at = heard.then(Instant::now);
    let (sender, standing) =
        watch::channel(Standing { leader, renewed: at, heard: at, ..Standing::default() });
    let follower = Follower {
        journal: Journal::new(client, &terms.lease, own.clone(), election.hold()),
        own,
        lease: Leases::new(0, 5_000),
        ecds: Ecds::new(Resource::local("/filter.wasm"), 0),
        standing,
        guard: RequestGuard::new(
            "127.0.0.1:7070".parse().expect("an address"),
            Vec::new(),
            RefusedRequests::default(),
        ),
        proxies: Proxies::default(),
        read: Arc::default(),
    };
    (follower, sender)
}

async fn ask(follower: &Follower, method: Method, path: &str, body: &str) -> (u16, HeaderMap, Value) {
    let request = Request::builder().method(method).uri(path).header("host", "localhost");
    let request =
        request.header("x-serin-user", "anna").body(Body::from(body.to_owned())).expect("a request");
    let answer = follower.router().oneshot(request).await.expect("infallible");
    let (head, body) = answer.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("a body");
    (head.status.as_u16(), head.headers, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn what_is_asked_is_asked_of_the_leader() {
    let (address, asked) = leader().await;
    let a = Replica { identity: "a".to_owned(), address: address.clone() };
    let (follower, _standing) = follower(Some(a), true).await;
    let (status, headers, body) = ask(&follower, Method::POST, "/v1/rollouts?again=true", "{\"a\": 1}").await;
    assert_eq!((status, &body["error"]), (409, &json!("as the leader says")));
    assert_eq!(headers.get("serin-leader").expect("who says so"), &format!("a {address}"));
    let (status, ..) = ask(&follower, Method::GET, "/v1/rollouts/ranker", "").await;
    assert_eq!(status, 409);
    let asked = asked.lock().expect("not poisoned");
    let what: Vec<_> =
        asked.iter().map(|(method, path, _, body)| (method.as_str(), &**path, &**body)).collect();
    assert_eq!(what, [("POST", "/v1/rollouts?again=true", "{\"a\": 1}"), ("GET", "/v1/rollouts/ranker", "")]);
    assert_eq!(asked[0].2.get("x-serin-user").expect("it stays"), "anna");
}

#[tokio::test]
async fn without_a_leader_that_is_said() {
    let gone = || Some(Replica { identity: "a".to_owned(), address: "http://127.0.0.1:1".to_owned() });
    for (leader, part) in [(None, "no replica leads now"), (gone(), "a leads and does not answer")] {
        let (follower, _standing) = follower(leader, true).await;
        let (status, headers, body) = ask(&follower, Method::GET, "/v1/rollouts", "").await;
        let error = body["error"].as_str().unwrap_or_default();
        assert!(status == 503 && error.contains(part) && body["code"] == "no_leader", "{status} {body}");
        assert!(headers.contains_key("retry-after"));
    }
}

/// Two that take each other for the leader end there.
#[tokio::test]
async fn nothing_goes_round_in_circles() {
    let (first, _standing) = follower(None, true).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let (itself, _other) = follower(Some(Replica { identity: "a".to_owned(), address }), true).await;
    let router = itself.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let (status, _, body) = ask(&itself, Method::GET, "/v1/rollouts", "").await;
    assert!(
        status == 503 && body["error"].as_str().is_some_and(|error| error.contains("took it for the leader")),
        "{body}"
    );
    drop(first);
}

#[tokio::test]
async fn it_vouches_for_what_the_leader_published_while_it_hears_of_it() {
    for heard in [true, false] {
        let a = Replica { identity: "a".to_owned(), address: "http://127.0.0.1:1".to_owned() };
        let (follower, _standing) = follower(Some(a), heard).await;
        follower.note(None);
        let served = json!({"ttl_ms": 5_000, "digests": [7], "common": "{}", "regions": {}});
        let mesh = json!({"incarnation": 9, "generation": 4, "all_revoked_below": 0, "revoked_below": {"ranker": 3}});
        let policy = Some((9, 4, served.to_string().into_bytes()));
        let mut known = None;
        follower.take(Followed { at: (1, 1), mesh, policy }, &mut known);
        assert_eq!((known, follower.ecds.generation()), (Some((9, 4)), Some(4)));
        let lease = async |generation: u64| {
            let path = format!("/v1/lease?incarnation=9&generation={generation}&node=n&by_rollout=true");
            ask(&follower, Method::GET, &path, "").await
        };
        let (status, _, answer) = lease(4).await;
        assert_eq!((status, &answer["lease"]), (200, &json!("renew")), "{answer}");
        let (_, _, answer) = lease(2).await;
        assert_eq!(answer["revoked"], json!(["ranker"]), "what is taken back is told by every replica");
        let (status, _, body) = ask(&follower, Method::GET, "/readyz", "").await;
        assert_eq!(status, if heard { 200 } else { 503 }, "{body}");
        let why = body["checks"][0]["why"].as_str().unwrap_or_default();
        assert!(why.contains(if heard { "a leads, at http://" } else { "no leader was heard of" }), "{why}");
    }
}
