//! The figures of both versions, side by side, and how far their predictions moved.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use judge::classical::{
    Alternative, KsMethod, expected_calibration_error, js_divergence, ks_2samp, moments, psi, psi_null,
    quantile, roc_auc,
};

use super::version::{Columns, Version};
use super::{CompareOptions, share};
use crate::judgement::short;
use crate::table::{Side, columns as aligned};

/// Bins of the expected calibration error, as is usual.
const BINS: usize = 10;

/// Shares below this count as this in the population stability index.
const EPS: f64 = 1e-4;

/// Figures of one version by name, in the order they are shown.
type Figures = Vec<(&'static str, f64)>;

pub fn text(columns: &Columns<'_>, versions: &[Version; 2]) -> Result<String> {
    let [baseline, canary] = versions.each_ref().map(|version| of(columns, version));
    let (baseline, canary) = (baseline?, canary?);
    let head = [["", "baseline", "canary"].map(str::to_owned)];
    let rows = [["predictions", "", ""].map(str::to_owned)].map(|[name, ..]| {
        [name, versions[0].table.row_count().to_string(), versions[1].table.row_count().to_string()]
    });
    let labelled = columns.labelled.then(|| {
        let of = |version: &Version| {
            let (k, n) = version.coverage();
            share(k, n)
        };
        ["with a label".to_owned(), of(&versions[0]), of(&versions[1])]
    });
    let figures = baseline.iter().map(|(name, value)| {
        let other = canary.iter().find(|(known, _)| known == name).map(|(_, value)| short(*value));
        [name.replace('_', " "), short(*value), other.unwrap_or_default()]
    });
    let mut text = aligned(
        [Side::Left, Side::Right, Side::Right],
        head.into_iter().chain(rows).chain(labelled).chain(figures),
    );
    for (what, figures) in drift(columns, versions)? {
        let figures: Vec<String> = figures
            .iter()
            .map(|(name, value)| format!("{} {}", name.replace('_', " "), short(*value)))
            .collect();
        text.push_str(&format!("drift of the {what}: {}\n", figures.join(", ")));
    }
    Ok(text)
}

/// The figures of both, for machines.
pub fn figures(
    columns: &Columns<'_>,
    versions: &[Version; 2],
) -> Result<BTreeMap<&'static str, BTreeMap<&'static str, f64>>> {
    let mut all = BTreeMap::new();
    for (name, version) in ["baseline", "canary"].into_iter().zip(versions) {
        let (labelled, rows) = version.coverage();
        let mut of: BTreeMap<&'static str, f64> = of(columns, version)?.into_iter().collect();
        #[allow(clippy::cast_precision_loss)] // rows
        of.extend([("predictions", rows as f64), ("labelled", labelled as f64)]);
        all.insert(name, of);
    }
    Ok(all)
}

fn of(columns: &Columns<'_>, version: &Version) -> Result<Figures> {
    let mut figures = Figures::new();
    let mean = |name: &str| moments(&version.values(name)).ok().map(|moments| moments.mean);
    let mut add = |name: &'static str, value: Option<f64>| figures.extend(value.map(|value| (name, value)));
    let (precision, recall) = (mean("precision"), mean("recall"));
    add("accuracy", mean("accuracy"));
    add("precision", precision);
    add("recall", recall);
    add("f1", precision.zip(recall).filter(|(p, r)| p + r > 0.0).map(|(p, r)| 2.0 * p * r / (p + r)));
    let (scores, came_true) = &version.calibrated;
    if !scores.is_empty() {
        add("auc", roc_auc(scores, came_true).ok().filter(|_| columns.positive.is_some()));
        add("ece", Some(expected_calibration_error(scores, came_true, BINS)?));
        add("brier", mean("brier"));
    }
    add("absolute_error", mean("absolute_error"));
    let times = version.values("latency");
    add("latency_p50", quantile(&times, 0.5).ok());
    add("latency_p99", quantile(&times, 0.99).ok());
    add("errors", mean("errors"));
    Ok(figures)
}

/// How far the canary's scores and predictions are from the baseline's.
pub fn drift(
    columns: &Columns<'_>,
    versions: &[Version; 2],
) -> Result<BTreeMap<&'static str, Vec<(&'static str, f64)>>> {
    let mut all = BTreeMap::new();
    let [stable, canary] = versions
        .each_ref()
        .map(|version| version.scores.iter().copied().filter(|score| !score.is_nan()).collect::<Vec<f64>>());
    if columns.scores && !stable.is_empty() && !canary.is_empty() {
        let ks = ks_2samp(&canary, &stable, Alternative::TwoSided, KsMethod::Asymptotic)?;
        let edges: Vec<f64> =
            (1..10).map(|tenth| quantile(&stable, f64::from(tenth) / 10.0)).collect::<Result<_, _>>()?;
        let binned = |scores: &[f64]| {
            let mut bins = vec![0.0; edges.len() + 1];
            for score in scores {
                let at = edges.iter().take_while(|edge| score > edge).count();
                bins.iter_mut().skip(at).take(1).for_each(|n| *n += 1.0);
            }
            bins
        };
        let mut figures = vec![("ks", ks.d), ("p", ks.p)];
        figures.extend(distances(&binned(&stable), &binned(&canary))?);
        all.insert("scores", figures);
    }
    let [stable, canary] = versions.each_ref().map(Version::classes);
    if columns.predictions && !columns.options.numeric && !stable.is_empty() && !canary.is_empty() {
        let classes: BTreeSet<&str> = stable.keys().chain(canary.keys()).copied().collect();
        #[allow(clippy::cast_precision_loss)] // rows
        let counts = |of: &BTreeMap<&str, u64>| -> Vec<f64> {
            classes.iter().map(|class| of.get(class).copied().unwrap_or(0) as f64).collect()
        };
        all.insert("predictions", distances(&counts(&stable), &counts(&canary))?);
    }
    Ok(all)
}

