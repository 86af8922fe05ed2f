//! Pods beside an API server that says what a test has it say.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;
use crate::api_server::client_of;

const PATIENCE: WatchPatience = WatchPatience {
    silence: Duration::from_secs(30),
    answer: Duration::from_secs(30),
    again: Duration::from_millis(5),
};

/// What the API server does at a question.
enum Turn {
    /// A part of a list, its version, and how the next part is asked for.
    List(Vec<Value>, &'static str, &'static str),
    /// A watch: these events, and then what comes by the channel.
    Watch(Vec<Value>, mpsc::UnboundedReceiver<Value>),
    /// A refusal.
    Status(u16, &'static str),
}

#[derive(Clone, Default)]
struct ApiServer {
    turns: Arc<Mutex<VecDeque<Turn>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl ApiServer {
    async fn with(turns: Vec<Turn>) -> (Self, Client) {
        let server = Self { turns: Arc::new(Mutex::new(turns.into())), ..Self::default() };
        let router = Router::new().fallback(answer).with_state(server.clone());
        (server, client_of(router).await)
    }

    fn then(&self, turn: Turn) {
        self.turns.lock().expect("not poisoned").push_back(turn);
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

async fn answer(State(server): State<ApiServer>, uri: Uri, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    server.asked.lock().expect("not poisoned").push(format!("{}?{query}", uri.path()));
    let turn = server.turns.lock().expect("not poisoned").pop_front();
    match turn {
        // Nothing more is planned.
        None => std::future::pending().await,
        Some(Turn::Status(code, reason)) => {
            let body = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": reason,
                "reason": reason, "code": code,
            });
            (StatusCode::from_u16(code).expect("a status"), axum::Json(body)).into_response()
        }
        Some(Turn::List(items, version, more)) => {
            assert!(!query.contains("watch=true"), "a list was planned, and asked is {query}");
            axum::Json(json!({
                "kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": version, "continue": more},
                "items": items,
            }))
            .into_response()
        }
        Some(Turn::Watch(events, more)) => {
            assert!(query.contains("watch=true"), "a watch was planned, and asked is {query}");
            let lines = futures::stream::iter(events)
                .chain(futures::stream::unfold(more, |mut more| async { Some((more.recv().await?, more)) }));
            let lines = futures::StreamExt::map(lines, |event| Ok::<_, std::io::Error>(format!("{event}\n")));
            Response::new(Body::from_stream(lines))
        }
    }
}

use futures::StreamExt as _;

/// `NAME UID IP STATE`: running, unready, leaving, pending, succeeded, failed.
fn pod(words: &str, version: u32) -> Value {
    let words: Vec<&str> = words.split(' ').collect();
    let (name, uid, ip, state) = (words[0], words[1], words[2], words[3]);
    let mut pod = json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "name": name, "namespace": "models", "uid": uid, "resourceVersion": version.to_string(),
            "creationTimestamp": format!("2026-01-01T00:00:{version:02}Z"), "labels": {"app": "storefront"},
        },
        "spec": {"containers": [{"name": "app", "image": "app"}]},
        "status": {
            "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "startTime": format!("2026-01-01T00:00:{version:02}Z"),
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    });
    match state {
        "running" => {}
        "unready" => pod["status"]["conditions"][0]["status"] = "False".into(),
        "leaving" => pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:01:00Z".into(),
        "pending" => pod["status"] = json!({"phase": "Pending"}),
        "succeeded" => pod["status"]["phase"] = "Succeeded".into(),
        "failed" => pod["status"] = json!({"phase": "Failed", "reason": "Evicted"}),
        other => panic!("{other}"),
    }
    pod
}

fn event(kind: &str, words: &str, version: u32) -> Value {
    json!({"type": kind, "object": pod(words, version)})
}

fn shown(known: &Known) -> Vec<String> {
    let mut all: Vec<String> = known
        .pods
        .iter()
        .flat_map(|pods| pods.values())
        .map(|pod| format!("{} {} {}{}", pod.name, pod.uid, pod.ip, if pod.leaving { " leaves" } else { "" }))
        .collect();
    all.sort();
    all
}

async fn until(pods: &Pods, what: &str, fits: impl Fn(&Known) -> bool) -> Known {
    let mut known = pods.known.clone();
    let waited = tokio::time::timeout(Duration::from_secs(60), known.wait_for(fits)).await;
    match waited {
        Ok(Ok(found)) => found.clone(),
        _ => panic!("{what} never came: {:?}", pods.known()),
    }
}

