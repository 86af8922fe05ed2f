//! Figures of the user's own: asking the source of a gate.
//!
//! An answer is one of three things: a number, no data (`None`), or an error in one sentence. Neither of the last two
//! says anything about the canary.

mod json;
mod prometheus;
mod web;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use anyhow::Result;
use spec::Source;
use tokio::sync::Semaphore;

use web::Web;

/// Questions under way at once: enough for a hundred rollouts, and no flood for the one Prometheus they share.
const AT_ONCE: usize = 32;

/// The canary's value and stable's.
pub type Pair = (Option<f64>, Option<f64>);

/// Whoever asks. Cheap to clone.
#[derive(Clone)]
pub struct Sources {
    web: Web,
    places: Arc<Semaphore>,
}

impl Sources {
    /// Trusts the system's certificate authorities, or those of `SSL_CERT_FILE`.
    pub fn new() -> Result<Self> {
        Ok(Self::with(Web::new()?))
    }

    fn with(web: Web) -> Self {
        Self { web, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Asks; `Err` says in one sentence why there is no answer. Takes no longer than a few seconds.
    pub async fn ask(&self, source: &Source) -> Result<Pair, String> {
        // The semaphore is never closed.
        let _place = self.places.acquire().await.map_err(|error| error.to_string())?;
        match source {
            Source::Prometheus(source) => prometheus::ask(&self.web, source).await,
            Source::Http(source) => json::ask(&self.web, source).await,
            Source::Push(_) => Err("figures are pushed here, nobody can be asked".to_owned()),
        }
    }
}
