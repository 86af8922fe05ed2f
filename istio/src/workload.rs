//! Workloads of the cluster: changed from one version to another, and counted while they are ready.
//!
//! A change is made by the same pass again and again until nothing is left to do, so it is the same however often it is asked for: what is there already is waited for, and what is neither the version
//! before nor the one after is left alone and said.

mod change;
mod objects;
mod ready;
#[cfg(test)]
mod tests;

use std::time::Duration;

use kube::Client;
use kube::api::{GetParams, ListParams, Patch, PatchParams};
use kube::core::Request;
use manifest::{ReadyWorkloads, WorkloadChange};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use crate::refusal;

/// One question may take so long.
const ANSWER: Duration = Duration::from_secs(10);

/// Between two looks at what is waited for.
const LOOK: Duration = Duration::from_secs(1);

/// Under this name objects say who changed them.
const MANAGER: &str = "serin";

/// Why something is not done, or not known.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Undone {
    /// Trying again changes nothing.
    ForGood(String),
    /// It may be done a moment later.
    NotYet(String),
}

impl Undone {
    fn words(self) -> String {
        match self {
            Self::ForGood(why) | Self::NotYet(why) => why,
        }
    }
}

/// The workloads of a cluster.
#[derive(Clone)]
pub struct Workloads {
    client: Client,
    look: Duration,
}

/// How many endpoints are ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// Of the version on trial that has the fewest.
    pub canary: u32,
    /// Of stable; `None`: it is not counted.
    pub stable: Option<u32>,
}

impl Workloads {
    /// Asks nobody yet.
    #[must_use]
    pub const fn new(client: Client) -> Self {
        Self { client, look: LOOK }
    }

    /// Makes the change from any of these versions to another, and waits until its pods are ready, for as long as the change
    /// says.
    ///
    /// # Errors
    /// Why it cannot be made, with the field and the remedy, or what it still waited for.
    pub async fn change(&self, change: &WorkloadChange, from: &[String], to: &str) -> Result<(), String> {
        let within = Duration::from_millis(change.timeout_ms);
        let begun = Instant::now();
        let mut made = false;
        loop {
            match change::pass(self, change, from, to, &mut made).await {
                Ok(()) => return Ok(()),
                Err(Undone::ForGood(why)) => return Err(why),
                Err(Undone::NotYet(why)) if begun.elapsed() >= within => {
                    return Err(format!("not done within {} s: {why}", within.as_secs()));
                }
                Err(Undone::NotYet(_)) => sleep(self.look).await,
            }
        }
    }

    /// Counts the ready endpoints of stable and of these arms.
    ///
    /// # Errors
    /// Why they cannot be counted.
    pub async fn ready(&self, workloads: &ReadyWorkloads, arms: &[String]) -> Result<Ready, String> {
        ready::count(self, workloads, arms).await.map_err(Undone::words)
    }

    async fn get<T: DeserializeOwned>(&self, kind: Kind, namespace: &str, name: &str) -> Result<T, Undone> {
        let request = Request::new(kind.path(namespace)).get(name, &GetParams::default());
        self.ask(request, "get", kind, namespace).await?.map_err(|error| match &error {
            kube::Error::Api(status) if status.code == 404 => {
                Undone::ForGood(format!("there is no {} {namespace}/{name}", kind.singular()))
            }
            _ => refused(&error, "get", kind, namespace),
        })
    }

    async fn list<T: DeserializeOwned>(
        &self,
        kind: Kind,
        namespace: &str,
        labels: &str,
    ) -> Result<T, Undone> {
        let terms = ListParams { label_selector: Some(labels.to_owned()), ..ListParams::default() };
        let request = Request::new(kind.path(namespace)).list(&terms);
        let answer = self.ask(request, "list", kind, namespace).await?;
        answer.map_err(|error| refused(&error, "list", kind, namespace))
    }

    async fn patch(
        &self,
        kind: Kind,
        (namespace, name): (&str, &str),
        operations: Value,
    ) -> Result<(), Undone> {
        let operations: json_patch::Patch =
            serde_json::from_value(operations).map_err(|error| Undone::ForGood(error.to_string()))?;
        let by = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let request = Request::new(kind.path(namespace)).patch(name, &by, &Patch::<()>::Json(operations));
        match self.ask::<Value>(request, "patch", kind, namespace).await? {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => Err(Undone::NotYet(format!(
                "somebody else changed {} {namespace}/{name} at the same time",
                kind.singular()
            ))),
            Err(error) => Err(refused(&error, "patch", kind, namespace)),
        }
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
        verb: &str,
        kind: Kind,
        namespace: &str,
    ) -> Result<Result<T, kube::Error>, Undone> {
        let request = request.map_err(|error| Undone::ForGood(error.to_string()))?;
        timeout(ANSWER, self.client.request::<T>(request)).await.map_err(|_| {
            let (what, seconds) = (kind.plural(), ANSWER.as_secs());
            Undone::NotYet(format!(
                "the API server did not answer {verb} {what} in {namespace} within {seconds} s"
            ))
        })
    }
}

/// What the API server refuses for good is what it will refuse again.
fn refused(error: &kube::Error, verb: &str, kind: Kind, namespace: &str) -> Undone {
    let words = refusal::words(error, verb, kind.plural(), Some(namespace));
    match error {
        kube::Error::Api(status) if (400..500).contains(&status.code) && status.code != 429 => {
            Undone::ForGood(words)
        }
        _ => Undone::NotYet(words),
    }
}

/// What kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Deployment,
    Service,
    EndpointSlice,
    Pod,
}

impl Kind {
    const fn plural(self) -> &'static str {
        match self {
            Self::Deployment => "deployments",
            Self::Service => "services",
            Self::EndpointSlice => "endpointslices",
            Self::Pod => "pods",
        }
    }

    const fn singular(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Pod => "Pod",
        }
    }

    fn path(self, namespace: &str) -> String {
        let group = match self {
            Self::Deployment => "/apis/apps/v1",
            Self::EndpointSlice => "/apis/discovery.k8s.io/v1",
            Self::Service | Self::Pod => "/api/v1",
        };
        format!("{group}/namespaces/{namespace}/{}", self.plural())
    }
}
