use clap::Parser as _;

use super::*;

#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

fn planned(line: &str) -> Result<Answer> {
    answer(&Line::try_parse_from(format!("plan {line}").split_whitespace())?.options)
}

#[track_caller]
fn check(line: &str, says: &[&str]) {
    let text = show::text(&planned(line).unwrap());
    for part in says {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[track_caller]
fn refused(line: &str, parts: &[&str]) {
    let error = format!("{:#}", planned(line).expect_err("accepted"));
    for part in parts {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn sizes_and_times() {
    let answer = planned("--rate 100 --harm 2x --margin 2x --schedule 5%").unwrap();
    let stage = &answer.stages[0];
    // Published: 850 canary requests in one look, nine of ten watched runs end by 2550.
    assert!((stage.fixed_samples - 850.0).abs() <= 1.0 && (stage.samples_harm - 2550.0).abs() <= 3.0);
    assert!((stage.bake_seconds - stage.exposed_requests / 5.0).abs() < 1e-9);
    assert!(!answer.too_little_traffic);
    // Half a point off 5 % conversion: tens of thousands, each arm.
    let fall = planned("--rate 100 --baseline 5% --harm -0.5% --schedule 50%").unwrap();
    assert!((20_000.0..40_000.0).contains(&fall.stages[0].fixed_samples), "{fall:?}");
}

#[test]
fn what_people_read() {
    check(
        "--rate 10000/m --schedule 1% --effect-size 0.05",
        &["0.05 standard deviations", "one-sided", "two-sided"],
    );
    check("--rate 100", &["base rate", "50%", "weight", "one direction"]);
    check("--rate 900/m", &["Low traffic", "shadow", "blue-green", "begin at 5.00 %"]);
    check("--rate 900/h", &["TOO LITTLE TRAFFIC", "1000 requests an hour"]);
    check("--rate 100 --cost 12 --requests-per-user 20", &["cost", "users"]);
    assert!(planned("--rate 900/h").unwrap().too_little_traffic);
}

#[test]
fn a_file_is_planned_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rollout.yaml");
    std::fs::write(&path, spec::preset_text("default").unwrap()).unwrap();
    let path = path.to_str().unwrap();
    check(&format!("--rate 100 -f {path}"), &["gate errors", "margin 2x", "25%"]);
    check(&format!("--rate 5 -f {path}"), &["will often end undecided", "deadline:"]);
}

#[test]
fn bad_plans_name_the_option() {
    refused("--rate 0", &["--rate", "6000/m"]);
    refused("--rate 5/week", &["--rate", "1000/h"]);
    refused("--rate 5 --baseline 120%", &["--baseline", "between 0% and 100%"]);
    refused("--rate 5 --harm much", &["--harm", "2x"]);
    refused("--rate 5 --baseline 60%", &["120.000 %"]);
    refused("--rate 5 --margin 1x", &["--margin", "above 1x"]);
    refused("--rate 5 --schedule 100%", &["--schedule"]);
    refused("--rate 5 --alpha 2", &["alpha"]);
    refused("--rate 5 --power 2", &["power"]);
    refused("--rate 5 --requests-per-user 0", &["--requests-per-user"]);
}
