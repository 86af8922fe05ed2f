//! A gate on answer times: the canary's slow tail against stable's.

use std::f64::consts::LN_2;

use super::{Answers, Gate, Proof, Span, Watch, either};
use crate::JudgeError;
use crate::anytime::{Bins, Claim, TailRatio, TailStratum};

/// What a gate on answer times asks. Factors on times are in bins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TailRules {
    /// Harm begins where the canary's times, shorter by so many bins, are still slower than stable's.
    pub harm_bins: u16,
    /// No harm is proven where, shorter by so many bins, they are not.
    pub margin_bins: u16,
    /// Does harm begin beyond the margin?
    pub late: bool,
    /// Or proven where at most so many times as many requests lie beyond stable's quantile, however far: where times lie
    /// in clusters (cache hits and misses), no canary's times made shorter need fall below stable's edge, although the
    /// two are alike.
    pub more_beyond: f64,
    /// The share of requests beyond the quantile that proof is about, such as 0.01 for p99.
    pub tail: f64,
    /// The bin of what was never answered, which stays so however it is divided.
    pub top: i32,
}

/// A pod that stalls for a second makes all that second's requests slow, and a small arm has few pods: what so many
/// requests at once seem to prove is left out. Harm that is plain by the second is proven after some four of them.
const MOST_PER_SECOND: f64 = 2.0;

/// Compares histograms of answer times (B8, the canary's times divided by the factor).
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TailGate {
    harm: Watch<TailRatio>,
    harm_bins: u16,
    beyond: Option<Watch<TailRatio>>,
    proof: Proof<TailRatio>,
    few: Proof<TailRatio>,
    margin_bins: u16,
    top: i32,
}

impl TailGate {
    /// A gate by its rules.
    ///
    /// # Errors
    /// `more_beyond` not above 0, or `tail` outside (0, 1).
    pub fn new(rules: TailRules) -> Result<Self, JudgeError> {
        let watch = || {
            let process = TailRatio::harm(1.0)?;
            let sizes = process.sizes();
            Watch::even(process, sizes).map(|watch| watch.bounded(MOST_PER_SECOND))
        };
        let proof = |ratio: f64| TailRatio::new(ratio, Claim::NoHarm, &[1.0 - rules.tail]).map(Proof::new);
        Ok(Self {
            harm: watch()?,
            harm_bins: rules.harm_bins,
            beyond: rules.late.then(watch).transpose()?,
            proof: proof(1.0)?,
            few: proof(rules.more_beyond)?,
            margin_bins: rules.margin_bins,
            top: rules.top,
        })
    }

    /// Adds one interval of constant weights, all sidecars summed.
    ///
    /// # Errors
    /// None at present: any histogram is a valid interval.
    pub fn observe(&mut self, both: &TailStratum, span: Span) -> Result<(), JudgeError> {
        let shorter = |bins: u16| TailStratum {
            canary: shorter(&both.canary, bins, self.top),
            stable: both.stable.clone(),
        };
        self.harm.observe(&shorter(self.harm_bins), span.ms)?;
        if let Some(beyond) = &mut self.beyond {
            beyond.observe(&shorter(self.margin_bins.saturating_add(1)), span.ms)?;
        }
        if span.of_stage {
            self.proof.observe(&shorter(self.margin_bins))?;
            self.few.observe(both)?;
        } else {
            self.proof.learn(&both.stable);
            self.few.learn(&both.stable);
        }
        Ok(())
    }

    /// The bin whose upper end is stable's quantile now: what the next interval is held against. It follows stable's latest
    /// requests; `None` before there was any.
    pub fn edge(&self) -> Option<i32> {
        self.few.process().edges().find_map(|(_, edge)| edge)
    }

    /// Adds what another gate by the same rules saw of other requests.
    ///
    /// # Errors
    /// Other rules.
    pub fn merge(&mut self, other: &Self) -> Result<(), JudgeError> {
        if (self.harm_bins, self.margin_bins, self.top) != (other.harm_bins, other.margin_bins, other.top) {
            return Err(JudgeError::Mismatch { what: "two gates on answer times" });
        }
        self.harm.merge(&other.harm)?;
        self.proof.merge(&other.proof)?;
        self.few.merge(&other.few)?;
        if let (Some(mine), Some(theirs)) = (&mut self.beyond, &other.beyond) {
            mine.merge(theirs)?;
        }
        Ok(())
    }
}

fn shorter(bins: &Bins, by: u16, top: i32) -> Bins {
    let mut out = Bins::new();
    for (&bin, &n) in bins {
        let to = if bin >= top { bin } else { bin.saturating_sub(i32::from(by)) };
        *out.entry(to).or_default() += n;
    }
    out
}

impl Gate for TailGate {
    fn begin_stage(&mut self) {
        self.harm.begin_stage();
        self.beyond.iter_mut().for_each(Watch::begin_stage);
        self.proof.begin_stage();
        self.few.begin_stage();
    }

    fn begin_proof(&mut self) {
        self.proof.begin_again();
        self.few.begin_again();
    }

    fn review(&mut self, height: f64) -> bool {
        // One of the two is enough, and by itself has to be twice as large.
        let height = height + LN_2;
        self.proof.review(height) | self.few.review(height)
    }

    fn forget(&mut self) {
        self.harm.forget();
        self.beyond.iter_mut().for_each(Watch::forget);
    }

    fn set_design_effect(&mut self, deff: f64) -> Result<(), JudgeError> {
        self.proof.set_design_effect(deff)?;
        self.few.set_design_effect(deff)?;
        self.harm.set_design_effect(deff);
        self.beyond.iter_mut().for_each(|beyond| beyond.set_design_effect(deff));
        Ok(())
    }

    fn is_calm(&self) -> bool {
        self.harm.is_calm()
    }

    fn answers(&self) -> Answers {
        Answers {
            harm: self.harm.log_e(),
            beyond: self.beyond.as_ref().map(Watch::log_e),
            no_harm: either(self.proof.log_e(), self.few.log_e()),
        }
    }
}
