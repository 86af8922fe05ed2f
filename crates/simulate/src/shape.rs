//! How one version answers at one time: its errors, times and confidence, ready to be drawn from.

use std::fmt;

use judge::special::{ln_gamma, normal_cdf, normal_quantile};
use rollout::{Aged, Bins, Counts, Group, Interval, Moments};

use crate::chance::{Alias, Chance};

/// Bins a confidence is drawn from: a mean moves by less than 1e-5 through them.
const CONFIDENCE_BINS: u16 = 1024;
/// Groups of users, as the filter counts them.
pub(crate) const GROUPS: usize = 100;

/// Answer times: lognormal, by two of its quantiles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// The median, in milliseconds.
    pub p50_ms: f64,
    /// The 99th percentile, in milliseconds.
    pub p99_ms: f64,
}

/// A confidence on its declared range: a beta law by mean and standard deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beta {
    /// The mean, in the unit of the score.
    pub mean: f64,
    /// The standard deviation, in the unit of the score.
    pub sd: f64,
    /// The smallest score.
    pub min: f64,
    /// The largest score.
    pub max: f64,
}

/// Traffic that cannot be; names the figure and what would be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadTraffic(pub String);

impl fmt::Display for BadTraffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadTraffic {}

/// How one version answers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shape {
    errors: f64,
    latency: Alias,
    confidence: Option<(Alias, f64, f64)>,
    /// A request in a bin after this one is overdue.
    overdue_bin: u16,
    groups: bool,
}

/// Figures a [`Shape`] is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures<'a> {
    pub errors: f64,
    /// Every time is this many times as long.
    pub slower: f64,
    /// The mean confidence times this.
    pub confident: f64,
    pub times: Times<'a>,
    pub confidence: Option<Beta>,
    pub overdue_after_ms: u64,
    pub groups: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Times<'a> {
    Lognormal(Latency),
    Recorded(&'a Bins),
}

impl Shape {
    pub(crate) fn new(figures: &Figures<'_>) -> Result<Self, BadTraffic> {
        let bad = |what: String| Err(BadTraffic(what));
        if !(0.0..=1.0).contains(&figures.errors) {
            return bad(format!(
                "an error rate of {}: it must stay from 0 % to 100 %",
                notation::percent(figures.errors, 3)
            ));
        }
        let latency = match figures.times {
            Times::Lognormal(latency) => lognormal(latency, figures.slower)?,
            Times::Recorded(bins) => recorded(bins, figures.slower),
        };
        let Some(latency) = latency else { return bad("answer times without any value".to_owned()) };
        let confidence = match figures.confidence {
            None => None,
            Some(beta) => {
                let mean = beta.mean * figures.confident;
                let Some(law) = beta_law(Beta { mean, ..beta }) else {
                    return bad(format!(
                        "a confidence with mean {mean} and standard deviation {} on {} to {}: no such law; choose a \
                         smaller deviation",
                        beta.sd, beta.min, beta.max
                    ));
                };
                Some((law, beta.min, beta.max))
            }
        };
        let overdue_bin = tally::latency_bin(figures.overdue_after_ms.saturating_mul(1_000_000));
        Ok(Self { errors: figures.errors, latency, confidence, overdue_bin, groups: figures.groups })
    }

    /// What `n` requests come to.
    pub(crate) fn counts(&self, n: u64, chance: &mut Chance, groups: bool) -> Counts {
        let answered = self.answered(n, chance);
        let errors = chance.binomial(n, self.errors);
        let groups = (groups && self.groups).then(|| grouped(n, errors, chance));
        Counts { errors, groups, ..answered }
    }

    /// What requests come to of which it is known how many failed, and whose they were.
    pub(crate) fn with_errors(
        &self,
        n: u64,
        errors: u64,
        groups: Option<Vec<Group>>,
        chance: &mut Chance,
    ) -> Counts {
        Counts { errors, groups: groups.filter(|_| self.groups), ..self.answered(n, chance) }
    }

    /// Times and confidence of `n` requests.
    fn answered(&self, n: u64, chance: &mut Chance) -> Counts {
        let mut latency = Bins::default();
        let mut overdue = 0;
        for _ in 0..n {
            let bin = self.latency.draw(chance);
            overdue += u64::from(bin > self.overdue_bin);
            *latency.0.entry(bin).or_default() += 1;
        }
        let mut confidence = Moments::default();
        if let Some((law, min, max)) = &self.confidence {
            for _ in 0..n {
                let value =
                    min + (f64::from(law.draw(chance)) + 0.5) / f64::from(CONFIDENCE_BINS) * (max - min);
                confidence.n += 1;
                confidence.sum += value;
                confidence.sum_squares += value * value;
            }
        }
        let overdue = Aged { reached: n, overdue, left_soon: 0 };
        Counts { assigned: n, finished: n, outcomes: n, overdue, latency, confidence, ..Counts::default() }
    }

