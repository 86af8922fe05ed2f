//! A judge that answers as Kayenta's NetflixACAJudge does, for teams that move over with their configurations.
//!
//! Compatible on purpose also where the rules are known to be unwise; each such place is in [`CAVEATS`], and
//! Serin's own judge ([`crate::gate`]) does otherwise. Re-implemented from the published rules. Kayenta adds
//! random noise to two constant arms, so its own answer may differ from one run to the next; here it is what most of a
//! fixed set of draws say, so that verdicts can be replayed.

mod classify;
mod config;
mod intervals;
mod noise;
mod score;

pub use classify::{Classification, Label, classify, remove_outliers};
pub use config::{Direction, EffectSize, Measure, MetricRules, NanStrategy, OutlierStrategy, Outliers};
pub use intervals::{ANALYSIS, Intervals, Series, Window, judge_series};
pub use score::{GroupScore, ScoreLabel, Scored, ScoredMetric, Thresholds, score};

/// Name and version of these rules; part of every report.
pub const JUDGE: &str = "NetflixACAJudge-v1.0 compatible";

/// What compatibility keeps although it is unwise, for reports.
pub const CAVEATS: [&str; 6] = [
    "an interval-wise comparison looked at repeatedly is not corrected for the repeated looks",
    "a group without data counts as 100 in the summary score",
    "a metric that ends in Error leaves the score silently",
    "the tolerance of 0.25 is relative to the estimated shift, not to the control",
    "root finding has an absolute tolerance of 1e-4: metrics at or below that scale cannot be judged",
    "two to four separated points per arm can fail a canary",
];
