//! How often is a healthy canary stopped, and a bad one found, in worlds of requests, by the whole machine?
//! `cargo xtask bench alarms [RUNS] [SEED] [WORLD]...`
//!
//! Ends with 1 when a world is not as it should be: rows that are counted wrong on purpose should be bad, the others
//! should not.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use manifest::Plan;
use simulate::{CanaryHealth, Chance, NAMED, Named, RunResult, Share, WorldResult, play};

/// A look a second, as `serin run` takes one.
const EVERY_MS: u64 = 1_000;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, or: u64| args.get(at).and_then(|text| text.parse().ok()).unwrap_or(or);
    let (runs, seed) = (number(0, 30).max(1), number(1, 1));
    let wanted: Vec<&str> = args.iter().skip(2).map(String::as_str).collect();
    if let Some(unknown) = wanted.iter().find(|name| Named::find(name).is_none()) {
        let known: Vec<&str> = NAMED.iter().map(|named| named.name).collect();
        eprintln!("no world is called {unknown:?}; there are: {}", known.join(", "));
        return ExitCode::from(2);
    }
    println!(
        "{runs} runs a world, seed {seed}; a look a second; the default preset unless the world has its own plan; alpha of \
         the run 0.05. A row is bad when the whole 95 % interval of its share is: more than 5 % false rollbacks or false \
         passes, less than 90 % found.\n"
    );
    println!(
        "| world | truth | rolled back | promoted | false passes | back: median / p90 s | by what | verdict |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let (mut surprises, mut examples) = (0, Vec::new());
    for (stream, named) in NAMED.iter().enumerate() {
        if !wanted.is_empty() && !wanted.contains(&named.name) {
            continue;
        }
        let plan = match named.plan() {
            Ok(plan) => plan,
            Err(problems) => {
                eprintln!("{}: {problems}", named.name);
                return ExitCode::from(2);
            }
        };
        let tried = WorldResult::new(named, &all_runs(named, &plan, runs, seed, stream as u64));
        row(named, &tried);
        let expected = tried.as_expected(named);
        surprises += usize::from(!expected);
        // Whoever asks for a world wants to know.
        if !expected || !wanted.is_empty() {
            let why = tried.example.as_deref().unwrap_or("all are promoted");
            examples.push(format!("{}: {why}", named.name));
        }
    }
    examples.iter().for_each(|example| println!("\nfor example, {example}"));
    if surprises == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// On all cores; each run's chance is its own, so that the order changes nothing.
fn all_runs(named: &Named, plan: &Plan, runs: u64, seed: u64, stream: u64) -> Vec<RunResult> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, done, world) = (AtomicU64::new(0), Mutex::new(Vec::new()), named.world());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= runs {
                        return;
                    }
                    let chance = Chance::new(seed, stream, number);
                    let (script, gate, horizon_ms) = (named.script, named.gate, named.seconds * 1_000);
                    let played = play(plan, &world, script, gate, chance, EVERY_MS, horizon_ms);
                    if let Ok(mut done) = done.lock() {
                        done.push((number, played));
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, played)| played).collect()
}

fn row(named: &Named, tried: &WorldResult) {
    let truth = match named.truth {
        CanaryHealth::Healthy { .. } => "healthy",
        CanaryHealth::Harmful { .. } => "harmful",
        CanaryHealth::Open => "cold, then healthy",
    };
    let by: Vec<String> = tried.by.iter().map(|(by, n)| format!("{by} {n}")).collect();
    let seconds = tried.seconds_to_roll_back.as_ref();
    let verdict = match (tried.bad.is_empty(), named.wrong, named.truth) {
        (_, false, CanaryHealth::Open) => "-".to_owned(),
        (true, false, _) => "ok".to_owned(),
        (false, true, _) => format!("bad, as it must: {}", tried.bad.join(", ")),
        (true, true, _) => "**LOOKS WELL, AND MUST NOT**".to_owned(),
        (false, false, _) => format!("**BAD: {}**", tried.bad.join(", ")),
    };
    println!(
        "| {} | {truth} | {} | {} | {} | {} | {} | {verdict} |",
        named.name,
        percent(&tried.rolled_back),
        percent(&tried.promoted),
        tried.false_passes.as_ref().map_or("-".to_owned(), percent),
        seconds.map_or("-".to_owned(), |spread| format!("{:.0} / {:.0}", spread.median, spread.p90)),
        by.join(", "),
    );
}

fn percent(share: &Share) -> String {
    format!("{:.1} % [{:.1}, {:.1}]", 100.0 * share.share, 100.0 * share.lo, 100.0 * share.hi)
}
