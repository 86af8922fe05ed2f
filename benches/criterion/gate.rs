//! What one look of a gate costs, by its kind: an interval observed, and its answers.
//!
//! A figure is the time of one look on one core, at a gate that has seen an hour of them: 100 requests a second, 5 % canary,
//! a look every ten seconds. A run pays it for each of its gates and guardrails.

#![allow(clippy::expect_used, missing_docs, reason = "a bench that cannot begin has nothing to say")]

use std::collections::BTreeMap;
use std::hint::black_box;

use benches::{Behaviour, Dice};
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, criterion_group, criterion_main};
use judge::JudgeError;
use judge::anytime::{Better, Bins, Scale, ScoreStratum, Stratum, TailStratum, Trials};
use judge::classical::Margin;
use judge::gate::{
    Gate, Limits, RateGate, RateLimit, RateRules, ScoreGate, ScoreRules, Span, TailGate, TailRules,
};
use rollout::Counts;

const LOOKS: usize = 360;
const REQUESTS: u64 = 1_000;
const SPAN: Span = Span { ms: 10_000, of_stage: true };
const SCALE: Scale = Scale { min: 0.0, max: 1.0, better: Better::Higher };

/// Looks at both arms, canary first.
fn looks() -> Vec<[Counts; 2]> {
    let (mut dice, usual) = (Dice::seeded(1), Behaviour::usual());
    let look = |_| {
        let n = dice.binomial(REQUESTS, 0.05);
        [n, REQUESTS - n].map(|n| usual.counts(&mut dice, n, 0.01))
    };
    (0..=LOOKS).map(look).collect()
}

fn bins(counts: &Counts) -> Bins {
    counts.latency.0.iter().map(|(bin, n)| (i32::from(*bin), *n)).collect::<BTreeMap<_, _>>()
}

fn bench<G: Gate + Clone, T>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    mut gate: G,
    looks: &[T],
    observe: impl Fn(&mut G, &T) -> Result<(), JudgeError>,
) {
    let (next, before) = looks.split_last().expect("looks");
    for look in before {
        observe(&mut gate, look).expect("counts that can be");
    }
    group.bench_function(name, |bencher| {
        let look = |gate: &mut G| {
            observe(gate, black_box(next)).expect("counts that can be");
            black_box(gate.answers())
        };
        bencher.iter_batched_ref(|| gate.clone(), look, BatchSize::SmallInput);
    });
}

fn gates(criterion: &mut Criterion) {
    let looks = looks();
    let mut group = criterion.benchmark_group("gate");

    let rates: Vec<Stratum> = looks
        .iter()
        .map(|[canary, stable]| Stratum::new(canary.outcomes, canary.errors, stable.outcomes, stable.errors))
        .collect();
    let rules = RateRules {
        harm: 1.05,
        harm_points: 0.0,
        margin: 2.0,
        margin_points: 0.0,
        ignore_below: 0.0,
        pass_below: 0.01,
    };
    let gate = RateGate::new(rules).expect("rules");
    bench(&mut group, "errors against stable", gate, &rates, |gate, look| gate.observe(*look, SPAN));
    let gate = RateLimit::new(Limits { fail: 0.05, pass: 0.05, two: false }).expect("limits");
    bench(&mut group, "guardrail on errors", gate, &rates, |gate, look| {
        gate.observe([Trials { n: look.n1, k: look.k1 }; 3], SPAN)
    });

    let times: Vec<TailStratum> = looks
        .iter()
        .map(|[canary, stable]| TailStratum { canary: bins(canary), stable: bins(stable) })
        .collect();
    let rules = TailRules {
        harm_bins: 3,
        margin_bins: 5,
        late: false,
        more_beyond: 1.5,
        tail: 0.01,
        top: i32::from(tally::LATENCY_TOP),
    };
    let gate = TailGate::new(rules).expect("rules");
    bench(&mut group, "latency_p99 against stable", gate, &times, |gate, look| gate.observe(look, SPAN));

    let scores: Vec<ScoreStratum> = looks
        .iter()
        .map(|[canary, stable]| {
            let (one, zero) = (canary.confidence, stable.confidence);
            let (sum1, squares1, sum0, squares0) = (one.sum, one.sum_squares, zero.sum, zero.sum_squares);
            ScoreStratum { n1: one.n, sum1, squares1, n0: zero.n, sum0, squares0 }
        })
        .collect();
    let (harm, margin) = (Margin::Relative(0.01), Margin::Relative(0.02));
    let gate = ScoreGate::new(ScoreRules { scale: SCALE, harm, margin, late: false }).expect("rules");
    bench(&mut group, "confidence against stable", gate, &scores, |gate, look| gate.observe(look, SPAN));
    group.finish();
}

criterion_group!(benches, gates);
criterion_main!(benches);
