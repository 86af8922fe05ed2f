//! What a delivery says: MLflow's events, or in our own words `{"version": "7"}`.

use std::collections::BTreeMap;

use manifest::{Mlflow, Trigger, When};
use serde::Deserialize;
use serde_json::Value;

/// What a delivery means for a trigger.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// This version is to be rolled out.
    Go { version: String, by: String },
    /// Nothing: why.
    Nothing(String),
}

/// MLflow's envelope; strange fields are theirs to add.
#[derive(Deserialize)]
struct Event {
    entity: String,
    action: String,
    #[serde(default)]
    data: Data,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    name: String,
    version: String,
    alias: String,
    key: String,
    value: String,
    tags: Option<BTreeMap<String, String>>,
}

/// Our own words, for whatever else keeps models.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    version: Value,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

const FORM: &str = "send MLflow's events, or {\"version\": \"7\", \"model\": MODEL, \"reason\": TEXT}";

/// Reads a delivery; the error is one sentence.
pub fn read(trigger: &Trigger, body: &[u8]) -> Result<Said, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| format!("no JSON: {error}; {FORM}"))?;
    // A list would be taken for the fields in their order.
    if !value.is_object() {
        return Err(format!("it is no JSON object; {FORM}"));
    }
    if value.get("entity").is_some() {
        let event: Event = serde_json::from_value(value).map_err(|error| format!("{error}; {FORM}"))?;
        return Ok(match &trigger.mlflow {
            Some(mlflow) => event.means(mlflow),
            None => Said::Nothing("the trigger has no spec.mlflow to compare it with".to_owned()),
        });
    }
    let plain: Plain = serde_json::from_value(value).map_err(|error| format!("{error}; {FORM}"))?;
    let version = match plain.version {
        Value::String(text) if !text.is_empty() => text,
        Value::Number(number) => number.to_string(),
        other => return Err(format!("version is {other}, neither text nor number; {FORM}")),
    };
    match (&plain.model, &trigger.mlflow) {
        (Some(model), Some(mlflow)) if *model != mlflow.model => Ok(foreign(model, mlflow)),
        _ => {
            let by =
                plain.reason.map_or_else(|| "a webhook".to_owned(), |reason| format!("a webhook: {reason}"));
            Ok(Said::Go { version, by })
        }
    }
}

fn foreign(model: &str, mlflow: &Mlflow) -> Said {
    Said::Nothing(format!("it is about the model {model:?}, the trigger is for {:?}", mlflow.model))
}

