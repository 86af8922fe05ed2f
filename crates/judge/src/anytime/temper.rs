//! B11: what to do when requests come in clumps (sticky users, retries).
//!
//! The groups are hash buckets of users, so a user lies in exactly one group and groups are independent. The
//! design effect is how much larger the variance of the event count is than for independent requests; ln L is
//! divided by it. A heuristic (a power likelihood), not a theorem; its level is measured by simulation.
//! Kish, "Survey Sampling", 1965; cluster-robust variance: Liang & Zeger, "Longitudinal data analysis using
//! generalized linear models", Biometrika 1986.

use crate::JudgeError;

/// Requests and events of one group (one hash bucket of users) of the stable arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Group {
    /// Requests.
    pub n: u64,
    /// Events among them.
    pub k: u64,
}

/// An estimated design effect.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DesignEffect {
    /// Variance relative to independent requests; at least 1 as used, may be below 1 as estimated.
    pub estimate: f64,
    /// Groups with at least one request.
    pub groups: u32,
}

/// Fewer groups than this give no usable estimate.
pub const MIN_GROUPS: usize = 20;

impl DesignEffect {
    /// deff = sum r_b^2 / (p (1-p) sum n_b), r_b = k_b - p n_b, times G/(G-1) for the estimated p.
    ///
    /// # Errors
    /// Fewer than 20 groups with requests, more events than requests in a group, or no events (or only
    /// events) at all, when nothing can be said about clumping.
    pub fn from_groups(groups: &[Group]) -> Result<Self, JudgeError> {
        if let Some(bad) = groups.iter().find(|g| g.k > g.n) {
            return Err(JudgeError::EventsExceedTrials { arm: "stable", events: bad.k, trials: bad.n });
        }
        let used: Vec<&Group> = groups.iter().filter(|g| g.n > 0).collect();
        if used.len() < MIN_GROUPS {
            return Err(JudgeError::TooFew {
                what: "groups with requests",
                got: used.len() as u64,
                need: MIN_GROUPS as u64,
            });
        }
        let n: f64 = used.iter().map(|g| g.n as f64).sum();
        let k: f64 = used.iter().map(|g| g.k as f64).sum();
        let p = k / n;
        if k == 0.0 || k == n {
            return Err(JudgeError::Constant { what: "events over groups" });
        }
        let squares: f64 = used.iter().map(|g| (g.k as f64 - p * g.n as f64).powi(2)).sum();
        let count = used.len() as f64;
        let estimate = squares / (p * (1.0 - p) * n) * count / (count - 1.0);
        Ok(Self { estimate, groups: used.len() as u32 })
    }

    /// The largest design effect any metric can have: that of one on which all requests of a user agree.
    ///
    /// It is E[m^2]/E[m] for m requests of a user (Kish, 1965, with an intraclass correlation of 1), which is the
    /// dispersion of requests over groups, var(n_b)/mean(n_b), since users fall into groups at random. So it needs no
    /// counts but requests, and no metric of its own; where requests of a user agree less, it asks for too much. `groups`
    /// holds all groups, those without a request too.
    ///
    /// # Errors
    /// Fewer than 20 groups, or fewer than five requests a group.
    pub fn largest(groups: &[Group]) -> Result<Self, JudgeError> {
        let count = groups.len();
        let total: f64 = groups.iter().map(|g| g.n as f64).sum();
        if count < MIN_GROUPS {
            let (what, need) = ("groups", MIN_GROUPS as u64);
            return Err(JudgeError::TooFew { what, got: count as u64, need });
        }
        let mean = total / count as f64;
        if mean < 5.0 {
            let (what, need) = ("requests over groups", 5 * count as u64);
            return Err(JudgeError::TooFew { what, got: total as u64, need });
        }
        let squares: f64 = groups.iter().map(|g| (g.n as f64 - mean).powi(2)).sum();
        Ok(Self { estimate: squares / (count - 1) as f64 / mean, groups: count as u32 })
    }

    /// The factor to divide log evidence and sample sizes by: never below 1.
    pub fn factor(&self) -> f64 {
        self.estimate.max(1.0)
    }

    /// An upper confidence bound at 95 % from the chi-square law of G - 1 degrees of freedom
    /// (Wilson & Hilferty, 1931), for use while groups are few.
    pub fn upper_bound(&self) -> f64 {
        let df = f64::from(self.groups.saturating_sub(1).max(1));
        let c = 2.0 / (9.0 * df);
        let lower_quantile = df * (1.0 - c - 1.644_853_626_951_472_2 * c.sqrt()).powi(3);
        (self.estimate * df / lower_quantile).max(1.0)
    }
}
