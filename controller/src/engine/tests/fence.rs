//! A store that is older than what proxies run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use envoy::ecds::Node;
use rollout::{Pause, Phase};
use scrape::Source;
use tally::lease::LeaseStatus;

use super::world::{Disk, World};
use super::*;

/// How the engine hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReportedBy {
    Stream,
    Lease,
    Gauges,
}

/// Does it surely lead, and was it told that another does?
#[derive(Clone, Default)]
struct Lead {
    sure: Arc<AtomicBool>,
    lost: Arc<AtomicBool>,
}

impl Lead {
    fn sure() -> Self {
        Self { sure: Arc::new(true.into()), ..Self::default() }
    }

    fn succession(&self, published: Option<(u64, u64)>) -> Succession {
        Succession { leadership: Box::new(self.clone()), published }
    }
}

impl Leadership for Lead {
    fn is_sure(&self) -> bool {
        self.sure.load(Ordering::SeqCst)
    }

    fn lost(&self) {
        self.lost.store(true, Ordering::SeqCst);
    }
}

fn gauges_of(shown: (u64, u64)) -> BTreeMap<String, u64> {
    [("policy_incarnation", shown.0), ("policy_generation", shown.1)]
        .map(|(name, value)| (tally::gauge(name, &[]), value))
        .into()
}

const STAGES: &str =
    "  stages: [{weight: 10%, bake: 1h, deadline: 2h}, {weight: 100%, bake: 1h, deadline: 2h}]\n";

async fn exposed() -> World {
    let mut world = World::on(Disk::apart(), []).await;
    world.apply(&spec("v1", "v2", STAGES)).await;
    world.until("ranker", "stage 1", |state| state.weights.canary_ppm == 100_000).await;
    world.seconds(2).await;
    world.until_idle().await;
    world
}

fn pair(world: &mut World) -> (u64, u64) {
    let mesh = &world.engine_mut().mesh;
    (mesh.incarnation, mesh.generation)
}

async fn check(by: ReportedBy, abort: bool) {
    let what = format!("{by:?}, aborted: {abort}");
    let mut world = exposed().await;
    world.proxies_prove = by == ReportedBy::Lease;
    let backup = world.backup();
    for weight_ppm in [200_000, 300_000] {
        world.act("ranker", Act::SetWeight(weight_ppm), &format!("to {weight_ppm}")).await;
        world.second().await;
    }
    let raised = pair(&mut world);
    if abort {
        world.act("ranker", Act::Abort, "complaints").await;
    }
    let shown = pair(&mut world);
    world.until_idle().await;
    world.restore(&backup).await;
    assert!(pair(&mut world) < shown, "{what}");
    match by {
        ReportedBy::Stream => world.brought = Some(shown),
        ReportedBy::Lease => assert_eq!(world.asks(shown), LeaseStatus::Unknown, "{what}"),
        ReportedBy::Gauges => {
            let gauges = [("policy_incarnation", shown.0), ("policy_generation", shown.1)];
            world.gauges = gauges.map(|(name, value)| (tally::gauge(name, &[]), value)).into();
        }
    }
    world.seconds(2).await;
    let now = pair(&mut world);
    assert!(now.0 > shown.0 && now.1 > shown.1, "{what}: {now:?} after {shown:?}");
    assert_eq!(world.in_force("ranker"), (now.1, 0), "{what}: nobody meets the canary unasked");
    for held in [raised, shown] {
        assert_eq!(world.asks(held), LeaseStatus::Unknown, "{what}: nobody vouches for what went before");
    }
    let who = Pause::Human { who: "serin".to_owned() };
    assert_eq!(world.state("ranker").map(|state| state.phase.clone()), Some(Phase::Paused(who)), "{what}");
    assert!(world.engine_mut().metrics.render().contains("serin_contradictions_total 1\n"), "{what}");
    // It goes on from there, over a restart as well, and begins no further incarnation.
    world.until_written().await;
    world.kill().await;
    world.seconds(2).await;
    assert_eq!(pair(&mut world).0, now.0, "{what}");
    world.act("ranker", Act::SetWeight(200_000), "looked at it").await;
    world.second().await;
    assert_eq!(world.in_force("ranker").1, 200_000, "{what}");
    let own = pair(&mut world);
    assert_eq!(world.asks(own), LeaseStatus::Renew, "{what}");
    // Whatever follows, no number is ever vouched for that was another document's.
    for round in 0..6 {
        world.act("ranker", Act::SetWeight(100_000 + round), &format!("round {round}")).await;
        world.second().await;
        assert_eq!(world.asks(raised), LeaseStatus::Unknown, "{what}, round {round}");
    }
}

