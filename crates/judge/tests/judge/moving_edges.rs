//! The gate on answer times while times change for both arms: its edges follow, its levels stay. Seeds are fixed.

use judge::anytime::{Bins, TailRatio, TailStratum};
use judge::gate::{Gate, Span, TailGate, TailRules};

use crate::levels::Rng;

/// An interval of five seconds, with a hundred requests each.
const STEP: usize = 5;
const FIVE: Span = Span { ms: 5000, of_stage: true };
/// ln of 1/alpha for alpha = 5 %.
const HEIGHT: f64 = 2.995_732_273_553_991;

/// A gate on p99 with a margin of 25 % in bins of 1/16 octave.
fn gate() -> TailGate {
    let rules =
        TailRules { harm_bins: 1, margin_bins: 5, late: false, more_beyond: 1.5, tail: 0.01, top: 1 << 20 };
    TailGate::new(rules).unwrap()
}

/// How times change in the course of seconds, for both arms.
#[derive(Clone, Copy, Debug)]
enum Past {
    /// They do not.
    None,
    /// By a factor for so many seconds, and then as usual.
    Was(f64, usize),
    /// They swing by a factor, once around in so many seconds.
    Swings(f64, usize),
    /// They jump by a factor every so many seconds, up and down.
    Jumps(f64, usize),
}

impl Past {
    fn factor(self, second: usize) -> f64 {
        match self {
            Self::None => 1.0,
            Self::Was(factor, until) => {
                if second < until {
                    factor
                } else {
                    1.0
                }
            }
            Self::Swings(factor, around) => {
                factor.powf((std::f64::consts::TAU * second as f64 / around as f64).sin())
            }
            Self::Jumps(factor, every) => {
                if second / every % 2 == 1 {
                    factor
                } else {
                    1.0
                }
            }
        }
    }
}

/// The canary's times against stable's.
#[derive(Clone, Copy)]
enum Canary {
    Equal,
    /// All longer by a factor.
    Longer(f64),
    /// A share of requests more takes ten times as long.
    Heavier(f64),
}

fn bin(ms: f64) -> i32 {
    (16.0 * ms.log2()).ceil() as i32
}

/// An interval, `share` of it the canary's; times lognormal with sigma .6.
fn interval(rng: &mut Rng, share: f64, factor: f64, canary: Canary) -> TailStratum {
    let mut out = TailStratum::default();
    let requests = 100 * STEP as u64;
    let n1 = rng.binomial(requests, share);
    let mut arm = |bins: &mut Bins, n: u64, canary: Canary| {
        for _ in 0..n {
            let normal =
                (-2.0 * (1.0 - rng.uniform()).ln()).sqrt() * (std::f64::consts::TAU * rng.uniform()).cos();
            let mut ms = 50.0 * factor * (0.6 * normal).exp();
            match canary {
                Canary::Equal => {}
                Canary::Longer(by) => ms *= by,
                Canary::Heavier(more) => ms *= if rng.uniform() < more { 10.0 } else { 1.0 },
            }
            *bins.entry(bin(ms)).or_default() += 1;
        }
    };
    arm(&mut out.canary, n1, canary);
    arm(&mut out.stable, requests - n1, Canary::Equal);
    out
}

/// Seconds of a new stage, begun after so many of them, until it proves that there is no harm.
fn proven(past: Past, before: usize, share: f64, seed: u64) -> usize {
    let (mut rng, mut gate) = (Rng::seeded(seed), gate());
    let observe = |rng: &mut Rng, gate: &mut TailGate, at: usize| {
        gate.observe(&interval(rng, share, past.factor(at), Canary::Equal), FIVE).unwrap();
    };
    (0..before).step_by(STEP).for_each(|at| observe(&mut rng, &mut gate, at));
    gate.begin_stage();
    let found = (before..before + 7200).step_by(STEP).find(|at| {
        observe(&mut rng, &mut gate, *at);
        gate.answers().no_harm >= HEIGHT
    });
    found.map_or(usize::MAX, |at| at + STEP - before)
}

/// The median of seconds, and the last of 15 runs.
fn times(past: Past, before: usize, share: f64) -> (usize, usize) {
    let mut all: Vec<usize> = (0..15).map(|seed| proven(past, before, share, seed * 31 + 5)).collect();
    all.sort_unstable();
    (all[7], all[14])
}

