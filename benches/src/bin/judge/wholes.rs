//! Level and power where several things come together: users, many gates, many buckets.

use super::levels::{HEIGHT, Line, cell, e, print, verdict};
use super::report::row;
use super::streams::{Errors, STEP, stream};
use super::table::fires;
use benches::Dice;
use judge::anytime::{AlphaSplit, BucketDrift, BucketStratum, DesignEffect, Group, RateRatio, Stratum};

/// Sticky users: 9000 of 40 requests within 10 minutes each; 5 % of them have 16 % errors, the mean rate is 1 %.
fn sticky(rng: &mut Dice, ratio: f64) -> (Vec<Stratum>, Vec<Vec<Group>>) {
    const GROUPS: usize = 200;
    let steps = 360;
    let mut strata = vec![Stratum::default(); steps];
    let mut groups = vec![vec![Group::default(); GROUPS]; 6];
    for _ in 0..9000 {
        let prone = rng.uniform() < 0.05;
        let rate = if prone { 0.16 } else { 0.002_105 };
        let canary = rng.uniform() < 0.05;
        let rate = if canary { (rate * ratio).min(1.0) } else { rate };
        let group = rng.below(GROUPS);
        let start = rng.uniform() * 3000.0;
        for _ in 0..40 {
            let at = ((start + rng.uniform() * 600.0) / f64::from(STEP)) as usize;
            let error = u64::from(rng.uniform() < rate);
            let s = &mut strata[at.min(steps - 1)];
            if canary {
                s.n1 += 1;
                s.k1 += error;
            } else {
                s.n0 += 1;
                s.k0 += error;
                let g = &mut groups[at * 6 / steps][group];
                g.n += 1;
                g.k += error;
            }
        }
    }
    (strata, groups)
}

type Estimate = fn(&[Group]) -> Result<DesignEffect, judge::JudgeError>;

pub fn clusters(seed: u64, streams: u64) {
    let run = |name: &str, ratio: f64, tempered: bool, streams: u64, estimate: Estimate| {
        let mut effects = vec![];
        let cell = cell(streams, |i| {
            let (strata, groups) = sticky(&mut stream(seed, name, i), ratio);
            let mut test = e(RateRatio::harm(1.0));
            let mut seen = vec![Group::default(); 200];
            let mut known = !tempered;
            (0..).zip(&strata).find_map(|(step, stratum)| {
                // The design effect is re-estimated from stable's groups every 10 minutes.
                if tempered && step % 60 == 59 {
                    for (all, more) in seen.iter_mut().zip(&groups[step / 60]) {
                        all.n += more.n;
                        all.k += more.k;
                    }
                    if let Ok(effect) = estimate(&seen) {
                        test.set_design_effect(effect.factor()).ok()?;
                        known = true;
                        if step == 359 {
                            effects.push(effect.estimate);
                        }
                    }
                }
                test.update(*stratum).ok()?;
                (known && test.log_e() >= HEIGHT.ln()).then_some(STEP * (step as u32 + 1))
            })
        });
        let mean = effects.iter().sum::<f64>() / effects.len().max(1) as f64;
        (cell, mean)
    };
    let (null, effect) = run("b11 null", 1.0, true, streams, DesignEffect::from_groups);
    let (harm, _) = run("b11 harm", 5.0, true, streams / 8, DesignEffect::from_groups);
    print(&Line {
        test: "B11 sticky users, tempered",
        null: "equal users",
        level: null,
        alternative: "x5",
        power: harm,
    });
    let (null, largest) = run("b11 null", 1.0, true, streams, DesignEffect::largest);
    let (harm, _) = run("b11 harm", 5.0, true, streams / 8, DesignEffect::largest);
    print(&Line {
        test: "B11 sticky users, by requests of a user alone",
        null: "equal users",
        level: null,
        alternative: &format!("x5; design effect taken {largest:.1}"),
        power: harm,
    });
    let (naive, _) = run("b11 null", 1.0, false, streams / 2, DesignEffect::from_groups);
    row([
        "B11 without tempering (must fail)".to_owned(),
        "equal users".to_owned(),
        naive.level(),
        verdict(&naive),
        format!("design effect seen {effect:.1}"),
        String::new(),
    ]);
}

pub fn families(seed: u64, streams: u64) {
    let family = |gates: usize, bad: usize, name: &str, streams: u64| {
        let split = e(AlphaSplit::new(0.05, &vec![1.0; gates]));
        cell(streams, |i| {
            let mut rng = stream(seed, name, i);
            let data: Vec<Vec<Stratum>> = (0..gates)
                .map(|g| Errors::steady("", 0.01, if g < bad { 2.0 } else { 1.0 }).sample(&mut rng))
                .collect();
            let mut tests = vec![e(RateRatio::harm(1.0)); gates];
            (0..360u32).find_map(|step| {
                let mut log_e = vec![];
                for (test, stream) in tests.iter_mut().zip(&data) {
                    test.update(stream[step as usize]).ok()?;
                    log_e.push(test.log_e());
                }
                split.fires(&log_e).ok()?.then_some(STEP * (step + 1))
            })
        })
    };
    print(&Line {
        test: "B12 average of 20 gates",
        null: "20 healthy gates",
        level: family(20, 0, "b12 null", streams),
        alternative: "2 of 20 at x2",
        power: family(20, 2, "b12 harm", streams / 4),
    });
}

pub fn drift(seed: u64, streams: u64) {
    let test = |shift: f64, name: &str, streams: u64| {
        cell(streams, |i| {
            let mut rng = stream(seed, name, i);
            let bucket = |x: f64| ((x + 2.5) / 0.5).floor().clamp(0.0, 9.0) as usize;
            let data: Vec<BucketStratum> = (0..360)
                .map(|_| {
                    let n1 = rng.binomial(1000, 0.05);
                    let mut out = BucketStratum { canary: vec![0; 10], stable: vec![0; 10] };
                    (0..n1).for_each(|_| out.canary[bucket(rng.normal() + shift)] += 1);
                    (n1..1000).for_each(|_| out.stable[bucket(rng.normal())] += 1);
                    out
                })
                .collect();
            fires(e(BucketDrift::new(10, 1.0)), &data)
        })
    };
    print(&Line {
        test: "bucketwise B1 drift, 10 buckets",
        null: "equal laws",
        level: test(0.0, "drift null", streams),
        alternative: "mean +.2 sd",
        power: test(0.2, "drift harm", streams / 4),
    });
}
