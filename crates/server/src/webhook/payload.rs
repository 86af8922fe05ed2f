//! What a delivery says: MLflow's events, or in our own words `{"version": "7"}`.

use std::collections::BTreeMap;

use controller::engine::RegistryEvent;
use manifest::{Mlflow, Trigger, When};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use sources::moment::{self, NoMoment, Zone, of_number, of_text};

/// What a delivery means for a trigger.
#[derive(Debug, PartialEq, Eq)]
pub enum Delivered {
    /// Something of its model has changed.
    Event(RegistryEvent),
    /// Nothing: why.
    Ignored(String),
}

/// MLflow's envelope; strange fields are theirs to add.
#[derive(Deserialize)]
struct Event {
    entity: String,
    action: String,
    #[serde(default)]
    timestamp: Option<Value>,
    #[serde(default)]
    workspace: Option<String>,
    #[serde(default)]
    data: Data,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    name: String,
    #[serde(deserialize_with = "text")]
    version: String,
    alias: String,
    key: String,
    value: Option<String>,
    tags: Option<BTreeMap<String, Option<String>>>,
    status: Option<String>,
    workspace: Option<String>,
}

/// A version, whether it is written as a text or as a number; `null` is none.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    match Value::deserialize(from)? {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Null => Ok(String::new()),
        other => Err(serde::de::Error::custom(format!("version is {other}, neither text nor number"))),
    }
}

/// When an event happened, in milliseconds since 1970. Events are put in order by it, so one that cannot be told is refused.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // from 1990 to 2099
fn happened(written: Option<&Value>) -> Result<Option<u64>, String> {
    let read = match written {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => of_text(text.trim()),
        Some(Value::Number(number)) => {
            of_number(number.as_f64().unwrap_or(f64::NAN)).map(|seconds| (seconds, Zone::Said))
        }
        Some(_) => Err(NoMoment::Unreadable),
    };
    let shown = written.map(Value::to_string).unwrap_or_default();
    match read {
        Ok((seconds, Zone::Said)) => Ok(Some((seconds * 1e3) as u64)),
        Ok((_, Zone::Unsaid)) => {
            Err(format!("timestamp is {shown}, which names no zone; write one, such as Z"))
        }
        Err(why) => Err(format!("timestamp is {shown}, which {}", moment::refusal(why))),
    }
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
    /// When it happened: versions go in the order of it.
    #[serde(default)]
    timestamp: Option<Value>,
}

const FORM: &str =
    "send MLflow's events, or {\"version\": \"7\", \"model\": MODEL, \"reason\": TEXT, \"timestamp\": TIME}";

/// Reads a delivery; the error is one sentence.
pub fn read(trigger: &Trigger, body: &[u8]) -> Result<Delivered, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| format!("no JSON: {error}; {FORM}"))?;
    // A list would be taken for the fields in their order.
    if !value.is_object() {
        return Err(format!("it is no JSON object; {FORM}"));
    }
    if value.get("entity").is_some() {
        let event: Event = serde_json::from_value(value).map_err(|error| format!("{error}; {FORM}"))?;
        let said_ms = happened(event.timestamp.as_ref())?;
        return Ok(match &trigger.mlflow {
            Some(mlflow) => event.means(mlflow, said_ms),
            None => Delivered::Ignored("the trigger has no spec.mlflow to compare it with".to_owned()),
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
            let said_ms = happened(plain.timestamp.as_ref())?;
            Ok(Delivered::Event(RegistryEvent { version: Some(version), go: true, by, said_ms }))
        }
    }
}

fn foreign(model: &str, mlflow: &Mlflow) -> Delivered {
    Delivered::Ignored(format!("it is about the model {model:?}, the trigger is for {:?}", mlflow.model))
}

