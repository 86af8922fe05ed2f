//! The gates that decide in a run, as `rollout` makes them, and their level and power for both answers.

use super::levels::{HEIGHT, Line, cell, e, print};
use super::report::{Cell, head};
use super::streams::{Errors, Latency, STEP, sample_scores, scores, stream};
use super::table::harmed;
use judge::anytime::{Scale, ScoreStratum, Stratum, Trials};
use judge::classical::Margin;
use judge::gate::{
    Gate, Limits, RateGate, RateLimit, RateRules, ScoreGate, ScoreRules, Span, TailGate, TailRules,
};

/// An interval of ten seconds.
pub const TEN: Span = Span { ms: 1000 * STEP as u64, of_stage: true };

const RATE: RateRules = RateRules {
    harm: 1.0,
    harm_points: 0.0,
    margin: 1.5,
    margin_points: 0.0,
    ignore_below: 0.0,
    pass_below: 0.0,
};

/// Errors against stable's, harm from `harm` times as many.
pub fn errors(harm: f64) -> RateGate {
    e(RateGate::new(RateRules { harm, ..RATE }))
}

/// Answer times against stable's, harm from so many bins; margin 25 %.
pub fn latency(harm_bins: u16) -> TailGate {
    e(TailGate::new(TailRules {
        harm_bins,
        margin_bins: 5,
        late: false,
        more_beyond: 1.5,
        tail: 0.01,
        top: 1 << 20,
    }))
}

/// Mean confidence against stable's; harm is any loss, the margin 1 %.
pub fn confidence() -> ScoreGate {
    let (harm, margin) = (Margin::Relative(0.0), Margin::Relative(0.01));
    e(ScoreGate::new(ScoreRules { scale: Scale::UNIT, harm, margin, late: false }))
}

/// First time at which a gate proves that there is no harm.
fn proven<G: Gate, T>(
    mut gate: G,
    stream: &[T],
    observe: impl Fn(&mut G, &T) -> Result<(), judge::JudgeError>,
) -> Option<u32> {
    (1..).zip(stream).find_map(|(i, interval)| {
        observe(&mut gate, interval).ok()?;
        (gate.answers().no_harm >= HEIGHT.ln()).then_some(STEP * i)
    })
}

fn rates(seed: u64, streams: u64, scenario: Errors, one: impl Fn(&[Stratum]) -> Option<u32>) -> Cell {
    cell(streams, |i| one(&scenario.sample(&mut stream(seed, scenario.name, i))))
}

/// Both answers of each gate at the boundary of its null, and how soon they come.
pub fn print_all(seed: u64, streams: u64) {
    println!(
        "\n**The gates that decide in a run: both answers, alpha 5 %, looks every 10 s for an hour unless said**\n"
    );
    head(&[
        "gate and claim",
        "null",
        "level, 95 % interval",
        "at most 5 %",
        "truth",
        "found: median / p90 s",
    ]);
    error_gates(seed, streams);
    points(seed, streams);
    others(seed, streams);
}

fn error_gates(seed: u64, streams: u64) {
    let see = |gate: &mut RateGate, x: &Stratum| gate.observe(*x, TEN);
    let long = Errors { seconds: 14_400, ..Errors::steady("gate null, 4 h", 0.01, 1.0) };
    let late = Errors { seconds: 9000, from: 5400, ..Errors::steady("gate late", 0.01, 2.0) };
    print(&Line {
        test: "errors: harm",
        null: "equal rates, 4 hours",
        level: rates(seed, streams, long, |s| harmed(errors(1.0), s, see)),
        alternative: "x2 from minute 90, s after",
        power: rates(seed, streams / 4, late, |s| {
            harmed(errors(1.0), s, see).and_then(|t| t.checked_sub(5400))
        }),
    });
    let gate = |margin: f64| e(RateGate::new(RateRules { margin, ..RATE }));
    for (null, margin) in [("p1 = 1.2 p0", 1.2), ("p1 = 1.5 p0", 1.5), ("p1 = 2 p0", 2.0)] {
        let equal = Errors { seconds: 7200, ..Errors::steady("gate equal", 0.01, 1.0) };
        print(&Line {
            test: "errors: no harm",
            null,
            level: rates(seed, streams, Errors::steady(null, 0.01, margin), |s| proven(gate(margin), s, see)),
            alternative: "equal arms",
            power: rates(seed, streams / 4, equal, |s| proven(gate(margin), s, see)),
        });
    }
    let guard = |rate: f64, name: &str, streams: u64| {
        cell(streams, |i| {
            let sample = Errors::steady("", rate, 1.0).sample(&mut stream(seed, name, i));
            let gate = e(RateLimit::new(Limits { fail: 0.05, pass: 0.05, two: false }));
            harmed(gate, &sample, |gate, s| gate.observe([Trials { n: s.n1, k: s.k1 }; 3], TEN))
        })
    };
    print(&Line {
        test: "guardrail of 5 %",
        null: "p = 5 %",
        level: guard(0.05, "rail null", streams),
        alternative: "p = 10 %",
        power: guard(0.1, "rail harm", streams / 4),
    });
}

