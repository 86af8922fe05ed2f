//! What the controller does in Kubernetes.

use std::collections::BTreeMap;

use super::MINIMAL;
use super::problems::check;
use crate::{
    HandBackHow, HookHow, Plan, ReadyOf, ReadyWorkloads, Workload, WorkloadChange, WorkloadWhat, load,
};

fn plan(lines: &str) -> Plan {
    load(&format!("{MINIMAL}{lines}")).unwrap_or_else(|problems| panic!("{problems}")).plan
}

fn change(namespace: &str, what: WorkloadWhat, timeout_ms: u64) -> WorkloadChange {
    WorkloadChange { namespace: namespace.to_owned(), what, timeout_ms }
}

#[test]
fn an_image_or_a_selector_is_handed_back() {
    let how = |lines: &str| plan(&format!("  handBack: {{kubernetes: {{{lines}}}}}\n")).hand_back.how;
    let image = WorkloadWhat::Image {
        deployment: "ranker".to_owned(),
        container: Some("model".to_owned()),
        image: "reg/ranker:{{version}}".to_owned(),
        service: Some("ranker".to_owned()),
    };
    let written = "namespace: models, deployment: ranker, container: model, image: 'reg/ranker:{{version}}', service: ranker, \
                   timeout: 3m";
    assert_eq!(how(written), HandBackHow::Kubernetes(Box::new(change("models", image, 180_000))));
    let labels = BTreeMap::from([("version".to_owned(), "{{version}}".to_owned())]);
    let selector = WorkloadWhat::Selector { service: "ranker".to_owned(), labels };
    let written = "service: ranker, selector: {version: '{{version}}'}";
    assert_eq!(how(written), HandBackHow::Kubernetes(Box::new(change("default", selector, 600_000))));
}

#[test]
fn the_old_version_is_put_behind_the_canary_route_and_scaled_down_in_time() {
    let kept = plan("  keepWarm: {kubernetes: {deployment: canary, image: 'r:{{version}}', replicas: 0}}\n");
    let placed = kept.keep_warm.and_then(|keep| keep.hook);
    assert!(matches!(placed, Some(HookHow::Kubernetes(it)) if matches!(it.what, WorkloadWhat::Image { .. })));
    for hook in [kept.after.succeeded, kept.after.rolled_back] {
        let scales = |it: &WorkloadChange| matches!(it.what, WorkloadWhat::Scale { replicas: 0, .. });
        assert!(matches!(&hook, Some(HookHow::Kubernetes(it)) if scales(it)), "{hook:?}");
    }
    let kept = plan("  keepWarm: {kubernetes: {deployment: canary, image: 'r:{{version}}'}}\n");
    assert_eq!(kept.after.succeeded, None);
}

#[test]
fn ready_endpoints_are_of_one_service_or_of_the_versions_own() {
    let ready =
        |lines: &str| plan(&format!("  ready: {{kubernetes: {{{lines}}}}}\n")).ready.expect("it").kubernetes;
    let wanted = |of| Some(ReadyWorkloads { namespace: "default".to_owned(), of });
    assert_eq!(ready("service: ranker"), wanted(ReadyOf::Arms { service: "ranker".to_owned() }));
    let canary = Workload::Deployment("ranker-canary".to_owned());
    let stable = Some(Workload::Service("ranker".to_owned()));
    assert_eq!(
        ready("canary: {deployment: ranker-canary}, stable: {service: ranker}"),
        wanted(ReadyOf::Each { canary, stable })
    );
}

#[test]
fn a_rollout_of_a_namespace_changes_nothing_in_another() {
    let text = |inner: &str| {
        MINIMAL.replace("metadata: {name: ranker}", "metadata: {name: ranker, namespace: models}")
            + &format!(
                "  handBack: {{kubernetes: {{{inner}deployment: ranker, image: 'r:{{{{version}}}}'}}}}\n"
            )
    };
    assert!(text("").contains("namespace: models"), "{}", text(""));
    let plan = load(&text("")).unwrap_or_else(|problems| panic!("{problems}")).plan;
    let HandBackHow::Kubernetes(change) = &plan.hand_back.how else { panic!("{:?}", plan.hand_back.how) };
    assert_eq!(change.namespace, "models");
    let error = load(&text("namespace: payments, ")).expect_err("another namespace").to_string();
    assert!(
        error.contains("kubernetes.namespace: the rollout is of namespace \"models\"; write models"),
        "{error}"
    );
}

#[test]
fn what_cannot_be_done_is_refused_with_its_field() {
    check(
        "handBack: {hook: {url: 'http://d'}, kubernetes: {deployment: ranker, image: 'r:{{version}}'}}",
        &["error (line 7): spec.handBack.kubernetes: there is a hook as well; keep one of the two"],
    );
    check(
        "handBack: {kubernetes: {deployment: Ranker, image: 'r:v2'}}",
        &[
            "error (line 7): spec.handBack.kubernetes.deployment: \"Ranker\" is no name of an object; write its name as kubectl shows it, such as ranker-canary",
            "error (line 7): spec.handBack.kubernetes.image: every version would have the same image; write {{version}} where the version stands, such as registry.example.com/ranker:{{version}}",
        ],
    );
    let one_of_two = "error (line 7): spec.handBack.kubernetes: it is not exactly one of a Deployment's image and a Service's selector; give `deployment` and `image`, or `service` and `selector`";
    check("handBack: {kubernetes: {}}", &[one_of_two]);
    check("handBack: {kubernetes: {deployment: a, image: 'r:{{version}}', selector: {a: b}}}", &[one_of_two]);
    check(
        "handBack: {kubernetes: {service: ranker, selector: {version: v2}, image: x, timeout: 0s}}",
        &[
            "error (line 7): spec.handBack.kubernetes.timeout: no pod is ready at once; write a time such as 10m, or leave the field out",
            "error (line 7): spec.handBack.kubernetes.image: a Service has none; leave it out, or name the `deployment` in place of the `selector`",
            "error (line 7): spec.handBack.kubernetes.selector: it would select the same pods for every version; write {{version}} in one of its values",
        ],
    );
    check(
        "keepWarm: {endpoints: ['http://c'], kubernetes: {deployment: c, image: 'r:{{version}}', replicas: 0}}\nafter: {succeeded: {url: 'http://d'}}",
        &[
            "error (line 8): spec.after.succeeded: keepWarm.kubernetes.replicas scales the version down then; keep one of the two: the hook, or the replicas",
        ],
    );
    check(
        "ready: {ofStable: 50%, kubernetes: {canary: {deployment: c}}}",
        &[
            "error (line 7): spec.ready.ofStable: stable's endpoints are not counted; add `kubernetes.stable`, or write `endpoints` instead",
        ],
    );
    check(
        "ready: {kubernetes: {service: a, canary: {service: b}}}",
        &[
            "error (line 7): spec.ready.kubernetes: it is not exactly one of a Service and the versions' own workloads; give `service`, or `canary` (and `stable`)",
        ],
    );
}
