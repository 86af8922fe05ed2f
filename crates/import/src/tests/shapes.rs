//! The kinds, and the forms they come in.

use manifest::{OnFail, Percent, Quantity, Source};

use super::*;

fn weights(imported: &Imported) -> Vec<String> {
    let stages = imported.rollouts[0].rollout.spec.stages.clone().unwrap_or_default();
    let weight = |weight: Option<Percent>| weight.map_or("shadow".to_owned(), |weight| weight.to_string());
    stages.iter().map(|stage| weight(stage.weight)).collect()
}

fn argo(steps: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {{name: a}}\nspec:\n  selector: {{}}\n  strategy:\n    canary:\n      trafficRouting: {{nginx: {{stableIngress: a}}}}\n      steps: {steps}\n"
    )
}

fn template(metric: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nmetadata: {{name: t}}\nspec:\n  args: [{{name: limit, value: '0.5'}}]\n  metrics:\n    - {metric}\n"
    )
}

#[test]
fn steps_are_stages() {
    let imported = made(&argo(
        "[{setWeight: 5}, {pause: {duration: 10m}}, {setWeight: 5}, {pause: {duration: 300}}, {setWeight: 40}, {pause: {}}]",
    ));
    assert_eq!(weights(&imported), ["5%", "40%", "100%"]);
    let stages = imported.rollouts[0].rollout.spec.stages.clone().expect("stages");
    assert_eq!(stages[0].bake.ms(), 900_000);
    assert_eq!(stages[1].approval, Some(true));
    let falling = made(&argo("[{setWeight: 40}, {setWeight: 10}, {pause: {duration: 1m}}]"));
    assert_eq!(weights(&falling), ["40%", "100%"]);
    noted(&falling, Fate::Lost, "spec.strategy.canary.steps[1].setWeight", "only goes up");
    found(&falling, "falling-weight", 9);
    let mirror = made(&argo(
        "[{setMirrorRoute: {name: m, percentage: 35, match: [{path: {prefix: /a}}]}}, {pause: {duration: 5m}}, {setWeight: 1}]",
    ));
    assert_eq!(weights(&mirror), ["shadow", "1%", "100%"]);
    let odd = made(&argo(
        "[{setWeight: 5000}, {pause: {duration: soon}}, {plugin: {name: x}}, {setWieght: 3}, {setCanaryScale: {weight: 3}}]",
    ));
    for field in ["[0].setWeight", "[1].pause.duration", "[2].plugin", "[3]", "[4].setCanaryScale"] {
        let field = format!("spec.strategy.canary.steps{field}");
        assert!(
            odd.notes.iter().any(|note| note.fate == Fate::Lost && note.field == field),
            "{field}\n{}",
            report(&odd)
        );
    }
    assert_eq!(weights(&made(&argo("[]"))), [""; 0], "those of the preset");
}

#[test]
fn conditions_are_limits() {
    let gates = |metric: &str| made(&template(metric)).rollouts[0].rollout.spec.gates.clone();
    let query = "provider: {prometheus: {address: 'http://p:9090', query: 'sum(x{version=\"2\"})'}}";
    let one = &gates(&format!(
        "{{name: m, interval: 1m, count: 5, failureLimit: 2, successCondition: 'result[0] < {{{{args.limit}}}}', failureCondition: 'result[0] >= 2', {query}}}"
    ))[0];
    assert_eq!((one.max, one.fail_above), (Some(Quantity::Plain(0.5)), Some(Quantity::Plain(2.0))));
    assert_eq!((one.consecutive, one.failure_limit), (Some(5), Some(2)));
    let two = gates(&format!("{{name: m, successCondition: 'result[0] > 1 && result[0] < 2', {query}}}"));
    assert_eq!(two.iter().map(|gate| gate.name.as_str()).collect::<Vec<_>>(), ["m-max", "m-min"]);
    let paused = &gates(&format!(
        "{{name: m, successCondition: 'result[0] < 1', failureCondition: 'result[0] < 0', {query}}}"
    ));
    assert!(
        paused
            .iter()
            .any(|gate| gate.max == Some(Quantity::Plain(1.0)) && gate.on_fail == Some(OnFail::Pause))
    );
    let every = &gates(&format!("{{name: m, successCondition: 'all(result, # < 1)', {query}}}"))[0];
    let Some(Source::Prometheus(source)) = &every.source else { panic!("a query") };
    assert_eq!(source.query, "max(sum(x{version=\"2\"}))");
    let unclear = &gates(&format!("{{name: m, successCondition: 'result == \"ok\"', {query}}}"))[0];
    assert!(matches!(unclear.source, Some(Source::Push(_))));
    let web = &gates(
        "{name: m, successCondition: 'result.ok >= 1', provider: {web: {url: 'https://x/y', jsonPath: '{$.data}', timeoutSeconds: 20}}}",
    )[0];
    let Some(Source::Http(source)) = &web.source else { panic!("a field") };
    assert_eq!(source.json_pointer, "/data/ok");
    let datadog = &gates("{name: m, successCondition: 'result < 1', provider: {datadog: {query: x}}}")[0];
    assert!(matches!(datadog.source, Some(Source::Push(_))) && datadog.max == Some(Quantity::Plain(1.0)));
}

