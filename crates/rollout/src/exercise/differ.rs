//! By how much do two parts differ that are served by the same version? That is what `harm` must leave room for.
//!
//! Right whenever the check ends, since it ends when its evidence looks good enough: confidence sequences of a normal
//! mixture (Robbins, 1970) on the logarithm of a ratio of rates, on a difference of rates or means, and on the logarithm
//! of the share of requests beyond a quantile of answer times, whose ends are the quantile's. The parts have constant
//! shares, so their sums may be compared although rates move. Asymptotic: nothing is said of fewer than [`LEAST`] events.

use judge::anytime::normal_mixture_radius;
use manifest::{Against, Gate, Margin, Metric, MetricKind};
use serde::{Deserialize, Serialize};

use crate::open_enum::number;
use crate::{Bins, Counts, Moments};
use evidence::trials;

/// The chance that a gate's difference lies beyond its bound.
const ALPHA: f64 = 0.05;

/// Events of each part, or requests beyond a percentile, of which anything is said.
const LEAST: f64 = 20.0;

/// Spreads of the differences that are looked for: of logarithms of rates and of shares beyond a quantile, and of
/// means in their own standard deviations.
const TAU_RATE: f64 = 0.1;
const TAU_BEYOND: f64 = 0.3;
const TAU_MEAN: f64 = 0.05;

/// Shares of requests beyond the percentiles at which answer times are compared, the gate's own last.
const BEYOND: [f64; 4] = [0.5, 0.1, 0.05, 0.01];

/// By how much two parts differ, whichever is worse: a factor of rates and answer times, the part of a mean, or points.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Difference {
    /// As it was seen.
    #[serde(deserialize_with = "number")]
    pub observed: f64,
    /// At least this ...
    #[serde(deserialize_with = "number")]
    pub least: f64,
    /// ... and at most this, with a chance of error of 5 %.
    #[serde(deserialize_with = "number")]
    pub most: f64,
    /// Where the gate's harm begins.
    #[serde(deserialize_with = "number")]
    pub harm: f64,
    /// What to write so that the gate bears it; `None`: it does.
    pub line: Option<String>,
    /// One English sentence.
    pub why: String,
}

/// An interval of a difference either way, from nothing (0) upwards.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Span {
    observed: f64,
    least: f64,
    most: f64,
}

impl Span {
    fn around(difference: f64, radius: f64) -> Option<Self> {
        let observed = difference.abs();
        let span = Self { observed, least: (observed - radius).max(0.0), most: observed + radius };
        span.most.is_finite().then_some(span)
    }

    fn map(self, to: impl Fn(f64) -> f64) -> Self {
        Self { observed: to(self.observed), least: to(self.least), most: to(self.most) }
    }
}

/// How a difference is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Factor,
    Part,
    Points,
}

impl Unit {
    fn of(metric: Metric, against: &Against) -> Self {
        if against.margin_points > 0.0 {
            Self::Points
        } else if metric.larger_is_worse() {
            Self::Factor
        } else {
            Self::Part
        }
    }

    /// To a hundredth of the unit; upwards where room must be left for it.
    fn written(self, value: f64, up: bool) -> Margin {
        let hundredth = |value: f64| {
            // What is exact but for its last digits is not raised.
            let hundredths = value * 100.0;
            (if up { (hundredths - 1e-6).ceil() } else { hundredths.round() }) / 100.0
        };
        match self {
            Self::Factor => Margin::Factor(hundredth(value)),
            Self::Part => Margin::Part(hundredth(value * 100.0) / 100.0),
            Self::Points => Margin::Points(hundredth(value * 100.0) / 100.0),
        }
    }
}

/// By how much two parts differ in what the gate measures; `None`: too little was seen. `deff`: how much requests of one
/// user go together.
pub(super) fn difference(gate: &Gate, first: &Counts, second: &Counts, deff: f64) -> Option<Difference> {
    let (metric, against) = (gate.metric(), gate.against?);
    let unit = Unit::of(metric, &against);
    let deff = deff.max(1.0);
    let span = match metric.kind() {
        MetricKind::Rate => rates(metric, first, second, deff, unit)?,
        MetricKind::Time if metric == Metric::LatencyP99 => times(&first.latency, &second.latency, deff)?,
        MetricKind::Score => means(first.confidence, second.confidence, deff, unit)?,
        // Of tokens it is only told whether they differ.
        MetricKind::Time | MetricKind::Figure => return None,
    };
    let harm = if unit == Unit::Points { against.harm_points } else { against.harm };
    let margin = if unit == Unit::Points { against.margin_points } else { against.margin };
    let words = |value: f64| unit.written(value, true).to_string();
    let (observed, enough) = (unit.written(span.observed, false), words(span.most));
    let seen = format!("the parts differ by {observed}, by at most {enough} (95%)");
    let also = if span.most > margin { ", and a margin beyond it" } else { "" };
    let (line, why) = if span.most <= harm {
        (None, format!("{seen}; harm from {} on leaves room for that", words(harm)))
    } else if span.observed > harm {
        (
            Some(format!("harm: {enough}")),
            format!("{seen}, and harm begins at {}: write `harm: {enough}`{also}", words(harm)),
        )
    } else {
        let short = format!(
            "{seen}; whether harm from {} on leaves room for that, more requests would tell; to be safe write \
             `harm: {enough}`{also}",
            words(harm)
        );
        (Some(format!("harm: {enough}")), short)
    };
    Some(Difference { observed: span.observed, least: span.least, most: span.most, harm, line, why })
}

