//! Synthetic traffic: seeded, 10 s intervals, the scenarios of the published table.

use benches::Dice;
use judge::anytime::{Bins, ScoreStratum, Stratum, TailStratum};

/// Seconds per interval.
pub const STEP: u32 = 10;
/// Requests per interval: 100 a second.
pub const REQUESTS: u64 = 1000;

/// An independent generator for stream `index` of scenario `name`.
pub fn stream(seed: u64, name: &str, index: u64) -> Dice {
    let mixed = name.bytes().fold(seed, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let mut rng = Dice::seeded(mixed ^ index.wrapping_mul(0xd134_2543_de82_ef95));
    rng.bits();
    rng
}

/// Errors over an hour (or longer).
#[derive(Clone, Copy)]
pub struct Errors {
    pub name: &'static str,
    pub base: f64,
    pub ratio: f64,
    /// Both arms at 5 % for 2 of every 20 minutes.
    pub bursts: bool,
    /// Weight 1, 5, 20, 50 %, a quarter of the time each; else 5 %.
    pub ramp: bool,
    /// When the canary's rate becomes `ratio` times stable's.
    pub from: u32,
    pub seconds: u32,
}

impl Errors {
    pub const fn steady(name: &'static str, base: f64, ratio: f64) -> Self {
        Self { name, base, ratio, bursts: false, ramp: false, from: 0, seconds: 3600 }
    }

    pub fn sample(&self, rng: &mut Dice) -> Vec<Stratum> {
        self.sample_with(rng, |rate| rate)
    }

    /// With the canary's rate a function of stable's, beside `ratio`.
    pub fn sample_with(&self, rng: &mut Dice, canary: impl Fn(f64) -> f64) -> Vec<Stratum> {
        let steps = self.seconds / STEP;
        (0..steps)
            .map(|i| {
                let at = i * STEP;
                let weight = if self.ramp { [0.01, 0.05, 0.2, 0.5][(4 * i / steps) as usize] } else { 0.05 };
                let rate = if self.bursts && (at % 1200) < 120 { 0.05 } else { self.base };
                let ratio = if at >= self.from { self.ratio } else { 1.0 };
                let n1 = rng.binomial(REQUESTS, weight);
                let n0 = REQUESTS - n1;
                Stratum::new(n1, rng.binomial(n1, canary(rate) * ratio), n0, rng.binomial(n0, rate))
            })
            .collect()
    }
}

/// Draws from a finite law in constant time (Walker's alias method).
pub struct Alias {
    keep: Vec<f64>,
    other: Vec<usize>,
}

impl Alias {
    pub fn new(law: &[f64]) -> Self {
        let total: f64 = law.iter().sum();
        let mut keep: Vec<f64> = law.iter().map(|p| p * law.len() as f64 / total).collect();
        let mut other: Vec<usize> = (0..law.len()).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..law.len()).partition(|&i| keep[i] < 1.0);
        while let (Some(s), Some(&l)) = (small.pop(), large.last()) {
            other[s] = l;
            keep[l] -= 1.0 - keep[s];
            if keep[l] < 1.0 {
                large.pop();
                small.push(l);
            }
        }
        for i in small.into_iter().chain(large) {
            keep[i] = 1.0;
        }
        Self { keep, other }
    }

    pub fn draw(&self, rng: &mut Dice) -> usize {
        let i = rng.below(self.keep.len());
        if rng.uniform() < self.keep[i] { i } else { self.other[i] }
    }
}

/// Bins 2^(j/16) ms for j = 0 ... 255.
const BINS: i32 = 256;

/// Latency scenarios: lognormal, median 50 ms, sigma 0.6.
#[derive(Clone, Copy)]
pub struct Latency {
    pub name: &'static str,
    /// Factor on every latency.
    pub all: f64,
    /// Factor on latencies above stable's p90.
    pub tail: f64,
}

impl Latency {
    /// The law over bins: P(value <= edge) through the inverse of the distortion.
    pub fn law(&self) -> Alias {
        let p90 = 50.0 * (0.6f64 * 1.281_551_565_545).exp();
        let cdf = |x: f64| {
            let plain = |x: f64| judge::special::normal_cdf((x / 50.0).ln() / 0.6);
            let x = x / self.all;
            if x <= p90 { plain(x) } else { plain((x / self.tail).max(p90)) }
        };
        let edge = |j: i32| 2f64.powf(f64::from(j) / 16.0);
        let law: Vec<f64> =
            (0..BINS).map(|j| cdf(edge(j)) - if j == 0 { 0.0 } else { cdf(edge(j - 1)) }).collect();
        Alias::new(&law)
    }

    pub fn sample(canary: &Alias, stable: &Alias, rng: &mut Dice, steps: u32) -> Vec<TailStratum> {
        (0..steps)
            .map(|_| {
                let n1 = rng.binomial(REQUESTS, 0.05);
                TailStratum { canary: bins(canary, n1, rng), stable: bins(stable, REQUESTS - n1, rng) }
            })
            .collect()
    }
}

fn bins(law: &Alias, n: u64, rng: &mut Dice) -> Bins {
    let mut counts = [0u64; BINS as usize];
    for _ in 0..n {
        counts[law.draw(rng)] += 1;
    }
    (0..).zip(counts).filter(|(_, c)| *c > 0).collect()
}

/// Confidence: Beta with mean 0.85 (times a factor) and standard deviation 0.078, in steps of 1/2000.
pub const SCORE_STEPS: usize = 2000;

pub fn scores(factor: f64) -> Alias {
    let (mean, variance) = (0.85, 0.078f64.powi(2));
    let size = mean * (1.0 - mean) / variance - 1.0;
    let (a, b) = (mean * size, (1.0 - mean) * size);
    // The regression multiplies the score: the density of x * factor.
    let law: Vec<f64> = (0..SCORE_STEPS)
        .map(|i| (i as f64 + 0.5) / SCORE_STEPS as f64 / factor)
        .map(|x| if x < 1.0 { ((a - 1.0) * x.ln() + (b - 1.0) * (1.0 - x).ln()).exp() } else { 0.0 })
        .collect();
    Alias::new(&law)
}

/// Counts per step of 1/2000 of canary and stable scores, one interval each.
pub fn sample_scores(canary: &Alias, stable: &Alias, rng: &mut Dice, steps: u32) -> Vec<ScoreStratum> {
    (0..steps)
        .map(|_| {
            let mut out = ScoreStratum { n1: rng.binomial(REQUESTS, 0.05), ..ScoreStratum::default() };
            out.n0 = REQUESTS - out.n1;
            for _ in 0..out.n1 {
                let x = score(canary, rng);
                out.sum1 += x;
                out.squares1 += x * x;
            }
            for _ in 0..out.n0 {
                let x = score(stable, rng);
                out.sum0 += x;
                out.squares0 += x * x;
            }
            out
        })
        .collect()
}

pub fn score(law: &Alias, rng: &mut Dice) -> f64 {
    (law.draw(rng) as f64 + 0.5) / SCORE_STEPS as f64
}
