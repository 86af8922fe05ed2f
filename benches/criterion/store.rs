//! What it costs to write a decision down: `Store::save`, one transaction that is on the disk when it returns.
//!
//! A figure is the time of one save to a file beside the build. It is the disk's more than the processor's (SQLite in WAL
//! mode with `synchronous=FULL`: one sync a save), so it says how long a rollback waits for this disk before it is
//! published; on a folder in memory it says what encoding and SQLite take.

#![allow(clippy::expect_used, missing_docs, reason = "a bench that cannot begin has nothing to say")]

use std::path::Path;

use benches::Run;
use criterion::{Criterion, criterion_group, criterion_main};
use rollout::Event;
use store::{Change, Entry, Kind, Sample, Store, Writing};

fn saves(criterion: &mut Criterion) {
    let mut run = Run::begin().expect("the default preset");
    run.look(240);
    let event = Event::Interval(Box::new(run.next_look()));
    let samples = Vec::from_iter(Sample::of(&run.state, &event, 1_763_700_000_000));
    let entries = [
        Entry {
            why: Some("the errors of v2".to_owned()),
            ..Entry::new(1_763_700_000_000, Kind::Record, "rolled back")
        },
        Entry::new(1_763_700_000_000, Kind::Publish, "0 %"),
    ];
    let dir = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).expect("a folder");
    let mut store = Store::open(&dir.path().join("serin.db")).expect("a new store");
    let mut group = criterion.benchmark_group("store");
    let mut generation = 0;
    let mut bench = |name: &str, entries: &[Entry], samples: &[Sample]| {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                generation += 1;
                let (spec, state) = (run.spec.as_str(), &run.state);
                let writing = Writing { spec, state, generation, entries, samples };
                let change = Change { runs: &[writing], generation, ..Change::default() };
                store.commit(&change).expect("written");
            });
        });
    };
    bench("a decision", &entries, &samples);
    bench("a look, nothing decided", &[], &samples);
    group.finish();
}

criterion_group!(benches, saves);
criterion_main!(benches);