/// Margins in points: the rate ratio at the boundary is 1.5 at 1 %, 6 at 0.1 % and 1.1 at 5 %.
fn points(seed: u64, streams: u64) {
    let see = |gate: &mut RateGate, x: &Stratum| gate.observe(*x, TEN);
    let rules = RateRules { margin: 1.0, margin_points: 0.005, harm_points: 0.005, ..RATE };
    let gate = || e(RateGate::new(rules));
    let bursts = Errors { bursts: true, ramp: true, ..Errors::steady("points ramp", 0.01, 1.0) };
    let beyond = |scenario: Errors| {
        // Half a point more than stable's rate of that moment, whatever that is.
        move |i: u64| {
            let mut rng = stream(seed, scenario.name, i);
            scenario.sample_with(&mut rng, |rate| rate + 0.005)
        }
    };
    let cases = [
        ("p1 = p0 + .5pp at 1 %", Errors::steady("points 1 %", 0.01, 1.0)),
        ("p1 = p0 + .5pp at 0.1 %", Errors::steady("points 0.1 %", 0.001, 1.0)),
        ("p1 = p0 + .5pp at 5 %", Errors::steady("points 5 %", 0.05, 1.0)),
        ("p1 = p0 + .5pp, ramp with bursts", bursts),
    ];
    for (null, scenario) in cases {
        let sample = beyond(scenario);
        let double = Errors { ratio: 1.0, ..scenario };
        print(&Line {
            test: "errors, margin .5pp: no harm",
            null,
            level: cell(streams, |i| proven(gate(), &sample(i), see)),
            alternative: "equal arms",
            power: rates(seed, streams / 4, double, |s| proven(gate(), s, see)),
        });
        print(&Line {
            test: "errors, harm: .5pp",
            null,
            level: cell(streams, |i| harmed(gate(), &sample(i), see)),
            alternative: "+2pp",
            power: cell(streams / 4, |i| {
                let mut rng = stream(seed, "points harm", i);
                harmed(gate(), &scenario.sample_with(&mut rng, |rate| rate + 0.02), see)
            }),
        });
    }
}

fn others(seed: u64, streams: u64) {
    let plain = Latency { name: "null", all: 1.0, tail: 1.0 };
    let times = |canary: Latency, name: &str, streams: u64, harm: bool| {
        let (canary, stable) = (canary.law(), plain.law());
        cell(streams, |i| {
            let data = Latency::sample(&canary, &stable, &mut stream(seed, name, i), 360);
            let see = |gate: &mut TailGate, x: &_| gate.observe(x, TEN);
            if harm { harmed(latency(1), &data, see) } else { proven(latency(1), &data, see) }
        })
    };
    // 2^(5/16): the canary's times longer by exactly the margin.
    let boundary = Latency { name: "boundary", all: 2f64.powf(5.0 / 16.0), tail: 1.0 };
    print(&Line {
        test: "latency, margin 25 %: no harm",
        null: "longer by the margin",
        level: times(boundary, "gate tail boundary", streams, false),
        alternative: "equal laws",
        power: times(plain, "gate tail equal", streams / 4, false),
    });
    let one_bin = Latency { name: "one bin", all: 2f64.powf(1.0 / 16.0), tail: 1.0 };
    let slower = Latency { name: "slower", all: 1.2, tail: 1.0 };
    print(&Line {
        test: "latency, harm 4 %: harm",
        null: "longer by 4 %",
        level: times(one_bin, "gate tail one bin", streams, true),
        alternative: "all +20 %",
        power: times(slower, "gate tail harm", streams / 4, true),
    });
    let means = |factor: f64, name: &str, streams: u64, drift: f64, harm: bool| {
        let (canary, stable) = (scores(factor), scores(1.0));
        cell(streams, |i| {
            let mut data = sample_scores(&canary, &stable, &mut stream(seed, name, i), 360);
            for (step, interval) in data.iter_mut().enumerate() {
                sink(interval, 1.0 - drift * (step as f64 / 30.0).sin().abs());
            }
            let see = |gate: &mut ScoreGate, x: &ScoreStratum| gate.observe(x, TEN);
            if harm { harmed(confidence(), &data, see) } else { proven(confidence(), &data, see) }
        })
    };
    print(&Line {
        test: "confidence: harm",
        null: "equal means that swing by 20 %",
        level: means(1.0, "gate mean drift", streams, 0.2, true),
        alternative: "-2 % on the same",
        power: means(0.98, "gate mean drift harm", streams / 4, 0.2, true),
    });
    print(&Line {
        test: "confidence, margin 1 %: no harm",
        null: "worse by the margin",
        level: means(0.99, "gate mean boundary", streams, 0.0, false),
        alternative: "equal means",
        power: means(1.0, "gate mean equal", streams / 4, 0.0, false),
    });
    for (null, p) in [("scores 0 or 1, 1 % of them 0", 0.99), ("scores 0 or 1, 1 % of them 1", 0.01)] {
        let skewed = |ratio: f64, name: &str, streams: u64| {
            cell(streams, |i| {
                let mut rng = stream(seed, name, i);
                let data: Vec<ScoreStratum> = (0..360)
                    .map(|_| {
                        let n1 = rng.binomial(1000, 0.05);
                        let (k1, k0) =
                            (rng.binomial(n1, p * ratio) as f64, rng.binomial(1000 - n1, p) as f64);
                        ScoreStratum { n1, sum1: k1, squares1: k1, n0: 1000 - n1, sum0: k0, squares0: k0 }
                    })
                    .collect();
                harmed(confidence(), &data, |gate, x| gate.observe(x, TEN))
            })
        };
        print(&Line {
            test: "confidence: harm",
            null,
            level: skewed(1.0, null, streams),
            alternative: "half as many 1",
            power: skewed(0.5, "gate skew harm", streams / 4),
        });
    }
}

/// All scores of an interval times `factor`.
fn sink(interval: &mut ScoreStratum, factor: f64) {
    interval.sum1 *= factor;
    interval.sum0 *= factor;
    interval.squares1 *= factor * factor;
    interval.squares0 *= factor * factor;
}
