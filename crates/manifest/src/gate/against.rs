//! How a canary is held against stable.

use serde::{Deserialize, Serialize};

use super::{Metric, MetricKind};

/// Rates and answer times of equal versions differ by up to this factor, and means by up to that part, for reasons that
/// are not the version's.
const EQUALS_DIFFER: f64 = 1.05;
const EQUAL_MEANS_DIFFER: f64 = 0.005;

/// A comparison with stable.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Against {
    /// To pass it must be proven that the canary is not worse than this: for rates and latencies a factor on
    /// stable's value (1.5), for means the share of stable's mean that may be lost (0.02).
    pub margin: f64,
    /// And worse by no more than this beside, in the metric's own unit: percentage points are hundredths.
    #[serde(default)]
    pub margin_points: f64,
    /// To fail it must be proven that the canary is worse than this, in the unit of `margin`.
    pub harm: f64,
    /// And by more than this beside, in the unit of `margin_points`.
    #[serde(default)]
    pub harm_points: f64,
    /// A rate not proven above this is no harm, whatever stable's is; 0: any.
    pub ignore_below: f64,
    /// A rate proven below this is a pass, whatever stable's is; 0: none.
    pub pass_below: f64,
}

impl Against {
    /// Where the margin of a rate is in points, this part of it is no harm yet: 0.05pp of 0.5pp.
    pub(crate) const PART_OF_POINTS: f64 = 0.1;

    /// Does harm begin beyond the margin, with something between the two?
    #[must_use]
    pub fn has_marginal_range(&self) -> bool {
        self.harm > self.margin || self.harm_points > self.margin_points
    }

    /// By how much worse than stable is no harm yet, where nobody says: the factor from which harm of a rate or of answer
    /// times begins, and the part of a mean that may be lost. Arms of equal versions are never exactly equal, since a
    /// small arm has colder connections and caches, and with traffic enough any difference is proven.
    ///
    /// Chosen from `cargo xtask bench tolerance` (docs/figures.md). Tests of rates look for three tenths more and above,
    /// so a rate 10 % higher is borne from 1.05 on. Answer times are counted in bins of 4.4 %, and 1.13 is three of them:
    /// with two, answers 10 % slower are found within a day.
    #[must_use]
    pub const fn tolerance(metric: Metric) -> f64 {
        match metric.kind() {
            MetricKind::Rate => 1.05,
            MetricKind::Time => 1.13,
            MetricKind::Score | MetricKind::Figure => 0.02,
        }
    }

    /// Does harm begin so near to stable that versions that are equal may lie beyond it, with traffic enough? Figures of
    /// the user's own are not asked about, and neither is who says from which rate on harm is worth it.
    #[must_use]
    pub fn is_strict(&self, metric: Metric) -> bool {
        match metric.kind() {
            MetricKind::Rate | MetricKind::Time => {
                self.harm < EQUALS_DIFFER && self.harm_points <= 0.0 && self.ignore_below <= 0.0
            }
            MetricKind::Score => self.harm < EQUAL_MEANS_DIFFER && self.harm_points <= 0.0,
            MetricKind::Figure => false,
        }
    }

    /// Is there something within the margin that is harm all the same once there is proof?
    #[must_use]
    pub fn harm_is_nearer(&self) -> bool {
        self.harm < self.margin || self.harm_points < self.margin_points
    }

    /// The comparison of a metric for which none is written: rates within one and a half times, p99 within a quarter,
    /// means within 2 %.
    #[must_use]
    pub const fn usual(metric: Metric) -> Self {
        let none = Self {
            margin: 0.0,
            harm: 0.0,
            margin_points: 0.0,
            harm_points: 0.0,
            ignore_below: 0.0,
            pass_below: 0.0,
        };
        // As where no harm is written.
        let harm = Self::tolerance(metric);
        match metric.kind() {
            MetricKind::Rate => Self { margin: 1.5, harm, pass_below: 0.01, ..none },
            MetricKind::Time => Self { margin: 1.25, harm, ..none },
            MetricKind::Score | MetricKind::Figure => Self { margin: 0.02, harm, ..none },
        }
    }
}
