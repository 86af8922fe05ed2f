//! What is watched after the promotion.

use super::MINIMAL;
use super::problems::check as problems;
use crate::load;

#[test]
fn a_watch_is_read() {
    #[track_caller]
    fn check(watch: &str, for_ms: Option<u64>, rooms: &[Option<(f64, f64)>]) {
        let text = format!(
            "{MINIMAL}  confidence: {{fromHeader: x-sure}}\n  gates:\n  \
             - {{name: e, metric: error_rate, against: stable, margin: 1.5x, harm: 2x, ignoreBelow: 0.1%}}\n  \
             - {{name: c, metric: confidence_mean, against: stable, margin: 2%}}\n  \
             - {{name: m, metric: gone_rate, max: 5%, failAbove: 6%}}\n  watch: {watch}\n"
        );
        let plan = load(&text).unwrap().plan;
        let watch = plan.watch.unwrap();
        let read: Vec<_> =
            watch.gates.iter().map(|watched| watched.room.map(|room| (room.margin, room.points))).collect();
        assert_eq!((watch.for_ms, read.as_slice()), (for_ms, rooms));
    }
    // Never less room than harm has in the run.
    check("{}", Some(86_400_000), &[Some((2.0, 0.0)), Some((0.02, 0.0)), None]);
    check(
        "{for: always, alpha: 0.02, gates: [{name: m, margin: 1pp}, {name: e, margin: 3x}]}",
        None,
        &[Some((1.0, 0.01)), Some((3.0, 0.0))],
    );
}

#[test]
fn what_cannot_be_watched() {
    problems(
        "gates: [{name: errors, metric: error_rate, against: stable, margin: 2x}, {name: clicks, source: {push: {}}, max: 1}]\nwatch:\n  for: 0s\n  alpha: 1\n  gates:\n  - {name: nope}\n  - {name: clicks}\n  - {name: errors, margin: 1x}\n  - {name: errors}",
        &[
            "error (line 9): spec.watch.for: it would be over at once; write a time such as 24h, or leave spec.watch out",
            "error (line 10): spec.watch.alpha: 1 is not a chance of error; use a number above 0 and below 0.5, such as 0.05",
            "error (line 12): spec.watch.gates[0].name: there is no gate \"nope\"; use one of errors, clicks",
            "error (line 13): spec.watch.gates[1].name: \"clicks\" is not counted; leave it out: readings of a source are numbers without counts, of which nothing can be proven",
            "error (line 14): spec.watch.gates[2].margin: it leaves no room at all; widen it: no two hours of a service are exactly alike",
            "error (line 15): spec.watch.gates[3].name: \"errors\" stands there twice; keep one",
        ],
    );
    problems(
        "gates: [{name: clicks, source: {push: {}}, max: 1}]\nwatch: {for: ever}",
        &[
            "error (line 8): spec.watch.for: \"ever\" is not a time such as 12h or 7d, or always; write it in one of these ways",
        ],
    );
    problems(
        "gates: [{name: clicks, source: {push: {}}, max: 1}]\nwatch: {}",
        &[
            "error (line 8): spec.watch: there is nothing to watch: no gate is counted; add a gate on what the proxies count, such as error_rate, or leave spec.watch out",
        ],
    );
}
