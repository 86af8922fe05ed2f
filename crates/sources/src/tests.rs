//! Sources against a stand-in that answers whatever a case wants.

mod before;
mod credentials;
mod fair;
mod times;
mod tls;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use manifest::{Basic, Http, Prometheus, Range, Reduce, Secret, Span, Tls, Value};
use outbound::RootCertStore;
use tokio::net::TcpListener;

use super::*;

/// When everything here is asked.
const NOW_MS: u64 = 1_800_000_000_000;

/// Answers every request alike, and keeps what was asked.
#[derive(Clone)]
struct StandIn {
    status: u16,
    body: String,
    asked: Arc<Mutex<Vec<(String, HeaderMap)>>>,
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

    /// Path with query, and headers, of every question.
    fn asked(&self) -> Vec<(String, HeaderMap)> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

async fn answer(State(stand_in): State<StandIn>, request: Request) -> impl IntoResponse {
    let place = request.uri().to_string();
    stand_in.asked.lock().expect("not poisoned").push((place, request.headers().clone()));
    (StatusCode::from_u16(stand_in.status).expect("a status"), stand_in.body)
}

fn prometheus(url: String) -> Prometheus {
    Prometheus { url, query: "up".to_owned(), ..Prometheus::default() }
}

fn http(url: String, pointer: &str) -> Http {
    Http { url, json_pointer: pointer.to_owned(), ..Http::default() }
}

/// The canary's value and stable's.
type Pair = (Option<f64>, Option<f64>);

/// What is asked for now, of something that has been so for ever, every 30 s.
const WHEN: When = When { now_ms: NOW_MS, for_ms: None, every_ms: 30_000 };

const ASKER: Requester<'static> = Requester { name: "ranker", purpose: Purpose::Prove };

async fn figures(sources: &Sources, source: Source) -> Result<Pair, String> {
    sources.ask(&source, ASKER, WHEN).await.map(|Figures { canary, stable, .. }| (canary, stable))
}

/// `@30` in an answer stands for the time 30 s ago.
fn timed(body: &str) -> String {
    let mut parts = body.split('@');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let ago: u64 = part[..digits].parse().expect("seconds");
        text += &format!("{}{}", NOW_MS / 1_000 - ago, &part[digits..]);
    }
    text
}

fn of(secrets: Secrets, named: &[&str]) -> Result<Sources> {
    let named = named.iter().map(|host| host.parse().expect("a host")).collect();
    Sources::new(secrets, Arc::new(RootCertStore::empty()), Hosts::new("--source-host", named))
}

fn sources() -> Sources {
    of(Secrets::default(), &[]).expect("sources")
}

/// Sources that trust no authority of the system, with the secrets of a folder.
fn offering(dir: &Path) -> Sources {
    of(Secrets { dir: Some(dir.to_owned()), env_prefix: None }, &[]).expect("sources")
}

fn secret(name: &str) -> Secret {
    Secret { secret: name.to_owned() }
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
    let body = &timed(body);
    let host = StandIn::new(status, body).start().await;
    judge(
        body,
        figures(&sources(), Source::Prometheus(prometheus(format!("http://{host}")))).await,
        expected,
    );
}

async fn check_json(status: u16, body: &str, pointer: &str, expected: Result<Option<f64>, &[&str]>) {
    let host = StandIn::new(status, body).start().await;
    let source = Source::Http(http(format!("http://{host}/quality"), pointer));
    judge(&format!("{pointer} of {body}"), figures(&sources(), source).await, expected);
}

fn success(kind: &str, result: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#)
}