#[tokio::test]
async fn a_store_that_was_put_back_is_fenced_whoever_tells() {
    for by in [ReportedBy::Stream, ReportedBy::Lease, ReportedBy::Gauges] {
        for abort in [false, true] {
            check(by, abort).await;
        }
    }
}

/// Whoever can ask for a lease, or connect, can name any number. That costs nobody a canary.
#[tokio::test]
async fn a_stranger_who_proves_nothing_brings_nothing_down_or_up() {
    for expects in [false, true] {
        let mut world = World::on(Disk::apart(), []).await;
        let expect = if expects { "  acknowledge: {expect: {names: [a, b, 'edge-*']}}\n" } else { "" };
        world.apply(&spec("v1", "v2", &format!("{STAGES}{expect}"))).await;
        world.until("ranker", "stage 1", |state| state.weights.canary_ppm == 100_000).await;
        world.seconds(2).await;
        let own = pair(&mut world);
        for claim in [(own.0, own.1 + 50), (own.0 + 1, 1), (own.0 + 1_000, own.1)] {
            assert_eq!(world.asks(claim), LeaseStatus::Unknown);
            world.seconds(31).await;
            assert_eq!(pair(&mut world), own, "{claim:?}");
        }
        assert_eq!(world.asks_of(own, 77), LeaseStatus::Unknown, "another document of the same number");
        world.seconds(31).await;
        let now = pair(&mut world);
        assert_eq!(now, (own.0, own.1 + 1), "the same weights go out again, once");
        // A number that is nobody's hides none that is somebody's.
        world.stranger = Some((u64::MAX, 1));
        world.second().await;
        assert_eq!(pair(&mut world), now);
        world.stranger = Some((own.0, own.1 + 50));
        world.seconds(2).await;
        let fenced = pair(&mut world).0 > own.0;
        assert_eq!(fenced, !expects, "a name that no rollout expects is a stranger's");
        if expects {
            assert_eq!(world.in_force("ranker"), (now.1, 100_000));
            continue;
        }
        // Without names or credentials a stream is believed, once: a store is put back between two processes.
        let fenced = pair(&mut world);
        world.act("ranker", Act::SetWeight(200_000), "looked at it").await;
        world.stranger = Some((fenced.0 + 1_000, fenced.1 + 50));
        world.seconds(40).await;
        assert_eq!((pair(&mut world).0, world.in_force("ranker").1), (fenced.0, 200_000));
    }
}

/// What was published is known over a restart, so another document of its number is vouched for by nobody.
#[tokio::test]
async fn documents_are_known_over_a_restart() {
    let mut world = exposed().await;
    world.act("ranker", Act::SetWeight(200_000), "to 200000").await;
    world.second().await;
    // It is written with the evidence.
    world.seconds(6).await;
    world.until_idle().await;
    let own = pair(&mut world);
    let digest = world.digest();
    for _ in 0..2 {
        assert_eq!(world.asks_of(own, digest), LeaseStatus::Renew);
        assert_eq!(world.asks_of(own, digest ^ 1), LeaseStatus::Unknown);
        assert_eq!(world.asks_of((own.0, own.1 - 1), digest), LeaseStatus::Unknown, "of the number before");
        world.kill().await;
        assert_eq!(pair(&mut world), own);
    }
}

#[tokio::test]
async fn what_is_ours_or_older_or_a_sum_of_two_processes_begins_nothing() {
    let mut world = exposed().await;
    let own = pair(&mut world);
    for brought in [own, (own.0, own.1 - 1), (own.0 - 1, own.1 + 50), (u64::MAX, 1)] {
        world.brought = Some(brought);
        world.asks(brought);
        world.seconds(2).await;
        assert_eq!(pair(&mut world), own, "{brought:?}");
    }
    let twice = [("policy_incarnation", own.0 * 2), ("policy_generation", own.1 * 2)];
    world.gauges = twice.map(|(name, value)| (tally::gauge(name, &[]), value)).into();
    world.seconds(2).await;
    assert_eq!(pair(&mut world), own);
}

/// Another replica led, and what it left in the cluster is all there is: it goes on as it was, above whatever that one says.
#[tokio::test]
async fn who_takes_over_goes_on_above_the_leader_before() {
    let mut world = exposed().await;
    world.until_written().await;
    let (before, backup) = (pair(&mut world), world.backup());
    world.takes_over = Some(Lead::sure().succession(Some(before)));
    world.restore(&backup).await;
    world.seconds(2).await;
    let now = pair(&mut world);
    assert!(now.0 > before.0 && now.1 == before.1 + 1, "{now:?} after {before:?}");
    assert_eq!(world.in_force("ranker"), (now.1, 100_000), "no weight is another");
    assert_eq!((world.asks(now), world.asks(before)), (LeaseStatus::Renew, LeaseStatus::Unknown));
    assert!(world.engine_mut().metrics.render().contains("serin_contradictions_total 0\n"));
    // It is written down, so that whoever takes over next is above that.
    world.until_written().await;
    world.kill().await;
    assert_eq!(pair(&mut world), now);
}

