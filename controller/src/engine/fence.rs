//! A store that is older than what proxies run: a backup that was put in its place, or a process that ended between a push
//! and its write.

use rollout::{Event, Human, State};

use super::{Engine, Inputs};
use crate::clock;
use crate::evidence::Increments;
use crate::lease::Shown;

/// At most one incarnation begins in this time: two controllers that serve the same proxies are for people to part.
const LEAST_APART_NS: u64 = 30_000_000_000;

const DAY_MS: u64 = 86_400_000;

/// An incarnation above this is nobody's: integers in a policy fit in a double.
const MOST: u64 = 1 << 52;

impl Engine {
    /// Looks whether a proxy that asked for its lease runs what was never decided here.
    pub(super) async fn look_at_leases(&mut self) {
        if let Some(shown) = self.publication.leases.ahead() {
            self.fence(shown, "its lease").await;
        }
    }

    /// The same of what proxies named when they connected; and of what they refused as older than what they run.
    pub(super) async fn look_at_nodes(&mut self, inputs: &Inputs) {
        let (ahead, stale) = {
            let nodes = inputs.nodes.borrow();
            let connected = nodes.0.iter().filter(|(_, node)| node.is_connected());
            let brought = connected.filter_map(|(name, node)| Some((node.brought?, name.clone())));
            let stale = inputs.refusals.borrow().get("stale").copied().unwrap_or(0);
            (brought.max(), stale)
        };
        let more = stale.saturating_sub(std::mem::replace(&mut self.upkeep.stale, stale));
        if more > 0 {
            self.pulse.contradicted(more);
            tracing::warn!(
                more,
                "proxies took a policy for older than the one they run; two pushes at once do that too"
            );
        }
        if let Some(shown) = ahead {
            self.fence(shown, "its ECDS stream").await;
        }
    }

    /// The same of what their filters say by gauges. Those are sums while two processes of an Envoy live, so one of
    /// another incarnation counts only when it is none.
    pub(super) async fn look_at_gauges(&mut self, increments: &Increments) {
        let own = self.mesh.incarnation;
        let shown = increments.gauges.iter().filter_map(|gauges| {
            let gauge = |what| gauges.get(&tally::gauge(what, &[])).copied();
            let (incarnation, generation) = (gauge("policy_incarnation")?, gauge("policy_generation")?);
            (incarnation == own || incarnation > own && incarnation < own + own / 2)
                .then_some((incarnation, generation))
        });
        if let Some(shown) = shown.max() {
            self.fence((shown, "an Envoy".to_owned()), "its counters").await;
        }
    }

    /// What a proxy runs is above all that was decided here: this store is older than the mesh. It begins an incarnation
    /// above that, so that its pushes are taken and nobody vouches for what went before. What was decided meanwhile nobody
    /// knows, a rollback perhaps: versions on trial get nothing until a person says so.
    async fn fence(&mut self, (shown, node): Shown, by: &str) {
        // A number of ours that is another document's is above whatever was decided here.
        if self.mesh.generation == 0 || shown <= (self.mesh.incarnation, self.mesh.generation) {
            return;
        }
        let now = clock::now();
        // An incarnation is the moment it began: what lies far ahead is nobody's, and must not make a number that nothing
        // can be above.
        if shown.0 > now.unix_ms.max(self.mesh.incarnation).saturating_add(DAY_MS) {
            return;
        }
        let known = self.upkeep.fenced.replace((now.monotonic_ns, shown));
        if known.is_some_and(|(_, known)| known == shown) && self.mesh.incarnation > shown.0 || shown.0 > MOST
        {
            return;
        }
        self.pulse.contradicted(1);
        if known.is_some_and(|(at, _)| now.monotonic_ns.saturating_sub(at) < LEAST_APART_NS) {
            return tracing::error!(
                node,
                by,
                "runs policy {shown:?}, which is not of this store, again: is another serin at it?"
            );
        }
        let incarnation = now.unix_ms.max(shown.0 + 1).max(self.mesh.incarnation + 1);
        tracing::error!(
            node,
            by,
            "runs a policy that is not of this store, {shown:?}, and the last one of this store is {:?}: the store is older than the mesh, so it goes on \
             as {incarnation}; versions on trial get no traffic until a person says so",
            (self.mesh.incarnation, self.mesh.generation)
        );
        self.mesh.incarnation = incarnation;
        // Above all that was shown, so that no number is used for two documents.
        let above = Some(shown.1).filter(|generation| *generation < MOST).unwrap_or(0);
        self.mesh.generation = self.mesh.generation.max(above) + 1;
        (self.owed.mesh, self.upkeep.hurry) = (true, true);
        self.void_late();
        self.publication.begin_incarnation(incarnation);
        let why = "the store was put back to an earlier state: what was decided since is not known";
        for name in self.exercised() {
            self.end_exercise(&name, why.to_owned()).await;
        }
        for name in self.live() {
            self.hold_at_nothing(&name, why).await;
        }
        self.publish().await;
        self.write_owed();
        self.show();
    }

    async fn hold_at_nothing(&mut self, name: &str, why: &str) {
        let exposed = |state: &State| state.plan.returning.is_none() && super::exercise::exposes(state);
        let mates = self.mates(name);
        let Some(index) = mates.iter().position(|mate| mate == name) else { return };
        if !self.runs.get(name).is_some_and(|run| exposed(&run.state)) {
            return;
        }
        let human = Human { who: "serin".to_owned(), reason: why.to_owned() };
        let event = Event::SetWeight { human, weight_ppm: 0 };
        if let Err(error) = self.try_together(&mates, vec![(index, event)]).await {
            self.unwritten(&error);
        }
    }
}
