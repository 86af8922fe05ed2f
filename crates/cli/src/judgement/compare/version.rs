//! One version's predictions, with what became of them: a column for each metric.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, anyhow, bail};

use super::labels::Labels;
use super::{CompareOptions, classes};
use crate::judgement::Table;

/// What the files' columns mean.
pub struct Columns<'a> {
    pub options: &'a CompareOptions,
    /// From a file of their own; `None`: from the files of predictions, if at all.
    pub labels: Option<&'a Labels>,
    /// The class that precision, recall and AUC are about.
    pub positive: Option<String>,
    /// Both files have it.
    pub predictions: bool,
    pub scores: bool,
    pub latencies: bool,
    pub errors: bool,
    pub labelled: bool,
    /// Some classes are 0 and 1, others false and true: all are read as 0 and 1.
    as_digits: bool,
}

/// One version.
pub struct Version {
    /// Its rows, with a column for each metric.
    pub table: Table,
    /// The ids of its rows; empty where the file has none.
    pub ids: BTreeSet<String>,
    /// What it predicted, and what was true, row by row; empty where it is not known.
    pub predicted: Vec<String>,
    pub truth: Vec<String>,
    /// Probabilities; NaN where there is none.
    pub scores: Vec<f64>,
    /// The probability and whether it came true, of rows that have both.
    pub calibrated: (Vec<f64>, Vec<bool>),
    names: Vec<&'static str>,
}

/// Metrics of labels.
const OF_LABELS: [&str; 5] = ["accuracy", "precision", "recall", "brier", "absolute_error"];

impl<'a> Columns<'a> {
    pub fn new(options: &'a CompareOptions, labels: Option<&'a Labels>, tables: [&Table; 2]) -> Result<Self> {
        let both = |name: &str| -> Result<bool> {
            let [baseline, canary] = tables;
            if baseline.has(name) == canary.has(name) {
                return Ok(canary.has(name));
            }
            let (with, without) = if baseline.has(name) { (baseline, canary) } else { (canary, baseline) };
            bail!(
                "{} has a column {name:?} and {} has none; give it in both files, or in neither",
                with.file(),
                without.file()
            )
        };
        let inline = labels.is_none() && both(&options.label)?;
        let mut seen: BTreeSet<String> =
            labels.iter().flat_map(|all| all.values()).map(str::to_owned).collect();
        if inline {
            for table in tables {
                seen.extend(table.labels(&options.label)?);
            }
        }
        seen.remove("");
        let predictions = both(&options.prediction)?;
        let mut all = seen.clone();
        if predictions && !options.numeric {
            for table in tables {
                all.extend(table.labels(&options.prediction)?);
            }
            all.remove("");
        }
        let as_digits = !options.numeric && !seen.is_empty() && classes::are_digits_and_words(&all);
        let read = |class: String| if as_digits { classes::digit(class) } else { class };
        let seen: BTreeSet<String> = seen.into_iter().map(read).collect();
        let positive = options.positive.clone().map(read);
        let is = |classes: [&str; 2]| seen.iter().all(|class| classes.contains(&class.as_str()));
        let usual = match () {
            () if options.numeric || seen.is_empty() => None,
            () if is(["0", "1"]) => Some("1".to_owned()),
            () if is(["false", "true"]) => Some("true".to_owned()),
            () => None,
        };
        if let Some(positive) = &positive
            && !seen.is_empty()
            && !seen.contains(positive)
        {
            bail!("--positive {positive:?} is no label; labels are {}", classes::some(&seen));
        }
        Ok(Self {
            options,
            labels,
            positive: positive.or(usual),
            predictions,
            scores: both(&options.score)?,
            latencies: both(&options.latency)?,
            errors: both(&options.error)?,
            labelled: labels.is_some() || inline,
            as_digits,
        })
    }
}

impl Columns<'_> {
    /// Classes as they are compared.
    fn read(&self, classes: Vec<String>) -> Vec<String> {
        if self.as_digits { classes.into_iter().map(classes::digit).collect() } else { classes }
    }
}

