//! One run of the real machine on made-up traffic.

use std::collections::BTreeMap;

use manifest::{Guardrail, Plan};
use rollout::{Acks, Counts, Event, Human, Interval, Now, Pause, Phase, Reading, RollbackBy, State, step};
use split::Arm;

use crate::shape::Shape;
use crate::users::{Crowd, Split};
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
    let mut run = Run::begin(plan, world, chance);
    let mut at = 0;
    loop {
        at += every_ms;
        run = run.follow(world, at).read_sources(plan, at, every_ms).look(world, begun, at, every_ms);
        if let Some(end) = ended(&run.state, at >= horizon) {
            return run.tally.outcome(end, at, world.harm.begins_ms);
        }
    }
}

struct Run {
    state: State,
    chance: Chance,
    tally: Tally,
    crowd: Option<Crowd>,
    /// The publication not all proxies have taken yet, and since when.
    pending: Option<(u64, u64)>,
}

/// Each arm's counts of one look.
struct Arms {
    canary: Counts,
    stable: Counts,
    baseline: Counts,
}

#[derive(Default)]
struct Tally {
    first_exposed_ms: Option<u64>,
    exposed: u64,
    harmful: u64,
    extra_errors: f64,
    requests: u64,
    errors: u64,
    looks: u64,
}

impl Run {
    fn begin(plan: &Plan, world: &World, mut chance: Chance) -> Self {
        // Whether its endpoints are there is no question of a made-up world.
        let mut plan = plan.clone();
        (plan.ready, plan.warm_up_hook) = (None, None);
        let state = State::new(plan, 1, 0, Now::at_ms(0));
        let crowd = world.users.map(|users| Crowd::new(users, world.per_second(), &mut chance));
        Self { state, chance, tally: Tally::default(), crowd, pending: None }.take(&Event::Start(person()), 0)
    }

    fn take(self, event: &Event, at: u64) -> Self {
        Self { state: step(self.state, event, Now::at_ms(at)).0, ..self }
    }

    /// The proxies take what was published at the look before; the slow one, later.
    fn follow(mut self, world: &World, at: u64) -> Self {
        let proxies = if world.slow_proxy_ms > 0 { 2 } else { 1 };
        let sent = self.state.publication.as_ref().filter(|sent| sent.acks.acknowledged < proxies);
        let Some(publication) = sent.map(|publication| publication.sent.id) else { return self };
        let since = match self.pending {
            Some((id, since)) if id == publication => since,
            _ => at,
        };
        let taken = at - since >= world.slow_proxy_ms;
        self.pending = (!taken).then_some((publication, since));
        let acknowledged = if taken { proxies } else { proxies - 1 };
        let acks = Acks { publication, acknowledged, connected: proxies, ..Acks::default() };
        self.take(&Event::Acks(acks), at)
    }

