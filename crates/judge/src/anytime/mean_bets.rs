//! B9 from sums: means of scores in a known range, from counts, sums and sums of squares alone.
//!
//! A bettor with stake l who doubts "the mean is at least m" multiplies his wealth by 1 - l (x - m) per score. Where
//! no factor falls below 1 - c, ln(1 + y) >= y - k(c) y^2 with k(c) = (-ln(1-c) - c)/c^2 (Fan, Grama, Liu, "Exponential
//! inequalities for martingales with applications", EJP 2015), so the wealth is at least
//! exp(-l sum(x - m) - k l^2 sum(x - m)^2): an empirical-Bernstein e-process, valid at every sample size and for skewed
//! scores too (Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting", JRSS-B 2024). There
//! is no burn-in and no variance to be known beforehand. Stakes are a fixed grid of parts of the largest one the range
//! permits, mixed with equal weights.
//!
//! Two arms, H0: mean1 >= a mean0 + b. Beside each canary score stable's bet stakes l a n1/n0 the other way, so that
//! stable's mean, whatever it is in this interval, leaves the linear term: the level may drift as it likes if both arms
//! share the drift. The squares are taken around stable's mean of the interval in place of the true one; that differs
//! by u = O(sd/sqrt(n0)), and k is enlarged for a u of two standard errors. Intervals are gathered until stable has
//! 100 scores, which keeps u small.

use super::normal_mixture::{Better, ScoreStratum};
use super::{Claim, EProcess};
use crate::JudgeError;
use crate::classical::Margin;
use crate::error::{finite, not_negative};
use crate::special::log_sum_exp;

/// Stakes, as parts of the largest permitted one.
pub(crate) const PARTS: [f64; 6] = [0.05, 0.1, 0.2, 0.35, 0.5, 0.7];
/// Stable's scores in one bet.
const GATHERED: u64 = 100;
/// Standard errors by which stable's mean of a bet may be off.
const STRAY: f64 = 2.0;

/// k(c) of the header; 1/2 at c = 0.
fn curvature(c: f64) -> f64 {
    let c = c.clamp(0.0, 0.99);
    if c < 1e-3 { 0.5 + c / 3.0 } else { (-(-c).ln_1p() - c) / (c * c) }
}

/// Scores of one arm on the scale [0, 1] on which more is better.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Arm {
    n: f64,
    sum: f64,
    squares: f64,
}

impl Arm {
    fn add(&mut self, more: Self) {
        self.n += more.n;
        self.sum += more.sum;
        self.squares += more.squares;
    }

    fn mean(self) -> f64 {
        self.sum / self.n
    }

    /// Sum of squares around `centre`.
    fn around(self, centre: f64) -> f64 {
        (self.squares - 2.0 * centre * self.sum + self.n * centre * centre).max(0.0)
    }

    fn sd(self) -> f64 {
        (self.around(self.mean()) / self.n).sqrt()
    }
}

/// A range of scores and which way they are good.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Scale {
    /// The least possible score.
    pub min: f64,
    /// The largest possible score.
    pub max: f64,
    /// Which way scores are good.
    pub better: Better,
}

impl Scale {
    /// Scores from 0 to 1, higher is better.
    pub const UNIT: Self = Self { min: 0.0, max: 1.0, better: Better::Higher };

    fn check(self) -> Result<Self, JudgeError> {
        finite("least score", self.min)?;
        if finite("largest score", self.max)? <= self.min {
            return Err(JudgeError::OutOfRange {
                what: "largest score",
                got: self.max,
                rule: "above the least",
            });
        }
        Ok(self)
    }

    fn width(self) -> f64 {
        self.max - self.min
    }

    /// A value on [0, 1], more is better.
    fn place(self, value: f64) -> f64 {
        match self.better {
            Better::Higher => (value - self.min) / self.width(),
            Better::Lower => (self.max - value) / self.width(),
        }
    }

    fn arm(self, what: &'static str, n: u64, sum: f64, squares: f64) -> Result<Arm, JudgeError> {
        let count = n as f64;
        let (w, (edge, sign)) = (
            self.width(),
            match self.better {
                Better::Higher => (self.min, 1.0),
                Better::Lower => (self.max, -1.0),
            },
        );
        let arm = Arm {
            n: count,
            sum: sign * (sum - count * edge) / w,
            squares: (squares - 2.0 * edge * sum + count * edge * edge) / (w * w),
        };
        let slack = 1e-6 * count + 1e-9;
        let possible = arm.sum >= -slack && arm.sum <= count + slack && arm.squares <= arm.sum + slack;
        if possible && arm.squares >= -slack {
            Ok(arm)
        } else {
            Err(JudgeError::OutOfRange { what, got: sum, rule: "that of scores within their range" })
        }
    }
}

