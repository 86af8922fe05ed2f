//! How a gate uses a test to find harm: it watches through the whole run.

use super::Ratios;
use crate::JudgeError;
use crate::special::log_sum_exp;

/// Weight of the test begun at the very start; the rest is kept for harm that begins later. Harm from the start pays
/// ln(1/0.75), 0.3, for it.
const FIRST: f64 = 0.75;
/// A new beginning is made at each stage and whenever this much was watched since the last one.
const EVERY_MS: u64 = 600_000;
/// Each of the first beginnings takes this part of what is kept, ...
const TAKEN: f64 = 0.25;
/// ... this many of them; of the others the j-th takes `TAKEN` x `SIX` / j, so that something is left for the last day
/// of a long run.
const SIX: f64 = 6.0;
/// Between the beginnings a little is put in at every interval, so that harm is found soon where a second brings
/// thousands of requests. After N canary requests the part (SCALE/(SCALE + N))^TRICKLE is left: the prior of a
/// beginning falls with requests, not with looks, so looking more often costs nothing.
const SCALE: f64 = 9000.0;
/// See [`SCALE`].
const TRICKLE: f64 = 0.2;

/// B10: watches for harm through all stages, whenever it begins.
///
/// A test that saw a healthy hour has learnt to expect health, and forgets it slowly. So part of the weight is kept
/// back, unbet and worth what it was, and put in later: some at each stage and every ten minutes, a little at every
/// interval. M is the sum of what is staked and what is kept: a mixture of e-processes that begin at different moments,
/// hence an e-process (cf. Shin, Ramdas, Rinaldo, "E-detectors", 2023). It needs no more memory than one test: two
/// numbers per size of effect.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Watch<P> {
    process: P,
    /// ln of the weight each size of effect has at the start, and of that it has for beginnings to come.
    first: Vec<f64>,
    late: Vec<f64>,
    /// ln of what is staked on each size, and of what is kept for it.
    staked: Vec<f64>,
    kept: Vec<f64>,
    /// Beginnings after the first.
    begun: u32,
    /// Canary requests watched.
    requests: f64,
    /// Time watched since the last beginning.
    since_ms: u64,
    /// The design effect the evidence is divided by (B11).
    deff: f64,
    /// No second adds more than this to any ln L; `None`: no bound. Growth may be left out at will: what is left is an
    /// e-process all the same.
    #[cfg_attr(feature = "serde", serde(default))]
    most_per_second: Option<f64>,
    /// The evidence for the smallest size of effect, begun again whenever it falls to 0 (a CUSUM, Page 1954). For
    /// display: since when does it look as if there were harm?
    #[cfg_attr(feature = "serde", serde(default))]
    suspicion: f64,
}

impl<P: Ratios> Watch<P> {
    /// Watches with weights of one's own per size of effect, in the order in which [`Ratios::grow`] names them: for harm
    /// from the start, and for harm that begins later.
    ///
    /// # Errors
    /// Lengths that differ, a negative weight, or weights whose sum is not 1.
    pub fn new(process: P, first: &[f64], late: &[f64]) -> Result<Self, JudgeError> {
        if first.is_empty() || first.len() != late.len() {
            return Err(JudgeError::Mismatch { what: "weights for early and for late harm" });
        }
        for (what, weights) in [("weights of harm", first), ("weights of late harm", late)] {
            for &weight in weights {
                crate::error::positive(what, weight)?;
            }
            let got: f64 = weights.iter().sum();
            if (got - 1.0).abs() > 1e-9 {
                return Err(JudgeError::OutOfRange { what, got, rule: "a sum of 1" });
            }
        }
        let scaled =
            |weights: &[f64], by: f64| weights.iter().map(|weight| (weight * by).ln()).collect::<Vec<_>>();
        let (first, late) = (scaled(first, FIRST), scaled(late, 1.0 - FIRST));
        let (staked, kept) = (first.clone(), late.clone());
        Ok(Self {
            process,
            first,
            late,
            staked,
            kept,
            begun: 0,
            requests: 0.0,
            since_ms: 0,
            deff: 1.0,
            most_per_second: None,
            suspicion: 0.0,
        })
    }

    /// Lets no second add more than `most` to any ln L: harm of a moment, however large, is then not proven, and harm that
    /// lasts is proven some seconds later.
    #[must_use]
    pub fn bounded(self, most: f64) -> Self {
        Self { most_per_second: Some(most), ..self }
    }