#[test]
fn gates_that_are_none_are_found() {
    let query = |query: &str| format!("provider: {{prometheus: {{query: '{query}'}}}}");
    let check = |metric: &str, rule: &str| found(&made(&template(metric)), rule, 7);
    let ok = query("sum(x{version=\"2\"})");
    check(&format!("{{name: m, {ok}}}"), "never-fails");
    check(&format!("{{name: m, successCondition: 'true', {ok}}}"), "never-fails");
    check(&format!("{{name: m, successCondition: 'result < 1', failureLimit: -1, {ok}}}"), "never-fails");
    check(
        &format!(
            "{{name: m, successCondition: 'result < 1', interval: 1m, count: 3, failureLimit: 3, {ok}}}"
        ),
        "never-fails",
    );
    check(
        &format!("{{name: m, successCondition: 'isNaN(result) || result < 1', {ok}}}"),
        "passes-without-data",
    );
    check(
        &format!("{{name: m, successCondition: 'result < 1', {}}}", query("sum(x) or vector(0)")),
        "passes-without-data",
    );
    check(&format!("{{name: m, successCondition: 'result < 1', {ok}}}"), "one-sample");
    check(&format!("{{name: m, successCondition: 'result[0] < 1', {ok}}}"), "no-data-aborts");
    check(
        &format!("{{name: m, successCondition: 'result < 1', failureCondition: 'result > 3', {ok}}}"),
        "inconclusive-blocks",
    );
    check(
        &format!("{{name: m, successCondition: 'result < 3', failureCondition: 'result > 1', {ok}}}"),
        "contradiction",
    );
    check(
        &format!(
            "{{name: m, successCondition: 'result < 5', {}}}",
            query("sum(rate(a[1m])) / sum(rate(b[1m]))")
        ),
        "unit",
    );
    check(
        &format!(
            "{{name: m, successCondition: 'result < 500', {}}}",
            query("histogram_quantile(0.9, sum by (le) (rate(a_seconds_bucket[1m])))")
        ),
        "unit",
    );
    check(
        &format!("{{name: m, successCondition: 'result < 1', {}}}", query("rate(errors[1m])")),
        "several-series",
    );
    check(
        &format!("{{name: m, successCondition: 'result < 1', {}}}", query("sum(errors)")),
        "not-of-the-canary",
    );
    check(&format!("{{name: m, successCondition: 'result < 1', {}}}", query("x{{args.none}}")), "unresolved");
}

