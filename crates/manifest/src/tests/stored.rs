//! Gates as stores hold them.

use crate::{Basis, Gate, Metric};

/// A gate of each kind, as a store holds it.
const COUNTERS: &str = r#"{"name":"errors","metric":"error_rate","source":null,"limit":{"pass":0.02,"fail":0.05},
"against":{"margin":1.5,"margin_points":0.0,"harm":1.05,"harm_points":0.0,"ignore_below":0.001,"pass_below":0.01},
"anomaly":null,"min_samples":250,"hard":true,"on_fail":"pause","on_marginal":"reanalyze",
"marginal":{"borne":2,"again":3,"hold_ms":60000},"start_after_ms":1000,"min_window_ms":2000,"consecutive":4,"every_ms":30000,
"failure_limit":5,"no_data":{"borne":3,"action":"hold"},"on_error":{"borne":3,"action":"hold"}}"#;
const FIGURE: &str = r#"{"name":"accuracy","metric":"external_high","source":{"prometheus":{"url":"http://p","query":"q","stableQuery":"s"}},
"limit":null,"against":{"margin":0.02,"margin_points":0.0,"harm":0.02,"harm_points":0.0,"ignore_below":0.0,"pass_below":0.0},
"anomaly":{"z":3.5,"min_readings":12,"least":0.01,"least_points":0.0,"sides":"worse","history":null},
"min_samples":0,"hard":false,"on_fail":"rollback","on_marginal":"hold",
"marginal":{"borne":null,"again":1,"hold_ms":null},"start_after_ms":0,"min_window_ms":0,"consecutive":3,"every_ms":60000,
"failure_limit":2,"no_data":{"borne":1,"action":"pause"},"on_error":{"borne":2,"action":"rollback"}}"#;

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[track_caller]
fn check(text: &str) -> Gate {
    let gate: Gate = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_value(&gate).unwrap(), json(text), "the stored form has changed");
    gate
}

#[test]
fn gates_of_both_kinds_are_stored_as_they_always_were() {
    let counted = check(COUNTERS);
    assert_eq!(counted.basis, Basis::Counters { metric: Metric::ErrorRate, min_samples: 250 });
    let read = check(FIGURE);
    assert_eq!((read.metric(), read.min_samples()), (Metric::ExternalHigh, 0));
    assert_eq!(read.anomaly().unwrap().min_readings, 12);
    let lower = FIGURE.replace("external_high", "external_low");
    assert_eq!(check(&lower).metric(), Metric::ExternalLow);
}

#[test]
fn gates_of_earlier_builds_lack_fields() {
    for text in [COUNTERS, FIGURE] {
        let mut old = json(text);
        for field in ["anomaly", "marginal", "no_data", "on_error"] {
            old.as_object_mut().unwrap().remove(field);
        }
        let gate: Gate = serde_json::from_value(old).unwrap();
        assert_eq!((gate.marginal, gate.anomaly()), (crate::Marginal::default(), None));
    }
}

#[test]
fn a_gate_of_no_kind_is_refused() {
    let check = |text: &str, said: &str| {
        let error = serde_json::from_str::<Gate>(text).unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
    };
    check(
        &FIGURE.replace("external_high", "overdue"),
        "gate accuracy: overdue is counted, and has a `source`",
    );
    let unread = COUNTERS.replace("error_rate", "external_low");
    check(&unread, "gate errors: it rests on readings, and `source` is missing");
    check(&COUNTERS.replace("\"hard\"", "\"firm\""), "unknown field `firm`");
}
