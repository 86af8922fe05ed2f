//! A store that is older than what proxies run: a backup that was put in its place, or a process that ended between a push
//! and its write.
//!
//! A new incarnation takes the traffic of versions on trial away, so a number that anyone can send does not begin one:
//! [`Engine::is_believed`].

use std::time::Duration;

use rollout::{Event, Human, State};
use tally::metric::filter;

use super::commit::Draft;
use super::{Engine, Inputs};
use lease::{RunningPolicy, UNKNOWN_DOCUMENT};
use scrape::Increments;

/// At most one incarnation begins in this time: two controllers that serve the same proxies are for people to part.
const LEAST_APART_NS: u64 = 30_000_000_000;

const DAY_MS: u64 = 86_400_000;

/// How it is known what a proxy runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReportedBy {
    Lease,
    Stream,
    Gauges,
    Journal,
}

impl ReportedBy {
    const fn words(self) -> &'static str {
        match self {
            Self::Lease => "its lease",
            Self::Stream => "its ECDS stream",
            Self::Gauges => "its counters",
            Self::Journal => "the journal of the replicas",
        }
    }
}

/// No incarnation is above this: integers in a policy fit in a double.
const MOST: u64 = 1 << 52;

/// Whoever takes over looks this long at what proxies run before it says anything.
const LOOKS: Duration = Duration::from_secs(3);

/// Whoever does not surely lead looks again after this whether it does.
const AGAIN: Duration = Duration::from_millis(50);

/// Its incarnation is waited for this long.
const WRITES: Duration = Duration::from_secs(2);

/// Which of several replicas decides; the engine knows no more of it.
pub trait Leadership: Send + Sync {
    /// Does this one surely lead? Not when another may by now.
    fn is_sure(&self) -> bool;

    /// Another is seen to lead.
    fn lost(&self);
}

/// What a replica goes on from.
pub struct Succession {
    pub leadership: Box<dyn Leadership>,
    /// Incarnation and generation of what the one before published last, whether it wrote that down or not.
    pub published: Option<(u64, u64)>,
}

impl Engine {
    /// Another replica decided until now. What it decided last may be known to proxies alone: it takes back without waiting
    /// for its write. So they are looked at before they are told anything, under the numbers they know; then a new
    /// incarnation begins, and whatever the other one still sends is worth nothing.
    pub(super) async fn take_over(&mut self, inputs: &mut Inputs) {
        let before = (self.mesh.incarnation, self.mesh.generation);
        if before.1 == 0 {
            return;
        }
        self.maintenance.before = Some(before);
        self.surely_leads().await;
        // The replicas' own proof first: nobody need be asked.
        if let Some(published) = self.maintenance.succession.as_ref().and_then(|from| from.published) {
            self.fence((published, "the leader before".to_owned()), ReportedBy::Journal).await;
        }
        let looks = tokio::time::Instant::now() + LOOKS;
        loop {
            let counted = tokio::time::timeout_at(looks, inputs.increments.recv()).await;
            Box::pin(self.look_at_nodes(inputs)).await;
            let Ok(Some(increments)) = counted else { break };
            Box::pin(self.look_at_gauges(&increments)).await;
            // Proxies whose names were found in this look are read in the next.
            let sources = increments.sources.len();
            if sources > 0 && increments.gauges.len() >= sources && increments.unknown.is_empty() {
                break;
            }
        }
        self.surely_leads().await;
        if self.mesh.incarnation == before.0 {
            self.mesh.incarnation = clock::unix_ms().max(before.0 + 1);
            self.mesh.generation += 1;
            self.publication.begin_incarnation(self.mesh.incarnation);
            (self.backlog.mesh, self.maintenance.hurry) = (true, true);
            self.write_backlog();
            self.hear(WRITES);
        }
        let now = (self.mesh.incarnation, self.mesh.generation);
        tracing::info!("goes on from policy {before:?} of the replica before, as {now:?}");
    }

