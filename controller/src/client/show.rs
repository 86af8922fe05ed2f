//! A rollout as text for a terminal.

use std::fmt::Write as _;

use serde_json::Value;

/// A field that is text; empty when it is not there.
pub fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The exit code of a rollout that is over.
pub fn over(view: &Value) -> Option<u8> {
    match text(view, "phase") {
        "Succeeded" => Some(0),
        "RolledBack" => Some(1),
        _ => None,
    }
}

/// One line each.
pub fn list(all: &Value) -> String {
    let rows = all.as_array().into_iter().flatten();
    let mut out = format!("{:<24} {:<12} {:>8} {:>7}  {}\n", "NAME", "PHASE", "WEIGHT", "STAGE", "MESSAGE");
    for view in rows {
        // Writing to a String does not fail.
        let _ = writeln!(
            out,
            "{:<24} {:<12} {:>8} {:>7}  {}",
            text(view, "name"),
            text(view, "phase"),
            percent(&view["weight_ppm"]),
            format!("{}/{}", view["stage"], view["stage_count"]),
            text(view, "message"),
        );
    }
    out
}

/// One rollout with its gates.
pub fn one(view: &Value) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} run {}: {} -> {}   {}   weight {}   stage {}/{}   generation {}",
        text(view, "name"),
        view["run"],
        text(view, "stable"),
        text(view, "canary"),
        text(view, "phase"),
        percent(&view["weight_ppm"]),
        view["stage"],
        view["stage_count"],
        view["generation"],
    );
    let _ = writeln!(out, "  {}", text(view, "message"));
    if let Some(stage) = view["stages"].as_array().and_then(|stages| stages.last()) {
        verdicts(&mut out, &stage["gates"]);
    }
    verdicts(&mut out, &view["guardrails"]);
    for refusal in view["refusals"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "  refused by {}: {}", text(refusal, "node"), text(refusal, "reason"));
    }
    out
}

fn verdicts(out: &mut String, gates: &Value) {
    for gate in gates.as_array().into_iter().flatten() {
        let _ =
            writeln!(out, "  {:<13} {:<16} {}", text(gate, "verdict"), text(gate, "name"), text(gate, "why"));
    }
}

/// Parts per million as a person reads them.
fn percent(ppm: &Value) -> String {
    ppm.as_f64().map_or_else(String::new, |ppm| format!("{}%", ppm / 10_000.0))
}
