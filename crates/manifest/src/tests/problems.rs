//! What is said of a text that is not as it should be.

use super::MINIMAL;
use crate::load;

/// Each text is the minimal rollout with lines added to its spec; expected is what `load` says of it.
#[track_caller]
pub(super) fn check(lines: &str, expected: &[&str]) {
    let text = format!("{MINIMAL}{}", lines.lines().map(|line| format!("  {line}\n")).collect::<String>());
    let said = match load(&text) {
        Ok(loaded) => loaded.warnings,
        Err(problems) => problems.0,
    };
    let said: Vec<String> = said.iter().map(ToString::to_string).collect();
    // Most texts are about one gate; that it stands in the place of others is told of those that say so.
    let of_preset = |said: &str| said.contains("replace those of preset");
    let wanted = expected.iter().any(|said| of_preset(said));
    let said: Vec<String> = said.into_iter().filter(|said| wanted || !of_preset(said)).collect();
    assert_eq!(said, expected, "{text}");
}

#[test]
fn a_budget_of_nothing_is_refused_and_a_small_one_warned_of() {
    check(
        "budget: {requests: 0}",
        &[
            "error (line 7): spec.budget.requests: the first request would end the rollout; allow some, or leave the field out",
        ],
    );
    let text = format!(
        "{MINIMAL}  budget: {{requests: 500}}\n  stages: [{{weight: 5%, bake: 1m}}, {{weight: 100%, bake: 1m}}]\n"
    );
    let at =
        |rate| crate::lint(&text, Some(rate)).iter().any(|problem| problem.field == "spec.budget.requests");
    assert_eq!((at(100.0), at(200.0)), (false, true));
}

#[test]
fn a_shadow_is_a_stage_before_anybody_is_exposed() {
    check("stages: [{shadow: 10%, bake: 1m}, {weight: 1%, bake: 1m}, {weight: 100%, bake: 1m}]", &[]);
    check(
        "stages: [{bake: 1m}, {weight: 5%, shadow: 5%, bake: 1m}, {shadow: 0%, bake: 1m}, {weight: 100%, bake: 1m}]",
        &[
            "error (line 7): spec.stages[0].weight: it says neither weight nor shadow; give the canary's share, such as 5%",
            "error (line 7): spec.stages[1].shadow: the stage has a weight too (5%); keep one of the two: a shadow is for before anybody is exposed",
            "error (line 7): spec.stages[2].shadow: a shadow of 0% is none; raise it, or write `weight: 0%`",
            "error (line 7): spec.stages[2].weight: 0% is not above the stage before it (5%); raise it, or join the two stages: a rollout only goes up",
        ],
    );
    check(
        "stages: [{shadow: 10%, bake: 1m}, {shadow: 5%, bake: 1m, gates: [overdue]}, {weight: 100%, bake: 1m}]",
        &[
            "error (line 7): spec.stages[1].gates[0]: overdue does not show in a shadow, whose answers are thrown away; keep error_rate, latency_p99 and gates with a source of their own",
            "error (line 7): spec.stages[1].shadow: a shadow of 5% is not above the stage before it (a shadow of 10%); raise it, or join the two stages: a rollout only goes up",
        ],
    );
    check(
        "stages: [{shadow: 10%, bake: 1m, gates: [latency]}, {weight: 1%, bake: 1m}, {weight: 100%, bake: 1m}]",
        &[
            "warning (line 7): spec.stages[0].gates: the stage ends by time alone; name a hard gate on errors, or on figures of your own: answer times of copies decide nothing",
        ],
    );
    check(
        "routing: {clusters: {canary: ''}}",
        &[
            "error (line 7): spec.routing.clusters.canary: \"\" is no cluster's name; write it as Envoy's /clusters shows it, or leave the field out",
        ],
    );
}

