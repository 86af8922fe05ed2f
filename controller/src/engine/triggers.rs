//! Rollouts that begin by themselves, because a model registry says so.
//!
//! A version triggers once, however often it is named. One that comes while a run lasts waits here and not
//! in the queue: which version stable then serves is known only when its turn has come.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::{Applied, Fired, PendingView, Refusal, TriggerApplied, TriggerView, TriggeredView, VersionOutcome};
use manifest::{Problem, Supersede};
use tokio::sync::oneshot;

use super::Engine;
use super::journal::Wish;
use crate::specification::ReadTrigger;
use store::{Origin, Outcome, Pending, StoredTrigger, Triggered};

mod news;
mod poll;

use news::VersionStatus;
pub use news::{ConfirmedEvent, RegistryEvent};
use poll::{Backoff, PollState};

/// What people and registries ask of triggers.
pub enum TriggerCommand {
    /// Keeps one.
    Keep { read: Box<ReadTrigger>, dry_run: bool, answer: oneshot::Sender<Result<TriggerApplied, Refusal>> },
    /// Forgets one.
    Drop { name: String, answer: oneshot::Sender<Result<(), Refusal>> },
    /// A person wants a version rolled out.
    Go {
        name: String,
        version: String,
        by: String,
        again: bool,
        answer: oneshot::Sender<Result<Fired, Refusal>>,
    },
    /// A registry tells of something.
    Hear { name: String, news: RegistryEvent, answer: oneshot::Sender<Result<Fired, Refusal>> },
}

/// Who named a version.
#[derive(Clone, Copy, Debug)]
pub enum NamedBy {
    /// A person.
    Person {
        /// Although it had its turn.
        again: bool,
    },
    /// The registry, which was asked just now.
    Registry,
    /// A delivery of the registry's.
    Event {
        /// When it happened there, in milliseconds since 1970, where that is said.
        said_ms: Option<u64>,
    },
}

impl NamedBy {
    const fn is_person(self) -> bool {
        matches!(self, Self::Person { .. })
    }

    const fn origin(self) -> Origin {
        let said_ms = match self {
            Self::Event { said_ms } => said_ms,
            Self::Person { .. } | Self::Registry => None,
        };
        Origin { person: self.is_person(), said_ms }
    }
}

/// Triggers by name, with what people and tools see of them.
pub type TriggerViews = Arc<BTreeMap<String, (TriggerView, Arc<manifest::Trigger>)>>;

/// Versions shown; the store keeps all.
const SHOWN: usize = 50;

/// One trigger in the engine's hands.
pub struct Trigger {
    spec: Arc<manifest::Trigger>,
    pending: Option<Pending>,
    triggered: BTreeMap<String, Triggered>,
    polling: PollState,
    /// Is the registry asked whether what waits is still meant?
    confirming: bool,
    /// When the registry last took an alias back, in milliseconds since 1970.
    taken_back_ms: Option<u64>,
    tries: Backoff,
}

impl Trigger {
    fn new(spec: manifest::Trigger) -> Self {
        Self {
            spec: Arc::new(spec),
            pending: None,
            triggered: BTreeMap::new(),
            polling: PollState::default(),
            confirming: false,
            taken_back_ms: None,
            tries: Backoff::default(),
        }
    }

    /// As it was stored; `None`, with a word in the log, when this serin cannot read it.
    pub fn stored(stored: StoredTrigger) -> Option<(String, Self)> {
        match manifest::load_trigger(&stored.spec) {
            Ok((spec, _)) => {
                let triggered = stored.triggered.into_iter().map(|one| (one.version.clone(), one)).collect();
                Some((stored.name, Self { pending: stored.pending, triggered, ..Self::new(spec) }))
            }
            Err(problems) => {
                tracing::error!("the trigger {} is of no use to this serin: {problems}", stored.name);
                None
            }
        }
    }

