//! What is tried between runs by itself, as meant.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use calendar::Timetable;

/// A drill exposes at most this much: it proves the way back, not the version.
pub const MOST_DRILLED_PPM: u32 = 50_000;

/// The second part of an A/A check is at most half of the traffic.
pub const MOST_SHARED_PPM: u32 = 500_000;

/// An A/A check takes at least as long, and at most, in milliseconds.
pub const PARITY_MS: RangeInclusive<u64> = 10_000..=7 * 86_400_000;

/// A drill that finds a proxy late waits for it at least this long, in milliseconds, so that it can say how late: five
/// minutes, the slowest rollback anybody promises.
pub const DRILL_WAITS_MS: u64 = 300_000;

/// Scheduled exercises between runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Practice {
    /// The rollback path.
    pub drill: Option<DrillPractice>,
    /// A version against itself.
    pub parity: Option<ParityPractice>,
    /// In freezes too, as far as nobody is exposed?
    pub during_freezes: bool,
}

/// The rollback path, tried regularly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DrillPractice {
    /// When.
    pub timetable: Timetable,
    /// The canary's share meanwhile, in parts per million.
    pub weight_ppm: u32,
    /// Every way back must be done within this, in milliseconds.
    pub limit_ms: u64,
}

/// A version against itself, regularly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ParityPractice {
    /// When.
    pub timetable: Timetable,
    /// The longest time of evidence, in milliseconds.
    pub duration_ms: u64,
    /// Is it over as soon as parity is proven?
    pub until_evidence: bool,
    /// The share of the second part, in parts per million.
    pub share_ppm: u32,
    /// Is the same version deployed as canary as well?
    pub deployed: bool,
}

/// The kinds of exercise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExerciseKind {
    /// The rollback path.
    Drill,
    /// A version against itself.
    Parity,
}

impl ExerciseKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Drill, Self::Parity];

    /// As in a sentence: "the drill", "the A/A check".
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Drill => "drill",
            Self::Parity => "A/A check",
        }
    }

    /// The name it has in the store, in metrics and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drill => "drill",
            Self::Parity => "parity",
        }
    }
}

impl Practice {
    /// When an exercise is due; `None`: not by itself.
    #[must_use]
    pub fn timetable(&self, what: ExerciseKind) -> Option<&Timetable> {
        match what {
            ExerciseKind::Drill => self.drill.as_ref().map(|drill| &drill.timetable),
            ExerciseKind::Parity => self.parity.as_ref().map(|parity| &parity.timetable),
        }
    }

    /// Does an exercise send requests to the canary?
    #[must_use]
    pub fn exposes(&self, what: ExerciseKind) -> bool {
        match what {
            ExerciseKind::Drill => self.drill.as_ref().is_some_and(|drill| drill.weight_ppm > 0),
            ExerciseKind::Parity => self.parity.as_ref().is_some_and(|parity| parity.deployed),
        }
    }
}
