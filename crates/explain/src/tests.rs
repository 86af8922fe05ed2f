//! Everything that decides something is said.

mod gates;

use manifest::load;

const MINIMAL: &str = "apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: ranker}
spec:
  stable: {version: v1}
  canary: {version: v2}
";

fn loaded(lines: &str) -> manifest::Loaded {
    let lines: String = lines.lines().map(|line| format!("  {line}\n")).collect();
    let text = format!("{MINIMAL}{lines}");
    load(&text).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

fn said(lines: &str) -> String {
    crate::plan(&loaded(lines).plan, None)
}

/// All of it is said of a rollout with these lines below `spec`.
#[track_caller]
fn says(lines: &str, parts: &[&str]) {
    let said = said(lines);
    parts.iter().for_each(|part| assert!(said.contains(part), "{part:?} is missing in:\n{said}"));
}

#[test]
fn explained_in_plain_words() {
    let plan = loaded("").plan;
    insta::assert_snapshot!(crate::plan(&plan, Some(100.0)));
}

/// Everything that decides something is said.
#[test]
fn whatever_is_not_as_usual_is_explained() {
    #[track_caller]
    fn check(lines: &str, expected: &str) {
        says(lines, &[expected]);
        let usual = said("");
        assert!(!usual.contains(expected), "{expected:?} is said of every rollout");
    }
    check(
        "match: {authority: [a.local, b.local], pathPrefix: /v1, port: 80, direction: inbound}",
        "It owns requests for a.local or b.local under /v1 at port 80 of inbound listeners.\n",
    );
    let sticky = "assignment: {mode: sticky, keys: [{header: x-user}, {cookie: uid}, {sourceAddress: true}]";
    check(
        &format!("{sticky}}}"),
        "by header x-user, else cookie uid, else the client's address; a request without it is drawn by itself, and is no evidence.\n",
    );
    check(&format!("{sticky}, noKey: stable}}"), "a request without it goes to stable.\n");
    check(
        "cohorts: [{name: staff, when: [{header: g, exact: s}], weight: 100%}]",
        "Cohorts have weights of their own, and are no evidence: staff (100% to canary).\n",
    );
    check(
        "overrides: [{when: [{header: f, exact: c}], arm: canary}]",
        "Overrides send the requests they fit to canary, and are no evidence.\n",
    );
    check(
        "rollback: {ramp: [20%, 5%], step: 30s}",
        "it goes back by 20%, 5%, 30s each, and at once where harm is proven",
    );
    check("errorClasses: [timeout, reset]", "Errors are timeout, reset alone.\n");
    check("overdueAfter: 500ms", "In time means an answer that begins within 500ms;");
    check(
        "noData: {after: 2m, action: rollback}",
        "When no proxy's counters can be read for 2m, it goes back to stable.\n",
    );
    check(
        "noData: {action: pause}",
        "When no proxy's counters can be read for 30s, it pauses until they do.\n",
    );
    check("supersede: queue", "Another version that is applied meanwhile waits for its end.\n");
    check("supersede: replace", "Another version that is applied meanwhile aborts it.\n");
    check(
        "guardrails: [{name: cpu, source: {push: {}}, max: 2}]",
        "When cpu cannot be read 4 times in a row, the stage waits on",
    );
    let gate = "name: a, metric: error_rate, against: stable, margin: 2x";
    check(
        &format!("gates: [{{{gate}, startAfter: 5m, minWindow: 10m}}]"),
        "not within the first 15m of a stage",
    );
    check(
        &format!("gates: [{{{gate}, consecutive: 5, every: 2m}}]"),
        "(5 evaluations in a row, one every 2m)",
    );
    check(&format!("gates: [{{{gate}, failureLimit: 2}}]"), "(or 3 evaluations)");
}

const STAGES: &str = "stages:
- {weight: 0%, bake: 1m}
- {weight: 0.5%, bake: 10m}
- {weight: 5%, bake: 1h}
- {weight: 10%, bake: 1h}
- {weight: 25%, bake: 10m}
- {weight: 100%, bake: 10m}
";
const THREE: &str = "arms: [{name: b, version: v3}, {name: c, version: v4}]\n";

#[test]
fn shares_that_follow_the_evidence() {
    says(
        &format!("{STAGES}bandit: {{ceiling: 20%}}"),
        &[
            "  From there its share follows the evidence, between 1% and 10%.",
            "Shares move every 5m at most, in proportion to the probability that of all versions, v1 included, the share of \
             errors is the lowest",
        ],
    );
    says(
        &format!("{THREE}{STAGES}bandit: {{ceiling: 30%}}\nchoose: {{after: 10%}}"),
        &[
            "  From there the shares follow the evidence: each between 1% and 25%, all together up to 30%.",
            "  From there its share follows the evidence, between 1% and 30%.",
        ],
    );
}

#[test]
fn several_versions() {
    says(
        &format!("preset: ab-n\n{THREE}"),
        &[
            "ranker: from v1 to v2 (canary), v3 (b) or v4 (c)",
            "Stage 2: 20% of the traffic to each of them",
            "the share of errors is the lowest is chosen (a wrong one in at most 5% of rollouts)",
            "Stage 3: 50% of the traffic to the chosen one",
            "A version is dropped alone",
            "In at most 5% of rollouts any version as good as stable is dropped by chance",
        ],
    );
}

#[test]
fn models_and_regions() {
    let lines = "regions: {waves: [[eu-west], [us-east, us-west]], abort: 2}
models:
  - {name: retrieval, match: {pathPrefix: /retrieve}, canary: {version: r7}}
  - name: ranking
    match: {pathPrefix: /rank}
    gates: [{name: errors, metric: error_rate, max: 2%}, {name: clicks, source: {push: {}}, min: 0.1}]";
    let said = crate::document(&loaded(lines), None);
    for part in [
        "ranker: 6 runs that belong together",
        "retrieval, ranking go up together",
        "Wave 2: then us-east, us-west.",
        "When 2 regions have gone back, all do.",
        "ranker.ranking.eu-west: from v1 to v2",
    ] {
        assert!(said.contains(part), "{part:?} is missing in:\n{said}");
    }
    assert!(!said.contains("ranker.ranking.us-east"), "regions differ in nothing:\n{said}");
}

#[test]
fn what_is_kept_and_who_is_told() {
    says(
        "keepWarm: {for: 2h, hook: {url: 'http://d/keep'}, endpoints: ['http://c'], jsonPointer: /v}
after: {succeeded: {url: 'http://d/gone'}, rolledBack: {command: [drop, it]}}",
        &[
            "After a promotion http://d/keep is asked to put v1 behind the canary route, for 2h",
            "`serin rollback ranker` then gives it all traffic at once",
            "After a promotion, when nothing is kept any longer, http://d/gone is asked to delete v1.",
            "After a rollback, when nothing is kept any longer, `drop it` is run to delete v2.",
        ],
    );
    says(
        "handBack: {kubernetes: {namespace: models, deployment: ranker, image: 'r:{{version}}'}}",
        &["Deployment models/ranker is given the image r:v2"],
    );
}

#[test]
fn what_is_tried_between_runs() {
    says(
        "windows: {timeZone: Europe/Berlin, freezes: [{from: 2026-12-21, to: 2027-01-01}]}
practice: {drill: {at: [{days: [mon], time: '09:00'}]}, aa: {every: 30d, duration: 2h, share: 20%}}",
        &[
            "Between runs, by itself:\n",
            "  Mon 09:00, Europe/Berlin: the rollback path is tried; nobody is exposed; every way back must be done within 30s.\n",
            "  every 30d: stable is judged against itself; 20% of stable's traffic is counted apart, for 2h.\n",
            "  A drill that something is in the way of begins up to 1h late, else it is missed.\n",
            "  Not in freezes;",
        ],
    );
    assert!(!said("").contains("by itself:"));
}

#[test]
fn a_watch_after_the_promotion() {
    let with = |watch: &str| {
        format!(
            "confidence: {{fromHeader: x-sure}}\ngates:\n\
             - {{name: e, metric: error_rate, against: stable, margin: 1.5x, harm: 2x, ignoreBelow: 0.1%}}\n\
             - {{name: c, metric: confidence_mean, against: stable, margin: 2%}}\n\
             - {{name: m, metric: gone_rate, max: 5%, failAbove: 6%}}\nwatch: {watch}"
        )
    };
    says(
        &with("{}"),
        &[
            "People are told, for 1d from then on, when it is proven of v2 that",
            "  e: the share of errors is above 2 times what it was and above 0.1%\n",
            "  c: the model's mean confidence is more than 2% below what it was\n",
            "  m: the share of clients that went away is above 6%\n",
            "at most 1% of weeks",
        ],
    );
    says(
        &with("{for: always, alpha: 0.02, gates: [{name: m, margin: 1pp}, {name: e, margin: 3x}]}"),
        &[
            "until the next run begins",
            "away is more than 1 percentage points above what it was, or above 6%",
            "errors is above 3 times what it was",
            "at most 2% of weeks",
        ],
    );
    says("", &["After that nothing is watched"]);
}

#[test]
fn a_shadow_before_anybody_is_exposed() {
    says(
        "stages: [{shadow: 10%, bake: 1m}, {weight: 1%, bake: 1m}, {weight: 100%, bake: 1m}]",
        &[
            "for at least 1m, until errors pass (errors wants",
            "Answer times of copies are told and decide nothing",
        ],
    );
}
