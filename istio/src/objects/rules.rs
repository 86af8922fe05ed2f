//! What the API server checks across fields, in CEL; each message names the field and the remedy.
//!
//! A rule refuses nothing that `serin check` takes. What it cannot say within the API server's budget of costs, the controller
//! says in the condition `Accepted`.

use serde_json::{Value, json};

/// Rules of the definitions of `manifest`'s schema, by name: the rule, its message, and the field it is about.
const RULES: &[(&str, &str, &str, &str)] = &[
    (
        "RolloutSpec",
        "!has(self.stages) || size(self.stages) > 0",
        "there is no stage; write some, ending with weight 100%, or leave the field out for the preset's",
        ".stages",
    ),
    (
        "RolloutSpec",
        "!has(self.stages) || size(self.stages) == 0 || (has(self.stages[size(self.stages) - 1].weight) && \
         self.stages[size(self.stages) - 1].weight.matches('^100(\\\\.0+)?%$'))",
        "the last stage is not at 100%; add a stage with weight 100%: the new version is not promoted before it bore all \
         traffic",
        ".stages",
    ),
    (
        "RolloutSpec",
        "!has(self.bandit) || !has(self.assignment) || !has(self.assignment.mode) || self.assignment.mode != 'sticky'",
        "assignment is sticky, and shares that fall would send users back and forth between versions; set assignment.mode: \
         random, or leave bandit out",
        ".bandit",
    ),
    (
        "RolloutSpec",
        "!has(self.cohorts) || self.cohorts.all(one, self.cohorts.exists_one(other, other.name == one.name))",
        "two cohorts have one name; rename one",
        ".cohorts",
    ),
    (
        "RolloutSpec",
        "!has(self.gates) || self.gates.all(one, self.gates.exists_one(other, other.name == one.name))",
        "two gates have one name; rename one",
        ".gates",
    ),
    (
        "RolloutSpec",
        "!has(self.guardrails) || self.guardrails.all(one, self.guardrails.exists_one(other, other.name == one.name))",
        "two guardrails have one name; rename one",
        ".guardrails",
    ),
    (
        "RolloutSpec",
        "has(self.models) || self.stable.version != self.canary.version",
        "both versions have one name; give the new version a name of its own",
        ".canary.version",
    ),
    (
        "Stage",
        "has(self.weight) || has(self.shadow)",
        "it says neither weight nor shadow; give the canary's share, such as weight: 5%",
        "",
    ),
    (
        "Lease",
        "!has(self.intervals) || self.intervals >= 2",
        "one lost answer would end the lease; use intervals: 2 or more (5 is the default)",
        ".intervals",
    ),
];

/// Fields of which exactly one is written, by definition.
const ONE_OF: &[(&str, &[&str])] = &[
    ("Hook", &["url", "command"]),
    ("WarmUpHook", &["url", "command", "requests"]),
    ("DrillPractice", &["every", "at"]),
    ("AaPractice", &["every", "at"]),
    ("Condition", &["header", "cookie", "query", "path"]),
    ("Condition", &["exact", "prefix", "regex", "present"]),
];

/// Adds the rules of a definition to its structural schema.
pub fn add(definition: &str, schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    if definition == "Level" {
        // kubectl reads YAML 1.1, in which `off` is false; the controller reads that as off.
        fields.remove("type");
        fields.insert("x-kubernetes-preserve-unknown-fields".to_owned(), true.into());
        if let Some(words) = fields.get_mut("enum").and_then(Value::as_array_mut) {
            words.push(false.into());
        }
    }
    let of_table =
        RULES.iter().filter(|(name, ..)| *name == definition).map(|(_, rule, message, field)| match *field {
            "" => json!({"rule": rule, "message": message}),
            field => json!({"rule": rule, "message": message, "fieldPath": field}),
        });
    let choices = ONE_OF
        .iter()
        .filter(|(name, _)| *name == definition)
        .map(|(_, names)| exactly_one(names, if names.contains(&"exact") { "the test: " } else { "" }));
    let added: Vec<Value> = of_table.chain(choices).collect();
    if added.is_empty() {
        return;
    }
    let rules = fields.entry("x-kubernetes-validations").or_insert(json!([]));
    if let Some(rules) = rules.as_array_mut() {
        rules.extend(added);
    }
}

/// The rule that exactly one of some fields is written.
pub fn exactly_one(names: &[&str], what: &str) -> Value {
    let given: Vec<String> = names.iter().map(|name| format!("has(self.{name})")).collect();
    json!({
        "rule": format!("[{}].exists_one(given, given)", given.join(", ")),
        "message": format!("{what}none or several of {list} are written; keep exactly one of {list}", list = names.join(", ")),
    })
}
