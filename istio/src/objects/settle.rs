//! One object and the controller: what is written there is asked for here, once; what is deleted there ends here first.

use std::sync::Arc;
use std::time::Duration;

use api::{Applied, ObjectView, Refusal, RunView};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::document::Document;
use super::keep::Patience;
use super::port::Controller;
use super::report::Taken;
use super::status::Status;
use super::watch;
use crate::refusal;

/// Keeps an object from going before its traffic has ended on stable.
pub const FINALIZER: &str = "serin.dev/traffic";

/// Who writes what is not the status.
const MANAGER: &str = "serin";
/// Who writes the status.
const STATUS_MANAGER: &str = "serin-status";

/// What there is to do about an object.
#[derive(Clone, Debug)]
pub enum Work {
    /// Its specification is asked for.
    Apply(Box<Document>),
    /// It goes: its traffic ends on stable. `until`: so long it is waited for.
    End { until: Instant },
    /// It is told what became of it.
    Report(Box<Status>),
}

/// What became of that.
#[derive(Clone, Debug)]
pub enum Done {
    /// By the object and the digest that was asked for.
    Taken { of: ObjectView, taken: Taken },
    /// There is nothing of it any more.
    Ended,
    /// It could not be ended, and is kept from going no longer.
    LetGo(String),
    /// Its status is written, and is this.
    Reported(Box<Status>),
    /// The API server or the controller could not do it now.
    Again(String),
}

/// What an object needs.
#[derive(Clone)]
pub struct Settler {
    pub client: Client,
    pub controller: Arc<dyn Controller>,
    pub patience: Patience,
}

impl Settler {
    /// Does the work. `gone`: the object is there no more.
    pub async fn settle(self, object: Arc<DynamicObject>, gone: bool, work: Work) -> Done {
        match work {
            Work::Apply(document) => self.apply(&object, *document).await,
            Work::End { until } => self.end(&object, gone, until).await,
            Work::Report(status) => {
                let patch = json!({"metadata": {"uid": object.uid()}, "status": status.patch()});
                match self.patch(&object, &patch, true).await {
                    Ok(_) => Done::Reported(status),
                    Err(why) => Done::Again(why),
                }
            }
        }
    }

    async fn apply(&self, object: &DynamicObject, document: Document) -> Done {
        let Document { text, object: of } = document;
        // What cannot be read has no traffic, so nothing needs to hold it; and lines of what nobody typed help nobody.
        if let Err(problems) = manifest::load(&text) {
            let all =
                problems.0.into_iter().map(|problem| manifest::Problem { line: None, ..problem }.to_string());
            let why = all.collect::<Vec<_>>().join("\n");
            return Done::Taken { of, taken: Taken::Refused(Refusal::Invalid(why)) };
        }
        if !object.finalizers().iter().any(|held| held == FINALIZER) {
            let all: Vec<&str> = object.finalizers().iter().map(String::as_str).chain([FINALIZER]).collect();
            match self.hold(object, &all).await {
                Ok(Patched::Yes) => {}
                // Nobody would end what began now.
                Ok(Patched::Gone) => return Done::Ended,
                Err(why) => return Done::Again(why),
            }
        }
        if let Some(view) = self.kept(&of.namespace, &of.name)
            && let Some(present) = view.object.as_ref().filter(|present| present.uid != of.uid)
            // Made anew under its name, without its finalizer having been waited for. As it was before, it is applied all the
            // same: the controller keeps from then on who keeps the run.
            && present.digest != of.digest
        {
            let until = Instant::now() + self.patience.end;
            if let Err(why) = self.take_back(&of.namespace, &of.name, until).await {
                return Done::Again(why);
            }
        }
        let taken = match self.controller.apply(text).await {
            Ok(Applied { queued: true, .. }) => Taken::Queued,
            Ok(_) => Taken::Applied,
            Err(refusal) => Taken::Refused(refusal),
        };
        Done::Taken { of, taken }
    }

