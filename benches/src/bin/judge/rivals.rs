//! What people run today: thresholds per window, peeked z-tests, repeated Kayenta. Times in seconds.

use judge::anytime::Stratum;
use judge::classical::{Alternative, two_proportion_z};
use judge::kayenta::{Direction, EffectSize, Label, MetricRules, classify};

/// Intervals per minute.
pub const MINUTE: usize = 6;

/// Counts per minute.
pub fn minutes(stream: &[Stratum]) -> Vec<Stratum> {
    stream.chunks(MINUTE).map(sum).collect()
}

fn sum(part: &[Stratum]) -> Stratum {
    part.iter().fold(Stratum::default(), |mut all, s| {
        all.merge(s);
        all
    })
}

pub fn rate(k: u64, n: u64) -> f64 {
    if n == 0 { 0.0 } else { k as f64 / n as f64 }
}

/// Fires at the minute in which more than `limit` windows of `window` minutes have failed in total.
pub fn windows(
    minutes: &[Stratum],
    window: usize,
    limit: usize,
    fails: impl Fn(&Stratum) -> bool,
) -> Option<u32> {
    let failed = minutes.windows(window).enumerate().filter(|(_, part)| fails(&sum(part)));
    failed.map(|(i, _)| (60 * (i + window)) as u32).nth(limit)
}

/// Fires when `fails` has been true in more than `limit` minutes.
pub fn values(flags: impl Iterator<Item = bool>, limit: usize) -> Option<u32> {
    flags.enumerate().filter(|(_, f)| *f).map(|(i, _)| 60 * (i as u32 + 1)).nth(limit)
}

/// One-sided z-test on totals at every minute, or only at the end.
pub fn z_test(minutes: &[Stratum], peek: bool) -> Option<u32> {
    let mut total = Stratum::default();
    for (i, minute) in minutes.iter().enumerate() {
        total.merge(minute);
        let look = peek || i + 1 == minutes.len();
        let p = two_proportion_z(total.k1, total.n1, total.k0, total.n0, Alternative::Greater, true);
        if look && p.is_ok_and(|z| z.p < 0.05) {
            return Some(60 * (i as u32 + 1));
        }
    }
    None
}

/// Kayenta on one value per minute, growing window, judged at the given minutes.
pub fn kayenta(
    control: &[f64],
    experiment: &[f64],
    direction: Direction,
    allowed: Option<f64>,
    looks: impl Iterator<Item = usize>,
) -> Option<u32> {
    let (allowed_increase, allowed_decrease) = match direction {
        Direction::Decrease => (None, allowed),
        _ => (allowed, None),
    };
    let effect_size = EffectSize { allowed_increase, allowed_decrease, ..EffectSize::default() };
    let rules = MetricRules { direction, effect_size, ..MetricRules::default() };
    for n in looks.filter(|n| *n <= control.len()) {
        let label = classify(&control[..n], &experiment[..n], &rules).label;
        if matches!(label, Label::High | Label::Low) {
            return Some(60 * n as u32);
        }
    }
    None
}

/// Every five minutes of the first hour.
pub fn each_five() -> impl Iterator<Item = usize> {
    (1..=12).map(|i| 5 * i)
}
