//! A/A checks on made-up traffic: how often they find what is not there, and whether they find what is.

use judge::random::SplitMix64;

use crate::tests::story::HEAD;
use crate::{
    Acks, Counts, Effect, Event, Exercise, ExerciseEvent, Group, Human, Interval, Now, Outcome, Parity,
    ParityFinding, ParityOrder, ParityPhase, ParityVerdict, State, step,
};

const GATES: &str = "gates:
- {name: errors, metric: error_rate, against: stable, margin: 2x, passBelow: 0.1%}
- {name: slow, metric: latency_p99, max: 800ms}
- {name: sales, source: {push: {}}, min: 3}
";

fn human() -> Human {
    Human { who: "anna".to_owned(), reason: String::new() }
}

/// Traffic of two parts.
#[derive(Clone, Copy)]
struct Traffic {
    /// Requests a second.
    rate: usize,
    /// The share the second part really gets.
    share: f64,
    /// Errors of the first part, and of the second.
    errors: [f64; 2],
    /// Each user makes as many requests, all the same way; 1: everybody comes once.
    users: Option<usize>,
}

const HONEST: Traffic = Traffic { rate: 200, share: 0.5, errors: [0.01, 0.01], users: None };

fn spec(sticky: bool) -> String {
    let assignment = if sticky { "  assignment: {mode: sticky, keys: [{header: x-user-id}]}\n" } else { "" };
    let gates: String = GATES.lines().map(|line| format!("  {line}\n")).collect();
    format!("{HEAD}{assignment}{gates}")
}

fn check_of(sticky: bool, change: impl FnOnce(&mut ParityOrder)) -> Parity {
    let plan = manifest::load(&spec(sticky)).expect("a rollout").plan;
    let (state, _) = step(State::new(plan, 1, 0, Now::at_ms(0)), &Event::Start(human()), Now::at_ms(1));
    let (state, _) = step(state, &Event::Abort(human()), Now::at_ms(2));
    let mut order = ParityOrder {
        share_ppm: 500_000,
        deployed: false,
        duration_ms: 3_600_000,
        until_evidence: true,
        by: human(),
        scheduled: false,
    };
    change(&mut order);
    Parity::new(&state, 1, state.epoch, order, Now::at_ms(10_000))
}

/// Ten seconds of traffic.
struct World {
    traffic: Traffic,
    chance: SplitMix64,
    /// Part and group of each user.
    users: Vec<(bool, u16)>,
}

impl World {
    fn new(traffic: Traffic, seed: u64) -> Self {
        let mut chance = SplitMix64::seeded(seed);
        let users = (0..traffic.users.unwrap_or(0))
            .map(|_| (chance.unit() < traffic.share, (chance.unit() * 100.0) as u16))
            .collect();
        Self { traffic, chance, users }
    }

    /// First and second part.
    fn ten_seconds(&mut self) -> [Counts; 2] {
        let mut parts = [Counts::default(), Counts::default()];
        let mut groups = vec![Group::default(); 100];
        for _ in 0..self.traffic.rate * 10 {
            let (second, group) = if self.users.is_empty() {
                (self.chance.unit() < self.traffic.share, (self.chance.unit() * 100.0) as u16)
            } else {
                // A few users make most of the requests.
                let at = self.chance.unit().powi(2) * self.users.len() as f64;
                self.users[at as usize]
            };
            let part = usize::from(second);
            let error = self.chance.unit() < self.traffic.errors[part];
            // Log-uniform from 10 to 640 ms: the same for both.
            let ns = 1e7 * 64_f64.powf(self.chance.unit());
            let counts = &mut parts[part];
            counts.assigned += 1;
            counts.finished += 1;
            counts.outcomes += 1;
            counts.errors += u64::from(error);
            *counts.latency.0.entry(tally::latency_bin(ns as u64)).or_default() += 1;
            if part == 0 {
                let group = &mut groups[usize::from(group)];
                group.finished += 1;
                group.errors += u64::from(error);
            }
        }
        for (at, group) in groups.iter_mut().enumerate() {
            group.group = at as u16;
        }
        parts[0].groups = (!self.users.is_empty()).then_some(groups);
        parts
    }
}

