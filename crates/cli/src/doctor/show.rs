//! A report for people.

use std::fmt::Write as _;

use doctor::{Report, Severity};

pub fn text(report: &Report) -> String {
    let mut text = String::new();
    for found in &report.findings {
        let word = match found.severity {
            Severity::Fault => "FAULT",
            Severity::Warning => "WARNING",
        };
        let _ = writeln!(text, "{word}  {}: {}", found.object, found.what);
        let _ = writeln!(text, "  why:   {}", found.why);
        let _ = writeln!(text, "  mend:  {}\n", found.mend);
    }
    for unseen in &report.unseen {
        let _ = writeln!(text, "NOT LOOKED AT  {}: {}", unseen.check, unseen.why);
    }
    if !report.unseen.is_empty() {
        text.push('\n');
    }
    if !report.fine.is_empty() {
        let _ = writeln!(text, "fine: {}", report.fine.join(", "));
    }
    if !report.left_out.is_empty() {
        let _ = writeln!(text, "left out: {}", report.left_out.join(", "));
    }
    let count = |severity| report.findings.iter().filter(|found| found.severity == severity).count();
    let _ = writeln!(
        text,
        "{} to mend, {} to know, {} checks without a finding, {} not looked at",
        count(Severity::Fault),
        count(Severity::Warning),
        report.fine.len(),
        report.unseen.len()
    );
    text
}

#[cfg(test)]
mod tests {
    use doctor::{Finding, Unseen};

    use super::*;

    #[test]
    fn a_report_says_what_why_and_the_remedy() {
        let finding = Finding {
            check: "routes",
            severity: Severity::Fault,
            object: "VirtualService models/ranker".to_owned(),
            what: "weights are left".to_owned(),
            why: "two share".to_owned(),
            mend: "kubectl edit".to_owned(),
        };
        let unseen = vec![Unseen { check: "prometheus", why: "it does not answer".to_owned() }];
        let report = Report {
            findings: vec![finding],
            unseen,
            fine: vec!["kinds", "plugin"],
            left_out: vec!["rights"],
        };
        assert_eq!(
            text(&report),
            "FAULT  VirtualService models/ranker: weights are left\n  why:   two share\n  mend:  kubectl edit\n\n\
             NOT LOOKED AT  prometheus: it does not answer\n\nfine: kinds, plugin\nleft out: rights\n\
             1 to mend, 0 to know, 2 checks without a finding, 1 not looked at\n"
        );
    }
}
