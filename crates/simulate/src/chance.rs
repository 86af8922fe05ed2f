//! Seeded chance: the same numbers on every machine.

/// `SplitMix64` (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// Chance from a seed, a stream and a number within it: run 7 of world 2 is the same whatever runs beside it.
    #[must_use]
    pub fn new(seed: u64, stream: u64, number: u64) -> Self {
        let mut mixed = Self(seed);
        for part in [stream, number] {
            mixed.0 ^= part.wrapping_mul(0xd1b5_4a32_d192_ed03);
            mixed.0 = mixed.bits();
        }
        mixed
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 up to 1.
    #[allow(clippy::cast_precision_loss)] // 53 bits
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number below `n`, which is above 0.
    #[allow(clippy::cast_possible_truncation)] // the high half of a product with n is below n
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
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

    #[test]
    fn streams_differ_and_repeat() {
        let first = |seed, stream, number| Chance::new(seed, stream, number).bits();
        assert_eq!(first(1, 2, 3), first(1, 2, 3));
        let all = [first(1, 2, 3), first(1, 3, 2), first(2, 1, 3), first(1, 2, 4), first(0, 0, 0)];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
    }
}
