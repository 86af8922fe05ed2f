//! What a tolerance costs and what it saves: how often is a version that differs a little, always by the same part, rolled
//! back within a day, and how soon is a bad one found? `cargo xtask bench tolerance [RUNS] [SEED]`
//!
//! One gate of three hard ones (as in the default preset), so it alone must reach 3/0.04. Each stream of counts is
//! judged by the gates of all tolerances at once. 100 requests a second; looks every 10 s for an hour, then every minute.

use benches::{Dice, Law, argument, quantile, seed_of};
use judge::JudgeError;
use judge::anytime::{Better, Bins, Scale, ScoreStratum, Stratum, TailStratum};
use judge::classical::Margin;
use judge::gate::{Gate, RateGate, RateRules, ScoreGate, ScoreRules, Span, TailGate, TailRules};

const PER_SECOND: u64 = 100;
const HEIGHT: f64 = 3.0 / 0.04;
const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// What is counted, and how stable does.
#[derive(Clone, Copy)]
enum What {
    /// A share of requests: errors, or overdue ones.
    Rate(f64),
    /// Lognormal answer times, median 50 ms, sigma 0.6.
    Latency,
    /// Scores of a Beta law, mean 0.85, standard deviation 0.078, in a range from 0 to 1.
    Confidence,
}

/// One column: where harm begins.
struct Tolerance {
    name: &'static str,
    /// A factor; for means the part that may be lost.
    harm: f64,
}

const fn tolerance(name: &'static str, harm: f64) -> Tolerance {
    Tolerance { name, harm }
}

const RATES: [Tolerance; 6] = [
    tolerance("1x", 1.0),
    tolerance("1.05x", 1.05),
    tolerance("1.1x", 1.1),
    tolerance("1.15x", 1.15),
    tolerance("1.2x", 1.2),
    tolerance("1.25x", 1.25),
];
/// Whole bins of 4.4 %.
const TIMES: [Tolerance; 6] = [
    tolerance("1x", 1.0),
    tolerance("1.04x", 1.04),
    tolerance("1.09x", 1.09),
    tolerance("1.13x", 1.13),
    tolerance("1.18x", 1.18),
    tolerance("1.24x", 1.24),
];
const MEANS: [Tolerance; 4] =
    [tolerance("0%", 0.0), tolerance("0.5%", 0.005), tolerance("1%", 0.01), tolerance("2%", 0.02)];

/// One row: what the canary differs by, and its share.
struct World {
    what: What,
    /// Times as many errors, times as long, or the part of the mean that is lost.
    by: f64,
    share: f64,
    seconds: u64,
    /// Is the control an arm as large as the canary, rather than all of stable's traffic?
    small_control: bool,
}

enum Judge {
    Rate(RateGate),
    Tail(TailGate),
    Score(ScoreGate),
}

impl Judge {
    fn new(what: What, harm: f64) -> Result<Self, JudgeError> {
        Ok(match what {
            What::Rate(_) => Self::Rate(RateGate::new(RateRules {
                harm,
                harm_points: 0.0,
                margin: 2.0,
                margin_points: 0.0,
                ignore_below: 0.0,
                pass_below: 0.0,
            })?),
            What::Latency => Self::Tail(TailGate::new(TailRules {
                harm_bins: (16.0 * harm.log2()).ceil() as u16,
                margin_bins: 5,
                late: false,
                more_beyond: 1.5,
                tail: 0.01,
                top: i32::from(tally::LATENCY_TOP),
            })?),
            What::Confidence => Self::Score(ScoreGate::new(ScoreRules {
                scale: Scale { min: 0.0, max: 1.0, better: Better::Higher },
                harm: Margin::Relative(harm),
                margin: Margin::Relative(0.02),
                late: false,
            })?),
        })
    }

    fn found(&self) -> bool {
        let gate: &dyn Gate = match self {
            Self::Rate(gate) => gate,
            Self::Tail(gate) => gate,
            Self::Score(gate) => gate,
        };
        gate.answers().harm >= HEIGHT.ln()
    }
}

