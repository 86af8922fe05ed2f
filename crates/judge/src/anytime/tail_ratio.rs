//! B8: does the canary put more requests into the slow tail than `r` times stable's share? The latency detector.
//!
//! Before each interval stable's latest requests name an edge per quantile (predictable, hence free to choose);
//! the interval's requests above the edge are events, and B1 runs on them. The edges follow the present: those of
//! the whole past would stay beyond every request for as long as an early slow time had lasted, a hundred times
//! over for p99, and an interval without events proves nothing. For the harm claim the evidence is the plain
//! average over edges and grid, an e-process for "at every edge the canary's tail is at most r times stable's",
//! which follows from "the canary is not stochastically slower" when r = 1. For the no-harm claim every edge must
//! be proven, so the evidence is the smallest over the edges (an intersection-union test). An interval in which
//! times rose so far that the edge lies no longer in the tail would prove something about their bulk instead and
//! is left out by both arms' events together, on which the test conditions. Bins are any ordered integers, e.g.
//! bin j with upper edge 2^(j/16) ms.

use super::rate_ratio::{Stratum, rate_ratio_increment};
use super::{Claim, EProcess, geometric};
use crate::JudgeError;
use crate::error::{fraction, positive};
use crate::special::log_sum_exp;
use std::collections::BTreeMap;

/// A sparse histogram: bin number to count. Bins order like the values they hold.
pub type Bins = BTreeMap<i32, u64>;

/// One interval's histograms of both arms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TailStratum {
    /// Canary requests per bin.
    pub canary: Bins,
    /// Stable requests per bin.
    pub stable: Bins,
}

impl TailStratum {
    /// Adds another sidecar's histograms of the same interval and weight.
    pub fn merge(&mut self, other: &Self) {
        add(&mut self.canary, &other.canary);
        add(&mut self.stable, &other.stable);
    }
}

pub(crate) fn add(into: &mut Bins, more: &Bins) {
    for (bin, count) in more {
        let slot = into.entry(*bin).or_default();
        *slot = slot.saturating_add(*count);
    }
}

pub(crate) fn count(bins: &Bins) -> u64 {
    bins.values().fold(0, |sum, c| sum.saturating_add(*c))
}

pub(crate) fn above(bins: &Bins, edge: i32) -> u64 {
    let Some(next) = edge.checked_add(1) else { return 0 };
    bins.range(next..).fold(0, |sum, (_, c)| sum.saturating_add(*c))
}

/// The first bin at or below which at least the fraction `q` of the counts lies; `None` if there are none.
pub fn quantile_bin(bins: &Bins, q: f64) -> Option<i32> {
    let all = count(bins);
    let need = q * all as f64;
    let mut seen = 0u64;
    bins.iter().filter(|(_, c)| **c > 0).find_map(|(bin, c)| {
        seen = seen.saturating_add(*c);
        (seen as f64 >= need || seen == all).then_some(*bin)
    })
}

/// The edge used for quantile `q`: its bin. To prove that there is no harm, the one just below where too little (less than
/// half of 1 - q) lies above, as when the slowest bin holds many requests: an empty tail could prove nothing. Harm is all
/// the plainer beyond an edge that stable's requests do not reach.
fn tail_edge(bins: &Bins, q: f64, claim: Claim) -> Option<i32> {
    let bin = quantile_bin(bins, q)?;
    let enough = 2.0 * above(bins, bin) as f64 >= (1.0 - q) * count(bins) as f64;
    Some(if enough || claim == Claim::Harm { bin } else { bin - 1 })
}

/// "At most so many times as many beyond the edge" says something of the tail while at most so many times 1 - q of
/// stable's requests lie there. Of an edge in the bulk it would be true however much slower the rest is.
const STILL_TAIL: f64 = 2.5;

/// Edges are those of stable's latest requests: so many of them or, where an interval does not bring more, up to twice as
/// many; 10 to 20 lie beyond p99. That is enough: by simulation harm is found as soon as with edges from the whole past, or
/// from four times as many requests (`bench judge --part latency`), and fewer leave an edge less far behind while times change.
const LATEST: u64 = 1000;

/// An edge is still one of the tail while at most so many times as many requests lie beyond it as when it was chosen, ...
const RISEN: f64 = 2.0;
/// ... and a few more, in intervals so short that hardly one is expected.
const A_FEW: f64 = 2.0;