/// It took back what it could not write down any more. Only proxies know.
#[tokio::test]
async fn what_the_leader_before_took_back_unwritten_is_seen_at_the_proxies() {
    for by in [ReportedBy::Stream, ReportedBy::Gauges] {
        let mut world = exposed().await;
        world.until_written().await;
        let backup = world.backup();
        world.act("ranker", Act::Abort, "complaints").await;
        let shown = pair(&mut world);
        world.until_idle().await;
        if by == ReportedBy::Stream {
            world.brought = Some(shown);
            world.second().await;
        }
        world.takes_over = Some(Lead::sure().succession(None));
        world.restore(&backup).await;
        if by == ReportedBy::Gauges {
            let gauges = [("policy_incarnation", shown.0), ("policy_generation", shown.1)];
            world.gauges = gauges.map(|(name, value)| (tally::gauge(name, &[]), value)).into();
        }
        world.seconds(2).await;
        let now = pair(&mut world);
        assert!(now.0 > shown.0 && now.1 > shown.1, "{by:?}: {now:?} after {shown:?}");
        assert_eq!(world.in_force("ranker"), (now.1, 0), "{by:?}: nobody meets the canary unasked");
    }
}

/// How whoever takes over hears of what was never committed, while its own streams bring nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// The head of the cluster's journal names it.
    Published,
    /// The first look finds the names of the proxies, the second their addresses; the third reads them.
    LaterLook,
    /// A proxy is connected to this replica while others are read.
    Connected,
}

#[tokio::test]
async fn what_was_never_committed_is_known_by_any_proof_there_is() {
    for proof in [Proof::Published, Proof::LaterLook, Proof::Connected] {
        let mut world = exposed().await;
        world.until_written().await;
        let backup = world.backup();
        world.act("ranker", Act::Abort, "complaints").await;
        let shown = pair(&mut world);
        world.until_idle().await;
        world.takes_over = Some(Lead::sure().succession((proof == Proof::Published).then_some(shown)));
        let (looks, increments) = mpsc::channel(8);
        if proof == Proof::LaterLook {
            let sources = vec![Source::default()];
            let found = Increments { sources: sources.clone(), ..Increments::default() };
            let read = Increments { sources, gauges: vec![gauges_of(shown)], ..Increments::default() };
            for look in [Increments::default(), found, read] {
                looks.send(look).await.expect("room");
            }
            world.inputs.increments = increments;
        }
        let node = Node { streams: 1, brought: Some(shown), ..Node::default() };
        let (_connected, streams) = watch::channel(Nodes([("a".to_owned(), node)].into()));
        world.inputs.connected = watch::channel(Nodes::default()).1;
        if proof == Proof::Connected {
            world.inputs.connected = streams;
        }
        world.restore(&backup).await;
        let now = pair(&mut world);
        assert!(now.0 > shown.0 && now.1 > shown.1, "{proof:?}: {now:?} after {shown:?}");
        assert_eq!(world.in_force("ranker"), (now.1, 0), "{proof:?}: nobody meets the canary unasked");
    }
}

/// Cut off from whoever says who leads, it sees what its successor published. That one decides: it is not outbid.
#[tokio::test]
async fn who_may_lead_no_more_begins_nothing_against_its_successor() {
    for sure in [true, false] {
        let mut world = exposed().await;
        world.until_written().await;
        let own = pair(&mut world);
        let lead = Lead::sure();
        world.engine_mut().takes_over(lead.succession(None));
        lead.sure.store(sure, Ordering::SeqCst);
        // One of its own incarnation says nothing of who leads.
        world.gauges = gauges_of((own.0, own.1 + 5));
        if !sure {
            world.seconds(2).await;
            assert_eq!((pair(&mut world), lead.lost.load(Ordering::SeqCst)), (own, false));
        }
        world.gauges = gauges_of((own.0 + 1_000, own.1 + 1));
        world.seconds(2).await;
        let fenced = pair(&mut world).0 > own.0;
        assert_eq!((fenced, lead.lost.load(Ordering::SeqCst)), (sure, !sure));
        assert_eq!(world.in_force("ranker").1, if sure { 0 } else { 100_000 });
    }
}
