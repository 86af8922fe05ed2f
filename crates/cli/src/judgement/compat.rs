//! Judges as Kayenta does, and says where its rules are known to be unwise and decided something.

use anyhow::Result;
use judge::kayenta::{
    Classification, JUDGE, Label, ScoreLabel, Scored, ScoredMetric, Thresholds, classify, score,
};
use serde_json::json;

use super::config::{CanaryConfig, Metric};
use super::show::COLUMNS;
use super::{Judgement, Table, Verdict, short};
use crate::table::columns;

/// Points per arm below which separated values fail a canary, and below which the documentation warns.
const FEW: usize = 5;
const DOCUMENTED: usize = 50;

struct Judged<'a> {
    metric: &'a Metric,
    points: [usize; 2],
    largest: f64,
    is: Classification,
}

/// One judgement by the rules of Kayenta's judge.
pub struct Once<'a> {
    judged: Vec<Judged<'a>>,
    pub scored: Scored,
    /// The rules of compatibility that decided something.
    pub unwise: Vec<String>,
}

pub fn judgement(
    config: &CanaryConfig,
    thresholds: Thresholds,
    control: &Table,
    canary: &Table,
    mut notes: Vec<String>,
) -> Result<Judgement> {
    let once = once(config, thresholds, |name| {
        Ok([control.column_or_nothing(name)?, canary.column_or_nothing(name)?])
    })?;
    notes.extend(once.unwise.iter().cloned());
    let verdict = match once.scored.label {
        ScoreLabel::Pass => Verdict::Pass,
        ScoreLabel::Marginal => Verdict::Marginal,
        ScoreLabel::Fail => Verdict::Fail,
    };
    let text = text(config, &once, thresholds, &notes);
    let mut json = once.document(config, thresholds);
    if let Some(object) = json.as_object_mut() {
        object.insert("notes".to_owned(), json!(notes));
    }
    Ok(Judgement { verdict, text, json })
}

/// Judges once; `samples` gives the control's and the experiment's points of a metric.
pub fn once<'a>(
    config: &'a CanaryConfig,
    thresholds: Thresholds,
    samples: impl Fn(&str) -> Result<[Vec<f64>; 2]>,
) -> Result<Once<'a>> {
    let mut judged = Vec::new();
    for metric in &config.metrics {
        let [stable, values] = samples(&metric.name)?;
        let points = |v: &[f64]| v.iter().filter(|v| !v.is_nan()).count();
        let largest = values.iter().chain(&stable).filter(|v| !v.is_nan()).fold(0f64, |a, v| a.max(v.abs()));
        let is = classify(&stable, &values, metric.rules());
        judged.push(Judged { metric, points: [points(&values), points(&stable)], largest, is });
    }
    let metrics: Vec<ScoredMetric> = judged
        .iter()
        .map(|j| ScoredMetric {
            label: j.is.label,
            groups: j.metric.groups.clone(),
            critical: j.is.critical,
            muted: j.metric.rules().muted,
        })
        .collect();
    let scored = score(&metrics, &config.classifier.group_weights, thresholds)?;
    let unwise = unwise(&judged, &scored);
    Ok(Once { judged, scored, unwise })
}

impl Once<'_> {
    /// Metrics that did not pass, with their labels.
    pub fn not_passed(&self) -> Vec<String> {
        let not_passed = self.judged.iter().filter(|j| j.is.label != Label::Pass);
        not_passed.map(|j| format!("{} {}", j.metric.name, j.is.label.as_str())).collect()
    }
}

