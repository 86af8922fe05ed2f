//! What is said of gates that ask for more than a limit.

use super::MINIMAL;
use super::problems::check;
use crate::{explain, load};

#[test]
fn what_is_done_between_good_and_bad_is_checked() {
    let gate = |more: &str| {
        format!(
            "gates: [{{name: a, metric: error_rate, against: stable, margin: 2x, max: 1%, failAbove: 5%, {more}}}]"
        )
    };
    let at = "(line 7): spec.gates[0]";
    check(&gate("onMarginal: reanalyze, reanalyses: 2, marginalLimit: 3, maxHold: 30m"), &[]);
    check(
        &gate("reanalyses: 2"),
        &[&format!(
            "error {at}.reanalyses: nothing is measured again; write `onMarginal: reanalyze`, or leave it out"
        )],
    );
    check(
        &gate("onMarginal: reanalyze, reanalyses: 0, maxHold: 0s"),
        &[
            &format!("error {at}.reanalyses: 0 times is never; write 1 or more, or `onMarginal: hold`"),
            &format!(
                "error {at}.maxHold: it would not be held at all; write a time such as 30m, or `onMarginal: escalate`"
            ),
        ],
    );
    check(
        &gate("onMarginal: escalate, maxHold: 30m"),
        &[&format!(
            "error {at}.maxHold: it is never held: a person is asked at once; leave it out, or write `onMarginal: hold` to wait before a person is asked"
        )],
    );
    check(
        &gate("marginalLimit: 1, every: 0s"),
        &[&format!("error {at}.every: there is no time between two evaluations; write a time such as 1m")],
    );
    check(
        &gate("marginalLimit: 1"),
        &[&format!(
            "warning {at}.marginalLimit: gate a is held below it and beyond it, until the deadline; set `maxHold`, or `onMarginal: reanalyze` or `escalate`"
        )],
    );
    check(
        "gates: [{name: a, metric: error_rate, against: stable, margin: 2x, onMarginal: escalate}]",
        &[&format!(
            "warning {at}.onMarginal: nothing lies between what passes gate a and what fails it; set `failAbove` beside `max` (`failBelow` beside `min`), or a `harm` beyond the `margin`"
        )],
    );
}

#[test]
fn what_happens_between_good_and_bad_is_explained() {
    #[track_caller]
    fn check(policy: &str, expected: &str) {
        let gate =
            format!("{{name: a, source: {{push: {{}}}}, min: 0.95, failBelow: 0.9, every: 2m, {policy}}}");
        let plan = load(&format!("{MINIMAL}  gates: [{gate}]\n")).unwrap().plan;
        let said = explain(&plan, None);
        assert!(said.contains(&format!("Between good and bad\n  a: {expected}\n")), "{policy}: {said}");
    }
    check("onMarginal: hold", "held until the deadline");
    check("maxHold: 30m", "held for 30m, then a person is asked");
    check(
        "onMarginal: escalate, marginalLimit: 3",
        "after more than 3 evaluations, one every 2m, a person is asked",
    );
    check("onMarginal: reanalyze", "measured again once, then held until the deadline");
    check(
        "onMarginal: reanalyze, reanalyses: 3, maxHold: 1h",
        "measured again up to 3 times, then held for 1h, then a person is asked",
    );
    let plain = explain(&load(MINIMAL).unwrap().plan, None);
    assert!(!plain.contains("Between good and bad"), "{plain}");
}
