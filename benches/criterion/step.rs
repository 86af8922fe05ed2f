//! What one look of a whole run costs: `rollout::step` with one `Event::Interval`.
//!
//! A figure is the time of one step on one core, for a run of the default preset (three gates, three guardrails) at 100
//! requests a second: what the controller pays a second for each run, without reading counters and without the disk.

#![allow(clippy::expect_used, missing_docs, reason = "a bench that cannot begin has nothing to say")]

use std::hint::black_box;

use benches::Run;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use rollout::{Event, step};

fn looks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    for (name, looks) in [("after ten seconds", 10), ("after four minutes", 240)] {
        let mut run = Run::begin().expect("the default preset");
        run.look(looks);
        let (event, now) = (Event::Interval(Box::new(run.next_look())), run.now());
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || run.state.clone(),
                |state| black_box(step(state, black_box(&event), now)),
                BatchSize::SmallInput,
            );
        });
    }
    // What a tick costs, where nothing is due.
    let mut run = Run::begin().expect("the default preset");
    run.look(240);
    group.bench_function("a tick", |bencher| {
        bencher.iter_batched(
            || run.state.clone(),
            |state| black_box(step(state, &Event::Tick, run.now())),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, looks);
criterion_main!(benches);
