//! Kayenta's canary configuration. What decides is read strictly: a value this judge does not know is an error, never a
//! default.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Result, anyhow, bail};
use judge::kayenta::{MetricRules, Thresholds};
use serde::Deserialize;
use serde_json::Value;

use super::Options;
use super::foreign::{Form, IgnoredFields, Shape, one_object, strict, unwrapped};
use crate::client;

/// The only judge whose rules are known here.
const JUDGE: &str = "NetflixACAJudge-v1.0";

/// The file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CanaryConfig {
    #[serde(skip)]
    pub name: String,
    judge: Judge,
    pub metrics: Vec<Metric>,
    pub classifier: Classifier,
    /// Of an ad-hoc request.
    #[serde(skip)]
    requested: Option<ScoreThresholds>,
    /// What was left aside.
    #[serde(skip)]
    pub notes: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Judge {
    name: String,
    #[serde(default)]
    judge_configurations: BTreeMap<String, Value>,
}

/// A metric of the file; its column has its name.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metric {
    pub name: String,
    #[serde(default)]
    pub groups: Vec<String>,
    #[serde(default)]
    analysis_configurations: Analysis,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Analysis {
    #[serde(default)]
    canary: MetricRules,
}

const CONFIG: Shape = Shape {
    decides: &["judge", "metrics", "classifier"],
    aside: &[
        ("id", Form::Text),
        ("description", Form::Text),
        ("configVersion", Form::Text),
        ("createdTimestamp", Form::Number),
        ("updatedTimestamp", Form::Number),
        ("createdTimestampIso", Form::Text),
        ("updatedTimestampIso", Form::Text),
        ("applications", Form::List),
        ("templates", Form::Object),
    ],
};
const JUDGE_SHAPE: Shape = Shape { decides: &["name", "judgeConfigurations"], aside: &[] };
const METRIC: Shape = Shape {
    decides: &["name", "groups", "analysisConfigurations"],
    // The query is of a metric store's own form, and the samples are given here.
    aside: &[("query", Form::Object), ("scopeName", Form::Text)],
};
const ANALYSIS: Shape = Shape { decides: &["canary"], aside: &[] };

/// How metrics become a score.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Classifier {
    #[serde(default)]
    pub group_weights: BTreeMap<String, f64>,
    #[serde(default)]
    score_thresholds: Option<ScoreThresholds>,
}

/// Where a score begins to pass, and to be marginal.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreThresholds {
    pass: f64,
    marginal: f64,
}

impl Metric {
    pub const fn rules(&self) -> &MetricRules {
        &self.analysis_configurations.canary
    }
}

impl CanaryConfig {
    pub fn read(path: &Path) -> Result<Self> {
        let file = path.display().to_string();
        Self::parse(&file, &client::read(path)?)
    }

    pub fn parse(file: &str, text: &str) -> Result<Self> {
        let mut whole = one_object(file, text)?;
        let mut sieve = IgnoredFields::default();
        let (mut value, path, request) = match unwrapped(&mut whole) {
            Some([config, request]) => (config, "canaryConfig", Some(request)),
            None => (whole, "", None),
        };
        let name = name(&mut value);
        sift(&mut sieve, &mut value, path).map_err(|error| anyhow!("{file}: {error}"))?;
        let mut config: Self = strict(file, path, value)?;
        config.name = name;
        config.check().map_err(|error| anyhow!("{file}: {error}"))?;
        config.notes.extend(sieve.note(file));
        if let Some(mut request) = request {
            let thresholds = request.get_mut("thresholds").map(Value::take).filter(|value| !value.is_null());
            config.requested =
                thresholds.map(|value| strict(file, "executionRequest.thresholds", value)).transpose()?;
            config.notes.push(format!(
                "{file}: of its request only the thresholds are used; where it asks for several judgements, give the file \
                 to --execution as well"
            ));
        }
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        if self.judge.name != JUDGE {
            bail!("judge.name is {:?}; only {JUDGE:?} is known", self.judge.name);
        }
        if let Some(name) = self.judge.judge_configurations.keys().next() {
            bail!("judge.judgeConfigurations.{name} is unknown: this judge has no settings; leave it {{}}");
        }
        if self.metrics.is_empty() {
            bail!("metrics is empty; name at least one metric");
        }
        let mut seen = BTreeSet::new();
        for (at, metric) in self.metrics.iter().enumerate() {
            if metric.name.is_empty() {
                bail!("metrics[{at}].name is empty; give it the name of its column");
            }
            if !seen.insert(&metric.name) {
                bail!(
                    "metrics[{at}].name {:?} is taken; columns are found by it, so rename one",
                    metric.name
                );
            }
        }
        let groups: BTreeSet<&String> = self.metrics.iter().flat_map(|metric| &metric.groups).collect();
        for (name, weight) in &self.classifier.group_weights {
            if !(0.0..=100.0).contains(weight) {
                bail!("classifier.groupWeights.{name} is {weight}; weights are percentages from 0 to 100");
            }
            if !groups.contains(name) {
                bail!(
                    "classifier.groupWeights.{name}: no metric is in a group of this name; correct it or remove it"
                );
            }
        }
        let sum: f64 = self.classifier.group_weights.values().sum();
        if sum > 100.0 + 1e-9 {
            bail!("classifier.groupWeights add up to {sum}; at most 100");
        }
        Ok(())
    }

    /// Thresholds: the command's, else the execution request's, else the file's.
    pub fn thresholds(&self, options: &Options, asked: Option<ScoreThresholds>) -> Result<Thresholds> {
        let own = asked.or(self.requested).or(self.classifier.score_thresholds);
        let pass = options.pass.or(own.map(|t| t.pass));
        let marginal = options.marginal.or(own.map(|t| t.marginal));
        let (Some(pass), Some(marginal)) = (pass, marginal) else {
            bail!(
                "no thresholds: give --pass and --marginal (such as 95 and 75), or classifier.scoreThresholds"
            );
        };
        if !(0.0..=100.0).contains(&marginal) || !(marginal..=100.0).contains(&pass) {
            bail!(
                "thresholds pass {pass} and marginal {marginal}: both from 0 to 100, marginal not above pass"
            );
        }
        Ok(Thresholds { pass, marginal })
    }
}

/// Leaves what decides.
fn sift(sieve: &mut IgnoredFields, config: &mut Value, path: &str) -> Result<()> {
    sieve.keep(config, path, &CONFIG)?;
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    if let Some(judge) = config.get_mut("judge") {
        sieve.keep(judge, &below("judge"), &JUDGE_SHAPE)?;
    }
    if let Some(classifier) = config.get_mut("classifier") {
        sieve.without_nulls(classifier, &below("classifier"));
    }
    let metrics = config.get_mut("metrics").and_then(Value::as_array_mut);
    for (at, metric) in metrics.into_iter().flatten().enumerate() {
        let path = below(&format!("metrics[{at}]"));
        sieve.keep(metric, &path, &METRIC)?;
        let Some(analysis) = metric.get_mut("analysisConfigurations") else { continue };
        let path = format!("{path}.analysisConfigurations");
        sieve.keep(analysis, &path, &ANALYSIS)?;
        if let Some(canary) = analysis.get_mut("canary") {
            sieve.without_nulls(canary, &format!("{path}.canary"));
        }
    }
    Ok(())
}

/// The name of the configuration, for the report.
fn name(config: &mut Value) -> String {
    match config.as_object_mut().and_then(|object| object.remove("name")) {
        Some(Value::String(name)) => name,
        Some(Value::Number(name)) => name.to_string(),
        _ => "unnamed".to_owned(),
    }
}
