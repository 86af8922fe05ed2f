//! `serin aa`: asks for an A/A check, follows it, and says what it found.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use reqwest::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use super::drill::{code, follow, meant, worst};
use super::{accepted, send};
use crate::args::{self, Output};

/// An A/A check, as far as a person is shown it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Parity {
    pub name: String,
    pub number: u64,
    pub version: String,
    pub outcome: Option<String>,
    pub finding: Option<String>,
    pub message: String,
    pub split: Split,
    pub gates: Vec<Row>,
    pub left_out: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Split {
    pub expected: f64,
    pub observed: Option<f64>,
    pub e_value: f64,
    pub causes: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Row {
    pub name: String,
    pub verdict: String,
    pub why: String,
    pub difference: Option<Difference>,
}

/// By how much the parts differ, and what `harm` leaves room for that.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Difference {
    pub why: String,
}

pub async fn parity(options: args::Aa) -> Result<ExitCode> {
    let Some(names) = meant(&options.server.server, &options.name, options.detach).await? else {
        return Ok(ExitCode::from(1));
    };
    let mut codes = Vec::new();
    for name in names {
        codes.push(one(&options, &name).await?);
    }
    Ok(ExitCode::from(worst(&codes)))
}

async fn one(options: &args::Aa, name: &str) -> Result<u8> {
    let args::Aa { server, share, deployed, duration, until_evidence, reason, detach, output, .. } = options;
    let url = format!("{}/v1/rollouts/{name}/parity", server.server);
    let body = json!({
        "share": share, "deployed": deployed, "duration": duration, "until_evidence": until_evidence, "reason": reason
    });
    let Some(begun) = accepted(send(Client::new().post(&url).json(&body)).await?).await? else {
        return Ok(1);
    };
    let number = begun.get("number").and_then(Value::as_u64).unwrap_or_default();
    if *detach {
        println!("{name}: A/A check {number} begun; see: serin get {name}");
        return Ok(0);
    }
    let Some(view) = follow(&format!("{url}/{number}"), *output).await? else { return Ok(1) };
    let parity: Parity = serde_json::from_value(view.clone())?;
    match output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&view)?),
        Output::Text => print!("{}", report(&parity)),
    }
    Ok(code(parity.outcome.as_deref()))
}

/// What it found, line by line.
fn report(parity: &Parity) -> String {
    let mut out = String::new();
    let finding = parity.finding.as_deref().unwrap_or("under way").replace('_', " ");
    // Writing to a String does not fail.
    let _ = writeln!(
        out,
        "{} A/A check {}, {} against itself: {finding}\n  {}",
        parity.name, parity.number, parity.version, parity.message
    );
    let Split { expected, observed, e_value, causes } = &parity.split;
    let observed = observed.map_or("nothing".to_owned(), |share| format!("{:.3}%", share * 100.0));
    let _ = writeln!(
        out,
        "  {:<10} {:<14} {observed} of {}%, e-value {e_value:.3} (1000 proves it wrong)",
        "split",
        "",
        expected * 100.0
    );
    for cause in causes {
        let _ = writeln!(out, "  {:<10} {:<14} likely: {cause}", "", "");
    }
    for row in &parity.gates {
        let _ = writeln!(out, "  {:<10} {:<14} {}", row.verdict, row.name, row.why);
        if let Some(difference) = &row.difference {
            let _ = writeln!(out, "  {:<10} {:<14} {}", "", "", difference.why);
        }
    }
    for name in &parity.left_out {
        let _ = writeln!(out, "  {:<10} {name:<14} its source knows versions, not parts of one", "left out");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_a_a_check_fits_a_terminal() {
        let parity: Parity = serde_json::from_str(
            r#"{"name":"ranker","number":2,"version":"v1","outcome":"failed","finding":"sample_ratio","message":"off",
                "unknown":1,"left_out":["sales"],"gates":[{"name":"errors","verdict":"open","why":"not yet",
                "difference":{"observed":1.1,"line":"harm: 1.12x","why":"they differ by 1.1x"}}],
                "split":{"expected":0.5,"observed":0.47,"e_value":2000.0,"causes":["a heavy user"]}}"#,
        )
        .expect("a check");
        assert_eq!(
            report(&parity),
            "ranker A/A check 2, v1 against itself: sample ratio\n  off\n  \
             split                     47.000% of 50%, e-value 2000.000 (1000 proves it wrong)\n                            \
             likely: a heavy user\n  open       errors         not yet\n                            they differ by 1.1x\n  left out   sales          its source knows \
             versions, not parts of one\n"
        );
    }
}
