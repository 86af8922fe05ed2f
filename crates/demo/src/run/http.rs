//! Asks the processes of a run over plain HTTP.

use std::time::Duration;

use anyhow::{Context, bail};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;

/// A client for short questions.
#[derive(Debug, Clone)]
pub struct Http(Client<HttpConnector, Full<Bytes>>);

/// Every process of a run is on this machine: one that has not answered after this long is not going to.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The largest answer read: a rollout's view with its whole history stays far below.
const MAX_BYTES: usize = 8 << 20;

impl Default for Http {
    fn default() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }
}

impl Http {
    /// `GET url`: status and body.
    ///
    /// # Errors
    /// When there is no whole answer within five seconds.
    pub async fn get(&self, url: &str) -> anyhow::Result<(StatusCode, String)> {
        let exchange = async {
            let response = self.0.request(Request::get(url).body(Full::default())?).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_BYTES)
                .collect()
                .await
                .map_err(anyhow::Error::from_boxed)?;
            anyhow::Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
        };
        match tokio::time::timeout(TIMEOUT, exchange).await {
            Ok(answer) => answer.with_context(|| format!("GET {url}")),
            Err(_) => bail!("GET {url}: no answer within {} s", TIMEOUT.as_secs()),
        }
    }

    /// `GET url`, a JSON answer with status 200.
    ///
    /// # Errors
    /// As [`Self::get`], and when the answer is another one.
    pub async fn get_json<T: DeserializeOwned>(&self, url: &str) -> anyhow::Result<T> {
        let (status, body) = self.get(url).await?;
        if status != StatusCode::OK {
            bail!("GET {url}: {status}: {}", body.trim());
        }
        serde_json::from_str(&body).with_context(|| format!("GET {url}: {body}"))
    }
}
