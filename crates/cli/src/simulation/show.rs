//! The result of the runs, for people.

use notation::{count, decimal, duration, percent, seconds};
use simulate::{Share, Spread};

use super::Answer;
use crate::table::{Side, columns};

pub fn text(answer: &Answer) -> String {
    let mut out = format!(
        "{}: {} runs of each world, seed {}, a look every {} ms\n\n",
        answer.rollout, answer.runs, answer.seed, answer.every_ms
    );
    out += &worlds(answer);
    out +=
        "\nshares with their 95 % intervals; times, requests and errors: median / 90 % of the stopped runs\n";
    for world in &answer.worlds {
        if let Some(spread) = &world.seconds_to_promote
            && world.healthy
        {
            out += &format!(
                "{}: promoted after {} (median; 95 % interval {} to {}), 90 % within {}\n",
                world.world,
                duration(spread.median),
                duration(spread.median_lo),
                duration(spread.median_hi),
                duration(spread.p90)
            );
        }
        if answer.bandit {
            out += &format!(
                "{}: the canary got {} of all requests, {} of all failed\n",
                world.world,
                percent(world.exposed, 1),
                percent(world.failed, 3)
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
        "{runs} runs in {}: {:.1} runs a second, {} looks a second\n",
        seconds(answer.seconds),
        per_second(runs),
        count(per_second(looks))
    );
    out
}

/// A line for each world.
fn worlds(answer: &Answer) -> String {
    let head =
        ["canary", "promoted", "rolled back", "held", "stopped after", "canary requests", "extra errors"];
    let rows = answer.worlds.iter().map(|world| {
        [
            world.world.clone(),
            share(&world.promoted),
            share(&world.rolled_back),
            share(&world.held),
            two(world.seconds_to_stop.as_ref(), duration),
            two(world.requests_to_stop.as_ref(), count),
            if world.healthy { "-".to_owned() } else { two(world.extra_errors.as_ref(), count) },
        ]
    });
    let sides = [Side::Left, Side::Right, Side::Right, Side::Right, Side::Right, Side::Right, Side::Right];
    columns(sides, [head.map(str::to_owned)].into_iter().chain(rows))
}

/// A share in percent, to a tenth, without its sign.
pub fn bare(share: f64) -> String {
    decimal(100.0 * share, 1)
}

pub fn share(share: &Share) -> String {
    format!("{} [{}, {}]", percent(share.share, 1), bare(share.lo), bare(share.hi))
}

fn two(spread: Option<&Spread>, show: impl Fn(f64) -> String) -> String {
    spread.map_or("-".to_owned(), |spread| format!("{} / {}", show(spread.median), show(spread.p90)))
}
