//! What was counted between two looks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use split::Arm;

use crate::Answers;

/// The counts of one look, of all proxies together. Only requests assigned by weight (`cause=weight`) belong here.
///
/// Proxies under the same weights are added up: the weights say in which proportion each splits its requests, so the sums
/// compare like with like, and what a quiet proxy counts is not lost. Under other weights nothing is added.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// The epoch of the weights by which the requests were assigned.
    pub epoch: u64,
    /// The start, in milliseconds since 1970.
    pub from_ms: u64,
    /// The end, in milliseconds since 1970.
    pub to_ms: u64,
    /// Requests the canary got; of several challengers, the lead.
    pub canary: Counts,
    /// Requests the challengers beside the lead got.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rivals: BTreeMap<Arm, Counts>,
    /// Requests stable got, without the baseline's.
    pub stable: Counts,
    /// Requests of the virtual baseline; stable served them.
    pub baseline: Counts,
    /// Requests assigned by other weights than those of `epoch`: they ended late, or their proxy lags. They may show harm,
    /// and prove nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Stratum>,
    /// The age at which a request without an answer is overdue, in milliseconds; 0: nobody asked.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub overdue_age_ms: u32,
    /// Which proxies it rests on. Absent: whoever counted does not say, and all of them are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<ProxyCoverage>,
    /// Why nothing is known of this interval (no proxy answers). It is then left out altogether.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<String>,
    /// Why these counts may show harm, and prove nothing (a proxy missing, weights on their way, requests too young).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unproven: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's form
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Which proxies a look at the counters rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProxyCoverage {
    /// Proxies that told all they knew.
    pub told: u32,
    /// Proxies that were asked.
    pub asked: u32,
    /// What the others lack, for people: addresses and errors. Empty when all told everything.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub lacking: String,
    /// What was read does not show what it should, for people: proxies that carry the canary and that nobody reads, or
    /// that run without the filter. Empty when there is nothing of the kind.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unread: String,
    /// None of the proxies that take the weights is among those that are read.
    pub blind: bool,
}

impl ProxyCoverage {
    /// Is this a whole look: did at least this share (0 to 1) of the proxies tell all they knew?
    #[must_use]
    pub fn is_whole(&self, share: f64) -> bool {
        !self.blind && self.asked > 0 && f64::from(self.told) >= share * f64::from(self.asked)
    }
}

/// Counts of requests that were assigned by the same weights.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stratum {
    /// The epoch of those weights.
    pub epoch: u64,
    /// Requests the canary got; of several challengers, the lead.
    pub canary: Counts,
    /// Requests the challengers beside the lead got.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rivals: BTreeMap<Arm, Counts>,
    /// Requests stable got, without the baseline's.
    pub stable: Counts,
    /// Requests of the virtual baseline; stable served them.
    pub baseline: Counts,
}

/// Increments of one arm's counters within an interval.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Counts {
    /// Requests sent there.
    pub assigned: u64,
    /// Requests finished, in whatever way.
    pub finished: u64,
    /// Of these, requests with an outcome (`tally::Class::is_outcome`): the client stayed and got an answer or an
    /// error.
    pub outcomes: u64,
    /// Of the outcomes, errors: the classes of [`manifest::Plan::error_classes`].
    pub errors: u64,
    /// Of the finished, clients that went away before the end of the answer.
    pub gone: u64,
    /// Of the finished, answers that the proxy gave by itself: no model was asked.
    #[serde(skip_serializing_if = "none")]
    pub local: u64,
    /// Of the finished, requests that the version's cluster did not take: no outcomes, and compared all the same.
    #[serde(skip_serializing_if = "none")]
    pub overflow: u64,
    /// Requests whose tries are known: those with an answer time.
    #[serde(skip_serializing_if = "none")]
    pub tried: u64,
    /// Of these, requests that took more than one try.
    #[serde(skip_serializing_if = "none")]
    pub retried: u64,
    /// Requests that reached the age at which an answer is overdue.
    pub overdue: Aged,
    /// Answer times.
    pub latency: Bins,
    /// The model's confidence.
    pub confidence: Moments,
    /// Outcomes per group of users (stable only): the measure of how much requests of one user go together. `None`:
    /// the source does not count groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<Group>>,
    /// What the bodies of answers said.
    #[serde(skip_serializing_if = "Answers::is_empty")]
    pub answers: Answers,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's form
const fn none(number: &u64) -> bool {
    *number == 0
}

/// Requests that reached the age at which an answer is overdue, and those of them that had none by then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Aged {
    /// Reached that age in this interval, whatever their outcome.
    pub reached: u64,
    /// Had no answer by then: they wait still, or their client left after a quarter of that age or more.
    pub overdue: u64,
    /// Had none because their client left sooner. How many do is no limit's business, but equal versions have equally
    /// many.
    #[serde(skip_serializing_if = "none")]
    pub left_soon: u64,
}