impl Event {
    fn means(self, mlflow: &Mlflow, said_ms: Option<u64>) -> Delivered {
        let Self { entity, action, data, workspace, .. } = self;
        if data.name != mlflow.model {
            return foreign(&data.name, mlflow);
        }
        let workspace = workspace.or(data.workspace);
        if !mlflow.is_in(workspace.as_deref()) {
            let (theirs, ours) = (workspace.as_deref(), mlflow.workspace.as_deref());
            let named = |name: Option<&str>| name.unwrap_or(Mlflow::DEFAULT_WORKSPACE).to_owned();
            return Delivered::Ignored(format!(
                "it is about {:?} of the workspace {:?}, the trigger is for {:?} (spec.mlflow.workspace)",
                mlflow.model,
                named(theirs),
                named(ours)
            ));
        }
        if let Some(status) = data.status.as_ref().filter(|status| *status != "READY" && action != "deleted")
        {
            return Delivered::Ignored(format!(
                "version {} is {status}, and only what is READY is rolled out",
                data.version
            ));
        }
        let has = |key: &String, value: &Option<String>| {
            let found = data.tags.as_ref().and_then(|tags| tags.get(key));
            found.is_some_and(|found| value.is_none() || found == value)
        };
        let valued = |value: &Option<String>| value.is_none() || data.value == *value;
        let shown = data.value.clone().unwrap_or_default();
        let mut go = true;
        let by = match (entity.as_str(), action.as_str(), &mlflow.when) {
            ("model_version_alias", "created", When::Alias(alias)) if data.alias == *alias => {
                format!("a webhook: alias {alias}")
            }
            ("model_version_tag", "set", When::Tag { key, value }) if data.key == *key && valued(value) => {
                format!("a webhook: tag {key}={shown}")
            }
            // What was meant is meant no longer.
            ("model_version_alias", "deleted", When::Alias(alias)) if data.alias == *alias => {
                go = false;
                format!("a webhook: alias {alias} deleted")
            }
            ("model_version_tag", "deleted", When::Tag { key, .. }) if data.key == *key => {
                go = false;
                format!("a webhook: tag {key} deleted")
            }
            ("model_version_tag", "set", When::Tag { key, .. }) if data.key == *key => {
                go = false;
                format!("a webhook: tag {key}={shown}")
            }
            ("model_version", "created", When::Tag { key, value }) if has(key, value) => {
                format!("a webhook: made with tag {key}")
            }
            ("model_version", "created", When::Created) => "a webhook: made".to_owned(),
            _ => return Delivered::Ignored(format!("{entity}.{action} is not what the trigger waits for")),
        };
        // An alias stands for one version, whichever it was.
        let version = Some(data.version).filter(|version| !version.is_empty());
        if version.is_none() && (go || !matches!(mlflow.when, When::Alias(_))) {
            return Delivered::Ignored(format!("{entity}.{action} names no version"));
        }
        let version = version.filter(|_| go || !matches!(mlflow.when, When::Alias(_)));
        Delivered::Event(RegistryEvent { version, go, by, said_ms })
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
            (Ok(Delivered::Event(RegistryEvent { version, go, by, .. })), Ok(Some((expected, how)))) => {
                let version = version.as_deref().unwrap_or("-");
                let version = if go { version.to_owned() } else { format!("not {version}") };
                assert_eq!((version.as_str(), by.as_str()), (expected, how), "{body}");
            }
            (Ok(Delivered::Ignored(_)), Ok(None)) => {}
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
        let deleted = alias.replace("created", "deleted");
        check("{alias: challenger}", &deleted, Ok(Some(("not -", "a webhook: alias challenger deleted"))));
        check("{alias: champion}", &deleted, Ok(None));
        check(
            "{alias: challenger}",
            &alias.replace(r#""7""#, "14"),
            Ok(Some(("14", "a webhook: alias challenger"))),
        );
        check("{alias: challenger}", &alias.replace(r#""7""#, "[7]"), Err("neither text nor number"));
        for workspace in [r#""workspace": "default", "data""#, r#""workspace": null, "data""#] {
            let here = alias.replace(r#""data""#, workspace);
            check("{alias: challenger}", &here, Ok(Some(("7", "a webhook: alias challenger"))));
            check("{alias: challenger}, workspace: team-b", &here, Ok(None));
        }
        let there = alias.replace(r#""data""#, r#""workspace": "team-b", "data""#);
        check("{alias: challenger}", &there, Ok(None));
        check(
            "{alias: challenger}, workspace: team-b",
            &there,
            Ok(Some(("7", "a webhook: alias challenger"))),
        );
        for status in ["PENDING_REGISTRATION", "FAILED_REGISTRATION"] {
            let unready = alias.replace(r#""version""#, &format!(r#""status": "{status}", "version""#));
            check("{alias: challenger}", &unready, Ok(None));
        }
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
        check(
            "{tag: {key: production-ready, value: 'yes'}}",
            &set,
            Ok(Some(("not 7", "a webhook: tag production-ready=true"))),
        );
        check(
            ready,
            &set.replace("\"set\"", "\"deleted\""),
            Ok(Some(("not 7", "a webhook: tag production-ready deleted"))),
        );
        check(
            ready,
            &set.replace(r#""true"}"#, "null}"),
            Ok(Some(("not 7", "a webhook: tag production-ready="))),
        );
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
    fn an_event_has_the_time_its_registry_gives_it_in_any_unit() {
        let of = |timestamp: &str| {
            let body = format!(r#"{{"version": "7", "timestamp": {timestamp}}}"#);
            match read(&trigger("{created: true}"), body.as_bytes()) {
                Ok(Delivered::Event(news)) => Ok(news.said_ms),
                Ok(Delivered::Ignored(why)) => panic!("{why}"),
                Err(why) => Err(why),
            }
        };
        for timestamp in [
            "1787220671",
            "1787220671000",
            "1787220671000000",
            "\"2026-08-20T10:11:11+00:00\"",
            "\"2026-08-20T12:11:11+02:00\"",
        ] {
            assert_eq!(of(timestamp), Ok(Some(1_787_220_671_000)), "{timestamp}");
        }
        assert_eq!(of("null"), Ok(None));
        for (timestamp, part) in [
            ("\"2026-08-20T10:11:11\"", "names no zone"),
            ("7", "no time from 1990"),
            ("\"soon\"", "is no time"),
        ] {
            let why = of(timestamp).expect_err(timestamp);
            assert!(why.contains("timestamp is") && why.contains(part), "{why}");
        }
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
