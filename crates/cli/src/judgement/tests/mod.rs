mod compare;
mod documented;
mod kayenta;
mod segments;
mod series;
mod triggers;

use std::path::PathBuf;

use clap::Parser as _;
use serde_json::Value;

use super::*;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

struct Files(tempfile::TempDir);

impl Files {
    fn new(stable: &str, canary: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("stable"), stable).unwrap();
        std::fs::write(dir.path().join("canary"), canary).unwrap();
        Self(dir)
    }

    fn with(self, name: &str, text: &str) -> Self {
        std::fs::write(self.0.path().join(name), text).unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn judge(&self, line: &[&str]) -> Result<Judgement> {
        let (stable, canary, config) = (self.path("stable"), self.path("canary"), self.path("config"));
        let mut words =
            vec!["judge", "--control", stable.to_str().unwrap(), "--canary", canary.to_str().unwrap()];
        for word in line {
            words.push(if *word == "CONFIG" { config.to_str().unwrap() } else { word });
        }
        judgement(&Line::try_parse_from(words)?.options)
    }
}

/// A column of numbers around `middle`, evenly spread by `spread`.
fn column(name: &str, n: u32, middle: f64, spread: f64) -> String {
    let rows = (0..n).map(|i| {
        // Steps of the golden ratio: spread evenly, in no order.
        let part = (f64::from(i) * 0.618_033_988_75).fract() - 0.5;
        format!("{}\n", middle + spread * part)
    });
    format!("{name}\n{}", rows.collect::<String>())
}

fn rate(events: u32, n: u32) -> String {
    let rows = (0..n).map(|i| if i < events { "1\n" } else { "0\n" });
    format!("errors\n{}", rows.collect::<String>())
}

#[track_caller]
fn check(stable: &str, canary: &str, line: &[&str], code: u8, says: &str) {
    let judgement = Files::new(stable, canary).judge(line).unwrap();
    assert_eq!(exit_code(judgement.verdict), code, "{}", judgement.text);
    assert!(judgement.text.contains(says), "{}", judgement.text);
}

#[test]
fn exit_codes_follow_the_verdict() {
    let lower = ["--metric", "ms", "--direction", "lower_is_better", "--margin", "10%"];
    let ms = |n, middle| column("ms", n, middle, 20.0);
    check(&ms(500, 100.0), &ms(200, 100.3), &lower, 0, "pass: score 100.0");
    check(&ms(500, 100.0), &ms(200, 130.0), &lower, 1, "worse than stable");
    check(
        &ms(60, 100.0),
        &ms(12, 107.0),
        &["--metric", "ms", "--direction", "lower_is_better", "--alpha", "0.001"],
        2,
        "more samples would tell",
    );
    check(&ms(500, 100.0), &ms(5, 100.0), &lower, 2, "Wait for ms: 5 values in the smaller arm < 10");
    let mean = ["--metric", "ms,kind=mean,margin=110%", "--direction", "higher_is_better"];
    check(&ms(500, 100.0), &ms(200, 99.0), &mean, 0, "Welch t");
    let errors = ["--metric", "errors", "--direction", "lower_is_better", "--margin", "1.5x"];
    check(&rate(200, 20_000), &rate(50, 5_000), &errors, 0, "exact score");
    check(&rate(200, 20_000), &rate(100, 5_000), &errors, 1, "worse than stable");
    check(&rate(20, 20_000), &rate(0, 1_000), &errors, 2, "fewer than 5 events");
    check(&rate(20, 20_000), &rate(9, 1_000), &errors, 1, "worse than stable");
    check(&rate(0, 20_000), &rate(0, 1_000), &errors, 2, "every value of both arms is 0");
}

