//! Seeded runs of whole rollouts: what comes out is known, and the same every time.

#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise")]

use simulate::{Chance, End, Harm, Latency, Outcome, Summary, Traffic, Users, World, run};

/// Two stages of a minute, at looks of ten seconds: small enough for an unoptimised build.
const PLAN: &str = "
apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: small}
spec:
  stable: {version: v1}
  canary: {version: v2}
  stages:
    - {weight: 20%, bake: 1m, deadline: 30m}
    - {weight: 50%, bake: 1m, deadline: 30m}
    - {weight: 100%, bake: 1m}
  gates:
    - {name: errors, metric: error_rate, against: stable, margin: 2x, passBelow: 1%}
    - {name: latency, metric: latency_p99, against: stable, margin: 25%}
  guardrails:
    - {name: errors-limit, metric: error_rate, max: 20%}
";

fn traffic() -> Traffic {
    Traffic {
        requests_per_second: 60.0,
        error_rate: 0.02,
        latency: Latency { p50_ms: 50.0, p99_ms: 200.0 },
        confidence: (0.85, 0.08),
        bursts: None,
        recorded: vec![],
        users: None,
        slow_proxy_ms: 0,
    }
}

fn outcomes(traffic: &Traffic, harm: &str, runs: u64) -> (World, Vec<Outcome>) {
    let plan = manifest::load(PLAN).unwrap().plan;
    let harm: Harm = if harm.is_empty() { Harm::NONE } else { harm.parse().unwrap() };
    let world = World::new("test", &plan, traffic, harm).unwrap();
    let outcomes = (0..runs).map(|number| run(&plan, &world, Chance::new(7, 0, number), 10_000)).collect();
    (world, outcomes)
}

#[track_caller]
fn check(traffic: &Traffic, harm: &str, promoted: std::ops::RangeInclusive<u64>, by: &str) {
    let (world, outcomes) = outcomes(traffic, harm, 8);
    let summary = Summary::new(&world, &outcomes);
    assert!(promoted.contains(&summary.promoted.count), "{summary:#?}");
    assert!(by.is_empty() || summary.ends.keys().any(|end| end.contains(by)), "{summary:#?}");
}

#[test]
fn good_models_pass_and_bad_ones_are_caught() {
    check(&traffic(), "", 7..=8, "");
    check(&traffic(), "errors=x5", 0..=0, "gate errors");
    check(&traffic(), "errors=x20", 0..=0, "errors");
    check(&traffic(), "p99=+80%", 0..=0, "gate latency");
    check(&traffic(), "errors=x5@2m", 0..=1, "gate errors");
    check(&Traffic { bursts: Some(0.15), ..traffic() }, "", 6..=8, "");
}

#[test]
fn the_same_seed_is_the_same_run() {
    let twice = [outcomes(&traffic(), "errors=x3", 3).1, outcomes(&traffic(), "errors=x3", 3).1];
    assert_eq!(twice[0], twice[1]);
    assert!(twice[0].iter().any(|outcome| outcome.exposed_requests != twice[0][0].exposed_requests));
    let first = &twice[0][0];
    assert!(matches!(&first.end, End::RolledBack { by } if by == "gate errors"), "{first:?}");
    assert!(
        first.harmful_ms > 0 && first.extra_errors > 0.0 && first.harmful_requests <= first.exposed_requests
    );
}

#[test]
fn recorded_traffic_is_followed() {
    let mut stable =
        rollout::Counts { assigned: 600, finished: 600, outcomes: 600, errors: 12, ..Default::default() };
    // From 30 ms up, ever rarer.
    let first = tally::latency_bin(30_000_000);
    stable.latency.0.extend((0..50_u16).map(|step| (first + step, u64::from(24 - step.min(46) / 2))));
    let interval =
        rollout::Interval { epoch: 1, from_ms: 0, to_ms: 10_000, stable, ..rollout::Interval::default() };
    let recorded = Traffic { recorded: vec![interval], requests_per_second: 1.0, ..traffic() };
    check(&recorded, "", 7..=8, "");
    check(&recorded, "p99=+80%", 0..=0, "gate latency");
    check(&recorded, "errors=x5", 0..=0, "gate errors");
    let (_, outcomes) = outcomes(&recorded, "", 1);
    // 60 requests a second, most of them to the canary.
    assert!(outcomes[0].exposed_requests > 3_600, "{outcomes:?}");
}