    /// The share of requests that fail.
    pub(crate) const fn errors(&self) -> f64 {
        self.errors
    }

    /// Errors that `n` requests have on top of those they would have had in another shape.
    #[allow(clippy::cast_precision_loss)] // counts below 2^53
    pub(crate) fn extra_errors(&self, other: &Self, n: u64) -> f64 {
        n as f64 * (self.errors - other.errors)
    }

    /// The shape of a recorded interval: stable's and the baseline's requests.
    pub(crate) fn of_recorded(interval: &Interval, base: &Figures<'_>) -> Result<Self, BadTraffic> {
        let mut control = interval.stable.clone();
        control.add(&interval.baseline);
        #[allow(clippy::cast_precision_loss)] // counts below 2^53
        let share = |part: u64, of: u64| if of == 0 { 0.0 } else { part as f64 / of as f64 };
        let recorded = share(control.errors, control.outcomes);
        let moments = control.confidence;
        let confidence = base.confidence.map(|beta| {
            if moments.n < 2 {
                return beta;
            }
            #[allow(clippy::cast_precision_loss)] // counts below 2^53
            let n = moments.n as f64;
            let mean = moments.sum / n;
            Beta { mean, sd: (moments.sum_squares / n - mean * mean).max(1e-8).sqrt(), ..beta }
        });
        let times = if control.latency.total() == 0 { base.times } else { Times::Recorded(&control.latency) };
        // `base.errors` is a factor here: what the harm makes of the recorded share.
        Self::new(&Figures { errors: (recorded * base.errors).min(1.0), times, confidence, ..*base })
    }
}

fn grouped(n: u64, errors: u64, chance: &mut Chance) -> Vec<Group> {
    let mut groups = crate::users::groups();
    for at in 0..n {
        let place = chance.below(GROUPS);
        if let Some(group) = groups.get_mut(place) {
            group.finished += 1;
            group.errors += u64::from(at < errors);
        }
    }
    groups
}

fn lognormal(latency: Latency, slower: f64) -> Result<Option<Alias>, BadTraffic> {
    let Latency { p50_ms, p99_ms } = latency;
    if !(p50_ms > 0.0 && p99_ms > p50_ms && p99_ms.is_finite()) {
        return Err(BadTraffic(format!(
            "a median of {p50_ms} ms and a p99 of {p99_ms} ms: p99 must be the longer"
        )));
    }
    let sigma = (p99_ms / p50_ms).ln() / normal_quantile(0.99);
    let below =
        |ms: f64| if ms.is_finite() { normal_cdf((ms / (p50_ms * slower)).ln() / sigma) } else { 1.0 };
    let mut before = 0.0;
    Ok(Alias::new((0..tally::LATENCY_BINS).map(|bin| {
        let reached = below(tally::latency_upper_ms(bin));
        let share = reached - before;
        before = reached;
        (bin, if share > 1e-15 { share } else { 0.0 })
    })))
}

/// A recorded histogram, every time `slower` times as long: bins move by sixteenths of a doubling, and what falls
/// between two is shared between them.
fn recorded(bins: &Bins, slower: f64) -> Option<Alias> {
    let shift = 16.0 * slower.log2();
    let mut moved = std::collections::BTreeMap::<u16, f64>::new();
    for (&bin, &n) in &bins.0 {
        if bin >= tally::LATENCY_TOP {
            *moved.entry(tally::LATENCY_TOP).or_default() += n as f64;
            continue;
        }
        let place = (f64::from(bin) + shift).clamp(0.0, f64::from(tally::LATENCY_TOP));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped to the bins
        let low = place.floor() as u16;
        let part = place - place.floor();
        *moved.entry(low).or_default() += n as f64 * (1.0 - part);
        *moved.entry((low + 1).min(tally::LATENCY_TOP)).or_default() += n as f64 * part;
    }
    Alias::new(moved.into_iter())
}

/// A beta law on equal bins; `None` when mean and deviation have none.
fn beta_law(beta: Beta) -> Option<Alias> {
    let width = beta.max - beta.min;
    let (mean, sd) = ((beta.mean - beta.min) / width, beta.sd / width);
    let strength = mean * (1.0 - mean) / (sd * sd) - 1.0;
    if !(width > 0.0 && mean > 0.0 && mean < 1.0 && strength > 0.0 && strength.is_finite()) {
        return None;
    }
    let (a, b) = (mean * strength, (1.0 - mean) * strength);
    let constant = ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b);
    Alias::new((0..CONFIDENCE_BINS).map(|bin| {
        let x = (f64::from(bin) + 0.5) / f64::from(CONFIDENCE_BINS);
        (bin, (constant + (a - 1.0) * x.ln() + (b - 1.0) * (-x).ln_1p()).exp())
    }))
}
