use super::*;

const HEAD: &str =
    "apiVersion: serin.dev/v1alpha1\nkind: Trigger\nmetadata: {name: ranker-registry}\nspec:\n";
const MLFLOW: &str = "  mlflow: {model: ranker, url: \"http://mlflow:5000\", when: {alias: challenger}}\n";
const TEMPLATE: &str = "  template:\n    metadata: {name: ranker}\n    spec:\n      stable: {version: v6}\n      canary: {version: \"v{{version}}\"}\n";

/// The lines after `spec:`; expected is what is said of them, `Err`s and warnings alike.
#[track_caller]
fn check(lines: &str, expected: &[&str]) {
    let text = format!("{HEAD}{lines}");
    let said = match load_trigger(&text) {
        Ok((_, warnings)) => warnings,
        Err(problems) => problems.0,
    };
    let said: Vec<String> = said.iter().map(ToString::to_string).collect();
    assert_eq!(said, expected, "{text}");
}

#[test]
fn what_is_wrong_is_named_with_line_field_and_remedy() {
    check(&format!("{MLFLOW}{TEMPLATE}"), &[]);
    check(
        &format!("{MLFLOW}{}", TEMPLATE.replace("v{{version}}", "v7")),
        &[
            "error (line 10): spec.template.spec.canary.version: \"v7\" is the same for every version of the registry; write '{{version}}', or a name around it such as 'v{{version}}' (in quotes)",
        ],
    );
    check(
        &format!("{MLFLOW}{TEMPLATE}      stages: [{{weight: 5%, bake: 5m}}]\n"),
        &[
            "error (line 11): spec.template.spec.stages[0].weight: the last stage is at 5%; add a stage with weight 100%: the new version is not promoted before it bore all traffic",
        ],
    );
    check(
        &format!("{MLFLOW}{TEMPLATE}      stags: []\n"),
        &[
            "error (line 11): spec.template.spec.stags: there is no such field; write `stages`, if that is meant",
        ],
    );
    check(
        &format!("  mlflow: {{model: ranker, when: {{alias: a, created: true}}, every: 1s}}\n{TEMPLATE}"),
        &[
            "error (line 5): spec.mlflow: the registry is not polled, and no webhook reports new versions; add mlflow.url, the tracking server's address, or a webhook",
            "error (line 5): spec.mlflow.when: it is not exactly one of alias, tag, stage and created; keep one, such as `when: {alias: challenger}`",
            "error (line 5): spec.mlflow.every: 1s is too often; write 5s or more",
        ],
    );
    check(
        &format!(
            "  mlflow: {{model: ranker, when: {{stage: Staging}}}}\n  webhook: {{unsigned: true}}\n{TEMPLATE}"
        ),
        &[
            "error (line 5): spec.mlflow.url: MLflow sends no webhooks for stages; add the tracking server's address, so that it can be polled; or use an alias",
        ],
    );
    check(
        &format!("{MLFLOW}  webhook: {{}}\n{TEMPLATE}"),
        &[
            "error (line 6): spec.webhook: it is not exactly one of secret and unsigned; name the secret deliveries are signed with, or write `unsigned: true` where nobody else can reach us",
        ],
    );
    check(
        &format!("{MLFLOW}  webhook: {{secret: ../token}}\n{TEMPLATE}"),
        &[
            "error (line 6): spec.webhook.secret: \"../token\" is not the name of a secret; write the name under which the controller's operator offers it, such as prometheus-token or prometheus/token",
        ],
    );
    check(
        &format!(
            "  mlflow: {{model: m, when: {{created: true}}, url: 'mlflow:5000', access: {{headers: {{cookie: {{value: x}}}}}}}}\n{TEMPLATE}"
        ),
        &[
            "error (line 5): spec.mlflow.url: \"mlflow:5000\" is not a URL; begin with http:// or https:// and a host",
            "error (line 5): spec.mlflow.access.headers.cookie: a secret stands here, for everybody to read; write {secret: NAME}, a name the controller's operator offers",
        ],
    );
    check(
        &format!(
            "  mlflow: {{model: ranker, url: \"http://m\", when: {{tag: {{key: \"a`b\"}}}}}}\n{TEMPLATE}"
        ),
        &[
            "error (line 5): spec.mlflow.when.tag: it holds a quotation mark, and MLflow's search has no way to write that; use a tag without quotation marks",
        ],
    );
    check(&format!("{MLFLOW}{}", TEMPLATE.replace("v6", "v1")), &[]);
    check("", &["error (line 4): spec: nothing stands here; write a mapping, that is fields with values"]);
    check(
        &format!("{MLFLOW}{TEMPLATE}      stages: [{{weight: 50%, bake: 5m}}, {{weight: 100%, bake: 5m}}]\n"),
        &[
            "warning (line 11): spec.template.spec.stages[0].weight: the first exposed stage is at 50%; begin with 5% or less, so that a bad version meets few users",
        ],
    );
}

#[test]
fn a_version_of_the_registry_becomes_a_rollout() {
    let text = format!("{HEAD}{MLFLOW}  webhook: {{secret: hook}}\n{TEMPLATE}");
    let (trigger, _) = load_trigger(&text).expect("a trigger");
    assert!(is_trigger(&text) && !is_trigger("kind: Rollout") && !is_trigger("- 1"));
    assert_eq!((trigger.rollout.as_str(), trigger.first_stable()), ("ranker", "v6"));
    for (stable, expected) in [(None, "v6"), (Some("v5"), "v5")] {
        let text = serde_json::to_string(&trigger.document_for("7", stable)).expect("JSON");
        let plan = crate::load(&text).expect("a rollout").plan;
        assert_eq!(
            (plan.name.as_str(), plan.stable.as_str(), plan.canary.as_str()),
            ("ranker", expected, "v7")
        );
        assert_eq!(plan.supersede, Supersede::Queue, "a version must not be lost because one is under way");
    }
    let other = text.replace("v{{version}}", "{{model}}-{{version}}");
    assert_eq!(load_trigger(&other).expect("a trigger").0.version("7"), "ranker-7");
    let reject = format!("{text}      supersede: reject\n");
    assert_eq!(load_trigger(&reject).expect("a trigger").0.supersede, Supersede::Reject);
}
