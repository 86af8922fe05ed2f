//! One rollout by the real machine, in a world of requests.

use manifest::Plan;
use rollout::{Acks, Answer, CounterAccumulator, Effect, Event, Human, Now, Pause, Phase, State, step};
use split::policy;
use tally::ConfidenceScale;

use super::looks::Looks;
use super::street::{TICK_MS, TrafficSimulation};
use super::world::RequestWorld;
use crate::run::{ended, passing_readings};
use crate::{Chance, End};

/// What people do, and when: the canary's weight by hand, in milliseconds and parts per million.
pub type Script = &'static [(u64, u32)];

/// How a rollout went.
#[derive(Clone, Debug, PartialEq)]
pub struct RunResult {
    /// How it ended.
    pub end: End,
    /// Why, in one sentence.
    pub why: String,
    /// When, in milliseconds.
    pub end_ms: u64,
    /// From the canary's first request to the end, in milliseconds.
    pub exposed_ms: u64,
    /// Was the gate that was asked about ever passed?
    pub passed: bool,
    /// Requests in all.
    pub requests: u64,
    /// What a filter would have refused; such a run is none.
    pub refused: Option<String>,
}

/// Plays the plan once, looking every `every_ms`, for `horizon_ms` at most; `gate` is the one whose passing is noted.
///
/// A stage that awaits a person's yes gets it at once; gates with a source of their own read values that just pass. The
/// plan's scope, overrides, cohorts and keys are left out: every request is the rollout's, and its user is its key.
#[must_use]
pub fn play(
    plan: &Plan,
    world: &RequestWorld,
    script: Script,
    gate: Option<&str>,
    chance: Chance,
    every_ms: u64,
    horizon_ms: u64,
) -> RunResult {
    let plan = bare(plan);
    let scale = plan.traffic.confidence.as_ref().and_then(|own| ConfidenceScale::new(own.min, own.max));
    let state = State::new(plan.clone(), 1, 0, Now::at_ms(0));
    let mut played = Play {
        accumulator: CounterAccumulator::new(&state),
        state,
        street: TrafficSimulation::new(world, scale, chance),
        looks: Looks::new(every_ms),
        acknowledged: None,
        exposed_ms: None,
        passed: false,
        refused: None,
    }
    .take(&Event::Start(person()), 0);
    let mut number = 0;
    loop {
        played.street.tick(number);
        number += 1;
        let now_ms = number * TICK_MS;
        played = played.acknowledge(now_ms);
        for (_, weight_ppm) in script.iter().filter(|(at_ms, _)| at_ms / TICK_MS == number) {
            played = played.take(&Event::SetWeight { human: person(), weight_ppm: *weight_ppm }, now_ms);
        }
        if now_ms / every_ms == (now_ms - TICK_MS) / every_ms {
            continue;
        }
        played = played.look(&plan, now_ms, every_ms, gate);
        let late = now_ms >= horizon_ms || played.refused.is_some();
        // A person who set the weight watches.
        let watched = matches!(played.state.phase, Phase::Paused(Pause::Human { .. })) && !late;
        if let Some(end) = ended(&played.state, late).filter(|_| !watched) {
            return played.over(end, now_ms);
        }
    }
}

/// The plan without what a made-up request cannot have.
fn bare(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    (plan.ready, plan.warm_up_hook) = (None, None);
    plan.traffic.scope = None;
    plan.traffic.role = policy::Role::Decide;
    plan.traffic.overrides.clear();
    plan.traffic.cohorts.clear();
    if let policy::Assignment::Sticky { keys, .. } = &mut plan.traffic.assignment {
        *keys = vec![policy::Key::Header("x-user".to_owned())];
    }
    plan
}

struct Play<'w> {
    state: State,
    accumulator: CounterAccumulator,
    street: TrafficSimulation<'w>,
    looks: Looks,
    /// The publication and how many have taken it, as the machine was told last.
    acknowledged: Option<(u64, u32)>,
    exposed_ms: Option<u64>,
    passed: bool,
    refused: Option<String>,
}