impl Event {
    fn means(self, mlflow: &Mlflow) -> Said {
        let Self { entity, action, data } = self;
        if data.name != mlflow.model {
            return foreign(&data.name, mlflow);
        }
        let has = |key: &String, value: &Option<String>| {
            let found = data.tags.as_ref().and_then(|tags| tags.get(key));
            found.is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
        };
        let by = match (entity.as_str(), action.as_str(), &mlflow.when) {
            ("model_version_alias", "created", When::Alias(alias)) if data.alias == *alias => {
                format!("a webhook: alias {alias}")
            }
            ("model_version_tag", "set", When::Tag { key, value })
                if data.key == *key && value.as_ref().is_none_or(|value| data.value == *value) =>
            {
                format!("a webhook: tag {key}={}", data.value)
            }
            ("model_version", "created", When::Tag { key, value }) if has(key, value) => {
                format!("a webhook: made with tag {key}")
            }
            ("model_version", "created", When::Created) => "a webhook: made".to_owned(),
            _ => return Said::Nothing(format!("{entity}.{action} is not what the trigger waits for")),
        };
        if data.version.is_empty() {
            return Said::Nothing(format!("{entity}.{action} names no version"));
        }
        Said::Go { version: data.version, by }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trigger(when: &str) -> Trigger {
        let text = format!(
            "apiVersion: serin.dev/v1alpha1\nkind: Trigger\nmetadata: {{name: t}}\nspec:\n  mlflow: {{model: ranker, when: {when}}}\n  webhook: {{unsigned: true}}\n  template:\n    metadata: {{name: ranker}}\n    spec:\n      stable: {{version: '6'}}\n      canary: {{version: '{{{{version}}}}'}}\n"
        );
        manifest::load_trigger(&text).expect("a trigger").0
    }

    /// `Ok(Some)`: version and how; `Ok(None)`: nothing; `Err`: a part of the error.
    #[track_caller]
    fn check(when: &str, body: &str, expected: Result<Option<(&str, &str)>, &str>) {
        match (read(&trigger(when), body.as_bytes()), expected) {
            (Ok(Said::Go { version, by }), Ok(Some(expected))) => {
                assert_eq!((version.as_str(), by.as_str()), expected, "{body}");
            }
            (Ok(Said::Nothing(_)), Ok(None)) => {}
            (Err(error), Err(part)) => assert!(error.contains(part), "{part:?} is missing in: {error}"),
            (found, expected) => panic!("{body}: {found:?}, not {expected:?}"),
        }
    }

    /// As MLflow 3 sends it.
    fn event(entity: &str, action: &str, data: &str) -> String {
        format!(
            r#"{{"entity": "{entity}", "action": "{action}", "timestamp": "2026-08-20T10:11:12.131415+00:00", "data": {data}}}"#
        )
    }

    #[test]
    fn of_mlflows_events_only_the_awaited_ones_mean_go() {
        let alias = event(
            "model_version_alias",
            "created",
            r#"{"name": "ranker", "alias": "challenger", "version": "7"}"#,
        );
        check("{alias: challenger}", &alias, Ok(Some(("7", "a webhook: alias challenger"))));
        check("{alias: champion}", &alias, Ok(None));
        check("{created: true}", &alias, Ok(None));
        check("{alias: challenger}", &alias.replace("ranker", "example_model"), Ok(None));
        check("{alias: challenger}", &alias.replace("created", "deleted"), Ok(None));
        check("{alias: challenger}", &alias.replace(r#""7""#, r#""""#), Ok(None));
        let set = event(
            "model_version_tag",
            "set",
            r#"{"name": "ranker", "version": "7", "key": "production-ready", "value": "true"}"#,
        );
        let ready = "{tag: {key: production-ready, value: 'true'}}";
        check(ready, &set, Ok(Some(("7", "a webhook: tag production-ready=true"))));
        check(
            "{tag: {key: production-ready}}",
            &set,
            Ok(Some(("7", "a webhook: tag production-ready=true"))),
        );
        check("{tag: {key: production-ready, value: 'yes'}}", &set, Ok(None));
        check("{tag: {key: ready}}", &set, Ok(None));
        let created = event(
            "model_version",
            "created",
            r#"{"name": "ranker", "version": "8", "source": "models:/m-1", "run_id": null,
                "tags": {"production-ready": "true"}, "description": null}"#,
        );
        check("{created: true}", &created, Ok(Some(("8", "a webhook: made"))));
        check(ready, &created, Ok(Some(("8", "a webhook: made with tag production-ready"))));
        check(ready, &created.replace(r#"{"production-ready": "true"}"#, "null"), Ok(None));
        check("{created: true}", &event("prompt", "created", "{}"), Ok(None));
    }

    #[test]
    fn others_say_it_in_our_words() {
        check("{created: true}", r#"{"version": "7"}"#, Ok(Some(("7", "a webhook"))));
        let whole = r#"{"version": 7, "model": "ranker", "reason": "nightly"}"#;
        check("{created: true}", whole, Ok(Some(("7", "a webhook: nightly"))));
        check("{created: true}", r#"{"version": "7", "model": "other"}"#, Ok(None));
        check("{created: true}", r#"{"version": ""}"#, Err("neither text nor number"));
        check("{created: true}", r#"{"model": "ranker"}"#, Err("`version`"));
        check("{created: true}", r#"{"version": "7", "stage": "x"}"#, Err("stage"));
        check("{created: true}", "ping", Err("no JSON"));
        check("{created: true}", "[1]", Err("send MLflow's events"));
        check("{created: true}", r#"{"entity": 1}"#, Err("send MLflow's events"));
    }
}
