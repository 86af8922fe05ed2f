//! A series of judgements, as Kayenta's standalone analysis makes them.

use super::*;

const CONFIG: &str = r#"{"name":"ranker","judge":{"name":"NetflixACAJudge-v1.0"},
 "metrics":[{"name":"ms","groups":["Latency"],"analysisConfigurations":{"canary":{"direction":"increase"}}},
            {"name":"errors","groups":["Errors"],"analysisConfigurations":{"canary":{"direction":"increase"}}}],
 "classifier":{"groupWeights":{"Errors":50,"Latency":50},"scoreThresholds":{"pass":95,"marginal":50}}}"#;

/// A row a minute from noon on; the canary is slower in minutes `slow`, and fails more in minutes `failing`.
fn rows(minutes: u32, slow: std::ops::Range<u32>, failing: std::ops::Range<u32>) -> String {
    let row = |minute: u32| {
        let wave = f64::from(minute * 7 % 5);
        let ms = 100.0 + wave + if slow.contains(&minute) { 80.0 } else { 0.0 };
        let errors = 0.01 + wave / 1000.0 + if failing.contains(&minute) { 0.2 } else { 0.0 };
        format!("2026-01-31T12:{minute:02}:00Z,{ms},{errors}\n")
    };
    format!("at,ms,errors\n{}", (0..minutes).map(row).collect::<String>())
}

fn analysed(canary: &str, line: &str, execution: &str) -> Result<Judgement> {
    let files = Files::new(&rows(60, 0..0, 0..0), canary).with("config", CONFIG).with("execution", execution);
    let execution = files.path("execution").display().to_string();
    let line = format!("--config CONFIG --timestamp at {line}").replace("EXECUTION", &execution);
    files.judge(&line.split_whitespace().collect::<Vec<_>>())
}

#[track_caller]
fn check(canary: &str, line: &str, code: u8, judgements: usize, says: &str) {
    let judgement = analysed(canary, line, "").unwrap();
    assert_eq!(exit_code(judgement.verdict), code, "{}", judgement.text);
    assert_eq!(judgement.json["judgements"].as_array().unwrap().len(), judgements, "{}", judgement.text);
    assert!(judgement.text.contains(says), "{says:?} is not in:\n{}", judgement.text);
}

#[test]
fn every_score_above_marginal_and_the_last_reaches_pass() {
    let good = rows(60, 0..0, 0..0);
    check(
        &good,
        "--interval 10m",
        0,
        6,
        "pass: every score is above marginal, and the last, 100, reaches pass 95",
    );
    check(&good, "--interval 10m", 0, 6, "6 looks at one canary, and no correction");
    // The remainder of the lifetime is not judged; without an interval there is one judgement.
    check(&good, "--interval 25m", 0, 2, "pass");
    check(&good, "--lifetime 60m", 0, 1, "pass");
    // One of two groups fails: 50, which is not above marginal 50, and ends it at once.
    let slow = rows(60, 10..60, 0..0);
    check(
        &slow,
        "--interval 10m",
        1,
        4,
        "judgement 4 of 6 scored 50, not above marginal 50: the analysis ends there",
    );
    // Above marginal all the way, but the last does not reach pass.
    check(&slow, "--interval 10m --marginal 40", 1, 6, "the last score, 50, does not reach pass 95");
    check(&slow, "--interval 10m --marginal 40 --pass 50", 0, 6, "pass");
    // The rows end before the lifetime does.
    check(&good, "--interval 20m --lifetime 2h", 2, 3, "the rows end after judgement 3 of 6");
    check(&good, "--interval 70m --lifetime 2h", 2, 0, "the rows end before the first judgement does");
}

#[test]
fn windows_grow_or_slide_and_begin_late() {
    // Trouble in the first ten minutes only: a warm-up leaves it out.
    let early = rows(60, 0..10, 0..0);
    check(&early, "--interval 10m", 1, 1, "judgement 1 of 6 scored 50");
    check(&early, "--interval 10m --begin-after 10m", 0, 5, "pass");
    // Trouble at the end only: growing windows dilute it, sliding ones see it.
    let late = rows(60, 50..60, 0..0);
    check(&late, "--interval 10m", 0, 6, "each of all since the start");
    check(&late, "--interval 10m --lookback 10m", 1, 6, "judgement 6 of 6 scored 50");
    check(&late, "--interval 10m --lookback 10m", 1, 6, "ms High; ends here");
    // A look back that reaches before the rows begin sees what there is.
    check(&rows(60, 0..0, 0..0), "--interval 10m --lookback 30m --step 1m", 0, 6, "-20m");
    check(&rows(60, 0..0, 0..0), "--interval 2m", 0, 30, "2 judgements rest on fewer than 5 points");
}

