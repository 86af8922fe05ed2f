//! Two rates against a margin: the score statistic, and its exact distribution.
//!
//! Statistic: Farrington and Manning, "Test statistics and sample size formulae for comparative binomial trials with null
//! hypothesis of non-zero risk difference or non-unity relative risk", Statistics in Medicine 9, 1990. Its exact
//! distribution, at the worst rate of stable: Chan, "Exact tests of equivalence and efficacy with a non-zero lower bound
//! for comparative studies", Statistics in Medicine 17, 1998; worst within a confidence interval: Berger and Boos,
//! "P values maximized over a confidence set for the nuisance parameter", JASA 89, 1994. Interval: Miettinen and
//! Nurminen, "Comparative analysis of two rates", Statistics in Medicine 4, 1985.
//!
//! A t-test takes an arm of equal values for one without variance, and so for a proof. Here no event in n requests
//! proves no more than the rule of three says.

use super::Margin;
use crate::JudgeError;
use crate::anytime::{Better, Trials};
use crate::error::{finite, not_negative};
use crate::special::normal_cdf;

/// The chance that stable's rate lies outside the interval searched for the worst one; part of the p-value.
const OUTSIDE: f64 = 1e-9;
/// With this much variance of the counts in both arms the normal approximation is off by less than a thousandth.
const NORMAL: f64 = 1000.0;
/// Rates at which the worst is looked for.
const STEPS: u32 = 256;
/// Halvings that exhaust a double between 0 and 1, for what is asked here.
const HALVINGS: u32 = 60;

/// The p-value of "the canary's rate is worse than stable's by the margin or more".
///
/// # Errors
/// No trials, more events than trials, a negative margin, or one that no rate can miss.
pub fn rates_p(canary: Trials, stable: Trials, better: Better, margin: Margin) -> Result<f64, JudgeError> {
    let (canary, stable) = (checked("canary", canary, better)?, checked("stable", stable, better)?);
    // The edge of the hypothesis, in events that are bad: canary = shift + ratio * stable.
    let (ratio, shift) = match (margin, better) {
        (Margin::Absolute(points), _) => (1.0, not_negative("margin", points)?),
        (Margin::Relative(share), Better::Lower) => (1.0 + not_negative("margin", share)?, 0.0),
        (Margin::Relative(share), Better::Higher) => (1.0 - not_negative("margin", share)?, share),
    };
    if shift >= 1.0 || !ratio.is_finite() {
        return Err(JudgeError::OutOfRange { what: "margin of a rate", got: shift, rule: "below 1 (100 %)" });
    }
    let edge = Edge { n1: canary.n, n0: stable.n, ratio, shift };
    let found = edge.score(canary.k, stable.k);
    let (p1, p0) = edge.likeliest(canary.k, stable.k);
    let spread = |n: u64, p: f64| n as f64 * p * (1.0 - p);
    if spread(edge.n1, p1).min(spread(edge.n0, p0)) >= NORMAL {
        return Ok(normal_cdf(-found));
    }
    Ok(edge.exact_p(found, stable.k))
}

/// Two-sided 95 % interval of the canary's rate less stable's, by the score.
///
/// # Errors
/// No trials, or more events than trials.
pub fn rates_ci95(canary: Trials, stable: Trials) -> Result<(f64, f64), JudgeError> {
    let (canary, stable) =
        (checked("canary", canary, Better::Lower)?, checked("stable", stable, Better::Lower)?);
    let (n1, n0) = (canary.n, stable.n);
    let all = n1 as f64 + n0 as f64;
    let wide = 1.959_963_984_540_054 * (all / (all - 1.0)).sqrt();
    let difference = canary.k as f64 / n1 as f64 - stable.k as f64 / n0 as f64;
    // The shifts that the counts do not contradict, on either side of the difference that was seen.
    let end = |far: f64| {
        let (mut inside, mut outside) = (difference, far);
        for _ in 0..HALVINGS {
            let shift = 0.5 * (inside + outside);
            let score = Edge { n1, n0, ratio: 1.0, shift }.score(canary.k, stable.k);
            if score.abs() <= wide { inside = shift } else { outside = shift }
        }
        inside
    };
    Ok((end(-1.0), end(1.0)))
}

