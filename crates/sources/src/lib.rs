//! Figures of the user's own: asking the source of a gate.
//!
//! An answer is one of three things: a number, no data (`None`), or an error in one sentence. Neither of the last two
//! says anything about the canary, and no sentence holds a secret.

mod access;
mod hosts;
mod json;
mod mlflow;
mod prometheus;
mod secrets;
mod tls;
mod web;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use anyhow::{Result, anyhow, ensure};
use judge::anomaly::Spread;
use manifest::{Plan, Range, Source};
use tokio::sync::Semaphore;

pub use hosts::{Host, Hosts};
pub use secrets::{Secrets, Text};

use access::Access;
use web::Web;

/// Questions under way at once: enough for a hundred rollouts, and no flood for the one Prometheus they share.
const AT_ONCE: usize = 32;

/// What becomes of a run that an older controller began with a `bearerTokenFile`.
const NO_FILE: &str =
    "bearerTokenFile is not read any more: apply the rollout again with `access: {bearer: {secret: NAME}}`";

/// The canary's value and stable's.
pub type Pair = (Option<f64>, Option<f64>);

/// Whoever asks. Cheap to clone.
#[derive(Clone)]
pub struct Sources {
    web: Web,
    secrets: Arc<Secrets>,
    places: Arc<Semaphore>,
}

impl Sources {
    /// Trusts the system's certificate authorities, or those of `SSL_CERT_FILE`.
    pub fn new(secrets: Secrets, hosts: Hosts) -> Result<Self> {
        if let Some(dir) = &secrets.dir {
            ensure!(
                dir.is_dir(),
                "--secret-dir: {} is no folder; name one whose files are secrets",
                dir.display()
            );
        }
        if hosts.0.is_empty() && (secrets.dir.is_some() || secrets.env_prefix.is_some()) {
            tracing::warn!(
                "whoever may apply a rollout may send any offered secret to any server; name the servers that sources \
                 may be asked at with --source-host"
            );
        }
        let web = Web::new(tls::system(), hosts).map_err(|error| anyhow!(error))?;
        Ok(Self::with(web, secrets))
    }

    fn with(web: Web, secrets: Secrets) -> Self {
        Self { web, secrets: Arc::new(secrets), places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// May this plan's sources be asked, with the secrets they name?
    pub fn allow(&self, plan: &Plan) -> Result<(), String> {
        let mut problems = Vec::new();
        let ready = plan.ready.as_ref().and_then(|ready| Some(("ready".to_owned(), ready.source.as_ref()?)));
        let gates =
            plan.gates.iter().filter_map(|gate| Some((format!("gate {}", gate.name), gate.source.as_ref()?)));
        let guardrails = plan.guardrails.iter().filter_map(|guardrail| {
            Some((format!("guardrail {}", guardrail.name), &guardrail.reads.as_ref()?.source))
        });
        for (owner, source) in gates.chain(guardrails).chain(ready) {
            let filled = Some(source.filled(&plan.name, &plan.stable, &plan.canary));
            let Some((source, access)) = filled.as_ref().and_then(|source| Some((source, source.access()?)))
            else {
                continue;
            };
            let at = format!("{owner}: source.{}", source.kind());
            if let Err(error) = self.web.url(source.url().unwrap_or_default()) {
                problems.push(format!("{at}.url: {error}"));
            }
            for (field, name) in access.secrets() {
                if let Err(error) = self.secrets.offers(name) {
                    problems.push(format!("{at}.access.{field}: {error}"));
                }
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
    }

    /// May this trigger's registry be asked, with the secrets it names?
    pub fn allow_trigger(&self, trigger: &manifest::Trigger) -> Result<(), String> {
        let mut problems = Vec::new();
        let mut offered = |field: String, name: &str| {
            problems.extend(self.secrets.offers(name).err().map(|error| format!("spec.{field}: {error}")));
        };
        if let Some(secret) = trigger.webhook.as_ref().and_then(|webhook| webhook.secret.as_deref()) {
            offered("webhook.secret".to_owned(), secret);
        }
        if let Some(poll) = trigger.mlflow.as_ref().and_then(|mlflow| mlflow.poll.as_ref()) {
            for (field, name) in poll.access.secrets() {
                offered(format!("mlflow.access.{field}"), name);
            }
            problems.extend(self.web.url(&poll.url).err().map(|error| format!("spec.mlflow.url: {error}")));
        }
        if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
    }

    /// Asks a model registry which version means "go"; `None`: none does.
    pub async fn newest(&self, registry: &manifest::Mlflow) -> Result<Option<String>, String> {
        let Some(poll) = &registry.poll else { return Ok(None) };
        let _place = self.places.acquire().await.map_err(|error| error.to_string())?;
        let access = Access::read(&poll.access, &self.secrets).await?;
        let question = mlflow::Question { web: &self.web, poll, access: &access };
        question.newest(registry).await.map_err(|error| access.scrub.clean(&error))
    }

    /// A secret that is offered.
    pub async fn secret(&self, name: &str) -> Result<Text, String> {
        self.secrets.read(name).await
    }

    /// Asks for a figure of now; `Err` says in one sentence why there is no answer. Takes no longer than the source's timeout.
    pub async fn ask(&self, source: &Source, now_ms: u64) -> Result<Pair, String> {
        let Some(named) = source.access() else {
            return Err("figures are pushed here, nobody can be asked".to_owned());
        };
        // The semaphore is never closed.
        let _place = self.places.acquire().await.map_err(|error| error.to_string())?;
        let access = Access::read(named, &self.secrets).await?;
        let said = match source {
            Source::Prometheus(source) => prometheus::ask(&self.web, source, &access, now_ms).await,
            Source::Http(source) => json::ask(&self.web, source, &access).await,
            Source::Push(_) => Ok((None, None)),
        };
        said.map_err(|error| access.scrub.clean(&error))
    }

    /// Middle and spread of what a source gave over a time before now; `None`: it gave nothing, or cannot know.
    pub async fn before(&self, source: &Source, range: Range, now_ms: u64) -> Result<Option<Spread>, String> {
        let Source::Prometheus(source) = source else { return Ok(None) };
        // The semaphore is never closed.
        let _place = self.places.acquire().await.map_err(|error| error.to_string())?;
        let access = Access::read(&source.access, &self.secrets).await?;
        let said = prometheus::before(&self.web, source, range, &access, now_ms).await;
        said.map(|values| Spread::of(&values).ok()).map_err(|error| access.scrub.clean(&error))
    }
}
