//! What a version showed when it was promoted, as people see it.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::answers::AnswersView;
use crate::open_enum::number;
use crate::{Aged, Baseline, Bins, Counts, Group, Moments};

/// A version's counters from the end of its rollout, as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BaselineView {
    /// The version.
    pub version: String,
    /// When the first of its stages began, in milliseconds since 1970.
    pub from_unix_ms: u64,
    /// When it was promoted, in milliseconds since 1970.
    pub to_unix_ms: u64,
    /// Its last so many stages are in it.
    pub stages: usize,
    /// What it showed in them.
    pub counts: CountsView,
}

/// Counts of requests, as the API shows it; see [`Counts`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CountsView {
    /// Requests sent there.
    pub assigned: u64,
    /// Requests finished, in whatever way.
    pub finished: u64,
    /// Of these, requests with an outcome.
    pub outcomes: u64,
    /// Of the outcomes, errors.
    pub errors: u64,
    /// Of the finished, clients that went away before the end of the answer.
    pub gone: u64,
    /// Of the finished, answers that the proxy gave by itself.
    #[serde(skip_serializing_if = "none")]
    pub local: u64,
    /// Of the finished, requests that the version's cluster did not take.
    #[serde(skip_serializing_if = "none")]
    pub overflow: u64,
    /// Requests whose tries are known: those with an answer time.
    #[serde(skip_serializing_if = "none")]
    pub tried: u64,
    /// Of these, requests that took more than one try.
    #[serde(skip_serializing_if = "none")]
    pub retried: u64,
    /// Requests that reached the age at which an answer is overdue.
    pub overdue: AgedView,
    /// How many answer times fell in each bin that has any.
    #[serde(deserialize_with = "bins")]
    pub latency: BTreeMap<u16, u64>,
    /// The model's confidence.
    pub confidence: MomentsView,
    /// Outcomes per group of users; absent: they are not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<GroupView>>,
    /// What the bodies of answers said; absent: none were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<AnswersView>,
}

/// Requests that reached an age, as the API shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgedView {
    /// Reached that age.
    pub reached: u64,
    /// Had no answer by then.
    pub overdue: u64,
    /// Had none because their client left sooner.
    #[serde(skip_serializing_if = "none")]
    pub left_soon: u64,
}

/// Count, sum and sum of squares of a score, as the API shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MomentsView {
    /// How many.
    pub n: u64,
    /// Their sum.
    #[serde(deserialize_with = "number")]
    pub sum: f64,
    /// The sum of their squares.
    #[serde(deserialize_with = "number")]
    pub sum_squares: f64,
}

/// One group's outcomes, as the API shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupView {
    /// Which of the 100 groups.
    pub group: u16,
    /// Requests with an outcome.
    pub finished: u64,
    /// Of these, errors.
    pub errors: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's form
pub(super) const fn none(number: &u64) -> bool {
    *number == 0
}

/// Keys of JSON are text, and serde forgets that they may be numbers where an object is part of a larger one
/// (`flatten`).
pub(super) fn bins<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<u16, u64>, D::Error> {
    let read = BTreeMap::<String, u64>::deserialize(from)?;
    Ok(read.into_iter().filter_map(|(bin, n)| Some((bin.parse().ok()?, n))).collect())
}

impl From<&Baseline> for BaselineView {
    fn from(known: &Baseline) -> Self {
        let Baseline { version, from_unix_ms, to_unix_ms, stages, counts } = known;
        let (from_unix_ms, to_unix_ms, stages) = (*from_unix_ms, *to_unix_ms, *stages);
        Self { version: version.clone(), from_unix_ms, to_unix_ms, stages, counts: counts.into() }
    }
}

impl From<Moments> for MomentsView {
    fn from(Moments { n, sum, sum_squares }: Moments) -> Self {
        Self { n, sum, sum_squares }
    }
}

impl From<&Counts> for CountsView {
    fn from(known: &Counts) -> Self {
        let Counts {
            assigned,
            finished,
            outcomes,
            errors,
            gone,
            local,
            overflow,
            tried,
            retried,
            overdue: Aged { reached, overdue, left_soon },
            latency: Bins(latency),
            confidence,
            groups,
            answers,
        } = known.clone();
        let group = |Group { group, finished, errors }| GroupView { group, finished, errors };
        Self {
            assigned,
            finished,
            outcomes,
            errors,
            gone,
            local,
            overflow,
            tried,
            retried,
            overdue: AgedView { reached, overdue, left_soon },
            latency,
            confidence: confidence.into(),
            groups: groups.map(|groups| groups.into_iter().map(group).collect()),
            answers: (!answers.is_empty()).then(|| answers.into()),
        }
    }
}