    fn view(&self) -> TriggerView {
        let spec = &self.spec;
        let mut versions: Vec<Triggered> = self.triggered.values().cloned().collect();
        versions.sort_by_key(|one| std::cmp::Reverse(one.unix_ms));
        versions.truncate(SHOWN);
        TriggerView {
            name: spec.name.clone(),
            rollout: spec.rollout.clone(),
            model: spec.mlflow.as_ref().map(|mlflow| mlflow.model.clone()),
            when: spec.mlflow.as_ref().map(|mlflow| mlflow.when.clone().into()),
            webhook: spec.webhook.is_some(),
            poll: spec
                .mlflow
                .as_ref()
                .and_then(|mlflow| mlflow.poll.as_ref())
                .map(|poll| self.polling.view(poll)),
            pending: self.pending.clone().map(pending_view),
            versions: versions.into_iter().map(triggered_view).collect(),
        }
    }
}

fn pending_view(Pending { version, by, unix_ms, again, .. }: Pending) -> PendingView {
    PendingView { version, by, unix_ms, again }
}

fn triggered_view(Triggered { version, by, unix_ms, outcome, .. }: Triggered) -> TriggeredView {
    let outcome = match outcome {
        Outcome::Begun { run } => VersionOutcome::Begun { run },
        Outcome::Queued { after_run } => VersionOutcome::Queued { after_run },
        Outcome::Stable => VersionOutcome::Stable,
        Outcome::Refused { why } => VersionOutcome::Refused { why },
        Outcome::PassedOver { by_version } => VersionOutcome::PassedOver { by_version },
        Outcome::Withdrawn { by } => VersionOutcome::Withdrawn { by },
    };
    TriggeredView { version, by, unix_ms, outcome: outcome.into() }
}

impl Engine {
    pub(super) async fn trigger_command(&mut self, command: TriggerCommand) {
        match command {
            TriggerCommand::Keep { read, dry_run, answer } => {
                let _ = answer.send(self.keep_trigger(*read, dry_run));
            }
            TriggerCommand::Drop { name, answer } => {
                let _ = answer.send(self.drop_trigger(&name));
            }
            TriggerCommand::Go { name, version, by, again, answer } => {
                let gone = self.go(&name, &version, &by, NamedBy::Person { again }).await;
                let _ = answer.send(gone);
            }
            TriggerCommand::Hear { name, news, answer } => self.deliver(name, news, answer).await,
        }
    }

    /// Keeps a trigger, in place of the one of its name; what that one has done is not done again. `dry_run`: only says
    /// what would be.
    pub(super) fn keep_trigger(
        &mut self,
        read: ReadTrigger,
        dry_run: bool,
    ) -> Result<TriggerApplied, Refusal> {
        let ReadTrigger { text, trigger: spec, warnings, sample } = read;
        if !self.triggers.contains_key(&spec.name) {
            let unusable = manifest::unusable_name(&spec.name);
            unusable.map_or(Ok(()), |problem| Err(Refusal::Invalid(problem.to_string())))?;
        }
        self.external.hooks.allow(&sample).map_err(Refusal::Invalid)?;
        self.external.sources.allow_trigger(&spec).map_err(Refusal::Invalid)?;
        let kept = TriggerApplied {
            name: spec.name.clone(),
            rollout: spec.rollout.clone(),
            unchanged: self.triggers.get(&spec.name).is_some_and(|known| *known.spec == spec),
            dry_run,
            warnings: warnings.iter().map(Problem::to_string).collect(),
        };
        if dry_run {
            return Ok(kept);
        }
        let wish = Wish::Trigger { name: spec.name.clone(), spec: text };
        self.wish(wish).map_err(|error| Refusal::unwritten(&error))?;
        match self.triggers.get_mut(&spec.name) {
            Some(known) => {
                known.spec = Arc::new(spec);
                // What is being asked is the old question; the new one is due.
                known.polling = PollState::after(&known.polling);
            }
            None => {
                self.triggers.insert(kept.name.clone(), Trigger::new(spec));
            }
        }
        self.show_triggers();
        Ok(kept)
    }

    pub(super) fn drop_trigger(&mut self, name: &str) -> Result<(), Refusal> {
        self.known(name)?;
        self.wish(Wish::DropTrigger(name.to_owned())).map_err(|error| Refusal::unwritten(&error))?;
        self.triggers.remove(name);
        self.show_triggers();
        Ok(())
    }

    fn known(&self, name: &str) -> Result<&Trigger, Refusal> {
        let names: Vec<&str> = self.triggers.keys().map(String::as_str).collect();
        let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        self.triggers
            .get(name)
            .ok_or_else(|| Refusal::Unknown(format!("there is no trigger {name:?}; there are: {there}")))
    }