impl Aged {
    /// Adds another's.
    pub const fn add(&mut self, other: Self) {
        self.reached += other.reached;
        self.overdue += other.overdue;
        self.left_soon += other.left_soon;
    }
}

/// A histogram of answer times: how many fell in each bin that has any. Bins are those of
/// `tally::latency_upper_ms`; what was never answered (timeouts, resets) is in `tally::LATENCY_TOP`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bins(pub BTreeMap<u16, u64>);

/// Count, sum and sum of squares of a bounded score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Moments {
    /// How many.
    pub n: u64,
    /// Their sum.
    pub sum: f64,
    /// The sum of their squares.
    pub sum_squares: f64,
}

/// One group's outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Group {
    /// Which of the 100 groups.
    pub group: u16,
    /// Requests with an outcome.
    pub finished: u64,
    /// Of these, errors.
    pub errors: u64,
}

impl Stratum {
    /// The canary, and what it is compared with.
    pub fn compared(&self) -> (&Counts, Counts) {
        let mut control = self.stable.clone();
        control.add(&self.baseline);
        (&self.canary, control)
    }
}

impl Counts {
    /// The same without answer times and other distributions.
    pub fn without_latencies(&self) -> Self {
        let mut bare = Self { latency: Bins::default(), ..self.clone() };
        bare.answers.forget_distributions();
        bare
    }

    /// Adds another arm's or proxy's counts of the same interval.
    pub fn add(&mut self, other: &Self) {
        self.assigned += other.assigned;
        self.finished += other.finished;
        self.outcomes += other.outcomes;
        self.errors += other.errors;
        self.gone += other.gone;
        self.local += other.local;
        self.overflow += other.overflow;
        self.tried += other.tried;
        self.retried += other.retried;
        self.overdue.add(other.overdue);
        self.latency.add(&other.latency);
        self.confidence.merge(other.confidence);
        self.answers.add(&other.answers);
        if let Some(groups) = &other.groups {
            self.groups.get_or_insert_default().extend_from_slice(groups);
        }
    }
}

impl Bins {
    /// Is nothing in any bin?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds another histogram.
    pub fn add(&mut self, other: &Self) {
        for (&bin, &n) in &other.0 {
            *self.0.entry(bin).or_default() += n;
        }
    }

    /// All values.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Values in bins after `bin`.
    #[must_use]
    pub fn after(&self, bin: u16) -> u64 {
        bin.checked_add(1).map_or(0, |next| self.0.range(next..).map(|(_, n)| n).sum())
    }

    /// Values surely longer than `ms`: those in bins that begin at `ms` or later.
    #[must_use]
    pub fn longer_than(&self, ms: u64) -> u64 {
        self.after(tally::latency_bin(ms.saturating_mul(1_000_000)))
    }

    /// The same of times that stand in every second bin ([`tally::coarse_bin`]): each says that much less.
    #[must_use]
    pub fn longer_than_coarse(&self, ms: u64) -> u64 {
        self.after(tally::coarse_bin(ms.saturating_mul(1_000_000)))
    }

    /// Values perhaps longer than `ms`: those in the bin it falls into as well, unless it is that bin's end.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // milliseconds below a year
    pub fn may_exceed(&self, ms: u64) -> u64 {
        let bin = tally::latency_bin(ms.saturating_mul(1_000_000));
        let own =
            if tally::latency_upper_ms(bin) > ms as f64 { self.0.get(&bin).copied().unwrap_or(0) } else { 0 };
        own + self.after(bin)
    }

    /// The bin that holds the quantile `q` (0 to 1); `None` of an empty histogram.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // counts below 2^53
    pub fn quantile_bin(&self, q: f64) -> Option<u16> {
        let wanted = q * self.total() as f64;
        let mut seen = 0_u64;
        self.0
            .iter()
            .filter(|&(_, &n)| n > 0)
            .find(|&(_, &n)| {
                seen += n;
                seen as f64 >= wanted
            })
            .map(|(&bin, _)| bin)
    }

    /// The quantile `q` in milliseconds, as the upper edge of its bin: at most 4.4 % too large, infinite when it was
    /// never answered.
    #[must_use]
    pub fn quantile_ms(&self, q: f64) -> Option<f64> {
        self.quantile_bin(q).map(tally::latency_upper_ms)
    }
}

impl Moments {
    /// Is there no value?
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Adds another's.
    pub fn merge(&mut self, other: Self) {
        self.n += other.n;
        self.sum += other.sum;
        self.sum_squares += other.sum_squares;
    }

    /// Adds a value that came `by` times.
    #[allow(clippy::cast_precision_loss)] // counts below 2^53
    pub fn add(&mut self, value: f64, by: u64) {
        self.n += by;
        self.sum += value * by as f64;
        self.sum_squares += value * value * by as f64;
    }
}
