//! The side-by-side table: false rollbacks on equal arms and delay for each harm, every method on the same streams.

use super::gates::{self, TEN};
use super::report::{Cell, head, row};
use super::rivals::{self, each_five, kayenta, minutes, rate, values, windows, z_test};
use super::streams::{Errors, Latency, STEP, sample_scores, scores, stream};
use judge::anytime::{
    Better, Bins, BoundedMeans, Claim, EProcess, NormalMixture, Order, RateRatio, StochasticOrder, Stratum,
    TailRatio, TailStratum, quantile_bin,
};
use judge::gate::Gate;
use judge::kayenta::Direction::{Decrease, Either, Increase};

type Method<T> = (&'static str, Box<dyn Fn(&[T]) -> Option<u32>>);

/// First time, in seconds, at which ln M reaches ln 20.
pub fn fires<P: EProcess>(mut process: P, stream: &[P::Observation]) -> Option<u32> {
    (1..).zip(stream).find_map(|(i, interval)| {
        process.observe(interval).ok()?;
        (process.log_e() >= 20f64.ln()).then_some(STEP * i)
    })
}

/// First time, in seconds, at which a gate proves harm at the level of 5 %.
pub fn harmed<G: Gate, T>(
    mut gate: G,
    stream: &[T],
    observe: impl Fn(&mut G, &T) -> Result<(), judge::JudgeError>,
) -> Option<u32> {
    (1..).zip(stream).find_map(|(i, interval)| {
        observe(&mut gate, interval).ok()?;
        (gate.answers().harm >= 20f64.ln()).then_some(STEP * i)
    })
}

fn run<T>(methods: &[Method<T>], streams: u64, mut sample: impl FnMut(u64) -> Vec<T>) -> Vec<Cell> {
    let mut cells: Vec<Cell> = methods.iter().map(|_| Cell { times: vec![] }).collect();
    for index in 0..streams {
        let data = sample(index);
        for (cell, (_, method)) in cells.iter_mut().zip(methods) {
            cell.times.push(method(&data));
        }
    }
    cells
}

fn print<T>(title: &str, methods: &[Method<T>], columns: &[(String, bool, Vec<Cell>)]) {
    println!("\n**{title}**\n");
    let heads: Vec<&str> = std::iter::once("method").chain(columns.iter().map(|c| c.0.as_str())).collect();
    head(&heads);
    for (i, (name, _)) in methods.iter().enumerate() {
        let cells =
            columns.iter().map(|(_, null, cells)| if *null { cells[i].level() } else { cells[i].delay() });
        row(std::iter::once((*name).to_owned()).chain(cells));
    }
}

fn e<T, E>(result: Result<T, E>) -> T
where
    E: std::fmt::Display,
{
    result.unwrap_or_else(|error| unreachable!("fixed arguments: {error}"))
}

fn error_methods() -> Vec<Method<Stratum>> {
    let above = |limit: f64| move |s: &Stratum| rate(s.k1, s.n1) > limit;
    let relative = |s: &Stratum| rate(s.k1, s.n1) > 1.5 * rate(s.k0, s.n0);
    let kayenta_errors = |direction, looks: fn() -> Box<dyn Iterator<Item = usize>>| {
        move |s: &[Stratum]| {
            let m = minutes(s);
            let control: Vec<f64> = m.iter().map(|s| rate(s.k0, s.n0)).collect();
            let experiment: Vec<f64> = m.iter().map(|s| rate(s.k1, s.n1)).collect();
            // In percent: Kayenta's root finding is blind at the scale of fractions.
            let scaled = |v: Vec<f64>| v.into_iter().map(|x| 100.0 * x).collect::<Vec<_>>();
            kayenta(&scaled(control), &scaled(experiment), direction, None, looks())
        }
    };
    vec![
        (
            "threshold 2 % per 1 min, failureLimit 0",
            Box::new(move |s| windows(&minutes(s), 1, 0, above(0.02))),
        ),
        (
            "threshold 2 % per 1 min, failureLimit 3",
            Box::new(move |s| windows(&minutes(s), 1, 3, above(0.02))),
        ),
        (
            "threshold 2 % per 1 min, 5 failed checks (Flagger)",
            Box::new(move |s| windows(&minutes(s), 1, 4, above(0.02))),
        ),
        (
            "relative > 1.5x stable per 1 min, failureLimit 0",
            Box::new(move |s| windows(&minutes(s), 1, 0, relative)),
        ),
        (
            "relative > 1.5x stable per 1 min, failureLimit 3",
            Box::new(move |s| windows(&minutes(s), 1, 3, relative)),
        ),
        (
            "threshold 2 % per 5 min window each 1 min",
            Box::new(move |s| windows(&minutes(s), 5, 0, above(0.02))),
        ),
        ("z-test p < .05 peeked each 1 min", Box::new(|s| z_test(&minutes(s), true))),
        ("z-test p < .05 once at the end", Box::new(|s| z_test(&minutes(s), false))),
        (
            "Kayenta growing, judged each 5 min, increase",
            Box::new(kayenta_errors(Increase, || Box::new(each_five()))),
        ),
        (
            "Kayenta growing, each 1 min from 5 min, increase",
            Box::new(kayenta_errors(Increase, || Box::new(5..=60))),
        ),
        ("Kayenta once at 60 min", Box::new(kayenta_errors(Increase, || Box::new(std::iter::once(60))))),
        ("Kayenta 5 min, direction either", Box::new(kayenta_errors(Either, || Box::new(each_five())))),
        ("ours: B1 alone, each 10 s", Box::new(|s| fires(e(RateRatio::harm(1.0)), s))),
        (
            "**ours: the gate, each 10 s**",
            Box::new(|s| harmed(gates::errors(1.0), s, |gate, x| gate.observe(*x, TEN))),
        ),
        (
            "**ours: the gate with `harm: 1.2x`**",
            Box::new(|s| harmed(gates::errors(1.2), s, |gate, x| gate.observe(*x, TEN))),
        ),
    ]
}

pub fn errors(seed: u64, streams: u64) {
    let bursts = Errors { bursts: true, ..Errors::steady("A/A 1 % with bursts", 0.01, 1.0) };
    let ramp =
        Errors { ramp: true, bursts: true, ..Errors::steady("A/A ramp 1-5-20-50 % with bursts", 0.01, 1.0) };
    let late =
        Errors { from: 1800, seconds: 7200, ..Errors::steady("x2 from minute 30 (s after)", 0.01, 2.0) };
    let between =
        Errors { from: 2100, seconds: 7200, ..Errors::steady("x2 from minute 35 (s after)", 0.01, 2.0) };
    let scenarios = [
        Errors::steady("A/A 1 %", 0.01, 1.0),
        bursts,
        ramp,
        Errors::steady("A/A 0.1 %", 0.001, 1.0),
        Errors::steady("1 -> 1.5 %", 0.01, 1.5),
        Errors::steady("1 -> 2 %", 0.01, 2.0),
        Errors::steady("1 -> 5 %", 0.01, 5.0),
        Errors::steady("0.1 -> 0.5 %", 0.001, 5.0),
        late,
        between,
    ];
    let methods = error_methods();
    let columns: Vec<_> = scenarios
        .iter()
        .map(|scenario| {
            let mut cells = run(&methods, streams, |i| scenario.sample(&mut stream(seed, scenario.name, i)));
            for time in cells.iter_mut().flat_map(|c| &mut c.times) {
                // Delay counts from the change; an alarm before it is a false one and counts as none.
                *time = time.and_then(|t| t.checked_sub(scenario.from));
            }
            (scenario.name.to_owned(), scenario.ratio == 1.0, cells)
        })
        .collect();
    print("Error rate", &methods, &columns);
}

fn p99(minute: &[TailStratum], canary: bool) -> f64 {
    let mut all = Bins::new();
    for interval in minute {
        for (bin, count) in if canary { &interval.canary } else { &interval.stable } {
            *all.entry(*bin).or_default() += count;
        }
    }
    quantile_bin(&all, 0.99).map_or(f64::NAN, |bin| 2f64.powf((f64::from(bin) - 0.5) / 16.0))
}

fn latency_methods() -> Vec<Method<TailStratum>> {
    let series = |s: &[TailStratum], canary: bool| -> Vec<f64> {
        s.chunks(rivals::MINUTE).map(|m| p99(m, canary)).collect()
    };
    let known = 50.0 * (0.6f64 * 2.326_348).exp();
    let absolute = move |factor: f64, limit: usize| {
        move |s: &[TailStratum]| values(series(s, true).into_iter().map(|v| v > factor * known), limit)
    };
    let kayenta_p99 = move |allowed, once: bool| {
        move |s: &[TailStratum]| {
            let (control, experiment) = (series(s, false), series(s, true));
            let looks: Box<dyn Iterator<Item = usize>> =
                if once { Box::new(std::iter::once(60)) } else { Box::new(each_five()) };
            kayenta(&control, &experiment, Increase, allowed, looks)
        }
    };
    let order = |s: &[TailStratum]| {
        let mut test = e(StochasticOrder::new(Claim::Harm, Order::Slower, 0.0));
        (1..).zip(s.chunks(rivals::MINUTE)).find_map(|(i, minute)| {
            minute.iter().for_each(|interval| test.update(interval));
            (test.p_value() <= 0.05).then_some(60 * i)
        })
    };
    vec![
        ("p99 > 1.2x known base per 1 min, failureLimit 0", Box::new(absolute(1.2, 0))),
        ("p99 > 1.2x known base per 1 min, failureLimit 3", Box::new(absolute(1.2, 3))),
        ("p99 > 1.1x known base per 1 min, 5 failed (Flagger)", Box::new(absolute(1.1, 4))),
        (
            "p99 > 1.1x stable per 1 min, failureLimit 3",
            Box::new(move |s| {
                let pairs = series(s, true).into_iter().zip(series(s, false));
                values(pairs.map(|(c, b)| c > 1.1 * b), 3)
            }),
        ),
        ("Kayenta growing, each 5 min, p99 per min", Box::new(kayenta_p99(None, false))),
        ("Kayenta once at 60 min", Box::new(kayenta_p99(None, true))),
        ("Kayenta each 5 min, allowedIncrease 1.1", Box::new(kayenta_p99(Some(1.1), false))),
        ("ours: B8 alone, 5 edges, each 10 s", Box::new(|s| fires(e(TailRatio::harm(1.0)), s))),
        (
            "**ours: the gate, each 10 s**",
            Box::new(|s| harmed(gates::latency(0), s, |gate, x| gate.observe(x, TEN))),
        ),
        (
            "**ours: the gate with `harm: 1.04x`**",
            Box::new(|s| harmed(gates::latency(1), s, |gate, x| gate.observe(x, TEN))),
        ),
        ("**ours: B5 distribution band, each 60 s**", Box::new(order)),
    ]
}

pub fn latency(seed: u64, streams: u64) {
    let scenario = |name, all, tail| Latency { name, all, tail };
    let scenarios = [
        scenario("A/A", 1.0, 1.0),
        scenario("all +10 %", 1.1, 1.0),
        scenario("all +20 %", 1.2, 1.0),
        scenario("tail > p90 +20 %", 1.0, 1.2),
        scenario("tail > p90 +50 %", 1.0, 1.5),
    ];
    let methods = latency_methods();
    let stable = scenarios[0].law();
    let columns: Vec<_> = scenarios
        .iter()
        .map(|s| {
            let canary = s.law();
            let cells = run(&methods, streams, |i| {
                Latency::sample(&canary, &stable, &mut stream(seed, s.name, i), 360)
            });
            (s.name.to_owned(), s.name == "A/A", cells)
        })
        .collect();
    print("Latency p99 (lognormal, median 50 ms, sigma .6; bins of 4.4 %)", &methods, &columns);
}

type Scores = judge::anytime::ScoreStratum;

fn score_methods() -> Vec<Method<Scores>> {
    let mean =
        |s: &[Scores], canary: bool| {
            let (sum, n) = s.iter().fold((0.0, 0), |(sum, n), i| {
                if canary { (sum + i.sum1, n + i.n1) } else { (sum + i.sum0, n + i.n0) }
            });
            sum / n as f64
        };
    let series = move |s: &[Scores], canary: bool| -> Vec<f64> {
        s.chunks(rivals::MINUTE).map(|m| mean(m, canary)).collect()
    };
    let absolute = move |limit: usize| {
        move |s: &[Scores]| values(series(s, true).into_iter().map(|v| v < 0.99 * 0.85), limit)
    };
    let kayenta_mean = move |allowed, once: bool| {
        move |s: &[Scores]| {
            let looks: Box<dyn Iterator<Item = usize>> =
                if once { Box::new(std::iter::once(60)) } else { Box::new(each_five()) };
            kayenta(&series(s, false), &series(s, true), Decrease, allowed, looks)
        }
    };
    let mixture = || e(NormalMixture::new(Claim::Harm, Better::Higher, 0.0, 0.02, 300));
    vec![
        ("mean < 0.99x known base per 1 min, failureLimit 0", Box::new(absolute(0))),
        ("mean < 0.99x known base per 1 min, failureLimit 3", Box::new(absolute(3))),
        (
            "mean < 0.99x stable per 1 min, failureLimit 3",
            Box::new(move |s| {
                let pairs = series(s, true).into_iter().zip(series(s, false));
                values(pairs.map(|(c, b)| c < 0.99 * b), 3)
            }),
        ),
        ("Kayenta growing, each 5 min, decrease", Box::new(kayenta_mean(None, false))),
        ("Kayenta once at 60 min", Box::new(kayenta_mean(None, true))),
        ("Kayenta each 5 min, allowedDecrease .99", Box::new(kayenta_mean(Some(0.99), false))),
        ("ours: B3 normal mixture alone, tau .02, each 10 s", Box::new(move |s| fires(mixture(), s))),
        (
            "**ours: the gate, each 10 s**",
            Box::new(|s| harmed(gates::confidence(), s, |gate, x| gate.observe(x, TEN))),
        ),
    ]
}

pub fn confidence(seed: u64, streams: u64) {
    let methods = score_methods();
    let stable = scores(1.0);
    let factors = [("A/A", 1.0), ("-1 %", 0.99), ("-2 %", 0.98), ("-5 %", 0.95)];
    let columns: Vec<_> = factors
        .iter()
        .map(|(name, factor)| {
            let canary = scores(*factor);
            let cells =
                run(&methods, streams, |i| sample_scores(&canary, &stable, &mut stream(seed, name, i), 360));
            ((*name).to_owned(), *factor == 1.0, cells)
        })
        .collect();
    print("Mean confidence (Beta, mean .85, sd .078)", &methods, &columns);
}

/// B9 on raw scores.
pub fn betting(seed: u64, streams: u64, factor: f64, name: &str) -> Cell {
    let (canary, stable) = (scores(factor), scores(1.0));
    let one = |index| {
        let mut rng = stream(seed, name, index);
        let mut test = e(BoundedMeans::new(Claim::Harm, Better::Higher, 0.0, 64));
        (1..=360u32).find_map(|step| {
            let n1 = rng.binomial(1000, 0.05);
            let mut draw = |law, n| (0..n).map(|_| super::streams::score(law, &mut rng)).collect::<Vec<_>>();
            let (a, b) = (draw(&canary, n1), draw(&stable, 1000 - n1));
            test.update(&a, &b).ok()?;
            (test.max_log_e() >= 20f64.ln()).then_some(STEP * step)
        })
    };
    Cell { times: (0..streams).map(one).collect() }
}