/// Runs it out on a mesh that follows; returns the check and the shares it published.
fn run_out(parity: Parity, traffic: Traffic, seed: u64) -> (Parity, Vec<u32>) {
    let mut world = World::new(traffic, seed);
    let deployed = parity.order.deployed;
    let mut exercise = Some(Exercise::Parity(Box::new(parity)));
    let (mut ms, mut shares) = (10_000, Vec::new());
    let mut take = |exercise: &mut Option<Exercise>, event: &ExerciseEvent, ms: u64| {
        let (next, effects) = exercise.take().expect("it").step(event, Now::at_ms(ms));
        *exercise = Some(next);
        for effect in effects {
            if let Effect::Publish(publication) = effect {
                let arms = publication.policy.arms;
                let baseline = arms.baseline.map_or(0, |baseline| baseline.weight_ppm);
                shares.push(if deployed { arms.canary.weight_ppm } else { baseline });
                assert_eq!(arms.canary.version == "v1", deployed, "who takes the second part");
                assert!(deployed || arms.canary.weight_ppm == 0, "nobody is exposed");
            }
        }
    };
    take(&mut exercise, &ExerciseEvent::Begin, ms);
    while exercise.as_ref().is_some_and(|exercise| !exercise.is_over()) {
        ms += 10_000;
        let id = exercise.as_ref().and_then(Exercise::sent).map_or(0, |sent| sent.id);
        let acks = Acks { publication: id, acknowledged: 2, connected: 2, ..Acks::default() };
        take(&mut exercise, &ExerciseEvent::Acks(acks), ms);
        let [stable, second] = world.ten_seconds();
        let (canary, baseline) =
            if deployed { (second, Counts::default()) } else { (Counts::default(), second) };
        let interval =
            Interval { from_ms: ms, to_ms: ms + 10_000, canary, stable, baseline, ..Interval::default() };
        take(&mut exercise, &ExerciseEvent::Interval(Box::new(interval)), ms);
        take(&mut exercise, &ExerciseEvent::Tick, ms);
        assert!(ms < 10_000_000, "it never ends");
    }
    let Some(Exercise::Parity(parity)) = exercise else { panic!("it became something else") };
    assert_eq!(shares.last(), Some(&0), "the split is taken back");
    (*parity, shares)
}

#[track_caller]
fn check(parity: Parity, traffic: Traffic, outcome: Outcome, finding: ParityFinding, why: &str) -> Parity {
    let (parity, _) = run_out(parity, traffic, 7);
    let view = parity.view();
    assert_eq!(
        (view.outcome, view.finding),
        (Some(outcome.into()), Some(finding.into())),
        "{}",
        view.message
    );
    assert!(view.message.contains(why), "{why:?} is missing in: {}", view.message);
    parity
}

#[test]
fn a_version_is_proven_equal_to_itself() {
    let parity = check(
        check_of(false, |_| ()),
        HONEST,
        Outcome::Passed,
        ParityFinding::Parity,
        "find v1 equal to itself",
    );
    let view = parity.view();
    assert!(
        view.gates.len() == 2 && view.gates.iter().all(|row| row.verdict == ParityVerdict::Alike),
        "{:?}",
        view.gates
    );
    assert_eq!(view.left_out, ["sales"], "a source that knows versions cannot tell parts");
    // A time that was asked for is used up, and makes the answer no worse.
    let parity = check_of(false, |order| (order.until_evidence, order.duration_ms) = (false, 2_400_000));
    let parity = check(parity, HONEST, Outcome::Passed, ParityFinding::Parity, "find v1 equal to itself");
    assert!(parity.watched_ms >= 2_400_000, "{}", parity.watched_ms);
    // By how much it differs from itself, gate by gate.
    for row in parity.view().gates {
        let difference = row.difference.unwrap_or_else(|| panic!("{}: {}", row.name, row.why));
        assert!(difference.least < 1.02 && difference.most < 1.2, "{}: {}", row.name, difference.why);
    }
}

#[test]
fn the_same_version_deployed_twice_is_probed_first() {
    let parity = check_of(false, |order| (order.deployed, order.share_ppm) = (true, 100_000));
    let (parity, shares) = run_out(parity, Traffic { share: 0.1, ..HONEST }, 3);
    assert_eq!(shares, [0, 100_000, 0]);
    assert_eq!(parity.finding.map(|(finding, _)| finding), Some(ParityFinding::Parity));
}

#[test]
fn a_difference_is_found_whichever_part_is_worse() {
    for errors in [[0.01, 0.03], [0.03, 0.01]] {
        let traffic = Traffic { errors, ..HONEST };
        let parity = check(
            check_of(false, |_| ()),
            traffic,
            Outcome::Failed,
            ParityFinding::Difference,
            "gate errors",
        );
        let row = parity.view().gates.into_iter().find(|row| row.name == "errors").expect("the gate");
        assert!(row.verdict == ParityVerdict::Different && row.e_value >= 25.0, "{row:?}");
    }
}

