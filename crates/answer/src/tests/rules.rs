//! The form of the rules in the policy.

use serde_json::{Value, json};

use crate::{Compiled, DEFAULT_MAX_BYTES, Format, Rules};

#[test]
fn what_is_refused_names_its_field() {
    let names = |count: usize| (0..count).map(|at| format!("c{at}")).collect::<Vec<_>>();
    for (written, field) in [
        (json!({"format": "json", "class": {"at": "/c", "names": []}}), "class.names"),
        (json!({"format": "json", "class": {"at": "/c", "names": names(33)}}), "class.names"),
        (json!({"format": "json", "class": {"at": "/c", "names": ["a", ""]}}), "class.names[1]"),
        (json!({"format": "json", "class": {"at": "/c", "names": ["a", "b", "a"]}}), "class.names[2]"),
        (json!({"format": "json", "failed_when": vec![json!({"at": "/e"}); 9]}), "failed_when"),
        (
            json!({"format": "json", "failed_when": [{"at": "/e", "equals": "x".repeat(65)}]}),
            "failed_when[0].equals",
        ),
        (json!({"format": "json", "max_bytes": 0}), "max_bytes"),
        (json!({"format": "json", "max_bytes": 67_108_865}), "max_bytes"),
        (json!({"score": "/s"}), "format"),
        (json!({"expects_json": true}), "format"),
    ] {
        let rules: Rules = serde_json::from_value(written.clone()).expect("a document");
        let refused = Compiled::compile(&rules).expect_err("out of its bounds");
        assert_eq!(refused.field, field, "{written}");
    }
    for written in [
        json!({"formatt": "json"}),
        json!({"format": "yaml"}),
        json!({"score": "s"}),
        json!({"class": {"at": "/c", "names": ["a"], "more": 1}}),
        json!({"failed_when": [{"at": "/c", "equal": 1}]}),
    ] {
        assert!(serde_json::from_value::<Rules>(written.clone()).is_err(), "{written}");
    }
}

#[test]
fn rules_travel() {
    let written = json!({
        "format": "openai", "score": "/a/0", "class": {"at": "/c", "names": ["a", "b"]},
        "failed_when": [{"at": "/e"}, {"at": "/f", "equals": 1.0}, {"at": "/g", "equals": true}, {"at": "/h", "equals": "x"}],
        "expects_json": true, "max_bytes": 1000,
    });
    let rules: Rules = serde_json::from_value(written.clone()).expect("rules");
    assert_eq!(serde_json::to_value(&rules).expect("JSON"), written);
    Compiled::compile(&rules).expect("within their bounds");
    let bare: Rules = serde_json::from_value(Value::Object(serde_json::Map::new())).expect("rules");
    assert_eq!(bare, Rules::default());
    assert_eq!((bare.format, bare.max_bytes), (Format::None, DEFAULT_MAX_BYTES));
}
