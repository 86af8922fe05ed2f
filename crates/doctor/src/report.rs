//! What was found.

use serde::Serialize;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A rollout would go wrong, or not go at all.
    Fault,
    /// It works, and not as it should.
    Warning,
}

/// Something to mend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check found it.
    pub check: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about, such as `VirtualService models/ranker`.
    pub object: String,
    /// What is so.
    pub what: String,
    /// Why that matters.
    pub why: String,
    /// The command, or what to change, that mends it.
    pub mend: String,
}

/// Something that could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unseen {
    /// By which check.
    pub check: &'static str,
    /// Why not.
    pub why: String,
}

/// All of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Faults first.
    pub findings: Vec<Finding>,
    /// What was not looked at.
    pub unseen: Vec<Unseen>,
    /// Checks that saw all they wanted, and found nothing.
    pub fine: Vec<&'static str>,
    /// Checks that were left out on purpose: they saw nothing.
    pub left_out: Vec<&'static str>,
}

impl Report {
    /// 0: all that was not left out was looked at, and nothing found; 1: something was found; 2: nothing was found, and not all was looked at.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match (self.findings.is_empty(), self.unseen.is_empty()) {
            (false, _) => 1,
            (true, false) => 2,
            (true, true) => 0,
        }
    }

    pub(crate) fn take(&mut self, found: Found) {
        if found.findings.is_empty() && found.unseen.is_empty() {
            self.fine.push(found.check);
        }
        self.findings.extend(found.findings);
        self.findings.sort_by_key(|finding| finding.severity);
        let check = found.check;
        self.unseen.extend(found.unseen.into_iter().map(|why| Unseen { check, why }));
    }
}

/// What one check has found so far.
pub struct Found {
    check: &'static str,
    findings: Vec<Finding>,
    unseen: Vec<String>,
}

impl Found {
    pub fn new(check: &'static str) -> Self {
        Self { check, findings: Vec::new(), unseen: Vec::new() }
    }

    /// What it is about, what is so, why that matters, what mends it.
    pub fn fault(&mut self, object: impl Into<String>, [what, why, mend]: [String; 3]) {
        self.add(Severity::Fault, object.into(), [what, why, mend]);
    }

    /// The same, of less weight.
    pub fn warning(&mut self, object: impl Into<String>, [what, why, mend]: [String; 3]) {
        self.add(Severity::Warning, object.into(), [what, why, mend]);
    }

    /// A part of it could not be looked at.
    pub fn unseen(&mut self, why: impl Into<String>) {
        let why = why.into();
        if !self.unseen.contains(&why) {
            self.unseen.push(why);
        }
    }

    fn add(&mut self, severity: Severity, object: String, [what, why, mend]: [String; 3]) {
        let finding = Finding { check: self.check, severity, object, what, why, mend };
        // Two rollouts may share a route.
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }
}
