//! Runs that belong together, as meant: what a member of a fleet knows of the others.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::amount::{NotAnAmount, as_text};

/// A run's place among those it belongs to. All members of a fleet have the same stages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Member {
    /// The fleet: the rollout as applied.
    pub fleet: String,
    /// Which of the models; `None`: there is one.
    pub model: Option<String>,
    /// The region whose proxies serve it; `None`: all proxies.
    pub region: Option<String>,
    /// The region's wave, from 0.
    pub wave: usize,
    /// How the regions go together.
    pub terms: Terms,
}

/// How the regions of a fleet go together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Terms {
    /// How many regions must have gone back before all do.
    pub abort: HowMany,
    /// How many regions of a wave must have proven a stage before those go on.
    pub advance: HowMany,
    /// How far a wave must be before the next begins.
    pub after: After,
    /// How long it must have been there, in milliseconds.
    pub soak_ms: u64,
}

/// How many of several: `any`, `all`, or a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HowMany {
    /// One is enough.
    #[default]
    Any,
    /// Every one.
    All,
    /// So many; of fewer all.
    Least(u32),
}

/// How far a wave must be before the next begins: `proven`, `succeeded`, or the number of a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum After {
    /// This stage is complete, from 1.
    Stage(u32),
    /// The last stage is complete; the hand-back waits for all waves.
    #[default]
    Proven,
    /// Stable serves the new version.
    Succeeded,
}

impl HowMany {
    /// How many of `n` that is: at least one, at most all.
    #[must_use]
    pub fn of(self, n: usize) -> usize {
        match self {
            Self::Any => 1.min(n),
            Self::All => n,
            Self::Least(least) => usize::try_from(least).unwrap_or(n).clamp(1, n.max(1)).min(n),
        }
    }
}

const HOW_MANY: &str = "any, all, or a number of regions such as 2";
const AFTER: &str = "proven, succeeded, or the number of a stage such as 2";

impl FromStr for HowMany {
    type Err = NotAnAmount;

    fn from_str(text: &str) -> Result<Self, NotAnAmount> {
        match (text, text.parse()) {
            ("any", _) => Ok(Self::Any),
            ("all", _) => Ok(Self::All),
            (_, Ok(least)) if least > 0 => Ok(Self::Least(least)),
            _ => Err(NotAnAmount::new(text, HOW_MANY)),
        }
    }
}

impl FromStr for After {
    type Err = NotAnAmount;

    fn from_str(text: &str) -> Result<Self, NotAnAmount> {
        match (text, text.parse()) {
            ("proven", _) => Ok(Self::Proven),
            ("succeeded", _) => Ok(Self::Succeeded),
            (_, Ok(stage)) if stage > 0 => Ok(Self::Stage(stage)),
            _ => Err(NotAnAmount::new(text, AFTER)),
        }
    }
}

impl fmt::Display for HowMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::All => f.write_str("all"),
            Self::Least(least) => least.fmt(f),
        }
    }
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stage(stage) => stage.fmt(f),
            Self::Proven => f.write_str("proven"),
            Self::Succeeded => f.write_str("succeeded"),
        }
    }
}

as_text! {
    HowMany, "any, all, or a number", "^(any|all|[1-9][0-9]*)$";
    After, "proven, succeeded, or the number of a stage", "^(proven|succeeded|[1-9][0-9]*)$";
}
