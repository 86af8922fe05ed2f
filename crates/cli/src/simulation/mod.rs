//! `serin simulate`: what this rollout would do, tried many times.

mod cases;
mod picture;
mod requests;
mod show;
mod worlds;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use manifest::Plan;
use rollout::Interval;
use serde::Serialize;
use simulate::{Chance, Latency, Outcome, Summary, Traffic, Users};

use crate::args::Output;
use crate::client;
use crate::planning::{load, per_second, share};
use cases::Case;
use worlds::{Asked, Trouble, Worlds};

/// Options of `serin simulate`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// File of the rollout; - reads standard input
    #[arg(short, long)]
    pub file: Option<PathBuf>,
    /// Traffic of all versions together: 100 (a second), 6000/m or 1000/h
    #[arg(long, value_parser = per_second)]
    pub rate: Option<f64>,
    /// Number of runs per world
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub runs: u64,
    /// Seed; the same seed gives the same runs
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Harm of the canary: errors=x2, p99=+20% (all answer times longer), confidence=-2%; @10m begins after ten minutes,
    /// @0s..3m lasts for the first three
    /// [default: errors x2 and x5, p99 +20% and +50%, confidence -2% and -5%]
    #[arg(long)]
    pub harm: Vec<String>,
    /// Stable's error rate
    #[arg(long, default_value = "1%", value_parser = share)]
    pub errors: f64,
    /// Stable's median answer time
    #[arg(long, default_value = "50ms")]
    pub p50: manifest::Span,
    /// Stable's 99th percentile of answer times
    #[arg(long, default_value = "200ms")]
    pub p99: manifest::Span,
    /// Stable's mean confidence, as a fraction of its range
    #[arg(long, default_value_t = 0.85)]
    pub confidence: f64,
    /// Standard deviation of the confidence, as a fraction of its range
    #[arg(long, default_value_t = 0.078)]
    pub confidence_sd: f64,
    /// World `bursts`: error rate of both versions during two of every twenty minutes
    #[arg(long, default_value = "5%", value_parser = share)]
    pub bursts: f64,
    /// Worlds to simulate, each with one cause of trouble: none, bursts, users, slow-proxy, cold-start; or the name of a world
    /// of single requests (`list` shows them)
    #[arg(long, value_delimiter = ',', default_value = "bursts")]
    pub world: Vec<Asked>,
    /// Requests per user, in every world; errors then happen to a few users [default: one request per user; 20 in the world
    /// `users`]
    #[arg(long)]
    pub requests_per_user: Option<f64>,
    /// Share of the users who get all errors, if users make more than one request
    #[arg(long, default_value = "5%", value_parser = share)]
    pub prone: f64,
    /// World `slow-proxy`: for how long in every minute one of two proxies does not answer; it takes new weights as late
    #[arg(long, default_value = "15s")]
    pub silence: manifest::Span,
    /// World `cold-start`: how an equally good canary begins
    #[arg(long, default_value = "p99=x5@0s..3m")]
    pub cold: String,
    /// Recorded traffic to replay, from `serin run --record`: one interval of counts per line, as JSON
    #[arg(long)]
    pub record: Option<PathBuf>,
    /// Interval between two readings of the counters
    #[arg(long, default_value = "1s")]
    pub every: manifest::Span,
    /// Number of threads [default: one per core]
    #[arg(long)]
    pub threads: Option<usize>,
    /// Write charts (SVG) into this directory
    #[arg(long)]
    pub svg: Option<PathBuf>,
    /// Output format
    #[arg(short, long, default_value = "text")]
    pub output: Output,
}

/// The whole answer.
#[derive(Debug, Serialize)]
struct Answer {
    rollout: String,
    seed: u64,
    runs: u64,
    every_ms: u64,
    worlds: Vec<Summary>,
    /// Do shares follow the evidence?
    #[serde(skip)]
    bandit: bool,
    /// Not part of what a seed fixes.
    #[serde(skip)]
    seconds: f64,
    notes: Vec<String>,
}

