mod documented;
mod segments;
mod series;
mod triggers;

use std::path::PathBuf;

use clap::Parser as _;
use serde_json::Value;

use super::config::CanaryConfig;
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
    check(&rate(200, 20_000), &rate(50, 5_000), &errors, 0, "Welch t");
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
    refused(a, b, &["--metric", "x,kind=latency", "--timestamp", "t"], &["share no time"]);
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

const CONFIG: &str = r#"{"name":"ranker-v7","configVersion":"1","applications":["ad-hoc"],
 "judge":{"name":"NetflixACAJudge-v1.0","judgeConfigurations":{}},
 "metrics":[
  {"name":"ms","groups":["Latency"],"scopeName":"default","query":{"type":"prometheus","serviceType":"prometheus"},
   "analysisConfigurations":{"canary":{"direction":"increase","effectSize":{"allowedIncrease":1.1}}}},
  {"name":"errors","groups":["Errors"],"query":{},"analysisConfigurations":{"canary":{"direction":"increase"}}}],
 "templates":{},
 "classifier":{"groupWeights":{"Errors":60,"Latency":40},"scoreThresholds":{"pass":95,"marginal":50}}}"#;

#[test]
fn kayenta_is_answered_alike() {
    let rows = |ms: f64, errors: &str| {
        let rows = (0..60).map(|i| format!("{},{errors}\n", ms + f64::from(i % 7)));
        format!("ms,errors\n{}", rows.collect::<String>())
    };
    let of = |canary: &str, line: &[&str]| {
        let files = Files::new(&rows(100.0, "0.01"), canary).with("config", CONFIG);
        files.judge(&[&["--config", "CONFIG"], line].concat()).unwrap()
    };
    let same = of(&rows(100.0, "0.01"), &[]);
    assert_eq!(exit_code(same.verdict), 0, "{}", same.text);
    let slow = of(&rows(150.0, "0.01"), &[]);
    assert_eq!(exit_code(slow.verdict), 2, "{}", slow.text);
    assert!(slow.text.contains("Marginal: score 60"), "{}", slow.text);
    assert_eq!(slow.json["results"][0]["classification"], "High");
    let strict = of(&rows(150.0, "0.01"), &["--marginal", "75"]);
    assert_eq!(exit_code(strict.verdict), 1, "{}", strict.text);
    let empty = of(&rows(100.0, ""), &["--marginal", "0", "--pass", "0"]);
    assert!(
        empty.text.contains("group Errors has no metric that counts and enters the score as 100"),
        "{}",
        empty.text
    );
}

#[track_caller]
fn misconfigured(from: &str, to: &str, parts: &[&str]) {
    assert!(CONFIG.contains(from), "{from}");
    let error =
        CanaryConfig::parse("kayenta.json", &CONFIG.replacen(from, to, 1)).expect_err("accepted").to_string();
    for part in parts.iter().chain(&["kayenta.json"]) {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_wrong_configuration_names_its_field() {
    misconfigured(
        r#""increase""#,
        r#""up""#,
        &["metrics[0].analysisConfigurations.canary.direction", "`up`", "decrease"],
    );
    misconfigured(
        "direction",
        "directoin",
        &["metrics[0].analysisConfigurations.canary", "`directoin`", "nanStrategy"],
    );
    misconfigured("allowedIncrease", "allowedincrease", &["effectSize", "`allowedincrease`"]);
    misconfigured("1.1", r#""1.1""#, &["effectSize.allowedIncrease", "string"]);
    misconfigured("NetflixACAJudge-v1.0", "dredd", &["judge.name", "dredd", "NetflixACAJudge-v1.0"]);
    misconfigured(
        r#""judgeConfigurations":{}"#,
        r#""judgeConfigurations":{"tolerance":1}"#,
        &["tolerance", "no settings"],
    );
    misconfigured(r#"{"Errors":60"#, r#"{"Error":60"#, &["groupWeights.Error", "no metric"]);
    misconfigured(r#""Latency":40"#, r#""Latency":70"#, &["130"]);
    misconfigured(r#""marginal":50"#, r#""margin":50"#, &["scoreThresholds", "`margin`"]);
    misconfigured(r#""name":"errors""#, r#""name":"ms""#, &["metrics[1].name", "taken"]);
    misconfigured(r#""templates":{}"#, r#""template":{}"#, &["`template`"]);
}
