//! Which of several replicas decides: the one that holds a Lease of Kubernetes.
//!
//! Times are measured on this machine's monotonic clock alone: a holder is overdue when its Lease has not changed here for
//! as long as the Lease says, whatever moments are written in it. A holder whose renewal is older than
//! [`Patience::sure`] writes nothing any more, and that is sooner than another may take over.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::refusal;

/// The Lease says here where its holder is reached.
const ADDRESS: &str = "serin.dev/address";

/// A Lease, and the namespace of whatever else the replicas share: `serin-system/serin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseName {
    /// Its namespace.
    pub namespace: String,
    /// What it is called; objects of the journal begin with it.
    pub name: String,
}

/// One of the replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replica {
    /// No other process has it, a later one in the same pod included.
    pub identity: String,
    /// Where its API is reached, such as `http://10.0.0.7:7070`.
    pub address: String,
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A Lease that has not changed for so long is free. In whole seconds, since it is written into the Lease.
    pub duration: Duration,
    /// A holder is sure of it for so long after it sent its last renewal.
    pub sure: Duration,
    /// It is renewed, or looked at, this often.
    pub look: Duration,
    /// One question may take so long.
    pub answer: Duration,
    /// Without an answer of the API server for so long nobody vouches for what was decided, and a holder gives up.
    pub grace: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(8),
            sure: Duration::from_secs(6),
            look: Duration::from_secs(1),
            answer: Duration::from_secs(2),
            grace: Duration::from_secs(30),
        }
    }
}

/// How it stands, as this replica knows it.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Who holds the Lease; `None`: nobody, or it is not known.
    pub leader: Option<Replica>,
    /// Is that this replica?
    pub leads: bool,
    /// How often the Lease has changed hands.
    pub transitions: i32,
    /// When the Lease last changed here: its holder is alive.
    pub renewed: Option<Instant>,
    /// When the last question was sent that the API server answered.
    pub heard: Option<Instant>,
}

impl Standing {
    /// Is it known here what the leader decides, or will another have taken over by now?
    #[must_use]
    pub fn is_current(&self, patience: &Patience) -> bool {
        let fresh = |at: Option<Instant>| at.is_some_and(|at| at.elapsed() < patience.grace);
        fresh(self.heard) && fresh(self.renewed)
    }
}

/// Is this replica still the leader? Shared by whoever renews and whoever writes.
#[derive(Clone, Debug)]
pub struct Hold(Arc<Mutex<Option<Instant>>>, watch::Sender<bool>, Duration);

impl Hold {
    fn new(sure: Duration) -> Self {
        Self(Arc::default(), watch::Sender::new(false), sure)
    }

    /// May it write? Not when another may hold the Lease by now.
    #[must_use]
    pub fn is_sure(&self) -> bool {
        let renewed = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        !*self.1.borrow() && renewed.is_some_and(|at| at.elapsed() < self.2)
    }

    #[cfg(test)]
    pub(crate) fn held_until(end: Instant) -> Self {
        let hold = Self::new(end - Instant::now());
        hold.renewed(Some(Instant::now()));
        hold
    }

    fn renewed(&self, at: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// Another leads.
    pub fn lost(&self) {
        self.1.send_replace(true);
    }

    /// Resolves when this replica leads no more, for good.
    pub async fn over(&self) {
        let mut over = self.1.subscribe();
        let _ = over.wait_for(|over| *over).await;
    }
}

/// One replica's part in it.
pub struct Election {
    api: Api<Lease>,
    namespace: String,
    name: String,
    own: Replica,
    patience: Patience,
    standing: watch::Sender<Standing>,
    hold: Hold,
    /// The Lease as it was last seen to change, and when that was.
    seen: Option<(Lease, Instant)>,
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{}", refusal::words(.error, .verb, "leases", Some(.namespace)))]
    Refused { error: kube::Error, verb: &'static str, namespace: String },
    #[error("the API server did not answer within {} ms, or is busy and asks to wait longer (429)", .0.as_millis())]
    Silent(Duration),
}

impl Election {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(client: Client, lease: &LeaseName, own: Replica, patience: Patience) -> Self {
        Self {
            api: Api::namespaced(client, &lease.namespace),
            namespace: lease.namespace.clone(),
            name: lease.name.clone(),
            own,
            patience,
            standing: watch::Sender::default(),
            hold: Hold::new(patience.sure),
            seen: None,
        }
    }

    /// How it stands, from now on.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// For whoever writes.
    #[must_use]
    pub fn hold(&self) -> Hold {
        self.hold.clone()
    }

    /// Takes the Lease when it is free, and renews it; until it is lost, or `stop` is true: then it is given back.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut told: Option<String> = None;
        loop {
            let leads = self.standing.borrow().leads;
            match self.turn().await {
                Ok(()) => {
                    if told.take().is_some() {
                        tracing::info!("the Lease {} can be asked for again", self.name);
                    }
                }
                Err(failed) => {
                    let error = failed.to_string();
                    if told.as_ref() != Some(&error) {
                        tracing::warn!("the Lease {}: {error}", self.name);
                        told = Some(error);
                    }
                }
            }
            let standing = self.standing.borrow().clone();
            if leads {
                let silent = standing.heard.is_none_or(|at| at.elapsed() >= self.patience.grace);
                if silent {
                    tracing::error!(
                        "the API server was not reached for {:?}: this replica leads no more",
                        self.patience.grace
                    );
                }
                if silent || !standing.leads {
                    return self.hold.lost();
                }
            }
            let stopped = timeout(self.patience.look, stop.wait_for(|stop| *stop)).await.is_ok();
            if stopped {
                return self.give_back().await;
            }
        }
    }