/// Three alike: seldom is one of them dropped by chance, and a bad kind never reaches everybody.
#[test]
fn several_challengers_share_the_level_of_one() {
    let several = PLAN.replace(
        "  canary: {version: v2}",
        "  canary: {version: v2}\n  arms: [{name: b, version: v3}, {name: c, version: v4}]",
    );
    let dropped = |harm: Harm, runs: u64| {
        let plan = manifest::load(&several).unwrap().plan;
        let world = World::new("test", &plan, &traffic(), harm).unwrap();
        let outcomes = (0..runs).map(|number| run(&plan, &world, Chance::new(7, 0, number), 10_000));
        outcomes
            .filter(|outcome| matches!(&outcome.end, End::RolledBack { by } if by.contains(" by ")))
            .count()
    };
    let by_chance = dropped(Harm::NONE, 40);
    assert!(by_chance <= 5, "{by_chance} of 40");
    assert_eq!(dropped("errors=x5".parse().unwrap(), 6), 6);
}

/// Shares that follow the evidence give a better version more of the same stage, a worse one less, and neither changes how
/// runs of healthy versions end.
#[test]
fn shares_follow_what_versions_do() {
    let stage = "    - {weight: 10%, bake: 20m, deadline: 1h}\n    - {weight: 50%, bake: 1m, deadline: 30m}\n    \
                 - {weight: 100%, bake: 10s}\n  gates";
    let (from, to) = (PLAN.find("    - {weight: 20%").unwrap(), PLAN.find("  gates").unwrap());
    let fixed = format!("{}{stage}{}", &PLAN[..from], &PLAN[to + "  gates".len()..]);
    let moving = format!("{fixed}  bandit: {{ceiling: 40%, every: 30s}}\n");
    let summary = |text: &str, harm: &str| {
        let plan = manifest::load(text).unwrap().plan;
        let harm: Harm = if harm.is_empty() { Harm::NONE } else { harm.parse().unwrap() };
        let world = World::new("test", &plan, &Traffic { error_rate: 0.05, ..traffic() }, harm).unwrap();
        let outcomes: Vec<_> =
            (0..4).map(|number| run(&plan, &world, Chance::new(7, 0, number), 10_000)).collect();
        Summary::new(&world, &outcomes)
    };
    let [better, as_ever] = [&moving, &fixed].map(|text| summary(text, "errors=x0.4"));
    assert_eq!((better.promoted.count, as_ever.promoted.count), (4, 4), "{better:#?} {as_ever:#?}");
    assert!(
        better.exposed > 1.5 * as_ever.exposed && better.failed < as_ever.failed,
        "{better:#?} {as_ever:#?}"
    );
    assert!(summary(&moving, "").promoted.count >= 3);
    let [worse, as_ever] = [&moving, &fixed].map(|text| summary(text, "errors=x1.3"));
    assert!(worse.exposed < as_ever.exposed, "{worse:#?} {as_ever:#?}");
}

