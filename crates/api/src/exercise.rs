//! Drills and A/A checks: `POST /v1/rollouts/{name}/drill` and `.../parity`. The result of it is read at
//! `.../drills/{number}` ([`crate::DrillView`]) and `.../parity/{number}` ([`crate::ParityView`]).

use manifest::{Percent, Span};
use serde::{Deserialize, Serialize};

/// The parameters of a drill; every field has a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DrillRequest {
    /// The canary's share while it is exposed.
    pub weight: Percent,
    /// The time within which the rollback must reach every proxy.
    pub limit: Span,
    /// Why.
    pub reason: String,
}

impl Default for DrillRequest {
    fn default() -> Self {
        Self { weight: Percent::from_ppm(0), limit: Span::from_ms(30_000), reason: String::new() }
    }
}

/// The parameters of an A/A check; every field has a default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ParityRequest {
    /// The share of the second part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<Percent>,
    /// Is the version deployed twice?
    pub deployed: bool,
    /// For how long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<Span>,
    /// With a duration: is it done as soon as parity is proven?
    pub until_evidence: bool,
    /// Why.
    pub reason: String,
}

/// A drill or an A/A check began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Begun {
    /// Counted for each rollout and kind, from 1.
    pub number: u64,
}