#[test]
fn problems_name_line_field_and_remedy() {
    check(
        "stages: [{weight: 10, bake: 5m}]",
        &[
            "error (line 7): spec.stages[0].weight: \"10\" is not a percentage from 0% to 100% in steps of 0.0001%, such as 5% or 0.1%; write it in one of these ways",
        ],
    );
    check(
        "stage: []",
        &["error (line 7): spec.stage: there is no such field; write `stages`, if that is meant"],
    );
    check(
        "stages: [{weight: 5%, bake: 5, deadline: [1h]}]\ngates: [{name: a, metric: errors, max: true, hard: 1}]\nassignment: {keys: [{heder: x}, x]}\nrouting: x\nbaseline: 1",
        &[
            "error (line 7): spec.stages[0].bake: \"5\" is not a time such as 500ms, 30s, 10m or 1h30m; write it in one of these ways",
            "error (line 7): spec.stages[0].deadline: a list stands where an amount belongs; write it in one of these ways",
            "error (line 8): spec.gates[0].metric: \"errors\" is not known here; use one of error_rate, latency_p99, confidence_mean, overdue, gone_rate, retry_rate, answer_error_rate, unseen_rate, refusal_rate, empty_rate, invalid_rate, time_to_first_token_p95, time_per_output_token_p95",
            "error (line 8): spec.gates[0].max: true or false stands where an amount belongs; write it in one of these ways",
            "error (line 8): spec.gates[0].hard: there is no such field; write `harm`, if that is meant",
            "error (line 9): spec.assignment.keys[0]: it is not exactly one of these fields; write one of header, cookie, query, sourceAddress",
            "error (line 9): spec.assignment.keys[1]: the text \"x\" stands here; write one of header, cookie, query, sourceAddress",
            "error (line 10): spec.routing: the text \"x\" stands here; write a mapping, that is fields with values",
            "error (line 11): spec.baseline: the number 1 stands here; write true or false",
        ],
    );
    check(
        "stages: {",
        &[
            "error (line 7): expected sequence start at line 7, column 11; compare with `serin explain --schema`",
        ],
    );
    check(
        "preset: fast",
        &[
            "error (line 7): spec.preset: there is no preset \"fast\"; use one of default, hour, ml-hour, standard, aggressive, conservative, three-step, ranking, triggers, dark, shadow, ab-n, blue-green",
        ],
    );
    check(
        "stages:\n- {weight: 5%, bake: 5m}\n- {weight: 3%, bake: 5m, gates: [nope]}",
        &[
            "error (line 9): spec.stages[1].gates[0]: there is no gate \"nope\"; use one of errors, latency, overdue, or add it to spec.gates",
            "error (line 9): spec.stages[1].weight: 3% is not above the stage before it (5%); raise it, or join the two stages: a rollout only goes up",
            "error (line 9): spec.stages[1].weight: the last stage is at 3%; add a stage with weight 100%: the new version is not promoted before it bore all traffic",
        ],
    );
    check(
        "gates:\n- {name: a, metric: error_rate}\n- {name: a}\n- {name: b, metric: latency_p99, max: 1%}",
        &[
            "error (line 8): spec.gates[0]: gate \"a\" sets no limit; add `max`, or `against: stable` with a `margin`",
            "error (line 9): spec.gates[1].name: \"a\" stands there twice; rename one",
            "error (line 10): spec.gates[2].max: 1% is no limit for latency_p99; use a time such as 500ms",
        ],
    );
    check(
        "gates: [{name: a, metric: confidence_mean, max: 0.5}]",
        &[
            "error (line 7): spec.gates[0].metric: nothing says where the model's confidence is read; add spec.confidence with fromHeader, the response header in which the model reports it, or fromBody, where it stands in the answer",
            "error (line 7): spec.gates[0].max: a confidence_mean is never too large; use min",
            "error (line 7): spec.gates[0]: gate \"a\" sets no limit; add `min`, or `against: stable` with a `margin`",
        ],
    );
    check(
        "gates: [{name: a, metric: refusal_rate, max: 1%}]",
        &[
            "error (line 7): spec.gates[0].metric: nothing asks for the bodies that refusal_rate is of; add spec.answer with the format of the answers, such as `answer: {format: openai}`",
        ],
    );
    check(
        "answer: {format: json}\ngates: [{name: a, metric: refusal_rate, max: 1%}, {name: b, metric: invalid_rate, max: 1%}]",
        &[
            "error (line 8): spec.gates[0].metric: the format of the answers tells nothing of refusal_rate; set spec.answer.format to openai, anthropic or generate, or leave the gate out",
            "error (line 8): spec.gates[1].metric: nobody asks the models for JSON; set spec.answer.expectsJson to true, or leave the gate out",
        ],
    );
    check(
        "answer: {format: openai}\ngates: [{name: a, metric: time_per_output_token_p95, max: 5%}]",
        &[
            "error (line 8): spec.gates[0].max: 5% is no limit for time_per_output_token_p95; use a time such as 500ms",
        ],
    );
    check(
        "confidence: {range: {min: 0, max: 2}}",
        &[
            "error (line 7): spec.confidence: nothing says where the model's confidence is read; add fromHeader, the response header that carries it, or fromBody, a JSON pointer to it such as /predictions/0/score",
        ],
    );
    check(
        "confidence: {fromHeader: x-c, fromBody: predictions}\nanswer: {maxOpen: 0, maxBytes: 0}",
        &[
            "error (line 7): spec.confidence.fromBody: it is read in a header as well; keep one of fromHeader and fromBody",
            "error (line 7): spec.confidence.fromBody: \"predictions\" is no JSON pointer; a JSON pointer begins with `/`, as in `/predictions/0/score`; an empty one is the whole document",
            "error (line 8): spec.answer.maxBytes: it is out of its bounds; between 1 and 67108864",
            "error (line 8): spec.answer.maxOpen: 0 is no bound; write a number from 1 to 10000",
        ],
    );
    check(
        "answer: {class: {at: /a~2, names: []}, failedWhen: [{at: b}]}",
        &[
            "error (line 7): spec.answer.class.at: \"/a~2\" is no JSON pointer; `~` is written `~0` in a pointer, and `/` within a name `~1`",
            "error (line 7): spec.answer.failedWhen[0].at: \"b\" is no JSON pointer; a JSON pointer begins with `/`, as in `/predictions/0/score`; an empty one is the whole document",
        ],
    );
    check(
        "gates: [{name: a, metric: overdue, against: stable, margin: 1x}]",
        &[
            "error (line 7): spec.gates[0].margin: it leaves no room at all; widen it: no number of requests proves two versions exactly alike",
        ],
    );
    check(
        "gates: [{name: a, metric: error_rate, margin: 2x, max: 1%, failAbove: 0.5%}]",
        &[
            "error (line 7): spec.gates[0].failAbove: what fails (0.005) is better than what passes (0.01); exchange the two",
            "error (line 7): spec.gates[0].margin: there is nothing it could be measured from; add `against: stable`",
        ],
    );
    check(
        "assignment: {mode: sticky}",
        &[
            "error (line 7): spec.assignment.keys: sticky assignment has no key; say where a user's key is found, such as {header: x-user-id}",
        ],
    );
    check(
        "assignment: {keys: [{header: x-user}]}",
        &[
            "error (line 7): spec.assignment.keys: random assignment looks at no key; add `mode: sticky`, or leave the keys out",
        ],
    );
    check(
        "cohorts: [{name: staff, when: [{header: a, cookie: b, exact: c}], weight: 100%}]",
        &[
            "error (line 7): spec.cohorts[0].when[0]: it looks at none or several places; keep one of header, cookie, query and path",
        ],
    );
    check(
        "handBack: {hook: {}, endpoints: [stable], steps: [50%, 60%]}",
        &[
            "error (line 7): spec.handBack.hook: it is not exactly one of url and command; keep one of the two",
            "error (line 7): spec.handBack.endpoints[0]: \"stable\" is not a URL; begin with http:// or https:// and a host",
            "error (line 7): spec.handBack.steps: the weights do not fall; write each lower than the one before it",
            "error (line 7): spec.handBack.steps: the last weight is not 0%; end with 0%",
        ],
    );
    check(
        "lease: {intervals: 1}\nerrorClasses: []\noverdueAfter: 0s\nalpha: {gates: 0}",
        &[
            "error (line 7): spec.lease.intervals: one lost answer would end a lease of 1; use 2 or more; 5 is the default",
            "error (line 8): spec.errorClasses: no outcome counts as an error; name some, or leave the field out",
            "error (line 9): spec.overdueAfter: every request would be overdue; write a time such as 2s",
            "error (line 10): spec.alpha.gates: 0 is not a chance of error; use a number above 0 and below 0.5, such as 0.05",
        ],
    );
    check(
        "match: {pathPrefix: api, authority: ['http://x'], port: 0}",
        &[
            "error (line 7): spec.match.authority[0]: \"http://x\" is not a host name; write it as in the Host header, without a port",
            "error (line 7): spec.match.pathPrefix: \"api\" fits no path; begin with '/'",
            "error (line 7): spec.match.port: there is no port 0; write the listener's port, or leave the field out",
        ],
    );
}

