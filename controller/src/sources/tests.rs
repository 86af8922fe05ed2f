//! Sources against a stand-in that answers whatever a case wants.

use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use spec::{Http, Prometheus};
use tokio::net::TcpListener;

use super::*;

/// Answers every request alike, and keeps what was asked.
#[derive(Clone)]
struct StandIn {
    status: u16,
    body: String,
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl StandIn {
    fn new(status: u16, body: &str) -> Self {
        Self { status, body: body.to_owned(), asked: Arc::default() }
    }

    fn router(&self) -> axum::Router {
        axum::Router::new().fallback(answer).with_state(self.clone())
    }

    /// Where it listens, as host and port.
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let host = listener.local_addr().expect("its address").to_string();
        tokio::spawn(axum::serve(listener, self.router()).into_future());
        host
    }

    /// Path with query, and authorization, of every question.
    fn asked(&self) -> Vec<(String, String)> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

async fn answer(State(stand_in): State<StandIn>, request: Request) -> impl IntoResponse {
    let place = request.uri().to_string();
    let who =
        request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    stand_in.asked.lock().expect("not poisoned").push((place, who.to_owned()));
    (StatusCode::from_u16(stand_in.status).expect("a status"), stand_in.body)
}

fn prometheus(url: String) -> Prometheus {
    Prometheus { url, query: "up".to_owned(), stable_query: None, bearer_token_file: None }
}

fn http(url: String, pointer: &str) -> Http {
    Http { url, json_pointer: pointer.to_owned(), stable_pointer: None, bearer_token_file: None }
}

fn sources() -> Sources {
    Sources::new().expect("sources")
}

/// `Ok`: the value; `Err`: every part the one sentence must hold.
#[track_caller]
fn judge(case: &str, said: Result<Pair, String>, expected: Result<Option<f64>, &[&str]>) {
    match (said, expected) {
        (Ok((canary, None)), Ok(expected)) => assert_eq!(canary, expected, "{case}"),
        (Err(error), Err(parts)) => {
            for part in parts {
                assert!(error.contains(part), "{case}: {part:?} is missing in: {error}");
            }
            assert!(!error.contains('\n'), "{case}: {error}");
        }
        (said, expected) => panic!("{case}: {said:?}, not {expected:?}"),
    }
}

async fn check_prometheus(status: u16, body: &str, expected: Result<Option<f64>, &[&str]>) {
    let host = StandIn::new(status, body).start().await;
    judge(body, sources().ask(&Source::Prometheus(prometheus(format!("http://{host}")))).await, expected);
}

async fn check_json(status: u16, body: &str, pointer: &str, expected: Result<Option<f64>, &[&str]>) {
    let host = StandIn::new(status, body).start().await;
    let source = Source::Http(http(format!("http://{host}/quality"), pointer));
    judge(&format!("{pointer} of {body}"), sources().ask(&source).await, expected);
}

fn success(kind: &str, result: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#)
}

#[tokio::test]
async fn prometheus_gives_a_number_no_data_or_an_error() {
    let series = |labels: &str, value: &str| format!(r#"{{"metric":{{{labels}}},"value":[1.5,"{value}"]}}"#);
    for (kind, result, expected) in [
        ("scalar", r#"[1435781451.781,"0.25"]"#.to_owned(), Some(0.25)),
        ("scalar", r#"[1435781451.781,"NaN"]"#.to_owned(), None),
        ("vector", "[]".to_owned(), None),
        ("vector", format!("[{}]", series("", "1e-3")), Some(0.001)),
        ("vector", format!("[{}]", series(r#""__name__":"up""#, "NaN")), None),
        ("vector", format!("[{}]", series("", "+Inf")), None),
        ("vector", format!("[{}]", series("", "-Inf")), None),
        ("matrix", "[]".to_owned(), None),
        ("matrix", r#"[{"metric":{},"values":[[1,"1"],[2,"2"],[3,"-3.5"]]}]"#.to_owned(), Some(-3.5)),
        ("matrix", r#"[{"metric":{},"values":[]}]"#.to_owned(), None),
    ] {
        check_prometheus(200, &success(kind, &result), Ok(expected)).await;
    }
    let two = format!("[{},{}]", series(r#""__name__":"up","job":"a""#, "1"), series(r#""job":"b""#, "1"));
    let histogram = r#"[{"metric":{"__name__":"h"},"histogram":[1,{"count":"3"}]}]"#;
    let cases: [(u16, String, &[&str]); 12] = [
        (200, success("vector", &two), &["2 series", r#"up{job="a"}"#, r#"{job="b"}"#, "sum("]),
        (200, success("vector", histogram), &["h{}", "histogram_quantile"]),
        (200, success("string", r#"[1,"x"]"#), &["\"string\"", "scalar"]),
        (200, success("scalar", r#"[1,"many"]"#), &["\"many\"", "no number"]),
        (200, success("scalar", "7"), &["cannot be read"]),
        (400, r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#.into(), &[
            "\"up\"", "bad_data", "parse error", "400",
        ]),
        (503, r#"{"status":"error","errorType":"timeout","error":"too long"}"#.into(), &["timeout", "503"]),
        (502, "<html>Bad\n gateway</html>".into(), &["502", "Bad gateway"]),
        (401, String::new(), &["401"]),
        (200, "<html>a login page</html>".into(), &["login page", "url"]),
        (302, String::new(), &["302"]),
        (
            200,
            r#"{"status":"success","warnings":["store-2 is away"],"data":{"resultType":"vector","result":[]}}"#.into(),
            &["store-2 is away", "vouch"],
        ),
    ];
    for (status, body, parts) in cases {
        check_prometheus(status, &body, Err(parts)).await;
    }
    let info = r#"{"status":"success","warnings":["PromQL info: might not be a counter"],"data":{"resultType":"scalar","result":[1,"2"]}}"#;
    check_prometheus(200, info, Ok(Some(2.0))).await;
}

#[tokio::test]
async fn a_field_of_json_is_a_number_no_data_or_an_error() {
    let body =
        r#"{"canary":{"accuracy":0.97,"text":" 12 ","none":null,"nan":"NaN","list":[3,-4]},"on":true}"#;
    for (pointer, expected) in [
        ("/canary/accuracy", Some(0.97)),
        ("/canary/text", Some(12.0)),
        ("/canary/list/1", Some(-4.0)),
        ("/canary/none", None),
        ("/canary/nan", None),
        ("/canary/absent", None),
        ("/absent/too", None),
    ] {
        check_json(200, body, pointer, Ok(expected)).await;
    }
    check_json(200, "", "/x", Ok(None)).await;
    check_json(204, "", "/x", Ok(None)).await;
    let cases: [(u16, &str, &str, &[&str]); 7] = [
        (200, body, "/canary", &["/canary holds an object", "point at"]),
        (200, body, "/canary/list", &["a list"]),
        (200, body, "/on", &["true or false"]),
        (200, r#"{"x":"many"}"#, "/x", &["a text"]),
        (200, "not JSON", "/x", &["no JSON", "\"not JSON\""]),
        (500, "went wrong", "/x", &["500", "went wrong", "/quality"]),
        (307, "", "/x", &["307", "the address it leads to"]),
    ];
    for (status, body, pointer, parts) in cases {
        check_json(status, body, pointer, Err(parts)).await;
    }
}

#[tokio::test]
async fn both_versions_are_asked_for_and_the_query_arrives_as_written() {
    let stand_in = StandIn::new(200, &success("scalar", r#"[1,"5"]"#));
    let host = stand_in.start().await;
    let question = r#"sum(rate(x{version="v2", a=~"b+|c&d"}[5m])) / 100 % 7"#;
    let source = Prometheus {
        query: question.to_owned(),
        stable_query: Some("1+1".to_owned()),
        ..prometheus(format!("http://{host}/behind/a/path/"))
    };
    assert_eq!(sources().ask(&Source::Prometheus(source)).await, Ok((Some(5.0), Some(5.0))));
    let asked: Vec<String> = stand_in.asked().into_iter().map(|(place, _)| place).collect();
    assert!(asked.iter().all(|place| place.starts_with("/behind/a/path/api/v1/query?")), "{asked:?}");
    let mut questions: Vec<String> = asked
        .iter()
        .map(|place| reqwest::Url::parse(&format!("http://host{place}")).expect("a URL"))
        .filter_map(|url| {
            url.query_pairs().find(|(key, _)| key == "query").map(|(_, value)| value.into_owned())
        })
        .collect();
    questions.sort();
    assert_eq!(questions, ["1+1", question]);

    let host = StandIn::new(200, r#"{"a":1,"b":2}"#).start().await;
    let source = Http { stable_pointer: Some("/b".to_owned()), ..http(format!("http://{host}"), "/a") };
    assert_eq!(sources().ask(&Source::Http(source)).await, Ok((Some(1.0), Some(2.0))));
}

#[tokio::test]
async fn credentials_travel_in_their_header_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let file = dir.path().join(name);
        std::fs::write(&file, text).expect("a file");
        Some(file.display().to_string())
    };
    let absent = Some(dir.path().join("absent").display().to_string());
    // (before the host, token file, the header or what the error says)
    let cases: [(&str, Option<String>, Result<&str, &str>); 7] = [
        ("", None, Ok("")),
        ("anna:p%40ss@", None, Ok("Basic YW5uYTpwQHNz")),
        ("", file("token", "secret\n"), Ok("Bearer secret")),
        ("", file("empty", " \n"), Err("is empty")),
        ("", absent, Err("cannot be read")),
        ("", file("lines", "a\nb"), Err("no HTTP header")),
        ("anna:secret@", file("token", "secret"), Err("keep one of the two")),
    ];
    for (named, token, expected) in cases {
        let stand_in = StandIn::new(500, "no");
        let host = stand_in.start().await;
        let source = Http { bearer_token_file: token, ..http(format!("http://{named}{host}/q?key=1"), "/a") };
        let error = sources().ask(&Source::Http(source)).await.expect_err("it answers 500");
        match expected {
            Ok(header) => assert_eq!(stand_in.asked(), [("/q?key=1".to_owned(), header.to_owned())]),
            Err(part) => {
                assert!(error.contains(part), "{part:?} is missing in: {error}");
                assert_eq!(stand_in.asked(), [], "nothing was sent");
            }
        }
        assert!(!error.contains("p%40ss") && !error.contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn who_cannot_be_reached_is_named() {
    for (url, parts) in [
        ("http://127.0.0.1:1/x", ["http://127.0.0.1:1/x", "refused"]),
        ("https://127.0.0.1:1", ["https://127.0.0.1:1", "refused"]),
        ("ftp://host", ["ftp://host", "http://"]),
        ("prometheus:9090", ["prometheus:9090", "http://"]),
        ("http://", ["http://", "no URL"]),
    ] {
        judge(url, sources().ask(&Source::Http(http(url.to_owned(), "/a"))).await, Err(&parts));
    }
}

/// A server that takes the question and never answers.
#[tokio::test]
async fn a_silent_source_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let host = listener.local_addr().expect("its address");
    let _silent = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            open.push(stream);
        }
    });
    let web = Web::new().expect("a client").patient_for(std::time::Duration::from_millis(20));
    let said = Sources::with(web).ask(&Source::Http(http(format!("http://{host}"), "/a"))).await;
    judge("silence", said, Err(&["within 20ms"]));
}

#[tokio::test]
async fn tls_is_spoken_with_those_whose_certificate_is_trusted_alone() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let certificate: CertificateDer<'static> = made.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| {
            config.with_no_client_auth().with_single_cert(vec![certificate.clone()], key.into())
        })
        .expect("TLS");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let router = StandIn::new(200, r#"{"a":7}"#).router();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, router) = (acceptor.clone(), router.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = hyper_util::service::TowerToHyperService::new(router);
                let stream = hyper_util::rt::TokioIo::new(stream);
                // The client may be gone before the end.
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await;
            });
        }
    });
    let source = Source::Http(http(format!("https://localhost:{port}/"), "/a"));
    judge("a stranger", sources().ask(&source).await, Err(&["localhost", "certificate"]));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).expect("an authority");
    judge("a friend", Sources::with(Web::trusting(roots)).ask(&source).await, Ok(Some(7.0)));
}