    /// A version is to be rolled out: now, or when the present run is over.
    pub(super) async fn go(
        &mut self,
        name: &str,
        version: &str,
        by: &str,
        named: NamedBy,
    ) -> Result<Fired, Refusal> {
        let trigger = self.known(name)?;
        let spec = trigger.spec.clone();
        let gone = |triggered, message| Ok(Fired { triggered, version: Some(version.to_owned()), message });
        let pending = Pending {
            version: version.to_owned(),
            by: by.to_owned(),
            unix_ms: clock::unix_ms(),
            again: matches!(named, NamedBy::Person { again: true }),
            origin: named.origin(),
        };
        match trigger.standing(version, &named) {
            VersionStatus::New => {}
            VersionStatus::Had(outcome) => {
                let remedy = format!("serin trigger fire {name} {version} --again");
                return gone(false, format!("it had its turn: {} ({remedy})", outcome.said(&spec.rollout)));
            }
            VersionStatus::Late(later) => {
                self.note_late(name, pending, &later)?;
                return gone(false, format!("version {later} is the later one"));
            }
            VersionStatus::TakenBack => return gone(false, "the registry took it back later".to_owned()),
            VersionStatus::Person(waits) => {
                return gone(false, format!("version {waits} waits, which a person named"));
            }
        }
        let free = self.is_free(&spec.rollout);
        let run = self.lead(&spec.rollout).map_or(0, |state| state.run);
        if free || spec.supersede != Supersede::Queue || self.serves(&spec.rollout, &spec.version(version)) {
            let outcome = self.begin_version(name, &pending).await?;
            let taken = matches!(outcome, Outcome::Begun { .. } | Outcome::Queued { .. });
            return gone(taken, outcome.said(&spec.rollout));
        }
        let waits = format!("it begins when run {run} of {} is over", spec.rollout);
        let trigger = self.known(name)?;
        if let Some(known) = trigger.pending.clone().filter(|known| known.version == version) {
            // Told of again, later than before: what happened in between is the older news.
            let said_ms = known.origin.said_ms.max(pending.origin.said_ms);
            if said_ms != known.origin.said_ms {
                let origin = Origin { said_ms, ..known.origin };
                self.note(name, Vec::new(), Some(Pending { origin, ..known }))?;
            }
            return gone(false, waits);
        }
        // The longest wait does not come first here: a newer model makes the older one pointless.
        let passed = trigger.pending.clone().map(|old| old.passed_over(version, clock::unix_ms()));
        self.note(name, passed.into_iter().collect(), Some(pending))?;
        gone(true, waits)
    }

    /// Is no run under way, none about to begin, and nothing kept to go back to?
    fn is_free(&self, rollout: &str) -> bool {
        let over = rollout::fleet::is_over(&self.states(&self.applied(rollout)));
        over && !self.keeps_old(rollout)
            && self.waiting.get(rollout).is_none_or(|waiting| waiting.queued.refused.is_some())
    }

    /// Is this version on its way up, or behind the stable route?
    fn serves(&self, rollout: &str, version: &str) -> bool {
        self.lead(rollout).is_some_and(|state| {
            state.stable_version == version || (!state.is_over() && state.plan.canary == version)
        })
    }

    async fn begin_version(&mut self, name: &str, begins: &Pending) -> Result<Outcome, Refusal> {
        let begun = self.try_version(name, begins).await;
        if let Some(trigger) = self.triggers.get_mut(name) {
            trigger.tries.note_try(begun.is_ok(), clock::monotonic_ns());
        }
        begun
    }