#[test]
fn a_split_that_is_off_stops_the_judging() {
    let traffic = Traffic { share: 0.47, ..HONEST };
    let parity =
        check(check_of(false, |_| ()), traffic, Outcome::Failed, ParityFinding::SampleRatio, "older policy");
    assert!(parity.view().split.e_value >= 1_000.0);
}

#[test]
fn too_little_traffic_says_how_long_it_would_take() {
    let order = |order: &mut ParityOrder| order.duration_ms = 300_000;
    let little = Traffic { rate: 5, ..HONEST };
    let parity = check(
        check_of(false, order),
        little,
        Outcome::Undecided,
        ParityFinding::NotEnough,
        "more at this traffic",
    );
    let wants_ms = parity.view().wants_ms.expect("a time");
    assert!((100_000..100_000_000).contains(&wants_ms), "{wants_ms}");
    let none = Traffic { rate: 0, ..HONEST };
    check(
        check_of(false, order),
        none,
        Outcome::Undecided,
        ParityFinding::NotEnough,
        "no requests were counted",
    );
}

/// Looked at every ten seconds: what is not there is found as seldom as promised, at random and among users of whom a
/// few make most of the requests.
#[test]
fn what_is_not_there_is_seldom_found() {
    const RUNS: u64 = 40;
    for (sticky, users) in [(false, None), (true, Some(3_000))] {
        let (mut differences, mut ratios) = (0, 0);
        for seed in 0..RUNS {
            let order =
                |order: &mut ParityOrder| (order.until_evidence, order.duration_ms) = (false, 300_000);
            let traffic = Traffic { rate: 40, users, ..HONEST };
            let (parity, _) = run_out(check_of(sticky, order), traffic, seed);
            match parity.finding {
                Some((ParityFinding::Difference, _)) => differences += 1,
                Some((ParityFinding::SampleRatio, _)) => ratios += 1,
                _ => {}
            }
            assert!(!sticky || parity.split.spread().is_some_and(|spread| spread > 1.5), "users go together");
        }
        println!(
            "{RUNS} A/A checks of 5 minutes, sticky {sticky}: {differences} differences, {ratios} ratios"
        );
        // 4 % of 40 are 1.6, and 3 standard errors more 5; of 0.1 % one would be a chance of 1 in 25.
        assert!(differences <= 5, "{differences} of {RUNS}");
        assert!(ratios <= 1, "{ratios} of {RUNS}");
    }
}

/// The check above would not hold if requests of one user were taken for strangers.
#[test]
fn without_their_spread_users_would_look_like_a_split_that_is_off() {
    let mut ratios = 0;
    for seed in 0..30 {
        let traffic = Traffic { rate: 60, users: Some(3_000), ..HONEST };
        let mut world = World::new(traffic, seed);
        let mut parity = check_of(false, |_| ());
        for _ in 0..60 {
            let [first, second] = world.ten_seconds();
            parity.split.count(first.assigned, second.assigned, &[]);
        }
        ratios += u32::from(parity.split.is_off());
    }
    assert!(ratios >= 3, "{ratios} of 30");
}

#[test]
fn whatever_ends_it_takes_the_split_back() {
    for event in [ExerciseEvent::Cancel("run 2 begins".to_owned()), ExerciseEvent::Restart] {
        let parity = check_of(false, |order| order.deployed = true);
        let (parity, _) = Exercise::Parity(Box::new(parity)).step(&ExerciseEvent::Begin, Now::at_ms(10_001));
        let acks = |publication| {
            ExerciseEvent::Acks(Acks { publication, acknowledged: 1, connected: 1, ..Acks::default() })
        };
        let (parity, _) = parity.step(&acks(1), Now::at_ms(10_002));
        assert!(matches!(&parity, Exercise::Parity(parity) if parity.phase == ParityPhase::Watching));
        let (parity, effects) = parity.step(&event, Now::at_ms(10_003));
        let back = effects.iter().any(|effect| {
            matches!(effect, Effect::Publish(publication) if publication.policy.arms.canary.weight_ppm == 0)
        });
        let revokes = effects.iter().any(|effect| matches!(effect, Effect::Revoke { .. }));
        assert!(back && revokes, "{effects:?}");
        let (parity, _) = parity.step(&acks(3), Now::at_ms(10_004));
        assert_eq!(parity.ended().map(|ended| ended.outcome), Some(Outcome::Cancelled));
    }
}