#[test]
fn equal_arms_pass_after_any_past() {
    let (usual, last) = times(Past::None, 600, 0.5);
    assert!(usual <= 100 && last <= 300, "{usual} {last}");
    for (past, before) in [
        (Past::Was(10.0, 600), 600),
        (Past::Was(10.0, 7200), 7200),
        (Past::Was(3.0, 600), 600),
        (Past::Was(1.0 / 3.0, 600), 600),
        (Past::Swings(3.0, 3600), 900),
        (Past::Jumps(3.0, 60), 600),
    ] {
        let (median, last) = times(past, before, 0.5);
        // Twice the requests that edges are chosen by, at 50 a second, and a few intervals.
        assert!(
            median <= usual + 60 && last <= 400,
            "{past:?}: {median} s, at most {last} s; usually {usual} s"
        );
    }
    let (usual, _) = times(Past::None, 600, 0.05);
    let (median, last) = times(Past::Was(10.0, 600), 600, 0.05);
    assert!(median <= usual + 60 && last <= 1500, "{median} s, at most {last} s; usually {usual} s");
}

/// How often, of 60 runs of twenty minutes, a gate ever says that there is no harm, and that there is.
fn ever(past: Past, canary: Canary) -> (f64, f64) {
    let (mut passed, mut harmed) = (0u32, 0u32);
    for seed in 0..60 {
        let (mut rng, mut gate) = (Rng::seeded(seed * 7919 + 11), gate());
        let (mut pass, mut harm) = (false, false);
        for at in (0..1200).step_by(STEP) {
            gate.observe(&interval(&mut rng, 0.5, past.factor(at), canary), FIVE).unwrap();
            let answers = gate.answers();
            pass |= answers.no_harm >= HEIGHT;
            harm |= answers.harm >= HEIGHT;
        }
        passed += u32::from(pass);
        harmed += u32::from(harm);
    }
    (f64::from(passed) / 60.0, f64::from(harmed) / 60.0)
}

/// 5 % plus three standard errors at 60 runs.
const ALLOWED: f64 = 0.135;

#[test]
fn levels_are_kept_while_times_change() {
    let margin = 2f64.powf(5.0 / 16.0);
    for past in [Past::Was(10.0, 300), Past::Swings(3.0, 900), Past::Jumps(3.0, 60), Past::Jumps(10.0, 20)] {
        let (_, harmed) = ever(past, Canary::Equal);
        assert!(harmed <= ALLOWED, "{past:?}: equal arms are harm in {harmed}");
        let (passed, _) = ever(past, Canary::Longer(margin));
        assert!(passed <= ALLOWED, "{past:?}: the margin itself passes in {passed}");
    }
    // Harm in the tail alone, which an edge in the bulk would not see: 1.7 times as many requests beyond stable's p99.
    for past in [Past::Was(10.0, 300), Past::Swings(3.0, 900), Past::Jumps(3.0, 60)] {
        let (passed, _) = ever(past, Canary::Heavier(0.0075));
        assert!(passed <= ALLOWED, "{past:?}: a heavier tail passes in {passed}");
    }
}

#[test]
fn a_gate_says_which_edge_it_uses() {
    let (mut rng, mut gate) = (Rng::seeded(1), gate());
    assert_eq!(gate.edge(), None);
    // p99 of a lognormal time: 50 ms times exp(.6 times 2.326).
    let p99 = |factor: f64| bin(factor * 50.0 * (0.6f64 * 2.326).exp());
    let mut near = |factor: f64, seconds: usize| {
        for _ in (0..seconds).step_by(STEP) {
            gate.observe(&interval(&mut rng, 0.5, factor, Canary::Equal), FIVE).unwrap();
        }
        let edge = gate.edge().unwrap();
        assert!((edge - p99(factor)).abs() <= 5, "times {factor}: {edge}, not {}", p99(factor));
    };
    near(10.0, 600);
    near(1.0, 45);
    near(3.0, 45);
    // Outside a stage nothing is proven, and edges move all the same.
    let (mut gate, outside) = (self::gate(), Span { of_stage: false, ..FIVE });
    (0..4).for_each(|_| gate.observe(&interval(&mut rng, 0.5, 3.0, Canary::Equal), outside).unwrap());
    assert!((gate.edge().unwrap() - p99(3.0)).abs() <= 5 && gate.answers().no_harm <= 0.0);
}

#[test]
fn states_of_older_builds_go_on() {
    let mut tail = TailRatio::harm(1.0).unwrap();
    let mut rng = Rng::seeded(3);
    (0..600).for_each(|_| tail.update(&interval(&mut rng, 0.5, 10.0, Canary::Equal)).unwrap());
    let mut stored = serde_json::to_value(&tail).unwrap();
    // They held all of stable's requests, and did not know which were the latest.
    stored.as_object_mut().unwrap().remove("latest").unwrap();
    let mut tail: TailRatio = serde_json::from_value(stored).unwrap();
    let before = tail.edges().last().unwrap().1.unwrap();
    (0..8).for_each(|_| tail.update(&interval(&mut rng, 0.5, 1.0, Canary::Equal)).unwrap());
    let after = tail.edges().last().unwrap().1.unwrap();
    assert!(after < before - 32, "{before} {after}");
}