/// How many are 1 of values that are 0 or 1.
///
/// # Errors
/// Another value.
pub fn events(what: &'static str, values: &[f64]) -> Result<Trials, JudgeError> {
    let mut trials = Trials { n: 0, k: 0 };
    for &value in values {
        if finite(what, value)? != 0.0 && value != 1.0 {
            return Err(JudgeError::OutOfRange { what, got: value, rule: "0 or 1" });
        }
        trials.n += 1;
        trials.k += u64::from(value == 1.0);
    }
    Ok(trials)
}

/// As counts of what is bad.
fn checked(arm: &'static str, Trials { n, k }: Trials, better: Better) -> Result<Trials, JudgeError> {
    if n == 0 {
        return Err(JudgeError::Empty { what: "trials" });
    }
    if k > n {
        return Err(JudgeError::EventsExceedTrials { arm, events: k, trials: n });
    }
    Ok(Trials { n, k: if better == Better::Lower { k } else { n - k } })
}

/// The pairs of rates at the edge of the hypothesis: `shift + ratio * p` of the canary where stable's is `p`.
struct Edge {
    n1: u64,
    n0: u64,
    ratio: f64,
    shift: f64,
}

impl Edge {
    /// Stable's rates that have a partner between 0 and 1.
    fn range(&self) -> (f64, f64) {
        ((-self.shift / self.ratio).max(0.0), ((1.0 - self.shift) / self.ratio).min(1.0))
    }

    fn partner(&self, p0: f64) -> f64 {
        (self.shift + self.ratio * p0).clamp(0.0, 1.0)
    }

    /// The pair under which the counts are likeliest: canary's, stable's. The likelihood has one peak.
    fn likeliest(&self, k1: u64, k0: u64) -> (f64, f64) {
        let part = |k: u64, p: f64| if k == 0 { 0.0 } else { k as f64 / p };
        let (mut lo, mut hi) = self.range();
        for _ in 0..HALVINGS {
            let p0 = 0.5 * (lo + hi);
            let p1 = self.partner(p0);
            let slope = self.ratio * (part(k1, p1) - part(self.n1 - k1, 1.0 - p1)) + part(k0, p0)
                - part(self.n0 - k0, 1.0 - p0);
            if slope > 0.0 { lo = p0 } else { hi = p0 }
        }
        let p0 = 0.5 * (lo + hi);
        (self.partner(p0), p0)
    }

    /// Larger: the canary lies better than the edge.
    fn score(&self, k1: u64, k0: u64) -> f64 {
        let (n1, n0) = (self.n1 as f64, self.n0 as f64);
        let ahead = self.shift + self.ratio * k0 as f64 / n0 - k1 as f64 / n1;
        let (p1, p0) = self.likeliest(k1, k0);
        let variance = p1 * (1.0 - p1) / n1 + self.ratio.powi(2) * p0 * (1.0 - p0) / n0;
        // What rounding leaves of nothing is nothing.
        if ahead.abs() < 1e-14 { 0.0 } else { ahead / variance.sqrt() }
    }

    /// The chance of a score of `found` or more, at the worst pair of rates that stable's `k0` events leave.
    fn exact_p(&self, found: f64, k0: u64) -> f64 {
        let (least, most) = self.range();
        let (lo, hi) = interval(self.n0, k0);
        let (lo, hi) = (lo.max(least), hi.min(most));
        if lo > hi {
            return OUTSIDE;
        }
        let worst = (0..=STEPS).map(|step| lo + (hi - lo) * f64::from(step) / f64::from(STEPS));
        let (first, last) = (Counts::new(self.n0, lo).first, Counts::new(self.n0, hi).last());
        let limits = self.limits(found - 1e-9 * found.abs().max(1.0), first, last);
        let chance = |p0: f64| -> f64 {
            let (canary, stable) = (Counts::new(self.n1, self.partner(p0)), Counts::new(self.n0, p0));
            let sums = canary.sums();
            let below = |limit: Option<u64>| match limit {
                Some(k1) if k1 >= canary.first => {
                    sums.get((k1 - canary.first) as usize).copied().unwrap_or(1.0)
                }
                _ => 0.0,
            };
            let skipped = stable.first.saturating_sub(first) as usize;
            stable.chances.iter().zip(limits.iter().skip(skipped)).map(|(p, limit)| p * below(*limit)).sum()
        };
        (worst.map(chance).fold(0.0, f64::max) + OUTSIDE).min(1.0)
    }

