//! Several runs that belong together: models that go up as one, regions that go one after the other.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AfterRun, Confidence, Gate, Guardrail, HandBack, KeepWarm, Match, Routing, Version};
use crate::amount::Span;
use crate::fleet::{After, HowMany};
use crate::plan::ErrorClass;

/// One of the models that go up as one. What it leaves out is as in the spec around it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Model {
    /// Its name; with the rollout's before it (`NAME.MODEL`) a label in every counter.
    pub name: String,
    /// The version everybody gets today.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<Version>,
    /// The version to roll out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Version>,
    /// Which requests are this model's.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub scope: Option<Match>,
    /// Names of headers, and who decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing: Option<Routing>,
    /// Where the model's confidence is read and shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Confidence>,
    /// Which outcomes count as errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_classes: Option<Vec<ErrorClass>>,
    /// A request not answered for this long is overdue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue_after: Option<Span>,
    /// What this model must prove beside `spec.gates`. One with the name of a gate there changes only the fields it
    /// gives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// Limits of this model beside `spec.guardrails`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guardrails: Vec<Guardrail>,
    /// How this model's new version gets behind its stable route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hand_back: Option<HandBack>,
    /// For how long this model's version without traffic stays deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_warm: Option<KeepWarm>,
    /// Called when this model's version without traffic can be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<AfterRun>,
}

/// The regions, and what they mean to each other. A proxy's region is `node.locality.region` of its bootstrap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Regions {
    /// Regions that go together, wave after wave. Each wave goes the whole way up, stage by stage.
    pub waves: Vec<Vec<String>>,
    /// How far a wave must be before the next begins: `proven` (its last stage is complete; nothing is handed back
    /// before the last wave is there too), `succeeded` (its stable route serves the new version), or the number of a
    /// stage that must be complete. Default: proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<After>,
    /// How long it must have been there. Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soak: Option<Span>,
    /// How many regions must have gone back before all do: `any`, `all`, or a number. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<HowMany>,
    /// How many regions of a wave must have proven a stage before those go on; one that cannot decide stays where it
    /// is. `all`, or a number. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advance: Option<HowMany>,
}
