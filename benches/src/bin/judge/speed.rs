//! Judgements per second for a rollout of 10 gates in 3 segments, and memory per gate.

use super::gates::{TEN, confidence, errors, latency};
use super::streams::{Errors, Latency, sample_scores, scores, stream};
use judge::gate::Gate;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

/// Counts what is held, so that memory is measured and not estimated.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on unchanged; only a counter is kept beside.
#[allow(unsafe_code, reason = "an allocator cannot be written without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Feeds thirty gates for five hours and prints how fast that was and what one of them holds.
fn measure<G: Gate + Clone + serde::Serialize, T>(
    name: &str,
    gate: G,
    data: &[T],
    observe: impl Fn(&mut G, &T) -> Result<(), judge::JudgeError>,
) {
    let before = HELD.load(Relaxed);
    let mut gates = vec![gate; 30];
    let (start, mut judged) = (Instant::now(), 0u32);
    for interval in std::iter::repeat_n(data, 5).flatten() {
        for gate in &mut gates {
            judged += u32::from(observe(gate, interval).is_ok() && gate.answers().harm.is_finite());
        }
    }
    let second = f64::from(judged) / start.elapsed().as_secs_f64();
    let held = (HELD.load(Relaxed) - before) / gates.len();
    let stored = gates.first().and_then(|gate| serde_json::to_string(gate).ok()).map_or(0, |text| text.len());
    println!(
        "{name}: {second:.0} gate judgements a second on one core, {:.0} rollout judgements (30 gates); one gate holds \
         {held} bytes, {stored} as JSON",
        second / 30.0
    );
}

pub fn print() {
    println!(
        "\n**Speed**: 10 gates x 3 segments, an interval and its answers every 10 s for 5 h; bytes are counted by the allocator:\n"
    );
    let data = Errors::steady("speed", 0.01, 1.0).sample(&mut stream(1, "speed", 0));
    measure("errors", errors(1.0), &data, |gate, x| gate.observe(*x, TEN));
    let law = Latency { name: "speed", all: 1.0, tail: 1.0 }.law();
    let data = Latency::sample(&law, &law, &mut stream(1, "speed", 0), 360);
    measure("latency", latency(1), &data, |gate, x| gate.observe(x, TEN));
    let law = scores(1.0);
    let data = sample_scores(&law, &law, &mut stream(1, "speed", 0), 360);
    measure("confidence", confidence(), &data, |gate, x| gate.observe(x, TEN));
}
