//! How often is a healthy canary stopped, and how soon is a bad one, by the whole machine on made-up counts: four gates
//! and two guardrails together, as they share the run's alpha?
//! `cargo xtask bench counts [RUNS] [SEED]`
//!
//! The worlds are those of the judge's bench: 100 requests a second, 5 % canary, looks every 10 s, an hour.

use std::collections::BTreeMap;

use benches::{Behaviour, Dice, Law, argument, quantile, seed_of, wilson};
use rollout::{Acks, Counts, Event, Human, Interval, Now, Phase, RollbackBy, State, step};

const STEP: u64 = 10;
const REQUESTS: u64 = 1_000;

/// How the canary differs from stable, and what both go through.
#[derive(Clone, Copy)]
struct World {
    name: &'static str,
    errors: f64,
    /// Times as many errors in the canary ...
    more: f64,
    /// ... from this second on.
    from: u64,
    /// All times, and those above p90, in the canary.
    slower: f64,
    tail: f64,
    /// The canary's confidence.
    surer: f64,
    /// Two of every twenty minutes both versions fail in 5 % of requests.
    bursts: bool,
    /// 1, 5, 20 and 50 %, a quarter of an hour each.
    ramp: bool,
}

const HEALTHY: World = World {
    name: "A/A 1 %",
    errors: 0.01,
    more: 1.0,
    from: 0,
    slower: 1.0,
    tail: 1.0,
    surer: 1.0,
    bursts: false,
    ramp: false,
};

fn worlds() -> Vec<World> {
    let errors = |name, errors, more| World { name, errors, more, ..HEALTHY };
    let times = |name, slower, tail| World { name, slower, tail, ..HEALTHY };
    let surer = |name, surer| World { name, surer, ..HEALTHY };
    vec![
        HEALTHY,
        World { bursts: true, ..errors("A/A 1 % with bursts", 0.01, 1.0) },
        World { bursts: true, ramp: true, ..errors("A/A ramp 1-5-20-50 % with bursts", 0.01, 1.0) },
        errors("A/A 0.1 %", 0.001, 1.0),
        errors("errors 1 -> 1.5 %", 0.01, 1.5),
        errors("errors 1 -> 2 %", 0.01, 2.0),
        errors("errors 1 -> 5 %", 0.01, 5.0),
        errors("errors 1 -> 10 %", 0.01, 10.0),
        errors("errors 0.1 -> 0.5 %", 0.001, 5.0),
        World { from: 1_800, ..errors("errors x2 from minute 30 (s after)", 0.01, 2.0) },
        times("latency +10 %", 1.1, 1.0),
        times("latency +20 %", 1.2, 1.0),
        times("latency > p90 +20 %", 1.0, 1.2),
        times("latency > p90 +50 %", 1.0, 1.5),
        surer("confidence -1 %", 0.99),
        surer("confidence -2 %", 0.98),
        surer("confidence -5 %", 0.95),
    ]
}

fn plan(ramp: bool) -> Result<manifest::Plan, manifest::Problems> {
    let stages = if ramp {
        "[{weight: 1%, bake: 15m}, {weight: 5%, bake: 15m}, {weight: 20%, bake: 15m}, {weight: 50%, bake: 15m}, {weight: 100%, bake: 5m}]"
    } else {
        "[{weight: 5%, bake: 2h}, {weight: 100%, bake: 5m}]"
    };
    let text = format!(
        "apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {{name: alarms}}
spec:
  stable: {{version: v1}}
  canary: {{version: v2}}
  confidence: {{fromHeader: x-confidence}}
  stages: {stages}
  gates:
    - {{name: errors, metric: error_rate, against: stable, margin: 2x}}
    - {{name: latency, metric: latency_p99, against: stable, margin: 25%, harm: 1x}}
    - {{name: overdue, metric: overdue, against: stable, margin: 2x}}
    - {{name: confidence, metric: confidence_mean, against: stable, margin: 2%, harm: 0%}}
  guardrails:
    - {{name: errors-limit, metric: error_rate, max: 5%}}
    - {{name: overdue-limit, metric: overdue, max: 5%}}
"
    );
    manifest::load(&text).map(|loaded| loaded.plan)
}

