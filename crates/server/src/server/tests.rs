//! Requests through the whole router; what comes to the engine is seen, and answered by nobody.

mod export;
mod judged;
mod kept;
mod ready;

use std::path::Path as FilePath;

use axum::body::{Body, Bytes};
use axum::http::Request;
use tower::ServiceExt as _;

use super::*;
use crate::access::{RefusedRequests, Tokens};
use sources::{Hosts, Secrets};

struct Served {
    router: Router,
    api: Api,
    commanded: mpsc::Receiver<Command>,
    refused_requests: RefusedRequests,
    readers: SpecificationReaders,
}

fn served(bound: &str, allowed: &[&str]) -> Served {
    let (commands, commanded) = mpsc::channel(8);
    let (refused_requests, readers) = (RefusedRequests::default(), SpecificationReaders::default());
    let allowed = allowed.iter().map(|host| host.parse().expect("a host")).collect();
    let api = Api {
        commands,
        views: watch::channel(Views::default()).1,
        triggers: watch::channel(TriggerViews::default()).1,
        lease: Leases::new(1, 5_000),
        archive: Archive::of(FilePath::new("/nonexistent/serin.db")),
        metrics: EngineMetrics::default(),
        sources: Sources::new(Secrets::default(), outbound::system(), Hosts::default()).expect("sources"),
        deliveries: Deliveries::default(),
        readers: readers.clone(),
        exports: Exports::default(),
        health: Health::new(0, Duration::from_secs(1)),
        proxies: Proxies::default(),
        plugins: Arc::default(),
        troubles: watch::channel(Vec::new()).1,
        kept: None,
        standing: None,
        ecds: Ecds::new(envoy::Resource::local("/filter.wasm"), 1),
        guard: RequestGuard::new(bound.parse().expect("an address"), allowed, refused_requests.clone()),
    };
    Served { router: router(api.clone()), api, commanded, refused_requests, readers }
}

/// The same with something else behind it; the engine hears nothing.
fn with(api: Api) -> Served {
    let (refused_requests, readers) = (api.guard.refused_requests.clone(), api.readers.clone());
    Served { router: router(api.clone()), api, commanded: mpsc::channel(1).1, refused_requests, readers }
}

const ROLLOUT: &str = "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {name: ranker}\nspec:\n  stable: {version: v1}\n  canary: {version: v2}\n";

/// A request as text: its first line, then headers, then a body after an empty line.
fn request(text: &str) -> Request<Body> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines().map(str::trim);
    let (method, path) = lines.next().and_then(|line| line.split_once(' ')).expect("a first line");
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        request = request.header(name, value.trim());
    }
    request.body(Body::from(body.to_owned())).expect("a request")
}

async fn status(router: &Router, request: Request<Body>) -> (u16, Bytes, HeaderMap) {
    let response = router.clone().oneshot(request).await.expect("infallible");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    (status, body, headers)
}

/// `expected`: a status and a part of what is said, or the engine is asked.
async fn check(served: &mut Served, text: &str, expected: Option<(u16, &str)>) {
    let before = served.refused_requests.render(0);
    let answered = tokio::select! {
        biased;
        command = served.commanded.recv() => {
            drop(command.expect("the router lives"));
            None
        }
        answered = status(&served.router, request(text)) => Some(answered),
    };
    match (answered, expected) {
        (None, None) => {}
        (Some((status, body, headers)), Some((expected, part))) => {
            let body = String::from_utf8_lossy(&body);
            assert_eq!(status, expected, "{text}\n{body}");
            assert!(body.contains(part), "{part:?} is missing in the answer to {text}\n{body}");
            assert!(headers.keys().all(|name| !name.as_str().starts_with("access-control")), "{headers:?}");
            assert_eq!(
                headers.get("x-content-type-options").map(|value| value.as_bytes()),
                Some(&b"nosniff"[..])
            );
            let refused = matches!(expected, 403 | 413 | 415 | 421);
            assert_eq!(served.refused_requests.render(0) != before, refused, "{text}: is it counted?");
        }
        (answered, expected) => panic!("{text}: {answered:?}, not {expected:?}"),
    }
}

