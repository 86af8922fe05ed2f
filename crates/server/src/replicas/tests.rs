//! A replica that follows beside a leader: both are routers here, and the API server is silent.

use std::collections::BTreeMap;
use std::sync::Mutex;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::routing::any;
use istio::journal::Followed;
use rollout::Now;
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

fn kubeconfig(server: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("kubeconfig");
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x", "users": [{"name": "x", "user": {}}],
        "clusters": [{"name": "x", "cluster": {"server": server}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    });
    std::fs::write(&file, text.to_string()).expect("written");
    (dir, file)
}

/// Its API server is nobody's address.
async fn follower(leader: Option<Replica>, heard: bool) -> (Follower, watch::Sender<Standing>) {
    follower_of("http://127.0.0.1:1", leader, heard).await
}

async fn follower_of(
    server: &str,
    leader: Option<Replica>,
    heard: bool,
) -> (Follower, watch::Sender<Standing>) {
    let (_dir, file) = kubeconfig(server);
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
        follower.take(Followed { at: (1, 1), mesh, policy }, &mut known).expect("read");
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

/// What an API server keeps, by path, and how often it was asked for the head of the journal.
#[derive(Clone, Default)]
struct Cluster(Arc<Mutex<(BTreeMap<String, Value>, usize)>>);

const HEAD: &str = "/api/v1/namespaces/serin-system/configmaps/serin-journal";

impl Cluster {
    async fn serve(&self) -> String {
        let kept = self.clone();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let answer = move |request: Request| {
            let kept = kept.clone();
            async move { kept.answer(request).await }
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(answer))).await });
        address
    }

    async fn answer(&self, request: Request) -> (StatusCode, Json<Value>) {
        let (method, mut path) = (request.method().clone(), request.uri().path().to_owned());
        let body = to_bytes(request.into_body(), 1 << 20).await.expect("a body");
        let (objects, looks) = &mut *self.0.lock().expect("not poisoned");
        *looks += usize::from(method == Method::GET && path == HEAD);
        if method == Method::POST || method == Method::PUT {
            let mut object: Value = serde_json::from_slice(&body).expect("an object");
            if method == Method::POST {
                path = format!("{path}/{}", object["metadata"]["name"].as_str().expect("a name"));
            }
            object["metadata"]["resourceVersion"] = "1".into();
            objects.insert(path.clone(), object);
        }
        let list = json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": []});
        match objects.get(&path) {
            Some(object) => (StatusCode::OK, Json(object.clone())),
            None if path.ends_with("configmaps") => (StatusCode::OK, Json(list)),
            None => {
                let body = json!({"kind": "Status", "status": "Failure", "message": "", "reason": "NotFound", "code": 404});
                (StatusCode::NOT_FOUND, Json(body))
            }
        }
    }

    /// Until it was looked at so often from now on.
    async fn looks(&self, often: usize) {
        let looks = || self.0.lock().expect("not poisoned").1;
        let from = looks();
        let seen = async {
            while looks() < from + often {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), seen).await.expect("it looks");
    }
}

/// It goes on by itself, at a cluster; until it has come round nobody vouches for anything, by a clock that stands still.
#[tokio::test]
async fn it_vouches_only_for_what_it_can_read_of_a_leader_that_it_hears_of() {
    let ours = json!({"ttl_ms": 5_000, "digests": [7], "common": "{}", "regions": {}});
    let theirs = json!({"ttl": "5s", "documents": []});
    let mesh = json!({"incarnation": 9, "generation": 4, "all_revoked_below": 0, "revoked_below": {}});
    let later = json!({"generation": "four"});
    for (heard, served, mesh, why) in [
        (true, &ours, &mesh, None),
        (false, &ours, &mesh, Some("no leader was heard of")),
        (true, &theirs, &mesh, Some("the leader's policy cannot be read")),
        (true, &ours, &later, Some("what the leader took back cannot be read")),
        (true, &theirs, &Value::Null, Some("the leader's policy cannot be read")),
    ] {
        clock::fake::set(Now { unix_ms: 1_700_000_000_000, monotonic_ns: 5_000_000_000 });
        let cluster = Cluster::default();
        let server = cluster.serve().await;
        let a = Replica { identity: "a".to_owned(), address: "http://127.0.0.1:1".to_owned() };
        let lease: LeaseName = "serin-system/serin".parse().expect("a name");
        let (_dir, file) = kubeconfig(&server);
        let client = Plugin::client(Some(&file)).await.expect("a client");
        let election = Election::new(client.clone(), &lease, a.clone(), patience());
        let (hold, mut leads) = (election.hold(), election.standing());
        let (_stop, stopped) = watch::channel(false);
        let election = tokio::spawn(election.run(stopped));
        leads.wait_for(|standing| standing.leads).await.expect("it leads");
        let journal = Journal::new(client, &lease, a.clone(), hold);
        journal.take_over().await.expect("taken");
        let publish = async |generation: u64, served: &Value, mesh: &Value| {
            let text = served.to_string();
            journal.publish(9, generation, text.as_bytes(), mesh.clone()).await.expect("written");
        };
        publish(4, served, mesh).await;
        let (follower, _standing) = follower_of(&server, Some(a), heard).await;
        clock::fake::set(Now { unix_ms: 1_700_000_060_000, monotonic_ns: 65_000_000_000 });
        let follows = tokio::spawn(follower.clone().follow());
        cluster.looks(3).await;
        let question = "/v1/lease?incarnation=9&generation=4&node=n&by_rollout=true";
        let (status, _, answer) = ask(&follower, Method::GET, question, "").await;
        assert_eq!(status == 200 && answer["lease"] == "renew", why.is_none(), "{why:?}: {status} {answer}");
        let (status, _, body) = ask(&follower, Method::GET, "/readyz", "").await;
        assert_eq!(status == 200, why.is_none(), "{body}");
        let said = body["checks"][0]["why"].as_str().unwrap_or_default();
        assert!(said.contains(why.unwrap_or("a leads")), "{said}");
        if heard && served == &theirs {
            // What can be read by now is served, and vouched for.
            publish(5, &ours, mesh).await;
            cluster.looks(3).await;
            assert_eq!(
                (ask(&follower, Method::GET, "/readyz", "").await.0, follower.ecds.generation()),
                (200, Some(5))
            );
        }
        follows.abort();
        election.abort();
    }
}

/// It is taken over meanwhile, and nobody waits for it then.
#[tokio::test]
async fn a_signal_that_comes_between_two_looks_is_not_lost() {
    let signalled = signalled();
    let pid = std::process::id().to_string();
    let sent = tokio::process::Command::new("kill").args(["-TERM", &pid]).status().await.expect("kill runs");
    assert!(sent.success());
    let told = stops(signalled.clone());
    tokio::time::timeout(std::time::Duration::from_secs(60), told).await.expect("it is told");
    stops(signalled).await;
}