pub fn simulate(options: &Options) -> Result<ExitCode> {
    let answer = match Worlds::of(&options.world)? {
        Worlds::List => {
            print!("{}", worlds::list());
            return Ok(ExitCode::SUCCESS);
        }
        Worlds::Requests(named) => {
            requests::simulate(options, &named)?;
            return Ok(ExitCode::SUCCESS);
        }
        Worlds::Counts(troubles) => answer(options, &troubles)?,
    };
    match options.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&answer)?),
        Output::Text => print!("{}", show::text(&answer)),
    }
    if let Some(directory) = &options.svg {
        for file in picture::write(&answer, directory)? {
            eprintln!("picture: {}", file.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The rollout that is tried.
fn plan(options: &Options) -> Result<Plan> {
    let file =
        options.file.as_ref().context("--file FILE: name the rollout's file; - reads standard input")?;
    if !(100..=60_000).contains(&options.every.ms()) {
        bail!("--every {}: looks are 100ms to 1m apart", options.every);
    }
    load(file)
}

fn answer(options: &Options, troubles: &[Trouble]) -> Result<Answer> {
    let plan = plan(options)?;
    if options.rate.is_none() && options.record.is_none() {
        bail!("--rate RATE: say how many requests there are over all arms, such as 100, 6000/m or 1000/h");
    }
    let traffic = traffic(options)?;
    let cases = cases::all(options, troubles, &plan, &traffic)?;
    let bar = progress(cases.len() as u64 * options.runs);
    let began = Instant::now();
    let outcomes = all_runs(options, &cases, &bar);
    let seconds = began.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let worlds = cases.iter().zip(&outcomes).map(|(case, runs)| Summary::new(&case.world, runs)).collect();
    Ok(Answer {
        rollout: plan.name.clone(),
        seed: options.seed,
        runs: options.runs,
        every_ms: options.every.ms(),
        worlds,
        bandit: plan.bandit.is_some(),
        seconds,
        notes: notes(options, troubles, &plan, &traffic),
    })
}

fn traffic(options: &Options) -> Result<Traffic> {
    let recorded = match &options.record {
        None => Vec::new(),
        Some(file) => record(file)?,
    };
    #[allow(clippy::cast_precision_loss)] // milliseconds below a year
    let ms = |span: manifest::Span| span.ms() as f64;
    Ok(Traffic {
        // Recorded traffic brings its own rate.
        requests_per_second: options.rate.unwrap_or(1.0),
        error_rate: options.errors,
        latency: Latency { p50_ms: ms(options.p50), p99_ms: ms(options.p99) },
        confidence: (options.confidence, options.confidence_sd),
        bursts: None,
        recorded,
        users: options.requests_per_user.map(|each| users(options, each)),
        slow_proxy_ms: 0,
    })
}

const fn users(options: &Options, requests_each: f64) -> Users {
    Users { requests_each, prone: options.prone }
}

/// Intervals, one per line, as the controller counts them.
pub fn record(file: &Path) -> Result<Vec<Interval>> {
    let text = client::read(file)?;
    let name = file.display();
    let mut intervals: Vec<Interval> = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let number = at + 1;
        let mut reader = serde_json::Deserializer::from_str(line);
        let interval: Interval = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            anyhow!("{name}:{number}: {}: {}; one interval of counts per line", error.path(), error.inner())
        })?;
        if interval.to_ms <= interval.from_ms {
            bail!("{name}:{number}: to_ms must be after from_ms");
        }
        if interval.gap.is_none() {
            intervals.push(interval);
        }
    }
    if intervals.iter().all(|interval| interval.stable.outcomes == 0) {
        bail!("{name} holds no interval in which stable answered; record while there is traffic");
    }
    Ok(intervals)
}

fn progress(runs: u64) -> ProgressBar {
    // Drawn on standard error, and only on a terminal.
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} runs, {per_sec}, {eta} left");
    ProgressBar::new(runs).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// All runs of all worlds. Each run's chance follows from its own number.
fn all_runs(options: &Options, cases: &[Case], bar: &ProgressBar) -> Vec<Vec<Outcome>> {
    let outcomes = in_parallel(options, cases.len() as u64 * options.runs, bar, |number| {
        let case = cases.get(usize::try_from(number / options.runs).ok()?)?;
        let chance = Chance::new(options.seed, number / options.runs, number % options.runs);
        Some(simulate::run(&case.plan, &case.world, chance, options.every.ms()))
    });
    let mut outcomes = outcomes.into_iter().flatten();
    let runs = usize::try_from(options.runs).unwrap_or(usize::MAX);
    cases.iter().map(|_| outcomes.by_ref().take(runs).collect()).collect()
}

/// What comes of each number, on all cores, in the order of the numbers: the order they are done in changes nothing.
fn in_parallel<T: Send>(
    options: &Options,
    all: u64,
    bar: &ProgressBar,
    one: impl Fn(u64) -> T + Sync,
) -> Vec<T> {
    let threads = options.threads.or_else(|| std::thread::available_parallelism().map(usize::from).ok());
    let next = AtomicU64::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.unwrap_or(1).max(1) {
            scope.spawn(|| {
                let mut mine = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= all {
                        break;
                    }
                    mine.push((number, one(number)));
                    bar.inc(1);
                }
                done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(mine);
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, one)| one).collect()
}

fn notes(options: &Options, troubles: &[Trouble], plan: &Plan, traffic: &Traffic) -> Vec<String> {
    let mut notes = vec![format!(
        "a healthy canary may be rolled back in at most {} % of runs, by the plan's alpha",
        show::bare(plan.alpha.gates + plan.alpha.guardrails)
    )];
    notes.extend(cases::notes(options, troubles, traffic));
    if traffic.recorded.is_empty() {
        notes.push("answer times are lognormal; longer by +20% means every one of them".to_owned());
    } else {
        notes.push(format!(
            "rate, errors, times and confidence follow stable's in {} recorded intervals, over and over",
            traffic.recorded.len()
        ));
    }
    if plan.stages.iter().any(|stage| stage.approval) {
        notes.push("stages that await a person's yes get it at once".to_owned());
    }
    for gate in plan.gates.iter().filter(|gate| gate.metric().is_external()) {
        notes.push(format!("gate {} reads a source of its own: it is given values that pass", gate.name));
    }
    notes
}