#[tokio::test]
async fn prometheus_gives_a_number_no_data_or_an_error() {
    let series = |labels: &str, value: &str| format!(r#"{{"metric":{{{labels}}},"value":[@1,"{value}"]}}"#);
    for (kind, result, expected) in [
        ("scalar", r#"[@1,"0.25"]"#.to_owned(), Some(0.25)),
        ("scalar", r#"[@1,"NaN"]"#.to_owned(), None),
        ("vector", "[]".to_owned(), None),
        ("vector", format!("[{}]", series("", "1e-3")), Some(0.001)),
        ("vector", format!("[{}]", series(r#""__name__":"up""#, "NaN")), None),
        ("vector", format!("[{}]", series("", "+Inf")), Some(f64::INFINITY)),
        ("vector", format!("[{}]", series("", "-Inf")), Some(f64::NEG_INFINITY)),
        ("matrix", "[]".to_owned(), None),
        ("matrix", r#"[{"metric":{},"values":[[@3,"1"],[@2,"2"],[@1,"-3.5"]]}]"#.to_owned(), Some(-3.5)),
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
        (200, success("scalar", r#"[@1,"many"]"#), &["\"many\"", "no number"]),
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
    let info = r#"{"status":"success","warnings":["PromQL info: might not be a counter"],"data":{"resultType":"scalar","result":[@1,"2"]}}"#;
    check_prometheus(200, info, Ok(Some(2.0))).await;
}

#[tokio::test]
async fn a_range_is_asked_for_and_reduced_to_one_number() {
    let matrix = |values: &str| success("matrix", &format!(r#"[{{"metric":{{}},"values":[{values}]}}]"#));
    let values = r#"[@6,"NaN"],[@4,"4"],[@3,"1"],[@1,"7"]"#;
    for (values, reduce, expected) in [
        (values, None, Some(7.0)),
        (values, Some(Reduce::Last), Some(7.0)),
        (values, Some(Reduce::Avg), Some(4.0)),
        (values, Some(Reduce::Min), Some(1.0)),
        (values, Some(Reduce::Max), Some(7.0)),
        (r#"[@3,"4"],[@1,"NaN"]"#, Some(Reduce::Last), None),
        (r#"[@3,"4"],[@1,"NaN"]"#, Some(Reduce::Avg), Some(4.0)),
        (r#"[@3,"NaN"],[@1,"+Inf"]"#, Some(Reduce::Avg), Some(f64::INFINITY)),
        // In the order of their times, whatever the order they come in.
        (r#"[@1,"9"],[@3,"1"]"#, None, Some(9.0)),
        // A series that has ended says nothing of now, whatever is made of it.
        (r#"[@599,"1"],[@597,"1"]"#, None, None),
        (r#"[@599,"1"],[@597,"1"]"#, Some(Reduce::Avg), None),
        (r#"[@599,"1"],[@12,"1"]"#, Some(Reduce::Max), None),
        (r#"[@1,"NaN"]"#, Some(Reduce::Max), None),
        ("", Some(Reduce::Min), None),
    ] {
        let stand_in = StandIn::new(200, &timed(&matrix(values)));
        let host = stand_in.start().await;
        let range = Range { over: Span::from_ms(600_000), step: Span::from_ms(1_500) };
        let source = Prometheus { range: Some(range), reduce, ..prometheus(format!("http://{host}/at")) };
        let said = figures(&sources(), Source::Prometheus(source)).await;
        judge(&format!("{reduce:?} of {values}"), said, Ok(expected));
        let (place, _) = stand_in.asked().pop().expect("it was asked");
        let url = outbound::Url::parse(&format!("http://{host}{place}")).expect("a URL");
        assert_eq!(url.path(), "/at/api/v1/query_range");
        let given: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let seconds = |name: &str| given[name].parse::<f64>().expect("seconds");
        assert!((seconds("end") - seconds("start") - 600.0).abs() < 1e-3, "{given:?}");
        assert_eq!((given["step"].as_str(), given["timeout"].as_str()), ("1.500", "10000ms"));
    }
    check_prometheus(200, &matrix(r#"[@1,"many"]"#), Err(&["\"many\"", "no number"])).await;
}

#[tokio::test]
async fn an_answer_without_end_and_a_redirect_are_refused() {
    let endless = "7".repeat((4 << 20) + 1);
    let host = StandIn::new(200, &endless).start().await;
    let (prometheus, http) =
        (prometheus(format!("http://{host}")), http(format!("http://{host}/quality"), "/a"));
    for source in [Source::Prometheus(prometheus), Source::Http(http)] {
        judge("too long", figures(&sources(), source).await, Err(&["more than 4 MiB", "the one figure"]));
    }
    check_prometheus(302, "", Err(&["302", "not followed"])).await;
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
    let stand_in = StandIn::new(200, &timed(&success("scalar", r#"[@1,"5"]"#)));
    let host = stand_in.start().await;
    let question = r#"sum(rate(x{version="v2", a=~"b+|c&d"}[5m])) / 100 % 7"#;
    let source = Prometheus {
        query: question.to_owned(),
        stable_query: Some("1+1".to_owned()),
        ..prometheus(format!("http://{host}/behind/a/path/"))
    };
    assert_eq!(figures(&sources(), Source::Prometheus(source)).await, Ok((Some(5.0), Some(5.0))));
    let asked: Vec<String> = stand_in.asked().into_iter().map(|(place, _)| place).collect();
    assert!(asked.iter().all(|place| place.starts_with("/behind/a/path/api/v1/query?")), "{asked:?}");
    let mut questions: Vec<String> = asked
        .iter()
        .map(|place| outbound::Url::parse(&format!("http://host{place}")).expect("a URL"))
        .filter_map(|url| {
            url.query_pairs().find(|(key, _)| key == "query").map(|(_, value)| value.into_owned())
        })
        .collect();
    questions.sort();
    assert_eq!(questions, ["1+1", question]);

    let host = StandIn::new(200, r#"{"a":1,"b":2}"#).start().await;
    let source = Http { stable_pointer: Some("/b".to_owned()), ..http(format!("http://{host}"), "/a") };
    assert_eq!(figures(&sources(), Source::Http(source)).await, Ok((Some(1.0), Some(2.0))));
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
        judge(url, figures(&sources(), Source::Http(http(url.to_owned(), "/a"))).await, Err(&parts));
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
    let mut source = http(format!("http://{host}"), "/a");
    source.access.timeout = Some(Span::from_ms(20));
    let said = figures(&sources(), Source::Http(source)).await;
    judge("silence", said, Err(&["within 20ms"]));
}