/// Is an edge chosen on `stable` still where it was, by an interval's events?
fn still_in_the_tail(stable: &Bins, edge: i32, interval: &Stratum) -> bool {
    let meant = above(stable, edge) as f64 / count(stable).max(1) as f64;
    let (events, all) = (interval.k1.saturating_add(interval.k0), interval.n1.saturating_add(interval.n0));
    events as f64 <= RISEN * meant * all as f64 + A_FEW
}

/// The e-process B8.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TailRatio {
    ratio: f64,
    claim: Claim,
    quantiles: Vec<f64>,
    grid: Vec<f64>,
    log_l: Vec<Vec<f64>>,
    tails: Vec<Stratum>,
    /// Stable's requests by which edges are chosen; states stored by builds before these edges moved hold all of them, and
    /// leave them with the next ones.
    stable: Bins,
    /// The latest of them, which will be all when they are enough.
    #[cfg_attr(feature = "serde", serde(default))]
    latest: Bins,
    n_canary: u64,
    temper: f64,
    max_log_e: f64,
}

impl TailRatio {
    /// Evidence that the canary's tail is heavier than `ratio` times stable's, at stable's p50, p90, p95, p99
    /// or p99.9; lambda = ratio x 12 points from 1.1 to 8.
    ///
    /// # Errors
    /// `ratio` not finite or not above 0.
    pub fn harm(ratio: f64) -> Result<Self, JudgeError> {
        Self::new(ratio, Claim::Harm, &[0.5, 0.9, 0.95, 0.99, 0.999])
    }

    /// Evidence that the canary's tail is lighter than `ratio` times stable's at stable's p50, p90 and p99.
    ///
    /// # Errors
    /// `ratio` not finite or not above 0.
    pub fn no_harm(ratio: f64) -> Result<Self, JudgeError> {
        Self::new(ratio, Claim::NoHarm, &[0.5, 0.9, 0.99])
    }

    /// B8 at quantiles of one's own.
    ///
    /// # Errors
    /// `ratio` not above 0, no quantile, or a quantile outside (0, 1).
    pub fn new(ratio: f64, claim: Claim, quantiles: &[f64]) -> Result<Self, JudgeError> {
        positive("ratio", ratio)?;
        if quantiles.is_empty() {
            return Err(JudgeError::Empty { what: "quantiles" });
        }
        for &q in quantiles {
            fraction("quantile", q)?;
        }
        let factors = match claim {
            Claim::Harm => geometric(1.1, 8.0, 12),
            Claim::NoHarm => geometric(1.0 / 1.05, 1.0 / 3.0, 12),
        };
        let grid: Vec<f64> = factors.iter().map(|f| f * ratio).collect();
        Ok(Self {
            ratio,
            claim,
            quantiles: quantiles.to_vec(),
            log_l: vec![vec![0.0; grid.len()]; quantiles.len()],
            tails: vec![Stratum::default(); quantiles.len()],
            grid,
            stable: Bins::new(),
            latest: Bins::new(),
            n_canary: 0,
            temper: 1.0,
            max_log_e: 0.0,
        })
    }

    /// Adds one interval. The first one only sets the edges.
    ///
    /// # Errors
    /// None at present: any histogram is a valid interval.
    pub fn update(&mut self, interval: &TailStratum) -> Result<(), JudgeError> {
        let (n1, n0) = (count(&interval.canary), count(&interval.stable));
        let parts = self.quantiles.iter().zip(&mut self.log_l).zip(&mut self.tails);
        for ((&q, log_l), tail) in parts {
            let Some(edge) = tail_edge(&self.stable, q, self.claim) else { continue };
            let stratum = Stratum::new(n1, above(&interval.canary, edge), n0, above(&interval.stable, edge));
            if self.claim == Claim::NoHarm && !still_in_the_tail(&self.stable, edge, &stratum) {
                continue;
            }
            let beyond = above(&self.stable, edge) as f64;
            if self.claim == Claim::NoHarm
                && self.ratio > 1.0
                && beyond > STILL_TAIL * (1.0 - q) * count(&self.stable) as f64
            {
                continue;
            }
            for (l, &lambda) in log_l.iter_mut().zip(&self.grid) {
                *l += rate_ratio_increment(lambda, self.ratio, &stratum);
            }
            tail.merge(&stratum);
        }
        self.learn(&interval.stable);
        self.n_canary = self.n_canary.saturating_add(n1);
        self.max_log_e = self.max_log_e.max(self.log_e());
        Ok(())
    }

