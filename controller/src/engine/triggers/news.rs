//! What registries tell of: in the order in which it happened there, and asked again before anything is done.
//!
//! Deliveries come late, twice, and in any order. Where the registry can be asked, its answer of now is what counts, and a
//! delivery only says that it is time to ask. Where it cannot, events go by the registry's own time, and versions that mean
//! "the newest" by their number.

use std::sync::Arc;

use api::{Fired, Refusal};
use manifest::When;
use store::{Origin, Outcome, Pending, Triggered};
use tokio::sync::oneshot;

use super::{Engine, NamedBy, Trigger};
use crate::engine::Report;

/// Events that are less apart happened at one moment: a registry of several processes has several clocks, and versions are
/// numbered by one hand.
const ONE_MOMENT_MS: u64 = 1_000;

/// What a registry says has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryEvent {
    /// The version it is about; `None`: whatever was meant before.
    pub version: Option<String>,
    /// Is it to be rolled out, or no longer?
    pub go: bool,
    /// How it was heard of.
    pub by: String,
    /// When it happened, in milliseconds since 1970, by the registry's own word.
    pub said_ms: Option<u64>,
}

/// Where the answer to a delivery goes.
type Answer = oneshot::Sender<Result<Fired, Refusal>>;

/// A delivery, and what the registry says of now.
pub struct ConfirmedEvent {
    pub(super) name: String,
    /// The trigger as it was when its registry was asked.
    pub(super) asked: Arc<manifest::Trigger>,
    pub(super) news: RegistryEvent,
    pub(super) said: Result<Option<String>, String>,
    pub(super) answer: Answer,
}

/// How a version that is named stands to what the trigger knows.
pub(super) enum VersionStatus {
    /// It is new, or is wanted anew.
    New,
    /// It had its turn.
    Had(Outcome),
    /// Another version was named later.
    Late(String),
    /// The registry took it back later.
    TakenBack,
    /// A person named another, which waits.
    Person(String),
}

impl Trigger {
    /// All versions that were named, except one: which, and by whom.
    fn heard(&self, but: &str) -> impl Iterator<Item = (&str, Origin)> {
        let pending = self.pending.iter().map(|pending| (pending.version.as_str(), pending.origin));
        let withdrawn = |one: &&Triggered| !matches!(one.outcome, Outcome::Withdrawn { .. });
        let triggered = self.triggered.values().filter(withdrawn);
        let triggered = triggered.map(|one| (one.version.as_str(), one.origin));
        pending.chain(triggered).filter(move |(version, _)| *version != but)
    }

    /// The version that was named later than an event of this one, if one was.
    fn later(&self, version: &str, said_ms: Option<u64>) -> Option<String> {
        let number = |version: &str| version.parse::<u64>().ok();
        let by_time = said_ms.and_then(|said_ms| {
            let later = self.heard(version).filter(|(other, origin)| {
                origin.said_ms.is_some_and(|other_ms| match number(other).zip(number(version)) {
                    Some((other, this)) if other_ms.abs_diff(said_ms) < ONE_MOMENT_MS => other > this,
                    _ => other_ms > said_ms,
                })
            });
            later.max_by_key(|(_, origin)| origin.said_ms).map(|(version, _)| version.to_owned())
        });
        // A tag or a new version means the newest; an alias may go back.
        let newest = matches!(
            self.spec.mlflow.as_ref().map(|mlflow| &mlflow.when),
            Some(When::Created | When::Tag { .. })
        );
        let by_number = number(version).filter(|_| newest).and_then(|this| {
            let named = self.heard(version).filter(|(_, origin)| !origin.person);
            let higher = named.filter(|(other, _)| number(other).is_some_and(|other| other > this));
            higher.max_by_key(|(other, _)| number(other)).map(|(version, _)| version.to_owned())
        });
        by_time.or(by_number)
    }

    /// How a version that is named now stands to what is known.
    pub(super) fn standing(&self, version: &str, named: &NamedBy) -> VersionStatus {
        if let NamedBy::Event { said_ms } = named
            && let Some(later) = self.later(version, *said_ms)
        {
            return VersionStatus::Late(later);
        }
        if let NamedBy::Event { said_ms: Some(said_ms) } = named
            && self.taken_back_ms.is_some_and(|taken_back_ms| taken_back_ms > *said_ms)
        {
            return VersionStatus::TakenBack;
        }
        if let Some(known) = self.triggered.get(version).filter(|known| !self.may_again(known, named)) {
            return VersionStatus::Had(known.outcome.clone());
        }
        match &self.pending {
            Some(pending) if pending.origin.person && pending.version != version && !named.is_person() => {
                VersionStatus::Person(pending.version.clone())
            }
            _ => VersionStatus::New,
        }
    }

    /// May a version that was heard of have a turn after all, because the registry names it still?
    fn may_again(&self, known: &Triggered, named: &NamedBy) -> bool {
        match (&known.outcome, named) {
            (_, NamedBy::Person { again }) => *again,
            (Outcome::Withdrawn { .. }, NamedBy::Event { said_ms }) => {
                said_ms.zip(known.origin.said_ms).is_none_or(|(said, taken_back)| said > taken_back)
            }
            (Outcome::Withdrawn { .. }, NamedBy::Registry) => true,
            // Told of again, later than what passed it over: `later` has looked.
            (Outcome::PassedOver { .. }, NamedBy::Event { said_ms }) => {
                said_ms.is_some() && *said_ms > known.origin.said_ms
            }
            (Outcome::PassedOver { by_version }, NamedBy::Registry) => {
                let passer = self.heard(&known.version).find(|(version, _)| version == by_version);
                passer.is_none_or(|(_, origin)| !origin.person)
            }
            _ => false,
        }
    }
}

