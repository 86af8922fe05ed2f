//! From what a gate of the plan asks to the gates of crate `judge`, and from counts to what those eat.

use judge::JudgeError;
use judge::anytime::{Better, Scale, Trials};
use judge::classical::Margin;
use judge::gate::{
    Answers, Limits, RateGate, RateLimit, RateRules, ScoreGate, ScoreLimit, ScoreRules, Span, TailGate,
    TailRules,
};
use manifest::{Against, Limit, Metric, MetricKind, Plan};
use serde::{Deserialize, Serialize};

use crate::Counts;
use crate::measure::{at_margin, bins_of, scores, stratum, tails, times, token_tails, trials};

/// One comparison: of the canary alone with a limit, or with stable at the same moments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// A share against limits, or a percentile as the share of requests beyond a time.
    RateLimit {
        /// Which share.
        metric: Metric,
        /// Percentiles: the time that passes, in milliseconds.
        pass_ms: Option<u64>,
        /// Percentiles: the time beyond which it fails, in milliseconds.
        fail_ms: Option<u64>,
        /// The statistics.
        gate: RateLimit,
    },
    /// A mean against limits.
    ScoreLimit(ScoreLimit),
    /// A share against stable's.
    Rate {
        /// Which share.
        metric: Metric,
        /// The statistics.
        gate: RateGate,
    },
    /// Answer times against stable's.
    Tail(TailGate),
    /// A mean against stable's.
    Score(ScoreGate),
    /// Other times than those of whole answers against stable's.
    Times {
        /// Which.
        metric: Metric,
        /// The statistics.
        gate: TailGate,
    },
}

/// A guardrail that is held beside stable bears so many times stable's events: what is closer is a gate's to find.
const BESIDE: f64 = 1.25;

/// And so much of stable's mean may be lost.
const BESIDE_MEAN: f64 = 0.05;

/// The range of confidence, as declared.
pub fn scale(plan: &Plan) -> Scale {
    plan.traffic.confidence.as_ref().map_or(Scale::UNIT, |confidence| Scale {
        min: confidence.min,
        max: confidence.max,
        better: Better::Higher,
    })
}

