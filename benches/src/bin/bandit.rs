//! What do shares that follow the evidence bring, and what do they cost?
//! `cargo xtask bench bandit [RUNS] [SEED]`
//!
//! The same traffic goes through the same machine twice: with weights that stand, and with `spec.bandit`. 100 requests a
//! second, looks every 10 s, four hours in one stage whose gates may pass at any time and end nothing.

use std::collections::BTreeMap;

use benches::{Dice, argument, seed_of};
use rollout::{Acks, Answer, Counts, Event, Human, Interval, Moments, Now, Phase, State, step};
use split::Arm;

const STEP: u64 = 10;
const REQUESTS: u64 = 1_000;
const HOURS: u64 = 4;

/// Stable's share of errors (or mean confidence), and that of each version on trial.
struct World {
    name: &'static str,
    stable: f64,
    on_trial: &'static [f64],
    /// Scores in place of errors.
    scores: bool,
}

const WORLDS: [World; 8] = [
    World { name: "one, as good: errors 1 %", stable: 0.01, on_trial: &[0.01], scores: false },
    World { name: "one, better: 1 -> 0.5 %", stable: 0.01, on_trial: &[0.005], scores: false },
    World { name: "one, worse: 1 -> 1.3 %", stable: 0.01, on_trial: &[0.013], scores: false },
    World { name: "three: 1 -> 1, 1, 1 %", stable: 0.01, on_trial: &[0.01, 0.01, 0.01], scores: false },
    World { name: "three: 1 -> 0.4, 1, 1.2 %", stable: 0.01, on_trial: &[0.004, 0.01, 0.012], scores: false },
    World { name: "three: 5 -> 3, 4, 6 %", stable: 0.05, on_trial: &[0.03, 0.04, 0.06], scores: false },
    World { name: "one, surer: 0.85 -> 0.86", stable: 0.85, on_trial: &[0.86], scores: true },
    World {
        name: "three: 0.85 -> 0.86, 0.85, 0.84",
        stable: 0.85,
        on_trial: &[0.86, 0.85, 0.84],
        scores: true,
    },
];

fn plan(world: &World, bandit: bool) -> Result<manifest::Plan, manifest::Problems> {
    let names = ["b", "c", "d"];
    let arms: Vec<String> = (1..world.on_trial.len())
        .map(|at| format!("{{name: {}, version: v{}}}", names.get(at - 1).unwrap_or(&"e"), at + 2))
        .collect();
    let gate = if world.scores {
        "{name: g, metric: confidence_mean, against: stable, margin: 2%, harm: 2%}"
    } else {
        "{name: g, metric: error_rate, against: stable, margin: 2x, harm: 1.5x}"
    };
    let (by, weight) =
        (if world.scores { "confidence_mean" } else { "error_rate" }, 15 / world.on_trial.len());
    let bandit = if bandit {
        format!("  bandit: {{by: {by}, floor: 1%, ceiling: 30%, every: 1m}}\n")
    } else {
        String::new()
    };
    let text = format!(
        "apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {{name: bench}}
spec:
  stable: {{version: v1}}
  canary: {{version: v2}}
  arms: [{}]
  choose: {{by: person, after: {weight}%}}
  confidence: {{fromHeader: x-confidence}}
  baseline: false
  stages: [{{weight: {weight}%, bake: 1d, deadline: 2d}}, {{weight: 100%, bake: 5m}}]
  gates: [{gate}]
  guardrails: [{{name: limit, metric: error_rate, max: 20%}}]
{bandit}",
        arms.join(", ")
    );
    let text = if arms.is_empty() {
        text.lines()
            .filter(|line| !line.contains("arms: []") && !line.contains("choose:"))
            .map(|l| format!("{l}\n"))
            .collect()
    } else {
        text
    };
    manifest::load(&text).map(|loaded| loaded.plan)
}

/// What is counted of `n` requests: errors, or scores.
fn counted(dice: &mut Dice, n: u64, value: f64, scores: bool) -> Counts {
    let mut counts = Counts { assigned: n, finished: n, outcomes: n, ..Counts::default() };
    if scores {
        // Uniform around the mean, with a standard deviation of 0.0577.
        let mut confidence = Moments { n, ..Moments::default() };
        for _ in 0..n {
            let score = value + 0.2 * (dice.uniform() - 0.5);
            confidence.sum += score;
            confidence.sum_squares += score * score;
        }
        counts.confidence = confidence;
    } else {
        counts.errors = dice.binomial(n, value);
    }
    counts
}

/// What one run came to.
#[derive(Default)]
struct Told {
    /// Errors, or scores, of all requests.
    sum: f64,
    /// Requests.
    requests: f64,
    /// What the version that is best of those on trial got of the traffic of versions on trial.
    to_best: f64,
    on_trial: f64,
    /// When every version was proven, in seconds; `None`: not within the hours.
    proven: Option<u64>,
    publications: u64,
    dropped: u64,
}

