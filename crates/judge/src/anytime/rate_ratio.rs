//! B1: is the canary's event rate more than `r` times the stable rate?
//!
//! Works on counts per interval, so the base rate may move freely as long as both arms share the movement:
//! weight ramps, bursts and daily rhythm cannot fool it. Exact for Bernoulli and Poisson events.
//!
//! Per grid point lambda, an interval with n1 requests and k1 events in the canary, n0 and k0 in stable adds
//! `k1 ln(lambda/r) + (k1+k0) ln((r n1 + n0) / (lambda n1 + n0))`.
//! With a = (lambda/r) c and c = (r n1 + n0)/(lambda n1 + n0),
//! E[a^k1 c^k0] <= exp(n1 p1 (a-1) + n0 p0 (c-1)), and under p1 <= r p0 (lambda > r) that is at most
//! exp(p0 (c (lambda n1 + n0) - (r n1 + n0))) = 1. The mirrored claim uses lambda < r, where a < 1.
//! Close kin: Lindon & Malek, "Anytime-Valid Inference for Multinomial Count Data", 2022, and the conditional
//! binomial test of two Poisson rates (Przyborowski & Wilenski, 1940).
//! Conservative when the event is common (near level 0 at a rate of 0.5): count the rarer outcome.
//!
//! The same proof serves a margin in points: H0 p1 <= r p0 + d for some d >= 0. With the same a and c the bound is
//! exp(n1 d (a-1)), so each interval also costs n1 d (a-1) = d n1 n0 (lambda/r - 1)/(lambda n1 + n0). Stable's rate still
//! cancels, so it may drift. For the mirrored claim a < 1 and the term is a gain: requests without events speak for it.

use super::{Claim, EProcess, geometric};
use crate::JudgeError;
use crate::error::{not_negative, positive};
use crate::special::log_sum_exp;

/// Counts of one interval of one configuration epoch: never pool intervals with different weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Stratum {
    /// Canary requests.
    pub n1: u64,
    /// Canary events (errors, wrong answers, requests above an edge).
    pub k1: u64,
    /// Stable requests.
    pub n0: u64,
    /// Stable events.
    pub k0: u64,
}

impl Stratum {
    /// A stratum from its four counts: canary requests and events, stable requests and events.
    pub fn new(n1: u64, k1: u64, n0: u64, k0: u64) -> Self {
        Self { n1, k1, n0, k0 }
    }

    /// Adds another sidecar's counts of the SAME interval and weight.
    pub fn merge(&mut self, other: &Self) {
        self.n1 = self.n1.saturating_add(other.n1);
        self.k1 = self.k1.saturating_add(other.k1);
        self.n0 = self.n0.saturating_add(other.n0);
        self.k0 = self.k0.saturating_add(other.k0);
    }

    pub(crate) fn check(&self) -> Result<(), JudgeError> {
        for (arm, n, k) in [("canary", self.n1, self.k1), ("stable", self.n0, self.k0)] {
            if k > n {
                return Err(JudgeError::EventsExceedTrials { arm, events: k, trials: n });
            }
            if n > MAX_COUNT {
                return Err(JudgeError::TooLarge {
                    what: "requests in one interval",
                    got: n as f64,
                    limit: MAX_COUNT as f64,
                });
            }
        }
        Ok(())
    }
}

/// Sizes of harm the tests look for, as factors on the ratio.
pub const HARM_FACTORS: [f64; 8] = [1.3, 1.6, 2.0, 2.5, 3.2, 4.5, 6.5, 10.0];

/// Weights of the factors for harm from the start. Chosen by simulation, with [`LATE_HARM_PRIOR`] and the shares of
/// [`crate::gate::Watch`], to find twice the errors of 1 % and five times those of 0.1 % soon: a broken build is often
/// broken badly.
pub const HARM_PRIOR: [f64; 8] = [0.03, 0.05, 0.22, 0.11, 0.08, 0.26, 0.20, 0.05];

/// Weights of the factors for harm that begins late: what creeps in is smaller.
pub const LATE_HARM_PRIOR: [f64; 8] = [0.04, 0.06, 0.48, 0.32, 0.03, 0.04, 0.02, 0.01];

/// 2^53: counts above it are not exact in a double.
const MAX_COUNT: u64 = 1 << 53;

/// Equal but for the last digits, which a store that prints decimals may lose.
fn alike(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-12 * a.abs().max(1.0))
}

fn scaled(ratio: f64, factors: Vec<f64>) -> Vec<f64> {
    factors.into_iter().map(|factor| factor * ratio).collect()
}

/// Weights floor + exp(-((ln lambda - ln centre)/width)^2 / 2), scaled to sum to 1: the floor keeps every grid
/// point within ln(1/weight), a few units, of its best.
fn bump(grid: &[f64], centre: f64, width: f64, floor: f64) -> Vec<f64> {
    let weight = |x: &f64| floor + (-0.5 * ((x / centre).ln() / width).powi(2)).exp();
    let sum: f64 = grid.iter().map(weight).sum();
    grid.iter().map(|x| weight(x) / sum).collect()
}

