//! `serin judge`: two files of samples, one verdict.

mod alert;
mod analysis;
mod asked;
mod compare;
mod compat;
mod config;
mod foreign;
mod own;
mod pair;
mod rule;
mod segment;
mod series;
mod show;
mod table;
mod whole;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use judge::Verdict;
use judge::gate::FixedRules;
use serde::Serialize;

use crate::args::Output;
use analysis::{Analysis, AnalysisOptions};
pub use compare::{CompareOptions, compare};
use config::CanaryConfig;
use rule::{Kind, Rule, Side, TestName};
use segment::SegmentPolicy;
use table::{Table, Zone};

/// Options of `serin judge`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Options {
    /// File of stable's samples: CSV with a header, or one JSON object per line; a column per metric
    #[arg(long, visible_alias = "stable")]
    pub control: PathBuf,
    /// File of the canary's samples, in the same format
    #[arg(long)]
    pub canary: PathBuf,
    /// Judge as Kayenta does, with this canary configuration (JSON)
    #[arg(long, conflicts_with_all = ["metric", "direction", "margin", "kind", "test", "alpha", "fail", "min_samples", "seed", "trigger", "rules", "segment", "min_segment_n", "segments_must", "share", "unit", "pair_by"])]
    pub config: Option<PathBuf>,
    /// Column to judge, with options of its own: ctr,direction=higher_is_better,margin=5%,weight=3,critical
    #[arg(long)]
    pub metric: Vec<String>,
    /// Limit with a severity on a column: prediction_distribution_shift=score, error_rate=errors, latency_p99=ms,
    /// embedding_drift=vector, prediction_change=label; with limits of its own: error_rate=errors,max=5%,ratio=3x
    #[arg(long)]
    pub trigger: Vec<String>,
    /// YAML file with lists of further metrics, triggers and segments
    #[arg(long)]
    pub rules: Option<PathBuf>,
    /// Whether higher or lower values are better
    #[arg(long)]
    pub direction: Option<Side>,
    /// How much worse is acceptable: a percentage of stable's mean (5%), a factor (1.2x), or a number in its unit (0.01)
    #[arg(long)]
    pub margin: Option<String>,
    /// Kind of the values. Default: columns of 0 and 1 are rates, all others are compared by rank
    #[arg(long)]
    pub kind: Option<Kind>,
    /// Statistical test. Default: that of the kind
    #[arg(long)]
    pub test: Option<TestName>,
    /// One-sided probability of a false proof
    #[arg(long)]
    pub alpha: Option<f64>,
    /// A file with fewer values than this is insufficient
    #[arg(long, default_value_t = 10)]
    pub min_samples: u64,
    /// Also judge each value of these columns separately; a+b combines two columns
    #[arg(long, value_delimiter = ',')]
    pub segment: Vec<String>,
    /// A segment with fewer values than this in either file is insufficient
    #[arg(long, default_value_t = 100)]
    pub min_segment_n: u64,
    /// Whether undecided segments prevent a pass
    #[arg(long, default_value = "pass")]
    pub segments_must: SegmentPolicy,
    /// The canary's configured share of the traffic (5%), if the files contain all of it: checks the observed share
    #[arg(long, value_parser = crate::planning::share)]
    pub share: Option<f64>,
    /// Column of the independent unit, such as the user: all its rows become one observation, their mean
    #[arg(long)]
    pub unit: Option<String>,
    /// Column that identifies an input, if both files contain the same inputs
    #[arg(long)]
    pub pair_by: Option<String>,
    /// Seed of the bootstrap; the same seed gives the same interval
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Column with the time of each row; both files must then cover the same time
    #[arg(long)]
    pub timestamp: Option<String>,
    /// Lowest score that passes [default: 95, or the configuration's]
    #[arg(long)]
    pub pass: Option<f64>,
    /// Highest score that fails [default: 60]
    #[arg(long)]
    pub fail: Option<f64>,
    /// With --config, lowest score that is marginal [default: the configuration's]
    #[arg(long, requires = "config")]
    pub marginal: Option<f64>,
    /// Output format
    #[arg(short, long, default_value = "text")]
    pub output: Output,
    #[command(flatten)]
    pub series: AnalysisOptions,
}