#[test]
fn warnings_name_line_field_and_remedy() {
    check(
        "stages: [{weight: 10%, bake: 5m}, {weight: 100%, bake: 5m}]",
        &[
            "warning (line 7): spec.stages[0].weight: the first exposed stage is at 10%; begin with 5% or less, so that a bad version meets few users",
        ],
    );
    check(
        "gates: [{name: a, metric: error_rate, max: 1%}]",
        &[
            "warning (line 7): spec.gates[0]: gate a knows a fixed limit alone: trouble that both versions share would fail it; add `against: stable` with a margin, on this gate or another of its metric",
        ],
    );
    check(
        "assignment: {mode: sticky, keys: [{header: x-user}]}",
        &[
            "warning (line 4): spec.preset: gate latency takes the more requests the more each user makes: assignment is sticky, and of all but errors it is assumed that a user's requests agree; allow more time, or set `assignment: {unit: request}` to take each request by itself",
            "warning (line 4): spec.preset: gate overdue takes the more requests the more each user makes: assignment is sticky, and of all but errors it is assumed that a user's requests agree; allow more time, or set `assignment: {unit: request}` to take each request by itself",
            "warning (line 4): spec: it can reach 1960 series in each sidecar: 320 outcomes, 1240 answer times, 400 groups; count less where that is much: `baseline: false`, no `confidence`, `assignment.unit: request`",
        ],
    );
    check(
        "preset: standard\nstages: [{weight: 1%, bake: 5m, gates: []}, {weight: 100%, bake: 5m}]",
        &[
            "warning (line 8): spec.stages[0].gates: the stage ends by time alone; name at least one hard gate: time proves nothing",
        ],
    );
    check(
        "confidence: {fromHeader: x-c}\nhandBack: {hook: {url: http://deploy}}",
        &[
            "warning (line 4): spec: it can reach 1800 series in each sidecar: 300 outcomes, 1240 answer times, 260 confidence; count less where that is much: `baseline: false`, no `confidence`, `assignment.unit: request`",
            "warning (line 8): spec.handBack.endpoints: only the hook says that stable serves the new version; list stable's endpoints, so that their version is checked",
        ],
    );
}

