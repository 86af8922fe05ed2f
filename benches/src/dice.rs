use judge::random::SplitMix64;

/// The laws of made-up traffic over one stream: the same runs on every machine.
#[derive(Clone, Debug)]
pub struct Dice(SplitMix64);

/// The seed of one run of many.
#[must_use]
pub const fn seed_of(seed: u64, run: u64) -> u64 {
    seed.wrapping_mul(0x0100_0000_01b3) ^ run.wrapping_mul(0xd134_2543_de82_ef95)
}

impl Dice {
    /// The stream of a seed.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self(SplitMix64::seeded(seed))
    }

    /// Uniform over all 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0.bits()
    }

    /// Uniform in (0, 1).
    pub const fn uniform(&mut self) -> f64 {
        self.0.open_unit()
    }

    /// Uniform among 0, 1, ... n - 1.
    pub const fn below(&mut self, n: usize) -> usize {
        self.0.below(n as u64) as usize
    }

    /// How many of `n` happen, by skipping from one to the next.
    pub fn binomial(&mut self, n: u64, p: f64) -> u64 {
        if p > 0.5 {
            return n - self.binomial(n, 1.0 - p);
        }
        if p <= 0.0 {
            return 0;
        }
        let scale = (1.0 - p).ln();
        let (mut at, mut happened) = (0.0, 0);
        loop {
            at += (self.uniform().ln() / scale).floor() + 1.0;
            if at > n as f64 {
                return happened;
            }
            happened += 1;
        }
    }

    /// Standard normal.
    pub fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(n: u64, p: f64) {
        let mut dice = Dice::seeded(1);
        let happened: u64 = (0..1_000).map(|_| dice.binomial(n, p)).sum();
        let (expected, all) = (1e3 * n as f64 * p, 1e3 * n as f64);
        let away = (happened as f64 - expected).abs();
        assert!(away <= 5.0 * (all * p * (1.0 - p)).sqrt(), "{happened} of {all}, expected {expected}");
    }

    #[test]
    fn as_many_happen_as_should() {
        [0.0, 0.001, 0.05, 0.5, 0.93, 1.0].into_iter().for_each(|p| check(1_000, p));
        check(1, 0.3);
    }
}
