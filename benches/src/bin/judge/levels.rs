//! Level and power of each test by itself, at the boundary of its null hypothesis, and two broken copies that
//! must fail the same check.

use super::report::{Cell, head, row};
use super::streams::{Errors, Latency, STEP, sample_scores, scores, stream};
use super::table::{betting, fires};
use benches::{Dice, wilson};
use judge::anytime::{
    Better, Claim, Guardrail, HARM_PRIOR, LATE_HARM_PRIOR, NormalMixture, Order, QuantileRatio, RateRatio,
    RatioSums, SampleRatio, StochasticOrder, TailRatio, TailStratum, Trials, quantile_radius,
};
use judge::gate::Watch;

pub const HEIGHT: f64 = 20.0;

pub fn e<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| unreachable!("fixed arguments: {error}"))
}

pub fn cell(streams: u64, mut one: impl FnMut(u64) -> Option<u32>) -> Cell {
    Cell { times: (0..streams).map(&mut one).collect() }
}

pub struct Line<'a> {
    pub test: &'static str,
    pub null: &'static str,
    pub level: Cell,
    pub alternative: &'a str,
    pub power: Cell,
}

pub fn print(line: &Line<'_>) {
    let Line { test, null, level, alternative, power } = line;
    let good = if wilson(level.times.iter().flatten().count(), level.times.len()).0 <= 0.05 {
        "ok"
    } else {
        "FAILS"
    };
    row([*test, null].map(str::to_owned).into_iter().chain([
        level.level(),
        good.to_owned(),
        (*alternative).to_owned(),
        power.delay(),
    ]));
}

fn errors(seed: u64, streams: u64, scenario: Errors, process: impl Fn() -> RateRatio) -> Cell {
    cell(streams, |i| fires(process(), &scenario.sample(&mut stream(seed, scenario.name, i))))
}

pub fn print_all(seed: u64, streams: u64) {
    head(&["test", "null", "level, 95 % interval", "at most 5 %", "alternative", "found: median / p90 s"]);
    b1(seed, streams);
    b2(seed, streams);
    b3_b4(seed, streams);
    b5_to_b8(seed, streams);
    print(&Line {
        test: "B9 betting",
        null: "equal means .85",
        level: betting(seed, streams, 1.0, "b9 null"),
        alternative: "-2 %",
        power: betting(seed, streams / 10, 0.98, "b9 harm"),
    });
    b10(seed, streams);
    super::wholes::clusters(seed, streams);
    super::wholes::families(seed, streams);
    super::wholes::drift(seed, streams);
    super::broken::print(seed, streams);
}

fn b1(seed: u64, streams: u64) {
    let steady = Errors::steady;
    for (null, base) in [("p1 = p0 = .001", 0.001), ("p1 = p0 = .01", 0.01), ("p1 = p0 = .1", 0.1)] {
        let harm = || e(RateRatio::harm(1.0));
        print(&Line {
            test: "B1 harm, r 1",
            null,
            level: errors(seed, streams, steady(null, base, 1.0), harm),
            alternative: "x2",
            power: errors(seed, streams / 4, steady("b1 x2", base, 2.0), harm),
        });
    }
    let ramp = Errors { ramp: true, bursts: true, ..steady("b1 ramp", 0.01, 1.0) };
    print(&Line {
        test: "B1 harm, r 1",
        null: "ramp 1-5-20-50 % with bursts",
        level: errors(seed, streams, ramp, || e(RateRatio::harm(1.0))),
        alternative: "x2 on the same",
        power: errors(seed, streams / 4, Errors { ratio: 2.0, ..ramp }, || e(RateRatio::harm(1.0))),
    });
    for (null, margin) in [("p1 = 1.2 p0", 1.2), ("p1 = 1.5 p0", 1.5), ("p1 = 2 p0", 2.0)] {
        let no_harm = || e(RateRatio::no_harm(margin));
        print(&Line {
            test: "B1 no harm",
            null,
            level: errors(seed, streams, steady(null, 0.01, margin), no_harm),
            alternative: "equal arms",
            power: errors(
                seed,
                streams / 4,
                Errors { seconds: 7200, ..steady("b1 equal", 0.01, 1.0) },
                no_harm,
            ),
        });
    }
    let guard = |rate: f64, name: &str| {
        cell(streams, |i| {
            let sample = Errors::steady("", rate, 1.0).sample(&mut stream(seed, name, i));
            let canary: Vec<Trials> = sample.iter().map(|s| Trials { n: s.n1, k: s.k1 }).collect();
            fires(e(Guardrail::harm(0.02)), &canary)
        })
    };
    print(&Line {
        test: "one-arm guardrail 2 %",
        null: "p = 2 %",
        level: guard(0.02, "guard null"),
        alternative: "p = 4 %",
        power: guard(0.04, "guard harm"),
    });
}

