//! Two constant arms: Kayenta adds Gaussian noise of 1e-5 of the value to each, and compares what comes of it.
//!
//! What comes of it can hang on the noise. With one point per arm the two are tied at the only shift there is, and the
//! metric ends in Error, unless x - (x - y) is rounded to something other than y, which the noise's last bits decide: of
//! two values within a factor of two never, of 100 against 1 nearly always.

use super::classify::{Classification, Label};
use crate::random::SplitMix64;
use crate::special::normal_quantile;

/// Relative size of the noise.
const NOISE: f64 = 1e-5;
/// Draws looked at; an odd number, so that two answers cannot tie.
const DRAWS: usize = 101;
/// Noise drawn at most: with more points than this per draw the last bits of one of them decide nothing.
const VALUES: usize = 50_000;
/// Where the draws begin.
const SEED: u64 = 1;

/// Both arms with noise, draw after draw; always the same ones.
pub(super) struct Draws<'a> {
    control: &'a [f64],
    experiment: &'a [f64],
    random: SplitMix64,
    left: usize,
}

impl<'a> Draws<'a> {
    pub(super) fn new(control: &'a [f64], experiment: &'a [f64]) -> Self {
        let fit = (VALUES / (control.len() + experiment.len()).max(1)).clamp(1, DRAWS);
        let left = if fit % 2 == 1 { fit } else { fit - 1 };
        Self { control, experiment, random: SplitMix64::seeded(SEED), left }
    }

    fn noisy(random: &mut SplitMix64, values: &[f64]) -> Vec<f64> {
        let mut noise = || normal_quantile(random.open_unit());
        values.iter().map(|value| value + noise() * (value * NOISE)).collect()
    }
}

impl Iterator for Draws<'_> {
    type Item = (Vec<f64>, Vec<f64>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let experiment = Self::noisy(&mut self.random, self.experiment);
        Some((Self::noisy(&mut self.random, self.control), experiment))
    }
}

/// The first of the answers that most draws gave, which says how many did where not all agree.
pub(super) fn most_frequent(answers: impl Iterator<Item = Classification>) -> Option<Classification> {
    let mut seen: Vec<((Label, bool), usize, Classification)> = Vec::new();
    let mut all = 0;
    for answer in answers {
        all += 1;
        let what = (answer.label, answer.critical);
        match seen.iter_mut().find(|(known, ..)| *known == what) {
            Some((_, times, _)) => *times += 1,
            None => seen.push((what, 1, answer)),
        }
    }
    let (_, times, mut most) = seen.into_iter().max_by_key(|(_, times, _)| *times)?;
    if times < all {
        let label = most.label.as_str();
        most.reason +=
            &format!("; {label} in {times} of {all} draws of the noise that is added to constant arms");
    }
    Some(most)
}
