//! Manifests as they stand in articles on canaries of models: of Argo Rollouts (`*-argo-*`, and pieces of them,
//! `*-fragment-*`), of Flagger as the values of a chart, and of KServe. Each is wrong somewhere.

use super::*;

macro_rules! seed {
    ($name:literal) => {
        ($name, include_str!(concat!("data/", $name)))
    };
}

#[test]
fn a_rollout_whose_template_is_known() {
    let imported = of(&[seed!("003-argo-rollout.yaml"), seed!("003-argo-analysistemplate.yaml")]);
    insta::assert_snapshot!(report(&imported));
}

#[test]
fn a_rollout_that_names_metrics_as_templates() {
    let imported = of(&[seed!("002-argo-rollout.yaml"), seed!("002-argo-analysistemplate.yaml")]);
    insta::assert_snapshot!(report(&imported));
}

#[test]
fn a_template_alone() {
    let imported = of(&[seed!("002-argo-analysistemplate.yaml")]);
    assert_eq!(
        imported.findings.iter().filter(|finding| finding.rule == "never-fails").count(),
        5,
        "all five always pass"
    );
    assert_eq!(
        imported.findings.iter().filter(|finding| finding.rule == "unknown-field").count(),
        5,
        "five thresholds"
    );
    assert_eq!(imported.rollouts[0].rollout.spec.gates.len(), 5, "as they were meant");
}

#[test]
fn a_rollout_alone_keeps_its_gates() {
    let imported = of(&[seed!("002-argo-rollout.yaml")]);
    assert_eq!(imported.rollouts[0].rollout.spec.gates.len(), 5);
    noted(&imported, Fate::Lost, "spec.strategy.canary.steps[2].analysis.templates[0].name", "no template");
    found(&imported, "no-approval", 86);
    let unknown = imported.findings.iter().filter(|finding| finding.rule == "unknown-field").count();
    assert_eq!(unknown, 6, "trafficWeight, and five names in the place of templateName");
}

#[test]
fn a_canary_of_a_chart() {
    let imported = of(&[seed!("003-flagger-analysis.yaml")]);
    insta::assert_snapshot!(report(&imported));
}

#[test]
fn a_service_whose_share_is_ignored() {
    let imported = of(&[seed!("003-kserve-inferenceservice.yaml")]);
    insta::assert_snapshot!(report(&imported));
}

#[test]
fn a_rollout_with_a_block_that_is_none() {
    let imported = of(&[seed!("002-argo-rollout-failed-block.yaml")]);
    let failed = imported.findings.iter().filter(|finding| finding.field.ends_with("canary.failed")).count();
    assert_eq!(failed, 1);
    noted(&imported, Fate::Lost, "spec.strategy.canary.failed", "aborts by itself");
    assert!(imported.findings.iter().any(|finding| finding.rule == "refused"), "no selector");
}

#[test]
fn fragments_are_taken_for_what_they_are() {
    let latency = of(&[seed!("002-fragment-token-latency.yaml")]);
    assert_eq!(latency.rollouts[0].rollout.spec.gates[0].max, Some(manifest::Quantity::Plain(2.0)));
    let flag = of(&[seed!("002-fragment-feature-flag.yaml")]);
    assert_eq!(
        flag.findings.iter().filter(|finding| finding.rule == "refused").count(),
        2,
        "two things in one step"
    );
    assert_eq!(flag.rollouts[0].rollout.spec.stages.as_ref().expect("stages").len(), 3);
    let several = of(&[seed!("002-fragment-multi-model.yaml")]);
    assert_eq!(several.rollouts[0].rollout.spec.gates.len(), 3, "each has to be pushed");
    noted(&several, Fate::Lost, "trafficWeight", "setWeight");
}
