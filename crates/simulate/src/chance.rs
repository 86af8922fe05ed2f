//! Seeded chance: the same numbers on every machine.

use judge::random::SplitMix64;

/// The laws that a simulation is drawn from.
#[derive(Clone, Debug)]
pub struct Chance(SplitMix64);

impl Chance {
    /// Chance from a seed, a stream and a number within it: run 7 of world 2 is the same whatever runs beside it.
    #[must_use]
    pub const fn new(seed: u64, stream: u64, number: u64) -> Self {
        Self(SplitMix64::stream(seed, stream, number))
    }

    pub(crate) const fn bits(&mut self) -> u64 {
        self.0.bits()
    }

    /// A number from 0 up to 1.
    pub(crate) const fn unit(&mut self) -> f64 {
        self.0.unit()
    }

    /// A number below `n`, which is above 0.
    #[allow(clippy::cast_possible_truncation)] // below n
    pub(crate) const fn below(&mut self, n: usize) -> usize {
        self.0.below(n as u64) as usize
    }

    /// Does something of this probability happen?
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A waiting time of this mean, when nothing remembers how long it has been waited.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// A standard normal number (Box and Muller, 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.unit()).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// How many of `n` things of this probability happen. Walks from one that happens to the next, so that rare things
    /// are cheap.
    pub(crate) fn binomial(&mut self, n: u64, probability: f64) -> u64 {
        if probability <= 0.0 {
            return 0;
        }
        if probability > 0.5 {
            return n - self.binomial(n, 1.0 - probability);
        }
        let scale = (-probability).ln_1p();
        let (mut seen, mut left) = (0, n);
        loop {
            let gap = (1.0 - self.unit()).ln() / scale;
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            // compared before it is cut
            if gap >= left as f64 {
                return seen;
            } else {
                left -= gap as u64 + 1;
            }
            seen += 1;
        }
    }

    /// Arrivals where `mean` are expected, each by itself (Poisson).
    pub(crate) fn arrivals(&mut self, mean: f64) -> u64 {
        // Waiting times in pieces, so that exp(-mean) does not vanish.
        let (mut count, mut left) = (0, mean);
        while left > 0.0 {
            let piece = left.min(30.0);
            let floor = (-piece).exp();
            let mut product = self.unit();
            while product > floor {
                count += 1;
                product *= self.unit();
            }
            left -= piece;
        }
        count
    }
}

/// Draws from a finite law in constant time (Walker's alias method in Vose's form, 1991).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Alias {
    /// Value, chance of keeping it, and the value taken otherwise.
    cells: Vec<(u16, f64, u16)>,
}

impl Alias {
    /// A law from values and weights; `None` when no weight is above 0.
    pub(crate) fn new(weights: impl Iterator<Item = (u16, f64)>) -> Option<Self> {
        let weights: Vec<(u16, f64)> = weights.filter(|(_, weight)| *weight > 0.0).collect();
        let all: f64 = weights.iter().map(|(_, weight)| weight).sum();
        if weights.is_empty() || !all.is_finite() {
            return None;
        }
        #[allow(clippy::cast_precision_loss)] // at most 65,536 values
        let n = weights.len() as f64;
        let scaled = weights.into_iter().map(|(value, weight)| (value, weight * n / all));
        let (mut small, mut large): (Vec<_>, Vec<_>) = scaled.partition(|(_, weight)| *weight < 1.0);
        let mut cells = Vec::new();
        while let (Some(&(value, weight)), Some(&(other, rest))) = (small.last(), large.last()) {
            small.pop();
            large.pop();
            cells.push((value, weight, other));
            let rest = rest - (1.0 - weight);
            if rest < 1.0 { small.push((other, rest)) } else { large.push((other, rest)) }
        }
        cells.extend(small.into_iter().chain(large).map(|(value, _)| (value, 1.0, value)));
        Some(Self { cells })
    }

    pub(crate) fn draw(&self, chance: &mut Chance) -> u16 {
        let place = chance.below(self.cells.len());
        match self.cells.get(place) {
            Some(&(value, keep, other)) => {
                if chance.happens(keep) {
                    value
                } else {
                    other
                }
            }
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn near(values: impl Iterator<Item = f64>, mean: f64, variance: f64) {
        let values: Vec<f64> = values.collect();
        let n = values.len() as f64;
        let got = values.iter().sum::<f64>() / n;
        let spread = values.iter().map(|v| (v - got).powi(2)).sum::<f64>() / n;
        assert!((got - mean).abs() < 5.0 * (variance / n).sqrt(), "mean {got}, expected {mean}");
        assert!((spread / variance - 1.0).abs() < 0.1, "variance {spread}, expected {variance}");
    }

    #[test]
    fn laws_have_their_moments() {
        let mut chance = Chance::new(1, 2, 3);
        near((0..20_000).map(|_| chance.binomial(100, 0.05) as f64), 5.0, 4.75);
        near((0..20_000).map(|_| chance.binomial(20, 0.9) as f64), 18.0, 1.8);
        near((0..20_000).map(|_| chance.binomial(10, 0.5) as f64), 5.0, 2.5);
        near((0..20_000).map(|_| chance.arrivals(0.3) as f64), 0.3, 0.3);
        near((0..20_000).map(|_| chance.arrivals(100.0) as f64), 100.0, 100.0);
        near((0..20_000).map(|_| chance.exponential(3.0)), 3.0, 9.0);
        near((0..20_000).map(|_| chance.normal()), 0.0, 1.0);
        let law = Alias::new([(1, 1.0), (3, 0.0), (5, 3.0)].into_iter()).unwrap();
        near((0..20_000).map(|_| f64::from(law.draw(&mut chance))), 4.0, 3.0);
        assert_eq!(chance.binomial(7, 1.0), 7);
        assert_eq!(Alias::new(std::iter::empty()), None);
    }
}
