//! How is something of the user's called at a moment of a rollout?
//!
//! A [`DeployHook`] is called with a [`Call`] and succeeds, or says why not. A URL is one, a program is another, requests that
//! warm up a model are a third; [`Hooks`] finds the one that a rollout names.

mod cluster;
mod program;
mod programs;
mod requests;
mod running;
mod strays;
mod url;
mod versions;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use manifest::{
    HandBackHow, HookHow, Plan, ReadyWorkloads, VersionIn, WarmUpHow, WorkloadChange, WorkloadWhat,
};
use outbound::{Client, Hosts, RootCertStore};
use rollout::{Endpoint, HandBackRequest, HookCallRequest, WarmUpRequest};
use serde_json::{Value, json};

pub use cluster::{Cluster, Counting, ReadyCounts};
pub use programs::Programs;

use running::Running;

/// Hooks but for those that say so have this long.
const TIMEOUT: Duration = Duration::from_secs(60);

/// One call.
pub struct Call {
    /// The body of the request, for hooks over HTTP.
    pub body: Value,
    /// The same, as variables for a program.
    pub variables: Vec<(&'static str, String)>,
    /// Equal for a call that is repeated after a crash.
    pub key: Option<String>,
    /// How long it may take.
    pub timeout: Duration,
}

/// `Err` says in one sentence what went wrong.
pub type Calling<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// Something of the user's that is called at a moment of a rollout.
pub trait DeployHook: Send + Sync {
    /// Calls it, and waits until it is done.
    fn call<'a>(&'a self, call: &'a Call) -> Calling<'a>;
}

/// Who calls hooks. Cheap to clone.
#[derive(Clone)]
pub struct Hooks {
    web: Client,
    programs: Arc<Programs>,
    cluster: Option<Arc<dyn Cluster>>,
    running: Running,
}

impl Hooks {
    /// Hooks that are URLs are asked at these hosts, and those that are programs are of these.
    ///
    /// # Errors
    /// When TLS cannot be used.
    pub fn new(roots: Arc<RootCertStore>, hosts: Hosts, programs: Programs) -> Result<Self, String> {
        let web = Client::new(roots, hosts)?;
        Ok(Self { web, programs: Arc::new(programs), cluster: None, running: Running::default() })
    }

    /// Where versions run, for hooks that change it.
    #[must_use]
    pub fn within(self, cluster: Arc<dyn Cluster>) -> Self {
        Self { cluster: Some(cluster), ..self }
    }

    /// Of a controller that may call any host, and run these programs.
    #[cfg(any(test, feature = "test-util"))]
    #[allow(clippy::expect_used, clippy::missing_panics_doc, reason = "for tests alone")]
    #[must_use]
    pub fn of(programs: Programs) -> Self {
        Self::new(Arc::new(RootCertStore::empty()), Hosts::default(), programs).expect("a client")
    }

    /// Of a controller that may call any host, and run any program.
    #[cfg(any(test, feature = "test-util"))]
    #[must_use]
    pub fn any() -> Self {
        Self::of(Programs::named(vec![Programs::ANY.to_owned()], Vec::new()))
    }

    /// May this plan's hooks be called?
    pub fn allow(&self, plan: &Plan) -> Result<(), String> {
        let urls = plan.hook_urls().into_iter().filter_map(|(field, url)| {
            let refused = self.web.url_with_credentials(url).err();
            refused.map(|why| format!("spec.{field}: {why}"))
        });
        let changes = plan.workload_changes().into_iter().filter_map(|(field, change)| {
            let refused = self.cluster().and_then(|cluster| cluster.may_change(&change.namespace)).err();
            refused.map(|why| format!("spec.{field}: {why}"))
        });
        let counted = plan.ready.as_ref().filter(|ready| ready.kubernetes.is_some());
        let counted = counted.and_then(|_| self.cluster().err());
        let counted = counted.map(|why| format!("spec.ready.kubernetes: {why}"));
        let mut refused: Vec<String> =
            urls.chain(self.programs.allow_plan(plan).err()).chain(changes).chain(counted).collect();
        refused.dedup();
        if refused.is_empty() { Ok(()) } else { Err(refused.join("\n")) }
    }

