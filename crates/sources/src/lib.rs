//! Figures of the user's own: asking the source of a gate.
//!
//! An answer is one of three things: a number, no data (`None`), or an error in one sentence. Neither of the last two
//! says anything about the canary, and no sentence holds a secret.

mod access;
mod json;
pub mod moment;
mod places;
mod provider;
mod secrets;
mod when;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use anyhow::{Result, anyhow, ensure};
use judge::anomaly::Spread;
use manifest::{Plan, Range, Source};
use outbound::{Client, RootCertStore};
use tokio::time::{Instant, timeout_at};

pub use outbound::{Host, Hosts, Text};
pub use places::{Purpose, Requester};
pub use provider::Figures;
pub use secrets::Secrets;
pub use when::When;

use access::Access;
use places::Places;
use provider::{Provider, QueryContext, Registry};

/// The client. Cheap to clone.
#[derive(Clone)]
pub struct Sources {
    web: Client,
    secrets: Arc<Secrets>,
    places: Arc<Places>,
}

impl Sources {
    /// Trusts these authorities where a source names none.
    ///
    /// # Errors
    /// When the folder of secrets is none, or TLS cannot be used.
    pub fn new(secrets: Secrets, roots: Arc<RootCertStore>, hosts: Hosts) -> Result<Self> {
        if let Some(dir) = &secrets.dir {
            ensure!(
                dir.is_dir(),
                "--secret-dir: {} is no folder; name one whose files are secrets",
                dir.display()
            );
        }
        if hosts.is_any() && (secrets.dir.is_some() || secrets.env_prefix.is_some()) {
            tracing::warn!(
                "whoever may apply a rollout may send any offered secret to any server; name the servers that sources \
                 may be asked at with --source-host"
            );
        }
        let web = Client::new(roots, hosts).map_err(|error| anyhow!(error))?;
        Ok(Self { web, secrets: Arc::new(secrets), places: Arc::default() })
    }

    /// May this plan's sources be asked, with the secrets they name?
    ///
    /// # Errors
    /// What may not, one sentence a line.
    pub fn allow(&self, plan: &Plan) -> Result<(), String> {
        let ready = plan.ready.as_ref().and_then(|ready| Some(("ready".to_owned(), ready.source.as_ref()?)));
        let gates =
            plan.gates.iter().filter_map(|gate| Some((format!("gate {}", gate.name), gate.source()?)));
        let guardrails = plan.guardrails.iter().filter_map(|guardrail| {
            Some((format!("guardrail {}", guardrail.name), &guardrail.reads.as_ref()?.source))
        });
        let mut problems = Vec::new();
        for (owner, source) in gates.chain(guardrails).chain(ready) {
            let filled = source.filled(&plan.name, &plan.stable, &plan.canary);
            if let Some(provider) = provider::of_figures(&filled) {
                problems.extend(self.problems(&format!("{owner}: source.{}", source.kind()), provider));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
    }

    /// May this trigger's registry be asked, with the secrets it names?
    ///
    /// # Errors
    /// What may not, one sentence a line.
    pub fn allow_trigger(&self, trigger: &manifest::Trigger) -> Result<(), String> {
        let mut problems = Vec::new();
        if let Some(secret) = trigger.webhook.as_ref().and_then(|webhook| webhook.secret.as_deref()) {
            let offered = self.secrets.offers(secret);
            problems.extend(offered.err().map(|error| format!("spec.webhook.secret: {error}")));
        }
        if let Some(registry) = trigger.mlflow.as_ref().and_then(Registry::of) {
            problems.extend(self.problems("spec.mlflow", &registry));
        }
        if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
    }

    /// Why a provider may not be asked; `at`: where it stands in the document.
    fn problems<A>(&self, at: &str, provider: &dyn Provider<Answer = A>) -> Vec<String> {
        let url = self.web.url(provider.url()).err().map(|error| format!("{at}.url: {error}"));
        let secrets = provider.access().secrets().into_iter().filter_map(|(field, name)| {
            self.secrets.offers(name).err().map(|error| format!("{at}.access.{field}: {error}"))
        });
        url.into_iter().chain(secrets).collect()
    }

    /// Asks a model registry, for a trigger, which version means "go"; `None`: none does.
    ///
    /// # Errors
    /// Why there is no answer, in one sentence.
    pub async fn newest(&self, trigger: &str, registry: &manifest::Mlflow) -> Result<Option<String>, String> {
        let Some(registry) = Registry::of(registry) else { return Ok(None) };
        let asker = Requester { name: trigger, purpose: Purpose::Begin };
        self.asking(&registry, asker, When::default(), async |asking| registry.ask(&asking).await).await
    }

    /// A secret that is offered.
    ///
    /// # Errors
    /// When it is not offered, or no text; says what the controller's operator can do.
    pub async fn secret(&self, name: &str) -> Result<Text, String> {
        self.secrets.read(name).await
    }

    /// Asks for a figure. Takes no longer than the source's timeout, waiting for a place included.
    ///
    /// # Errors
    /// Why there is no answer, in one sentence.
    pub async fn ask(&self, source: &Source, asker: Requester<'_>, when: When) -> Result<Figures, String> {
        let Some(provider) = provider::of_figures(source) else {
            return Err("figures are pushed here, nobody can be asked".to_owned());
        };
        self.asking(provider, asker, when, async |asking| provider.ask(&asking).await).await
    }

    /// Middle and spread of what a source gave over a time before now; `None`: it gave nothing, or cannot know.
    ///
    /// # Errors
    /// Why there is no answer, in one sentence.
    pub async fn before(
        &self,
        source: &Source,
        range: Range,
        asker: Requester<'_>,
        when: When,
    ) -> Result<Option<Spread>, String> {
        let Some(provider) = provider::of_figures(source).filter(|provider| provider.remembers()) else {
            return Ok(None);
        };
        let asked = async |asking: QueryContext<'_>| provider.before(range, &asking).await;
        let values = self.asking(provider, asker, when, asked).await?;
        Ok(Spread::of(&values).ok())
    }

    /// Asks once there is a place, with the secrets as they are by then; no secret is in the error.
    async fn asking<A, T>(
        &self,
        provider: &dyn Provider<Answer = A>,
        asker: Requester<'_>,
        when: When,
        ask: impl AsyncFnOnce(QueryContext<'_>) -> Result<T, String>,
    ) -> Result<T, String> {
        let begun = Instant::now();
        let patience = access::patience(provider.access());
        let deadline = begun + patience;
        let url = self.web.url(provider.url())?;
        let server =
            format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(0));
        let place = timeout_at(deadline, self.places.take(asker, &server)).await.map_err(|_| {
            format!(
                "{} was not asked within {patience:?}: so many questions of {} to {server} are without an answer",
                outbound::shown(&url),
                asker.name
            )
        })??;
        let access = timeout_at(deadline, Access::read(provider.access(), &self.secrets)).await;
        let access = access.map_err(|_| format!("the secrets could not be read within {patience:?}"))??;
        let when = when.later(begun.elapsed());
        let said = ask(QueryContext { web: &self.web, access: &access, when, deadline }).await;
        drop(place);
        said.map_err(|error| access.scrub.clean(&error))
    }
}