    async fn try_version(&mut self, name: &str, begins: &Pending) -> Result<Outcome, Refusal> {
        let Pending { version, by, again, .. } = begins;
        let spec = self.known(name)?.spec.clone();
        let present = self.lead(&spec.rollout);
        // What was deleted left something behind the stable route, too.
        let stable = match present {
            Some(state) => Some(state.stable_version.clone()),
            None => {
                let last = self.journal.last(&spec.rollout).map_err(|error| Refusal::unread(&error))?;
                last.map(|last| last.stable_version)
            }
        };
        let canary = spec.version(version);
        let outcome = if stable.as_deref().unwrap_or(spec.first_stable()) == canary {
            Outcome::Stable
        } else if let Some(run) =
            present.filter(|_| self.serves(&spec.rollout, &canary)).map(|state| state.run)
        {
            Outcome::Begun { run }
        } else {
            let document = spec.document_for(version, stable.as_deref());
            let text = serde_json::to_string(&document)
                .map_err(|error| Refusal::Failed(format!("the template cannot be written: {error}")))?;
            match self.apply(&text, format!("trigger {name}: {by}"), *again).await {
                Ok(Applied { run, queued: true, .. }) => Outcome::Queued { after_run: run },
                Ok(Applied { run, .. }) => Outcome::Begun { run },
                // The controller's fault, and no reason to lose the version: the registry delivers it again.
                Err(Refusal::Failed(why)) => return Err(Refusal::Failed(why)),
                Err(refusal) => Outcome::Refused { why: refusal.text().to_owned() },
            }
        };
        tracing::info!(trigger = name, version, "{by}: {}", outcome.said(&spec.rollout));
        let began = matches!(outcome, Outcome::Begun { .. } | Outcome::Queued { .. });
        let (passed, pending) = match self.known(name)?.pending.clone() {
            Some(old) if old.version != *version && began => {
                (Some(old.passed_over(version, clock::unix_ms())), None)
            }
            Some(old) if old.version != *version => (None, Some(old)),
            _ => (None, None),
        };
        let this = Triggered {
            version: version.to_owned(),
            by: by.to_owned(),
            unix_ms: clock::unix_ms(),
            outcome: outcome.clone(),
            origin: begins.origin,
        };
        self.note(name, passed.into_iter().chain([this]).collect(), pending)?;
        Ok(outcome)
    }

    /// Writes down the outcome of a version, and what waits. A crash before it is harmless: the version is told of
    /// again, and found to be under way.
    fn note(
        &mut self,
        name: &str,
        triggered: Vec<Triggered>,
        pending: Option<Pending>,
    ) -> Result<(), Refusal> {
        let wish =
            Wish::Triggered { name: name.to_owned(), triggered: triggered.clone(), pending: pending.clone() };
        self.wish(wish).map_err(|error| Refusal::unwritten(&error))?;
        if let Some(trigger) = self.triggers.get_mut(name) {
            trigger.pending = pending;
            trigger.triggered.extend(triggered.into_iter().map(|one| (one.version.clone(), one)));
        }
        self.show_triggers();
        Ok(())
    }

    /// Versions whose turn has come begin, and registries that are due are asked.
    pub(super) async fn settle_triggers(&mut self) {
        let now_ns = clock::monotonic_ns();
        let waiting: Vec<(String, Pending)> = self
            .triggers
            .iter()
            .filter(|(_, trigger)| !trigger.tries.is_waiting(now_ns) && self.is_free(&trigger.spec.rollout))
            .filter_map(|(name, trigger)| Some((name.clone(), trigger.pending.clone()?)))
            .collect();
        for (name, pending) in waiting {
            if self.confirms_first(&name, &pending) {
                continue;
            }
            if let Err(refusal) = self.begin_version(&name, &pending).await {
                tracing::error!(
                    trigger = name,
                    "version {} cannot begin: {}",
                    pending.version,
                    refusal.text()
                );
            }
        }
        self.ask_registries();
    }

    /// Is the registry asked first whether what waits is still meant? Its answer begins it, or whatever is meant now.
    fn confirms_first(&mut self, name: &str, pending: &Pending) -> bool {
        let Some(trigger) = self.triggers.get_mut(name) else { return true };
        let asked = trigger.spec.mlflow.as_ref().is_some_and(|mlflow| mlflow.poll.is_some());
        if pending.origin.person || !asked {
            return false;
        }
        if !std::mem::replace(&mut trigger.confirming, true) {
            trigger.polling.poll_now();
        }
        true
    }

    pub(super) fn show_triggers(&self) {
        let views = self
            .triggers
            .iter()
            .map(|(name, trigger)| (name.clone(), (trigger.view(), trigger.spec.clone())));
        self.trigger_views.send_replace(Arc::new(views.collect()));
    }
}

#[cfg(test)]
mod tests;
