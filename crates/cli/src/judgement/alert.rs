//! Named triggers, as typed and as judged: `error_rate=errors,max=5%`.

use anyhow::{Context as _, Result, anyhow, bail};
use judge::alert::{AlertFinding, AlertRule};
use serde::Serialize;

use super::rule::number;
use super::show::COLUMNS;
use super::{Table, pair, short};
use crate::table::columns;

/// A trigger on a column.
#[derive(Debug)]
pub struct Rule {
    pub trigger: AlertRule,
    pub column: String,
}

/// What it found there.
#[derive(Debug, Serialize)]
pub struct Found {
    pub column: String,
    #[serde(flatten)]
    pub finding: AlertFinding,
    /// Rows without a value, left out; with pairs, rows without a partner: canary, stable.
    pub missing: [usize; 2],
}

impl Rule {
    /// Reads `NAME=COLUMN[,key=value]...`.
    pub fn parse(text: &str) -> Result<Self> {
        let mut parts = text.split(',').map(str::trim);
        let (name, column) = parts.next().and_then(|head| head.split_once('=')).unwrap_or((text, ""));
        let known = AlertRule::named(name);
        let mut trigger = known.ok_or_else(|| {
            anyhow!("--trigger {name:?} is unknown; known are {}", AlertRule::NAMES.join(", "))
        })?;
        if column.is_empty() {
            bail!("--trigger {name}: on which column? Write {name}=COLUMN");
        }
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let value = amount(value).with_context(|| format!("--trigger {name}: {part}"))?;
            let place = match (&mut trigger, key) {
                (AlertRule::PredictionDistributionShift { p, .. }, "p") => p,
                (AlertRule::PredictionDistributionShift { d, .. }, "d") => d,
                (AlertRule::ErrorRate { limit, .. } | AlertRule::LatencyP99 { limit, .. }, "max") => limit,
                (AlertRule::ErrorRate { ratio, .. } | AlertRule::LatencyP99 { ratio, .. }, "ratio") => ratio,
                (AlertRule::ErrorRate { floor, .. }, "floor") => floor,
                (
                    AlertRule::EmbeddingDrift { warn, .. } | AlertRule::PredictionChange { warn, .. },
                    "warn",
                ) => warn,
                (
                    AlertRule::EmbeddingDrift { fail, .. } | AlertRule::PredictionChange { fail, .. },
                    "fail",
                ) => fail,
                (AlertRule::PredictionChange { by, .. }, "by") => by,
                (other, _) => {
                    let keys = match other {
                        AlertRule::PredictionDistributionShift { .. } => "p and d",
                        AlertRule::ErrorRate { .. } => "max, ratio and floor",
                        AlertRule::LatencyP99 { .. } => "max and ratio",
                        AlertRule::EmbeddingDrift { .. } => "warn and fail",
                        AlertRule::PredictionChange { .. } => "by, warn and fail",
                    };
                    bail!("--trigger {name}: {part:?} is unknown; known are {keys}")
                }
            };
            *place = value;
        }
        Ok(Self { trigger, column: column.to_owned() })
    }

    pub fn judge(&self, control: &Table, canary: &Table, pair_by: Option<&str>) -> Result<Found> {
        let wrong = || format!("--trigger {}={}", self.trigger.name(), self.column);
        let (finding, missing) = if self.trigger.is_of_pairs() {
            let Some(id) = pair_by else {
                bail!("{}: it compares input by input; name the input's column with --pair-by", wrong());
            };
            let (pairs, alone) = match self.trigger {
                AlertRule::EmbeddingDrift { .. } => pair::cosines(&self.column, id, control, canary)?,
                _ => pair::differences(&self.column, id, control, canary)?,
            };
            (self.trigger.judge_pairs(&pairs), alone)
        } else {
            let (values, missing1) = present(canary.column(&self.column)?);
            let (stable, missing0) = present(control.column(&self.column)?);
            (self.trigger.judge(&values, &stable), [missing1, missing0])
        };
        Ok(Found { column: self.column.clone(), finding: finding.with_context(wrong)?, missing })
    }
}

fn present(values: Vec<f64>) -> (Vec<f64>, usize) {
    let all = values.len();
    let values: Vec<f64> = values.into_iter().filter(|v| !v.is_nan()).collect();
    let missing = all - values.len();
    (values, missing)
}

/// `5%`, `3x`, `500ms` or a plain number.
fn amount(text: &str) -> Result<f64> {
    if let Some(part) = text.strip_suffix('%') {
        return Ok(number(part)? / 100.0);
    }
    number(text.strip_suffix("ms").or_else(|| text.strip_suffix('x')).unwrap_or(text))
}

/// Triggers for people: a line for each condition.
pub fn text(found: &[Found]) -> String {
    let names: Vec<String> = found.iter().map(|f| format!("{} on {}", f.finding.trigger, f.column)).collect();
    let mut rows = Vec::new();
    for (found, mut name) in found.iter().zip(names) {
        for condition in &found.finding.conditions {
            rows.push([
                std::mem::take(&mut name),
                condition.alarm.as_str().to_owned(),
                condition.why.clone(),
            ]);
        }
        let mut facts = vec![format!("n {} / {}", found.finding.n_canary, found.finding.n_control)];
        facts.extend(
            found
                .finding
                .figures
                .iter()
                .map(|(name, value)| format!("{} {}", name.replace('_', " "), shown(*value))),
        );
        if found.missing != [0, 0] {
            facts.push(format!("missing {} / {}", found.missing[0], found.missing[1]));
        }
        rows.push([String::new(), String::new(), format!("({})", facts.join(", "))]);
    }
    columns(COLUMNS, rows)
}

/// Of a p-value, its order of size is what matters.
fn shown(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-4 { format!("{value:.1e}") } else { short(value) }
}