/// What a margin of `points` adds to the growth of ln L at `lambda`. See the module header.
fn points_increment(lambda: f64, ratio: f64, points: f64, stratum: &Stratum) -> f64 {
    let (n1, n0) = (stratum.n1 as f64, stratum.n0 as f64);
    if points == 0.0 || n1 == 0.0 || n0 == 0.0 {
        return 0.0;
    }
    -points * n1 * n0 * (lambda / ratio - 1.0) / (lambda * n1 + n0)
}

/// The growth of ln L at `lambda` over one interval, for the bound `ratio`. See the module header.
pub fn rate_ratio_increment(lambda: f64, ratio: f64, stratum: &Stratum) -> f64 {
    let (n1, n0) = (stratum.n1 as f64, stratum.n0 as f64);
    let events = stratum.k1.saturating_add(stratum.k0);
    if events == 0 || n1 == 0.0 || n0 == 0.0 {
        return 0.0; // one arm alone says nothing about a ratio
    }
    stratum.k1 as f64 * (lambda / ratio).ln() + events as f64 * ((ratio * n1 + n0) / (lambda * n1 + n0)).ln()
}

/// The e-process B1: a mixture over a grid of rate ratios lambda.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RateRatio {
    ratio: f64,
    #[cfg_attr(feature = "serde", serde(default))]
    points: f64,
    claim: Claim,
    grid: Vec<f64>,
    log_prior: Vec<f64>,
    log_l: Vec<f64>,
    temper: f64,
    total: Stratum,
    max_log_e: f64,
}

impl RateRatio {
    /// Evidence that the canary's rate is above `ratio` times stable's; H0: p1 <= ratio p0 in every interval.
    ///
    /// Grid: ratio x [`HARM_FACTORS`], weighted for harm that is there from the start ([`HARM_PRIOR`]).
    ///
    /// # Errors
    /// `ratio` not finite or not above 0.
    pub fn harm(ratio: f64) -> Result<Self, JudgeError> {
        positive("ratio", ratio)?;
        Self::with_grid(ratio, Claim::Harm, scaled(ratio, HARM_FACTORS.to_vec()), &HARM_PRIOR)
    }

    /// Evidence that the canary's rate is above `ratio` times stable's plus `points` (0.005: half a percentage
    /// point); H0: p1 <= ratio p0 + points in every interval. Grid as [`RateRatio::harm`].
    ///
    /// # Errors
    /// `ratio` not above 0, `points` negative, or not finite.
    pub fn harm_beyond(ratio: f64, points: f64) -> Result<Self, JudgeError> {
        let points = not_negative("points", points)?;
        Ok(Self { points, ..Self::harm(ratio)? })
    }

    /// Evidence that the canary's rate is below `ratio` times stable's plus `points`; H0: p1 >= ratio p0 + points in
    /// every interval. With points the grid reaches down to a sixteenth, for they may be many times stable's rate.
    ///
    /// # Errors
    /// `ratio` not above 0, `points` negative, or not finite.
    pub fn no_harm_within(ratio: f64, points: f64) -> Result<Self, JudgeError> {
        if not_negative("points", points)? == 0.0 {
            return Self::no_harm(ratio);
        }
        positive("ratio", ratio)?;
        let grid = scaled(ratio, geometric(1.0 / 1.1, 1.0 / 16.0, 12));
        let prior = vec![1.0 / grid.len() as f64; grid.len()];
        Ok(Self { points, ..Self::with_grid(ratio, Claim::NoHarm, grid, &prior)? })
    }

    /// Evidence that the canary's rate is below `ratio` times stable's; H0: p1 >= ratio p0 in every interval.
    ///
    /// Grid: ratio divided by 16 points from 1.05 to 3, with more weight around equal arms (lambda = 1), the
    /// case to be proven (by simulation 590 s at the median for ratio 1.5 at 1 %; equal weights 640 s).
    ///
    /// # Errors
    /// `ratio` not finite or not above 0.
    pub fn no_harm(ratio: f64) -> Result<Self, JudgeError> {
        positive("ratio", ratio)?;
        let grid = scaled(ratio, geometric(1.0 / 1.05, 1.0 / 3.0, 16));
        let prior = bump(&grid, (ratio / 1.1).min(1.0), 0.2, 0.05);
        Self::with_grid(ratio, Claim::NoHarm, grid, &prior)
    }