#[tokio::test]
async fn only_requests_that_mean_this_controller_come_in() {
    let mut here = served("127.0.0.1:7070", &["serin.models.svc", "*.example.com", "[fd00::7]"]);
    let known = [
        "localhost",
        "LOCALHOST:7070",
        "localhost.:7070",
        "a.localhost",
        "127.0.0.1",
        "127.0.0.1:7070",
        "127.9.9.9",
        "[::1]:7070",
        "[::ffff:127.0.0.1]",
        "serin.models.svc:7070",
        "Serin.Models.Svc",
        "a.b.example.com",
        "[fd00::7]:1",
    ];
    for host in known {
        check(&mut here, &format!("GET /v1/rollouts\nhost: {host}"), Some((200, "[]"))).await;
        check(&mut here, &format!("POST /v1/rollouts/ranker/abort\nhost: {host}"), None).await;
    }
    let unknown = [
        "evil.example",
        "evil.example:7070",
        "example.com",
        "localhost.evil.example",
        "evil.localhost.example",
        "10.0.0.7",
        "0.0.0.0:7070",
        "[fd00::8]",
        "127.1",
        "2130706433",
        "anna@localhost",
        "serin",
        "localhost/x",
        "",
        "serin.models.svc.evil",
    ];
    for host in unknown {
        for first in ["GET /v1/rollouts", "GET /metrics", "GET /healthz", "POST /v1/rollouts/ranker/abort"] {
            check(&mut here, &format!("{first}\nhost: {host}"), Some((421, "--allowed-host"))).await;
        }
    }
    check(&mut here, "GET /v1/rollouts\nhost: localhost\nhost: evil.example", Some((421, "evil.example")))
        .await;
    check(&mut here, "GET http://evil.example/v1/rollouts\nhost: localhost", Some((421, "evil.example")))
        .await;
    check(&mut here, "GET http://localhost:7070/v1/rollouts", Some((200, "[]"))).await;
    // A probe that speaks HTTP/1.0 says no host; nothing is changed for it.
    check(&mut here, "GET /healthz", Some((200, "ok"))).await;
    check(&mut here, "POST /v1/rollouts/ranker/abort", Some((421, "--allowed-host"))).await;
    // Filters call the controller by the name of their cluster, wherever it is.
    check(&mut here, "GET /v1/lease?incarnation=1&generation=0\nhost: serin", Some((200, "renew"))).await;

    let mut everywhere = served("0.0.0.0:7070", &[]);
    for host in ["10.0.0.7:7070", "[fd00::8]:7070", "localhost"] {
        check(&mut everywhere, &format!("GET /v1/rollouts\nhost: {host}"), Some((200, "[]"))).await;
    }
    check(
        &mut everywhere,
        "GET /v1/rollouts\nhost: evil.example",
        Some((421, "--allowed-host evil.example")),
    )
    .await;
}

