//! Which requests, to which version, and how they are told apart.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::amount::Percent;
use crate::plan::Unit;

/// Which requests a rollout owns; what is absent fits everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Match {
    /// Host names without port, any of which fits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authority: Vec<String>,
    /// `/api` fits `/api` and `/api/x`, not `/apix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<String>,
    /// The listener's port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The listener's direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
}

/// The direction of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// Towards the workload beside the proxy.
    Inbound,
    /// Away from it.
    Outbound,
    /// Gateways and hand-written listeners.
    Unspecified,
}

/// Names of headers and clusters, and which proxy decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Routing {
    /// The request header the routes match. Default: x-serin-arm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// The response header with the version. Default: x-serin-version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_header: Option<String>,
    /// The names of the clusters in Envoy: errors of shadow traffic are read from their counters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clusters: Option<Clusters>,
    /// If not empty: this proxy keeps the arm that a proxy in front of it chose, if the certificate of that proxy names
    /// one of these URIs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub follow: Vec<String>,
}

/// The clusters behind the routes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Clusters {
    /// Behind the stable route. Default: stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<String>,
    /// Behind the canary's. Default: canary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<String>,
}

/// How requests are spread over the versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Assignment {
    /// Default: random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Sticky: where to find the user's key, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Key>,
    /// Sticky: how a request without a key is assigned. Default: random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_key: Option<NoKey>,
    /// The salt of the hash. Default: the rollout's name and the canary's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// Random: the source of randomness. Default: stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// The unit of the statistics. Default: user if sticky, otherwise request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
}

/// By request or by user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// Each request independently.
    #[default]
    Random,
    /// The same user always gets the same version at the same weight.
    Sticky,
}

/// Where to find a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Key {
    /// A request header.
    Header(String),
    /// A cookie.
    Cookie(String),
    /// A query parameter.
    Query(String),
    /// The client's address; `true`.
    SourceAddress(bool),
}

/// How a request without a key is assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum NoKey {
    /// Assigned by weight, by a draw.
    Random,
    /// Stable.
    Stable,
}

/// Where random assignment draws from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// The proxy's own stream, which no client can choose.
    Stream,
    /// The hash of `x-request-id`, for chains of proxies whose edge generates the ids.
    RequestId,
}

/// A condition on one value of the request: exactly one place, exactly one test.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Condition {
    /// A request header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// A cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
    /// A query parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// `true`: the path without its query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<bool>,
    /// The whole value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// The start of the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// `true`: any value that is not empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,
    /// A regular expression that fits the whole value, without look-around and back references; 256 bytes at most. A
    /// value above 1,024 bytes fits none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
}

/// Requests for which the version is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Override {
    /// All must hold.
    pub when: Vec<Condition>,
    /// What they get: `stable`, `canary`, or the name of one of `arms`.
    pub arm: String,
}

/// Requests with a weight of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cohort {
    /// Its name.
    pub name: String,
    /// All must hold.
    pub when: Vec<Condition>,
    /// The share of them that gets the arm, whatever the stage.
    pub weight: Percent,
    /// The arm: `canary`, or the name of one of `arms`. Default: canary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
}

/// Where the model's confidence is read and shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Confidence {
    /// The model's response header that carries it, as a decimal number. This, or `fromBody`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_header: Option<String>,
    /// Where it stands in the answer's JSON, as a JSON pointer (RFC 6901) such as `/predictions/0/score`. It is counted, and not
    /// shown: the headers are on their way by then. This, or `fromHeader`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_body: Option<String>,
    /// The response header it is shown in. Default: x-serin-confidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// The response header that says whether the model or the rollout gave it. Default: x-serin-confidence-source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_header: Option<String>,
    /// What a model may give. Default: 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
}

/// What is read in the bodies of the models' answers, on their way to the client: nothing is delayed or changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Answer {
    /// The shape of an answer. Default: json.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<AnswerFormat>,
    /// Where the predicted class stands, and which there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<AnswerClass>,
    /// Fields that say that an answer is a failure, whatever its status. One of them is enough.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_when: Vec<AnswerFailed>,
    /// Were the models asked for JSON? Then an answer that is none is an error of theirs. With a language model's format it is
    /// the text of the answer that must be JSON. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expects_json: Option<bool>,
    /// How many bytes of one answer are read; of a longer one nothing is known. Default: 4194304, at most 67108864.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u32>,
    /// How many answers one worker of Envoy reads at once; of more nothing is known. Default: 1000, at most 10000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_open: Option<u32>,
}

/// The shape of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AnswerFormat {
    /// Any JSON, or server-sent events of it.
    Json,
    /// OpenAI: chat completions, completions, responses, embeddings; and what others answer in their place.
    OpenAi,
    /// Anthropic messages.
    Anthropic,
    /// KServe v1, and the Open Inference Protocol.
    KServe,
    /// Generate endpoints of Triton, KServe, TGI and llama.cpp.
    Generate,
}

/// Where the predicted class stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AnswerClass {
    /// A JSON pointer such as `/predictions/0/label`: to a text, a whole number or a boolean; or to a list of numbers, of which the
    /// place of the largest is the place of the name.
    pub at: String,
    /// The names, at most 32. What is none of them is counted as other.
    pub names: Vec<String>,
}

/// A field that says that an answer is a failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AnswerFailed {
    /// A JSON pointer such as `/error`.
    pub at: String,
    /// What it must be. Default: it is there, and not null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<AnswerScalar>,
}

/// A text, a number or a boolean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AnswerScalar {
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
}

/// From the least to the largest value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Range {
    /// The least value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
}

/// The dead-man's switch: every proxy asks once a second whether its weights still stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lease {
    /// Unanswered questions before the lease has run out. Default: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intervals: Option<u32>,
    /// What happens then. Default: stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_expired: Option<OnExpired>,
}

/// What an expired lease does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnExpired {
    /// Everything goes to stable.
    Stable,
    /// The last weights hold; for when stable cannot take the traffic back.
    Hold,
}
