//! How often is a healthy canary stopped, and how soon is a bad one, by the whole machine: four gates and two guardrails
//! together, as they share the run's alpha? `cargo run --release -p rollout --example alarms -- [RUNS] [SEED]`
//!
//! The worlds are those of the judge's bench: 100 requests a second, 5 % canary, looks every 10 s, an hour.

use std::collections::BTreeMap;

use rollout::{
    Acks, Aged, Bins, Counts, Event, Human, Interval, Moments, Now, Phase, RollbackBy, State, step,
};

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

fn plan(ramp: bool) -> Result<spec::Plan, spec::Problems> {
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
    spec::load(&text).map(|loaded| loaded.plan)
}

/// A small generator of the splitmix kind: the same runs on every machine.
struct Dice(u64);

impl Dice {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn next(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// How many of `n` happen, by skipping from one to the next.
    fn binomial(&mut self, n: u64, p: f64) -> u64 {
        let scale = (1.0 - p.clamp(1e-9, 0.999_999)).ln();
        let (mut at, mut happened) = (0.0, 0);
        loop {
            at += (self.next().ln() / scale).floor() + 1.0;
            if at > n as f64 {
                return happened;
            }
            happened += 1;
        }
    }
}

/// A finite law, drawn from by its inverse on a table of 4096 equal steps.
struct Law(Vec<u16>);

impl Law {
    fn new(weights: &[f64]) -> Self {
        let all: f64 = weights.iter().sum();
        let mut places = Vec::with_capacity(4096);
        let (mut sum, mut at) = (0.0, 0_u16);
        for (index, weight) in (0_u16..).zip(weights) {
            sum += weight / all;
            while f64::from(at) + 0.5 <= sum * 4096.0 && at < 4096 {
                places.push(index);
                at += 1;
            }
        }
        Self(places)
    }

    fn draw(&self, dice: &mut Dice) -> u16 {
        let at = (dice.bits() >> 52) as usize;
        self.0.get(at).or(self.0.last()).copied().unwrap_or(0)
    }

    /// Lognormal answer times, median 50 ms, sigma 0.6: all and those above p90 stretched.
    fn times(slower: f64, tail: f64) -> Self {
        let p90 = 50.0 * (0.6_f64 * 1.281_551_565_545).exp();
        let below = |ms: f64| {
            let ms = ms / slower;
            let ms = if ms <= p90 { ms } else { (ms / tail).max(p90) };
            judge::special::normal_cdf((ms / 50.0).ln() / 0.6)
        };
        let edge = tally::latency_upper_ms;
        let law: Vec<f64> = (0..tally::LATENCY_TOP)
            .map(|bin| below(edge(bin)) - if bin == 0 { 0.0 } else { below(edge(bin - 1)) })
            .collect();
        Self::new(&law)
    }

    /// Confidence in steps of 1/1000: Beta, mean 0.85, standard deviation 0.078, times a factor.
    fn scores(factor: f64) -> Self {
        let size = 0.85 * 0.15 / 0.078_f64.powi(2) - 1.0;
        let (a, b) = (0.85 * size - 1.0, 0.15 * size - 1.0);
        let law: Vec<f64> = (0..1000)
            .map(|i| (f64::from(i) + 0.5) / 1000.0 / factor)
            .map(|x| if x < 1.0 { (a * x.ln() + b * (1.0 - x).ln()).exp() } else { 0.0 })
            .collect();
        Self::new(&law)
    }
}

struct Arm {
    times: Law,
    scores: Law,
}

impl Arm {
    fn counts(&self, dice: &mut Dice, n: u64, errors: f64) -> Counts {
        let mut latency = Bins::default();
        let mut confidence = Moments { n, ..Moments::default() };
        for _ in 0..n {
            *latency.0.entry(self.times.draw(dice)).or_default() += 1;
            let score = (f64::from(self.scores.draw(dice)) + 0.5) / 1000.0;
            confidence.sum += score;
            confidence.sum_squares += score * score;
        }
        let errors = dice.binomial(n, errors);
        let overdue = Aged { reached: n, overdue: dice.binomial(n, 0.001), left_soon: 0 };
        Counts {
            assigned: n,
            finished: n,
            outcomes: n,
            errors,
            overdue,
            latency,
            confidence,
            ..Counts::default()
        }
    }
}

/// When it was rolled back and by what; `None`: not within the hour (or two, where harm begins late).
fn run(world: &World, plan: &spec::Plan, arms: &[Arm; 2], seed: u64) -> Option<(u64, RollbackBy)> {
    let [stable, canary] = arms;
    let mut dice = Dice(seed);
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
        let n = dice.binomial(REQUESTS, f64::from(state.weights.canary_ppm) / 1e6);
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

fn quantile(sorted: &[u64], runs: u64, q: f64) -> String {
    let at = ((runs as f64 - 1.0) * q).round() as usize;
    sorted.get(at).map_or("-".to_owned(), u64::to_string)
}

/// `1.35 % [0.93, 1.96]`: Wilson's 95 % interval.
fn share(k: usize, n: u64) -> String {
    let (k, n, z) = (k as f64, n as f64, 1.959_964);
    let p = k / n;
    let mid = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    format!("{:.2} % [{:.2}, {:.2}]", 100.0 * p, 100.0 * (mid - half).max(0.0), 100.0 * (mid + half).min(1.0))
}

fn main() {
    let number =
        |at: usize, or: u64| std::env::args().nth(at).and_then(|text| text.parse().ok()).unwrap_or(or);
    let (runs, seed) = (number(1, 200), number(2, 1));
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
            Arm { times: Law::times(1.0, 1.0), scores: Law::scores(1.0) },
            Arm { times: Law::times(world.slower, world.tail), scores: Law::scores(world.surer) },
        ];
        let [steady, ramp] = &plans;
        let plan = if world.ramp { ramp } else { steady };
        let (mut back, mut by) = (Vec::new(), BTreeMap::<String, u32>::new());
        for index in 0..runs {
            let mixed = seed.wrapping_mul(0x0100_0000_01b3) ^ index.wrapping_mul(0xd134_2543_de82_ef95);
            let Some((at, what)) = run(&world, plan, &arms, mixed) else { continue };
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