/// What the canary's mean is held against.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
enum Against {
    /// Stable's mean less a margin.
    Stable(Margin),
    /// A number, on the scale [0, 1].
    Limit(f64),
}

/// The e-process.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MeanBets {
    claim: Claim,
    scale: Scale,
    against: Against,
    log_l: Vec<f64>,
    /// Stable's scores of earlier bets: what is known of its mean when a stake is chosen.
    learnt: Arm,
    /// Canary and stable since the last bet.
    canary: Arm,
    stable: Arm,
    temper: f64,
    max_log_e: f64,
}

impl MeanBets {
    /// Evidence that the canary's mean is worse than stable's by more (harm) or by less (no harm) than `margin`, in the
    /// unit of the score or as a part of the size of stable's mean.
    ///
    /// # Errors
    /// A range without width, or a margin negative or not finite.
    pub fn against_stable(claim: Claim, scale: Scale, margin: Margin) -> Result<Self, JudgeError> {
        let (Margin::Absolute(size) | Margin::Relative(size)) = margin;
        not_negative("margin", size)?;
        Ok(Self::new(claim, scale.check()?, Against::Stable(margin)))
    }

    /// Evidence that the canary's mean is on the bad (harm) or the good side (no harm) of `limit`.
    ///
    /// # Errors
    /// A range without width, or a limit not strictly within it.
    pub fn against_limit(claim: Claim, scale: Scale, limit: f64) -> Result<Self, JudgeError> {
        let place = scale.check()?.place(finite("limit", limit)?);
        if place <= 0.0 || place >= 1.0 {
            let rule = "strictly within the range of scores";
            return Err(JudgeError::OutOfRange { what: "limit", got: limit, rule });
        }
        Ok(Self::new(claim, scale, Against::Limit(place)))
    }

    fn new(claim: Claim, scale: Scale, against: Against) -> Self {
        Self {
            claim,
            scale,
            against,
            log_l: vec![0.0; PARTS.len()],
            learnt: Arm::default(),
            canary: Arm::default(),
            stable: Arm::default(),
            temper: 1.0,
            max_log_e: 0.0,
        }
    }

    /// Adds one interval; against a limit, stable's scores are not looked at.
    ///
    /// # Errors
    /// Sums that no scores in the range can have; the state is then unchanged.
    pub fn update(&mut self, scores: &ScoreStratum) -> Result<(), JudgeError> {
        let growth = self.growth(scores)?;
        for (log_l, growth) in self.log_l.iter_mut().zip(growth) {
            *log_l += growth;
        }
        self.max_log_e = self.max_log_e.max(self.log_e());
        Ok(())
    }

    /// The growth of ln L per stake; takes the interval in, leaves the evidence alone.
    pub(crate) fn growth(&mut self, scores: &ScoreStratum) -> Result<Vec<f64>, JudgeError> {
        scores.check()?;
        let canary = self.scale.arm("canary sums", scores.n1, scores.sum1, scores.squares1)?;
        if let Against::Limit(limit) = self.against {
            return Ok(self.one_arm(canary, limit));
        }
        let stable = self.scale.arm("stable sums", scores.n0, scores.sum0, scores.squares0)?;
        self.canary.add(canary);
        self.stable.add(stable);
        if self.stable.n < GATHERED as f64 || self.canary.n == 0.0 {
            return Ok(vec![0.0; PARTS.len()]);
        }
        let growth = self.two_arms();
        self.learnt.add(self.stable);
        self.drop_gathered();
        Ok(growth)
    }

    /// Weights change: scores gathered under the old ones are not pooled with those to come.
    pub(crate) fn drop_gathered(&mut self) {
        (self.canary, self.stable) = (Arm::default(), Arm::default());
    }

    fn one_arm(&self, canary: Arm, limit: f64) -> Vec<f64> {
        // How far a score can lie on the side that loses.
        let (reach, gain) = match self.claim {
            Claim::Harm => (1.0 - limit, limit * canary.n - canary.sum),
            Claim::NoHarm => (limit, canary.sum - limit * canary.n),
        };
        let squares = canary.around(limit);
        PARTS
            .iter()
            .map(|part| (part, part / reach))
            .map(|(part, l)| l * gain - curvature(*part) * l * l * squares)
            .collect()
    }