    /// Moves the edges by requests of stable's that are no evidence.
    pub fn learn(&mut self, stable: &Bins) {
        add(&mut self.stable, stable);
        add(&mut self.latest, stable);
        if count(&self.latest) >= LATEST {
            self.stable = std::mem::take(&mut self.latest);
        }
    }

    /// Adds the evidence gathered on other requests (another sidecar). The maximum continues on this state's path.
    ///
    /// # Errors
    /// Different ratio, claim, quantiles or design effect.
    pub fn merge(&mut self, other: &Self) -> Result<(), JudgeError> {
        let same = (self.ratio, self.claim, self.temper) == (other.ratio, other.claim, other.temper);
        if !same || self.quantiles != other.quantiles {
            return Err(JudgeError::Mismatch { what: "two tail ratios" });
        }
        for (mine, theirs) in self.log_l.iter_mut().flatten().zip(other.log_l.iter().flatten()) {
            *mine += theirs;
        }
        for (mine, theirs) in self.tails.iter_mut().zip(&other.tails) {
            mine.merge(theirs);
        }
        add(&mut self.stable, &other.stable);
        add(&mut self.latest, &other.latest);
        self.n_canary = self.n_canary.saturating_add(other.n_canary);
        self.max_log_e = self.max_log_e.max(self.log_e());
        Ok(())
    }

    /// Sizes of effect in the mixture: edges times ratios.
    pub(crate) fn sizes(&self) -> usize {
        self.quantiles.len() * self.grid.len()
    }

    /// B11: divides the log evidence by the design effect (values below 1 count as 1).
    ///
    /// # Errors
    /// `deff` not finite.
    pub fn set_design_effect(&mut self, deff: f64) -> Result<(), JudgeError> {
        self.temper = crate::error::finite("design effect", deff)?.max(1.0);
        Ok(())
    }

    /// Per quantile: requests and requests above the edges used, summed over intervals (for display).
    pub fn tails(&self) -> impl Iterator<Item = (f64, Stratum)> + '_ {
        self.quantiles.iter().copied().zip(self.tails.iter().copied())
    }

    /// Per quantile, the edge that the next interval is held against: the bin whose upper end it is. `None` before there was
    /// any request.
    pub fn edges(&self) -> impl Iterator<Item = (f64, Option<i32>)> + '_ {
        self.quantiles.iter().map(|&q| (q, tail_edge(&self.stable, q, self.claim)))
    }

    /// Stable's requests by which edges are chosen.
    pub fn stable(&self) -> &Bins {
        &self.stable
    }

    /// Canary requests so far.
    pub fn n_canary(&self) -> u64 {
        self.n_canary
    }

    /// The ratio of tail shares the claim is about.
    pub fn ratio(&self) -> f64 {
        self.ratio
    }

    /// ln M of each edge alone, in the order of the quantiles.
    pub fn log_e_by_edge(&self) -> Vec<f64> {
        let zero = vec![0.0; self.grid.len()];
        self.log_l.iter().map(|l| self.edge_log_e(l, &zero)).collect()
    }

    fn edge_log_e(&self, now: &[f64], then: &[f64]) -> f64 {
        let gains = now.iter().zip(then).map(|(now, then)| (now - then) / self.temper);
        log_sum_exp(gains) - (self.grid.len() as f64).ln()
    }

    fn over_edges(&self, by_edge: &[f64]) -> f64 {
        match self.claim {
            Claim::Harm => log_sum_exp(by_edge.iter().copied()) - (by_edge.len() as f64).ln(),
            Claim::NoHarm => by_edge.iter().copied().fold(f64::INFINITY, f64::min),
        }
    }
}

impl EProcess for TailRatio {
    type Observation = TailStratum;
    type Mark = Vec<Vec<f64>>;

    fn observe(&mut self, observation: &TailStratum) -> Result<(), JudgeError> {
        self.update(observation)
    }

    fn log_e(&self) -> f64 {
        self.over_edges(&self.log_e_by_edge())
    }

    fn max_log_e(&self) -> f64 {
        self.max_log_e
    }

    fn mark(&self) -> Self::Mark {
        self.log_l.clone()
    }

    fn log_e_since(&self, mark: &Self::Mark) -> f64 {
        let by_edge: Vec<f64> =
            self.log_l.iter().zip(mark).map(|(now, then)| self.edge_log_e(now, then)).collect();
        self.over_edges(&by_edge)
    }
}