#[track_caller]
fn refused(stable: &str, canary: &str, line: &[&str], parts: &[&str]) {
    let error = format!("{:#}", Files::new(stable, canary).judge(line).expect_err("accepted"));
    for part in parts {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn bad_questions_name_the_remedy() {
    let (a, b) = ("t,x\n1,1\n2,2\n", "t,x\n5,1\n6,2\n");
    refused(a, b, &[], &["--metric NAME", "t, x"]);
    refused(a, b, &["--metric", "y", "--direction", "lower_is_better"], &["no column \"y\"", "t, x"]);
    refused(a, b, &["--metric", "x"], &["which way is it good"]);
    refused(a, b, &["--metric", "x,direction=up"], &["direction=up", "higher_is_better"]);
    refused(a, b, &["--metric", "x,wait=3"], &["\"wait=3\"", "weight"]);
    refused(a, b, &["--metric", "x,kind=latency,margin=0.5x"], &["margin \"0.5x\"", "1.2x"]);
    refused(a, b, &["--metric", "x,kind=latency,alpha=5"], &["alpha is 5"]);
    refused(a, b, &["--metric", "x,kind=latency", "--metric", "x,kind=latency"], &["given twice"]);
    refused(
        a,
        b,
        &["--metric", "x,kind=rate", "--direction", "lower_is_better"],
        &["holds 2", "--kind mean"],
    );
    let timed = ["--metric", "x,kind=latency", "--timestamp", "t"];
    let (a, b) = ("t,x\n1769860800,1\n1769860801,2\n", "t,x\n1769860900,1\n1769860901,2\n");
    refused(a, b, &timed, &["share no time"]);
    let local = "t,x\n2026-01-31 12:00:00,1\n2026-01-31 12:00:01,2\n";
    refused(a, local, &timed, &["canary", "\"t\"", "names no zone", "+01:00"]);
    refused(local, "t,x\n5,1\n", &timed, &["canary:2", "\"t\"", "no time from 1990"]);
    refused("x,y\n1,\n2,\n", "x,y\n1,1\n", &["--metric", "y,kind=latency"], &["stable", "no value in any"]);
}

/// Values that are all the same: a rate by the rule of three, a mean not at all, ranks not where both are.
#[test]
fn values_without_spread_prove_little() {
    let of = |value: &str, n: usize| format!("x\n{}", format!("{value}\n").repeat(n));
    let judge = |canary: &str, stable: &str, terms: &str, code: u8, says: &str| {
        check(stable, canary, &["--metric", &format!("x,{terms}")], code, says);
    };
    let higher = "direction=higher_is_better,margin=5%";
    judge(&of("1", 10), &of("1", 10), higher, 2, "every value of both arms is 1; 10 values");
    judge(&of("1", 10), &of("1", 10), "direction=higher_is_better,margin=0.02", 2, "too few to prove");
    judge(&of("1", 200), &of("1", 2_000), higher, 0, "exact score");
    judge(&of("5", 5), &of("5", 5), higher, 2, "failing: none was tested");
    for terms in ["kind=mean,direction=lower_is_better,margin=5%", "direction=lower_is_better,margin=5%"] {
        judge(&of("5.2", 10), &of("5", 10), terms, 2, "every value of");
    }
    let varied = column("x", 40, 5.0, 0.2);
    judge(
        &of("5", 40),
        &varied,
        "kind=mean,direction=lower_is_better,margin=5%",
        2,
        "every value of the canary is 5.00",
    );
    // A canary that broke is found all the same.
    judge(&of("0", 40), &varied, "kind=mean,direction=higher_is_better,margin=5%", 1, "worse than stable");
    refused(
        &of("1", 40),
        &of("1", 40),
        &["--metric", "x,direction=higher_is_better,test=mann-whitney"],
        &["ranks say nothing of a rate"],
    );
}

#[test]
fn files_and_numbers_that_cannot_be_read_say_so() {
    let times = "ms\n1\n2\n";
    let latency = ["--metric", "ms,kind=latency"];
    refused(times, "ms\n1\n-5\n", &latency, &["canary:3", "\"ms\" holds -5", "no answer time"]);
    refused(times, "ms\n1\n1e99\n", &latency, &["canary:3", "1e99"]);
    let value = ["--metric", "ms,direction=lower_is_better"];
    refused(times, "ms\n1\n1e308\n", &value, &["canary:3", "1e308", "cannot be averaged"]);
    let files = Files::new(times, times);
    for (head, command) in
        [(&[0x1f, 0x8b, 8, 0, 0xff][..], "gunzip"), (&[0x28, 0xb5, 0x2f, 0xfd, 0xff], "unzstd")]
    {
        std::fs::write(files.path("canary"), head).unwrap();
        let error = format!("{:#}", files.judge(&latency).unwrap_err());
        assert!(error.contains("is compressed") && error.contains(command), "{error}");
    }
}

/// Four metrics of a canary guide's sample program: 72.2, marginal.
#[test]
fn the_known_score() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../judge/tests/vectors/score-fixture.json");
    let fixture: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let metrics = fixture["metrics"].as_array().unwrap();
    let file = |arm: &str| {
        let mut text =
            metrics.iter().map(|m| m["name"].as_str().unwrap()).collect::<Vec<_>>().join(",") + "\n";
        for row in 0..metrics[0][arm].as_array().unwrap().len() {
            let cells: Vec<String> = metrics.iter().map(|m| m[arm][row].to_string()).collect();
            text += &(cells.join(",") + "\n");
        }
        text
    };
    let mut line = Vec::new();
    for m in metrics {
        line.push("--metric".to_owned());
        line.push(format!(
            "{},weight={},direction={},margin={}%,alpha={}",
            m["name"].as_str().unwrap(),
            m["weight"],
            m["direction"].as_str().unwrap(),
            100.0 * m["margin"].as_f64().unwrap(),
            m["alpha"]
        ));
    }
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    let judgement = Files::new(&file("stable"), &file("canary")).judge(&line).unwrap();
    assert!(judgement.text.contains("marginal: score 72.2 of 100"), "{}", judgement.text);
    assert_eq!(exit_code(judgement.verdict), 2);
    assert_eq!(judgement.json["metrics"].as_array().unwrap().len(), 4);
}
