//! The trigger as typed: what in a model registry begins a rollout.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{API_VERSION, Metadata, RolloutSpec};
use crate::amount::Span;
use crate::source::Access;

/// The kind of this document.
pub const TRIGGER: &str = "Trigger";

/// What begins a rollout by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Trigger {
    /// `serin.dev/v1alpha1`.
    #[schemars(extend("const" = API_VERSION))]
    pub api_version: String,
    /// `Trigger`.
    #[schemars(extend("const" = "Trigger"))]
    pub kind: String,
    /// Its name.
    pub metadata: Metadata,
    /// What it waits for, and what it begins.
    pub spec: TriggerSpec,
}

/// What a trigger waits for, and what it begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TriggerSpec {
    /// A model of an MLflow registry. Default: none; versions are then named by webhooks and by `serin trigger fire`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mlflow: Option<Mlflow>,
    /// Lets the registry say at once that something has changed. Default: nobody may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// The rollout that begins.
    pub template: Template,
}

/// A model of an MLflow registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mlflow {
    /// The registered model's name.
    pub model: String,
    /// The workspace the model is in, where the server has several. Default: `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// What means "go": exactly one of these.
    pub when: When,
    /// The tracking server's address, to be asked again and again. Default: it is not asked, and only webhooks tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Credentials, certificates and timeout.
    #[serde(default, skip_serializing_if = "Access::is_plain")]
    pub access: Access,
    /// How often it is asked, 5s at least. Default: 1m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
}

/// What means "go": exactly one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct When {
    /// The version that carries this alias, such as `challenger`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// The newest version with this tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Tag>,
    /// The newest version in this stage, such as `Staging`. MLflow sends no webhooks for stages: it must be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// The newest version there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<bool>,
}

/// A tag of a model version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tag {
    /// Its key, such as `production-ready`.
    pub key: String,
    /// Its value. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// Who may say that something has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Webhook {
    /// The name of the secret deliveries are signed with, as the controller's operator offers it. Needed unless
    /// `unsigned`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Takes deliveries of anybody. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsigned: Option<bool>,
    /// How far a delivery's time may be from ours. Default: 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<Span>,
}

/// A rollout whose versions are known later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Template {
    /// What the rollout is called.
    pub metadata: Metadata,
    /// Its specification. `canary.version` holds `{{version}}`, which becomes the registry's version number;
    /// `stable.version` is what is behind the stable route before the first run, and is known afterwards.
    /// `supersede` is `queue` when left out.
    pub spec: RolloutSpec,
}