    /// Watches with equal weights over `sizes` sizes of effect.
    ///
    /// # Errors
    /// No size.
    pub fn even(process: P, sizes: usize) -> Result<Self, JudgeError> {
        let weights = vec![1.0 / sizes.max(1) as f64; sizes];
        Self::new(process, &weights, &weights)
    }

    /// Adds an interval that lasted `ms` milliseconds.
    ///
    /// # Errors
    /// Input that cannot be right, or a test with another number of sizes than there are weights.
    pub fn observe(&mut self, observation: &P::Observation, ms: u64) -> Result<(), JudgeError> {
        let growth = self.process.grow(observation)?;
        if growth.len() != self.staked.len() {
            return Err(JudgeError::Mismatch { what: "weights and sizes of effect" });
        }
        if self.since_ms >= EVERY_MS {
            self.begin();
        }
        self.since_ms = self.since_ms.saturating_add(ms);
        let requests = P::requests(observation) as f64;
        if requests > 0.0 {
            let before = SCALE + self.requests;
            self.put_in(1.0 - (before / (before + requests)).powf(TRICKLE));
            self.requests += requests;
        }
        self.suspicion = growth.first().map_or(0.0, |growth| (self.suspicion + growth).max(0.0));
        let most = self.most_per_second.map_or(f64::INFINITY, |most| most * ms as f64 / 1e3);
        for (staked, growth) in self.staked.iter_mut().zip(growth) {
            *staked += (growth / self.deff).min(most);
        }
        Ok(())
    }

    /// Stakes the part `part` of what is kept.
    fn put_in(&mut self, part: f64) {
        for (staked, kept) in self.staked.iter_mut().zip(&mut self.kept) {
            *staked = log_sum_exp([*staked, *kept + part.ln()].into_iter());
            *kept += (-part).ln_1p();
        }
    }

    /// A moment at which harm may well begin. Two of them without a request between are one.
    fn begin(&mut self) {
        if self.since_ms > 0 {
            self.begun = self.begun.saturating_add(1);
            self.put_in(TAKEN * (SIX / f64::from(self.begun)).min(1.0));
        }
        self.since_ms = 0;
    }

    /// A stage begins: a moment at which harm may well begin.
    pub fn begin_stage(&mut self) {
        self.new_weights();
        self.begin();
    }

    /// Weights change.
    pub fn new_weights(&mut self) {
        self.process.new_weights();
    }

    /// A named person set the evidence so far aside.
    pub fn forget(&mut self) {
        (self.staked, self.kept) = (self.first.clone(), self.late.clone());
        (self.begun, self.requests, self.since_ms, self.suspicion) = (0, 0.0, 0, 0.0);
    }

    /// Does nothing look like harm at this moment? What was counted since this was last so is what an alarm is about.
    pub const fn is_calm(&self) -> bool {
        self.suspicion <= 0.0
    }

    /// B11: from now on divides growth by the design effect (values below 1 count as 1).
    pub const fn set_design_effect(&mut self, deff: f64) {
        self.deff = deff.max(1.0);
    }

    /// Adds what a watch over other requests of the same time has seen (another sidecar, another segment): e-values of
    /// independent requests multiply, size by size.
    ///
    /// Counts of the same interval are better added before they are observed; this is for when they no longer can be.
    ///
    /// # Errors
    /// A watch over something else.
    pub fn merge(&mut self, other: &Self) -> Result<(), JudgeError> {
        if (&self.first, &self.late) != (&other.first, &other.late) {
            return Err(JudgeError::Mismatch { what: "two watches" });
        }
        self.process.merge(&other.process)?;
        let mine = self.staked.iter_mut().zip(&mut self.kept);
        let theirs = other.staked.iter().zip(&other.kept);
        for (((staked, kept), (staked1, kept1)), (first, late)) in
            mine.zip(theirs).zip(self.first.iter().zip(&self.late))
        {
            let share = log_sum_exp([*first, *late].into_iter());
            // (s + k)(s' + k') / share, of which k k' / share is still kept.
            let products = [*staked + staked1, *staked + kept1, *kept + staked1];
            *staked = log_sum_exp(products.into_iter()) - share;
            *kept += kept1 - share;
        }
        self.begun = self.begun.max(other.begun);
        self.requests += other.requests;
        self.since_ms = self.since_ms.max(other.since_ms);
        self.suspicion += other.suspicion;
        Ok(())
    }

    /// ln M.
    pub fn log_e(&self) -> f64 {
        log_sum_exp(self.staked.iter().chain(&self.kept).copied())
    }
}
