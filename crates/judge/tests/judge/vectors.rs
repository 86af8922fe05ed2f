//! The published vectors: the shared ones where they are, the copy kept here otherwise.

use crate::run::check_file;
use judge::Verdict;
use judge::anytime::Better;
use judge::classical::{Margin, Test, non_inferiority};
use judge::score::{ScoreThresholds, WeightedGate, score};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = here.join("../../../shared/vectors/public");
    if shared.is_dir() { shared } else { here.join("tests/vectors") }
}

fn check_folder(folder: &Path) {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".json") || name == "score-fixture.json" {
            continue;
        }
        let outcome = check_file(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert!(outcome.failures.is_empty(), "{name}: {:#?}", outcome.failures);
        assert!(outcome.passed > 0, "{name} has no case");
        files += 1;
    }
    assert!(files >= 11, "only {files} files in {}", folder.display());
}

#[test]
fn vectors_pass() {
    check_folder(&folder());
}

#[test]
fn own_copy_passes() {
    check_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors"));
}

/// The sample program of the canary guide: four metrics, score 72.2, marginal.
#[test]
fn score_fixture_is_marginal() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = here.join("tests/vectors/score-fixture.json");
    let fixture: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let mut gates = vec![];
    for metric in fixture["metrics"].as_array().unwrap() {
        let list = |name: &str| -> Vec<f64> {
            metric[name].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
        };
        let better = match metric["direction"].as_str().unwrap() {
            "higher_is_better" => Better::Higher,
            _ => Better::Lower,
        };
        let margin = Margin::Relative(metric["margin"].as_f64().unwrap());
        let alpha = metric["alpha"].as_f64().unwrap();
        let test = Test::MannWhitney;
        let result = non_inferiority(&list("canary"), &list("stable"), better, margin, alpha, test);
        let result = result.unwrap();
        let (p, want) = (result.p.unwrap(), metric["expect"]["p"].as_f64().unwrap());
        assert!((p - want).abs() <= 1e-4 * want, "{}: p {p}, expected {want}", metric["name"]);
        assert_eq!(result.passed, metric["expect"]["passed"].as_bool().unwrap());
        let verdict = if result.passed { Verdict::Pass } else { Verdict::Fail };
        gates.push(WeightedGate { weight: metric["weight"].as_f64().unwrap(), verdict, critical: false });
    }
    let score = score(&gates, ScoreThresholds::default()).unwrap();
    assert_eq!(format!("{:.1} {}", score.value, score.verdict), "72.2 marginal");
}
