//! Figures have a time: what is not of now, or not of what is measured, is no data.

use super::*;

const EVERY: u64 = 30_000;

/// What a source says at `NOW_MS` of something that has been so for `for_s` seconds.
async fn said(
    source: impl FnOnce(String) -> Source,
    body: &str,
    for_s: Option<u64>,
) -> Result<Figures, String> {
    let stand_in = StandIn::new(200, &timed(body));
    let host = stand_in.start().await;
    let when = When { now_ms: NOW_MS, for_ms: for_s.map(|s| s * 1_000), every_ms: EVERY };
    sources().ask(&source(format!("http://{host}")), ASKER, when).await
}

/// `Ok`: the value, or a part of why there is none; `Err`: a part of the error.
#[track_caller]
fn check(case: &str, said: Result<Figures, String>, expected: Result<Result<f64, &str>, &str>) {
    match (said, expected) {
        (Ok(Figures { canary: Some(value), .. }), Ok(Ok(expected))) => assert_eq!(value, expected, "{case}"),
        (Ok(Figures { canary: None, why, .. }), Ok(Err(part))) => {
            assert!(
                why.as_ref().map_or("", String::as_str).contains(part),
                "{case}: {part:?} is missing in {why:?}"
            );
        }
        (Err(error), Err(part)) => assert!(error.contains(part), "{case}: {part:?} is missing in: {error}"),
        (said, expected) => panic!("{case}: {said:?}, not {expected:?}"),
    }
}

