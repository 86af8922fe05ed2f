//! `serin aa`: asks for an A/A check, follows it, and says what it found.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use api::{ExerciseKind, OpenEnum, Outcome, ParityRequest, ParitySplitView, ParityView};

use super::Client;
use super::exercise::{Exercise, Shown, exercise, so_far};
use crate::args;

impl Exercise for ParityView {
    const WHAT: ExerciseKind = ExerciseKind::Parity;
    const ASKED_AT: &str = api::path::PARITY;
    const READ_AT: &str = api::path::PARITY;

    fn outcome(&self) -> Option<&OpenEnum<Outcome>> {
        self.outcome.as_ref()
    }

    fn message(&self) -> &str {
        &self.message
    }

    fn report(&self) -> String {
        report(self)
    }
}

pub async fn parity(options: args::Parity) -> Result<ExitCode> {
    let args::Parity { server, name, share, deployed, duration, until_evidence, reason, detach, output } =
        options;
    let request = ParityRequest { share, deployed, duration, until_evidence, reason };
    exercise::<ParityView>(&Client::new(&server), &name, &request, Shown { detach, output }).await
}

/// What it found, line by line.
fn report(parity: &ParityView) -> String {
    let mut out = String::new();
    let finding = so_far(parity.finding.as_ref()).replace('_', " ");
    // Writing to a String does not fail.
    let _ = writeln!(
        out,
        "{} A/A check {}, {} against itself: {finding}\n  {}",
        parity.name, parity.number, parity.version, parity.message
    );
    let ParitySplitView { expected, observed, e_value, causes, .. } = &parity.split;
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
        let parity: ParityView = serde_json::from_str(
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