impl Play<'_> {
    /// Takes an event, and does what follows from it, as the engine does.
    fn take(self, event: &Event, now_ms: u64) -> Self {
        let (state, effects) = step(self.state, event, Now::at_ms(now_ms));
        Self { state, ..self }.follow(effects, now_ms)
    }

    fn follow(mut self, effects: Vec<Effect>, now_ms: u64) -> Self {
        let mut published = false;
        for effect in effects {
            let Effect::Publish(publication) = effect else { continue };
            published = true;
            let (plan, weights) = (&self.state.plan, &self.state.weights);
            let arms: Vec<_> = plan.arms_in().collect();
            let shares: Vec<_> =
                arms.iter().map(|arm| (*arm, f64::from(plan.share_of(*arm, weights)) / 1e6)).collect();
            if shares.iter().any(|(_, share)| *share > 0.0) {
                self.exposed_ms.get_or_insert(now_ms);
            }
            if let Err(error) = self.street.publish(&publication, &shares, now_ms) {
                self.refused = Some(error.to_string());
            }
        }
        if published {
            self.accumulator.unsettle(self.state.epoch);
        } else if self.state.publication.as_ref().is_some_and(|sent| sent.quorum_age_ms.is_some()) {
            self.accumulator.settle(now_ms);
        }
        self
    }

    fn acknowledge(mut self, now_ms: u64) -> Self {
        let Some(publication) = self.state.publication.as_ref().map(|sent| sent.sent.id) else { return self };
        let (acknowledged, connected) = self.street.acknowledged(publication);
        if self.acknowledged != Some((publication, acknowledged)) {
            self.acknowledged = Some((publication, acknowledged));
            let acks = Acks { publication, acknowledged, connected, ..Acks::default() };
            self = self.take(&Event::Acks(acks), now_ms);
        }
        self
    }

    fn look(mut self, plan: &Plan, now_ms: u64, every_ms: u64, gate: Option<&str>) -> Self {
        let readings = self.street.read(now_ms);
        let (seen, counted) = self.looks.take(readings, now_ms);
        let interval = self.accumulator.interval(&self.state, &seen, counted.iter(), None);
        self = self.take(&Event::Interval(Box::new(interval)), now_ms);
        for reading in passing_readings(plan, &self.state, now_ms, every_ms) {
            self = self.take(&Event::Reading(reading), now_ms);
        }
        let wanted = match self.state.phase {
            Phase::Paused(Pause::Approval) => Event::Approve(person()),
            Phase::Paused(Pause::Choice) => Event::Choose { arm: self.state.plan.arm(), human: person() },
            _ => Event::Tick,
        };
        self = self.take(&wanted, now_ms);
        let passes = |name: &str| {
            let gates = self.state.stages.iter().flat_map(|stage| &stage.gates);
            gates.into_iter().any(|verdict| verdict.name == name && verdict.answer == Answer::Pass)
        };
        self.passed = self.passed || gate.is_some_and(passes);
        self
    }

    /// Where it is, and what each gate it waits for lacks.
    fn open(&self) -> String {
        let gates = self.state.stages.last().into_iter().flat_map(|stage| &stage.gates);
        let open = gates.filter(|gate| gate.holds());
        let whys: Vec<String> = open.map(|gate| format!("; {}: {}", gate.name, gate.why)).collect();
        format!("{}{}", self.state.message(), whys.concat())
    }

    fn over(self, end: End, end_ms: u64) -> RunResult {
        let why = self.state.rollback.as_ref().map(|rollback| rollback.reason.clone());
        RunResult {
            end,
            why: why.unwrap_or_else(|| self.open()),
            end_ms,
            exposed_ms: self.exposed_ms.map_or(0, |exposed| end_ms - exposed),
            passed: self.passed,
            requests: self.street.requests,
            refused: self.refused,
        }
    }
}

fn person() -> Human {
    Human { who: "simulate".to_owned(), reason: String::new() }
}