#[test]
fn patterns_are_checked() {
    check(
        "cohorts: [{name: a, when: [{header: x, regex: '('}], weight: 1%}]\noverrides: [{when: [{path: false, exact: /a, regex: b}], arm: canary}]",
        &[
            "error (line 7): spec.cohorts[0].when[0].regex: it cannot be read: found open group without closing ')'; write one that fits the whole value, such as beta-.* or (?i)staff|crew",
            "error (line 8): spec.overrides[0].when[0]: it makes none or several tests; keep one of exact, prefix, regex and present",
            "error (line 8): spec.overrides[0].when[0].path: it is false; write `path: true`, or leave it out",
        ],
    );
    check(
        "cohorts: [{name: a, when: [{header: x, regex: staff}, {path: true, regex: '/v[0-9]+/.*'}], weight: 1%}]",
        &[
            "warning (line 7): spec.cohorts[0].when[0].regex: it fits one text alone; write it as `exact`, which is cheaper",
        ],
    );
}

#[test]
fn windows_are_checked() {
    check(
        "windows: {timeZone: Berlin, utcOffset: '+01:00'}",
        &[
            "error (line 7): spec.windows.timeZone: \"Berlin\" is no time zone; write Europe/Berlin, if that is meant",
            "error (line 7): spec.windows.utcOffset: timeZone is given as well; keep `timeZone`, which knows of daylight saving",
        ],
    );
    check(
        "windows: {timeZone: Mars/Olympus}",
        &[
            "error (line 7): spec.windows.timeZone: \"Mars/Olympus\" is no time zone; write its name in the IANA database, such as Europe/Berlin or UTC",
        ],
    );
    check(
        "windows: {utcOffset: Berlin, open: [{from: '9:00', to: '25:00'}], freezes: [{from: 2026-02-29, to: 2025-01-01}]}",
        &[
            "error (line 7): spec.windows.utcOffset: \"Berlin\" is not a distance from UTC; write UTC, or hours and minutes such as '+02:00' (in quotes)",
            "error (line 7): spec.windows.open[0].from: \"9:00\" is not a time of day; write hours and minutes, such as '09:30' (in quotes)",
            "error (line 7): spec.windows.open[0].to: \"25:00\" is not a time of day; write hours and minutes, such as '09:30' (in quotes)",
            "error (line 7): spec.windows.freezes[0].from: \"2026-02-29\" is not a day; write year, month and day, such as 2026-12-20",
        ],
    );
}

