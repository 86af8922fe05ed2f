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
    check("--rate 900/m", &["Low traffic", "shadow", "blue-green", "begin at 5 %"]);
    check("--rate 900/h", &["TOO LITTLE TRAFFIC", "1000 requests an hour"]);
    check("--rate 100 --cost 12 --requests-per-user 20", &["cost", "users"]);
    assert!(planned("--rate 900/h").unwrap().too_little_traffic);
}

/// Figures that guides give, with what they leave unsaid.
#[test]
fn figures_of_guides_are_met_with_their_assumptions() {
    // "6,000 requests an hour suffice for d of 0.05": in equal arms, one-sided; two-sided they do not.
    check("--rate 10000/m --schedule 1% --effect-size 0.05", &["equal size", "4947 and 6281 each"]);
    // "A fall of 2 % in click rate takes 40,000 each": at a base rate of a half, and of a twentieth far more.
    let fall = |base: &str| {
        let answer = planned(&format!("--rate 100 --baseline {base} --harm 0.98x --schedule 50%")).unwrap();
        answer.stages[0].fixed_samples
    };
    assert!((25_000.0..45_000.0).contains(&fall("50%")), "{}", fall("50%"));
    assert!(fall("5%") > 15.0 * fall("50%") && fall("2%") > 2.0 * fall("5%"));
    check(
        "--rate 100 --baseline 5% --harm 0.98x --schedule 50%",
        &["no fall below 0.98x", "It can have no more", "0.5 % instead of 5 %"],
    );
    // "5 % of 10M a day are 500K".
    check("--rate 10M/d --schedule 5%", &["500.0k at 5 %", "115.7407 requests a second"]);
}

#[test]
fn a_fall_is_ruled_out_as_well_as_found() {
    let stage =
        |line: &str| planned(&format!("--rate 100 --baseline 5% --harm 0.9x --schedule 10% {line}")).unwrap();
    let wide = &stage("--margin 0.8x").stages[0];
    let narrow = &stage("").stages[0];
    assert!(narrow.samples_no_harm > 3.0 * wide.samples_no_harm && wide.samples_harm > wide.samples_no_harm);
    assert_eq!(stage("--margin 20%").stages[0].samples_no_harm, wide.samples_no_harm);
}

#[test]
fn a_budget_is_held_against_the_plan() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rollout.yaml");
    let preset = manifest::preset_text("default").unwrap();
    let of = |budget: &str, rate: &str| {
        std::fs::write(&path, format!("{preset}  budget: {budget}\n")).unwrap();
        show::text(&planned(&format!("--rate {rate} -f {}", path.display())).unwrap())
    };
    assert!(of("{requests: 1000}", "100").contains("allows the canary 1000 requests"));
    assert!(of("{errors: 10}", "100").contains("allows the canary 10 errors"));
    assert!(!of("{requests: 1000000, errors: 100000}", "100").contains("budget"));
}

#[test]
fn a_file_is_planned_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rollout.yaml");
    std::fs::write(&path, manifest::preset_text("default").unwrap()).unwrap();
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
    refused("--rate 5 --baseline 60%", &["120 % of 60 %"]);
    refused("--rate 5 --margin 1x", &["--margin", "above 1x"]);
    refused("--rate 5 --harm 0.9x --margin 1.1x", &["--margin", "below 1x"]);
    refused("--rate 5 --schedule 100%", &["--schedule"]);
    refused("--rate 5 --alpha 2", &["alpha"]);
    refused("--rate 5 --power 2", &["power"]);
    refused("--rate 5 --requests-per-user 0", &["--requests-per-user"]);
}