fn distances(stable: &[f64], canary: &[f64]) -> Result<Vec<(&'static str, f64)>> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // rows
    let n = |counts: &[f64]| counts.iter().sum::<f64>() as u64;
    Ok(vec![
        ("psi", psi(stable, canary, EPS)?),
        ("psi_by_chance", psi_null(n(stable), n(canary), stable.len())?),
        ("js_bits", js_divergence(stable, canary, 2.0)?.divergence),
    ])
}

/// What the figures do not say by themselves.
pub fn notes(options: &CompareOptions, columns: &Columns<'_>, versions: &[Version; 2]) -> Vec<String> {
    let mut notes = Vec::new();
    if !columns.labelled {
        notes.push(
            "there are no labels: accuracy, precision, recall and calibration are not compared (--labels)"
                .to_owned(),
        );
    }
    if let Some(labels) = columns.labels {
        let unknown =
            labels.ids().filter(|id| !versions.iter().any(|version| version.ids.contains(*id))).count();
        if unknown > 0 {
            notes
                .push(format!("{unknown} of {} labels belong to no prediction of either file", labels.len()));
        }
    }
    if columns.labelled && !options.numeric && columns.positive.is_none() {
        notes.push("precision, recall and AUC are of one class: name it with --positive".to_owned());
    }
    if columns.labelled && !columns.predictions && columns.positive.is_none() {
        notes.push(format!(
            "no column {:?}: name that of the predictions with --prediction",
            options.prediction
        ));
    }
    if versions.iter().all(|version| !version.calibrated.0.is_empty()) {
        notes.push(
            "AUC, calibration error (ECE) and drift are shown; accuracy and the Brier score decide"
                .to_owned(),
        );
    }
    let shared = versions[0].ids.intersection(&versions[1].ids).count();
    if shared > 0 {
        notes.push(format!(
            "{shared} inputs are in both files and taken as independent all the same: such a proof needs more rows, and is no weaker"
        ));
    }
    notes
}