#[test]
fn missing_points_count_when_the_step_is_known() {
    let config =
        CONFIG.replace(r#""direction":"increase"}"#, r#""direction":"either","nanStrategy":"replace"}"#);
    let rest = |text: String| -> String {
        let kept = text.lines().enumerate().filter(|(at, _)| at % 4 == 0);
        kept.map(|(_, row)| format!("{row}\n")).collect()
    };
    let quarter = rest(rows(60, 0..0, 0..0));
    let of = |line: &str| {
        let files = Files::new(&rows(60, 0..0, 0..0), &quarter).with("config", &config);
        let line = format!("--config CONFIG --timestamp at --lifetime 1h {line}");
        files.judge(&line.split_whitespace().collect::<Vec<_>>()).unwrap()
    };
    let unknown = of("");
    assert_eq!(exit_code(unknown.verdict), 0, "{}", unknown.text);
    // Three quarters of the canary's points are then 0.
    let known = of("--step 1m");
    assert_eq!(exit_code(known.verdict), 1, "{}", known.text);
    assert!(known.text.contains("ms Low, errors Low"), "{}", known.text);
}

#[test]
fn an_execution_request_says_it_all() {
    let slow = rows(60, 10..60, 0..0);
    let of = |scope: &str, rest: &str| {
        let execution = format!(
            r#"{{"scopes":[{{"scopeName":"default","controlScope":"a","experimentScope":"b",{scope}}}],{rest}}}"#
        );
        analysed(&slow, "--execution EXECUTION", &execution)
    };
    let judgement = of(
        r#""step":60"#,
        r#""lifetimeDurationMins":60,"analysisIntervalMins":10,"thresholds":{"pass":50,"marginal":40}"#,
    )
    .unwrap();
    assert_eq!(exit_code(judgement.verdict), 0, "{}", judgement.text);
    assert_eq!(judgement.json["canaryScores"], serde_json::json!([100.0, 100.0, 100.0, 50.0, 50.0, 50.0]));
    assert_eq!(judgement.json["didPassThresholds"], true);
    assert_eq!(judgement.json["judgements"][0]["toMs"], 1_769_861_400_000.0);
    // Both ends given: the warm-up is not left out of the windows.
    let ends = r#""startTimeIso":"2026-01-31T12:05:00Z","endTimeIso":"2026-01-31T12:30:00Z""#;
    let judgement = of(ends, r#""analysisIntervalMins":10,"beginAfterMins":5"#).unwrap();
    assert_eq!(judgement.json["canaryScores"], serde_json::json!([100.0, 50.0]), "{}", judgement.text);
    // The whole ad-hoc request, and in it what decides nothing.
    let wrapped = format!(
        r#"{{"canaryConfig":{CONFIG},"executionRequest":{{"scopes":[{{"step":60,"scopeName":7,"isNew":true}}],
            "lifetimeDurationMins":60,"analysisIntervalMins":null,"siteLocal":null}}}}"#
    );
    let judgement = analysed(&slow, "--execution EXECUTION", &wrapped).unwrap();
    for part in ["scopes[0].scopeName (a number)", "scopes[0].isNew", "siteLocal (null)"] {
        assert!(judgement.text.contains(part), "{part} is not in: {}", judgement.text);
    }
    // The control of an hour before, on purpose.
    let earlier = slow.replace("T12:", "T13:");
    let execution = r#"{"scopes":[{"controlOffsetInMinutes":60}],"lifetimeDurationMins":20}"#;
    let judgement = analysed(&earlier, "--execution EXECUTION", execution);
    let text = judgement.unwrap().text;
    assert!(text.contains("the control was measured 1h earlier") && text.contains("20 / 20"), "{text}");
}

#[track_caller]
fn misasked(line: &str, execution: &str, parts: &[&str]) {
    let good = rows(60, 0..0, 0..0);
    let error = format!("{:#}", analysed(&good, line, execution).expect_err("accepted"));
    for part in parts {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn wrong_questions_name_the_field() {
    misasked("--interval 0s", "", &["--interval", "second"]);
    misasked("--interval 10m --step 5m", "", &["rows are 1m apart", "--step 1m"]);
    misasked("--interval 10m --begin-after 2h", "", &["--begin-after"]);
    let execution = "--execution EXECUTION";
    misasked(execution, r#"{"lifetimeDurationMins":60}"#, &["execution", "scopes is empty"]);
    misasked(execution, r#"{"scopes":[{}]}"#, &["lifetimeDurationMins"]);
    misasked(execution, r#"{"scopes":[{"step":0}],"lifetimeDurationMins":9}"#, &["scopes[0].step"]);
    misasked(execution, r#"{"scopes":[{}],"lifetimeMins":9}"#, &["`lifetimeMins`", "lifetimeDurationMins"]);
    misasked(execution, r#"{"scopes":{"default":{}}}"#, &["scopes is an object", "leave out --execution"]);
    misasked(execution, r#"{"scopes":[{"step":"60"}]}"#, &["scopes[0].step", "string", "correct it"]);
    misasked(execution, r#"{"scopes":[{"startTimeIso":"noon"}]}"#, &["scopes[0].startTimeIso", "noon"]);
    misasked(execution, r#"{"scopes":[{"endTimeIso":"2026-01-31T12:40:00Z"}]}"#, &["startTimeIso"]);
    let files = Files::new("at,ms\n1769860800,1\n", "at,ms\n1769860800,1\n").with("config", CONFIG);
    assert!(
        files
            .judge(&["--config", "CONFIG", "--interval", "5m"])
            .unwrap_err()
            .to_string()
            .contains("--timestamp")
    );
}