fn selection() -> Selection {
    "pods://models/app=storefront".parse().expect("a selection")
}

fn open() -> (mpsc::UnboundedSender<Value>, mpsc::UnboundedReceiver<Value>) {
    mpsc::unbounded_channel()
}

#[test]
fn selections_are_read_strictly() {
    let ip = "10.0.0.7".parse().expect("an address");
    for (text, context, namespace, labels, page) in [
        (
            "pods://models/app=storefront",
            None,
            Some("models"),
            "app=storefront",
            "http://10.0.0.7:15020/stats/prometheus",
        ),
        (
            "pods://models/app=a,serin.dev/decide=true:9090/metrics?x=1",
            None,
            Some("models"),
            "app=a,serin.dev/decide=true",
            "http://10.0.0.7:9090/metrics?x=1",
        ),
        (
            "pods://arn:aws:eks:eu-west-1:1:cluster/a@b@*/app=a",
            Some("arn:aws:eks:eu-west-1:1:cluster/a@b"),
            None,
            "app=a",
            "http://10.0.0.7:15020/stats/prometheus",
        ),
    ] {
        let read: Selection = text.parse().unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(
            (read.context.as_deref(), read.namespace.as_deref(), read.labels.as_str(), read.page(ip)),
            (context, namespace, labels, page.to_owned()),
            "{text}"
        );
    }
    for (text, why) in [
        ("pods://models", "no labels"),
        ("pods://Models/app=a", "\"Models\" is no namespace"),
        ("pods:///app=a", "is no namespace"),
        ("pods://models/", "no LABEL=VALUE"),
        ("pods://models/app", "no LABEL=VALUE"),
        ("pods://models/app=a,", "no LABEL=VALUE"),
        ("pods://models/app in (a)=b", "no key of a label"),
        ("pods://models/a/b/c=d", "no key of a label"),
        ("pods://models/app=a b", "no value of a label"),
        ("pods://models/app=a:15020", "no path"),
        ("pods://models/app=a:0/x", "\"0\" is no port"),
        ("pods://models/app=a:99999/x", "is no port"),
        ("pods://models/app=a:1/", "no path of a page"),
        ("pods://@models/app=a", "no context"),
        ("http://models/app=a", "does not begin with pods://"),
    ] {
        let error = text.parse::<Selection>().expect_err(text);
        assert!(error.contains(why) && error.contains("pods://NAMESPACE/LABEL=VALUE"), "{text}: {error}");
    }
}

#[tokio::test]
async fn a_list_in_parts_and_a_watch_from_where_it_ended() {
    let (tell, told) = open();
    let (server, client) = ApiServer::with(vec![
        Turn::List(vec![pod("a 1 10.0.0.1 running", 1), pod("b 2 10.0.0.2 pending", 2)], "5", "more"),
        Turn::List(vec![pod("c 3 10.0.0.3 unready", 3), pod("d 4 10.0.0.4 failed", 4)], "5", ""),
        Turn::Watch(vec![event("MODIFIED", "b 2 10.0.0.2 running", 6)], told),
    ])
    .await;
    let pods = Pods::watched(client, selection(), PATIENCE);
    let known = until(&pods, "b", |known| shown(known).len() == 3).await;
    assert_eq!(shown(&known), ["a 1 10.0.0.1", "b 2 10.0.0.2", "c 3 10.0.0.3 leaves"]);
    assert_eq!(known.others, 1, "the evicted one");
    for (kind, words, expected) in [
        ("MODIFIED", "a 1 10.0.0.1 leaving", "a 1 10.0.0.1 leaves"),
        ("DELETED", "a 1 10.0.0.1 leaving", "b 2 10.0.0.2"),
        // Of a StatefulSet: the name of the one before it, at another's address that is free again.
        ("ADDED", "a 9 10.0.0.3 running", "a 9 10.0.0.3"),
    ] {
        tell.send(event(kind, words, 7)).expect("a watch");
        until(&pods, words, |known| shown(known).first().is_some_and(|first| first == expected)).await;
    }
    // The one that leaves had that address, and is not read any more.
    assert_eq!(shown(&pods.known()), ["a 9 10.0.0.3", "b 2 10.0.0.2"]);
    let asked = server.asked();
    assert!(
        asked[0].contains("labelSelector=app%3Dstorefront") && asked[0].contains("limit=500"),
        "{asked:?}"
    );
    assert!(asked[1].contains("continue=more"), "{asked:?}");
    assert!(
        asked[2].contains("resourceVersion=5") && asked[2].contains("allowWatchBookmarks=true"),
        "{asked:?}"
    );
}

