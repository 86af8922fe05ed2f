//! Judgements per second for a rollout of 10 gates in 3 segments, and memory per gate.

use super::streams::{Errors, stream};
use judge::gate::{GateSettings, RateGate};
use std::time::Instant;

pub fn print() {
    let data = Errors::steady("speed", 0.01, 1.0).sample(&mut stream(1, "speed", 0));
    let gate = || RateGate::new(GateSettings::new("errors"), 1.0, 1.5, 0.0);
    let Ok(mut gates) = (0..30).map(|_| gate()).collect::<Result<Vec<_>, _>>() else { return };
    let start = Instant::now();
    let mut judged = 0u32;
    for _ in 0..5 {
        for stratum in &data {
            for gate in &mut gates {
                if gate.observe(*stratum).is_ok() {
                    judged += u32::from(!gate.finding(false).why.is_empty());
                }
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("\n**Speed**: 10 gates x 3 segments, observe and finding each 10 s for 5 h:");
    println!(
        "{:.0} gate judgements a second, {:.0} rollout judgements (30 gates) a second on one core",
        f64::from(judged) / seconds,
        f64::from(judged) / seconds / 30.0
    );
    let stored = gates.first().and_then(|g| serde_json::to_string(g).ok()).map_or(0, |s| s.len());
    // 321 points of the confidence sequence, 16 evidence values at up to 64 restarts, grids and priors.
    let held = size_of::<RateGate>() + 8 * (321 + 65 * 16 + 5 * 16);
    println!("memory per rate gate: about {held} bytes held, {stored} bytes stored as JSON");
}