#[tokio::test]
async fn nothing_is_changed_for_a_page_of_somebody_elses() {
    let mut here = served("127.0.0.1:7070", &["serin.example.com"]);
    let foreign = [
        "origin: http://evil.example",
        "origin: null",
        "origin: http://localhost:3000",
        "origin: http://localhost",
        "origin: file://",
        "origin: https://serin.example.com",
        "origin: http://localhost:7070\norigin: http://evil.example",
        "sec-fetch-site: cross-site",
        "sec-fetch-site: same-site",
        "sec-fetch-site: ",
        "origin: http://localhost:7070\nsec-fetch-site: cross-site",
    ];
    let changes = [
        "POST /v1/rollouts/ranker/abort",
        "POST /v1/rollouts",
        "POST /v1/rollouts/ranker/metrics",
        "POST /v1/rollouts/ranker/drill",
        "DELETE /v1/rollouts/ranker",
        "POST /v1/triggers/registry/webhook",
        "POST /v1/triggers",
        "DELETE /v1/triggers/registry",
        "PUT /v1/rollouts/ranker",
        "GET /v1/lease?incarnation=1&generation=0",
    ];
    for foreign in foreign {
        for change in changes {
            let text = format!("{change}\nhost: localhost:7070\n{foreign}");
            check(&mut here, &text, Some((403, "serin command"))).await;
        }
        check(&mut here, &format!("GET /v1/rollouts\nhost: localhost:7070\n{foreign}"), Some((200, "[]")))
            .await;
    }
    for own in [
        "origin: http://localhost:7070",
        "sec-fetch-site: same-origin",
        "sec-fetch-site: none",
        "x-serin-user: anna",
    ] {
        check(&mut here, &format!("POST /v1/rollouts/ranker/abort\nhost: localhost:7070\n{own}"), None).await;
    }
    let proxied =
        "POST /v1/rollouts/ranker/abort\nhost: serin.example.com\norigin: https://serin.example.com";
    check(&mut here, proxied, None).await;
    let preflight = "OPTIONS /v1/rollouts\nhost: localhost:7070\norigin: http://evil.example\naccess-control-request-method: POST";
    check(&mut here, preflight, Some((405, ""))).await;
}

#[tokio::test]
async fn a_body_is_of_a_kind_that_no_form_can_send() {
    let mut here = served("127.0.0.1:7070", &[]);
    let (rollouts, abort) =
        ("POST /v1/rollouts\nhost: localhost", "POST /v1/rollouts/ranker/abort\nhost: localhost");
    let reason = r#"{"reason":"x"}"#;
    for kind in [
        "application/yaml",
        "application/x-yaml",
        "text/yaml; charset=utf-8",
        "Application/JSON",
        "application/merge+json",
    ] {
        check(&mut here, &format!("{rollouts}\ncontent-type: {kind}\n\n{ROLLOUT}"), None).await;
    }
    check(&mut here, &format!("{abort}\ncontent-type: application/json; charset=utf-8\n\n{reason}"), None)
        .await;
    check(
        &mut here,
        &format!("{abort}\ncontent-type: application/yaml\n\n{reason}"),
        Some((415, "application/json")),
    )
    .await;
    for kind in [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "text/plain;application/json",
        "json",
        "",
    ] {
        // As every browser marks what a page sends.
        for mark in ["user-agent: Mozilla/5.0 (X11)", "referer: http://localhost/", "sec-fetch-mode: no-cors"]
        {
            let remedy = "curl -H 'content-type: application/yaml'";
            let request = format!("{rollouts}\n{mark}\ncontent-type: {kind}\n\n{ROLLOUT}");
            check(&mut here, &request, Some((415, remedy))).await;
            let remedy = "curl -H 'content-type: application/json'";
            let request = format!("{abort}\n{mark}\ncontent-type: {kind}");
            check(&mut here, &format!("{request}\n\n{reason}"), Some((415, remedy))).await;
        }
    }
    // `curl -d` calls everything a form.
    for kind in ["application/x-www-form-urlencoded", "text/plain"] {
        check(&mut here, &format!("{rollouts}\nuser-agent: curl/8\ncontent-type: {kind}\n\n{ROLLOUT}"), None)
            .await;
        check(&mut here, &format!("{abort}\ncontent-type: {kind}\n\n{reason}"), None).await;
    }
    check(&mut here, &format!("{abort}\ncontent-type: image/png\n\n{reason}"), Some((415, "image/png")))
        .await;
    let two = format!("{abort}\ncontent-type: application/json\ncontent-type: image/png\n\n{reason}");
    check(&mut here, &two, Some((415, "image/png"))).await;
    // As earlier commands send it. Nothing of it is passed over.
    check(&mut here, &format!("{rollouts}\n\n{ROLLOUT}"), None).await;
    check(&mut here, abort, None).await;
    check(&mut here, &format!("{abort}\n\n{{\"raeson\":\"x\"}}"), Some((422, "raeson"))).await;
}

