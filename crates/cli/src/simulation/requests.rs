//! A rollout in worlds of requests.

use anyhow::{Result, bail};
use manifest::Plan;
use notation::{count, duration};
use serde::Serialize;
use simulate::{Chance, Named, RunResult, WorldResult, horizon_ms, play};

use super::show::share;
use super::worlds::truth;
use super::{Options, in_parallel, plan, progress};
use crate::args::Output;

/// The whole answer.
#[derive(Debug, Serialize)]
pub struct Answer {
    rollout: String,
    seed: u64,
    runs: u64,
    every_ms: u64,
    worlds: Vec<WorldResult>,
    #[serde(skip)]
    named: Vec<&'static Named>,
}

pub fn simulate(options: &Options, named: &[&'static Named]) -> Result<()> {
    let answer = answer(options, named)?;
    match options.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&answer)?),
        Output::Text => print!("{}", text(&answer)),
    }
    Ok(())
}

pub fn answer(options: &Options, named: &[&'static Named]) -> Result<Answer> {
    let plan = plan(options)?;
    possible(options, &plan)?;
    let bar = progress(named.len() as u64 * options.runs);
    let worlds: Vec<WorldResult> = named
        .iter()
        .enumerate()
        .map(|(stream, one)| tried(options, &plan, one, stream as u64, &bar))
        .collect();
    bar.finish_and_clear();
    // What the filter refuses it refuses in every run.
    if let Some(tried) = worlds.iter().find(|tried| tried.refused.is_some()) {
        bail!("{}: {}", tried.world, tried.refused.as_deref().unwrap_or_default());
    }
    Ok(Answer {
        rollout: plan.name.clone(),
        seed: options.seed,
        runs: options.runs,
        every_ms: options.every.ms(),
        worlds,
        named: named.to_vec(),
    })
}

/// What a world of requests brings by itself cannot be asked for beside it.
fn possible(options: &Options, plan: &Plan) -> Result<()> {
    if !options.harm.is_empty() {
        bail!(
            "--harm: a world of requests has its own canary; choose a harmful one (--world list), or leave --harm out"
        );
    }
    if options.record.is_some() {
        bail!("--record: a world of requests has its own traffic; --rate says how much of it");
    }
    if options.svg.is_some() {
        bail!("--svg: there are no pictures of worlds of requests; leave it out");
    }
    if let Some(at) = plan.stages.iter().position(|stage| stage.shadow_ppm > 0) {
        bail!(
            "spec.stages[{at}]: worlds of requests know no copies; try the rollout without its shadow stages"
        );
    }
    Ok(())
}

fn tried(
    options: &Options,
    plan: &Plan,
    named: &Named,
    stream: u64,
    bar: &indicatif::ProgressBar,
) -> WorldResult {
    let mut world = named.world();
    world.rate = options.rate.unwrap_or(world.rate);
    let played: Vec<RunResult> = in_parallel(options, options.runs, bar, |number| {
        let chance = Chance::new(options.seed, stream, number);
        play(plan, &world, named.script, named.gate, chance, options.every.ms(), horizon_ms(plan))
    });
    WorldResult::new(named, &played)
}

pub fn text(answer: &Answer) -> String {
    let Answer { rollout, seed, runs, every_ms, .. } = answer;
    let mut out = format!(
        "{rollout} in worlds of requests: {runs} runs of each, seed {seed}, a look every {every_ms} ms\n"
    );
    for (named, tried) in answer.named.iter().zip(&answer.worlds) {
        let spread = |spread: Option<&simulate::Spread>| {
            spread.map_or(String::new(), |known| {
                format!(", after {} (median; 90 % within {})", duration(known.median), duration(known.p90))
            })
        };
        out += &format!("\n{}: the canary is {}\n  {}\n", named.name, truth(named), named.about);
        for (what, of, seconds) in [
            ("rolled back", &tried.rolled_back, tried.seconds_to_roll_back.as_ref()),
            ("promoted", &tried.promoted, tried.seconds_to_promote.as_ref()),
            ("undecided", &tried.undecided, None),
        ] {
            out += &format!("  {what:11}  {:>19}{}\n", share(of), spread(seconds));
        }
        if let (Some(gate), Some(passes)) = (named.gate, &tried.false_passes) {
            out += &format!("  gate {gate} passed, which is not so, in {}\n", share(passes));
        }
        if let Some((most, n)) = tried.by.iter().max_by_key(|(_, n)| **n) {
            out += &format!("  seen most: {most}, {n} of {} runs\n", tried.runs);
        }
        if let Some(why) = &tried.example {
            out += &format!("  for example: {why}\n");
        }
    }
    #[allow(clippy::cast_precision_loss)] // requests below 2^53
    let requests = answer.worlds.iter().map(|tried| tried.requests).sum::<u64>() as f64;
    out += "\nshares with their 95 % intervals; back: from the canary's first request\n";
    out += "note: errors, times, users and proxies are the world's; scope, overrides and cohorts of the rollout are left out\n";
    out += &format!(
        "note: {} requests, each assigned, followed and counted by the filter's own code\n",
        count(requests)
    );
    out
}