fn b2(seed: u64, streams: u64) {
    let split = |share: f64, name: &str| {
        cell(streams, |i| {
            let mut rng = stream(seed, name, i);
            let counts = |rng: &mut Dice| rng.binomial(1000, share);
            let data: Vec<Vec<u64>> = (0..360).map(|_| counts(&mut rng)).map(|k| vec![k, 1000 - k]).collect();
            fires(e(SampleRatio::new(&[0.05, 0.95], 100.0)), &data)
        })
    };
    print(&Line {
        test: "B2 sample ratio",
        null: "share 5 %",
        level: split(0.05, "b2 null"),
        alternative: "share 5.5 %",
        power: split(0.055, "b2 harm"),
    });
}

fn b3_b4(seed: u64, streams: u64) {
    let stable = scores(1.0);
    let mixture = |claim, margin: f64, factor: f64, name: &str, streams: u64| {
        let canary = scores(factor);
        cell(streams, |i| {
            let data = sample_scores(&canary, &stable, &mut stream(seed, name, i), 360);
            fires(e(NormalMixture::new(claim, Better::Higher, margin, 0.02, 300)), &data)
        })
    };
    print(&Line {
        test: "B3 harm, tau .02",
        null: "equal means",
        level: mixture(Claim::Harm, 0.0, 1.0, "b3 null", streams),
        alternative: "-2 %",
        power: mixture(Claim::Harm, 0.0, 0.98, "b3 harm", streams / 4),
    });
    print(&Line {
        test: "B3 no harm, margin .0085",
        null: "worse by the margin",
        level: mixture(Claim::NoHarm, 0.0085, 0.99, "b3 boundary", streams),
        alternative: "equal means",
        power: mixture(Claim::NoHarm, 0.0085, 1.0, "b3 equal", streams / 4),
    });
    // B4: confidence sequence of the canary's mean leaves the truth (level), or stable's mean (power).
    let law = |factor: f64| {
        let law = scores(factor);
        let mean = (0..200_000).fold((Dice::seeded(7), 0.0), |(mut rng, sum), _| {
            let x = super::streams::score(&law, &mut rng);
            (rng, sum + x)
        });
        (law, mean.1 / 200_000.0)
    };
    let (equal, truth) = law(1.0);
    let (worse, _) = law(0.98);
    let leaves = |law: &super::streams::Alias, name: &str, streams: u64| {
        cell(streams, |i| {
            let mut rng = stream(seed, name, i);
            let mut sums = RatioSums::default();
            (1..=360u32).find_map(|step| {
                for _ in 0..50 {
                    sums.update(super::streams::score(law, &mut rng), 1.0).ok()?;
                }
                let range = (sums.users() >= 500).then(|| sums.interval(0.05, 5000))?.ok()?;
                (truth < range.lo || truth > range.hi).then_some(STEP * step)
            })
        })
    };
    print(&Line {
        test: "B4 asymptotic, burn-in 500",
        null: "true mean .85, two-sided",
        level: leaves(&equal, "b4 null", streams),
        alternative: "-2 %",
        power: leaves(&worse, "b4 harm", streams / 4),
    });
}

