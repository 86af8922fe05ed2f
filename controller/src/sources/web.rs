//! One GET, over HTTP or HTTPS.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use reqwest::Url;
use rustls::{ClientConfig, RootCertStore};

/// From the question to the last byte of the answer. Readings are minutes apart, so a slow answer is still in time,
/// and none keeps a place for long.
const TIMEOUT: Duration = Duration::from_secs(10);
/// An answer holds a figure or two; whoever sends more was asked the wrong question.
const LONGEST: usize = 4 << 20;

#[derive(Clone)]
pub struct Web {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    timeout: Duration,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

impl Web {
    pub fn new() -> Result<Self> {
        let provider = || Arc::new(rustls::crypto::ring::default_provider());
        let found = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider());
        let connector = match found {
            Ok(connector) => connector,
            // A container without certificates still asks over plain HTTP.
            Err(error) => {
                tracing::warn!(
                    "no certificate authority is known ({error}), so no https:// source is trusted; install \
                     ca-certificates, or name a file of them in SSL_CERT_FILE"
                );
                let config = ClientConfig::builder_with_provider(provider())
                    .with_safe_default_protocol_versions()
                    .context("TLS cannot be used")?
                    .with_root_certificates(RootCertStore::empty())
                    .with_no_client_auth();
                HttpsConnectorBuilder::new().with_tls_config(config)
            }
        };
        Ok(Self::over(connector.https_or_http().enable_http1().build()))
    }

    fn over(connector: HttpsConnector<HttpConnector>) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build(connector), timeout: TIMEOUT }
    }

    /// Trusts these authorities alone.
    #[cfg(test)]
    pub fn trusting(roots: RootCertStore) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let builder = HttpsConnectorBuilder::new().with_tls_config(config);
        Self::over(builder.https_or_http().enable_http1().build())
    }

    #[cfg(test)]
    pub const fn patient_for(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// One GET. A name and a password in the URL become basic authentication, a token file a bearer token.
    pub async fn get(&self, url: &Url, token_file: Option<&str>) -> Result<Answer, String> {
        let authorization = authorization(url, token_file).await?;
        let request = request(url, authorization).map_err(|error| format!("{}: {error}", shown(url)))?;
        let asked = async {
            let answer = self
                .client
                .request(request)
                .await
                .map_err(|error| format!("does not answer: {}", all(&error)))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), LONGEST).collect().await;
            let body = body.map_err(|error| format!("broke off its answer: {}", all(&*error)))?;
            Ok(Answer { status, body: body.to_bytes() })
        };
        match tokio::time::timeout(self.timeout, asked).await {
            Ok(result) => result.map_err(|error: String| format!("{} {error}", shown(url))),
            Err(_) => Err(format!("{} did not answer within {:?}", shown(url), self.timeout)),
        }
    }
}

/// Reads a URL as a person wrote it.
pub fn url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{text:?} is no URL: {error}"))?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(url)
    } else {
        Err(format!("{text:?} is no URL to ask; write http:// or https:// and a host"))
    }
}

/// The URL for people: without a password, and without the question.
pub fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

fn request(url: &Url, authorization: Option<HeaderValue>) -> Result<Request<Empty<Bytes>>, String> {
    // Credentials travel in their header alone.
    let mut bare = url.clone();
    bare.set_fragment(None);
    if bare.set_username("").and_then(|()| bare.set_password(None)).is_err() {
        return Err("its user name cannot be taken out".to_owned());
    }
    let mut request = Request::get(bare.as_str())
        .header(ACCEPT, "application/json")
        .header(USER_AGENT, concat!("serin/", env!("CARGO_PKG_VERSION")))
        .body(Empty::new())
        .map_err(|error| error.to_string())?;
    if let Some(mut value) = authorization {
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    Ok(request)
}

async fn authorization(url: &Url, token_file: Option<&str>) -> Result<Option<HeaderValue>, String> {
    let named = !url.username().is_empty() || url.password().is_some();
    let value = match token_file {
        None if !named => return Ok(None),
        None => {
            let plain =
                |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
            let pair = format!("{}:{}", plain(url.username()), plain(url.password().unwrap_or_default()));
            format!("Basic {}", BASE64_STANDARD.encode(pair))
        }
        Some(_) if named => {
            return Err(format!(
                "{} has a user name in its URL and a bearerTokenFile; keep one of the two",
                shown(url)
            ));
        }
        Some(file) => {
            let text = tokio::fs::read_to_string(file).await.map_err(|error| {
                format!("bearerTokenFile {file} cannot be read ({error}); the controller must be allowed to")
            })?;
            if text.trim().is_empty() {
                return Err(format!("bearerTokenFile {file} is empty; put the token into it"));
            }
            format!("Bearer {}", text.trim())
        }
    };
    // Says nothing of the secret itself.
    HeaderValue::from_str(&value)
        .map(Some)
        .map_err(|_| "the token holds signs no HTTP header may hold".to_owned())
}

/// An error with all its causes, as one sentence.
fn all(error: &(dyn Error + 'static)) -> String {
    let mut causes = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        // Some repeat what they wrap.
        if !causes.iter().any(|known| known.contains(&text)) {
            causes.push(text);
        }
        next = cause.source();
    }
    causes.join(": ")
}

/// The beginning of an answer that was not understood, for people.
pub fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect();
    if line.is_empty() { "nothing".to_owned() } else { format!("{line:?}") }
}
