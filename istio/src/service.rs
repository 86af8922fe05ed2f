//! The controller in the cluster, asked through the API server: no port needs to be forwarded, and whoever may use the service's
//! proxy (`services/proxy`) may ask.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use kube::Client;
use kube::client::Body;
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::Plugin;

/// A service: `NAMESPACE`, or `NAMESPACE/SERVICE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceName {
    /// Its namespace.
    pub namespace: String,
    /// What it is called there.
    pub name: String,
}

impl Default for ServiceName {
    /// As `istio/controller.yaml` has it.
    fn default() -> Self {
        Self { namespace: "serin-system".to_owned(), name: "serin".to_owned() }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for ServiceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (namespace, name) = text.split_once('/').unwrap_or((text, "serin"));
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if [namespace, name].iter().any(|part| part.is_empty() || !part.chars().all(plain)) {
            return Err(format!("{text:?} names no service; write NAMESPACE or NAMESPACE/SERVICE"));
        }
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

/// A service that is asked through the API server.
pub struct Service {
    name: ServiceName,
    client: OnceCell<Client>,
    within: Duration,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why there is no answer of the service's own.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Away(pub String);

impl Service {
    /// Asks nobody yet.
    #[must_use]
    pub fn new(name: ServiceName, within: Duration) -> Self {
        Self { name, client: OnceCell::new(), within }
    }

    /// The API server that the environment names.
    ///
    /// # Errors
    /// Where none is to be had.
    pub async fn client(&self) -> Result<&Client, Away> {
        self.client.get_or_try_init(|| Plugin::client(None)).await.map_err(|error| Away(error.to_string()))
    }

    /// Asks; its path begins with a slash, and the answer is the service's own.
    ///
    /// # Errors
    /// When the API server, or the service behind it, does not answer.
    pub async fn ask(&self, request: http::Request<Vec<u8>>) -> Result<http::Response<Vec<u8>>, Away> {
        let ServiceName { namespace, name } = &self.name;
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let path = format!("/api/v1/namespaces/{namespace}/services/http:{name}:7070/proxy{path}");
        parts.uri = path.parse().map_err(|error| Away(format!("{path}: {error}")))?;
        // The API server hands its own name on, by which no controller is known.
        parts.headers.insert(http::header::HOST, http::HeaderValue::from_static("localhost"));
        let client = self.client().await?;
        let answered = async {
            let answer = client.send(http::Request::from_parts(parts, Body::from(body))).await?;
            let (parts, body) = answer.into_parts();
            let body = body.collect_bytes().await?;
            Ok::<_, kube::Error>(http::Response::from_parts(parts, body.to_vec()))
        };
        let answer = match timeout(self.within, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(Away(format!("the API server does not answer: {error}"))),
            Err(_) => return Err(Away(format!("no answer within {} s", self.within.as_secs()))),
        };
        match of_api_server(answer.body()) {
            Some(why) => Err(Away(format!("service {}: {why}", self.name))),
            None => Ok(answer),
        }
    }
}

/// What the API server says in the service's place.
fn of_api_server(body: &[u8]) -> Option<String> {
    let status: Value = serde_json::from_slice(body).ok()?;
    (status.get("kind")? == "Status" && status.get("apiVersion").is_some())
        .then(|| status.get("message").and_then(Value::as_str).unwrap_or("it refused").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_named() {
        let named = |namespace: &str, name: &str| {
            Ok(ServiceName { namespace: namespace.to_owned(), name: name.to_owned() })
        };
        assert_eq!("serin-system".parse(), named("serin-system", "serin"));
        assert_eq!("a/b".parse(), named("a", "b"));
        for wrong in ["", "/", "a/", "a/b/c", "A"] {
            assert!(
                wrong.parse::<ServiceName>().is_err_and(|error| error.contains("NAMESPACE/SERVICE")),
                "{wrong}"
            );
        }
    }

    #[test]
    fn the_api_servers_word_is_told_from_the_controllers() {
        let status = br#"{"kind":"Status","apiVersion":"v1","message":"no endpoints available"}"#;
        assert_eq!(of_api_server(status).as_deref(), Some("no endpoints available"));
        for own in [&b"{\"error\":\"no\"}"[..], b"[]", b"ok\n", b"{\"kind\":\"Status\"}"] {
            assert_eq!(of_api_server(own), None);
        }
    }
}