fn run(world: &World, plan: &manifest::Plan, seed: u64) -> Told {
    let mut dice = Dice::seeded(seed);
    let mut state = State::new(plan.clone(), 1, 0, Now::at_ms(0));
    let human = Human { who: "bench".to_owned(), reason: String::new() };
    state = step(state, &Event::Start(human), Now::at_ms(0)).0;
    let arms: Vec<Arm> = state.plan.arms_in().collect();
    let best = world.on_trial.iter().copied().fold(f64::NAN, |best, value| {
        if best.is_nan() || (value > best) == world.scores { value } else { best }
    });
    let mut told = Told::default();
    for look in 0..HOURS * 3_600 / STEP {
        let (from_ms, to_ms) = (look * STEP * 1_000, (look + 1) * STEP * 1_000);
        if let Some(sent) = state.publication.as_ref().filter(|sent| sent.quorum_age_ms.is_none()) {
            let publication = sent.sent.id;
            let acks = Acks { publication, acknowledged: 1, connected: 1, ..Acks::default() };
            state = step(state, &Event::Acks(acks), Now::at_ms(from_ms)).0;
        }
        let (mut rest, mut left) = (REQUESTS, 1.0_f64);
        let mut counts = BTreeMap::new();
        for (arm, &value) in arms.iter().zip(world.on_trial) {
            let share = f64::from(state.plan.share_of(*arm, &state.weights)) / 1e6;
            let got = dice.binomial(rest, share / left);
            (rest, left) = (rest - got, left - share);
            told.on_trial += got as f64;
            if (value - best).abs() < 1e-12 {
                told.to_best += got as f64;
            }
            counts.insert(*arm, counted(&mut dice, got, value, world.scores));
        }
        let stable = counted(&mut dice, rest, world.stable, world.scores);
        for counts in counts.values().chain([&stable]) {
            told.sum += if world.scores { counts.confidence.sum } else { counts.errors as f64 };
        }
        told.requests += REQUESTS as f64;
        let canary = counts.remove(&state.plan.arm()).unwrap_or_default();
        counts.retain(|arm, _| state.plan.rivals().any(|rival| rival.arm == *arm));
        let interval = Interval {
            epoch: state.epoch,
            from_ms,
            to_ms,
            canary,
            rivals: counts,
            stable,
            ..Interval::default()
        };
        state = step(state, &Event::Interval(Box::new(interval)), Now::at_ms(to_ms)).0;
        if told.proven.is_none() && passes(&state) {
            told.proven = Some((look + 1) * STEP);
        }
        if state.phase == Phase::RolledBack {
            // Stable serves the rest.
            let more = (HOURS * 3_600 / STEP - look - 1) * REQUESTS;
            let counts = counted(&mut dice, more, world.stable, world.scores);
            told.sum += if world.scores { counts.confidence.sum } else { counts.errors as f64 };
            told.requests += more as f64;
            break;
        }
    }
    told.publications = state.publication.as_ref().map_or(0, |sent| sent.sent.id);
    told.dropped = state.arms.out.len() as u64 + u64::from(state.phase == Phase::RolledBack);
    told
}

/// Is every version that is in proven to do no harm?
fn passes(state: &State) -> bool {
    let gates = state.stages.last().map(|stage| &stage.gates).into_iter();
    let all = gates.chain(state.arms.rivals.values().map(|rival| &rival.gates));
    let mut all = all.flatten().peekable();
    all.peek().is_some() && all.all(|verdict| verdict.answer == Answer::Pass)
}

fn median(mut values: Vec<u64>, all: u64) -> String {
    values.sort_unstable();
    values.get((all / 2) as usize).map_or_else(|| "-".to_owned(), u64::to_string)
}

fn main() {
    let (runs, seed) = (argument(1, 200), argument(2, 1));
    println!(
        "{runs} runs, seed {seed}; 100 requests a second for {HOURS} hours, 15 % of them for versions on trial by weight; bandit: \
         floor 1 %, ceiling 30 %, every 1m\n"
    );
    println!(
        "| world | | errors of 100,000 (mean score) | to the best of those on trial | all proven, median s | dropped | publications |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for world in &WORLDS {
        for bandit in [false, true] {
            let plan = match plan(world, bandit) {
                Ok(plan) => plan,
                Err(problems) => return eprintln!("{problems}"),
            };
            let all: Vec<Told> = (0..runs).map(|index| run(world, &plan, seed_of(seed, index))).collect();
            let sum = |of: fn(&Told) -> f64| all.iter().map(of).sum::<f64>();
            let mean = sum(|told| told.sum) / sum(|told| told.requests);
            let value = if world.scores { format!("{mean:.5}") } else { format!("{:.1}", mean * 1e5) };
            println!(
                "| {} | {} | {value} | {:.0} % | {} | {:.1} % | {:.0} |",
                if bandit { "" } else { world.name },
                if bandit { "follows" } else { "stands" },
                100.0 * sum(|told| told.to_best) / sum(|told| told.on_trial),
                median(all.iter().filter_map(|told| told.proven).collect(), runs),
                100.0 * sum(|told| told.dropped as f64) / (runs * world.on_trial.len() as u64) as f64,
                sum(|told| told.publications as f64) / runs as f64,
            );
        }
    }
}
