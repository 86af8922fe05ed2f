//! Where a figure of the user's own is read, and with whose credentials.
//!
//! No secret stands here: a source names one, and the controller's operator says which names there are.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::amount::Span;

/// Where an external metric is read. Texts may hold `{{rollout}}`, `{{stable}}` and `{{canary}}`, which are filled
/// in ([`Source::filled`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// A query of Prometheus, or of a server with its API; a scalar, or one series. Empty, NaN, and values older than
    /// `every` are no data; an infinite one on the worse side is bad.
    Prometheus(Prometheus),
    /// A field of a JSON answer.
    Http(Http),
    /// Values are pushed (`serin push`).
    Push(Push),
}

/// A query of Prometheus.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Prometheus {
    /// The server, such as http://prometheus:9090.
    pub url: String,
    /// The canary's value, in PromQL.
    pub query: String,
    /// Stable's value, in PromQL; needed with `against: stable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable_query: Option<String>,
    /// Query the values over a time that ends now, in place of the present value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// How several values of one series become one number (`range`, or a query such as `x[5m]`). Default: last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduce: Option<Reduce>,
    /// Credentials, certificates and timeout.
    #[serde(default, skip_serializing_if = "Access::is_plain")]
    pub access: Access,
    /// Read from older stores alone; `access.bearer` took its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub bearer_token_file: Option<String>,
}

/// A time that ends now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Range {
    /// How long, such as 10m.
    pub over: Span,
    /// The time between two values, such as 30s.
    pub step: Span,
}

/// One number of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Reduce {
    /// The newest; when it is NaN, there is no data.
    #[default]
    Last,
    /// The mean of those that are numbers.
    Avg,
    /// The least of those that are numbers.
    Min,
    /// The largest of those that are numbers.
    Max,
}

/// A field of a JSON answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Http {
    /// Asked with GET.
    pub url: String,
    /// The canary's value in the answer, as a JSON pointer.
    pub json_pointer: String,
    /// Stable's value in the answer, as a JSON pointer; needed with `against: stable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable_pointer: Option<String>,
    /// The time of the measurement, as a JSON pointer to 2026-01-31T12:00:00Z, or a number since 1970 in seconds,
    /// milliseconds, microseconds or nanoseconds. Values older than `every`, and from before the stage, are no data then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_pointer: Option<String>,
    /// Credentials, certificates and timeout.
    #[serde(default, skip_serializing_if = "Access::is_plain")]
    pub access: Access,
    /// Read from older stores alone; `access.bearer` took its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub bearer_token_file: Option<String>,
}

/// Pushed values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Push {}

/// Credentials, certificates and timeout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Access {
    /// Request headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Value>,
    /// Basic authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<Basic>,
    /// A bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<Secret>,
    /// TLS: authorities to trust, and a client certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// The timeout, to the last byte of the answer. Default: 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
}

/// A text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Value {
    /// A literal text, readable by everyone.
    Value(String),
    /// The name of a secret that the controller's operator defines.
    Secret(String),
}

/// A secret, by the name that the controller's operator defines (`serin run --secret-dir`, `--secret-env`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Secret {
    /// Its name.
    pub secret: String,
}

/// Basic authentication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Basic {
    /// The user's name.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// TLS: authorities to trust, and a client certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    /// Certificates of the authorities to trust, as PEM. Default: those the controller's system trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<Value>,
    /// The client certificate, with its chain, as PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Value>,
    /// The key of that certificate, as PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Secret>,
    /// The name in the server's certificate. Default: the URL's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Accept any certificate. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure_skip_verify: bool,
}

impl Source {
    /// The source of one run, its placeholders filled in.
    #[must_use]
    pub fn filled(&self, rollout: &str, stable: &str, canary: &str) -> Self {
        let mut filled = self.clone();
        for text in filled.texts_mut() {
            *text = text
                .replace("{{rollout}}", rollout)
                .replace("{{stable}}", stable)
                .replace("{{canary}}", canary);
        }
        filled
    }

    /// Every text a placeholder may stand in.
    pub(crate) fn texts_mut(&mut self) -> Vec<&mut String> {
        match self {
            Self::Prometheus(source) => {
                let mut texts = vec![&mut source.url, &mut source.query];
                texts.extend(source.stable_query.as_mut());
                texts
            }
            Self::Http(source) => {
                let mut texts = vec![&mut source.url, &mut source.json_pointer];
                texts.extend(source.stable_pointer.as_mut());
                texts.extend(source.time_pointer.as_mut());
                texts
            }
            Self::Push(_) => Vec::new(),
        }
    }

    /// The word it stands under in a document.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Prometheus(_) => "prometheus",
            Self::Http(_) => "http",
            Self::Push(_) => "push",
        }
    }

    /// Where it is asked; `None`: nobody is asked.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        match self {
            Self::Prometheus(source) => Some(&source.url),
            Self::Http(source) => Some(&source.url),
            Self::Push(_) => None,
        }
    }

    /// How it is asked; `None`: nobody is asked.
    #[must_use]
    pub const fn access(&self) -> Option<&Access> {
        match self {
            Self::Prometheus(source) => Some(&source.access),
            Self::Http(source) => Some(&source.access),
            Self::Push(_) => None,
        }
    }

    /// Every text a placeholder may stand in, with its field's name.
    pub(crate) fn texts(&self) -> Vec<(&'static str, &str)> {
        let mut texts = Vec::new();
        match self {
            Self::Prometheus(source) => {
                texts.extend([("url", source.url.as_str()), ("query", source.query.as_str())]);
                texts.extend(source.stable_query.as_deref().map(|query| ("stableQuery", query)));
            }
            Self::Http(source) => {
                texts.extend([("url", source.url.as_str()), ("jsonPointer", source.json_pointer.as_str())]);
                texts.extend(source.stable_pointer.as_deref().map(|pointer| ("stablePointer", pointer)));
                texts.extend(source.time_pointer.as_deref().map(|pointer| ("timePointer", pointer)));
            }
            Self::Push(_) => {}
        }
        texts
    }

    /// Does it give stable's value as well?
    #[must_use]
    pub const fn gives_stable(&self) -> bool {
        match self {
            Self::Prometheus(source) => source.stable_query.is_some(),
            Self::Http(source) => source.stable_pointer.is_some(),
            Self::Push(_) => true,
        }
    }
}

impl Access {
    /// Is there nothing special about it?
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// The secrets it names, each with its field.
    #[must_use]
    pub fn secrets(&self) -> Vec<(String, &str)> {
        let headers = self.headers.iter().map(|(name, value)| (format!("headers.{name}"), value.secret()));
        let basic = self.basic.iter().map(|basic| ("basic.password", basic.password.secret.as_str()));
        let bearer = self.bearer.iter().map(|bearer| ("bearer", bearer.secret.as_str()));
        let tls = self.tls.iter().flat_map(|tls| {
            [
                ("tls.ca", tls.ca.as_ref().and_then(Value::secret)),
                ("tls.certificate", tls.certificate.as_ref().and_then(Value::secret)),
                ("tls.key", tls.key.as_ref().map(|key| key.secret.as_str())),
            ]
        });
        let given = basic.chain(bearer).map(|(field, name)| (field, Some(name))).chain(tls);
        let given = given.map(|(field, name)| (field.to_owned(), name)).chain(headers);
        given.filter_map(|(field, name)| Some((format!("{field}.secret"), name?))).collect()
    }
}

impl Value {
    /// The name of the secret it is, if it is one.
    #[must_use]
    pub fn secret(&self) -> Option<&str> {
        match self {
            Self::Secret(name) => Some(name),
            Self::Value(_) => None,
        }
    }
}
