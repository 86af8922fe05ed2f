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

/// A whole command line, as the documentation has it.
pub fn documented<'a>(words: impl Iterator<Item = &'a str>) -> Judgement {
    judgement(&Line::try_parse_from(words).unwrap().options).unwrap()
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

/// So many predictions without scores, one line each as `of` says.
fn lines(n: u32, of: impl Fn(u32) -> String) -> String {
    (0..n).map(|i| format!("{{\"id\": \"r{i}\", {}}}\n", of(i))).collect()
}

#[test]
fn a_version_without_errors_passes_with_enough_rows() {
    let none = |n| lines(n, |_| "\"error\": null".to_owned());
    check(&none(5_000), &none(5_000), "", &[], 0, &["Advance on errors", "exact score"]);
    check(&none(100), &none(100), "", &[], 2, &["every value of both arms is 0"]);
}

#[test]
fn what_one_version_does_not_give_cannot_be_judged() {
    let all = labels(0..1_000);
    let row =
        |i: u32, prediction: &str| format!("\"prediction\": {prediction}, \"latency_ms\": {}", 20 + i % 9);
    let good = lines(1_000, |i| row(i, &(i % 2).to_string()));
    let nothing = lines(1_000, |i| row(i, "null"));
    check(&good, &good, &all, WITH, 0, &["pass"]);
    check(
        &good,
        &nothing,
        &all,
        WITH,
        3,
        &["0 of 1000", "error: predictions are there for", "Advance on latency"],
    );
    check(&nothing, &good, &all, WITH, 3, &["error: predictions are there for"]);
    // Too few for the test of shares: still nothing to hold against.
    let few = |one: u32| lines(12, |i| row(i, if i == one { "1" } else { "0" }));
    let rare =
        format!("id,label\n{}", (0..12).map(|i| format!("r{i},{}\n", u8::from(i == 1))).collect::<String>());
    check(&few(1), &few(99), &rare, WITH, 3, &["gives no value of precision in any of its 12 rows"]);
    // Two of five are missing, of predictions, scores or answer times.
    let part = |name: &str, text: &str| -> String {
        let cut = |(at, line): (usize, &str)| match line.find(&format!("\"{name}\"")) {
            Some(from) if at % 5 < 2 => {
                let end = line[from..].find([',', '}']).unwrap() + from;
                format!("{}\"{name}\": null{}\n", &line[..from], &line[end..])
            }
            _ => format!("{line}\n"),
        };
        text.lines().enumerate().map(cut).collect()
    };
    check(
        &good,
        &part("prediction", &good),
        &all,
        WITH,
        3,
        &["600 of 1000 (60 %)", "predictions are there for"],
    );
    check(&good, &part("latency_ms", &good), &all, WITH, 3, &["latency are there for 1000 of 1000"]);
    let scored = predictions(1_000, 90, "");
    check(&scored, &part("score", &scored), &all, WITH, 3, &["scores are there for", "accuracy"]);
    // What failed has no answer, and is judged as an error.
    let failed = lines(1_000, |i| match i % 5 {
        0 => "\"prediction\": null, \"error\": \"timeout\"".to_owned(),
        _ => format!("\"prediction\": {}, \"error\": null", i % 2),
    });
    let fine = lines(1_000, |i| format!("\"prediction\": {}, \"error\": null", i % 2));
    check(&fine, &failed, &all, WITH, 1, &["errors", "worse than stable"]);
}

#[test]
fn labels_that_one_version_lacks_are_not_judged() {
    let both = |share: u32| {
        lines(1_000, |i| {
            let label = if i % 10 < share { (i % 2).to_string() } else { "null".to_owned() };
            format!("\"prediction\": {}, \"label\": {label}", i % 2)
        })
    };
    check(&both(9), &both(6), "", &[], 3, &["labels are there for 900 of 1000 (90 %)", "label both alike"]);
    check(&both(9), &both(9), "", &[], 0, &["with a label  900 of 1000 (90 %)"]);
}

#[test]
fn classes_are_spelled_alike_or_refused() {
    let of = |classes: [&str; 2]| {
        let classes = classes.map(str::to_owned);
        lines(1_000, move |i| format!("\"prediction\": {}", classes[(i % 2) as usize]))
    };
    let truth = |classes: [&str; 2]| {
        format!("id,label\n{}", (0..1_000).map(|i| format!("r{i},{}\n", classes[i % 2])).collect::<String>())
    };
    let (digits, words) = (of(["0", "1"]), of(["false", "true"]));
    let (animals, capitals) = (of(["\"dog\"", "\"cat\""]), of(["\"Dog\"", "\"Cat\""]));
    for (baseline, canary) in [(&digits, &words), (&words, &digits), (&digits, &digits)] {
        check(baseline, canary, &truth(["False", "True"]), WITH, 0, &["precision", "pass: score 100.0"]);
        check(baseline, canary, &truth(["0", "1"]), WITH, 0, &["precision", "pass: score 100.0"]);
    }
    let positive = ["--labels", "LABELS", "--positive", "true"];
    check(&digits, &digits, &truth(["0", "1"]), &["--labels", "LABELS", "--positive", "1"], 0, &["recall"]);
    check(&digits, &digits, &truth(["False", "True"]), &positive, 0, &["recall"]);
    let named = truth(["dog", "cat"]);
    check(&animals, &animals, &named, WITH, 0, &["pass"]);
    refused(&animals, &capitals, &named, WITH, &["canary predicts Cat, Dog", "true labels are cat, dog"]);
    refused(&capitals, &capitals, &named, WITH, &["stable predicts Cat, Dog"]);
    refused(&digits, &digits, &named, WITH, &["predicts 0, 1", "cat, dog"]);
    refused(&animals, &of(["\"dog\"", "\"Cat\""]), &named, WITH, &["(\"Cat\" is no label)"]);
    // Always wrong is not misspelled.
    check(&digits, &of(["1", "0"]), &truth(["0", "1"]), WITH, 1, &["Halt on accuracy"]);
    check(&animals, &of(["\"cat\"", "\"dog\""]), &named, WITH, 1, &["Halt on accuracy"]);
}

#[test]
fn answer_times_are_times() {
    let of = |last: &str| lines(30, |i| format!("\"latency_ms\": {}", if i == 29 { last } else { "20" }));
    for wrong in ["-1", "1e308"] {
        refused(&of("21"), &of(wrong), "", &[], &["canary:30", "\"latency_ms\" holds"]);
    }
}
