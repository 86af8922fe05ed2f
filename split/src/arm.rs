use std::fmt;

use serde::{Deserialize, Serialize};

/// One side of the split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// The version that serves by default.
    Stable,
    /// The version on trial.
    Canary,
    /// The virtual baseline: served by stable, counted apart, as large as the canary.
    Baseline,
}

impl Arm {
    /// Every arm, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Stable, Self::Canary, Self::Baseline];

    /// The arm as it stands in the routing header and in labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Canary => "canary",
            Self::Baseline => "baseline",
        }
    }

    /// Reads [`Arm::as_str`] back; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|arm| arm.as_str() == text)
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a request was given its arm. Only [`Cause::Weight`] is evidence: every other cause chooses its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The rollout's weight, by hash or by draw.
    Weight,
    /// A cohort's own weight.
    Cohort,
    /// An override named the arm.
    Override,
    /// Sticky assignment found no key and the policy says what then.
    NoKey,
    /// The lease had run out or was revoked: stable.
    Fallback,
}

impl Cause {
    /// Every cause, in the order in which they are shown.
    pub const ALL: [Self; 5] = [Self::Weight, Self::Cohort, Self::Override, Self::NoKey, Self::Fallback];

    /// The cause as it stands in labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Weight => "weight",
            Self::Cohort => "cohort",
            Self::Override => "override",
            Self::NoKey => "no_key",
            Self::Fallback => "fallback",
        }
    }

    /// Reads [`Cause::as_str`] back; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == text)
    }
}
