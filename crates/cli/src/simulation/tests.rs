use anyhow::Context as _;
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

/// More gates, and more of assignment.
const LATENCY: &str = "    - {name: latency, metric: latency_p99, against: stable, margin: 50%}\n";
const STICKY: &str = "  assignment: {mode: sticky, keys: [{header: x-user}]}\n";

fn simulated(line: &str) -> Result<(Answer, tempfile::TempDir)> {
    simulated_with("", line)
}

fn simulated_with(more: &str, line: &str) -> Result<(Answer, tempfile::TempDir)> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("rollout.yaml");
    std::fs::write(&path, format!("{PLAN}{more}"))?;
    std::fs::write(
        dir.path().join("bad.jsonl"),
        "{\"epoch\":1,\"from_ms\":0,\"to_ms\":1000,\"canry\":{}}\n",
    )?;
    let line = line.replace("DIR", dir.path().to_str().context("a path in UTF-8")?);
    let file = path.display();
    let words = format!("simulate -f {file} --every 10s {line}");
    let options = Line::try_parse_from(words.split_whitespace())?.options;
    let Worlds::Counts(troubles) = Worlds::of(&options.world)? else { bail!("not a world of counts") };
    Ok((answer(&options, &troubles)?, dir))
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

#[test]
fn trouble_is_tried_with_and_without_its_remedy() {
    let (answer, _dir) = simulated_with(
        LATENCY,
        "--rate 100 --runs 6 --errors 2% --harm errors=x9 --world users,slow-proxy,cold-start --cold p99=x5@0s..2m",
    )
    .unwrap();
    let names: Vec<&str> = answer.worlds.iter().map(|world| world.world.as_str()).collect();
    assert_eq!(
        names,
        [
            "as good as stable",
            "as good, users, assigned at random",
            "as good, slow proxy",
            "errors x5, slow proxy",
            "cold start, no warmUp",
            "cold start, warmUp: 5m",
            "errors x9"
        ]
    );
    let rolled_back: Vec<u64> = answer.worlds.iter().map(|world| world.rolled_back.count).collect();
    assert_eq!((rolled_back[3], rolled_back[4], rolled_back[6]), (6, 6, 6), "{rolled_back:?}");
    assert!(rolled_back[0] <= 1 && rolled_back[2] <= 1 && rolled_back[5] <= 1, "{rolled_back:?}");
    assert!(answer.worlds[5].healthy && !answer.worlds[3].healthy);
    // Where users stick to a version, the unit is what is tried.
    let (answer, _dir) =
        simulated_with(STICKY, "--rate 100 --runs 1 --harm errors=x9 --world users").unwrap();
    let names: Vec<&str> = answer.worlds.iter().skip(1).take(2).map(|world| world.world.as_str()).collect();
    assert_eq!(names, ["as good, users, unit: request", "as good, users, unit: user"]);
}

fn in_requests(more: &str, line: &str) -> Result<String> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("rollout.yaml");
    std::fs::write(&path, format!("{PLAN}{more}"))?;
    let words = format!("simulate -f {} {line}", path.display());
    let options = Line::try_parse_from(words.split_whitespace())?.options;
    let Worlds::Requests(named) = Worlds::of(&options.world)? else { bail!("not a world of requests") };
    Ok(requests::text(&requests::answer(&options, &named)?))
}

#[test]
fn a_rollout_of_ones_own_in_a_world_of_requests() {
    let text = in_requests(LATENCY, "--rate 60 --runs 2 --world calm,cuts --every 1s").unwrap();
    for part in
        ["calm: the canary is as good", "cuts: the canary is harmful", "seen most", "undecided", "95 %"]
    {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    let listed = worlds::list();
    for named in simulate::NAMED {
        assert!(listed.contains(named.name) && listed.contains(named.about), "{listed}");
    }
}

#[test]
fn bad_questions_about_worlds_of_requests() {
    for (line, part) in [
        ("--world calm,users", "one kind at a time"),
        ("--world clam", "slow-proxy, cold-start; of requests calm, diurnal"),
        ("--world calm --harm errors=x2", "--harm"),
        ("--world calm --svg x", "--svg"),
        ("--world calm --record x", "--record"),
    ] {
        let error = format!("{:#}", in_requests("", line).expect_err("accepted"));
        assert!(error.contains(part), "{error}");
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
    refused("--rate 10 --errors 30% --harm errors=x5", &["--harm errors=x5", "150 %"]);
    refused("--rate 10 --p50 2s", &["p99 must be the longer"]);
    refused("--rate 10 --world none --requests-per-user 0.5", &["requests each"]);
    refused("--rate 10 --world users --prone 0%", &["--prone"]);
    refused("--rate 10 --world slow-proxy --silence 2m", &["--silence", "1s to 50s"]);
    refused("--rate 10 --world cold-start --cold p99=x5", &["--cold", "@0s..3m"]);
    refused("--rate 10 --world cold", &["--world", "cold-start"]);
    refused("--record DIR/bad.jsonl", &["bad.jsonl:1", "canry"]);
}
