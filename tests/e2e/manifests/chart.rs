//! The chart's values: every one is in its schema with its default, and a typo is refused with the field.

use std::path::Path;

use serde_json::Value;

use super::{folder, text};

fn values(file: &str) -> Value {
    serde_saphyr::from_str(&text(&format!("chart/{file}"))).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn schema() -> Value {
    serde_json::from_str(&text("chart/values.schema.json")).expect("JSON")
}

/// Fields of the schema that no value stands for, and the other way round.
fn strangers(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let Some(properties) = schema["properties"].as_object() else { return };
    let empty = serde_json::Map::new();
    let fields = value.as_object().unwrap_or(&empty);
    for (name, inner) in properties.iter().filter(|(name, _)| *name != "global") {
        match fields.get(name) {
            None => found.push(format!("{at}/{name} has no default in values.yaml")),
            Some(value) => strangers(inner, value, &format!("{at}/{name}"), found),
        }
    }
    found.extend(
        fields
            .keys()
            .filter(|name| !properties.contains_key(*name))
            .map(|name| format!("{at}/{name} is in no schema")),
    );
}

#[test]
fn every_value_has_a_default_and_a_schema() {
    let mut found = Vec::new();
    strangers(&schema(), &values("values.yaml"), "", &mut found);
    assert_eq!(found, [""; 0]);
    // Each field of a service is explained where services are.
    let told = text("chart/values.yaml");
    for field in schema()
        .pointer("/properties/services/items/properties")
        .and_then(Value::as_object)
        .expect("fields")
        .keys()
    {
        assert!(told.contains(&format!("#   {field}: ")), "services: {field} is not explained");
    }
}

#[test]
fn a_typo_is_refused() {
    let schema = jsonschema::draft7::new(&schema()).expect("a schema");
    let check = |what: &str, change: &dyn Fn(&mut Value), expected: Option<&str>| {
        let mut values = values("values.yaml");
        change(&mut values);
        let faults: Vec<String> =
            schema.iter_errors(&values).map(|error| format!("{}: {error}", error.instance_path())).collect();
        match expected {
            None => assert_eq!(faults, [""; 0], "{what}"),
            Some(part) => assert!(
                faults.iter().any(|fault| fault.contains(part)),
                "{what}: {part} is not in {faults:?}"
            ),
        }
    };
    check("as it is", &|_| {}, None);
    check("a name", &|values| values["plugin"]["urll"] = "x".into(), Some("/plugin: "));
    check("a scheme", &|values| values["plugin"]["url"] = "file:///f".into(), Some("/plugin/url: "));
    check("a digest", &|values| values["plugin"]["sha256"] = "ab".into(), Some("/plugin/sha256: "));
    check("a kind", &|values| values["plugin"]["kind"] = "Wasm".into(), Some("/plugin/kind: "));
    check(
        "everybody",
        &|values| values["plugin"]["selector"] = serde_json::json!({}),
        Some("/plugin/selector: "),
    );
    check(
        "an arm",
        &|values| {
            values["services"] = serde_json::json!([{"name": "a", "namespace": "b", "arms": ["stable"]}])
        },
        Some("/services/0/arms/0: "),
    );
    check("a service", &|values| values["services"] = serde_json::json!([{"name": "a"}]), Some("namespace"));
    for file in std::fs::read_dir(folder().join("chart/examples")).expect("examples").flatten() {
        let name = file.file_name().into_string().expect("a name");
        let values = values(&format!("examples/{name}"));
        let faults: Vec<String> = schema.iter_errors(&values).map(|error| error.to_string()).collect();
        assert_eq!(faults, [""; 0], "{name}");
    }
}

#[test]
fn the_chart_has_the_programs_version() {
    let chart = values("Chart.yaml");
    for field in ["version", "appVersion"] {
        assert_eq!(chart[field].as_str(), Some(env!("CARGO_PKG_VERSION")), "{field}");
    }
}

/// The rules and the dashboard speak of metrics that are there: counters and gauges of the filter, the controller's own, and what the
/// rules record.
#[test]
fn the_dashboard_and_the_alerts_ask_for_metrics_that_are() {
    let records = values("rules/records.yaml");
    let recorded: Vec<String> = records["groups"][0]["rules"]
        .as_array()
        .expect("rules")
        .iter()
        .map(|rule| rule["record"].as_str().expect("a name").to_owned())
        .collect();
    let mut sources = String::new();
    let root = folder().join("..");
    for part in ["controller/src", "crates", "filter/src", "docs"] {
        read_all(&root.join(part), &mut sources);
    }
    let mut asked = 0;
    for file in ["rules/records.yaml", "rules/alerts.yaml", "dashboards/serin.json"] {
        let text = text(&format!("chart/{file}"));
        let text: String = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .map(|line| format!("{line}\n"))
            .collect();
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
        for word in words.filter(|word| word.contains("serin_")) {
            let known = match word.contains(':') {
                true => recorded.iter().any(|name| name == word),
                false => sources.contains(word),
            };
            assert!(known, "{file} asks for {word}, which nobody writes");
            asked += 1;
        }
    }
    assert!(asked > 30, "{asked}");
}

fn read_all(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => read_all(&path, into),
            false => into.push_str(&std::fs::read_to_string(&path).unwrap_or_default()),
        }
    }
}