impl Engine {
    /// A registry tells of something. Where it can be asked, it is.
    pub(super) async fn deliver(&mut self, name: String, news: RegistryEvent, answer: Answer) {
        let trigger = match self.known(&name) {
            Ok(trigger) => trigger,
            Err(refusal) => {
                let _ = answer.send(Err(refusal));
                return;
            }
        };
        let asked = trigger.spec.clone();
        let Some(mlflow) = asked.mlflow.clone().filter(|mlflow| mlflow.poll.is_some()) else {
            let taken = self.take_news(&name, news).await;
            let _ = answer.send(taken);
            return;
        };
        let (sources, reports) = (self.external.sources.clone(), self.external.reports.clone());
        tokio::spawn(async move {
            let said = sources.newest(&name, &mlflow).await;
            // The engine has stopped: the registry is told to deliver it again.
            let _ = reports
                .send(Report::ConfirmedEvent(Box::new(ConfirmedEvent { name, asked, news, said, answer })))
                .await;
        });
    }

    /// The registry has said what is so now.
    pub(in super::super) async fn take_confirmed(&mut self, confirmed: ConfirmedEvent) {
        let ConfirmedEvent { name, asked, news, said, answer } = confirmed;
        // What was asked for one template says nothing of another; the run is looked at as it is now.
        if self.known(&name).is_ok_and(|trigger| trigger.spec != asked) {
            let why = format!("{name} was changed while its registry was asked; deliver it again");
            let _ = answer.send(Err(Refusal::Failed(why)));
            return;
        }
        let taken = match said {
            Ok(Some(version)) => {
                let by = format!("{}, and the registry says so", news.by);
                let fired = self.go(&name, &version, &by, NamedBy::Registry).await;
                fired.map(|fired| match &news.version {
                    Some(told) if *told != version => {
                        let message =
                            format!("the registry names {version} now, not {told}: {}", fired.message);
                        Fired { message, ..fired }
                    }
                    _ => fired,
                })
            }
            Ok(None) => self.take_back_word(&name, &news.by, news.said_ms).map(|withdrawn| Fired {
                triggered: false,
                version: withdrawn.or(news.version),
                message: "the registry names no version now".to_owned(),
            }),
            // A delivery that failed on our side is delivered again.
            Err(why) => Err(Refusal::Failed(format!(
                "the registry was asked what is so now, and gave no answer: {why}"
            ))),
        };
        let _ = answer.send(taken);
    }

    /// Takes a delivery at its word, in the order of its time.
    async fn take_news(&mut self, name: &str, news: RegistryEvent) -> Result<Fired, Refusal> {
        let RegistryEvent { version, go, by, said_ms } = news;
        if let Some(version) = version.as_deref().filter(|_| go) {
            return self.go(name, version, &by, NamedBy::Event { said_ms }).await;
        }
        let nothing =
            |version, message: &str| Ok(Fired { triggered: false, version, message: message.to_owned() });
        // An event of before that comes later still is known for late; after a restart it is not.
        if let Some(trigger) = self.triggers.get_mut(name).filter(|_| version.is_none()) {
            trigger.taken_back_ms = trigger.taken_back_ms.max(said_ms);
        }
        let waiting = self.known(name)?.pending.as_ref();
        let meant =
            waiting.filter(|pending| version.as_ref().is_none_or(|version| *version == pending.version));
        let Some(pending) = meant else { return nothing(version, "nothing of it waits") };
        if said_ms.zip(pending.origin.said_ms).is_some_and(|(said, named)| said < named) {
            return nothing(version, "what waits was named later");
        }
        match self.take_back_word(name, &by, said_ms)? {
            Some(version) => nothing(Some(version), "what waited was withdrawn"),
            None => nothing(version, "what waits was named by a person"),
        }
    }

    /// Whatever waits because the registry named it does so no longer; which it was.
    pub(super) fn take_back_word(
        &mut self,
        name: &str,
        by: &str,
        said_ms: Option<u64>,
    ) -> Result<Option<String>, Refusal> {
        let pending = self.known(name)?.pending.clone().filter(|pending| !pending.origin.person);
        let Some(mut pending) = pending else { return Ok(None) };
        pending.origin.said_ms = pending.origin.said_ms.max(said_ms);
        let version = pending.version.clone();
        tracing::info!(trigger = name, version, "withdrawn: {by}");
        self.note(name, vec![pending.withdrawn(by, clock::unix_ms())], None)?;
        Ok(Some(version))
    }

    /// Writes down that a version came too late, unless it is known for something else.
    pub(super) fn note_late(&mut self, name: &str, late: Pending, by_version: &str) -> Result<(), Refusal> {
        let trigger = self.known(name)?;
        if trigger.triggered.contains_key(&late.version) {
            return Ok(());
        }
        let pending = trigger.pending.clone();
        self.note(name, vec![late.passed_over(by_version, clock::unix_ms())], pending)
    }
}
