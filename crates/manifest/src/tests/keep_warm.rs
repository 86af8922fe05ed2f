//! The time after a run, and the way back to a version that was there before.

use split::policy;

use super::MINIMAL;
use crate::{HookHow, Insufficient, VersionIn, load, preset_text};

fn plan(lines: &str) -> crate::Plan {
    load(&format!("{MINIMAL}{lines}")).unwrap_or_else(|problems| panic!("{problems}")).plan
}

#[test]
fn what_is_kept_and_who_is_told() {
    assert_eq!(plan("").keep_warm, None);
    let kept = plan("  keepWarm: {}\n").keep_warm.unwrap();
    assert_eq!((kept.for_ms, kept.hook), (30 * 60_000, None));
    assert_eq!(kept.version_in, VersionIn::Header("x-model-version".to_owned()));
    let lines = "  keepWarm: {for: 2h, hook: {url: 'http://d/keep'}, endpoints: ['http://c'], jsonPointer: /v}\n  \
                 after: {succeeded: {url: 'http://d/gone'}, rolledBack: {command: [drop, it]}}\n";
    let told = plan(lines);
    let kept = told.keep_warm.clone().unwrap();
    assert_eq!((kept.for_ms, kept.hook), (7_200_000, Some(HookHow::Url("http://d/keep".to_owned()))));
    assert_eq!(told.after.rolled_back, Some(HookHow::Command(vec!["drop".to_owned(), "it".to_owned()])));
    let blue_green = load(preset_text("blue-green").unwrap()).unwrap();
    assert_eq!(blue_green.plan.keep_warm.map(|kept| kept.for_ms), Some(30 * 60_000));
    assert_eq!(blue_green.warnings.iter().filter(|it| it.field.contains("keepWarm")).count(), 1);
    let used = load(&format!("{MINIMAL}  preset: blue-green\n")).unwrap();
    assert!(used.plan.keep_warm.is_some() && used.warnings.iter().all(|it| !it.field.contains("keepWarm")));
}

#[test]
fn models_and_regions_have_their_own() {
    let lines = "  models: [{name: a, match: {pathPrefix: /a}}, {name: b, match: {pathPrefix: /b}, after: {succeeded: {url: 'http://own/{{region}}'}}}]
  regions: {waves: [[eu]]}
  keepWarm: {for: 1m, hook: {command: [keep, '{{model}}']}, endpoints: ['http://{{model}}.{{region}}']}
  after: {succeeded: {url: 'http://d/{{model}}'}}
";
    let loaded = load(&format!("{MINIMAL}{lines}")).unwrap_or_else(|problems| panic!("{problems}"));
    let seen: Vec<_> = loaded
        .plans()
        .iter()
        .map(|plan| {
            let kept = plan.keep_warm.clone().unwrap();
            (kept.endpoints, kept.hook, plan.after.succeeded.clone())
        })
        .collect();
    let of = |model: &str, after: &str| {
        let keep = HookHow::Command(vec!["keep".to_owned(), model.to_owned()]);
        (vec![format!("http://{model}.eu")], Some(keep), Some(HookHow::Url(after.to_owned())))
    };
    assert_eq!(seen, [of("a", "http://d/a"), of("b", "http://own/eu")]);
    let wrong = format!("{MINIMAL}{}", lines.replace("http://own/{{region}}", "own"));
    let problems = load(&wrong).unwrap_err();
    assert_eq!(problems.0[0].field, "spec.models[1].after.succeeded.url", "{problems}");
}

/// Whatever was written for the trial of a new version, nothing of it may give the version gone back from a request.
#[test]
fn the_plan_of_a_way_back_gives_everybody_the_other_version_and_takes_it_from_nobody() {
    let tried = plan(
        "  preset: standard
  assignment: {mode: sticky, keys: [{header: x-user-id}], noKey: stable}
  overrides: [{when: [{header: x-force, exact: stable}], arm: stable}]
  cohorts: [{name: staff, when: [{cookie: group, prefix: st}], weight: 1%}]
  guardrails: [{name: e, metric: error_rate, max: 5%}]
  budget: {requests: 10}
  ready: {endpoints: 5}
  warmUpHook: {url: 'http://w'}
  windows: {open: [{from: '09:00', to: '09:01'}]}
  noData: {after: 1m, action: rollback}
  acknowledge: {onTimeout: rollback}
  keepWarm: {for: 1h}
  handBack: {hook: {url: 'http://deploy'}}
",
    );
    let back = tried.to_return("v2", "v1", Some("two endpoints".to_owned()));
    assert_eq!((back.stable.as_str(), back.canary.as_str(), back.versions()), ("v2", "v1", vec!["v2", "v1"]));
    assert_eq!(
        (&back.keep_warm, &back.hand_back, &back.name),
        (&tried.keep_warm, &tried.hand_back, &tried.name)
    );
    assert!(back.gates.is_empty() && back.guardrails.is_empty() && back.budget == crate::Budget::default());
    assert!(back.windows.is_none() && back.ready.is_none() && back.warm_up_hook.is_none());
    let never = [back.no_data.action, back.stages[0].on_insufficient];
    assert_eq!((never, back.acknowledge.on_timeout), ([Insufficient::Hold; 2], crate::OnTimeout::Hold));
    assert_eq!(
        back.stages.iter().map(|stage| (stage.weight_ppm, stage.bake_ms)).collect::<Vec<_>>(),
        [(split::MILLION, 0)]
    );
    let policy = back.policy(9, back.weights(split::MILLION, true), &back.stable);
    assert!(policy.overrides.is_empty() && policy.cohorts.is_empty() && policy.arms.others.is_empty());
    assert_eq!(policy.on_lease_expired, policy::OnLeaseExpired::Hold);
    assert!(
        matches!(policy.assignment, policy::Assignment::Random { .. }),
        "a missing key is no reason to stay"
    );
    // It can be stored, and is not the plan that was applied.
    let text = serde_json::to_string(&back).unwrap();
    assert_eq!(serde_json::from_str::<crate::Plan>(&text).unwrap(), back);
    assert_ne!(back.as_applied(), tried.as_applied());
}
