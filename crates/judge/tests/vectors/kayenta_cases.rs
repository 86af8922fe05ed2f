//! The cases of the Kayenta-compatible judge.

use super::{Checked, Input, text, wire};
use judge::kayenta::{
    Label, MetricRules, ScoredMetric, Thresholds, classify, judge_series, remove_outliers, score,
};
use serde_json::{Map, Value, json};

pub(super) fn kayenta(function: &str, input: &Input) -> Checked<Value> {
    Ok(match function {
        "kayenta_outliers" => {
            let factor = input.number_or("outlierFactor", 3.0)?;
            let reduce = input.flag_or("reduceSensitivity", true);
            json!({"kept": remove_outliers(&input.list("values")?, factor, reduce).map_err(text)?})
        }
        "kayenta_cles" => {
            let (control, experiment) = (input.list("control")?, input.list("experiment")?);
            let cles = judge::classical::common_language(&experiment, &control).map_err(text)?;
            json!({"cles": cles})
        }
        "kayenta_classify" => {
            let rules = metric_rules(input)?;
            let r = classify(&input.list("control")?, &input.list("experiment")?, &rules);
            let label = r.label.as_str();
            json!({"classification": label, "critical": r.critical, "deviation": wire(r.deviation)})
        }
        "kayenta_score" => kayenta_score(input)?,
        _ => {
            let thresholds = Thresholds { pass: input.number("pass")?, marginal: input.number("marginal")? };
            let r = judge_series(&input.list("scores")?, thresholds).map_err(text)?;
            json!({"passed": r.passed, "stoppedAt": r.stopped_at})
        }
    })
}

fn metric_rules(input: &Input) -> Checked<MetricRules> {
    let mut fields = input.0.clone();
    for data in ["control", "experiment", "tolerance", "confLevel"] {
        fields.remove(data);
    }
    let mut rules: MetricRules = serde_json::from_value(Value::Object(fields)).map_err(|e| e.to_string())?;
    rules.tolerance = input.number_or("tolerance", rules.tolerance)?;
    rules.conf_level = input.number_or("confLevel", rules.conf_level)?;
    Ok(rules)
}

fn kayenta_score(input: &Input) -> Checked<Value> {
    let metrics = input.get("metrics")?.as_array().ok_or("`metrics` is not a list")?;
    let metric = |m: &Value| -> Checked<ScoredMetric> {
        let label: Label = serde_json::from_value(m.get("classification").cloned().unwrap_or_default())
            .map_err(|e| e.to_string())?;
        let groups = m.get("groups").cloned().unwrap_or(json!([]));
        let flag = |name: &str| m.get(name).and_then(Value::as_bool).unwrap_or(false);
        Ok(ScoredMetric {
            label,
            groups: serde_json::from_value(groups).map_err(|e| e.to_string())?,
            critical: flag("critical"),
            muted: flag("muted"),
        })
    };
    let metrics: Vec<ScoredMetric> = metrics.iter().map(metric).collect::<Checked<_>>()?;
    let weights = serde_json::from_value(input.get("groupWeights")?.clone())
        .map_err(|e| format!("`groupWeights`: {e}"))?;
    let thresholds = Thresholds { pass: input.number("pass")?, marginal: input.number("marginal")? };
    let r = score(&metrics, &weights, thresholds).map_err(text)?;
    let groups: Map<String, Value> = r.groups.iter().map(|g| (g.name.clone(), json!(g.score))).collect();
    Ok(json!({"score": r.score, "classification": r.label.as_str(), "groupScores": groups}))
}