#[tokio::test]
async fn what_is_too_long_is_refused_and_what_is_wound_up_costs_nothing() {
    let mut here = served("127.0.0.1:7070", &[]);
    let long = |n: usize| format!("POST /v1/rollouts\nhost: localhost\n\n{ROLLOUT}# {}", "x".repeat(n));
    check(&mut here, &long(250 * 1024), None).await;
    check(&mut here, &long(256 * 1024), Some((413, "256 KiB"))).await;
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let begun = std::time::Instant::now();
    check(&mut here, &format!("POST /v1/rollouts\nhost: localhost\n\n{bomb}{ROLLOUT}"), Some((422, "a0")))
        .await;
    println!("a bomb of aliases: refused after {:?}", begun.elapsed());
}

#[tokio::test]
async fn what_takes_long_to_read_holds_up_no_act() {
    let mut here = served("127.0.0.1:7070", &[]);
    let (open, closed) = std::sync::mpsc::channel::<()>();
    let closed = Arc::new(std::sync::Mutex::new(closed));
    let reading = [(); 2].map(|()| {
        let (readers, closed) = (here.readers.clone(), closed.clone());
        tokio::spawn(async move {
            let wait = move || {
                let _ = closed.lock().map(|closed| closed.recv());
                Ok(())
            };
            readers.read(wait).await
        })
    });
    check(&mut here, "POST /v1/rollouts/ranker/abort\nhost: localhost", None).await;
    check(&mut here, "GET /v1/rollouts\nhost: localhost", Some((200, "[]"))).await;
    drop(open);
    for reading in reading {
        assert!(reading.await.is_ok_and(|read| read.is_ok()));
    }
    check(&mut here, &format!("POST /v1/rollouts\nhost: localhost\n\n{ROLLOUT}"), None).await;
}

