//! What is tried between runs by itself: what may be written, what is warned of, how it is stored.

use super::MINIMAL;
use crate::{ExerciseKind, load};

/// What `load` says of these lines under `spec.practice`.
#[track_caller]
fn check(lines: &str, expected: &[&str]) {
    let text = format!("{MINIMAL}  practice: {{{lines}}}\n");
    let said = match load(&text) {
        Ok(loaded) => loaded.warnings,
        Err(problems) => problems.0,
    };
    let said: Vec<String> =
        said.iter().map(|problem| problem.to_string().replace(" (line 7): spec.practice", "")).collect();
    assert_eq!(said, expected, "{lines}");
}

#[test]
fn what_is_wrong_with_it_is_said() {
    check("", &["error: neither drill nor aa is set; name drill or aa, or leave the field out"]);
    check(
        "drill: {}, aa: {every: 1h, at: [{time: '09:00'}]}",
        &[
            "error.drill: neither every nor at is set; write every: 7d, or at: [{days: [mon], time: '09:00'}]",
            "error.aa.at: every is given as well; keep one of the two",
        ],
    );
    check(
        "drill: {every: 500ms, within: 1h, weight: 6%, limit: 0s}",
        &[
            "error.drill.weight: a drill proves the way back, not the version; write 5% or less",
            "error.drill.limit: nothing comes back in no time; write a time such as 30s",
            "error.drill.every: it would be tried all the time; write a time such as 7d",
            "error.drill.within: what is done `every` so often is never too late; leave it out, or name times with `at`",
        ],
    );
    check(
        "aa: {at: [{days: [mon], time: '9:00'}], within: 0s, share: 60%, duration: 1s}",
        &[
            "error.aa.share: 60% cannot be the second part's share; write more than 0% and at most 50%",
            "error.aa.duration: 1s is too short or too long; write 10s to 7d",
            "error.aa.within: nothing begins at the very moment it is due; write a time such as 1h",
            "error.aa.at[0].time: \"9:00\" is not a time of day; write hours and minutes, such as '09:30' (in quotes)",
        ],
    );
    let push = "gates: [{name: own, source: {push: {}}, min: 1, startAfter: 10m}]";
    let text = format!("{MINIMAL}  {push}\n  practice: {{aa: {{every: 7d}}}}\n");
    let said = load(&text).expect_err("nothing to compare").to_string();
    assert!(said.contains("spec.practice.aa: no gate compares"), "{said}");
}

#[test]
fn what_is_probably_not_wished_is_warned_of() {
    check("drill: {every: 7d}, aa: {at: [{days: [mon], time: '09:00'}]}", &[]);
    check(
        "drill: {every: 1m}, aa: {at: [{time: '09:00'}, {time: '09:30'}]}",
        &[
            "warning.drill.every: it is due again after 1m, and a drill that finds a proxy late takes 5m; allow more time between two",
            "warning.aa.at: it is due again after 30m, and an A/A check takes up to 1h; allow more time between two",
        ],
    );
    check(
        "drill: {every: 7d, weight: 0.1%}, aa: {every: 7d, deployed: true}",
        &[
            "warning.drill.weight: 0.1% of the traffic goes to the canary's route between runs, where v2 may be gone by then; keep the canary deployed between runs, or leave this out: nobody is exposed then",
            "warning.aa.deployed: 5% of the traffic goes to the canary's route between runs, where v2 may be gone by then; keep the canary deployed between runs, or leave this out: nobody is exposed then",
        ],
    );
    let windows = "  windows: {open: [{days: [mon, tue], from: '22:00', to: '04:00'}]}\n";
    for (time, closed) in [
        ("{days: [wed], time: '03:59'}", false),
        ("{days: [wed], time: '04:00'}", true),
        ("{days: [sun, mon], time: '23:00'}", false),
        ("{days: [thu], time: '23:00'}", true),
    ] {
        let text = format!("{MINIMAL}{windows}  practice: {{drill: {{at: [{time}], weight: 1%}}}}\n");
        let warnings = load(&text).expect("a rollout").warnings;
        let said = warnings.iter().any(|warning| warning.what.contains("the windows are closed then"));
        assert_eq!(said, closed, "{time}");
    }
}

#[test]
fn it_is_stored() {
    let lines = "  windows: {timeZone: Europe/Berlin, freezes: [{from: 2026-12-21, to: 2027-01-01}]}\n  \
                 practice: {drill: {at: [{days: [mon], time: '09:00'}]}, aa: {every: 30d, duration: 2h, share: 20%}}\n";
    let plan = load(&format!("{MINIMAL}{lines}")).expect("a rollout").plan;
    let text = serde_json::to_string(&plan).expect("JSON");
    assert_eq!(serde_json::from_str::<crate::Plan>(&text).expect("read back"), plan);
    let practice = plan.practice.expect("practice");
    assert!(ExerciseKind::ALL.iter().all(|what| !practice.exposes(*what)));
    let without = load(MINIMAL).expect("a rollout").plan;
    assert!(without.practice.is_none());
}