/// A rate's difference as a factor, or in points.
#[allow(clippy::cast_precision_loss)] // counts below 2^53
fn rates(metric: Metric, first: &Counts, second: &Counts, deff: f64, unit: Unit) -> Option<Span> {
    let [(n0, k0), (n1, k1)] = [first, second].map(|counts| {
        let trials = trials(metric, counts);
        (trials.n as f64, trials.k as f64)
    });
    if k0.min(k1) < LEAST * deff {
        return None;
    }
    let (p0, p1) = (k0 / n0, k1 / n1);
    if unit == Unit::Points {
        let variance = deff * (p0 * (1.0 - p0) / n0 + p1 * (1.0 - p1) / n1);
        // A tenth of the rate, as with factors.
        let radius = normal_mixture_radius(TAU_RATE * p0, 1.0 / variance, ALPHA).ok()?;
        return Span::around(p1 - p0, radius);
    }
    let variance = deff * ((1.0 - p0) / k0 + (1.0 - p1) / k1);
    let radius = normal_mixture_radius(TAU_RATE, 1.0 / variance.max(f64::MIN_POSITIVE), ALPHA).ok()?;
    Some(Span::around((p1 / p0).ln(), radius)?.map(f64::exp))
}

/// The difference of two means, as a part of the first's or in points.
#[allow(clippy::cast_precision_loss)] // counts below 2^53
fn means(first: Moments, second: Moments, deff: f64, unit: Unit) -> Option<Span> {
    if (first.n.min(second.n) as f64) < LEAST * deff {
        return None;
    }
    let [(mean0, variance0), (mean1, variance1)] = [first, second].map(|moments| {
        let n = moments.n as f64;
        let mean = moments.sum / n;
        (mean, (moments.sum_squares / n - mean * mean).max(0.0) / n)
    });
    let variance = deff * (variance0 + variance1);
    // Scores that are all the same differ by exactly as much as they do.
    let radius = if variance > 0.0 {
        let spread = (variance0 * first.n as f64).sqrt().max(f64::MIN_POSITIVE);
        normal_mixture_radius(TAU_MEAN * spread, 1.0 / variance, ALPHA).ok()?
    } else {
        0.0
    };
    let span = Span::around(mean1 - mean0, radius)?;
    if unit == Unit::Points { Some(span) } else { (mean0 != 0.0).then(|| span.map(|by| by / mean0.abs())) }
}

/// The factor between answer times at the percentile that surely differs most; at the gate's own when none does. It is
/// bounded at all of them together, for harm is watched for at all of them.
fn times(first: &Bins, second: &Bins, deff: f64) -> Option<Span> {
    // Two ends for each percentile of each part.
    #[allow(clippy::cast_precision_loss)] // eight
    let alpha = ALPHA / (2 * BEYOND.len()) as f64;
    let spans: Vec<Span> = BEYOND
        .iter()
        .map(|&beyond| {
            let ([at0, low0, high0], [at1, low1, high1]) =
                (percentile(first, beyond, deff, alpha)?, percentile(second, beyond, deff, alpha)?);
            let (least, most) = (low1 - high0, high1 - low0);
            let nearest = if least > 0.0 {
                least
            } else if most < 0.0 {
                -most
            } else {
                0.0
            };
            Some(Span { observed: (at1 - at0).abs(), least: nearest, most: most.abs().max(least.abs()) })
        })
        .collect::<Option<_>>()?;
    let most = spans.iter().map(|span| span.most).fold(0.0, f64::max);
    let shown = spans.iter().max_by(|a, b| a.least.total_cmp(&b.least))?;
    Some(Span { most, ..*shown }.map(|bins| (bins / BINS_PER_DOUBLING).exp2()))
}

/// Bins of answer times to a factor of two.
const BINS_PER_DOUBLING: f64 = 16.0;

/// Where so many requests lie beyond, and its lowest and highest place, in bins.
#[allow(clippy::cast_precision_loss)] // counts below 2^53
fn percentile(bins: &Bins, beyond: f64, deff: f64, alpha: f64) -> Option<[f64; 3]> {
    let n = bins.total() as f64 / deff;
    let events = n * beyond;
    if events < LEAST {
        return None;
    }
    let information = events / (1.0 - beyond);
    let radius = normal_mixture_radius(TAU_BEYOND, information, alpha).ok()?;
    let at = |beyond: f64| place(bins, beyond);
    Some([at(beyond)?, at((beyond * radius.exp()).min(1.0))?, at(beyond * (-radius).exp())?])
}

/// The place beyond which this share of all values lies, in bins and parts of a bin; `None`: among what was never
/// answered.
#[allow(clippy::cast_precision_loss)] // counts below 2^53
fn place(bins: &Bins, beyond: f64) -> Option<f64> {
    let wanted = (1.0 - beyond) * bins.total() as f64;
    let mut before = 0.0;
    for (&bin, &n) in bins.0.iter().filter(|&(_, &n)| n > 0) {
        let n = n as f64;
        if before + n >= wanted {
            let part = ((wanted - before) / n).clamp(0.0, 1.0);
            return (bin < tally::LATENCY_TOP).then(|| f64::from(bin) - 1.0 + part);
        }
        before += n;
    }
    None
}
