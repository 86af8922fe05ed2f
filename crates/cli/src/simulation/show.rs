//! What came of the runs, for people.

use simulate::{Share, Spread};

use super::Answer;
use crate::planning::{count, time};

pub fn text(answer: &Answer) -> String {
    let mut out = format!(
        "{}: {} runs of each world, seed {}, a look every {} ms\n\n",
        answer.rollout, answer.runs, answer.seed, answer.every_ms
    );
    let width = answer.worlds.iter().map(|world| world.world.len()).max().unwrap_or(0);
    out += &format!(
        "{:width$}  {:>19}  {:>19}  {:>19}  {:>17}  {:>15}  {:>12}\n",
        "canary", "promoted", "rolled back", "held", "stopped after", "canary requests", "extra errors"
    );
    for world in &answer.worlds {
        out += &format!(
            "{:width$}  {:>19}  {:>19}  {:>19}  {:>17}  {:>15}  {:>12}\n",
            world.world,
            share(&world.promoted),
            share(&world.rolled_back),
            share(&world.held),
            two(world.seconds_to_stop.as_ref(), time),
            two(world.requests_to_stop.as_ref(), count),
            if world.healthy { "-".to_owned() } else { two(world.extra_errors.as_ref(), count) },
        );
    }
    out +=
        "\nshares with their 95 % intervals; times, requests and errors: median / 90 % of the stopped runs\n";
    for world in &answer.worlds {
        if let Some(spread) = &world.seconds_to_promote
            && world.healthy
        {
            out += &format!(
                "{}: promoted after {} (median; 95 % interval {} to {}), 90 % within {}\n",
                world.world,
                time(spread.median),
                time(spread.median_lo),
                time(spread.median_hi),
                time(spread.p90)
            );
        }
        if answer.bandit {
            out += &format!(
                "{}: the canary got {} % of all requests, {:.3} % of all failed\n",
                world.world,
                percent(world.exposed),
                100.0 * world.failed
            );
        }
        if !world.ends.is_empty() {
            let ends: Vec<String> = world.ends.iter().map(|(end, n)| format!("{end} {n}")).collect();
            out += &format!("{}: not promoted by {}\n", world.world, ends.join(", "));
        }
    }
    for world in answer.worlds.iter().filter(|world| world.over_before > 0) {
        out += &format!("note: {}: {} runs were over before it began\n", world.world, world.over_before);
    }
    for note in &answer.notes {
        out += &format!("note: {note}\n");
    }
    let (runs, looks) = answer.worlds.iter().fold((0, 0), |(r, l), world| (r + world.runs, l + world.looks));
    #[allow(clippy::cast_precision_loss)] // runs and looks
    let per_second = |n: u64| n as f64 / answer.seconds.max(1e-9);
    out += &format!(
        "{runs} runs in {:.1} s: {:.1} runs a second, {} looks a second\n",
        answer.seconds,
        per_second(runs),
        count(per_second(looks))
    );
    out
}

/// A share in percent, to a tenth.
pub fn percent(share: f64) -> String {
    let text = format!("{:.1}", 100.0 * share);
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

pub fn share(share: &Share) -> String {
    format!("{} % [{}, {}]", percent(share.share), percent(share.lo), percent(share.hi))
}

fn two(spread: Option<&Spread>, show: impl Fn(f64) -> String) -> String {
    spread.map_or("-".to_owned(), |spread| format!("{} / {}", show(spread.median), show(spread.p90)))
}