#[test]
fn impossible_figures_are_refused() {
    let plan = manifest::load(PLAN).unwrap().plan;
    let refuse = |traffic: Traffic, harm: &str, part: &str| {
        let harm = if harm.is_empty() { Harm::NONE } else { harm.parse().unwrap() };
        let error = World::new("test", &plan, &traffic, harm).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    refuse(Traffic { requests_per_second: 0.0, ..traffic() }, "", "requests a second");
    refuse(Traffic { error_rate: 0.3, ..traffic() }, "errors=x5", "150 %");
    refuse(
        Traffic { latency: Latency { p50_ms: 50.0, p99_ms: 20.0 }, ..traffic() },
        "",
        "p99 must be the longer",
    );
    let crowd = |requests_each, prone| Traffic { users: Some(Users { requests_each, prone }), ..traffic() };
    refuse(crowd(0.5, 0.1), "", "0.5 requests each");
    refuse(crowd(5.0, 0.0), "", "above 0 %");
    for text in [
        "errors",
        "errors=5",
        "p99=20%",
        "speed=x2",
        "errors=x0",
        "errors=x2@soon",
        "errors=x2@3m..1m",
        "errors=x2@..1m",
    ] {
        let error = text.parse::<Harm>().unwrap_err().to_string();
        assert!(error.contains(text) && error.contains("errors=x2"), "{error}");
    }
}

/// A plan of one gate, with more said about it.
fn plan(more: &str) -> manifest::Plan {
    let text = format!(
        "apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {{name: small}}
spec:
  stable: {{version: v1}}
  canary: {{version: v2}}
  stages:
    - {{weight: 20%, bake: 3m, deadline: 40m}}
    - {{weight: 100%, bake: 1m}}
{more}
"
    );
    manifest::load(&text).map_err(|problems| problems.to_string()).unwrap().plan
}

fn summary(plan: &manifest::Plan, traffic: &Traffic, harm: &str, runs: u64) -> Summary {
    let harm: Harm = if harm.is_empty() { Harm::NONE } else { harm.parse().unwrap() };
    let world = World::new("test", plan, traffic, harm).unwrap();
    let outcomes: Vec<Outcome> =
        (0..runs).map(|number| run(plan, &world, Chance::new(5, 0, number), 10_000)).collect();
    Summary::new(&world, &outcomes)
}

/// The guardrail is out of the way: it watches requests, whatever the unit.
const ERRORS: &str = "  gates: [{name: errors, metric: error_rate, against: stable, margin: 2x}]
  guardrails: [{name: limit, metric: error_rate, max: 90%}]";

/// Sticky users whose requests fail together: with the request as unit a healthy canary is rolled back again and again,
/// with the user as unit it is not.
#[test]
fn clumped_users_need_the_user_as_unit() {
    let sticky = |unit: &str| {
        plan(&format!("{ERRORS}\n  assignment: {{mode: sticky, keys: [{{header: x-user}}], unit: {unit}}}"))
    };
    let users = Users { requests_each: 20.0, prone: 0.05 };
    let traffic = Traffic { users: Some(users), ..traffic() };
    let (request, user) =
        (summary(&sticky("request"), &traffic, "", 40), summary(&sticky("user"), &traffic, "", 40));
    assert!(request.rolled_back.count >= 8, "{request:#?}");
    assert!(user.rolled_back.count <= 3, "{user:#?}");
    // Assigned one by one, requests of a user reach both versions, and the request is the right unit.
    let random = plan(&format!("{ERRORS}\n  assignment: {{mode: random}}"));
    let random = summary(&random, &traffic, "", 40);
    assert!(random.rolled_back.count <= 3, "{random:#?}");
    // Real harm is found all the same.
    let harmed = summary(&sticky("user"), &traffic, "errors=x8", 8);
    assert!(harmed.promoted.count == 0, "{harmed:#?}");
}

/// A canary five times as slow for its first three minutes is no bad canary.
#[test]
fn a_cold_start_is_forgiven_where_warm_up_is_set() {
    let latency = "  gates: [{name: latency, metric: latency_p99, against: stable, margin: 25%}]";
    let cold = summary(&plan(latency), &traffic(), "p99=x5@0s..3m", 10);
    assert_eq!(cold.rolled_back.count, 10, "{cold:#?}");
    let warmed = summary(&plan(&format!("{latency}\n  warmUp: 4m")), &traffic(), "p99=x5@0s..3m", 10);
    assert_eq!(warmed.rolled_back.count, 0, "{warmed:#?}");
    assert!(warmed.promoted.count >= 9, "{warmed:#?}");
    // It forgives the beginning alone.
    let slow = summary(&plan(&format!("{latency}\n  warmUp: 4m")), &traffic(), "p99=x5", 4);
    assert_eq!(slow.promoted.count, 0, "{slow:#?}");
}

/// A proxy that is silent for a third of the time and takes weights late delays; it neither rolls back nor hides harm.
#[test]
fn a_slow_proxy_delays_and_no_more() {
    let slow = Traffic { slow_proxy_ms: 20_000, ..traffic() };
    let (without, with) = (summary(&plan(ERRORS), &traffic(), "", 10), summary(&plan(ERRORS), &slow, "", 10));
    assert!(with.rolled_back.count <= 1 && with.promoted.count >= 9, "{with:#?}");
    let median = |summary: &Summary| summary.seconds_to_promote.unwrap().median;
    assert!(median(&with) > median(&without), "{with:#?}");
    assert_eq!(summary(&plan(ERRORS), &slow, "errors=x8", 6).promoted.count, 0);
}