/// The rules of compatibility that bit here, one sentence each.
fn unwise(judged: &[Judged<'_>], scored: &Scored) -> Vec<String> {
    let mut notes = Vec::new();
    for group in scored.groups.iter().filter(|group| !group.counted) {
        notes.push(format!(
            "compatibility: group {} has no metric that counts and enters the score as 100; Serin's own judge would answer \
             insufficient",
            group.name
        ));
    }
    for j in judged {
        let name = &j.metric.name;
        let rules = j.metric.rules();
        if j.is.label == Label::Error {
            notes.push(format!("compatibility: {name} ended in Error and leaves the score silently"));
        }
        if matches!(j.is.label, Label::High | Label::Low) && j.points.iter().any(|n| *n < FEW) {
            notes.push(format!(
                "compatibility: {name} fails on {} / {} points; a healthy canary does so in up to a quarter of cases",
                j.points[0], j.points[1]
            ));
        } else if j.points.iter().any(|n| *n < DOCUMENTED) && !j.points.contains(&0) {
            notes.push(format!(
                "{name} has {} / {} points; {DOCUMENTED} per arm are the documented need",
                j.points[0], j.points[1]
            ));
        }
        if j.largest > 0.0 && j.largest < 1e-3 {
            notes.push(format!(
                "compatibility: {name} is at most {}; the root finder's absolute tolerance of 1e-4 blinds it at this \
                 scale (multiply the column by 1000)",
                short(j.largest)
            ));
        }
        if j.metric.groups.is_empty() && !rules.muted && !rules.critical {
            notes.push(format!("compatibility: {name} is in no group and so never counts"));
        }
        if j.is.label == Label::Pass && j.points.contains(&0) {
            notes.push(format!("compatibility: {name} passes without data, by nanStrategy replace"));
        }
    }
    notes
}

fn text(config: &CanaryConfig, once: &Once<'_>, thresholds: Thresholds, notes: &[String]) -> String {
    let Once { judged, scored, .. } = once;
    let mut out = format!("{}: judged as Kayenta does\n", config.name);
    let rows = judged.iter().map(|j| {
        let mut marks = String::new();
        if j.is.critical {
            marks += " critical";
        }
        if j.metric.rules().muted {
            marks += " muted";
        }
        let label = format!("{}{marks}", j.is.label.as_str());
        [j.metric.name.clone(), label, j.is.reason.clone()]
    });
    out += &columns(COLUMNS, rows);
    for group in &scored.groups {
        let value = if group.counted { short(group.score) } else { "no data, counted as 100".to_owned() };
        out += &format!("group {}: {value}\n", group.name);
    }
    let reason = scored.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    out += &format!(
        "\n{}: score {}{reason} (pass from {}, marginal from {})\n",
        scored.label.as_str(),
        short(scored.score),
        thresholds.pass,
        thresholds.marginal
    );
    for note in notes {
        out += &format!("note: {note}\n");
    }
    out += &format!("judge: {JUDGE}\n");
    out
}

impl Once<'_> {
    /// The shape of Kayenta's own `judgeResult`, with thresholds and notes beside it.
    pub fn document(&self, config: &CanaryConfig, thresholds: Thresholds) -> serde_json::Value {
        let Self { judged, scored, .. } = self;
        let group = |name: &str, score: f64| json!({"name": name, "score": score, "classification": "", "classificationReason": ""});
        json!({
            "judgeName": JUDGE,
            "config": config.name,
            "score": {
                "score": scored.score,
                "classification": scored.label.as_str(),
                "classificationReason": scored.reason.as_deref().unwrap_or(""),
            },
            "groupScores": scored.groups.iter().map(|g| group(&g.name, g.score)).collect::<Vec<_>>(),
            "results": judged.iter().map(|j| json!({
                "name": j.metric.name,
                "groups": j.metric.groups,
                "classification": j.is.label.as_str(),
                "classificationReason": j.is.reason,
                "critical": j.is.critical,
                "muted": j.metric.rules().muted,
                "experimentMetadata": {"stats": {"count": j.points[0]}},
                "controlMetadata": {"stats": {"count": j.points[1]}},
                "resultMetadata": {"ratio": j.is.deviation},
            })).collect::<Vec<_>>(),
            "thresholds": {"pass": thresholds.pass, "marginal": thresholds.marginal},
            "notes": self.unwise,
        })
    }
}
