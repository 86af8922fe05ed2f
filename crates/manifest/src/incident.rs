//! Trouble that both versions share: what is done about it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is done when a limit is broken by both versions alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SharedIncident {
    /// What.
    pub action: OnSharedIncident,
    /// How long a stage bears it, in milliseconds, all incidents of the stage together.
    pub for_ms: u64,
}

impl Default for SharedIncident {
    fn default() -> Self {
        Self { action: OnSharedIncident::Hold, for_ms: 300_000 }
    }
}

/// What a limit does that both versions break alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnSharedIncident {
    /// No weight rises, people are told, and the canary stays for a while.
    #[default]
    Hold,
    /// Back to stable, as if the canary broke it alone.
    Rollback,
}
