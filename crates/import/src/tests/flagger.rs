//! Flagger.

use manifest::{Metric, Percent, Quantity, Source};

use super::*;

const CANARY: &str = "
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: podinfo, namespace: test}
spec:
  provider: istio
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: podinfo}
  progressDeadlineSeconds: 60
  service: {port: 9898, hosts: [app.example.com], gateways: [mesh]}
  analysis:
    interval: 30s
    threshold: 5
    maxWeight: 50
    stepWeight: 10
    metrics:
      - {name: request-success-rate, thresholdRange: {min: 99}, interval: 1m}
      - {name: request-duration, thresholdRange: {max: 500}, interval: 30s}
      - name: not-found
        templateRef: {name: not-found-percentage, namespace: istio-system}
        thresholdRange: {max: 5}
        interval: 1m
        templateVariables: {code: '404'}
    webhooks:
      - {name: gate, type: confirm-rollout, url: 'http://loadtester/gate/approve'}
      - {name: warm, type: pre-rollout, url: 'http://warm/up'}
      - {name: load, type: rollout, url: 'http://loadtester/', metadata: {cmd: 'hey http://podinfo/'}}
      - {name: judge, type: rollout, url: 'http://judge/'}
";

const TEMPLATE: &str = "
apiVersion: flagger.app/v1beta1
kind: MetricTemplate
metadata: {name: not-found-percentage, namespace: istio-system}
spec:
  provider: {type: prometheus, address: 'http://prometheus.istio-system:9090'}
  query: |
    100 - sum(rate(istio_requests_total{destination_workload=\"{{ target }}\", response_code!=\"{{ variables.code }}\"}[{{ interval }}])) * 100
";

#[test]
fn a_canary_with_its_template() {
    let imported = of(&[("canary.yaml", CANARY), ("template.yaml", TEMPLATE)]);
    let spec = &imported.rollouts[0].rollout.spec;
    let stages = spec.stages.as_ref().expect("stages");
    let weights: Vec<u32> =
        stages.iter().map(|stage| stage.weight.map_or(0, Percent::ppm) / 10_000).collect();
    assert_eq!(weights, [0, 10, 20, 30, 40, 50, 100]);
    assert_eq!(stages[0].approval, Some(true), "confirm-rollout");
    let gate = |name: &str| spec.gates.iter().find(|gate| gate.name == name).expect(name);
    assert_eq!(gate("request-success-rate").metric, Some(Metric::ErrorRate));
    assert_eq!(gate("request-success-rate").max.map(|max| max.to_string()).as_deref(), Some("1%"));
    assert_eq!(gate("request-success-rate").failure_limit, Some(4), "the fifth failed check rolls back");
    assert_eq!(gate("request-duration").max, Some(Quantity::Time(500.0)));
    let Some(Source::Prometheus(source)) = &gate("not-found").source else { panic!("a query") };
    assert!(
        source.query.contains("destination_workload=\"podinfo\", response_code!=\"404\"}[1m]"),
        "{}",
        source.query
    );
    assert!(matches!(gate("judge").source, Some(Source::Push(_))));
    assert!(spec.warm_up_hook.is_some());
    noted(&imported, Fate::Lost, "spec.analysis.webhooks[2]", "makes traffic");
    noted(&imported, Fate::Lost, "spec.analysis.webhooks[3]", "2xx");
    let tested = CANARY.replace("metadata: {cmd: ", "metadata: {type: bash, cmd: ");
    let gates =
        of(&[("canary.yaml", &tested), ("template.yaml", TEMPLATE)]).rollouts[0].rollout.spec.gates.len();
    assert_eq!(gates, spec.gates.len() + 1, "a command whose end is waited for is a gate");
    assert!(!imported.notes.iter().any(|note| note.what.contains("no such field")), "{}", report(&imported));
    found(&imported, "longer-than-step", 16);
}

#[test]
fn weights_are_those_of_flagger() {
    let weights = |analysis: &str| -> Vec<u32> {
        let text = format!(
            "kind: Canary\napiVersion: flagger.app/v1beta1\nmetadata: {{name: a}}\nspec:\n  targetRef: {{name: a}}\n  service: {{port: 1}}\n  analysis: {analysis}\n"
        );
        let imported = made(&text);
        let stages = imported.rollouts[0].rollout.spec.stages.clone().unwrap_or_default();
        stages.iter().map(|stage| stage.weight.map_or(0, Percent::ppm) / 10_000).collect()
    };
    assert_eq!(
        weights("{stepWeight: 30, maxWeight: 50}"),
        [30, 60, 100],
        "the step that reaches the limit is the last"
    );
    assert_eq!(weights("{stepWeights: [1, 2, 10, 80]}"), [1, 2, 10, 80, 100]);
    assert_eq!(weights("{stepWeight: 50}"), [50, 100]);
    assert_eq!(weights("{iterations: 10}"), [0, 1, 100]);
    assert_eq!(weights("{iterations: 10, mirror: true, mirrorWeight: 20}"), [0, 1, 100]);
    assert_eq!(weights("{maxWeight: 50}"), [100]);
    assert_eq!(weights("{stepWeights: [10, 5]}"), [10, 100]);
}

#[test]
fn units_and_limits_that_are_none_are_found() {
    let of = |metric: &str| {
        made(&format!(
            "kind: Canary\napiVersion: flagger.app/v1beta1\nmetadata: {{name: a}}\nspec:\n  targetRef: {{name: a}}\n  service: {{port: 1}}\n  analysis:\n    stepWeight: 5\n    metrics:\n      - {metric}\n"
        ))
    };
    found(&of("{name: request-success-rate, thresholdRange: {min: 0.99}}"), "unit", 10);
    found(&of("{name: request-duration, thresholdRange: {max: 0.5}}"), "unit", 10);
    found(&of("{name: request-success-rate, thresholdRange: {min: 999}}"), "always-fails", 10);
    found(&of("{name: request-success-rate}"), "never-fails", 10);
    found(&of("{name: own, thresholdRange: {min: 1}}"), "always-fails", 10);
    assert_eq!(
        of("{name: own, thresholdRange: {min: 1}}").rollouts[0].rollout.spec.gates.len(),
        1,
        "it is asked of a person"
    );
    let both = of("{name: own, thresholdRange: {min: 1, max: 5}, query: 'up{x=\"canary\"}'}");
    assert_eq!(both.rollouts[0].rollout.spec.gates.len(), 2);
}