#[tokio::test]
async fn a_proxy_shows_a_token_and_loses_its_stream_with_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("tokens");
    let (old, new) = ("0123456789abcdef", "fedcba9876543210");
    std::fs::write(&file, old).expect("a file");
    let tokens = Some(Tokens::open(file.clone()).expect("tokens"));
    let refused_requests = RefusedRequests::default();
    let proxies = Proxies { tokens, refused_requests: refused_requests.clone(), ..Proxies::default() };
    let router = Router::new()
        .route(
            "/stream",
            post(|| async { Body::from_stream(futures::stream::pending::<std::io::Result<Bytes>>()) }),
        )
        .route("/lease", get(|| async { "renew" }))
        .layer(from_fn_with_state(proxies, prove));
    let lease = |shown: &str| format!("GET /lease\n{shown}");
    let bearer = |token: &str| format!("authorization: Bearer {token}");
    for (shown, expected, part) in [
        (String::new(), 401, "serin bootstrap --token-file"),
        (format!("authorization: {old}"), 401, "Bearer TOKEN"),
        (format!("authorization: Basic {old}"), 401, "Bearer TOKEN"),
        (bearer(new), 401, "none of --proxy-token-file"),
        (bearer(""), 401, "Bearer TOKEN"),
        (bearer(&old[1..]), 401, "none of --proxy-token-file"),
        (bearer(old), 200, "renew"),
    ] {
        let (code, body, _) = status(&router, request(&lease(&shown))).await;
        let body = String::from_utf8_lossy(&body);
        assert!(code == expected && body.contains(part), "{shown}: {code} {body}");
        assert!(!body.contains(old) && !body.contains(new), "{body}");
    }
    assert!(
        refused_requests.render(0).contains("{reason=\"credentials\"} 6"),
        "{}",
        refused_requests.render(0)
    );
    let stream =
        |token: &str| request(&format!("POST /stream\ncontent-type: application/grpc\n{}", bearer(token)));
    let (code, _, headers) = status(&router, stream(new)).await;
    assert_eq!((code, headers.get("grpc-status").map(|value| value.as_bytes())), (200, Some(&b"16"[..])));
    let open = router.clone().oneshot(stream(old)).await.expect("infallible");
    let reading = tokio::spawn(axum::body::to_bytes(open.into_body(), 1_024));
    // Both stand while proxies change; then the old one goes, and what it had opened.
    let until = async |shown: &str, wanted: u16| {
        while status(&router, request(&lease(shown))).await.0 != wanted {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    std::fs::write(&file, format!("{old}\n{new}\n")).expect("a file");
    until(&bearer(new), 200).await;
    assert!(!reading.is_finished());
    // What cannot be used changes nothing.
    std::fs::write(&file, "").expect("a file");
    std::fs::write(&file, format!("{new}\n")).expect("a file");
    until(&bearer(old), 401).await;
    assert_eq!(status(&router, request(&lease(&bearer(new)))).await.0, 200);
    let read =
        tokio::time::timeout(Duration::from_secs(30), reading).await.expect("in time").expect("no panic");
    assert!(read.is_err(), "the stream is broken off: {read:?}");
}

#[tokio::test]
async fn where_certificates_are_asked_for_nobody_is_a_proxy_in_the_clear() {
    let proxies = Proxies { certificate_elsewhere: true, ..Proxies::default() };
    let router =
        Router::new().route("/lease", get(|| async { "renew" })).layer(from_fn_with_state(proxies, prove));
    let (code, body, _) = status(&router, request("GET /lease")).await;
    assert!(code == 401 && String::from_utf8_lossy(&body).contains("serin bootstrap --ca"), "{body:?}");
}

#[tokio::test]
async fn a_question_for_a_lease_bears_a_name_that_can_be_kept() {
    let mut here = served("127.0.0.1:7070", &[]);
    let question =
        |node: &str| format!("GET /v1/lease?incarnation=1&generation=0&node={node}\nhost: localhost");
    for node in ["", "a", "sidecar~10.0.0.1~a.b~b.svc", "%C3%A4", &"a".repeat(512)] {
        check(&mut here, &question(node), Some((200, "renew"))).await;
    }
    for node in [&*"a".repeat(513), "a%0Ab", "%1B%5B2J", "a%C2%85b"] {
        let (code, body, _) = status(&here.router, request(&question(node))).await;
        assert!(code == 422 && String::from_utf8_lossy(&body).contains("512"), "{node}: {code}");
    }
    assert!(here.refused_requests.render(0).contains("{reason=\"node\"} 4"));
    assert!(
        here.refused_requests.render(7).contains("{reason=\"node\"} 11"),
        "those of the ECDS port are counted too"
    );
}

#[track_caller]
fn check_figures(text: &str, expected: Result<usize, &str>) {
    match (figures(text), expected) {
        (Ok(figures), Ok(n)) => assert_eq!(figures.len(), n, "{text}"),
        (Err(error), Err(part)) => {
            assert!(
                error.contains(part) && error.contains("SAMPLES"),
                "{text}: {part:?} is missing in: {error}"
            );
        }
        (read, expected) => panic!("{text}: {read:?}, not {expected:?}"),
    }
}

#[test]
fn pushed_figures_are_one_or_a_list_and_what_is_wrong_is_named() {
    let one = r#"{"metric":"accuracy","version":"v2","value":0.9}"#;
    check_figures(one, Ok(1));
    check_figures(&format!(" [{one},{one}]"), Ok(2));
    check_figures("[]", Ok(0));
    check_figures("", Err("EOF"));
    check_figures(&format!("{one}{one}"), Err("trailing"));
    check_figures(r#"{"metric":"accuracy","version":"v2"}"#, Err("`value`"));
    check_figures(r#"[{"metric":"accuracy","version":"v2","value":"many"}]"#, Err("[0].value: invalid type"));
    check_figures(r#"{"metric":"accuracy","version":"v2","value":1,"n":-1}"#, Err("n: invalid value"));
    check_figures(r#"{"metric":"accuracy","version":"v2","value":1,"unit":"ms"}"#, Err("unit"));
}
