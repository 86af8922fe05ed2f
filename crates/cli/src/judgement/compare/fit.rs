//! Whether two files of predictions can be compared at all: the same things are there for the same share of rows.

use std::collections::BTreeSet;

use anyhow::Result;
use judge::classical::{Alternative, two_proportion_z};

use super::version::{Columns, Version};
use super::{classes, share};

/// Shares of two versions that are this unlikely to differ by chance are not comparable: what is missing is seldom missing
/// by chance.
const SAME_COVERAGE: f64 = 0.001;

pub const LABELS: &str = "labels";

/// Something that cannot be compared.
pub struct Unfit {
    /// Labels, predictions, scores, latency, or a metric's name.
    pub what: &'static str,
    pub why: String,
}

impl Unfit {
    /// Does it keep this metric from being judged?
    pub fn concerns(&self, metric: &str) -> bool {
        match self.what {
            LABELS | "predictions" => Version::is_of_labels(metric),
            "scores" => metric == "brier",
            what => what == metric,
        }
    }
}

/// Refuses classes that are spelled in two ways.
///
/// # Errors
/// Names both sets of classes.
pub fn spelling(columns: &Columns<'_>, versions: &[Version; 2]) -> Result<()> {
    if columns.options.numeric || !columns.predictions || !columns.labelled {
        return Ok(());
    }
    let set = |classes: &[String]| -> BTreeSet<String> {
        classes.iter().filter(|class| !class.is_empty()).cloned().collect()
    };
    let truth = versions.iter().flat_map(|version| set(&version.truth)).collect();
    let predicted = versions.each_ref().map(|version| set(&version.predicted));
    let [baseline, canary] = versions.each_ref().map(|version| version.table.file());
    classes::check([(baseline, &predicted[0]), (canary, &predicted[1])], &truth)
}

/// All that cannot be compared.
pub fn unfit(columns: &Columns<'_>, versions: &[Version; 2]) -> Result<Vec<Unfit>> {
    let mut found = Vec::new();
    let mut hold = |what: &'static str, counts: [(u64, u64); 2], remedy: &str| -> Result<()> {
        let [(k0, n0), (k1, n1)] = counts;
        // None at all, or all: no test is needed, nor possible.
        if k0 + k1 == 0 || (k0 == n0 && k1 == n1) || n0 == 0 || n1 == 0 {
            return Ok(());
        }
        if two_proportion_z(k1, n1, k0, n0, Alternative::TwoSided, true)?.p < SAME_COVERAGE {
            let (baseline, canary) = (share(k0, n0), share(k1, n1));
            found.push(Unfit {
                what,
                why: format!(
                    "{what} are there for {baseline} of the baseline's predictions and {canary} of the canary's, and {remedy}"
                ),
            });
        }
        Ok(())
    };
    hold(
        LABELS,
        versions.each_ref().map(Version::coverage),
        "no metric of labels is judged; label both alike, or leave out of both files what has no label",
    )?;
    // What failed is judged as an error, and has no answer.
    let answered = |version: &Version, has: &dyn Fn(usize) -> bool| {
        let failed = version.table.column("errors").ok().filter(|_| version.has("errors"));
        let rows = (0..version.table.row_count())
            .filter(|at| failed.as_ref().and_then(|all| all.get(*at)).is_none_or(|value| *value != 1.0));
        rows.fold((0, 0), |(k, n), at| (k + u64::from(has(at)), n + 1))
    };
    if columns.predictions {
        let of = |version: &Version| {
            answered(version, &|at| version.predicted.get(at).is_some_and(|class| !class.is_empty()))
        };
        hold(
            "predictions",
            versions.each_ref().map(of),
            "no metric of labels is judged; log both alike, or log what failed as an error",
        )?;
    }
    if columns.scores {
        let of = |version: &Version| {
            answered(version, &|at| version.scores.get(at).is_some_and(|score| !score.is_nan()))
        };
        hold(
            "scores",
            versions.each_ref().map(of),
            "the Brier score is not judged; log both alike, or log what failed as an error",
        )?;
    }
    if columns.latencies {
        let of = |version: &Version| {
            let times = version.table.column("latency").unwrap_or_default();
            answered(version, &|at| times.get(at).is_some_and(|time| !time.is_nan()))
        };
        hold(
            "latency",
            versions.each_ref().map(of),
            "it is not judged; log both alike, or log what failed as an error",
        )?;
    }
    let [baseline, canary] = versions;
    for (with, without) in [(baseline, canary), (canary, baseline)] {
        for name in with.names().iter().filter(|name| !without.has(name)) {
            if !found.iter().any(|one| one.concerns(name)) {
                found.push(Unfit {
                    what: name,
                    why: format!(
                        "{} gives no value of {name} in any of its {} rows, and {} does; it cannot be judged",
                        without.table.file(),
                        without.table.row_count(),
                        with.table.file()
                    ),
                });
            }
        }
    }
    Ok(found)
}