fn b5_to_b8(seed: u64, streams: u64) {
    let null = Latency { name: "null", all: 1.0, tail: 1.0 };
    let slow = Latency { name: "slow", all: 1.2, tail: 1.0 };
    let sampled =
        |canary: Latency, name: &str, streams: u64, test: &dyn Fn(&[TailStratum]) -> Option<u32>| {
            let (canary, stable) = (canary.law(), null.law());
            cell(streams, |i| test(&Latency::sample(&canary, &stable, &mut stream(seed, name, i), 360)))
        };
    let order = |s: &[TailStratum]| {
        let mut test = e(StochasticOrder::new(Claim::Harm, Order::Slower, 0.0));
        (1..).zip(s).find_map(|(i, interval)| {
            test.update(interval);
            (test.p_value() <= 0.05).then_some(STEP * i)
        })
    };
    print(&Line {
        test: "B5 band, two samples",
        null: "equal laws",
        level: sampled(null, "b5 null", streams, &order),
        alternative: "all +20 %",
        power: sampled(slow, "b5 harm", streams / 4, &order),
    });
    let leaves = |p: f64, name: &str| {
        cell(streams, |i| {
            let mut rng = stream(seed, name, i);
            let (mut k, mut t) = (0, 0);
            (1..=360u32).find_map(|step| {
                k += rng.binomial(1000, p);
                t += 1000;
                let radius = quantile_radius(t, 0.99, 0.05).ok()?;
                ((k as f64 / t as f64 - 0.99).abs() > radius).then_some(STEP * step)
            })
        })
    };
    print(&Line {
        test: "B6 fixed quantile, p99",
        null: "true p99, two-sided",
        level: leaves(0.99, "b6 null"),
        alternative: "p98.5 taken for p99",
        power: leaves(0.985, "b6 harm"),
    });
    let quantile =
        |claim, shift| move |s: &[TailStratum]| fires(e(QuantileRatio::new(0.99, shift, claim)), s);
    print(&Line {
        test: "B7 p99 harm",
        null: "equal laws",
        level: sampled(null, "b7 null", streams, &quantile(Claim::Harm, 0)),
        alternative: "all +20 %",
        power: sampled(slow, "b7 harm", streams / 8, &quantile(Claim::Harm, 0)),
    });
    // 2^(4/16) = 1.189: the canary's p99 longer by exactly the margin.
    let boundary = Latency { name: "boundary", all: 2f64.powf(0.25), tail: 1.0 };
    print(&Line {
        test: "B7 p99 no harm, margin 4 bins",
        null: "p99 longer by 4 bins",
        level: sampled(boundary, "b7 boundary", streams, &quantile(Claim::NoHarm, 4)),
        alternative: "equal laws",
        power: sampled(null, "b7 equal", streams / 8, &quantile(Claim::NoHarm, 4)),
    });
    let tail = |s: &[TailStratum]| fires(e(TailRatio::harm(1.0)), s);
    print(&Line {
        test: "B8 tail ratio, 5 edges",
        null: "equal laws",
        level: sampled(null, "b8 null", streams, &tail),
        alternative: "all +20 %",
        power: sampled(slow, "b8 harm", streams / 4, &tail),
    });
    let p99 = |s: &[TailStratum]| fires(e(TailRatio::new(1.0, Claim::Harm, &[0.99])), s);
    print(&Line {
        test: "B8 tail ratio, p99 edge",
        null: "equal laws",
        level: sampled(null, "b8 p99 null", streams, &p99),
        alternative: "all +20 %",
        power: sampled(slow, "b8 p99 harm", streams / 4, &p99),
    });
    let no_harm = |s: &[TailStratum]| fires(e(TailRatio::new(2.0, Claim::NoHarm, &[0.99])), s);
    // Tail share above stable's p99 doubled: sigma z shift from 2.326 to 2.054.
    let doubled = Latency { name: "doubled", all: (0.6f64 * (2.326_348 - 2.053_749)).exp(), tail: 1.0 };
    print(&Line {
        test: "B8 no harm, p99 tail x2",
        null: "tail doubled",
        level: sampled(doubled, "b8 boundary", streams, &no_harm),
        alternative: "equal laws",
        power: sampled(null, "b8 equal", streams / 4, &no_harm),
    });
}

fn b10(seed: u64, streams: u64) {
    let null = Errors { seconds: 5400, ..Errors::steady("b10 null", 0.01, 1.0) };
    let late = Errors { seconds: 7200, from: 1800, ..Errors::steady("b10 late", 0.01, 2.0) };
    let test = |scenario: Errors, streams: u64| {
        cell(streams, |i| {
            let mut watch = e(Watch::new(e(RateRatio::harm(1.0)), &HARM_PRIOR, &LATE_HARM_PRIOR));
            let data = scenario.sample(&mut stream(seed, scenario.name, i));
            let time = (1..).zip(&data).find_map(|(step, stratum)| {
                watch.observe(stratum, u64::from(1000 * STEP)).ok()?;
                (watch.log_e() >= HEIGHT.ln()).then_some(STEP * step)
            });
            time.and_then(|t| t.checked_sub(scenario.from))
        })
    };
    print(&Line {
        test: "B10 watch, 90 min",
        null: "equal rates",
        level: test(null, streams),
        alternative: "x2 from minute 30, s after",
        power: test(late, streams / 4),
    });
}

pub fn verdict(cell: &Cell) -> String {
    let low = wilson(cell.times.iter().flatten().count(), cell.times.len()).0;
    if low > 0.05 { "fails, as it must".to_owned() } else { "PASSES, BUT MUST NOT".to_owned() }
}
