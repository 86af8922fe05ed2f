//! An object as it is known, and what is to be done about it.

use std::sync::Arc;
use std::time::Duration;

use api::{ObjectView, Refusal, RunView};
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::document::{Document, document};
use super::keep::Patience;
use super::report::{self, Change, Taken, to_write};
use super::settle::{FINALIZER, Work};
use super::status::Status;

/// An object as it is known.
#[derive(Debug)]
pub struct Known {
    pub object: Arc<DynamicObject>,
    /// What it says; `None`: nothing that a person could apply.
    pub document: Option<Document>,
    /// It is looked at then; each look costs, and there may be thousands.
    pub look: Instant,
    /// It was looked at last, with what was to be seen.
    pub looked: Instant,
    pub seen: Option<Arc<RunView>>,
    /// Its status, as it stands there.
    pub status: Status,
    /// It is there no more, and what it kept is to end.
    pub gone: bool,
    /// What became of what.
    pub taken: Option<(ObjectView, Taken)>,
    /// What was last told of its run in Events.
    pub told: Option<Arc<RunView>>,
    /// It is being worked on.
    pub busy: bool,
    /// Nothing but its status is being written.
    pub writing: Option<AbortHandle>,
    /// Nothing is done about it before.
    pub not_before: Instant,
    /// Its status was written last.
    pub reported: Instant,
    /// What was refused was asked for last.
    pub asked: Instant,
    /// How long it may be held while it is to go.
    pub until: Option<Instant>,
    pub failures: u32,
    /// Why it last failed so often that people were told.
    pub warned: Option<String>,
}

/// After so many failures people are told.
const FAILURES: u32 = 3;

/// What is to be done, and when.
pub enum Due {
    Nothing,
    At(Instant),
    Now(Work),
}

impl Known {
    pub fn new(mut object: DynamicObject, told: Option<Arc<RunView>>) -> Self {
        // Nobody looks at these, and of thousands they are megabytes.
        object.metadata.managed_fields = None;
        object.metadata.annotations = None;
        let status = object.data.as_object_mut().and_then(|fields| fields.remove("status"));
        let mut status: Status =
            status.and_then(|status| serde_json::from_value(status).ok()).unwrap_or_default();
        status.journal = None;
        let now = Instant::now();
        Self {
            document: document(&object),
            look: now,
            looked: now,
            seen: None,
            object: Arc::new(object),
            status,
            gone: false,
            taken: None,
            told,
            busy: false,
            writing: None,
            not_before: now,
            reported: now - Duration::from_secs(3600),
            asked: now,
            until: None,
            failures: 0,
            warned: None,
        }
    }

    /// Is what it keeps to end?
    pub fn goes(&self) -> bool {
        self.gone || self.object.metadata.deletion_timestamp.is_some()
    }

    /// From now on what it keeps is to end: nothing that failed before, and no status, is waited for.
    pub fn begin_to_go(&mut self, now: Instant) {
        (self.not_before, self.look, self.failures) = (now, now, 0);
        if let Some(writing) = self.writing.take() {
            writing.abort();
        }
    }

    /// It could not be done, and is tried again. True: people are to be told, once for each reason.
    pub fn fail(&mut self, why: &str, now: Instant, patience: &Patience) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.not_before = now + patience.again * 2_u32.pow(self.failures.min(6));
        let tell = self.failures >= FAILURES && self.warned.as_deref() != Some(why);
        if tell {
            self.warned = Some(why.to_owned());
        }
        tell
    }

    /// What is to be done about it. `complete`: all that is in its namespace is known.
    pub fn due(
        &mut self,
        now: Instant,
        view: Option<&Arc<RunView>>,
        complete: bool,
        patience: &Patience,
    ) -> Due {
        if now < self.not_before {
            return Due::At(self.not_before);
        }
        let object = self.object.clone();
        if self.goes() {
            let held = object.finalizers().iter().any(|held| held == FINALIZER);
            if !self.gone && !held {
                return Due::Nothing;
            }
            let until = *self.until.get_or_insert(now + patience.end);
            return Due::Now(Work::End { until });
        }
        // What was missed is ended first, under its name too.
        let Some(document) = self.document.clone().filter(|_| complete) else { return Due::Nothing };
        let ours = |of: &ObjectView| of.uid == document.object.uid && of.digest == document.object.digest;
        let taken = self.taken.as_ref().filter(|(of, _)| ours(of)).map(|(_, taken)| taken.clone());
        // It is what runs, or ran: a restart asks for nothing twice.
        let applied =
            view.is_some_and(|view| view.object.as_ref().is_some_and(ours) && view.queued.is_none());
        let taken = match taken {
            _ if applied => Taken::Applied,
            None => return Due::Now(Work::Apply(Box::new(document))),
            // Its turn has come, or it is not known any more.
            Some(Taken::Queued) if view.is_none_or(|view| view.queued.is_none()) => {
                return Due::Now(Work::Apply(Box::new(document)));
            }
            Some(Taken::Refused(refusal)) if !matches!(refusal, Refusal::Invalid(_)) => {
                if now >= self.asked + patience.refused {
                    return Due::Now(Work::Apply(Box::new(document)));
                }
                Taken::Refused(refusal)
            }
            Some(taken) => taken,
        };
        let again = match &taken {
            Taken::Refused(Refusal::Invalid(_)) => None,
            Taken::Refused(_) => Some(self.asked + patience.refused),
            _ => None,
        };
        self.taken = Some((document.object, taken.clone()));
        let wanted = report::status(object.metadata.generation, &taken, view.map(|view| &**view));
        let at = k8s_openapi::jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        match to_write(wanted, &self.status, &at) {
            None => again.map_or(Due::Nothing, Due::At),
            Some(Change { status, slow }) => {
                let rests = if slow { patience.figures } else { patience.report };
                if now >= self.reported + rests {
                    Due::Now(Work::Report(Box::new(status)))
                } else {
                    Due::At(self.reported + rests)
                }
            }
        }
    }
}