    /// B1 with a grid and prior of one's own. Weights are used as given and may sum to less than 1.
    ///
    /// # Errors
    /// A grid point on the wrong side of `ratio`, an empty grid, lengths that differ, a negative weight or
    /// weights that sum to more than 1 (beyond rounding): the guarantee would be void.
    pub fn with_grid(ratio: f64, claim: Claim, grid: Vec<f64>, prior: &[f64]) -> Result<Self, JudgeError> {
        positive("ratio", ratio)?;
        if grid.is_empty() {
            return Err(JudgeError::Empty { what: "grid" });
        }
        if grid.len() != prior.len() {
            return Err(JudgeError::Mismatch { what: "grid and prior" });
        }
        for &lambda in &grid {
            positive("grid", lambda)?;
            let wrong = match claim {
                Claim::Harm => lambda < ratio,
                Claim::NoHarm => lambda > ratio,
            };
            if wrong {
                let rule = match claim {
                    Claim::Harm => "at least the ratio (claim: harm)",
                    Claim::NoHarm => "at most the ratio (claim: no harm)",
                };
                return Err(JudgeError::OutOfRange { what: "grid", got: lambda, rule });
            }
        }
        for &weight in prior {
            not_negative("prior", weight)?;
        }
        let sum: f64 = prior.iter().sum();
        if sum <= 0.0 || sum > 1.0 + 1e-9 {
            return Err(JudgeError::OutOfRange {
                what: "prior",
                got: sum,
                rule: "weights with a sum above 0 and at most 1",
            });
        }
        let (grid, log_prior): (Vec<f64>, Vec<f64>) = grid
            .into_iter()
            .zip(prior)
            .filter(|(_, weight)| **weight > 0.0)
            .map(|(lambda, weight)| (lambda, weight.ln()))
            .unzip();
        let log_l = vec![0.0; grid.len()];
        Ok(Self {
            ratio,
            points: 0.0,
            claim,
            grid,
            log_prior,
            log_l,
            temper: 1.0,
            total: Stratum::default(),
            max_log_e: 0.0,
        })
    }

    /// Adds one interval.
    ///
    /// # Errors
    /// More events than requests, or counts above 2^53; the state is then unchanged.
    pub fn update(&mut self, stratum: Stratum) -> Result<(), JudgeError> {
        stratum.check()?;
        for (log_l, &lambda) in self.log_l.iter_mut().zip(&self.grid) {
            *log_l += rate_ratio_increment(lambda, self.ratio, &stratum)
                + points_increment(lambda, self.ratio, self.points, &stratum);
        }
        self.total.merge(&stratum);
        self.max_log_e = self.max_log_e.max(self.log_e());
        Ok(())
    }

    /// Adds the evidence of `other`, gathered on other requests (another sidecar, another segment).
    ///
    /// The maximum continues from this state's own path; `other`'s own maximum is not taken over, for two
    /// paths looked at separately are two tests.
    ///
    /// # Errors
    /// The two differ in ratio, points, claim, grid, prior or design effect.
    pub fn merge(&mut self, other: &Self) -> Result<(), JudgeError> {
        if (self.ratio, self.points) != (other.ratio, other.points)
            || self.claim != other.claim
            || !alike(&self.grid, &other.grid)
            || !alike(&self.log_prior, &other.log_prior)
            || self.temper != other.temper
        {
            return Err(JudgeError::Mismatch { what: "two rate-ratio states" });
        }
        for (mine, theirs) in self.log_l.iter_mut().zip(&other.log_l) {
            *mine += theirs;
        }
        self.total.merge(&other.total);
        self.max_log_e = self.max_log_e.max(self.log_e());
        Ok(())
    }

    /// B11: from now on divide the log evidence by the design effect `deff` (values below 1 count as 1).
    ///
    /// # Errors
    /// `deff` not finite.
    pub fn set_design_effect(&mut self, deff: f64) -> Result<(), JudgeError> {
        self.temper = crate::error::finite("design effect", deff)?.max(1.0);
        Ok(())
    }

    /// ln M now.
    pub fn log_e(&self) -> f64 {
        log_sum_exp(self.log_prior.iter().zip(&self.log_l).map(|(p, l)| p + l / self.temper))
    }

    /// The ratio `r` the claim is about.
    pub fn ratio(&self) -> f64 {
        self.ratio
    }

    /// The claim tested.
    pub fn claim(&self) -> Claim {
        self.claim
    }

    /// Sums over all intervals, for display only.
    pub fn total(&self) -> Stratum {
        self.total
    }
}

impl EProcess for RateRatio {
    type Observation = Stratum;
    type Mark = Vec<f64>;

    fn observe(&mut self, observation: &Stratum) -> Result<(), JudgeError> {
        self.update(*observation)
    }

    fn log_e(&self) -> f64 {
        Self::log_e(self)
    }

    fn max_log_e(&self) -> f64 {
        self.max_log_e
    }

    fn mark(&self) -> Vec<f64> {
        self.log_l.clone()
    }

    fn log_e_since(&self, mark: &Vec<f64>) -> f64 {
        log_sum_exp(
            self.log_prior
                .iter()
                .zip(self.log_l.iter().zip(mark))
                .map(|(p, (now, then))| p + (now - then) / self.temper),
        )
    }
}