#[test]
fn routes_with_weights() {
    let route = made(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r, namespace: n}\nspec:\n  hostnames: [a.com]\n  rules:\n    - matches: [{path: {type: PathPrefix, value: /x}}]\n      backendRefs: [{name: v1, port: 80, weight: 90}, {name: v2, port: 80, weight: 10}]\n",
    );
    assert_eq!(weights(&route), ["10%", "25%", "50%", "100%"]);
    let spec = &route.rollouts[0].rollout.spec;
    assert_eq!((spec.stable.version.as_str(), spec.canary.version.as_str()), ("v1", "v2"));
    assert_eq!(spec.scope.as_ref().expect("match").path_prefix.as_deref(), Some("/x"));
    let service = made(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: r, namespace: n}\nspec:\n  hosts: [r]\n  http:\n    - route:\n        - {destination: {host: r, subset: v1, port: {number: 80}}, weight: 75}\n        - {destination: {host: r, subset: v2, port: {number: 80}}, weight: 25}\n",
    );
    assert_eq!(weights(&service), ["25%", "50%", "100%"]);
    let clusters = service.rollouts[0]
        .rollout
        .spec
        .routing
        .clone()
        .and_then(|routing| routing.clusters)
        .unwrap_or_else(|| panic!("{}", report(&service)));
    assert_eq!(clusters.canary.as_deref(), Some("outbound|80|v2|r.n.svc.cluster.local"));
    let three = made(
        "kind: HTTPRoute\napiVersion: gateway.networking.k8s.io/v1\nmetadata: {name: r}\nspec: {rules: [{backendRefs: [{name: a, weight: 8}, {name: b}, {name: c}]}]}\n",
    );
    assert_eq!(three.rollouts[0].rollout.spec.arms.len(), 1);
    let none = made(
        "kind: HTTPRoute\napiVersion: gateway.networking.k8s.io/v1\nmetadata: {name: r}\nspec: {rules: [{backendRefs: [{name: a}]}]}\n",
    );
    assert!(none.rollouts.is_empty() && none.count(Fate::Lost) == 1, "{}", report(&none));
}

#[test]
fn services_of_kserve() {
    let head = "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: s, annotations: {serving.kserve.io/deploymentMode: Standard}}\nspec:\n  predictor: {name: v1, model: {storageUri: 's3://m/v1'}}\n";
    let one = made(&format!("{head}  canary: [{{trafficPercent: 20, predictor: {{name: v2}}}}]\n"));
    assert_eq!(weights(&one), ["20%", "25%", "50%", "100%"]);
    let two = made(&format!(
        "{head}  canary: [{{trafficPercent: 20, predictor: {{name: v2}}}}, {{trafficPercent: 5, predictor: {{name: v3}}}}]\n"
    ));
    assert_eq!(two.rollouts[0].rollout.spec.arms[0].version, "v3");
    let member = |name: &str, weight: u32| {
        format!(
            "apiVersion: serving.kserve.io/v1alpha2\nkind: LLMInferenceService\nmetadata: {{name: {name}}}\nspec: {{model: {{uri: 'hf://a/b'}}, router: {{route: {{group: chat, weight: {weight}}}}}}}\n"
        )
    };
    let group = made(&format!("{}---\n{}", member("chat-v1", 9), member("chat-v2", 1)));
    assert_eq!((group.rollouts.len(), group.rollouts[0].name.as_str()), (1, "chat"));
    assert_eq!(weights(&group), ["10%", "25%", "50%", "100%"]);
}

#[test]
fn forms_a_document_may_have() {
    let text = argo("[{setWeight: 5}, {pause: {duration: 10m}}]");
    let rollouts = |text: &str| made(text).rollouts.into_iter().map(|made| made.rollout).collect::<Vec<_>>();
    let plain = rollouts(&text);
    assert_eq!(rollouts(&text.replace('\n', "\r\n")), plain);
    assert_eq!(rollouts(&format!("\u{feff}# nothing\n---\n{text}...\n")), plain);
    let json = "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{\"apiVersion\":\"argoproj.io/v1alpha1\",\"kind\":\"Rollout\",\"metadata\":{\"name\":\"a\"},\"spec\":{\"selector\":{},\"strategy\":{\"canary\":{\"steps\":[{\"setWeight\":5}]}}}}]}";
    let listed = made(json);
    assert_eq!(weights(&listed), ["5%", "100%"]);
    noted(&listed, Fate::Carried, "items[0].spec.strategy.canary.steps[0].setWeight", "5%");
    let anchored = made(&format!(
        "{}# x: &x\n",
        argo("[&a {setWeight: 5}, *a, {pause: &p {duration: 1m}}, {pause: *p}]")
    ));
    assert_eq!(weights(&anchored), ["5%", "100%"]);
    let beside = format!("kind: Service\napiVersion: v1\n---\n{text}");
    assert!(made(&beside).refused.is_empty() && rollouts(&beside) == plain);
    for (wrong, part) in [
        ("", "no document"),
        ("kind: Service\n", "give a Rollout"),
        ("apiVersion: serin.dev/v1alpha1\nkind: Rollout\n", "Serin's already"),
        ("a: {{ .Values.x }}: b\n", "helm template"),
        ("just text\n", "cannot be imported"),
        ("a: 1\na: [\n", "not valid YAML"),
    ] {
        let imported = made(wrong);
        let said = format!("{:?}", imported.refused);
        assert!(imported.rollouts.is_empty() && said.contains(part), "{wrong}: {said}");
    }
}