impl Test {
    /// The canary alone against a limit.
    pub fn limit(metric: Metric, limit: Limit, scale: Scale) -> Result<Self, JudgeError> {
        #[allow(clippy::float_cmp)] // the same number, not the same result
        let two = limit.fail != limit.pass;
        let limits = Limits { fail: limit.fail, pass: limit.pass, two };
        if metric.kind() == MetricKind::Score {
            return ScoreLimit::new(scale, limits).map(Self::ScoreLimit);
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // below a year, not negative
        let ms = |limit: f64| metric.is_time().then_some(limit.round() as u64);
        let share = |limit: f64| if metric.is_time() { metric.tail() } else { limit };
        let limits = Limits { fail: share(limit.fail), pass: share(limit.pass), two };
        Ok(Self::RateLimit {
            metric,
            pass_ms: ms(limit.pass),
            fail_ms: ms(limit.fail),
            gate: RateLimit::new(limits)?,
        })
    }

    /// The canary beyond a limit, and worse than stable at the same moments.
    pub fn beside(metric: Metric, limit: f64) -> Result<Self, JudgeError> {
        let rules = RateRules {
            harm: BESIDE,
            harm_points: 0.0,
            margin: BESIDE,
            margin_points: 0.0,
            ignore_below: limit,
            pass_below: 0.0,
        };
        Ok(Self::Rate { metric, gate: RateGate::new(rules)? })
    }

    /// As [`Self::beside`], of any metric: the canary is worse than stable by more than a limit has to bear, whatever
    /// stable shows.
    pub fn worse(metric: Metric, limit: f64, scale: Scale) -> Result<Self, JudgeError> {
        match metric.kind() {
            MetricKind::Time => TailGate::new(TailRules {
                harm_bins: bins_of(BESIDE, true),
                margin_bins: bins_of(BESIDE, false),
                late: false,
                more_beyond: more_beyond(BESIDE),
                tail: metric.tail(),
                top: i32::from(tally::LATENCY_TOP),
            })
            .map(|gate| Self::tail(metric, gate)),
            MetricKind::Score => ScoreGate::new(ScoreRules {
                scale,
                harm: margin(BESIDE_MEAN, 0.0),
                margin: margin(BESIDE_MEAN, 0.0),
                late: false,
            })
            .map(Self::Score),
            _ => Self::beside(metric, limit),
        }
    }

    /// One version is worse than it was: by more than equal versions differ, and beyond the limit. `None`: it cannot be, or what it was is not
    /// known.
    pub fn grown(metric: Metric, limit: f64, before: Option<f64>, scale: Scale) -> Option<Self> {
        let margin = if metric == Metric::ConfidenceMean { BESIDE_MEAN } else { BESIDE };
        let before = before?;
        let worst = if metric.larger_is_worse() { before.max(limit) } else { before.min(limit) };
        Self::limit(metric, Limit::of(at_margin(metric, worst, margin, 0.0)), scale).ok()
    }

    /// The canary against stable.
    pub fn against(metric: Metric, against: Against, scale: Scale) -> Result<Self, JudgeError> {
        let late = against.has_marginal_range();
        match metric.kind() {
            // External figures have no counts and never come here.
            MetricKind::Rate | MetricKind::Figure => {
                let rules = RateRules {
                    harm: against.harm,
                    harm_points: against.harm_points,
                    margin: against.margin,
                    margin_points: against.margin_points,
                    ignore_below: against.ignore_below,
                    pass_below: against.pass_below,
                };
                Ok(Self::Rate { metric, gate: RateGate::new(rules)? })
            }
            MetricKind::Time => TailGate::new(TailRules {
                harm_bins: bins_of(against.harm, true),
                margin_bins: bins_of(against.margin, false),
                late,
                more_beyond: more_beyond(against.margin),
                tail: metric.tail(),
                top: i32::from(tally::LATENCY_TOP),
            })
            .map(|gate| Self::tail(metric, gate)),
            MetricKind::Score => ScoreGate::new(ScoreRules {
                scale,
                harm: margin(against.harm, against.harm_points),
                margin: margin(against.margin, against.margin_points),
                late,
            })
            .map(Self::Score),
        }
    }

    const fn tail(metric: Metric, gate: TailGate) -> Self {
        match metric {
            Metric::LatencyP99 => Self::Tail(gate),
            _ => Self::Times { metric, gate },
        }
    }

    /// Adds an interval; to the stage's proof only when it belongs to the stage.
    pub fn observe(&mut self, canary: &Counts, control: &Counts, span: Span) -> Result<(), JudgeError> {
        match self {
            Self::RateLimit { metric, pass_ms, fail_ms, gate } => {
                let bins = times(*metric, canary);
                let all = bins.total();
                // Of the bin a limit falls into nobody knows which side: it counts against whoever has to prove.
                let counted = |ms: Option<u64>, beyond: fn(&crate::Bins, u64) -> u64| {
                    ms.map_or_else(|| trials(*metric, canary), |ms| Trials { n: all, k: beyond(bins, ms) })
                };
                let surely = match metric.is_of_tokens() {
                    true => crate::Bins::longer_than_coarse,
                    false => crate::Bins::longer_than,
                };
                let perhaps = crate::Bins::may_exceed;
                let counts =
                    [counted(*fail_ms, surely), counted(*pass_ms, surely), counted(*pass_ms, perhaps)];
                gate.observe(counts, span)
            }
            Self::ScoreLimit(gate) => gate.observe(&scores(canary.confidence, control.confidence), span),
            Self::Rate { metric, gate } => gate.observe(stratum(*metric, canary, control), span),
            Self::Tail(gate) => gate.observe(&tails(&canary.latency, &control.latency), span),
            Self::Score(gate) => gate.observe(&scores(canary.confidence, control.confidence), span),
            Self::Times { metric, gate } => {
                gate.observe(&token_tails(times(*metric, canary), times(*metric, control)), span)
            }
        }
    }

    fn gate(&self) -> &dyn judge::gate::Gate {
        match self {
            Self::RateLimit { gate, .. } => gate,
            Self::ScoreLimit(gate) => gate,
            Self::Rate { gate, .. } => gate,
            Self::Tail(gate) => gate,
            Self::Score(gate) => gate,
            Self::Times { gate, .. } => gate,
        }
    }

    fn gate_mut(&mut self) -> &mut dyn judge::gate::Gate {
        match self {
            Self::RateLimit { gate, .. } => gate,
            Self::ScoreLimit(gate) => gate,
            Self::Rate { gate, .. } => gate,
            Self::Tail(gate) => gate,
            Self::Score(gate) => gate,
            Self::Times { gate, .. } => gate,
        }
    }

    /// Answer times: the time that stable's slowest hundredth takes longer than now, in milliseconds.
    pub fn edge_ms(&self) -> Option<f64> {
        let (Self::Tail(gate) | Self::Times { gate, .. }) = self else { return None };
        let edge = u16::try_from(gate.edge()?).ok()?;
        Some(tally::latency_upper_ms(edge)).filter(|ms| ms.is_finite())
    }

    pub fn answers(&self) -> Answers {
        self.gate().answers()
    }

    pub fn is_calm(&self) -> bool {
        self.gate().is_calm()
    }

    pub fn begin_stage(&mut self) {
        self.gate_mut().begin_stage();
    }

    pub fn new_weights(&mut self) {
        self.gate_mut().new_weights();
    }

    pub fn begin_proof(&mut self) {
        self.gate_mut().begin_proof();
    }

    /// Looks again at what was proven at `height`; says whether anything is proven no more.
    pub fn review(&mut self, height: f64) -> bool {
        self.gate_mut().review(height)
    }

    pub fn forget(&mut self) {
        self.gate_mut().forget();
    }

    /// Weakens the evidence by the design effect.
    pub fn temper(&mut self, deff: f64) -> Result<(), JudgeError> {
        self.gate_mut().set_design_effect(deff)
    }
}

/// A margin on a mean: a part of stable's, or a number in its unit.
fn margin(part: f64, points: f64) -> Margin {
    if points > 0.0 { Margin::Absolute(points) } else { Margin::Relative(part) }
}

/// How many times as many requests beyond stable's 99th percentile are still within a margin on that percentile.
///
/// A lognormal's tail beyond p99 grows by more than this when it is stretched by the margin, up to a sigma of 0.9, so
/// the claim is no weaker.
pub fn more_beyond(margin: f64) -> f64 {
    (1.0 + 2.0 * (margin - 1.0)).min(3.0)
}

#[cfg(test)]
mod tests {
    use judge::gate::Span;
    use manifest::{Against, Metric};
    use tally::{AnswerClass, What};

