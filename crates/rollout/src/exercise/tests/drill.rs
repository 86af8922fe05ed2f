//! Exercises on a fake clock, against a mesh of two proxies.

use crate::tests::story::HEAD;
use crate::{
    Acks, Drill, DrillOrder, DrillPhase, Effect, Event, Exercise, ExerciseEvent, Heartbeats, Human,
    LastCanaryRequest, LeaseSkipped, Now, Outcome, State, step,
};

fn human() -> Human {
    Human { who: "anna".to_owned(), reason: String::new() }
}

/// A run that was begun and aborted.
fn at_rest() -> State {
    let plan = manifest::load(HEAD).expect("a rollout").plan;
    let (state, _) = step(State::new(plan, 1, 0, Now::at_ms(0)), &Event::Start(human()), Now::at_ms(1));
    step(state, &Event::Abort(human()), Now::at_ms(2)).0
}

/// A drill and a mesh.
struct Mesh {
    drill: Exercise,
    now_ms: u64,
    /// Milliseconds until a publication is everywhere; `None`: it never is.
    push_ms: Option<u64>,
    /// Milliseconds until both proxies have asked for a lease; `None`: one never does.
    lease_ms: Option<u64>,
    /// Milliseconds the canary still gets requests after each publication; `None`: no gauge is read.
    tail_ms: Option<u64>,
    alone: bool,
    weights: Vec<u32>,
    notices: usize,
    /// When the last publication or revocation was.
    pushed_ms: u64,
    revoked_ms: u64,
}

impl Mesh {
    fn new(weight_ppm: u32) -> Self {
        let state = at_rest();
        let order = DrillOrder { weight_ppm, limit_ms: 30_000, by: human(), scheduled: false };
        let drill = Drill::new(&state, 1, state.epoch, order, Now::at_ms(10_000));
        Self {
            drill: Exercise::Drill(Box::new(drill)),
            now_ms: 10_000,
            push_ms: Some(50),
            lease_ms: Some(1_000),
            tail_ms: Some(20),
            alone: true,
            weights: Vec::new(),
            notices: 0,
            pushed_ms: 0,
            revoked_ms: 0,
        }
    }

    fn drill(&self) -> &Drill {
        let Exercise::Drill(drill) = &self.drill else { panic!("it became something else") };
        drill
    }

    fn take(&mut self, event: &ExerciseEvent) {
        let epoch = self.drill().epoch;
        let (drill, effects) = self.drill.clone().step(event, Now::at_ms(self.now_ms));
        // What is stored can be taken up at any moment.
        let text = serde_json::to_string(&drill).expect("JSON");
        assert_eq!(serde_json::from_str::<Exercise>(&text).expect("read back"), drill);
        self.drill = drill;
        for effect in effects {
            match effect {
                Effect::Publish(publication) => {
                    assert!(publication.policy.epoch > epoch);
                    self.weights.push(publication.policy.arms.canary.weight_ppm);
                    self.pushed_ms = self.now_ms;
                }
                Effect::Revoke { .. } => self.revoked_ms = self.now_ms,
                Effect::Notify(_) => self.notices += 1,
                Effect::Record(_) | Effect::HandBack(_) | Effect::WarmUp(_) | Effect::Call(_) => {}
            }
        }
    }

    /// A quarter of a second goes by.
    fn tick(&mut self) {
        self.now_ms += 250;
        let since = self.now_ms - self.pushed_ms;
        let follows = self.push_ms.is_some_and(|ms| since >= ms);
        let acks = Acks {
            publication: self.drill().sent.as_ref().map_or(0, |sent| sent.id),
            acknowledged: if follows { 2 } else { 1 },
            connected: 2,
            missing: if follows { vec![] } else { vec!["edge-2".to_owned()] },
            refused: vec![],
        };
        self.take(&ExerciseEvent::Acks(acks));
        let both = || vec!["edge-1".to_owned(), "edge-2".to_owned()];
        let asked = |since: u64| match self.lease_ms {
            Some(ms) if since >= ms => both(),
            _ => vec!["edge-1".to_owned()],
        };
        let heard = Heartbeats {
            connected: both(),
            renewed: asked(since),
            revoked: asked(self.now_ms - self.revoked_ms),
            alone: self.alone,
        };
        self.take(&ExerciseEvent::Heartbeats(heard));
        if let Some(tail_ms) = self.tail_ms {
            let exposed = self.weights.last().is_some_and(|ppm| *ppm > 0);
            let began = self.drill().exposure.began;
            let last_ms = if exposed { self.now_ms } else { self.pushed_ms + tail_ms };
            self.take(&ExerciseEvent::Look(LastCanaryRequest {
                whole_since_ms: Some(self.now_ms),
                last_ms: began.map(|_| last_ms),
            }));
        }
        self.take(&ExerciseEvent::Tick);
    }

    fn run_out(&mut self) -> Outcome {
        self.take(&ExerciseEvent::Begin);
        while !self.drill.is_over() {
            self.tick();
            assert!(self.now_ms < 1_000_000, "it never ends: {:?}", self.drill().view());
        }
        assert_eq!(self.weights.last(), Some(&0), "nothing is left on the canary");
        assert_eq!(self.revoked_ms, self.pushed_ms, "taken back by both ways at once");
        self.drill.ended().expect("an end").outcome
    }
}

