//! What is sent to the proxies: the newest weights of all runs and exercises, as one policy.

use std::sync::Arc;
use std::time::Duration;

use rollout::State;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Engine;
use crate::publish::{Part, Publisher};
use lease::Leases;
use scrape::Wanted;

/// Pushes that take nothing back are this far apart: a hundred runs that go on within it are one push to a thousand
/// proxies, not a hundred.
const PUSH_GAP: Duration = Duration::from_millis(100);

/// At the end of the process what was sent last is waited for this long.
const LEAVES: Duration = Duration::from_secs(2);

/// How policies leave, and what is vouched for.
pub(super) struct Publication {
    publisher: Publisher,
    pub leases: Leases,
    /// Are there weights that no push has told of yet?
    pub pending: bool,
    /// When the last push went out.
    sent: Option<Instant>,
    /// Was nothing said of the last push yet, not even who is there to take it?
    pub unheard: bool,
    /// What is wanted of every Envoy's counters.
    pub wanted: watch::Sender<Wanted>,
}

impl Publication {
    pub fn new(publisher: Publisher, leases: Leases) -> Self {
        Self {
            publisher,
            leases,
            pending: false,
            sent: None,
            unheard: false,
            wanted: watch::Sender::default(),
        }
    }

    /// Policies are of another incarnation from now on; no lease is given for earlier ones.
    pub fn begin_incarnation(&mut self, incarnation: u64) {
        self.publisher.begin_incarnation(incarnation);
        self.leases.begin_incarnation(incarnation);
    }

    /// The process ends: what was sent leaves, if its way does not hang.
    pub async fn leaves(&self) {
        if tokio::time::timeout(LEAVES, self.publisher.arrived()).await.is_err() {
            tracing::error!("the last policy did not leave over every way there is");
        }
    }

    /// When what is pending is sent.
    pub fn due(&self) -> Instant {
        self.sent.map_or_else(Instant::now, |sent| sent + PUSH_GAP)
    }
}

impl Engine {
    /// Sends what the states of all runs say, under the present generation.
    pub(super) async fn publish(&mut self) {
        (self.publication.pending, self.publication.sent) = (false, Some(Instant::now()));
        self.publication.unheard = true;
        let shadowed = self.runs.values().filter(|run| run.state.shadows());
        let clusters = shadowed.flat_map(|run| {
            let clusters = &run.state.plan.traffic.clusters;
            [clusters.stable.clone(), clusters.canary.clone()]
        });
        let exercised =
            self.exercises.values().filter_map(|known| known.counting.as_ref().map(|(_, state)| state));
        let counted = self.runs.values().map(|run| &run.state).chain(exercised);
        let scope = counted.flat_map(|state| {
            state.versions().map(|version| (state.plan.name.clone(), version.to_owned())).collect::<Vec<_>>()
        });
        let (clusters, scope) = (clusters.collect(), Arc::new(scope.collect()));
        let policies = self.runs.iter().filter_map(|(name, run)| {
            let of_run = run.state.publication.as_ref().map(|publication| publication.sent.policy.clone());
            let known = self.exercises.get(name);
            let policy = known.map_or_else(|| of_run.clone(), |known| known.newest(of_run.clone()))?;
            Some(Part { region: region(&run.state).map(str::to_owned), policy })
        });
        let policies: Vec<_> = policies.collect();
        let epochs = policies.iter().map(|part| (part.policy.name.clone(), part.policy.epoch)).collect();
        let (incarnation, generation) = (self.mesh.incarnation, self.mesh.generation);
        self.publication.wanted.send_modify(|wanted| {
            wanted.note_published(generation, epochs);
            wanted.incarnation = incarnation;
            (wanted.clusters, wanted.scope) = (clusters, scope);
        });
        let intervals =
            self.runs.values().map(|run| run.state.plan.traffic.lease_intervals).min().unwrap_or(5);
        let vouched = self.vouched();
        match self.publication.publisher.compose(generation, &policies, intervals, vouched) {
            Ok(mut snapshot) => {
                snapshot.mesh = self.mesh.clone();
                let leases = &self.publication.leases;
                let new = leases.note_published(snapshot.generation, snapshot.ttl_ms, &snapshot.digests);
                self.backlog.published.extend(new);
                self.publication.publisher.send(&snapshot).await;
            }
            // Every plan is compiled when it is applied, so this is a fault of ours; the proxies keep what they have,
            // and the missing acknowledgements stop the run.
            Err(error) => tracing::error!("the policy does not compile and was not sent: {error}"),
        }
    }
}

/// The region whose proxies serve a run; `None`: all proxies.
pub(super) fn region(state: &State) -> Option<&str> {
    state.plan.member.as_ref()?.region.as_deref()
}