    fn read_sources(mut self, plan: &Plan, at: u64, every_ms: u64) -> Self {
        for reading in passing_readings(plan, &self.state, at, every_ms) {
            self = self.take(&Event::Reading(reading), at);
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
        let exposing = canary_share > 0.0;
        let since = self.tally.first_exposed_ms.map(|first| from_ms - first).or(exposing.then_some(0));
        let harmful = since.is_some_and(|since| world.harm.lasts_at(since));
        let shape = if harmful { &moment.canary } else { &moment.stable };
        let (rivals, n, left) = self.rivals(n, shape);
        let Arms { canary, stable, baseline } =
            self.requests(n, world.sticky, canary_share / left, baseline_share / left, shape, &moment.stable);
        if canary.assigned > 0 {
            self.tally.first_exposed_ms.get_or_insert(from_ms);
        }
        for counts in rivals.values().chain([&canary, &stable, &baseline]) {
            self.tally.requests += counts.outcomes;
            self.tally.errors += counts.errors;
        }
        self.tally.looks += 1;
        self.tally.exposed += canary.assigned;
        if harmful {
            self.tally.harmful += canary.assigned;
            self.tally.extra_errors += moment.canary.extra_errors(&moment.stable, canary.assigned);
        }
        let gap = if self.pending.is_some() {
            Some("the weights were changing")
        } else {
            world.silent_at(from_ms).then_some("a proxy was silent")
        };
        let gap = gap.map(str::to_owned);
        let epoch = self.state.epoch;
        let interval = Interval {
            epoch,
            from_ms,
            to_ms: at,
            canary,
            rivals,
            stable,
            baseline,
            gap,
            ..Interval::default()
        };
        let run = self.take(&Event::Interval(Box::new(interval)), at);
        match run.state.phase {
            Phase::Paused(Pause::Approval) => run.take(&Event::Approve(person()), at),
            Phase::Paused(Pause::Choice) => {
                let arm = run.state.plan.arm();
                run.take(&Event::Choose { arm, human: person() }, at)
            }
            _ => run,
        }
    }

    /// What the challengers beside the lead get, all of them like it: what is asked is what becomes of such ones. Also
    /// the requests that are left, and which part of the key space they are drawn from.
    fn rivals(&mut self, n: u64, shape: &Shape) -> (BTreeMap<Arm, Counts>, u64, f64) {
        let (plan, weights) = (&self.state.plan, self.state.weights);
        let shares: Vec<(Arm, f64)> =
            plan.rivals().map(|one| (one.arm, f64::from(plan.share_of(one.arm, &weights)) / 1e6)).collect();
        let (mut rest, mut left) = (n, 1.0_f64);
        let mut counts = BTreeMap::new();
        for (arm, share) in shares {
            let got = self.chance.binomial(rest, (share / left).min(1.0));
            rest -= got;
            left -= share;
            counts.insert(arm, shape.counts(got, &mut self.chance, false));
        }
        (counts, rest, left)
    }

    /// Who gets which requests, and what comes of them.
    fn requests(
        &mut self,
        n: u64,
        sticky: bool,
        canary: f64,
        baseline: f64,
        shape: &Shape,
        stable: &Shape,
    ) -> Arms {
        let chance = &mut self.chance;
        let none_or =
            |n: u64, counts: &mut dyn FnMut() -> Counts| if n == 0 { Counts::default() } else { counts() };
        if let Some(crowd) = &mut self.crowd {
            let (canary_errors, stable_errors) = (shape.errors(), stable.errors());
            let calls =
                crowd.call(n, Split { canary, baseline, sticky, canary_errors, stable_errors }, chance);
            let (c, s, b) = (calls.canary, calls.stable, calls.baseline);
            return Arms {
                canary: shape.with_errors(c.n, c.errors, None, chance),
                stable: stable.with_errors(s.n, s.errors, Some(calls.groups), chance),
                baseline: none_or(b.n, &mut || stable.with_errors(b.n, b.errors, None, chance)),
            };
        }
        let to_canary = chance.binomial(n, canary);
        let rest = n - to_canary;
        let of_rest = if canary < 1.0 { (baseline / (1.0 - canary)).min(1.0) } else { 0.0 };
        let to_baseline = chance.binomial(rest, of_rest);
        Arms {
            canary: shape.counts(to_canary, chance, false),
            stable: stable.counts(rest - to_baseline, chance, true),
            baseline: none_or(to_baseline, &mut || stable.counts(to_baseline, chance, false)),
        }
    }
}

/// Every figure of the user's own that is due, just so that it passes.
pub(crate) fn passing_readings(plan: &Plan, state: &State, at: u64, every_ms: u64) -> Vec<Reading> {
    let due = |every: u64| at / every.max(1) != (at - every_ms) / every.max(1);
    let gates = plan.gates.iter().filter(|gate| gate.metric().is_external() && due(gate.every_ms));
    let gates = gates.map(|gate| (&gate.name, gate.limit.map_or(1.0, |limit| limit.pass)));
    let read = |rail: &&Guardrail| rail.reads.as_ref().is_some_and(|reads| due(reads.every_ms));
    let guardrails = plan.guardrails.iter().filter(read).map(|rail| (&rail.name, rail.limit));
    let mut readings = Vec::new();
    for (name, value) in gates.chain(guardrails) {
        for arm in state.measured_arms() {
            let (canary, stable) = (Some(value), Some(value));
            readings.push(Reading { gate: name.clone(), arm, canary, stable, ..Reading::default() });
        }
    }
    readings
}

/// How it ended, if it has; `late`: nobody waits any longer.
pub(crate) fn ended(state: &State, late: bool) -> Option<End> {
    let held = |why: &str| Some(End::Held { why: why.to_owned() });
    // Of several that are alike, the first that is dropped tells.
    if let Some((out, by)) = state.arms.out.iter().find_map(|out| out.by.as_ref().map(|by| (out, by))) {
        return Some(End::RolledBack { by: format!("{} by {}", out.arm, name(by)) });
    }
    match &state.phase {
        Phase::HandBack(_) | Phase::Succeeded => Some(End::Promoted),
        Phase::RolledBack => {
            let by =
                state.rollback.as_ref().map_or_else(|| "a person".to_owned(), |rollback| name(&rollback.by));
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

/// What decided, for the summary.
fn name(by: &RollbackBy) -> String {
    match by {
        RollbackBy::Gate(name) => format!("gate {name}"),
        RollbackBy::Guardrail(name) => format!("guardrail {name}"),
        RollbackBy::Deadline => "deadline".to_owned(),
        RollbackBy::Quorum => "quorum".to_owned(),
        RollbackBy::NoData => "no data".to_owned(),
        RollbackBy::Budget => "budget".to_owned(),
        RollbackBy::Endpoints => "endpoints".to_owned(),
        RollbackBy::Human(_) | RollbackBy::Fleet(_) => "a person".to_owned(),
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
            requests: self.requests,
            errors: self.errors,
            looks: self.looks,
        }
    }
}

fn person() -> Human {
    Human { who: "simulate".to_owned(), reason: String::new() }
}