#[tokio::test]
async fn what_is_forgotten_is_listed_anew_and_what_is_known_stands_meanwhile() {
    let (tell, told) = open();
    let (server, client) = ApiServer::with(vec![
        Turn::List(vec![pod("a 1 10.0.0.1 running", 1)], "5", ""),
        Turn::Watch(Vec::new(), told),
    ])
    .await;
    let pods = Pods::watched(client, selection(), PATIENCE);
    until(&pods, "a", |known| shown(known).len() == 1).await;
    let (_more, told) = open();
    server.then(Turn::Status(500, "etcd is away"));
    server.then(Turn::List(vec![pod("b 2 10.0.0.2 running", 8)], "9", ""));
    server.then(Turn::Watch(Vec::new(), told));
    let gone = json!({
        "type": "ERROR",
        "object": {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 410, "reason": "Expired",
            "message": "too old resource version"},
    });
    tell.send(gone).expect("a watch");
    let known =
        until(&pods, "b", |known| shown(known).first().is_some_and(|first| first.starts_with('b'))).await;
    assert_eq!(shown(&known), ["b 2 10.0.0.2"]);
    assert_eq!(known.trouble, None);
    let asked = server.asked();
    assert!(!asked[2].contains("watch=true") && !asked[3].contains("watch=true"), "{asked:?}");
}

#[tokio::test]
async fn an_api_server_that_is_gone_takes_nobody_away() {
    let (tell, told) = open();
    let (server, client) = ApiServer::with(vec![
        Turn::List(vec![pod("a 1 10.0.0.1 running", 1)], "5", ""),
        Turn::Watch(Vec::new(), told),
    ])
    .await;
    let pods = Pods::watched(client, selection(), PATIENCE);
    until(&pods, "a", |known| shown(known).len() == 1).await;
    for _ in 0..3 {
        server.then(Turn::Status(500, "no leader"));
    }
    drop(tell);
    let known = until(&pods, "trouble", |known| known.trouble.is_some()).await;
    assert_eq!(shown(&known), ["a 1 10.0.0.1"]);
    assert!(
        known.trouble.as_deref().is_some_and(|why| why.contains("500") && why.contains("no leader")),
        "{known:?}"
    );
    let (_tell, told) = open();
    server.then(Turn::Watch(vec![event("ADDED", "b 2 10.0.0.2 running", 6)], told));
    let known = until(&pods, "b", |known| shown(known).len() == 2).await;
    assert_eq!(known.trouble, None);
}

#[tokio::test]
async fn a_right_that_lacks_is_named() {
    let refused =
        "pods is forbidden: User \"system:serviceaccount:serin-system:serin\" cannot list resource \"pods\"";
    for (turns, verb) in [
        (vec![Turn::Status(403, refused)], "list"),
        (vec![Turn::List(Vec::new(), "5", ""), Turn::Status(403, refused)], "watch"),
    ] {
        let (_server, client) = ApiServer::with(turns).await;
        let pods = Pods::watched(client, selection(), PATIENCE);
        let known = until(&pods, verb, |known| known.trouble.is_some()).await;
        let why = known.trouble.expect("trouble");
        for part in
            [&format!("may not {verb} pods in namespace models"), &format!("verbs: [{verb}]"), refused]
        {
            assert!(why.contains(part), "{part:?} is missing in {why}");
        }
    }
}

#[tokio::test]
async fn nobody_fits() {
    let (_tell, told) = open();
    let (_server, client) =
        ApiServer::with(vec![Turn::List(Vec::new(), "5", ""), Turn::Watch(Vec::new(), told)]).await;
    let pods = Pods::watched(client, selection(), PATIENCE);
    pods.heard().await;
    let known = pods.known();
    assert_eq!((shown(&known).len(), known.others, known.trouble), (0, 0, None));
    assert_eq!(pods.selection().words(), "pods with app=storefront in namespace models");
}
