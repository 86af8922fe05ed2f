//! What differs between two rollouts, field by field, as their users write them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::typed::Rollout;

/// A field that differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Change {
    /// Where: `spec.stages[1].weight`; of a list whose items have names, `spec.gates[errors].max`.
    pub field: String,
    /// What it was; `None`: it was not there.
    pub before: Option<String>,
    /// What it is; `None`: it is not there any more.
    pub after: Option<String>,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => write!(f, "{}: {before} -> {after}", self.field),
            (None, Some(after)) => write!(f, "{}: {after} (new)", self.field),
            (Some(before), None) => write!(f, "{}: {before} (gone)", self.field),
            (None, None) => f.write_str(&self.field),
        }
    }
}

/// What differs between two rollouts.
#[must_use]
pub fn changes(before: &Rollout, after: &Rollout) -> Vec<Change> {
    let mut found = Vec::new();
    let value = |rollout: &Rollout| serde_json::to_value(rollout).unwrap_or_default();
    compare("", Some(&value(before)), Some(&value(after)), &mut found);
    found
}

fn compare(field: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Change>) {
    if before == after {
        return;
    }
    match (before, after) {
        (Some(Value::Object(one)), Some(Value::Object(other))) => {
            let added = other.keys().filter(|key| !one.contains_key(*key));
            for key in one.keys().chain(added) {
                let dot = if field.is_empty() { "" } else { "." };
                compare(&format!("{field}{dot}{key}"), one.get(key), other.get(key), found);
            }
        }
        (Some(Value::Array(one)), Some(Value::Array(other))) => {
            // Items with names are the same item wherever they stand.
            match named(one).zip(named(other)) {
                Some((before, after)) => {
                    let of = |list: &[(&str, Value)], name: &str| {
                        list.iter().find(|(known, _)| *known == name).map(|(_, item)| item.clone())
                    };
                    let added = after.iter().filter(|(name, _)| of(&before, name).is_none());
                    for (name, _) in before.iter().chain(added) {
                        let (one, other) = (of(&before, name), of(&after, name));
                        compare(&format!("{field}[{name}]"), one.as_ref(), other.as_ref(), found);
                    }
                }
                None => {
                    for at in 0..one.len().max(other.len()) {
                        compare(&format!("{field}[{at}]"), one.get(at), other.get(at), found);
                    }
                }
            }
        }
        _ => found.push(Change { field: field.to_owned(), before: before.map(text), after: after.map(text) }),
    }
}

fn named(list: &[Value]) -> Option<Vec<(&str, Value)>> {
    list.iter().map(|item| Some((item.get("name")?.as_str()?, item.clone()))).collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use crate::tests::MINIMAL;

    #[track_caller]
    fn check(before: &str, after: &str, expected: &[&str]) {
        let typed = |more: &str| crate::load(&format!("{MINIMAL}{more}")).expect("a rollout").typed;
        let found: Vec<String> =
            super::changes(&typed(before), &typed(after)).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_differs_is_said_field_by_field() {
        check("", "", &[]);
        check("  warmUp: 60s\n", "  warmUp: 1m\n", &[]);
        let stages =
            |second: &str| format!("  stages: [{{weight: 1%, bake: 5m}}, {{weight: {second}, bake: 10m}}]\n");
        check(&stages("100%"), &stages("100%"), &[]);
        check(
            "  stages: [{weight: 1%, bake: 5m}, {weight: 100%, bake: 10m}]\n",
            "  stages: [{weight: 2%, bake: 5m, approval: true}, {weight: 50%, bake: 10m}, {weight: 100%, bake: 10m}]\n",
            &[
                "spec.stages[0].weight: 1% -> 2%",
                "spec.stages[0].approval: true (new)",
                "spec.stages[1].weight: 100% -> 50%",
                r#"spec.stages[2]: {"bake":"10m","weight":"100%"} (new)"#,
            ],
        );
        check(
            "  gates: [{name: e, metric: error_rate, max: 1%}, {name: p, metric: latency_p99, max: 1s}]\n",
            "  gates: [{name: p, metric: latency_p99, max: 2s}, {name: e, metric: error_rate, max: 1%}]\n",
            &["spec.gates[p].max: 1s -> 2s"],
        );
        check("  supersede: queue\n", "", &["spec.supersede: queue (gone)"]);
    }
}
