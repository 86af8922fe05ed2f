//! One run of the real machine on made-up traffic.

use rollout::{Acks, Counts, Event, Human, Interval, Now, Pause, Phase, Reading, RollbackBy, State, step};
use spec::{Gate, Plan};

use crate::world::World;
use crate::{Chance, End, Outcome};

/// Beyond every deadline: people and proxies take time that no deadline counts.
const GRACE_MS: u64 = 2 * 3_600_000;

/// How long a run may take before it counts as held: all stages to their deadlines, and two hours.
#[must_use]
pub fn horizon_ms(plan: &Plan) -> u64 {
    plan.stages.iter().map(|stage| stage.bake_ms.max(stage.deadline_ms)).sum::<u64>() + GRACE_MS
}

/// Runs the plan once, looking every `every_ms`.
///
/// Proxies follow new weights within one look; a stage that awaits a person's yes gets it at once; gates with a source
/// of their own read values that just pass.
#[must_use]
pub fn run(plan: &Plan, world: &World, mut chance: Chance, every_ms: u64) -> Outcome {
    let every_ms = every_ms.max(1);
    let begun = chance.below(world.turns());
    let horizon = horizon_ms(plan);
    let mut run = Run::begin(plan, chance);
    let mut at = 0;
    loop {
        at += every_ms;
        run = run.follow(at).read_sources(plan, at, every_ms).look(world, begun, at, every_ms);
        if let Some(end) = run.end(at >= horizon) {
            return run.tally.outcome(end, at, world.harm.begins_ms);
        }
    }
}

struct Run {
    state: State,
    chance: Chance,
    tally: Tally,
}

#[derive(Default)]
struct Tally {
    first_exposed_ms: Option<u64>,
    exposed: u64,
    harmful: u64,
    extra_errors: f64,
    looks: u64,
}

impl Run {
    fn begin(plan: &Plan, chance: Chance) -> Self {
        let state = State::new(plan.clone(), 1, 0, Now::at_ms(0));
        Self { state, chance, tally: Tally::default() }.take(&Event::Start(person()), 0)
    }

    fn take(self, event: &Event, at: u64) -> Self {
        Self { state: step(self.state, event, Now::at_ms(at)).0, ..self }
    }

    /// The proxies take what was published at the look before.
    fn follow(self, at: u64) -> Self {
        let sent = self.state.publication.as_ref().filter(|publication| publication.acks.connected == 0);
        match sent.map(|publication| publication.sent.id) {
            None => self,
            Some(publication) => {
                let acks = Acks { publication, acknowledged: 1, connected: 1, ..Acks::default() };
                self.take(&Event::Acks(acks), at)
            }
        }
    }

    fn read_sources(mut self, plan: &Plan, at: u64, every_ms: u64) -> Self {
        for gate in plan.gates.iter().filter(|gate| gate.metric.is_external()) {
            if at / gate.every_ms.max(1) != (at - every_ms) / gate.every_ms.max(1) {
                self = self.take(&Event::Reading(passing(gate)), at);
            }
        }
        self
    }

    fn look(mut self, world: &World, begun: usize, at: u64, every_ms: u64) -> Self {
        let from_ms = at - every_ms;
        let Some(moment) = world.at(from_ms, begun) else { return self };
        let weights = self.state.weights;
        let (canary_share, baseline_share) =
            (f64::from(weights.canary_ppm) / 1e6, f64::from(weights.baseline_ppm) / 1e6);
        #[allow(clippy::cast_precision_loss)] // milliseconds of one look
        let n = self.chance.arrivals(moment.per_second * every_ms as f64 / 1e3);
        let to_canary = self.chance.binomial(n, canary_share);
        let rest = n - to_canary;
        let of_rest = if canary_share < 1.0 { (baseline_share / (1.0 - canary_share)).min(1.0) } else { 0.0 };
        let to_baseline = self.chance.binomial(rest, of_rest);
        if to_canary > 0 {
            self.tally.first_exposed_ms.get_or_insert(from_ms);
        }
        let harmful =
            self.tally.first_exposed_ms.is_some_and(|first| from_ms >= first + world.harm.begins_ms);
        let shape = if harmful { &moment.canary } else { &moment.stable };
        let canary = shape.counts(to_canary, &mut self.chance, false);
        self.tally.looks += 1;
        self.tally.exposed += to_canary;
        if harmful {
            self.tally.harmful += to_canary;
            self.tally.extra_errors += moment.canary.extra_errors(&moment.stable, to_canary);
        }
        let stable = moment.stable.counts(rest - to_baseline, &mut self.chance, true);
        let baseline = if to_baseline == 0 {
            Counts::default()
        } else {
            moment.stable.counts(to_baseline, &mut self.chance, false)
        };
        let interval =
            Interval { epoch: self.state.epoch, from_ms, to_ms: at, canary, stable, baseline, gap: None };
        let run = self.take(&Event::Interval(Box::new(interval)), at);
        match run.state.phase {
            Phase::Paused(Pause::Approval) => run.take(&Event::Approve(person()), at),
            _ => run,
        }
    }

    fn end(&self, late: bool) -> Option<End> {
        let held = |why: &str| Some(End::Held { why: why.to_owned() });
        match &self.state.phase {
            Phase::HandBack(_) | Phase::Succeeded => Some(End::Promoted),
            Phase::RolledBack => {
                let by = match self.state.rollback.as_ref().map(|rollback| &rollback.by) {
                    Some(RollbackBy::Gate(name)) => format!("gate {name}"),
                    Some(RollbackBy::Guardrail(name)) => format!("guardrail {name}"),
                    Some(RollbackBy::Deadline) => "deadline".to_owned(),
                    Some(RollbackBy::Quorum) => "quorum".to_owned(),
                    Some(RollbackBy::NoData) => "no data".to_owned(),
                    Some(RollbackBy::Budget) => "budget".to_owned(),
                    Some(RollbackBy::Human(_)) | None => "a person".to_owned(),
                };
                Some(End::RolledBack { by })
            }
            Phase::Paused(Pause::Gate { gate }) => held(&format!("gate {gate} failed")),
            Phase::Paused(Pause::Marginal { gate }) => held(&format!("gate {gate} is marginal")),
            Phase::Paused(Pause::Deadline) => held("deadline without proof"),
            // Where nobody calls for an hour no counts come; that passes by itself.
            Phase::Paused(Pause::NoData | Pause::Quorum | Pause::Unread { .. }) if !late => None,
            Phase::Paused(_) => held("paused"),
            _ if late => held("not decided in time"),
            _ => None,
        }
    }
}

impl Tally {
    fn outcome(&self, end: End, at: u64, begins_ms: u64) -> Outcome {
        let begins = self.first_exposed_ms.map_or(at, |first| first + begins_ms);
        Outcome {
            end,
            end_ms: at,
            harmful_ms: at.saturating_sub(begins),
            harmful_requests: self.harmful,
            exposed_requests: self.exposed,
            extra_errors: self.extra_errors,
            looks: self.looks,
        }
    }
}

fn person() -> Human {
    Human { who: "simulate".to_owned(), reason: String::new() }
}

/// A reading with which this gate passes, just so.
fn passing(gate: &Gate) -> Reading {
    let value = gate.limit.map_or(1.0, |limit| limit.pass);
    Reading { gate: gate.name.clone(), canary: Some(value), stable: Some(value), error: None }
}