#[tokio::test]
async fn a_value_of_prometheus_is_of_now() {
    let vector = |time: &str| success("vector", &format!(r#"[{{"metric":{{}},"value":[{time},"1"]}}]"#));
    let raw = |values: &str| success("matrix", &format!(r#"[{{"metric":{{}},"values":[{values}]}}]"#));
    for (body, expected) in [
        (vector("@0"), Ok(Ok(1.0))),
        (vector("@30"), Ok(Ok(1.0))),
        (vector("@45"), Ok(Err("newest value is 45s old"))),
        (vector("@86400"), Ok(Err("old"))),
        (vector("1800000000000"), Err("no number of seconds since 1970")),
        (vector("1800003600"), Err("1h ahead of ours")),
        (success("scalar", r#"[@3600,"1"]"#), Ok(Err("1h old"))),
        // Samples as they were scraped: some scrapes late at most.
        (raw(r#"[@180,"1"],[@120,"2"],[@60,"3"]"#), Ok(Ok(3.0))),
        (raw(r#"[@190,"1"],[@180,"2"],[@170,"3"]"#), Ok(Err("2m50s old"))),
        (raw(r#"[@590,"1"]"#), Ok(Err("9m50s old"))),
        (raw(r#"[@1,"2"],[@11,"1"]"#), Ok(Ok(2.0))),
    ] {
        check(&body, said(|url| Source::Prometheus(prometheus(url)), &body, None).await, expected);
    }
}

#[tokio::test]
async fn a_range_does_not_reach_back_before_what_is_measured() {
    let body = success("matrix", r#"[{"metric":{},"values":[[@100,"100"],[@40,"1"],[@10,"3"]]}]"#);
    for (for_s, expected, from) in [(None, 104.0 / 3.0, 600.0), (Some(60), 2.0, 60.0), (Some(20), 3.0, 20.0)]
    {
        let stand_in = StandIn::new(200, &timed(&body));
        let host = stand_in.start().await;
        let range = Range { over: Span::from_ms(600_000), step: Span::from_ms(10_000) };
        let source = Prometheus {
            range: Some(range),
            reduce: Some(Reduce::Avg),
            ..prometheus(format!("http://{host}"))
        };
        let when = When { now_ms: NOW_MS, for_ms: for_s.map(|s: u64| s * 1_000), every_ms: EVERY };
        let said = sources().ask(&Source::Prometheus(source), ASKER, when).await;
        check(&format!("{for_s:?}"), said, Ok(Ok(expected)));
        let (place, _) = stand_in.asked().pop().expect("it was asked");
        let url = outbound::Url::parse(&format!("http://{host}{place}")).expect("a URL");
        let given: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let seconds = |name: &str| given[name].parse::<f64>().expect("seconds");
        assert!((seconds("end") - seconds("start") - from).abs() < 1e-3, "{given:?}");
    }
}

#[tokio::test]
async fn parts_of_an_answer_are_an_error() {
    let whole = r#"{"status":"success","data":{"resultType":"scalar","result":[@0,"1"]}"#;
    for (more, expected) in [
        ("", Ok(Ok(1.0))),
        (r#","isPartial":false,"warnings":null,"infos":null,"error":null,"errorType":null"#, Ok(Ok(1.0))),
        (r#","isPartial":true"#, Err("part of the data alone")),
        (r#","partial":true"#, Err("part of the data alone")),
        (r#","warnings":["No StoreAPIs matched"]"#, Err("does not vouch")),
        (r#","warnings":{"a":"b"}"#, Err("what no Prometheus answers")),
    ] {
        let body = format!("{whole}{more}}}");
        check(&body, said(|url| Source::Prometheus(prometheus(url)), &body, None).await, expected);
    }
    let host = StandIn::new(206, r#"{"a":1}"#).start().await;
    let error =
        figures(&sources(), Source::Http(http(format!("http://{host}"), "/a"))).await.expect_err("a part");
    assert!(error.contains("206"), "{error}");
}

#[tokio::test]
async fn a_field_of_json_may_have_a_time_in_any_unit() {
    let timed_http = |url| Source::Http(Http { time_pointer: Some("/at".to_owned()), ..http(url, "/a") });
    // 1800000000 s is 2027-01-15T08:00:00Z.
    for (at, expected) in [
        ("1799999999", Ok(Ok(1.0))),
        ("1799999999000", Ok(Ok(1.0))),
        ("1799999999000000", Ok(Ok(1.0))),
        ("1799999999000000000", Ok(Ok(1.0))),
        ("\"1799999999\"", Ok(Ok(1.0))),
        ("\"2027-01-15T07:59:59Z\"", Ok(Ok(1.0))),
        ("\"2027-01-15T08:59:59+01:00\"", Ok(Ok(1.0))),
        ("\"2027-01-15T07:59:59\"", Err("names no zone")),
        ("\"2027-01-15T07:10:00Z\"", Ok(Err("the value is 50m old"))),
        ("1799997000000000", Ok(Err("the value is 50m old"))),
        ("\"2027-01-15T09:00:00Z\"", Err("1h ahead of ours")),
        ("17999", Err("no time from 1990 to 2099")),
        ("\"yesterday\"", Err("/at (timePointer) holds \"yesterday\", which is no time")),
        ("null", Err("holds nothing")),
        ("[1]", Err("is no time")),
    ] {
        let body = format!(r#"{{"a": 1, "at": {at}}}"#);
        check(&body, said(timed_http, &body, None).await, expected);
    }
    check(
        "before",
        said(timed_http, r#"{"a": 1, "at": @25}"#, Some(5)).await,
        Ok(Err("before what is measured")),
    );
}

#[tokio::test]
async fn what_python_writes_for_nan_is_no_data_and_infinities_are_numbers() {
    for (body, expected) in [
        (r#"{"a": NaN}"#, Ok(Err(""))),
        (r#"{"a": 1, "latency": NaN}"#, Ok(Ok(1.0))),
        (r#"{"a": Infinity}"#, Ok(Ok(f64::INFINITY))),
        (r#"{"a": -Infinity}"#, Ok(Ok(f64::NEG_INFINITY))),
        (r#"{"a": "+Inf"}"#, Ok(Ok(f64::INFINITY))),
        (r#"{"a": 1e400}"#, Err("no JSON")),
        (r#"{"a": nan}"#, Err("no JSON")),
    ] {
        check(body, said(|url| Source::Http(http(url, "/a")), body, None).await, expected);
    }
}