    /// An incarnation that was begun while another leads would take the traffic of that one's versions on trial away. Whoever
    /// gives up ends the process.
    async fn surely_leads(&mut self) {
        while self.maintenance.succession.as_ref().is_some_and(|from| !from.leadership.is_sure()) {
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Looks whether a proxy that asked for its lease runs what was never decided here.
    pub(super) async fn look_at_leases(&mut self) {
        if let Some(shown) = self.publication.leases.ahead() {
            self.fence(shown, ReportedBy::Lease).await;
        }
    }

    /// The same of what proxies named when they connected; and of what they refused as older than what they run.
    pub(super) async fn look_at_nodes(&mut self, inputs: &Inputs) {
        // Reports that are believed come first: a stranger's number, however high, hides no proxy's.
        let (believed, doubted, stale) = {
            let (nodes, streams) = (inputs.nodes.borrow(), inputs.connected.borrow());
            let connected = nodes.0.iter().chain(&streams.0).filter(|(_, node)| node.is_connected());
            let brought = connected.filter_map(|(name, node)| Some((node.brought?, name)));
            let ahead = brought.filter(|(shown, _)| self.is_ahead(*shown));
            let (believed, doubted): (Vec<_>, Vec<_>) =
                ahead.partition(|(_, name)| self.is_believed(ReportedBy::Stream, name));
            let highest = |of: Vec<((u64, u64), &String)>| {
                of.into_iter().max().map(|(shown, name)| (shown, name.clone()))
            };
            let stale = inputs.refusals.borrow().get("stale").copied().unwrap_or(0);
            (highest(believed), highest(doubted), stale)
        };
        let more = stale.saturating_sub(std::mem::replace(&mut self.maintenance.stale, stale));
        if more > 0 {
            self.metrics.add_contradictions(more);
            tracing::warn!(
                more,
                "proxies took a policy for older than the one they run; two pushes at once do that too"
            );
        }
        for shown in believed.into_iter().chain(doubted) {
            self.fence(shown, ReportedBy::Stream).await;
        }
    }

    /// The same of what their filters say by gauges. Those are sums while two processes of an Envoy live, so one of
    /// another incarnation counts only when it is none.
    pub(super) async fn look_at_gauges(&mut self, increments: &Increments) {
        let own = self.mesh.incarnation;
        let before = self.maintenance.before.map(|(incarnation, _)| incarnation);
        let shown = increments.gauges.iter().filter_map(|gauges| {
            let gauge = |what| gauges.get(&tally::gauge(what, &[])).copied();
            let (incarnation, generation) =
                (gauge(filter::POLICY_INCARNATION)?, gauge(filter::POLICY_GENERATION)?);
            let known = incarnation == own || Some(incarnation) == before;
            (known || incarnation > own && incarnation < own + own / 2).then_some((incarnation, generation))
        });
        let shown = shown.filter(|shown| self.is_ahead(*shown));
        if let Some(shown) = shown.max() {
            self.fence((shown, "an Envoy".to_owned()), ReportedBy::Gauges).await;
        }
    }

    /// What a proxy runs is above all that was decided here: this store is older than the mesh. It begins an incarnation
    /// above that, so that its pushes are taken and no lease is given for what went before. What was decided meanwhile nobody
    /// knows, a rollback perhaps: versions on trial get nothing until a person says so.
    async fn fence(&mut self, (shown, node): RunningPolicy, by: ReportedBy) {
        if !self.is_ahead(shown) {
            return;
        }
        let now = clock::now();
        let known = self.maintenance.fenced.replace((now.monotonic_ns, shown));
        if known.is_some_and(|(_, known)| known == shown) && self.mesh.incarnation > shown.0 {
            return;
        }
        if !self.is_believed(by, &node) {
            self.maintenance.fenced = known;
            return self.doubt(shown, &node, by).await;
        }
        if let Some(from) = self.maintenance.succession.as_ref().filter(|from| !from.leadership.is_sure()) {
            // Whoever leads now began it.
            self.maintenance.fenced = known;
            if shown.0 > self.mesh.incarnation {
                tracing::warn!(node, by = by.words(), "runs policy {shown:?}: another replica leads by now");
                from.leadership.lost();
            }
            return;
        }
        self.metrics.add_contradictions(1);
        let stranger = !self.maintenance.proxies_prove && by == ReportedBy::Stream;
        let by = by.words();
        if known.is_some_and(|(at, _)| now.monotonic_ns.saturating_sub(at) < LEAST_APART_NS) {
            return tracing::error!(
                node,
                by,
                "runs policy {shown:?}, which is not of this store, again: is another serin at it?"
            );
        }
        self.maintenance.believed |= stranger;
        self.maintenance.before = None;
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
        (self.backlog.mesh, self.maintenance.hurry) = (true, true);
        self.void_late();
        self.publication.begin_incarnation(incarnation);
        let why = "the store was put back to an earlier state: what was decided since is not known";
        for name in self.exercise_names() {
            self.end_exercise(&name, why.to_owned()).await;
        }
        for name in self.live() {
            self.hold_at_nothing(&name, why).await;
        }
        self.publish().await;
        self.write_backlog();
        self.show();
    }

    /// Is it above all that was decided here? A number of ours that is another document's is.
    fn is_ahead(&self, shown: (u64, u64)) -> bool {
        // An incarnation is the moment it began: what lies far ahead was begun by no controller, and must not make a number that nothing
        // can be above.
        let latest = clock::unix_ms().max(self.mesh.incarnation).saturating_add(DAY_MS);
        let of_before = |(incarnation, generation)| shown.0 == incarnation && shown.1 > generation;
        self.mesh.generation > 0
            && (shown > (self.mesh.incarnation, self.mesh.generation)
                || self.maintenance.before.is_some_and(of_before))
            && shown.0 <= latest.min(MOST)
    }

    /// Is what is said of a proxy reason enough to take traffic away? What an Envoy's counters say is, since the operator
    /// named its address; what a proxy says that proved who it is; and once in a process, since a store is put back between
    /// two, what is said on an ECDS stream by a proxy that rollouts expect, if they expect any by name. A question for a lease
    /// is asked by whoever likes.
    fn is_believed(&self, by: ReportedBy, node: &str) -> bool {
        if matches!(by, ReportedBy::Gauges | ReportedBy::Journal) || self.maintenance.proxies_prove {
            return true;
        }
        let expected = self.runs.values().filter_map(|run| run.state.plan.acknowledge.expect.as_ref());
        let mut named = expected.filter(|expect| !expect.names.is_empty()).peekable();
        let expected = named.peek().is_none() || named.any(|expect| expect.knows(node));
        by == ReportedBy::Stream && !self.maintenance.believed && expected
    }

    /// An unproven report says that a proxy runs what was never decided here. That is an alarm, and no lease is
    /// renewed for it. Another document of a number of ours is put right by the next number, with the same weights.
    async fn doubt(&mut self, shown: (u64, u64), node: &str, by: ReportedBy) {
        let now_ns = clock::monotonic_ns();
        if self.maintenance.doubted_ns.is_some_and(|at| now_ns.saturating_sub(at) < LEAST_APART_NS) {
            return;
        }
        self.maintenance.doubted_ns = Some(now_ns);
        self.metrics.add_contradictions(1);
        tracing::error!(
            node,
            by = by.words(),
            "it is said to run a policy that is not of this store, {shown:?}, by a report without proof: its lease is not \
             renewed, and nothing else is done. If the store was put back, connect its ECDS or name its --envoy-admin; \
             proxies that prove who they are are believed (docs/securing.md)"
        );
        if shown.1 == UNKNOWN_DOCUMENT
            && let Err(error) = self.commit(Draft { republish: true, ..Draft::default() }).await
        {
            self.unwritten(&error);
        }
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
