//! Kayenta's configurations: answered alike, read strictly where they decide.

use super::*;
use crate::judgement::config::CanaryConfig;

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
    misconfigured(
        r#""groups":["Errors"]"#,
        r#""group":["Errors"]"#,
        &["metrics[1].group", "`groups`", "remove"],
    );
    misconfigured(r#""classifier""#, r#""clasifier""#, &["`clasifier`", "`classifier`"]);
    misconfigured(
        r#""canary":{"direction":"increase"}"#,
        r#""Canary":{}"#,
        &["analysisConfigurations.Canary"],
    );
    misconfigured(r#""groups":["Errors"]"#, r#""groups":"Errors""#, &["metrics[1].groups", "sequence"]);
    misconfigured(r#""name":"errors""#, r#""name":7"#, &["metrics[1].name", "integer"]);
    misconfigured(r#"{"name":"ranker-v7""#, r#"["name""#, &["JSON object"]);
}

/// What decides nothing may be anything, and is named.
#[track_caller]
fn left_aside(from: &str, to: &str, parts: &[&str]) {
    assert!(CONFIG.contains(from), "{from}");
    let config = CanaryConfig::parse("kayenta.json", &CONFIG.replacen(from, to, 1)).unwrap();
    assert_eq!(config.metrics.len(), 2);
    let notes = config.notes.join("\n");
    for part in parts {
        assert!(notes.contains(part), "{notes}");
    }
    assert_eq!(parts.is_empty(), notes.is_empty(), "{notes}");
}

#[test]
fn what_decides_nothing_is_left_aside() {
    left_aside("ranker-v7", "ranker", &[]);
    left_aside(
        r#""configVersion":"1""#,
        r#""configVersion":1"#,
        &["kayenta.json", "configVersion (a number)"],
    );
    left_aside(
        r#""templates":{}"#,
        r#""template":{},"isNew":true,"id":null,"createdTimestamp":"today""#,
        &["template", "isNew", "id (null)", "createdTimestamp (a string)"],
    );
    left_aside(
        r#""query":{}"#,
        r#""query":null,"isNew":false"#,
        &["metrics[1].query (null)", "metrics[1].isNew"],
    );
    left_aside(
        r#"{"allowedIncrease":1.1}"#,
        "null",
        &["metrics[0].analysisConfigurations.canary.effectSize (null)"],
    );
    left_aside(
        r#""judgeConfigurations":{}"#,
        r#""judgeConfigurations":null"#,
        &["judge.judgeConfigurations"],
    );
    left_aside(r#""name":"ranker-v7""#, r#""name":7"#, &[]);
    left_aside(
        r#""applications":["ad-hoc"]"#,
        r#""applications":null,"metricsAccountName":"x""#,
        &["metricsAccountName"],
    );
}

#[test]
fn an_ad_hoc_request_is_unwrapped() {
    let scopes = r#""scopes":{"default":{"controlScope":{"step":60},"experimentScope":{}}}"#;
    let rest = format!(r#"{scopes},"thresholds":{{"pass":100,"marginal":99}}"#);
    for request in [
        format!(r#"{{"canaryConfig":{CONFIG},"executionRequest":{{{rest}}}}}"#),
        format!(r#"{{"canaryConfig":{CONFIG},{rest}}}"#),
    ] {
        let files = Files::new("ms,errors\n1,2\n", "ms,errors\n1,2\n").with("config", &request);
        let judgement = files.judge(&["--config", "CONFIG"]).unwrap();
        assert!(
            judgement.text.contains("ranker-v7") && judgement.text.contains("pass from 100"),
            "{}",
            judgement.text
        );
        assert!(judgement.text.contains("only the thresholds are used"), "{}", judgement.text);
    }
    let wrong = format!(r#"{{"canaryConfig":{}}}"#, CONFIG.replacen("increase", "up", 1));
    let error = CanaryConfig::parse("kayenta.json", &wrong).expect_err("accepted").to_string();
    assert!(error.contains("canaryConfig.metrics[0].analysisConfigurations.canary.direction"), "{error}");
}
