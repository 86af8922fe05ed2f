//! Made-up traffic for the benches.

use judge::random::SplitMix64;

/// The laws that runs are drawn from.
pub struct Dice(SplitMix64);

impl Dice {
    pub fn seeded(seed: u64) -> Self {
        Self(SplitMix64::seeded(seed))
    }

    /// How many of `n` happen, by skipping from one to the next.
    pub fn binomial(&mut self, n: u64, p: f64) -> u64 {
        let scale = (1.0 - p.clamp(1e-9, 0.999_999)).ln();
        let (mut at, mut happened) = (0.0, 0);
        loop {
            at += (self.0.open_unit().ln() / scale).floor() + 1.0;
            if at > n as f64 {
                return happened;
            }
            happened += 1;
        }
    }
}

/// A finite law, drawn from by its inverse on a table of equal steps, a power of two.
pub struct Law {
    places: Vec<u16>,
    bits: u32,
}

impl Law {
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

    pub fn draw(&self, dice: &mut Dice) -> u16 {
        let at = (dice.0.bits() >> (64 - self.bits)) as usize;
        self.places.get(at).or(self.places.last()).copied().unwrap_or(0)
    }

    /// Lognormal answer times, median 50 ms, sigma 0.6: all and those above p90 stretched.
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

/// One of the runs that were stopped, of all there were; `-`: fewer were stopped.
pub fn quantile(sorted: &[u64], runs: u64, q: f64) -> String {
    let at = ((runs as f64 - 1.0) * q).round() as usize;
    sorted.get(at).map_or("-".to_owned(), u64::to_string)
}