    async fn end(&self, object: &DynamicObject, gone: bool, until: Instant) -> Done {
        let (Some(namespace), Some(name)) = (object.namespace(), object.metadata.name.clone()) else {
            return Done::Ended;
        };
        let ended = self.take_back(&namespace, &name, until).await;
        if ended.is_err() && Instant::now() < until {
            return Done::Again(ended.err().unwrap_or_default());
        }
        if !gone {
            let others: Vec<&str> =
                object.finalizers().iter().map(String::as_str).filter(|held| *held != FINALIZER).collect();
            if let Err(why) = self.hold(object, &others).await {
                return Done::Again(why);
            }
        }
        match ended {
            Ok(()) => Done::Ended,
            Err(why) => Done::LetGo(why),
        }
    }

    /// What the object keeps, as it is seen now.
    fn kept(&self, namespace: &str, name: &str) -> Option<Arc<RunView>> {
        let views = self.controller.views().borrow().clone();
        views.get(name).filter(|view| keeps(view, namespace, name)).cloned()
    }

    /// Sends the traffic back, and lets go of the rollout when it is over.
    async fn take_back(&self, namespace: &str, name: &str, until: Instant) -> Result<(), String> {
        const WHY: &str = "its Rollout was deleted";
        loop {
            if self.kept(namespace, name).is_none() {
                return Ok(());
            }
            // Of an exercise it ends that, of a run that it takes back by steps the steps. Where nothing is left to end it is refused.
            let _ = self.controller.abort(name, WHY).await;
            let why = match self.controller.delete(name, WHY).await {
                Ok(()) | Err(Refusal::Unknown(_)) => return Ok(()),
                Err(refusal) => refusal.text().to_owned(),
            };
            if Instant::now() >= until {
                return Err(why);
            }
            sleep(self.patience.again).await;
        }
    }

    /// Sets the finalizers, if the object is still what was seen.
    async fn hold(&self, object: &DynamicObject, finalizers: &[&str]) -> Result<Patched, String> {
        let version = object.metadata.resource_version.as_deref();
        self.patch(
            object,
            &json!({"metadata": {"finalizers": finalizers, "resourceVersion": version}}),
            false,
        )
        .await
    }

    async fn patch(&self, object: &DynamicObject, patch: &Value, status: bool) -> Result<Patched, String> {
        let (Some(namespace), Some(name)) = (object.namespace(), object.metadata.name.as_deref()) else {
            return Ok(Patched::Gone);
        };
        let api = watch::api(&self.client, &namespace);
        let by = PatchParams {
            field_manager: Some(if status { STATUS_MANAGER } else { MANAGER }.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(patch);
        let within: Duration = self.patience.answer;
        let written = async {
            if status {
                api.patch_status(name, &by, &patch).await
            } else {
                api.patch(name, &by, &patch).await
            }
        };
        match timeout(within, written).await {
            Ok(Ok(_)) => Ok(Patched::Yes),
            // Nothing is left to be said of it, and nothing to be held.
            Ok(Err(kube::Error::Api(answer))) if answer.code == 404 => Ok(Patched::Gone),
            Ok(Err(error)) => {
                let resource = if status { "rollouts/status" } else { "rollouts" };
                Err(refusal::words(&error, "patch", resource, Some(&namespace)))
            }
            Err(_) => Err(format!(
                "the API server did not answer within {} ms, or is busy and asks to wait longer (429)",
                within.as_millis()
            )),
        }
    }
}

/// What became of a patch.
enum Patched {
    Yes,
    /// The object is there no more.
    Gone,
}

/// Is the run kept by the object of this namespace and name? Members of a fleet are kept by the fleet's, which may have neighbours
/// that are named like a member.
pub fn keeps(view: &RunView, namespace: &str, name: &str) -> bool {
    let of = |object: &ObjectView| object.namespace == namespace && object.name == name;
    !view.is_member() && view.object.as_ref().is_some_and(of)
}