#[track_caller]
fn check(
    weight_ppm: u32,
    change: impl FnOnce(&mut Mesh),
    outcome: Outcome,
    weights: &[u32],
    why: &str,
) -> Mesh {
    let mut mesh = Mesh::new(weight_ppm);
    change(&mut mesh);
    let got = mesh.run_out();
    let view = mesh.drill().view();
    assert_eq!(got, outcome, "{}", view.message);
    assert_eq!(mesh.weights, weights, "{}", view.message);
    assert!(view.message.contains(why), "{why:?} is missing in: {}", view.message);
    mesh
}

#[test]
fn both_ways_back_are_proven_at_weight_0() {
    let mesh = check(0, |_| {}, Outcome::Passed, &[0, 0], "a revoked lease reached 2 proxies after 1000 ms");
    let view = mesh.drill().view();
    assert_eq!(view.slowest_ms, Some(1_000));
    assert!(view.promises.len() == 3 && view.promises.iter().all(|promise| promise.kept));
    assert!(view.push.expect("a push").last_canary_ms.is_none(), "nobody was exposed");
    assert_eq!(mesh.notices, 0);
}

#[test]
fn a_small_weight_tells_of_the_last_request() {
    let mesh =
        check(1_000, |_| {}, Outcome::Passed, &[0, 1_000, 0], "the last canary request came 20 ms after");
    let push = mesh.drill().view().push.expect("a push");
    assert_eq!((push.last_canary_ms, push.last_canary_complete), (Some(20), true));
    // Without traffic there is nothing to tell, and that is said.
    check(1_000, |mesh| mesh.tail_ms = None, Outcome::Undecided, &[0, 1_000, 0], "gauges are not read");
}

#[test]
fn a_way_back_that_is_late_or_lost_fails_the_drill_and_is_named() {
    let late = |ms| move |mesh: &mut Mesh| mesh.push_ms = Some(ms);
    let mesh = check(0, late(31_000), Outcome::Failed, &[0, 0], "longer than 30s");
    assert_eq!(mesh.notices, 1);
    let kept: Vec<bool> = mesh.drill().view().promises.iter().map(|promise| promise.kept).collect();
    assert_eq!(kept, [false, true, true]);
    check(
        0,
        |mesh| mesh.lease_ms = None,
        Outcome::Failed,
        &[0, 0],
        "1 proxy did not ask for the lease: edge-2",
    );
    check(
        1_000,
        |mesh| mesh.tail_ms = Some(40_000),
        Outcome::Failed,
        &[0, 1_000, 0],
        "the last canary request came 40.0 s after the decision: longer than 30s",
    );
}

#[test]
fn proxies_that_do_not_follow_are_exposed_to_nothing() {
    let mesh = check(1_000, |mesh| mesh.push_ms = None, Outcome::Failed, &[0, 0], "missing: edge-2");
    assert_eq!(mesh.drill().lease.skipped, Some(LeaseSkipped::Ended));
}

#[test]
fn a_lease_that_others_live_on_is_not_revoked_alone() {
    let mesh = check(0, |mesh| mesh.alone = false, Outcome::Passed, &[0, 0], "another rollout is exposed");
    assert_eq!(mesh.drill().lease.skipped, Some(LeaseSkipped::OthersExposed));
}

/// Ended at any moment, by a person or by a crash, it takes everything back.
#[test]
fn whatever_ends_it_takes_everything_back() {
    for event in [ExerciseEvent::Cancel("aborted by anna".to_owned()), ExerciseEvent::Restart] {
        let mut phases = Vec::new();
        for ticks in 0..60 {
            let mut mesh = Mesh::new(1_000);
            mesh.push_ms = Some(2_000);
            mesh.take(&ExerciseEvent::Begin);
            for _ in 0..ticks {
                mesh.tick();
            }
            if mesh.drill.is_over() {
                break;
            }
            phases.push(mesh.drill().phase);
            mesh.take(&event);
            assert_eq!(mesh.weights.last(), Some(&0));
            assert_eq!((mesh.pushed_ms, mesh.revoked_ms), (mesh.now_ms, mesh.now_ms), "at once, both ways");
            while !mesh.drill.is_over() {
                mesh.tick();
            }
            assert_eq!(mesh.drill.ended().map(|ended| ended.outcome), Some(Outcome::Cancelled));
        }
        phases.dedup();
        let (probing, revoking) = (DrillPhase::Probing, DrillPhase::Revoking);
        assert_eq!(phases, [probing, revoking, DrillPhase::Exposing, DrillPhase::TakingBack]);
    }
}

#[test]
fn only_what_rests_is_exercised_and_what_was_rolled_back_needs_a_reason() {
    let state = at_rest();
    assert_eq!(state.at_rest(), Ok(()));
    let plan = state.plan.clone();
    let (live, _) = step(State::new(plan, 2, 9, Now::at_ms(0)), &Event::Start(human()), Now::at_ms(1));
    assert!(live.at_rest().is_err_and(|why| why.contains("run 2 of ranker") && why.contains("abort")));
    assert!(state.may_expose(Some(&human())).is_err_and(|why| why.contains("give a reason")));
    assert!(state.may_expose(None).is_err(), "no schedule sends requests to what was rolled back");
    let reasoned = Human { reason: "the pods were replaced".to_owned(), ..human() };
    assert_eq!(state.may_expose(Some(&reasoned)), Ok(()));
}