#[test]
fn what_judges_by_itself_needs_no_condition() {
    let of = |provider: &str| made(&template(&format!("{{name: m, provider: {provider}}}")));
    let job = of("{job: {spec: {template: {}}}}");
    assert!(job.findings.iter().all(|finding| finding.rule != "never-fails"), "{}", report(&job));
    assert!(matches!(job.rollouts[0].rollout.spec.gates[0].source, Some(Source::Push(_))));
    let kayenta = of("{kayenta: {address: x, threshold: {pass: 90, marginal: 75}}}");
    let gate = &kayenta.rollouts[0].rollout.spec.gates[0];
    assert_eq!((gate.min, gate.fail_below), (Some(Quantity::Plain(90.0)), Some(Quantity::Plain(75.0))));
}

#[test]
fn arguments_that_the_analysis_gives_are_waited_for() {
    let text = template(
        "{name: m, successCondition: 'result < 1', provider: {prometheus: {query: 'x{v=\"{{args.v}}\"}'}}}",
    );
    let alone = made(&text.replace("args: [", "args: [{name: v}, "));
    assert!(alone.findings.iter().all(|finding| finding.rule != "unresolved"), "{}", report(&alone));
    noted(&alone, Fate::Lost, "spec.metrics[0].provider", "given by the analysis");
    let secret =
        made(&text.replace("args: [", "args: [{name: v, valueFrom: {secretKeyRef: {name: s, key: k}}}, "));
    assert!(secret.findings.iter().all(|finding| finding.rule != "unresolved"), "{}", report(&secret));
    noted(&secret, Fate::Lost, "spec.metrics[0].provider", "is a secret");
}

#[test]
fn requests_of_a_route_are_told_apart() {
    let head = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec:\n";
    let split = "backendRefs: [{name: a, weight: 9}, {name: b, weight: 1}]";
    let of_service = made(&format!(
        "{head}  parentRefs: [{{kind: Service, name: s, namespace: n}}]\n  rules: [{{{split}}}]\n"
    ));
    let scope = of_service.rollouts[0].rollout.spec.scope.clone().expect("match");
    assert_eq!(scope.authority, ["s", "s.n", "s.n.svc", "s.n.svc.cluster.local"]);
    let exact =
        made(&format!("{head}  rules: [{{matches: [{{path: {{type: Exact, value: /x}}}}], {split}}}]\n"));
    noted(&exact, Fate::Approximated, "spec.rules[0].matches[0].path", "also what is below");
    let twice = made(&format!("{head}  rules: [{{{split}}}, {{{split}}}]\n"));
    assert_eq!(twice.rollouts.len(), 2);
    noted(&twice, Fate::Lost, "(match)", "only one of them");
    noted(&twice, Fate::Approximated, "(match)", "all that the filter sees");
    let chosen = made(&format!(
        "{head}  rules: [{{matches: [{{headers: [{{name: x, value: y}}]}}], backendRefs: [{{name: b}}]}}, {{{split}}}]\n"
    ));
    noted(&chosen, Fate::Lost, "spec.rules[0].matches", "these requests go to b");
    let istio = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: r}\nspec:\n  hosts: ['*']\n  http:\n    - {match: [{headers: {x: {exact: y}}}], route: [{destination: {host: b}, weight: 100}]}\n    - {route: [{destination: {host: a}, weight: 9}, {destination: {host: b}, weight: 1}]}\n";
    noted(&made(istio), Fate::Lost, "spec.http[0].match", "these requests go to b");
}
