use rollout::{Aged, Bins, Counts, Moments};

use crate::Dice;

/// A finite law, drawn from by its inverse on a table of equal steps, a power of two.
#[derive(Debug)]
pub struct Law {
    places: Vec<u16>,
    bits: u32,
}

/// How a version answers.
#[derive(Debug)]
pub struct Behaviour {
    /// Answer times, in bins of the latency counters.
    pub times: Law,
    /// Confidence, in steps of 1/1000.
    pub scores: Law,
}

impl Law {
    /// With 2 to the power of `bits` steps.
    #[must_use]
    pub fn new(weights: &[f64], bits: u32) -> Self {
        let (all, steps) = (weights.iter().sum::<f64>(), 1_u32 << bits);
        let mut places = Vec::new();
        let (mut sum, mut at) = (0.0, 0);
        for (index, weight) in (0_u16..).zip(weights) {
            sum += weight / all;
            while f64::from(at) + 0.5 <= sum * f64::from(steps) && at < steps {
                places.push(index);
                at += 1;
            }
        }
        Self { places, bits }
    }

    /// The place of a weight.
    pub fn draw(&self, dice: &mut Dice) -> u16 {
        let at = (dice.bits() >> (64 - self.bits)) as usize;
        self.places.get(at).or(self.places.last()).copied().unwrap_or(0)
    }

    /// Lognormal answer times, median 50 ms, sigma 0.6: all and those above p90 stretched.
    #[must_use]
    pub fn times(slower: f64, tail: f64, bits: u32) -> Self {
        let p90 = 50.0 * (0.6_f64 * 1.281_551_565_545).exp();
        let below = |ms: f64| {
            let ms = ms / slower;
            let ms = if ms <= p90 { ms } else { (ms / tail).max(p90) };
            judge::special::normal_cdf((ms / 50.0).ln() / 0.6)
        };
        let edge = tally::latency_upper_ms;
        let law: Vec<f64> = (0..tally::LATENCY_TOP)
            .map(|bin| below(edge(bin)) - if bin == 0 { 0.0 } else { below(edge(bin - 1)) })
            .collect();
        Self::new(&law, bits)
    }

    /// Confidence in steps of 1/1000: Beta, mean 0.85, standard deviation 0.078, times a factor.
    #[must_use]
    pub fn scores(factor: f64) -> Self {
        let size = 0.85 * 0.15 / 0.078_f64.powi(2) - 1.0;
        let (a, b) = (0.85 * size - 1.0, 0.15 * size - 1.0);
        let law: Vec<f64> = (0..1000)
            .map(|i| (f64::from(i) + 0.5) / 1000.0 / factor)
            .map(|x| if x < 1.0 { (a * x.ln() + b * (1.0 - x).ln()).exp() } else { 0.0 })
            .collect();
        Self::new(&law, 12)
    }
}

impl Behaviour {
    /// Answers as stable's usual ones.
    #[must_use]
    pub fn usual() -> Self {
        Self { times: Law::times(1.0, 1.0, 12), scores: Law::scores(1.0) }
    }

    /// What is counted of `n` requests, a share of which fails; one in a thousand is overdue.
    pub fn counts(&self, dice: &mut Dice, n: u64, errors: f64) -> Counts {
        let mut latency = Bins::default();
        let mut confidence = Moments { n, ..Moments::default() };
        for _ in 0..n {
            *latency.0.entry(self.times.draw(dice)).or_default() += 1;
            let score = (f64::from(self.scores.draw(dice)) + 0.5) / 1000.0;
            confidence.sum += score;
            confidence.sum_squares += score * score;
        }
        let errors = dice.binomial(n, errors);
        let overdue = Aged { reached: n, overdue: dice.binomial(n, 0.001), left_soon: 0 };
        Counts {
            assigned: n,
            finished: n,
            outcomes: n,
            errors,
            overdue,
            latency,
            confidence,
            ..Counts::default()
        }
    }
}
