//! Two broken copies that must fail the same checks.

use super::levels::{HEIGHT, cell, e, verdict};
use super::report::{Cell, row};
use super::streams::{Errors, Latency, STEP, stream};
use super::table::fires;
use judge::anytime::{Claim, QuantileRatio, RateRatio, Stratum};

pub fn print(seed: u64, streams: u64) {
    let slow = Latency { name: "slow", all: 1.2, tail: 1.0 };
    let null = Latency { name: "null", all: 1.0, tail: 1.0 };
    let (canary, stable) = (slow.law(), null.law());
    let found = |bets: &[f64]| {
        cell(streams / 8, |i| {
            let data = Latency::sample(&canary, &stable, &mut stream(seed, "b7 harm", i), 360);
            let test = e(QuantileRatio::with_bets(0.99, 0, Claim::Harm, bets.to_vec()));
            fires(test, &data)
        })
    };
    let (with_one, without) = (found(&[1.0, 1.5, 2.0, 4.0, 8.0]), found(&[1.5, 2.0, 4.0, 8.0]));
    let blind = if without.share() < 0.1 { "blind, as it must" } else { "SEES, BUT MUST NOT" };
    let line = |name: &str, verdict: &str, power: &Cell| {
        row([name, "-", "-", verdict, "all +20 %", &power.delay()].map(str::to_owned));
    };
    line("B7 with bets 1, 1.5, 2, 4, 8", "ok", &with_one);
    line("broken: B7 without the bet rho = 1", blind, &without);
    // Weight and base rate rise together: the canary's requests come late, when errors are frequent.
    let ramp = Errors { ramp: true, ..Errors::steady("pooled ramp", 0.01, 1.0) };
    let rising = |i: u64| {
        let mut rng = stream(seed, ramp.name, i);
        let mut data = ramp.sample(&mut rng);
        for (step, s) in data.iter_mut().enumerate() {
            let rate = 0.005 * 4f64.powf(step as f64 / 360.0);
            (s.k1, s.k0) = (rng.binomial(s.n1, rate), rng.binomial(s.n0, rate));
        }
        data
    };
    let proper = cell(streams / 2, |i| fires(e(RateRatio::harm(1.0)), &rising(i)));
    let pooled = cell(streams / 2, |i| {
        let mut total = Stratum::default();
        (1..).zip(&rising(i)).find_map(|(step, s)| {
            total.merge(s);
            let mut test = e(RateRatio::harm(1.0));
            test.update(total).ok()?;
            (test.log_e() >= HEIGHT.ln()).then_some(STEP * step)
        })
    });
    for (name, cell) in [("B1 by intervals", &proper), ("broken: B1 on counts pooled over a ramp", &pooled)] {
        let said = if cell.share() > 0.05 { verdict(cell) } else { "ok".to_owned() };
        let null = "equal rates rising with the weight";
        row([name, null, &cell.level(), &said, "", ""].map(str::to_owned));
    }
}