    /// Has something done beside the engine that a stop waits for; nothing is begun once the controller stops, since the
    /// next one asks again.
    pub fn spawn(&self, calling: impl Future<Output = ()> + Send + 'static) {
        let Some(place) = self.running.begin() else { return };
        let running = self.running.clone();
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = running.ended() => {}
                () = calling => {}
            }
            drop(place);
        });
    }

    /// Another controller decides by now: no call begins any more, and what is under way ends, programs with all that they have
    /// started. The other one calls again what it wants.
    pub async fn end(&self) {
        self.running.end();
        self.idle().await;
    }

    /// The controller stops: no call begins any more.
    pub fn close(&self) {
        self.running.close();
    }

    /// Waits until no call is under way.
    pub async fn idle(&self) {
        self.running.idle().await;
    }

    fn url(&self, url: &str) -> Box<dyn DeployHook> {
        Box::new(url::Post { web: self.web.clone(), url: url.to_owned() })
    }

    fn cluster(&self) -> Result<&Arc<dyn Cluster>, String> {
        self.cluster.as_ref().ok_or_else(|| {
            "this controller knows no Kubernetes API server: run it in a pod with a service account, or name a kubeconfig \
             (serin run --kubeconfig, KUBECONFIG)"
                .to_owned()
        })
    }

    /// A change in Kubernetes; a run may have begun under a controller that allowed more.
    fn workload(
        &self,
        change: &WorkloadChange,
        from: &[String],
        to: &str,
    ) -> Result<Box<dyn DeployHook>, String> {
        let cluster = self.cluster()?;
        cluster.may_change(&change.namespace)?;
        Ok(cluster.change(change, from, to))
    }

    /// Counts the ready endpoints of stable and of these further arms.
    ///
    /// # Errors
    /// Why they cannot be counted, in one sentence.
    pub async fn ready(&self, workloads: &ReadyWorkloads, arms: &[String]) -> Result<ReadyCounts, String> {
        self.cluster()?.ready(workloads, arms).await
    }

    fn program(&self, words: &[String]) -> Box<dyn DeployHook> {
        Box::new(program::Program { programs: self.programs.clone(), words: words.to_vec() })
    }

    /// Gets the new version behind the stable route; `Ok(false)`: a person does it. A crash can make it run twice: both
    /// times with the same `key`.
    pub async fn hand_back(&self, request: &HandBackRequest, key: &str) -> Result<bool, String> {
        let HandBackRequest { rollout, from, to, keep_ms, how } = request;
        let hook = match how {
            HandBackHow::Manual => return Ok(false),
            HandBackHow::Url(url) => self.url(url),
            HandBackHow::Command(words) => self.program(words),
            HandBackHow::Kubernetes(change) => self.workload(change, std::slice::from_ref(from), to)?,
        };
        let timeout = match how {
            HandBackHow::Kubernetes(change) => Duration::from_millis(change.timeout_ms),
            _ => TIMEOUT,
        };
        // `from` is not to be taken down for so long after the run.
        let keep_seconds = keep_ms.map(|ms| ms / 1_000);
        let call = Call {
            body: json!({"rollout": rollout, "from": from, "to": to, "keep_seconds": keep_seconds, "key": key}),
            variables: vec![
                ("SERIN_ROLLOUT", rollout.clone()),
                ("SERIN_FROM", from.clone()),
                ("SERIN_TO", to.clone()),
                ("SERIN_KEEP_SECONDS", optional(keep_seconds)),
                ("SERIN_KEY", key.to_owned()),
            ],
            key: Some(key.to_owned()),
            timeout,
        };
        hook.call(&call).await.map(|()| true)
    }

    /// Warms the canary before its first request.
    pub async fn warm_up(&self, request: &WarmUpRequest) -> Result<(), String> {
        let WarmUpRequest { rollout, stable, canary, hook: terms } = request;
        let hook = match &terms.how {
            WarmUpHow::Url(url) => self.url(url),
            WarmUpHow::Command(words) => self.program(words),
            WarmUpHow::Requests { url, count, body } => Box::new(requests::Requests {
                web: self.web.clone(),
                url: url.clone(),
                count: *count,
                body: body.clone(),
            }),
        };
        let call = Call {
            body: json!({"rollout": rollout, "stable": stable, "canary": canary}),
            variables: vec![
                ("SERIN_ROLLOUT", rollout.clone()),
                ("SERIN_STABLE", stable.clone()),
                ("SERIN_CANARY", canary.clone()),
            ],
            key: None,
            timeout: Duration::from_millis(terms.timeout_ms),
        };
        hook.call(&call).await
    }

    /// After the end of a run: a version is to be put behind the canary route, or can be deleted. A crash can make it
    /// called twice: both times with the same `key`.
    pub async fn after(&self, request: &HookCallRequest, key: &str) -> Result<(), String> {
        let HookCallRequest { rollout, run, duty, versions, stable, next, keep_ms, how } = request;
        let keep_seconds = keep_ms.map(|ms| ms / 1_000);
        let (hook, timeout) = match how {
            HookHow::Url(url) => (self.url(url), TIMEOUT),
            HookHow::Command(words) => (self.program(words), TIMEOUT),
            HookHow::Kubernetes(change) => {
                // What is on trial next runs where the version ran that is over.
                if matches!(change.what, WorkloadWhat::Scale { .. }) && next.is_some() {
                    return Ok(());
                }
                let (from, to) = match change.what {
                    WorkloadWhat::Scale { .. } => (versions.clone(), String::new()),
                    _ => (vec![stable.clone()], versions.first().cloned().unwrap_or_default()),
                };
                (self.workload(change, &from, &to)?, Duration::from_millis(change.timeout_ms))
            }
        };
        let call = Call {
            body: json!({
                "rollout": rollout, "run": run, "what": duty.word(), "versions": versions, "stable": stable,
                "next": next, "keep_seconds": keep_seconds, "key": key,
            }),
            variables: vec![
                ("SERIN_ROLLOUT", rollout.clone()),
                ("SERIN_RUN", run.to_string()),
                ("SERIN_WHAT", duty.word().to_owned()),
                ("SERIN_VERSIONS", versions.join(" ")),
                ("SERIN_STABLE", stable.clone()),
                ("SERIN_NEXT", next.clone().unwrap_or_default()),
                ("SERIN_KEEP_SECONDS", optional(keep_seconds)),
                ("SERIN_KEY", key.to_owned()),
            ],
            key: Some(key.to_owned()),
            timeout,
        };
        hook.call(&call).await
    }

    /// Asks all endpoints at once which version they serve.
    pub async fn versions(&self, endpoints: &[String], version_in: &VersionIn) -> Vec<Endpoint> {
        versions::ask(&self.web, endpoints, version_in).await
    }
}

fn optional(number: Option<u64>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
