//! Several versions on trial.

use split::Arm;

use crate::{Plan, lint, load};

const HEAD: &str = "apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: ranker}
spec:
  stable: {version: v1}
  canary: {version: v2}
";

fn text(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("  {line}\n")).collect();
    format!("{HEAD}{lines}")
}

fn plan(lines: &str) -> Plan {
    load(&text(lines)).unwrap_or_else(|problems| panic!("{problems}")).plan
}

fn arm(name: &str) -> Arm {
    Arm::parse(name).expect("a name")
}

const THREE: &str = "arms: [{name: b, version: v3}, {name: c, version: v4}]\n";

#[test]
fn everybody_gets_a_place_and_a_part_of_alpha() {
    let plan = plan(THREE);
    let places: Vec<_> = plan.challengers.iter().map(|one| (one.arm.to_string(), one.start_ppm)).collect();
    // 50 % each would leave stable nothing, so the choice comes after 25 %.
    assert_eq!(places, [("canary".to_owned(), 0), ("b".to_owned(), 250_000), ("c".to_owned(), 500_000)]);
    let choose = plan.choose.as_ref().expect("a choice");
    assert_eq!((choose.after, choose.by.is_none()), (1, true));
    assert!(
        (plan.alpha.gates * 3.0 - 0.04).abs() < 1e-12 && (plan.alpha.guardrails * 3.0 - 0.01).abs() < 1e-12
    );
    let alone = self::plan("");
    assert!(alone.challengers.is_empty() && (alone.alpha.gates - 0.04).abs() < f64::EPSILON);
    let policy = plan.policy(1, plan.weights(250_000, true), "v1");
    let others: Vec<_> = policy.arms.others.iter().map(|o| (o.version.as_str(), o.weight_ppm)).collect();
    assert_eq!((policy.arms.canary.weight_ppm, others), (250_000, vec![("v3", 250_000), ("v4", 250_000)]));
}

#[test]
fn who_is_out_stays_out_and_the_lead_moves_on() {
    let mut plan = plan(&format!(
        "{THREE}overrides: [{{when: [{{header: a, present: true}}], arm: canary}}, {{when: [{{header: a, present: true}}], arm: b}}]\n\
         cohorts: [{{name: x, when: [{{header: a, present: true}}], weight: 5%, arm: canary}}]"
    ));
    let applied = plan.clone();
    plan.leave_out(Arm::Canary);
    assert_eq!((plan.arm(), plan.canary.as_str()), (arm("b"), "v3"));
    let policy = plan.policy(1, plan.weights(250_000, true), "v1");
    assert_eq!((policy.arms.canary.version.as_str(), policy.arms.canary.weight_ppm), ("v2", 0));
    assert_eq!(
        policy.overrides.iter().map(|o| o.arm).collect::<Vec<_>>(),
        [arm("b")],
        "nobody is sent to who is out"
    );
    assert_eq!(policy.cohorts[0].weight_ppm, 0);
    assert_ne!(plan, applied);
    assert_eq!(plan.as_applied(), applied);
    plan.leave_out(arm("c"));
    plan.leave_out(arm("b"));
    assert_eq!(plan.arms_in().collect::<Vec<_>>(), [arm("b")], "the last one stays");
}

#[test]
fn the_baseline_takes_what_room_there_is_above() {
    let mut plan = plan(&format!("{THREE}baseline: true"));
    let baseline = |plan: &Plan, ppm| plan.weights(ppm, true).baseline_ppm;
    assert_eq!((baseline(&plan, 50_000), baseline(&plan, 250_000)), (50_000, 250_000));
    plan.set_lead(arm("c"));
    plan.leave_out(Arm::Canary);
    plan.leave_out(arm("b"));
    // c begins at 50 %.
    assert_eq!(
        (baseline(&plan, 100_000), baseline(&plan, 400_000), baseline(&plan, 600_000)),
        (100_000, 100_000, 0)
    );
}

#[track_caller]
fn refused(lines: &str, part: &str) {
    let problems = load(&text(lines)).expect_err("a problem").to_string();
    assert!(problems.contains(part), "{part:?} is missing in: {problems}");
}

#[test]
fn what_cannot_be_is_named() {
    refused("arms: [{name: B, version: v3}]", "spec.arms[0].name: \"B\" cannot name an arm");
    refused("arms: [{name: canary, version: v3}]", "spec.arms[0].name");
    refused("arms: [{name: b, version: v2}]", "spec.arms[0].version: \"v2\" is another arm's version");
    refused("arms: [{name: b, version: v3}, {name: b, version: v4}]", "two arms are called b");
    let many = (0..7).map(|i| format!("{{name: b{i}, version: w{i}}}")).collect::<Vec<_>>().join(", ");
    refused(&format!("arms: [{many}]"), "7 arms are too many");
    refused(&format!("{THREE}choose: {{after: 7%}}"), "spec.choose.after: no stage has the weight 7%");
    refused(&format!("{THREE}choose: {{after: 50%}}"), "3 versions side by side leave stable nothing");
    refused(
        &format!("{THREE}stages: [{{weight: 50%, bake: 1m}}, {{weight: 100%, bake: 1m}}]"),
        "spec.arms: 3 versions",
    );
    refused(&format!("{THREE}choose: {{by: confidence_mean}}"), "spec.choose.by");
    refused(&format!("{THREE}choose: {{alpha: 0}}"), "spec.choose.alpha");
    refused(&format!("{THREE}regions: {{waves: [[eu], [us]]}}"), "cannot go up together with spec.regions");
    refused(
        &format!(
            "{THREE}stages: [{{shadow: 10%, bake: 1m}}, {{weight: 5%, bake: 1m}}, {{weight: 100%, bake: 1m}}]"
        ),
        "spec.stages[0].shadow: copies go to the canary alone",
    );
    refused("overrides: [{when: [{header: a, present: true}], arm: b}]", "\"b\" is no arm of this rollout");
    let own = |list: &str, query: &str| {
        let source = format!("source: {{prometheus: {{url: 'http://p', query: '{query}'}}}}");
        format!("{THREE}{list}: [{{name: ctr, {source}, min: 0.1}}]")
    };
    refused(&own("gates", "f"), "spec.gates[0].source: it gives one figure for all of spec.arms");
    refused(&own("guardrails", "f{v=\"{{stable}}\"}"), "spec.guardrails[0].source: it gives one figure");
    for list in ["gates", "guardrails"] {
        plan(&own(list, "f{v=\"{{canary}}\"}"));
        plan(&format!("{THREE}{list}: [{{name: ctr, source: {{push: {{}}}}, min: 0.1}}]"));
    }
}

#[test]
fn what_is_probably_not_wished_is_warned_of() {
    let warned =
        |lines: &str, part: &str| lint(&text(lines), None).iter().any(|p| p.to_string().contains(part));
    assert!(warned(THREE, "5% for each of 3 versions, 15% together"));
    assert!(warned("choose: {by: person}", "there is nothing to choose between"));
    let sticky = "assignment: {mode: sticky, keys: [{header: u}]}\nchoose: {by: latency_p99}\n";
    assert!(warned(&format!("{THREE}{sticky}"), "there will never be a clear winner"));
    assert!(!warned(&format!("{THREE}choose: {{by: error_rate}}"), "spec.choose"));
}
