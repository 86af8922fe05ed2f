//! Parts of the traffic, each judged by itself, and whether both arms hold the same mix of them.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use judge::balance::{Balance, balance, share_mismatch};
use serde::Serialize;

use super::{Table, Verdict};

/// More segments than this in one dimension are not segments but names of rows.
const MOST: usize = 200;
/// Chance of a false alarm over the mix of the arms, or over their shares: it stops the judging, so it must be rare.
const ALPHA: f64 = 0.001;

/// Whether undecided segments prevent a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum SegmentPolicy {
    /// Every segment must pass
    #[default]
    Pass,
    /// No segment may be proven worse; undecided segments are listed and ignored
    NotFail,
}

/// One way to cut the traffic.
#[derive(Debug)]
pub struct Dimension {
    /// The column, or columns joined by +.
    pub name: String,
    pub segments: Vec<Segment>,
    pub mix: Mix,
}

/// One part of the traffic.
#[derive(Debug)]
pub struct Segment {
    /// `country=IN`.
    pub name: String,
    /// Which rows are in it.
    in_canary: Vec<bool>,
    in_control: Vec<bool>,
    /// Rows: canary, stable.
    pub rows: [u64; 2],
}

/// Do both arms hold the same mix?
#[derive(Debug, Serialize)]
pub struct Mix {
    pub dimension: String,
    #[serde(flatten)]
    pub balance: Balance,
    /// Segments whose share differs between the arms, or from the configured one, beyond chance.
    pub off: Vec<String>,
    /// Is it the same, as far as can be told?
    pub even: bool,
}

/// A segment's answer over all its metrics.
#[derive(Debug, Serialize)]
pub struct Answer {
    pub segment: String,
    pub verdict: Verdict,
    /// Rows: canary, stable.
    pub n_canary: u64,
    pub n_control: u64,
}

impl Dimension {
    /// Cuts both arms by `column`, or by several columns joined by +; `share` is the canary's configured one.
    pub fn new(name: &str, control: &Table, canary: &Table, share: Option<f64>) -> Result<Self> {
        let whole = control.has(name);
        let columns: Vec<&str> = if whole { vec![name] } else { name.split('+').map(str::trim).collect() };
        let (stable, values) = (labels(&columns, control)?, labels(&columns, canary)?);
        let mut counts = BTreeMap::<&str, [u64; 2]>::new();
        for (arm, labels) in [&values, &stable].into_iter().enumerate() {
            for label in labels {
                if let Some(count) = counts.entry(label).or_default().get_mut(arm) {
                    *count += 1;
                }
            }
        }
        if counts.len() > MOST {
            bail!(
                "--segment {name}: {} values; at most {MOST} make segments. Choose a coarser column",
                counts.len()
            );
        }
        let segments: Vec<Segment> = counts
            .iter()
            .map(|(label, rows)| Segment {
                name: (*label).to_owned(),
                in_canary: values.iter().map(|value| value == label).collect(),
                in_control: stable.iter().map(|value| value == label).collect(),
                rows: *rows,
            })
            .collect();
        let mix = mix(name, &segments, share)?;
        Ok(Self { name: name.to_owned(), segments, mix })
    }
}

/// Each row's segment, such as `country=IN` or `country=IN+tier=2`.
fn labels(columns: &[&str], table: &Table) -> Result<Vec<String>> {
    let mut labels: Vec<String> = Vec::new();
    for (at, column) in columns.iter().enumerate() {
        let of_column = table
            .labels(column)?
            .into_iter()
            .map(|label| format!("{column}={}", if label.is_empty() { "(none)" } else { label.as_str() }));
        labels = match at {
            0 => of_column.collect(),
            _ => labels.into_iter().zip(of_column).map(|(all, one)| format!("{all}+{one}")).collect(),
        };
    }
    Ok(labels)
}

fn mix(dimension: &str, segments: &[Segment], share: Option<f64>) -> Result<Mix> {
    let counts: Vec<[u64; 2]> = segments.iter().map(|segment| segment.rows).collect();
    let balance = balance(&counts)?;
    let off = |p: &[Option<f64>]| -> Vec<String> {
        let odd = segments.iter().zip(p).filter(|(_, p)| p.is_some_and(|p| p < ALPHA));
        odd.map(|(segment, _)| segment.name.clone()).collect()
    };
    let mut named = off(&balance.p_segments);
    if let Some(share) = share {
        named.extend(off(&share_mismatch(&counts, share)?));
        named.sort();
        named.dedup();
    }
    let even = balance.p >= ALPHA && named.is_empty();
    Ok(Mix { dimension: dimension.to_owned(), balance, off: named, even })
}

impl Mix {
    pub fn why(&self) -> String {
        let p = self.balance.p;
        match (self.even, self.off.as_slice()) {
            (true, _) if self.balance.df == 0 => "too few rows to compare the arms' mix".to_owned(),
            (true, _) => format!("both arms hold the same mix (chi-square p {p:.2} >= {ALPHA})"),
            (false, []) => format!("the arms hold different mixes (chi-square p {p:.1e} < {ALPHA})"),
            (false, off) => format!(
                "the arms hold different mixes (chi-square p {p:.1e}): {} out of line beyond chance ({ALPHA})",
                off.join(", ")
            ),
        }
    }
}

impl Segment {
    /// Its values of a column of each arm: canary, stable.
    pub fn values(&self, canary: &[f64], stable: &[f64]) -> [Vec<f64>; 2] {
        let pick = |values: &[f64], inside: &[bool]| {
            values.iter().zip(inside).filter_map(|(value, inside)| inside.then_some(*value)).collect()
        };
        [pick(canary, &self.in_canary), pick(stable, &self.in_control)]
    }
}

/// Does the canary have the configured share of all rows?
pub fn check_share(control: &Table, canary: &Table, share: f64) -> Result<Option<String>> {
    let (n1, n0) = (canary.row_count() as u64, control.row_count() as u64);
    let p = share_mismatch(&[[n1, n0]], share)?.into_iter().flatten().next();
    #[allow(clippy::cast_precision_loss)] // rows
    let measured = notation::percent(n1 as f64 / (n1 + n0) as f64, 2);
    Ok(p.filter(|p| *p < ALPHA).map(|p| {
        format!(
            "the canary holds {measured} of the rows and {} were sent there (p {p:.1e} < {ALPHA}): requests were \
             lost, retried or cached on one side, and what is left is a selection",
            notation::percent(share, 2)
        )
    }))
}
