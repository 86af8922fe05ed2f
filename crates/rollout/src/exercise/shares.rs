//! Does traffic arrive in the shares it was split in (sample-ratio mismatch)?
//!
//! B2 of the judge on the assigned requests of two parts, whose shares are constant throughout. Among sticky users
//! requests of one user go the same way together, so the counts are divided by how much more they vary than independent
//! requests would: the variance of stable's counts over its 100 groups of users divided by their mean, at its upper
//! 95 % bound. A power likelihood, as everywhere among sticky users (B11); its level is measured in the tests.

use judge::anytime::dirichlet_multinomial_log_e;
use manifest::Plan;
use serde::{Deserialize, Serialize};
use split::policy::Assignment;

use crate::Group;

/// The chance of finding a split off that is not.
pub(super) const ALPHA: f64 = 0.001;

/// The prior's weight in requests: looks for small deviations.
const CONCENTRATION: f64 = 100.0;

/// Groups of users with requests below which nothing is said of their spread.
const MIN_GROUPS: usize = 20;

/// Two parts of the traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// The share of the second part, in parts per million.
    pub share_ppm: u32,
    /// Do requests of one user go together?
    pub sticky: bool,
    /// Requests assigned to the first part and to the second.
    pub assigned: [u64; 2],
    /// Requests of the first part by group of users.
    groups: Vec<u64>,
    /// ln of the largest evidence so far that the split is off.
    pub log_e: f64,
}

/// Are requests of one user kept together?
pub(super) const fn sticky(plan: &Plan) -> bool {
    matches!(plan.traffic.assignment, Assignment::Sticky { .. })
}

impl Split {
    pub(super) const fn new(plan: &Plan, share_ppm: u32) -> Self {
        Self { share_ppm, sticky: sticky(plan), assigned: [0; 2], groups: Vec::new(), log_e: 0.0 }
    }

    pub(super) fn count(&mut self, first: u64, second: u64, groups: &[Group]) {
        let [a, b] = &mut self.assigned;
        (*a, *b) = (a.saturating_add(first), b.saturating_add(second));
        for group in groups {
            let at = usize::from(group.group);
            if at >= self.groups.len() {
                self.groups.resize(at + 1, 0);
            }
            if let Some(sum) = self.groups.get_mut(at) {
                *sum = sum.saturating_add(group.finished);
            }
        }
        self.log_e = self.log_e.max(self.evidence().unwrap_or(0.0));
    }

    /// ln of the evidence now; `None`: the unit is not known.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // counts below 2^53
    fn evidence(&self) -> Option<f64> {
        let spread = self.spread()?;
        let share = self.expected();
        let shares = [1.0 - share, share];
        let prior = shares.map(|share| share * CONCENTRATION);
        let counts = self.assigned.map(|n| (n as f64 / spread).floor() as u64);
        dirichlet_multinomial_log_e(&counts, &prior, &shares).ok()
    }

    /// How much more counts vary than those of independent requests: 1 where each request stands for itself; `None`:
    /// not known yet.
    #[allow(clippy::cast_precision_loss)] // counts below 2^53
    pub(super) fn spread(&self) -> Option<f64> {
        if !self.sticky {
            return Some(1.0);
        }
        let used: Vec<f64> = self.groups.iter().map(|n| *n as f64).collect();
        if used.iter().filter(|n| **n > 0.0).count() < MIN_GROUPS {
            return None;
        }
        let n = used.len() as f64;
        let mean = used.iter().sum::<f64>() / n;
        let variance = used.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
        // The lower 5 % quantile of chi-square over its degrees of freedom (Wilson & Hilferty, 1931).
        let c = 2.0 / (9.0 * (n - 1.0));
        let lower = (1.0 - c - 1.644_853_626_951_472_2 * c.sqrt()).powi(3);
        Some((variance / mean / lower).max(1.0))
    }

    /// The configured share of the second part.
    pub(super) fn expected(&self) -> f64 {
        f64::from(self.share_ppm) / f64::from(split::MILLION)
    }

    /// The share of the second part as it arrived.
    #[allow(clippy::cast_precision_loss)] // counts below 2^53
    pub(super) fn observed(&self) -> Option<f64> {
        let [first, second] = self.assigned;
        let all = first.saturating_add(second);
        (all > 0).then(|| second as f64 / all as f64)
    }

    /// Is it proven off?
    pub(super) fn is_off(&self) -> bool {
        self.log_e >= -ALPHA.ln()
    }

    pub(super) fn sentence(&self) -> String {
        let [first, second] = self.assigned;
        let observed = self.observed().unwrap_or(0.0) * 100.0;
        format!(
            "the second part got {observed:.3}% of {} requests and should get {}%: nothing else can be judged; likely: {}",
            first.saturating_add(second),
            self.expected() * 100.0,
            self.causes().join("; or ")
        )
    }

    /// What is likely behind a split that is off.
    pub(super) fn causes(&self) -> Vec<&'static str> {
        let fewer = self.observed().is_some_and(|observed| observed < self.expected());
        let mut causes = Vec::new();
        if self.heavy_group() {
            causes.push("one user (or a key that many share) makes a large part of the requests");
        }
        if fewer {
            causes.push(
                "some proxy runs an older policy, or its lease runs out: compare serin_policy_generation",
            );
        } else {
            causes.push("some proxy that takes part is not read (--envoy-admin), so that its stable requests are missing");
        }
        if self.sticky {
            causes.push(
                "the key is not spread evenly: an id that another layer has already split by the same hash",
            );
        }
        causes.push("two proxies on one path both decide (routing.role: follow for the second)");
        causes
    }

    /// Has one group of users many times its part?
    #[allow(clippy::cast_precision_loss)] // counts below 2^53
    fn heavy_group(&self) -> bool {
        let all: u64 = self.groups.iter().sum();
        let most = self.groups.iter().max().copied().unwrap_or(0);
        all > 0 && most as f64 * self.groups.len() as f64 > 5.0 * all as f64
    }
}
