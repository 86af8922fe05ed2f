//! What is watched of a version after it was promoted, as meant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::amount::{NotAnAmount, Span, as_text};
use crate::gate::{Gate, Guardrail};

/// For how long something goes on: a time such as `7d`, or `always`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasts {
    /// So long.
    For(Span),
    /// Without end.
    Always,
}

/// The watch over a promoted version: does it stay what it was when it bore all traffic?
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Watch {
    /// For how long, in milliseconds; `None`: until the next run begins.
    pub for_ms: Option<u64>,
    /// The chance that a version that stays as it was is reported, in any week.
    pub alpha: f64,
    /// What is held to what.
    pub gates: Vec<Watched>,
}

/// A gate in the watch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Watched {
    /// Which, by index into [`crate::Plan::gates`].
    pub gate: usize,
    /// How far from what it showed when it was promoted; `None`: its fixed limit alone holds.
    pub room: Option<Room>,
}

/// How far a version may move from what it showed when it was promoted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Room {
    /// As [`crate::Against::margin`].
    pub margin: f64,
    /// As [`crate::Against::margin_points`].
    pub points: f64,
    /// A rate not above this is no drift, whatever it was.
    pub ignore_below: f64,
}

impl Gate {
    /// What the gate measures, held to a limit of its own.
    #[must_use]
    pub fn held_to(&self, limit: f64) -> Guardrail {
        Guardrail {
            name: self.name.clone(),
            metric: self.metric(),
            limit,
            against_stable: false,
            reads: None,
        }
    }
}

impl Room {
    /// The room a gate leaves a canary beside stable: it must not be less here, where there is no stable.
    #[must_use]
    pub fn of(gate: &Gate) -> Option<Self> {
        gate.against.map(|against| Self {
            margin: against.margin.max(against.harm),
            points: against.margin_points.max(against.harm_points),
            ignore_below: against.ignore_below,
        })
    }
}

const LASTS: &str = "a time such as 12h or 7d, or always";

impl FromStr for Lasts {
    type Err = NotAnAmount;

    fn from_str(text: &str) -> Result<Self, NotAnAmount> {
        match text {
            "always" => Ok(Self::Always),
            text => text.parse().map(Self::For).map_err(|_| NotAnAmount::new(text, LASTS)),
        }
    }
}

impl fmt::Display for Lasts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::For(span) => span.fmt(f),
            Self::Always => f.write_str("always"),
        }
    }
}

as_text! {
    Lasts, "a time such as 12h or 7d, or always", "^(always|([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$";
}