/// Draws an interval of both arms.
struct Source {
    what: What,
    by: f64,
    stable: Option<Law>,
    canary: Option<Law>,
}

enum Counts {
    Rate(Stratum),
    Tail(TailStratum),
    Score(ScoreStratum),
}

impl Source {
    fn new(world: &World) -> Self {
        let law = |by: f64| match world.what {
            What::Rate(_) => None,
            What::Latency => Some(Law::times(by, 1.0, 18)),
            What::Confidence => Some(Law::scores(by)),
        };
        let (one, by) = match world.what {
            What::Confidence => (1.0, 1.0 - world.by),
            _ => (1.0, world.by),
        };
        Self { what: world.what, by: world.by, stable: law(one), canary: law(by) }
    }

    fn draw(&self, dice: &mut Dice, n1: u64, n0: u64) -> Counts {
        let times = |law: &Option<Law>, dice: &mut Dice, n: u64| {
            let mut bins = Bins::new();
            for _ in 0..n {
                let bin = law.as_ref().map_or(0, |law| law.draw(dice));
                *bins.entry(i32::from(bin)).or_default() += 1;
            }
            bins
        };
        let sums = |law: &Option<Law>, dice: &mut Dice, n: u64| {
            let scores =
                (0..n).map(|_| (f64::from(law.as_ref().map_or(0, |law| law.draw(dice))) + 0.5) / 1000.0);
            scores.fold((0.0, 0.0), |(sum, squares), score| (sum + score, squares + score * score))
        };
        match self.what {
            What::Rate(base) => {
                Counts::Rate(Stratum::new(n1, dice.binomial(n1, base * self.by), n0, dice.binomial(n0, base)))
            }
            What::Latency => Counts::Tail(TailStratum {
                canary: times(&self.canary, dice, n1),
                stable: times(&self.stable, dice, n0),
            }),
            What::Confidence => {
                let (sum1, squares1) = sums(&self.canary, dice, n1);
                let (sum0, squares0) = sums(&self.stable, dice, n0);
                Counts::Score(ScoreStratum { n1, sum1, squares1, n0, sum0, squares0 })
            }
        }
    }
}

/// When each tolerance rolled the canary back, in seconds.
fn run(world: &World, tolerances: &[Tolerance], seed: u64) -> Result<Vec<Option<u64>>, JudgeError> {
    let source = Source::new(world);
    let mut dice = Dice::seeded(seed);
    let mut judges: Vec<Judge> = tolerances
        .iter()
        .map(|tolerance| Judge::new(world.what, tolerance.harm))
        .collect::<Result<_, _>>()?;
    let mut found: Vec<Option<u64>> = vec![None; judges.len()];
    let mut at = 0;
    while at < world.seconds && found.iter().any(Option::is_none) {
        let step = if at < HOUR { 10 } else { 60 };
        at += step;
        let n1 = dice.binomial(step * PER_SECOND, world.share);
        let n0 = if world.small_control { n1 } else { step * PER_SECOND - n1 };
        let counts = source.draw(&mut dice, n1, n0);
        let span = Span { ms: step * 1_000, of_stage: false };
        for (judge, found) in judges.iter_mut().zip(&mut found).filter(|(_, found)| found.is_none()) {
            match (&mut *judge, &counts) {
                (Judge::Rate(gate), Counts::Rate(both)) => gate.observe(*both, span)?,
                (Judge::Tail(gate), Counts::Tail(both)) => gate.observe(both, span)?,
                (Judge::Score(gate), Counts::Score(both)) => gate.observe(both, span)?,
                _ => {}
            }
            *found = judge.found().then_some(at);
        }
    }
    Ok(found)
}