    use super::Test;
    use crate::Counts;

    /// What an arm's answers are like in a look: the bin of the time of each token, and how many of a hundred fail.
    fn look(bin: u16, failed: u64) -> Counts {
        let mut counts = Counts::default();
        counts.answers.count(What::Answer(AnswerClass::Ok), 100 - failed);
        counts.answers.count(What::Answer(AnswerClass::Failed), failed);
        for (near, n) in [(0, 60), (1, 30), (2, 10)] {
            counts.answers.count(What::TokenTime(bin + 2 * near), n);
        }
        counts
    }

    /// Is harm proven, and no harm, after so many looks of a hundred answers in each arm?
    fn answers(metric: Metric, canary: &Counts, stable: &Counts, looks: u32) -> (bool, bool) {
        let mut test =
            Test::against(metric, Against::usual(metric), judge::anytime::Scale::UNIT).expect("a test");
        for _ in 0..looks {
            test.observe(canary, stable, Span { ms: 1_000, of_stage: true }).expect("an interval");
        }
        let answers = test.answers();
        (answers.harm >= 20_f64.ln(), answers.no_harm >= 20_f64.ln())
    }

    /// A time below the limit stands in a bin that goes beyond it.
    #[test]
    fn a_time_of_tokens_below_the_limit_is_no_harm() {
        let is_lower_half = |ms: &u64| tally::latency_bin(ms * 1_000_000).is_multiple_of(2);
        let limit_ms = (40_u64..).find(is_lower_half).expect("every second bin");
        let (below, beyond) = (limit_ms * 999_000, limit_ms * 1_100_000);
        for (ns, harmful) in [(below, false), (beyond, true)] {
            let mut counts = Counts::default();
            counts.answers.count(What::Answer(AnswerClass::Ok), 100);
            counts.answers.count(What::TokenTime(tally::coarse_bin(ns)), 100);
            #[allow(clippy::cast_precision_loss)] // below 100
            let limit = manifest::Limit::of(limit_ms as f64);
            let scale = judge::anytime::Scale::UNIT;
            let mut test = Test::limit(Metric::TimePerOutputTokenP95, limit, scale).expect("a test");
            for _ in 0..40 {
                let span = Span { ms: 1_000, of_stage: true };
                test.observe(&counts, &Counts::default(), span).expect("an interval");
            }
            assert_eq!(test.answers().harm >= 20_f64.ln(), harmful, "{ns} ns");
        }
    }

    /// A state of a release that did not keep what stable was says nothing of what became of it.
    #[test]
    fn nothing_grows_from_what_is_not_known() {
        let scale = judge::anytime::Scale::UNIT;
        assert!(Test::grown(Metric::ErrorRate, 0.05, None, scale).is_none());
        assert!(Test::grown(Metric::ErrorRate, 0.05, Some(0.2), scale).is_some());
    }

    #[test]
    fn what_bodies_say_is_tested_like_what_headers_say() {
        let stable = look(61, 1);
        for (metric, canary) in [
            // Half as slow again per token; failures with 200.
            (Metric::TimePerOutputTokenP95, look(71, 1)),
            (Metric::AnswerErrorRate, look(61, 10)),
        ] {
            let (harm, good) = answers(metric, &canary, &stable, 40);
            assert!(harm && !good, "{metric:?}: harm {harm}, no harm {good}");
            let (harm, _) = answers(metric, &stable, &stable, 200);
            assert!(!harm, "{metric:?}: equal versions");
        }
    }
}
