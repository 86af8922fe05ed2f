//! Several runs that belong together: models that go up as one, regions that go one after the other.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AfterRun, Answer, Confidence, Gate, Guardrail, HandBack, KeepWarm, Match, Routing, Version};
use crate::amount::Span;
use crate::fleet::{After, HowMany};
use crate::plan::ErrorClass;

/// One of several models that are rolled out together. Fields that it leaves out are those of `spec`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Model {
    /// Its name; `NAME.MODEL`, with the rollout's name, is a label in every counter.
    pub name: String,
    /// The version that serves all traffic today.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<Version>,
    /// The version to roll out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Version>,
    /// Which requests are this model's.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub scope: Option<Match>,
    /// Names of headers and clusters, and which proxy decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing: Option<Routing>,
    /// Where the model's confidence is read and shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Confidence>,
    /// What is read in the bodies of this model's answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// Which outcomes count as errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_classes: Option<Vec<ErrorClass>>,
    /// A request not answered for this long is overdue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue_after: Option<Span>,
    /// Gates of this model in addition to `spec.gates`. A gate with the same name changes only the fields that it has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// Guardrails of this model in addition to `spec.guardrails`.
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

/// The regions, and how they depend on each other. A proxy's region is `node.locality.region` of its bootstrap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Regions {
    /// Waves of regions. The regions of a wave advance together through all stages.
    pub waves: Vec<Vec<String>>,
    /// How far a wave must be before the next begins: `proven` (its last stage is complete; the hand-back waits for all
    /// waves), `succeeded` (its stable route serves the new version), or the number of a stage that must be complete.
    /// Default: proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<After>,
    /// How long it must have been that far. Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soak: Option<Span>,
    /// How many regions must have been rolled back before all are: `any`, `all`, or a number. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<HowMany>,
    /// How many regions of a wave must have proven a stage before they advance; a region that cannot decide stays at its
    /// stage. `all`, or a number. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advance: Option<HowMany>,
}