/// Runs of one row on all cores, a column for each tolerance: when it was rolled back.
fn runs(world: &World, tolerances: &[Tolerance], n: u64, seed: u64) -> Vec<Vec<u64>> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let part = |thread: u64| {
        let mine = (0..n).filter(move |index| index % threads == thread);
        mine.filter_map(|index| run(world, tolerances, seed_of(seed, index)).ok()).collect::<Vec<_>>()
    };
    let all = std::thread::scope(|scope| {
        let working: Vec<_> = (0..threads).map(|thread| scope.spawn(move || part(thread))).collect();
        working.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect::<Vec<_>>()
    });
    (0..tolerances.len())
        .map(|column| {
            let mut times: Vec<u64> =
                all.iter().filter_map(|row| row.get(column).copied().flatten()).collect();
            times.sort_unstable();
            times
        })
        .collect()
}

fn head(first: &str, tolerances: &[Tolerance]) {
    let names: Vec<&str> = tolerances.iter().map(|tolerance| tolerance.name).collect();
    println!("| {first} | {} |", names.join(" | "));
    println!("| --- |{}", " --- |".repeat(names.len()));
}

fn table(name: &str, what: What, tolerances: &[Tolerance], little: &[f64], much: &[f64], n: u64, seed: u64) {
    let differs = |by: f64| match what {
        What::Confidence => format!("-{}%", 100.0 * by),
        _ => format!("x{by}"),
    };
    println!("\n**{name}** ({n} runs a cell)\n");
    println!("Within the margin, rolled back within 1 h / 24 h, % of runs:\n");
    head("canary, share", tolerances);
    for (by, share) in little.iter().flat_map(|&by| [0.01, 0.05, 0.25, 0.5].map(|share| (by, share))) {
        let world = World { what, by, share, seconds: DAY, small_control: false };
        let cells = runs(&world, tolerances, n, seed).into_iter().map(|times| {
            let percent = |k: usize| 100.0 * k as f64 / n as f64;
            let soon = times.iter().filter(|at| **at <= HOUR).count();
            format!("{:.1} / {:.1}", percent(soon), percent(times.len()))
        });
        println!("| {}, {}% | {} |", differs(by), 100.0 * share, cells.collect::<Vec<_>>().join(" | "));
    }
    println!("\nBad, found within 4 h at 5 %, median / 90 % s (share found, if not all):\n");
    head("canary, control", tolerances);
    for (by, small_control) in much.iter().flat_map(|&by| [false, true].map(|small| (by, small))) {
        let world = World { what, by, share: 0.05, seconds: 4 * HOUR, small_control };
        let cells = runs(&world, tolerances, n, seed).into_iter().map(|times| {
            let (half, most) = (quantile(&times, n, 0.5), quantile(&times, n, 0.9));
            let all = if times.len() as u64 == n {
                String::new()
            } else {
                format!(" ({:.0}%)", 100.0 * times.len() as f64 / n as f64)
            };
            format!("{half} / {most}{all}")
        });
        let control = if small_control { "baseline alone" } else { "stable and baseline" };
        println!("| {}, {control} | {} |", differs(by), cells.collect::<Vec<_>>().join(" | "));
    }
}

fn main() {
    let (n, seed) = (argument(1, 400), argument(2, 1));
    println!(
        "Seed {seed}; {PER_SECOND} requests a second; one of three hard gates at alpha 0.04: evidence of \
         {HEIGHT}"
    );
    let (little, much) = ([1.02, 1.05, 1.1], [1.2, 1.5, 2.0]);
    for (name, base) in [
        ("error_rate or overdue, 0.1 % of stable", 0.001),
        ("error_rate, 1 % of stable", 0.01),
        ("error_rate, 5 % of stable", 0.05),
    ] {
        table(name, What::Rate(base), &RATES, &little, &much, n, seed);
    }
    // Histograms take longer.
    table("latency_p99, every time longer", What::Latency, &TIMES, &little, &much, n.div_ceil(4), seed);
    let (little, much) = ([0.002, 0.005, 0.01], [0.02, 0.03, 0.05]);
    table("confidence_mean", What::Confidence, &MEANS, &little, &much, n.div_ceil(4), seed);
}
