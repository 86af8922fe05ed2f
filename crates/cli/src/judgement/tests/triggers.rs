//! Named triggers on two files, alone and beside metrics.

use super::*;

/// Rows of score, error and time; the canary's scores are moved, so many of a thousand fail, so many are slow.
fn rows(n: u32, moved: f64, failing: u32, slow: (u32, f64)) -> String {
    let row = |i: u32| {
        let score = (f64::from(i) * 0.618_033_988_75).fract() + moved;
        let place = i * 7919 % 1_000;
        let ms = if place < slow.0 { slow.1 } else { 100.0 };
        format!("{score},{},{ms}\n", u8::from(place < failing))
    };
    format!("score,error,ms\n{}", (0..n).map(row).collect::<String>())
}

const ALL: [&str; 6] = [
    "--trigger",
    "prediction_distribution_shift=score",
    "--trigger",
    "error_rate=error",
    "--trigger",
    "latency_p99=ms",
];

#[track_caller]
fn check(canary: &str, line: &[&str], code: u8, says: &[&str]) {
    let judgement = Files::new(&rows(4_000, 0.0, 10, (0, 0.0)), canary).judge(line).unwrap();
    assert_eq!(exit_code(judgement.verdict), code, "{}", judgement.text);
    for part in says {
        assert!(judgement.text.contains(part), "{part:?} is not in:\n{}", judgement.text);
    }
}

#[test]
fn severities_decide_the_exit_code() {
    check(&rows(2_000, 0.0, 10, (0, 0.0)), &ALL, 0, &["pass: no trigger was set off", "not corrected"]);
    check(
        &rows(2_000, 0.3, 10, (0, 0.0)),
        &ALL,
        1,
        &["fail: trigger prediction_distribution_shift on score is critical", "psi", "js bits"],
    );
    check(
        &rows(2_000, 0.0, 60, (0, 0.0)),
        &ALL,
        1,
        &["trigger error_rate on error is critical", "6 % > 5 %"],
    );
    check(&rows(2_000, 0.0, 10, (30, 900.0)), &ALL, 1, &["p99 900 > 500"]);
    check(
        &rows(2_000, 0.0, 10, (30, 300.0)),
        &ALL,
        2,
        &["marginal: trigger latency_p99 on ms is warning", "2 times stable's 100"],
    );
    check(
        &rows(90, 0.0, 0, (0, 0.0)),
        &ALL,
        2,
        &["insufficient: trigger prediction_distribution_shift", "90 values < 500", "it takes 100 requests"],
    );
}

#[test]
fn limits_may_be_named() {
    let canary = rows(2_000, 0.0, 30, (0, 0.0));
    check(
        &canary,
        &["--trigger", "error_rate=error,max=2%,ratio=5x"],
        1,
        &["3 % > 2 %", "5 times stable's 1 %"],
    );
    check(&canary, &["--trigger", "error_rate=error,ratio=5x"], 0, &["3 % <= 5 times"]);
    check(
        &rows(2_000, 0.08, 30, (0, 0.0)),
        &["--trigger", "prediction_distribution_shift=score,d=0.05"],
        1,
        &[],
    );
    check(&canary, &["--trigger", "latency_p99=ms,max=80ms"], 1, &["p99 100 > 80"]);
}

#[test]
fn a_critical_trigger_fails_what_metrics_pass() {
    let line = [
        "--metric",
        "error,direction=lower_is_better,margin=0.01",
        "--trigger",
        "prediction_distribution_shift=score",
    ];
    check(&rows(2_000, 0.3, 10, (0, 0.0)), &line, 1, &["error ", "score 100.0 of 100", "is critical"]);
    check(&rows(2_000, 0.0, 10, (0, 0.0)), &line, 0, &["pass: score 100.0"]);
}

#[test]
fn rules_are_read_from_a_file() {
    let rules = "metrics: [\"ms,kind=latency\"]\ntriggers:\n  - error_rate=error\n";
    let of = |rules: &str, line: &[&str]| {
        let files =
            Files::new(&rows(4_000, 0.0, 10, (0, 0.0)), &rows(2_000, 0.0, 60, (0, 0.0))).with("rules", rules);
        let path = files.path("rules").display().to_string();
        files.judge(&[&["--rules", &path], line].concat())
    };
    let judgement = of(rules, &["--trigger", "latency_p99=ms"]).unwrap();
    assert_eq!(exit_code(judgement.verdict), 1, "{}", judgement.text);
    let triggers = judgement.json["triggers"].as_array().unwrap();
    assert_eq!(triggers.len(), 2);
    assert_eq!((&triggers[0]["alarm"], &triggers[0]["column"]), (&"critical".into(), &"error".into()));
    assert_eq!(judgement.json["metrics"].as_array().unwrap().len(), 1);
    for (rules, part) in [("metric: [a]", "metric"), ("{}", "names no metric"), ("triggers: 5", "lists")] {
        let error = of(rules, &[]).expect_err("accepted").to_string();
        assert!(error.contains(part) && error.contains("rules"), "{error}");
    }
}