    /// For each number of stable's events, up to how many of the canary's the score is `least` or more; `None`: none.
    fn limits(&self, least: f64, first: u64, last: u64) -> Vec<Option<u64>> {
        let mut known = 0;
        (first..=last)
            .map(|k0| {
                // The more events stable has, the more the canary may have.
                let (mut lo, mut hi) = (known, self.n1 + 1);
                while lo < hi {
                    let k1 = lo + (hi - lo) / 2;
                    if self.score(k1, k0) >= least { lo = k1 + 1 } else { hi = k1 }
                }
                known = lo;
                lo.checked_sub(1)
            })
            .collect()
    }
}

/// Rates that `k` of `n` leave possible: Clopper and Pearson's interval, missed with chance `OUTSIDE`.
fn interval(n: u64, k: u64) -> (f64, f64) {
    let tail = |p: f64, wanted: &dyn Fn(u64) -> bool| -> f64 {
        let counts = Counts::new(n, p);
        (counts.first..).zip(&counts.chances).filter(|(at, _)| wanted(*at)).map(|(_, chance)| chance).sum()
    };
    let end = |far: f64, wanted: &dyn Fn(u64) -> bool| {
        let (mut inside, mut outside) = (k as f64 / n as f64, far);
        for _ in 0..HALVINGS {
            let p = 0.5 * (inside + outside);
            if tail(p, wanted) > 0.5 * OUTSIDE { inside = p } else { outside = p }
        }
        outside
    };
    let lo = if k == 0 { 0.0 } else { end(0.0, &|at| at >= k) };
    (lo, if k == n { 1.0 } else { end(1.0, &|at| at <= k) })
}

/// The binomial distribution, without counts that are all but impossible.
struct Counts {
    first: u64,
    chances: Vec<f64>,
}

impl Counts {
    fn new(n: u64, p: f64) -> Self {
        let mode = (((n + 1) as f64 * p) as u64).min(n);
        let odds = p / (1.0 - p);
        // From the likeliest count outwards, by the ratio of neighbours.
        let walk = |step: &dyn Fn(u64) -> Option<(u64, f64)>| {
            let (mut at, mut weight, mut weights) = (mode, 1.0, Vec::new());
            while let Some((next, ratio)) = step(at) {
                weight *= ratio;
                if weight.is_nan() || weight < 1e-18 {
                    break;
                }
                weights.push(weight);
                at = next;
            }
            weights
        };
        let up = walk(&|k| (k < n).then(|| (k + 1, (n - k) as f64 / (k + 1) as f64 * odds)));
        let down = walk(&|k| (k > 0).then(|| (k - 1, k as f64 / (n - k + 1) as f64 / odds)));
        let all = 1.0 + up.iter().sum::<f64>() + down.iter().sum::<f64>();
        let first = mode - down.len() as u64;
        let chances = down.into_iter().rev().chain([1.0]).chain(up).map(|weight| weight / all).collect();
        Self { first, chances }
    }

    fn last(&self) -> u64 {
        self.first + self.chances.len().saturating_sub(1) as u64
    }

    /// The chance of as many or fewer.
    fn sums(&self) -> Vec<f64> {
        let mut sum = 0.0;
        let add = |chance: &f64| {
            sum += chance;
            sum
        };
        self.chances.iter().map(add).collect()
    }
}