    /// One look, and what follows from it.
    async fn turn(&mut self) -> Result<(), Failed> {
        let sent = Instant::now();
        let found = self.asked("get", self.api.get_opt(&self.name)).await?;
        let now = Instant::now();
        let Some(lease) = found else {
            let made = self.lease(None, 0);
            let made = self.asked("create", self.api.create(&PostParams::default(), &made)).await;
            return self.taken(made, sent);
        };
        if self.seen.as_ref().is_none_or(|(seen, _)| seen.spec != lease.spec) {
            self.seen = Some((lease.clone(), now));
        }
        let since = self.seen.as_ref().map_or(now, |(_, since)| *since);
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.filter(|holder| !holder.is_empty());
        let transitions = spec.lease_transitions.unwrap_or(0);
        let own = holder.as_ref() == Some(&self.own.identity);
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let overdue = seconds.is_none_or(|seconds| since.elapsed() >= Duration::from_secs(seconds));
        if own || holder.is_none() || overdue {
            let next = if own { transitions } else { transitions.saturating_add(1) };
            let mut taken = self.lease(Some(&lease), next);
            if own {
                taken.spec = taken.spec.map(|taken| LeaseSpec { acquire_time: spec.acquire_time, ..taken });
            }
            let sent = Instant::now();
            let taken =
                self.asked("update", self.api.replace(&self.name, &PostParams::default(), &taken)).await;
            return self.taken(taken, sent);
        }
        let annotations = lease.metadata.annotations.unwrap_or_default();
        let address = annotations.get(ADDRESS).cloned().unwrap_or_default();
        let leader = holder.map(|identity| Replica { identity, address });
        self.hold.renewed(None);
        self.change(|standing| {
            *standing =
                Standing { leader, leads: false, transitions, renewed: Some(since), heard: Some(sent) };
        });
        Ok(())
    }

    /// What came of a try to hold it.
    fn taken(&mut self, answer: Result<Lease, Failed>, sent: Instant) -> Result<(), Failed> {
        match answer {
            Ok(lease) => {
                let transitions = lease.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or(0);
                self.hold.renewed(Some(sent));
                let own = self.own.clone();
                self.change(|standing| {
                    *standing = Standing {
                        leader: Some(own),
                        leads: true,
                        transitions,
                        renewed: Some(sent),
                        heard: Some(sent),
                    };
                });
                Ok(())
            }
            // Somebody else was sooner; the next look tells who.
            Err(Failed::Refused { error: kube::Error::Api(status), .. })
                if status.is_conflict() || status.is_already_exists() =>
            {
                self.change(|standing| standing.heard = Some(sent));
                Ok(())
            }
            Err(failed) => Err(failed),
        }
    }

    fn lease(&self, before: Option<&Lease>, transitions: i32) -> Lease {
        let now = || Some(MicroTime(Timestamp::now()));
        let mut metadata = before
            .map(|lease| lease.metadata.clone())
            .unwrap_or_else(|| ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() });
        metadata.managed_fields = None;
        let annotations = metadata.annotations.get_or_insert_default();
        annotations.insert(ADDRESS.to_owned(), self.own.address.clone());
        let seconds = i32::try_from(self.patience.duration.as_secs()).unwrap_or(i32::MAX);
        let spec = LeaseSpec {
            holder_identity: Some(self.own.identity.clone()),
            lease_duration_seconds: Some(seconds),
            lease_transitions: Some(transitions),
            acquire_time: now(),
            renew_time: now(),
            ..LeaseSpec::default()
        };
        Lease { metadata, spec: Some(spec) }
    }

    /// The process ends: another need not wait until the Lease is overdue.
    async fn give_back(&mut self) {
        if !self.standing.borrow().leads {
            return;
        }
        self.hold.renewed(None);
        let given: Result<(), Failed> = async {
            let Some(mut lease) = self.asked("get", self.api.get_opt(&self.name)).await? else {
                return Ok(());
            };
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_ref() == Some(&self.own.identity) {
                spec.holder_identity = None;
                lease.metadata.managed_fields = None;
                self.asked("update", self.api.replace(&self.name, &PostParams::default(), &lease)).await?;
            }
            Ok(())
        }
        .await;
        if let Err(failed) = given {
            tracing::warn!("the Lease {} is not given back, and runs out: {failed}", self.name);
        }
        self.hold.lost();
    }

    /// `verb`: what is asked, as a role would grant it.
    async fn asked<T>(
        &self,
        verb: &'static str,
        question: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Failed> {
        let within = self.patience.answer;
        let answer = timeout(within, question).await.map_err(|_| Failed::Silent(within))?;
        answer.map_err(|error| Failed::Refused { error, verb, namespace: self.namespace.clone() })
    }

    fn change(&self, change: impl FnOnce(&mut Standing)) {
        self.standing.send_modify(change);
    }
}

impl fmt::Display for LeaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for LeaseName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let place: Option<crate::Place> = text.parse().ok();
        match place {
            // Objects of the journal have longer names.
            Some(place) if place.region.is_none() && place.name.len() <= 200 => {
                Ok(Self { namespace: place.namespace, name: place.name })
            }
            _ => Err(format!("{text:?} names no Lease; write NAMESPACE/NAME, such as serin-system/serin")),
        }
    }
}

#[cfg(test)]
mod tests;