    fn two_arms(&self) -> Vec<f64> {
        let (canary, stable) = (self.canary, self.stable);
        let known = (self.learnt.n > 0.0).then_some(self.learnt);
        let (a, b) = self.line(known.map(Arm::mean));
        let centre = a * stable.mean() + b;
        let stray = STRAY * known.map_or(0.5, Arm::sd) / stable.n.sqrt();
        // How far scores can lie from their means on the side that loses; before anything is known, the whole range.
        let (reach, reach0, gain) = match self.claim {
            Claim::Harm => (
                known.map_or(1.0, |known| 1.0 - a * known.mean() - b + stray),
                known.map_or(1.0, |known| known.mean() + stray),
                centre * canary.n - canary.sum,
            ),
            Claim::NoHarm => (
                known.map_or(1.0, |known| a * known.mean() + b + stray),
                known.map_or(1.0, |known| 1.0 - known.mean() + stray),
                canary.sum - centre * canary.n,
            ),
        };
        let (reach, reach0) = (reach.clamp(1e-3, 1.0), reach0.clamp(1e-3, 1.0));
        let ratio = a * canary.n / stable.n;
        let most = 1.0 / reach.max(ratio * reach0);
        let squares = canary.around(centre);
        // Stable's own squares lose one term to its own mean, and that mean's spread is another.
        let squares0 = stable.around(stable.mean()) * (1.0 + 4.0 / stable.n);
        let growth = |part: &f64| {
            let (l, l0) = (part * most, part * most * ratio);
            let more = 1.0 + 2.0 * curvature(l * reach) * l * a * stray;
            let k = curvature(l * more * reach) * more * more;
            l * gain - k * l * l * squares - curvature(l0 * reach0) * l0 * l0 * squares0
        };
        PARTS.iter().map(growth).collect()
    }

    /// H0's line: the canary's mean that stable's mean m asks for is a m + b, on the scale [0, 1].
    fn line(&self, known: Option<f64>) -> (f64, f64) {
        let Against::Stable(margin) = self.against else { return (1.0, 0.0) };
        let w = self.scale.width();
        match margin {
            Margin::Absolute(size) => (1.0, -size / w),
            Margin::Relative(part) => {
                // In the unit of the score: worse by `part` of the size of stable's mean, whose sign is known by now.
                let (edge, up) = match self.scale.better {
                    Better::Higher => (self.scale.min, 1.0),
                    Better::Lower => (self.scale.max, -1.0),
                };
                let mean = edge + up * w * known.unwrap_or(0.5);
                let slope = 1.0 - part * up * mean.signum();
                (slope, up * (slope - 1.0) * edge / w)
            }
        }
    }

    /// Adds the evidence gathered on other requests (another sidecar). The maximum continues on this state's path.
    ///
    /// # Errors
    /// Different claim, scale, margin or design effect.
    pub fn merge(&mut self, other: &Self) -> Result<(), JudgeError> {
        let same = self.claim == other.claim && self.scale == other.scale && self.against == other.against;
        if !same || self.temper != other.temper || self.log_l.len() != other.log_l.len() {
            return Err(JudgeError::Mismatch { what: "two bets on means" });
        }
        for (mine, theirs) in self.log_l.iter_mut().zip(&other.log_l) {
            *mine += theirs;
        }
        self.learnt.add(other.learnt);
        self.max_log_e = self.max_log_e.max(self.log_e());
        Ok(())
    }

    /// B11: divides the log evidence by the design effect (values below 1 count as 1).
    ///
    /// # Errors
    /// `deff` not finite.
    pub fn set_design_effect(&mut self, deff: f64) -> Result<(), JudgeError> {
        self.temper = finite("design effect", deff)?.max(1.0);
        Ok(())
    }

    fn mix(&self, log_l: impl Iterator<Item = f64> + Clone) -> f64 {
        log_sum_exp(log_l.map(|l| l / self.temper)) - (PARTS.len() as f64).ln()
    }
}

impl EProcess for MeanBets {
    type Observation = ScoreStratum;
    type Mark = Vec<f64>;

    fn observe(&mut self, observation: &ScoreStratum) -> Result<(), JudgeError> {
        self.update(observation)
    }

    fn log_e(&self) -> f64 {
        self.mix(self.log_l.iter().copied())
    }

    fn max_log_e(&self) -> f64 {
        self.max_log_e
    }

    fn mark(&self) -> Vec<f64> {
        self.log_l.clone()
    }

    fn log_e_since(&self, mark: &Vec<f64>) -> f64 {
        self.mix(self.log_l.iter().zip(mark).map(|(now, then)| now - then))
    }
}