const EXIT_CODES: &str = "Exit codes: 0 pass, 1 fail or a critical trigger, 2 marginal, a warning or not enough data, 3 could not be judged.";

/// A whole judgement, for people and for machines.
#[derive(Debug)]
struct Judgement {
    verdict: Verdict,
    /// Ready to be printed.
    text: String,
    json: serde_json::Value,
}

pub fn judge(options: &Options) -> Result<ExitCode> {
    let judgement = judgement(options)?;
    match options.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&judgement.json)?),
        Output::Text => print!("{}", judgement.text),
    }
    Ok(ExitCode::from(exit_code(judgement.verdict)))
}

const fn exit_code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Pass => 0,
        Verdict::Fail => 1,
        Verdict::Marginal | Verdict::Insufficient => 2,
        Verdict::Error => 3,
    }
}

fn judgement(options: &Options) -> Result<Judgement> {
    let (control, canary) = (Table::read(&options.control)?, Table::read(&options.canary)?);
    let mut notes = Vec::new();
    let asked = options.series.asked()?;
    let moments = options.timestamp.as_ref().map(|column| moments(&control, &canary, column)).transpose()?;
    if let Some(moments) = &moments {
        notes.extend(moments.note.clone());
        if !asked.as_ref().is_some_and(Analysis::of_another_time) {
            notes.extend(same_time(&control, &canary, moments)?);
        }
    }
    let Some(file) = &options.config else { return whole::judgement(options, &control, &canary, notes) };
    let config = CanaryConfig::read(file)?;
    notes.extend(config.notes.iter().cloned());
    notes.extend(asked.iter().flat_map(|analysis| analysis.notes.iter().cloned()));
    let thresholds = config.thresholds(options, asked.as_ref().and_then(|analysis| analysis.thresholds))?;
    match (asked, moments) {
        (Some(analysis), Some(Times { seconds: [stable, values], .. })) => {
            let arms = [(&control, stable), (&canary, values)];
            series::judgement(&config, thresholds, &analysis, &arms, notes)
        }
        _ => compat::judgement(&config, thresholds, &control, &canary, notes),
    }
}

/// When each row was measured, in seconds since 1970: the control's, the canary's.
struct Times<'a> {
    column: &'a str,
    seconds: [Vec<f64>; 2],
    /// What had to be assumed.
    note: Option<String>,
}

fn moments<'a>(control: &Table, canary: &Table, column: &'a str) -> Result<Times<'a>> {
    let (stable, values) = (control.moments(column)?, canary.moments(column)?);
    if stable.zone != values.zone {
        let without = if stable.zone == Zone::Unsaid { control } else { canary };
        bail!(
            "{}: column {column:?} names no zone, and the other file's does; write one for each time, such as Z or +01:00",
            without.file()
        );
    }
    let note = (stable.zone == Zone::Unsaid)
        .then(|| format!("the times of column {column:?} name no zone and are read as UTC"));
    Ok(Times { column, seconds: [stable.seconds, values.seconds], note })
}

/// Both arms must have been measured together: another hour is another population.
fn same_time(control: &Table, canary: &Table, times: &Times<'_>) -> Result<Option<String>> {
    let ([a, b], column) = (&times.seconds, times.column);
    let (Some((a0, a1)), Some((b0, b1))) = (ends(a), ends(b)) else { return Ok(None) };
    let shared = a1.min(b1) - a0.max(b0);
    if shared < 0.0 {
        bail!(
            "{} and {} share no time by column {column:?}; judge samples taken at the same time, since another hour has \
             other users",
            control.file(),
            canary.file()
        );
    }
    let all = a1.max(b1) - a0.min(b0);
    Ok((all > 0.0 && shared < 0.9 * all).then(|| {
        format!(
            "the arms share only {} of the time they cover; cut both to the shared part",
            notation::percent(shared / all, 0)
        )
    }))
}

fn ends(moments: &[f64]) -> Option<(f64, f64)> {
    Some((*moments.first()?, *moments.last()?))
}

/// A number to four digits that tell something.
fn short(value: f64) -> String {
    notation::digits(value, 4)
}