#[test]
fn points_stand_where_points_make_sense() {
    check(
        "gates: [{name: a, metric: latency_p99, against: stable, margin: 5pp}]",
        &[
            "error (line 7): spec.gates[0].margin: 5pp is no distance for latency_p99; use 0pp to 99pp for a rate, such as 0.5pp; for a latency a factor or a part, such as 25%",
        ],
    );
    check(
        "gates: [{name: a, metric: error_rate, against: stable, margin: 0.5pp, harm: 2x}]",
        &[
            "error (line 7): spec.gates[0].harm: it is measured otherwise than the margin; write both as points (0.5pp), or both as a factor or a part (1.5x, 50%)",
        ],
    );
    check(
        "gates: [{name: a, metric: error_rate, against: stable, margin: 0pp}]",
        &[
            "error (line 7): spec.gates[0].margin: it leaves no room at all; widen it: no number of requests proves two versions exactly alike",
        ],
    );
}

#[test]
fn what_is_kept_can_be_kept() {
    check(
        "keepWarm: {for: 0s, endpoints: [c], versionHeader: x, jsonPointer: /v}\nafter: {succeeded: {}, rolledBack: {command: []}}",
        &[
            "error (line 7): spec.keepWarm.for: the old version would be kept for no time; write a time such as 30m, or leave keepWarm out",
            "error (line 7): spec.keepWarm.endpoints[0]: \"c\" is not a URL; begin with http:// or https:// and a host",
            "error (line 7): spec.keepWarm.jsonPointer: versionHeader is given as well; keep one of the two",
            "error (line 8): spec.after.succeeded: it is not exactly one of url and command; keep one of the two",
            "error (line 8): spec.after.rolledBack.command: no program is named; write the program and its arguments as a list",
        ],
    );
    check(
        "keepWarm: {for: 1h}",
        &[
            "warning (line 7): spec.keepWarm.endpoints: no endpoint is asked which version is behind the canary route; list the canary route's endpoints: without them `serin rollback` wants --unverified",
        ],
    );
}

#[test]
fn a_bound_on_shared_incidents_is_one() {
    check(
        "rollback: {sharedIncidentFor: 0s}",
        &[
            "error (line 7): spec.rollback.sharedIncidentFor: 0s bears no shared incident; raise it, or write `onSharedIncident: rollback` in its place",
        ],
    );
    let stages = "stages: [{weight: 5%, bake: 1m, deadline: 10m}, {weight: 50%, bake: 1m, deadline: 4m}, {weight: 100%, bake: 1m, deadline: 2m}]";
    check(&format!("rollback: {{sharedIncidentFor: 4m}}\n{stages}"), &[]);
    check(stages, &[]);
    check(
        &format!("rollback: {{sharedIncidentFor: 5m}}\n{stages}"),
        &[
            "warning (line 7): spec.rollback.sharedIncidentFor: 5m is longer than a stage's deadline (4m), which ends the incident before; write 4m or less, or a later deadline",
        ],
    );
}
