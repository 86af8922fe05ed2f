//! What Prometheus knows of the time before.

use super::*;

const SIX_HOURS: Range = Range { over: Span::from_ms(21_600_000), step: Span::from_ms(300_000) };

async fn before(body: &str, stable_query: Option<&str>) -> (Result<Option<Spread>, String>, Vec<String>) {
    let stand_in = StandIn::new(200, body);
    let host = stand_in.start().await;
    let stable_query = stable_query.map(str::to_owned);
    let source = Prometheus { stable_query, ..prometheus(format!("http://{host}")) };
    let said = sources().before(&Source::Prometheus(source), SIX_HOURS, ASKER, WHEN).await;
    (said, stand_in.asked().into_iter().map(|(place, _)| place).collect())
}

#[tokio::test]
async fn middle_and_spread_of_stables_series_or_of_its_own_until_one_step_ago() {
    let body = success(
        "matrix",
        r#"[{"metric":{},"values":[[1,"1"],[2,"NaN"],[3,"2"],[4,"3"],[5,"4"],[6,"100"],[7,"+Inf"]]}]"#,
    );
    for (stable_query, expected) in [(None, "up"), (Some("down"), "down")] {
        let (said, asked) = before(&body, stable_query).await;
        let spread = said.expect("an answer").expect("a series");
        assert_eq!((spread.n, spread.median, spread.mad), (5, 3.0, 1.0));
        let [place] = asked.as_slice() else { panic!("{asked:?}") };
        let url = outbound::Url::parse(&format!("http://host{place}")).expect("a URL");
        let given: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!((url.path(), given["query"].as_str()), ("/api/v1/query_range", expected));
        let seconds = |name: &str| given[name].parse::<f64>().expect("seconds");
        assert!((seconds("end") - seconds("start") - 21_600.0).abs() < 1e-3, "{given:?}");
        #[allow(clippy::cast_precision_loss)] // seconds
        let ago = (NOW_MS / 1_000) as f64 - seconds("end");
        assert!((299.0..301.0).contains(&ago), "the present is no part of it: {ago}");
    }
}

#[tokio::test]
async fn nothing_and_several_series() {
    assert_eq!(before(&success("matrix", "[]"), None).await.0, Ok(None));
    let nan = r#"[{"metric":{},"values":[[1,"NaN"]]}]"#;
    assert_eq!(before(&success("matrix", nan), None).await.0, Ok(None));
    let two = r#"[{"metric":{"a":"b"},"values":[[1,"1"]]},{"metric":{},"values":[[1,"1"]]}]"#;
    let error = before(&success("matrix", two), None).await.0.expect_err("two series");
    assert!(error.contains("\"up\" gives 2 series") && error.contains("sum("), "{error}");
    let http = Source::Http(http("http://host".to_owned(), "/a"));
    assert_eq!(sources().before(&http, SIX_HOURS, ASKER, WHEN).await, Ok(None), "it cannot know");
}
