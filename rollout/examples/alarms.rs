//! How often is a healthy canary stopped, and how soon is a bad one? The whole machine, gates and guardrails together,
//! on seeded random traffic: `cargo run --release -p rollout --example alarms [RUNS]`.
//!
//! Each line is a world: how the two versions differ, and whether both share bursts of trouble. 100 requests a second,
//! the stages and gates of preset `default`, looked at every second; an hour at 5 % when nothing is decided.

use rollout::{Acks, Aged, Bins, Counts, Event, Human, Interval, Moments, Now, Phase, State, step};

const PER_SECOND: u64 = 100;

#[derive(Clone, Copy)]
struct World {
    name: &'static str,
    errors: f64,
    canary_errors: f64,
    slower: f64,
    overdue: f64,
    /// Two of every twenty minutes both versions fail this often instead.
    bursts: Option<f64>,
}

const HEALTHY: World = World {
    name: "alike, 1% errors",
    errors: 0.01,
    canary_errors: 0.01,
    slower: 1.0,
    overdue: 0.001,
    bursts: None,
};

/// A small generator of the splitmix kind: the same runs on every machine.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.next().max(1e-300).ln()).sqrt() * (std::f64::consts::TAU * self.next()).cos()
    }

    fn counts(&mut self, n: u64, errors: f64, slower: f64, overdue: f64) -> Counts {
        let mut counts = Counts { assigned: n, finished: n, outcomes: n, ..Counts::default() };
        let mut latency = Bins::default();
        for _ in 0..n {
            counts.errors += u64::from(self.next() < errors);
            counts.overdue.overdue += u64::from(self.next() < overdue);
            let ms = 50.0 * (0.6 * self.normal()).exp() * slower;
            *latency.0.entry(tally::latency_bin((ms * 1e6) as u64)).or_default() += 1;
        }
        counts.overdue = Aged { reached: n, ..counts.overdue };
        counts.latency = latency;
        counts.confidence = Moments::default();
        counts
    }
}

enum End {
    Promoted,
    RolledBack(String),
    Undecided,
}

fn run(world: World, plan: &spec::Plan, seed: u64) -> (End, u64) {
    let mut dice = Dice(seed);
    let mut state = State::new(plan.clone(), 1, 0, Now::at_ms(0));
    let human = Human { who: "bench".to_owned(), reason: String::new() };
    state = step(state, &Event::Start(human), Now::at_ms(0)).0;
    for second in 1..20_000_u64 {
        let now = Now::at_ms(second * 1_000);
        if let Some(publication) =
            state.publication.as_ref().filter(|publication| publication.acks.connected == 0)
        {
            let publication = publication.sent.id;
            let acks = Acks { publication, acknowledged: 1, connected: 1, ..Acks::default() };
            state = step(state, &Event::Acks(acks), now).0;
        }
        let share = f64::from(state.weights.canary_ppm) / 1e6;
        let n = (0..PER_SECOND).filter(|_| dice.next() < share).count() as u64;
        let burst = world.bursts.filter(|_| second / 60 % 20 < 2);
        let canary = dice.counts(n, burst.unwrap_or(world.canary_errors), world.slower, world.overdue);
        let stable = dice.counts(PER_SECOND - n, burst.unwrap_or(world.errors), 1.0, world.overdue);
        let interval = Interval {
            epoch: state.epoch,
            from_ms: (second - 1) * 1_000,
            to_ms: second * 1_000,
            canary,
            stable,
            baseline: Counts::default(),
            gap: None,
        };
        state = step(state, &Event::Interval(Box::new(interval)), now).0;
        state = step(state, &Event::Tick, now).0;
        match &state.phase {
            Phase::HandBack(_) | Phase::Succeeded => return (End::Promoted, second),
            Phase::RolledBack => {
                let by = state.rollback.as_ref().map(|rollback| format!("{:?}", rollback.by));
                return (End::RolledBack(by.unwrap_or_default()), second);
            }
            Phase::Paused(_) => return (End::Undecided, second),
            _ => {}
        }
    }
    (End::Undecided, 20_000)
}

fn quantile(sorted: &[u64], q: f64) -> String {
    let at = ((sorted.len() as f64 - 1.0) * q).round() as usize;
    sorted.get(at).map_or("-".to_owned(), u64::to_string)
}

fn main() {
    let runs: u64 = std::env::args().nth(1).and_then(|runs| runs.parse().ok()).unwrap_or(200);
    let text = spec::preset_text("default").unwrap_or_default();
    let plan = match spec::load(text) {
        Ok(loaded) => loaded.plan,
        Err(problems) => return eprintln!("{problems}"),
    };
    let worlds = [
        HEALTHY,
        World { name: "alike, 0.1% errors", errors: 0.001, canary_errors: 0.001, ..HEALTHY },
        World { name: "alike, bursts of 5%", bursts: Some(0.05), ..HEALTHY },
        World { name: "errors 1% to 1.5%", canary_errors: 0.015, ..HEALTHY },
        World { name: "errors 1% to 2%", canary_errors: 0.02, ..HEALTHY },
        World { name: "errors 1% to 5%", canary_errors: 0.05, ..HEALTHY },
        World { name: "10% slower", slower: 1.1, ..HEALTHY },
        World { name: "20% slower", slower: 1.2, ..HEALTHY },
        World { name: "50% slower", slower: 1.5, ..HEALTHY },
    ];
    println!(
        "{runs} runs each, {PER_SECOND} requests per second, first stage 5 %; seconds until the end: median / p90"
    );
    println!("| world | rolled back | promoted | undecided | until rollback | until promotion |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for world in worlds {
        let (mut back, mut up, mut open) = (Vec::new(), Vec::new(), 0);
        let mut by = std::collections::BTreeMap::<String, u32>::new();
        for seed in 0..runs {
            match run(world, &plan, seed) {
                (End::Promoted, at) => up.push(at),
                (End::RolledBack(why), at) => {
                    *by.entry(why).or_default() += 1;
                    back.push(at);
                }
                (End::Undecided, _) => open += 1,
            }
        }
        back.sort_unstable();
        up.sort_unstable();
        println!(
            "| {} | {} | {} | {open} | {} / {} | {} / {} |  {by:?}",
            world.name,
            back.len(),
            up.len(),
            quantile(&back, 0.5),
            quantile(&back, 0.9),
            quantile(&up, 0.5),
            quantile(&up, 0.9),
        );
    }
}
