//! `serin compare`: from files of predictions and labels to columns, figures and one verdict.

use clap::Parser as _;

use super::super::compare::{CompareOptions, judgement};
use super::*;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    options: CompareOptions,
}

fn compare(files: &Files, line: &[&str]) -> Result<Judgement> {
    let (stable, canary, labels) = (files.path("stable"), files.path("canary"), files.path("labels"));
    let mut words = vec!["compare", stable.to_str().unwrap(), canary.to_str().unwrap()];
    words.extend(line.iter().map(|word| if *word == "LABELS" { labels.to_str().unwrap() } else { word }));
    judgement(&Line::try_parse_from(words)?.options)
}

/// So many predictions, of which `right` of a hundred are right by labels of 0 and 1 in turn, as JSON lines.
fn predictions(n: u32, right: u32, more: &str) -> String {
    let one = |i: u32| {
        // Of each hundred the first are right, and truth alternates beside it.
        let (truth, good) = (i % 2, i % 100 < right);
        let class = if good { truth } else { 1 - truth };
        let p = if class == 1 { 0.8 } else { 0.2 };
        format!("{{\"id\": \"r{i}\", \"prediction\": {class}, \"score\": {p}{more}}}\n")
    };
    (0..n).map(one).collect()
}

fn labels(ids: impl Iterator<Item = u32>) -> String {
    format!("id,label\n{}", ids.map(|i| format!("r{i},{}\n", i % 2)).collect::<String>())
}

#[track_caller]
fn check(stable: &str, canary: &str, of: &str, line: &[&str], code: u8, says: &[&str]) {
    let files = Files::new(stable, canary).with("labels", of);
    let found = compare(&files, line).unwrap();
    assert_eq!(exit_code(found.verdict), code, "{}", found.text);
    says.iter().for_each(|says| assert!(found.text.contains(says), "{says}: {}", found.text));
}

#[track_caller]
fn refused(stable: &str, canary: &str, of: &str, line: &[&str], says: &[&str]) {
    let files = Files::new(stable, canary).with("labels", of);
    let error = format!("{:#}", compare(&files, line).unwrap_err());
    says.iter().for_each(|says| assert!(error.contains(says), "{says}: {error}"));
}

const WITH: &[&str] = &["--labels", "LABELS"];

#[test]
fn a_version_as_good_passes_and_a_worse_one_fails() {
    let (good, bad) = (predictions(2_000, 90, ""), predictions(2_000, 80, ""));
    let all = labels(0..2_000);
    let wide = [
        "--labels",
        "LABELS",
        "--metric",
        "accuracy,margin=0.04",
        "--metric",
        "recall,margin=0.04",
        "--metric",
        "precision,margin=0.04",
        "--metric",
        "brier,margin=30%",
    ];
    check(&good, &good, &all, &wide, 0, &["with a label  2000 of 2000 (100 %)", "pass: score 100.0"]);
    check(&good, &bad, &all, WITH, 1, &["Halt on accuracy", "worse than stable", "drift of the scores: ks "]);
}

#[test]
fn figures_are_those_of_the_labels() {
    let files = Files::new(&predictions(1_000, 90, ""), &predictions(1_000, 80, ""))
        .with("labels", &labels(0..1_000));
    let found = compare(&files, WITH).unwrap();
    let canary = &found.json["versions"]["canary"];
    for (name, expected) in [
        ("accuracy", 0.8),
        ("precision", 0.8),
        ("recall", 0.8),
        ("f1", 0.8),
        ("brier", 0.8 * 0.04 + 0.2 * 0.64),
    ] {
        let got = canary[name].as_f64().unwrap();
        assert!((got - expected).abs() < 1e-9, "{name}: {got}");
    }
    // Scores of 0.8 and 0.2 that come true as often.
    assert!(canary["ece"].as_f64().unwrap() < 1e-9, "{canary}");
    assert!((canary["auc"].as_f64().unwrap() - 0.8).abs() < 1e-9, "{canary}");
    assert!(found.json["drift"]["scores"].is_array(), "{}", found.json);
}

#[test]
fn what_cannot_be_read_is_named_by_line_with_its_remedy() {
    let good = predictions(20, 90, "");
    let all = labels(0..20);
    let twice = format!("{good}{}", predictions(1, 90, ""));
    refused(&good, &twice, &all, WITH, &["canary:21: id \"r0\" is there in line 1 as well", "once"]);
    refused(&good, &good.replacen("0.8", "1.8", 1), &all, WITH, &["canary:", "holds 1.8", "--score"]);
    refused(
        &good,
        &format!("{good}{{\"id\": "),
        &all,
        WITH,
        &["canary:21: ", "one whole JSON object per line"],
    );
    refused(
        &good,
        &good,
        &format!("{all}r3,0\n"),
        WITH,
        &["labels:22: id \"r3\" has the label \"0\", and \"1\" in line 5"],
    );
    refused(&good, &good, "key,label\nr1,1\n", WITH, &["labels", "no column \"id\"", "key, label"]);
    refused(&good, &good, "id,label\nr1,\n", WITH, &["holds no label", "--label"]);
    refused(
        &good,
        &good,
        &all,
        &["--labels", "LABELS", "--positive", "cat"],
        &["\"cat\" is no label; labels are 0, 1"],
    );
    refused("id,x\n1,2\n", "id,x\n1,2\n", "", &[], &["nothing can be compared", "id, x", "--prediction"]);
    refused(&good, &good.replace("prediction", "guess"), &all, WITH, &["has none; give it in both files"]);
    refused(
        "id,prediction,label\n1,cat,2\n",
        "id,prediction,label\n1,3,2\n",
        "",
        &["--numeric"],
        &["stable:2: the prediction \"cat\" is no number"],
    );
}
