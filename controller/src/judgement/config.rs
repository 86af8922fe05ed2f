//! Kayenta's canary configuration, read strictly: what this judge does not know is an error, never a default.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Result, anyhow, bail};
use judge::kayenta::{MetricRules, Thresholds};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Options;
use crate::client;

/// The only judge whose rules are known here.
const JUDGE: &str = "NetflixACAJudge-v1.0";

/// The file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CanaryConfig {
    #[serde(default, rename = "id")]
    _id: Option<String>,
    pub name: String,
    #[serde(default, rename = "description")]
    _description: Option<String>,
    #[serde(default, rename = "configVersion")]
    _config_version: Option<String>,
    #[serde(default, rename = "createdTimestamp")]
    _created: Option<u64>,
    #[serde(default, rename = "updatedTimestamp")]
    _updated: Option<u64>,
    #[serde(default, rename = "createdTimestampIso")]
    _created_iso: Option<String>,
    #[serde(default, rename = "updatedTimestampIso")]
    _updated_iso: Option<String>,
    #[serde(default, rename = "applications")]
    _applications: Vec<String>,
    judge: Judge,
    pub metrics: Vec<Metric>,
    #[serde(default, rename = "templates")]
    _templates: BTreeMap<String, String>,
    pub classifier: Classifier,
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
    /// Where Kayenta would fetch it: of a metric store's own form, and the samples are given here.
    #[serde(default, rename = "query")]
    _query: Value,
    #[serde(default)]
    pub groups: Vec<String>,
    #[serde(default)]
    analysis_configurations: Analysis,
    #[serde(default, rename = "scopeName")]
    _scope_name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Analysis {
    #[serde(default)]
    canary: MetricRules,
}

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
        let config: Self = one_object(file, text)?;
        config.check().map_err(|error| anyhow!("{file}: {error}"))?;
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
        let own = asked.or(self.classifier.score_thresholds);
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

/// A file that holds one JSON object, read strictly.
pub fn one_object<T: DeserializeOwned>(file: &str, text: &str) -> Result<T> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let object = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let at = if path == "." { String::new() } else { format!("{path}: ") };
        anyhow!("{file}: {at}{}", error.inner())
    })?;
    reader.end().map_err(|error| anyhow!("{file}: {error}; give one JSON object"))?;
    Ok(object)
}