/// When it was rolled back and by what; `None`: not within the hour (or two, where harm begins late).
fn run(world: &World, plan: &manifest::Plan, arms: &[Behaviour; 2], seed: u64) -> Option<(u64, RollbackBy)> {
    let [stable, canary] = arms;
    let mut dice = Dice::seeded(seed);
    let mut state = State::new(plan.clone(), 1, 0, Now::at_ms(0));
    let human = Human { who: "bench".to_owned(), reason: String::new() };
    state = step(state, &Event::Start(human), Now::at_ms(0)).0;
    let hours = if world.from > 0 { 2 } else { 1 };
    for look in 1..=hours * 3_600 / STEP {
        let now = Now::at_ms(look * STEP * 1_000);
        let waiting = state.publication.as_ref().filter(|publication| publication.acks.connected == 0);
        if let Some(publication) = waiting.map(|publication| publication.sent.id) {
            let acks = Acks { publication, acknowledged: 1, connected: 1, ..Acks::default() };
            state = step(state, &Event::Acks(acks), Now::at_ms((look - 1) * STEP * 1_000)).0;
        }
        let at = (look - 1) * STEP;
        // Before the first publication nobody goes to the canary, and a draw is taken all the same.
        let n = dice.binomial(REQUESTS, (f64::from(state.weights.canary_ppm) / 1e6).max(1e-9));
        let base = if world.bursts && at / 60 % 20 < 2 { 0.05 } else { world.errors };
        let more = if at >= world.from { world.more } else { 1.0 };
        let interval = Interval {
            epoch: state.epoch,
            from_ms: at * 1_000,
            to_ms: look * STEP * 1_000,
            canary: canary.counts(&mut dice, n, base * more),
            stable: stable.counts(&mut dice, REQUESTS - n, base),
            baseline: Counts::default(),
            ..Interval::default()
        };
        state = step(state, &Event::Interval(Box::new(interval)), now).0;
        state = step(state, &Event::Tick, now).0;
        if let (Phase::RolledBack, Some(rollback)) = (&state.phase, &state.rollback) {
            return Some((look * STEP, rollback.by.clone()));
        }
    }
    None
}

/// `1.35 % [0.93, 1.96]`: with its 95 % interval.
fn share(k: usize, n: u64) -> String {
    let (lo, hi) = wilson(k, n as usize);
    format!("{:.2} % [{:.2}, {:.2}]", 100.0 * k as f64 / n as f64, 100.0 * lo, 100.0 * hi)
}

fn main() {
    let (runs, seed) = (argument(1, 200), argument(2, 1));
    let plans = match (plan(false), plan(true)) {
        (Ok(steady), Ok(ramp)) => [steady, ramp],
        (Err(problems), _) | (_, Err(problems)) => return eprintln!("{problems}"),
    };
    println!(
        "{runs} runs a world, seed {seed}; 100 requests a second, 5 % canary, looks every 10 s for an hour; alpha of the \
         run 0.05: four gates share 0.04, two guardrails 0.01\n"
    );
    println!("| world | rolled back, 95 % interval | by what | median / p90 s |");
    println!("| --- | --- | --- | --- |");
    for world in worlds() {
        let arms = [
            Behaviour::usual(),
            Behaviour { times: Law::times(world.slower, world.tail, 12), scores: Law::scores(world.surer) },
        ];
        let [steady, ramp] = &plans;
        let plan = if world.ramp { ramp } else { steady };
        let (mut back, mut by) = (Vec::new(), BTreeMap::<String, u32>::new());
        for index in 0..runs {
            let Some((at, what)) = run(&world, plan, &arms, seed_of(seed, index)) else { continue };
            // Before the harm begins an alarm is a false one and finds nothing.
            let Some(after) = at.checked_sub(world.from) else { continue };
            let what = match what {
                RollbackBy::Gate(name) => format!("gate {name}"),
                RollbackBy::Guardrail(name) => format!("guardrail {name}"),
                other => format!("{other:?}"),
            };
            *by.entry(what).or_default() += 1;
            back.push(after);
        }
        back.sort_unstable();
        let by: Vec<String> = by.iter().map(|(what, n)| format!("{what} {n}")).collect();
        println!(
            "| {} | {} | {} | {} / {} |",
            world.name,
            share(back.len(), runs),
            by.join(", "),
            quantile(&back, runs, 0.5),
            quantile(&back, runs, 0.9),
        );
    }
}
