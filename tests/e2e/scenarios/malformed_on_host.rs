//! Whatever comes, the filter does not trap and the request gets its answer.

use host::{Answer, Headers, Process, ProcessOptions, Properties, Request, Upstream};
use serde_json::{Value, json};

use super::on_host::FILTER;
use super::table::Scenario;
use tests::policy;

const HUGE: usize = 64 * 1024;

/// Every scenario's policy, and one that reads whatever a policy can read.
fn policies() -> Vec<(String, Value)> {
    let mut policies: Vec<(String, Value)> =
        Scenario::all().iter().map(|scenario| (scenario.file.clone(), scenario.policy(1))).collect();
    let when = |place: &str| json!({"when": [{place: "x-user-id", "prefix": "never"}], "arm": "canary"});
    let greedy = json!({
        "match": {"port": 10_000, "direction": "unspecified"},
        "assignment": {
            "mode": "sticky", "salt": "ranker/1",
            "keys": [{"query": "user"}, {"cookie": "uid"}, {"header": "x-user-id"}, {"source_address": true}],
        },
        "overrides": [when("header"), when("cookie"), when("query")],
        "confidence": {
            "from_header": "x-model-confidence", "header": "x-serin-confidence",
            "source_header": "x-serin-confidence-source", "min": 0, "max": 1,
        },
        "count": {"groups": true},
    });
    policies.push(("everything read".to_owned(), policy(1, greedy)));
    policies
}

fn requests() -> Vec<(String, Request)> {
    let with = |name: &str, value: Vec<u8>| {
        Request::get("models.local", "/serin.Ranker/x?user=").header(name, value)
    };
    let plain = |edit: fn(&mut Request)| {
        let mut request = with("x-user-id", b"u1".to_vec());
        edit(&mut request);
        request
    };
    let mut requests = vec![
        ("no header at all".to_owned(), Request::bare()),
        ("no path".to_owned(), plain(|request| request.headers.remove(":path"))),
        ("no authority".to_owned(), plain(|request| request.headers.remove(":authority"))),
        ("an empty path".to_owned(), plain(|request| request.headers.set(":path", ""))),
        (
            "a path of bytes".to_owned(),
            plain(|request| request.headers.set(":path", [b'/', 0xff, b'?', 0xfe, b'='])),
        ),
        (
            "a query of separators".to_owned(),
            plain(|request| request.headers.set(":path", "/?".to_owned() + &"&=".repeat(HUGE / 2))),
        ),
        (
            "an authority of bytes".to_owned(),
            plain(|request| request.headers.set(":authority", [0xff, b':'])),
        ),
        ("an authority of colons".to_owned(), plain(|request| request.headers.set(":authority", "[::1]:::"))),
        (
            "a thousand headers".to_owned(),
            plain(|request| (0..1_000).for_each(|n| request.headers.add("x-user-id", n.to_string()))),
        ),
        (
            "no port in the address".to_owned(),
            plain(|request| request.source_address = "unix:///tmp/socket".to_owned()),
        ),
        ("no address".to_owned(), plain(|request| request.source_address.clear())),
        (
            "properties of the wrong size".to_owned(),
            plain(|request| {
                request.properties = Properties::new()
                    .bytes(&["destination", "port"], [1, 2, 3])
                    .bytes(&["xds", "listener_direction"], [])
                    .bytes(&["response", "code"], [0xff; 16])
                    .bytes(&["response", "flags"], [1])
                    .bytes(&["response", "backend_latency"], [0xff; 8])
                    .bytes(&["response", "grpc_status"], [0xff; 8]);
            }),
        ),
    ];
    let names = [
        "x-user-id",
        "cookie",
        "x-request-id",
        "x-serin-arm",
        "x-serin-force",
        "x-group",
        "content-type",
        "",
    ];
    let values: [(&str, Vec<u8>); 8] = [
        ("not UTF-8", vec![0x61, 0xff, 0xfe]),
        ("a zero byte", vec![0]),
        ("empty", vec![]),
        ("64 KB", vec![b'x'; HUGE]),
        ("64 KB of cookies", b"uid=; ".repeat(HUGE / 6)),
        ("64 KB of separators", vec![b';'; HUGE]),
        ("half a character", b"application/grpc\xc3".to_vec()),
        ("a lone equals sign", b"=".to_vec()),
    ];
    for name in names {
        for (what, value) in &values {
            requests.push((format!("{name}: {what}"), with(name, value.clone())));
        }
    }
    requests
}