impl Version {
    pub fn new(table: &Table, columns: &Columns<'_>) -> Result<Self> {
        let options = columns.options;
        let n = table.row_count();
        let lines: Vec<u64> = table.lines().collect();
        let ids = if columns.labels.is_some() || table.has(&options.id) {
            ids(table, &options.id)?
        } else {
            Vec::new()
        };
        let nothing = || vec![String::new(); n];
        let scores = match columns.scores {
            true => probabilities(table, &options.score, &lines)?,
            false => vec![f64::NAN; n],
        };
        let predicted = match (columns.predictions, &columns.positive) {
            (true, _) => columns.read(table.labels(&options.prediction)?),
            (false, Some(positive)) => {
                scores.iter().map(|p| by_score(*p, positive, options.threshold)).collect()
            }
            (false, None) => nothing(),
        };
        let truth = match columns.labels {
            Some(labels) => {
                columns.read(ids.iter().map(|id| labels.get(id).unwrap_or_default().to_owned()).collect())
            }
            None if columns.labelled => columns.read(table.labels(&options.label)?),
            None => nothing(),
        };
        let mut version = Self {
            table: table.with(&[]),
            ids: ids.into_iter().collect(),
            predicted,
            truth,
            scores,
            calibrated: (Vec::new(), Vec::new()),
            names: Vec::new(),
        };
        let mut new: Vec<(&'static str, Vec<f64>)> = Vec::new();
        if columns.labelled {
            new.extend(version.of_labels(columns, &lines)?);
        }
        if columns.latencies {
            new.push(("latency", table.times(&options.latency)?));
        }
        if columns.errors {
            new.push(("errors", failures(table, &options.error)?));
        }
        // A metric that has no value in any row is none; where the other version has it, [`super::fit`] says so.
        new.retain(|(_, values)| values.iter().any(|value| !value.is_nan()));
        version.names = new.iter().map(|(name, _)| *name).collect();
        version.table = table.with(&new);
        Ok(version)
    }

    fn of_labels(&mut self, columns: &Columns<'_>, lines: &[u64]) -> Result<Vec<(&'static str, Vec<f64>)>> {
        let rows = || self.predicted.iter().zip(&self.truth);
        let known = |(predicted, truth): &(&String, &String)| !predicted.is_empty() && !truth.is_empty();
        if columns.options.numeric {
            let number = |text: &str, line: u64, what: &str| {
                text.parse::<f64>().ok().filter(|value| value.abs() <= 1e100).ok_or_else(|| {
                    anyhow!(
                        "{}:{line}: the {what} {text:?} is no number; leave --numeric out where they are classes",
                        self.table.file()
                    )
                })
            };
            let off = rows().zip(lines).map(|(row, &line)| match known(&row) {
                true => Ok((number(row.0, line, "prediction")? - number(row.1, line, "label")?).abs()),
                false => Ok(f64::NAN),
            });
            return Ok(vec![("absolute_error", off.collect::<Result<_>>()?)]);
        }
        let flag = |yes: bool| f64::from(u8::from(yes));
        let right = |row: (&String, &String)| if known(&row) { flag(row.0 == row.1) } else { f64::NAN };
        let mut new = vec![("accuracy", rows().map(right).collect::<Vec<f64>>())];
        if let Some(positive) = &columns.positive {
            let of = |wanted: fn(&(&String, &String)) -> String| -> Vec<f64> {
                rows()
                    .map(|row| {
                        if known(&row) && wanted(&row) == *positive { flag(row.0 == row.1) } else { f64::NAN }
                    })
                    .collect()
            };
            new.push(("precision", of(|row| row.0.clone())));
            new.push(("recall", of(|row| row.1.clone())));
        }
        // Of the positive class; of many classes, of the one that was predicted.
        let came_true = rows().map(|(predicted, truth)| match &columns.positive {
            _ if truth.is_empty() => None,
            Some(positive) => Some(truth == positive),
            None if predicted.is_empty() => None,
            None => Some(truth == predicted),
        });
        let both: Vec<Option<(f64, bool)>> = self
            .scores
            .iter()
            .zip(came_true)
            .map(|(score, came_true)| Some((*score, came_true?)).filter(|(score, _)| !score.is_nan()))
            .collect();
        if both.iter().any(Option::is_some) {
            let squared = |(p, yes): (f64, bool)| (p - flag(yes)).powi(2);
            new.push(("brier", both.iter().map(|one| one.map_or(f64::NAN, squared)).collect()));
            self.calibrated = both.into_iter().flatten().unzip();
        }
        Ok(new)
    }

    /// Has it this metric?
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(&name)
    }

    /// The metrics it has.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    pub fn is_of_labels(name: &str) -> bool {
        OF_LABELS.contains(&name)
    }

    /// Rows with a label, and rows.
    pub fn coverage(&self) -> (u64, u64) {
        let labelled = self.truth.iter().filter(|truth| !truth.is_empty()).count();
        (labelled as u64, self.truth.len() as u64)
    }

    /// A metric's values, where it has any.
    pub fn values(&self, name: &str) -> Vec<f64> {
        let values = self.table.column(name).unwrap_or_default();
        values.into_iter().filter(|value| !value.is_nan()).collect()
    }

    /// How often it predicted each class.
    pub fn classes(&self) -> BTreeMap<&str, u64> {
        let mut counts = BTreeMap::new();
        for class in self.predicted.iter().filter(|class| !class.is_empty()) {
            *counts.entry(class.as_str()).or_default() += 1;
        }
        counts
    }
}

/// Each id once: two predictions of one id cannot both be what a label is about.
fn ids(table: &Table, name: &str) -> Result<Vec<String>> {
    let ids = table.labels(name)?;
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    for (id, line) in ids.iter().zip(table.lines()) {
        if id.is_empty() {
            bail!("{}:{line}: column {name:?} is empty; every prediction needs an id", table.file());
        }
        if let Some(before) = seen.insert(id, line) {
            bail!(
                "{}:{line}: {name} {id:?} is there in line {before} as well; give each prediction once",
                table.file()
            );
        }
    }
    Ok(ids)
}

fn probabilities(table: &Table, name: &str, lines: &[u64]) -> Result<Vec<f64>> {
    let scores = table.column(name)?;
    let wrong = scores.iter().zip(lines).find(|(p, _)| !p.is_nan() && !(0.0..=1.0).contains(*p));
    if let Some((p, line)) = wrong {
        bail!(
            "{}:{line}: column {name:?} holds {p}, and a probability lies between 0 and 1; name another column with --score",
            table.file()
        );
    }
    Ok(scores)
}

/// The class that a score stands for: the positive one, or another.
fn by_score(p: f64, positive: &str, threshold: f64) -> String {
    match p {
        p if p.is_nan() => String::new(),
        p if p >= threshold => positive.to_owned(),
        _ => match positive {
            "1" => "0".to_owned(),
            "true" => "false".to_owned(),
            other => format!("not {other}"),
        },
    }
}

/// 0 or 1 for each row: a number says so itself, and a text is an error's.
fn failures(table: &Table, name: &str) -> Result<Vec<f64>> {
    if table.is_text(name)? {
        let failed = |text: String| f64::from(u8::from(!matches!(text.as_str(), "" | "false" | "0")));
        return Ok(table.labels(name)?.into_iter().map(failed).collect());
    }
    let values = table.column_or_nothing(name)?;
    Ok(values.into_iter().map(|value| if value.is_nan() { 0.0 } else { value }).collect())
}
