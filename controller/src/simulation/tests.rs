use clap::Parser as _;

use super::*;

#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

const PLAN: &str = "
apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: small}
spec:
  stable: {version: v1}
  canary: {version: v2}
  stages:
    - {weight: 20%, bake: 1m, deadline: 10m}
    - {weight: 100%, bake: 1m}
  gates:
    - {name: errors, metric: error_rate, against: stable, margin: 2x, passBelow: 1%}
";

fn simulated(line: &str) -> Result<(Answer, tempfile::TempDir)> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("rollout.yaml");
    std::fs::write(&path, PLAN)?;
    std::fs::write(
        dir.path().join("bad.jsonl"),
        "{\"epoch\":1,\"from_ms\":0,\"to_ms\":1000,\"canry\":{}}\n",
    )?;
    let line = line.replace("DIR", dir.path().to_str().context("a path in UTF-8")?);
    let file = path.display();
    let words = format!("simulate -f {file} --every 10s {line}");
    Ok((answer(&Line::try_parse_from(words.split_whitespace())?.options)?, dir))
}

#[test]
fn the_seed_fixes_everything_whatever_the_threads() {
    let of = |line: &str| serde_json::to_string(&simulated(line).unwrap().0).unwrap();
    let line = "--rate 50 --runs 6 --harm errors=x5";
    let (one, two) = (of(&format!("{line} --threads 1")), of(&format!("{line} --threads 3")));
    assert_eq!(one, two);
    assert_ne!(one, of(&format!("{line} --seed 2")));
}

#[test]
fn what_people_read_and_see() {
    let (answer, dir) =
        simulated("--rate 100 --runs 8 --errors 2% --harm errors=x5 --harm errors=x10@30s").unwrap();
    let text = show::text(&answer);
    for part in [
        "as good as stable",
        "shared bursts",
        "errors x5",
        "errors x10@30s",
        "gate errors",
        "runs a second",
        "95 %",
    ] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    assert_eq!(answer.worlds[2].rolled_back.count, 8, "{text}");
    let files = picture::write(&answer, &dir.path().join("pictures")).unwrap();
    for file in files {
        let svg = std::fs::read_to_string(file).unwrap();
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && svg.contains("errors x5"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}

#[track_caller]
fn refused(line: &str, parts: &[&str]) {
    let error = format!("{:#}", simulated(line).map(|_| ()).expect_err("accepted"));
    for part in parts {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn bad_questions_name_the_option() {
    refused("", &["--rate"]);
    refused("--rate 10 --runs 0", &["--runs"]);
    refused("--rate 10 --harm errors=2", &["--harm", "errors=x2"]);
    refused("--rate 10 --harm confidence=-2%", &["confidence_mean", "add one"]);
    refused("--rate 10 --errors 30% --harm errors=x5", &["--harm errors=x5", "150.000 %"]);
    refused("--rate 10 --p50 2s", &["p99 must be the longer"]);
    refused("--record DIR/bad.jsonl", &["bad.jsonl:1", "canry"]);
}