#[test]
fn wrong_triggers_name_the_remedy() {
    let (a, b) = ("score\n1\n2\n", "score\n1\n2\n");
    refused(a, b, &["--trigger", "drift=score"], &["\"drift\"", "prediction_distribution_shift"]);
    refused(a, b, &["--trigger", "error_rate"], &["error_rate=COLUMN"]);
    refused(a, b, &["--trigger", "error_rate=score,p=3"], &["\"p=3\"", "max, ratio and floor"]);
    refused(a, b, &["--trigger", "error_rate=score,max=lots"], &["max=lots", "no number"]);
    refused(a, b, &["--trigger", "error_rate=errors"], &["no column \"errors\"", "score"]);
    refused(a, b, &["--trigger", "error_rate=score"], &["--trigger error_rate=score", "0 or 1"]);
    refused(a, b, &["--trigger", "embedding_drift=score"], &["--pair-by"]);
    refused(a, b, &["--trigger", "error_rate=score", "--segment", "score"], &["--metric"]);
}

/// Two versions' embeddings of the same inputs, turned by an angle.
fn embeddings(ids: std::ops::Range<u32>, turned: f64) -> String {
    let row = |id: u32| {
        let angle = f64::from(id) + turned;
        format!("{{\"id\":\"q{id}\",\"vector\":[{},{}]}}\n", angle.cos(), angle.sin())
    };
    ids.map(row).collect()
}

#[test]
fn embeddings_are_paired_by_their_input() {
    let line = ["--trigger", "embedding_drift=vector", "--pair-by", "id"];
    let of = |turned: f64| {
        let files = Files::new(&embeddings(0..60, 0.0), &embeddings(5..65, turned));
        files.judge(&line).unwrap()
    };
    for (turned, code, says) in [(0.1, 0, "mean cosine 0.995"), (0.42, 2, "< 0.92"), (0.6, 1, "< 0.9")] {
        let judgement = of(turned);
        assert_eq!(exit_code(judgement.verdict), code, "{}", judgement.text);
        assert!(judgement.text.contains(says), "{}", judgement.text);
        assert!(
            judgement.text.contains("n 55 / 55") && judgement.text.contains("missing 5 / 5"),
            "{}",
            judgement.text
        );
    }
    let csv = "id,vector\na,\"[1, 0]\"\n";
    let error =
        |stable: &str, canary: &str| format!("{:#}", Files::new(stable, canary).judge(&line).unwrap_err());
    assert!(error(csv, &csv.replace("a,", "b,")).contains("share no input by column \"id\""));
    assert!(error(csv, "id,vector\na,0.5\n").contains("canary:2: column \"vector\" holds no vector"));
    assert!(error(csv, "id,vector\na,\"[1]\"\n").contains("input \"a\""));
    assert!(error(csv, &format!("{csv}a,\"[1, 0]\"\n")).contains("\"a\" twice"));
}

/// Numbers differ by an amount, labels or not at all.
#[test]
fn answers_are_compared_input_by_input() {
    let of = |answer: fn(u32) -> String, line: &str, code: u8, says: &str| {
        let rows = |answer: &dyn Fn(u32) -> String| {
            format!("id,answer\n{}", (0..500).map(|id| format!("{id},{}\n", answer(id))).collect::<String>())
        };
        let stable = if answer(0).parse::<f64>().is_ok() {
            rows(&|id| format!("{}", id % 7))
        } else {
            rows(&|_| "cat".to_owned())
        };
        let judgement =
            Files::new(&stable, &rows(&answer)).judge(&["--trigger", line, "--pair-by", "id"]).unwrap();
        assert_eq!(exit_code(judgement.verdict), code, "{}", judgement.text);
        assert!(judgement.text.contains(says), "{says:?} is not in:\n{}", judgement.text);
    };
    let label = |id: u32| if id % 10 < 1 { "dog" } else { "cat" }.to_owned();
    of(label, "prediction_change=answer", 2, "50 of 500 changed, 10 % > 5 %");
    of(label, "prediction_change=answer,fail=8%", 1, "10 % > 8 %");
    let number = |id: u32| format!("{}", f64::from(id % 7) + 0.05);
    of(number, "prediction_change=answer", 1, "500 of 500 changed, 100 % > 10 %");
    of(number, "prediction_change=answer,by=0.1", 0, "0 of 500 changed by more than 0.1");
}