fn answers() -> Vec<(String, Upstream)> {
    let mut answers: Vec<(String, Upstream)> = vec![
        ("timeout".to_owned(), Upstream::timeout()),
        ("reset".to_owned(), Upstream::reset()),
        ("disconnect".to_owned(), Upstream::Disconnect),
        ("no status".to_owned(), Answer { headers: Headers::new(), ..Answer::status(200) }.into()),
        (
            "a status that is none".to_owned(),
            Answer { headers: [(":status", "abc")].into(), ..Answer::status(200) }.into(),
        ),
    ];
    let confidences =
        ["", "NaN", "inf", "-inf", "-0", "1e999", "0x1", "1_0", "\u{0}", "٠.٥", " 0.5 ", "9007199254740993"];
    let mut confidences: Vec<Vec<u8>> = confidences.iter().map(|text| text.as_bytes().to_vec()).collect();
    confidences.extend([
        vec![0xff],
        vec![b'9'; HUGE],
        b"0.".iter().copied().chain(vec![b'3'; HUGE]).collect(),
    ]);
    for value in confidences {
        let what = format!("confidence {}", value.get(..20).unwrap_or(&value).escape_ascii());
        answers.push((what, Answer::status(200).header("x-model-confidence", value).into()));
    }
    for status in ["", "x", "-1", "99999999999999999999", "0"] {
        let trailers = Some(Headers::from([("grpc-status", status)]));
        let headers = Headers::from([(":status", "200"), ("content-type", "application/grpc")]);
        answers.push((
            format!("grpc-status {status:?}"),
            Answer { headers, trailers, ..Answer::status(200) }.into(),
        ));
    }
    answers
}

/// One exchange; says what is wrong with it.
fn fault(process: &mut Process, request: &Request, upstream: &Upstream) -> Option<String> {
    let exchange = process.request(0, request.clone(), upstream.clone()).expect("an exchange");
    let answered = match upstream {
        Upstream::Answer(answer) => answer.headers.text(":status"),
        Upstream::Local { .. } => exchange.response.as_ref().and_then(|headers| headers.text(":status")),
        Upstream::Disconnect => None,
    };
    let got = exchange.response.as_ref().and_then(|headers| headers.text(":status"));
    if let Some(trap) = exchange.failed {
        return Some(trap);
    }
    (got != answered || exchange.paused.is_some() || exchange.local_reply.is_some())
        .then(|| format!("status {got:?} for {answered:?}, paused {:?}", exchange.paused))
}

#[test]
fn nothing_that_a_client_or_a_model_sends_traps_the_filter() {
    let (requests, answers) = (requests(), answers());
    let usual = ("u1 over gRPC".to_owned(), {
        Request::get("models.local", "/serin.Ranker/x?user=u1")
            .header("x-user-id", "u1")
            .header("content-type", "application/grpc")
    });
    let good = ("200".to_owned(), Upstream::status(200));
    let mut exchanges = 0;
    for (name, policy) in policies() {
        let mut process = Process::new(&FILTER, ProcessOptions::default()).expect("a process");
        assert!(
            process.configure(policy.to_string().as_bytes()).expect("a configuration").accepted,
            "{name}"
        );
        let bad_requests = requests.iter().map(|request| (request, &good));
        let bad_answers = answers.iter().map(|answer| (&usual, answer));
        for ((request, sent), (answer, given)) in bad_requests.chain(bad_answers) {
            exchanges += 1;
            if let Some(fault) = fault(&mut process, sent, given) {
                panic!("{name}, request {request}, answer {answer}: {fault}");
            }
        }
        assert!(process.traps().is_empty(), "{name}: {:?}", process.traps());
    }
    println!("{exchanges} malformed exchanges, no trap");
}
