//! What was seen of a request, held against what its row expects.

use std::fmt;

use split::Arm;

use super::ledger::Ledger;
use super::table::{Answer, Expect, Row, Scenario, Way};

/// Something other than expected.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    pub file: String,
    pub row: String,
    pub way: Way,
    /// What it is about: the arm, a header, a counter.
    pub about: String,
    pub expected: String,
    pub got: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = match self.way {
            Way::Split => "split",
            Way::Host => "host",
            Way::Envoy => "envoy",
        };
        let Self { file, row, about, expected, got, .. } = self;
        write!(f, "{file}, {row}, on {way}: {about}: expected {expected}, got {got}")
    }
}

/// A scenario's failures in one way of replaying it.
pub struct Verdict<'s> {
    pub scenario: &'s Scenario,
    pub way: Way,
    pub failures: Vec<Failure>,
}

/// What a replay saw of one request; the counters it gives apart.
#[derive(Debug, Default)]
pub struct Seen {
    /// The request's headers behind the filter, without pseudo-headers.
    pub request: Vec<(String, Vec<u8>)>,
    /// The cluster that was asked, where there are clusters.
    pub cluster: Option<&'static str>,
    pub status: Option<u16>,
    /// The response's headers at the client, without pseudo-headers.
    pub response: Vec<(String, Vec<u8>)>,
}

impl<'s> Verdict<'s> {
    pub fn new(scenario: &'s Scenario, way: Way) -> Self {
        Self { scenario, way, failures: Vec::new() }
    }

    /// The rows that are replayed this way.
    pub fn rows(&self) -> impl Iterator<Item = (usize, &'s Row)> + use<'s> {
        let way = self.way;
        self.scenario.rows.iter().enumerate().filter(move |(_, row)| row.ways.contains(&way))
    }

    pub fn fail(&mut self, row: usize, about: &str, expected: impl fmt::Debug, got: impl fmt::Debug) {
        let (expected, got) = (format!("{expected:?}"), format!("{got:?}"));
        let (file, row) = (self.scenario.file.clone(), self.scenario.row_name(row));
        self.failures.push(Failure { file, row, way: self.way, about: about.to_owned(), expected, got });
    }

    pub fn equal<T: fmt::Debug + PartialEq>(&mut self, row: usize, about: &str, expected: T, got: T) {
        if expected != got {
            self.fail(row, about, expected, got);
        }
    }

    /// Holds a request against its row.
    pub fn request(&mut self, index: usize, row: &Row, seen: &Seen) {
        self.equal(index, "status", row.status(), seen.status);
        match &row.expect {
            Expect::Untouched => self.untouched(index, row, seen),
            Expect::Routed(routed) => {
                let rollout = self.scenario.rollout(routed);
                let arms = texts(&seen.request, &rollout.header);
                self.equal(index, &rollout.header, vec![routed.route().as_str().to_owned()], arms);
                if let Some(cluster) = seen.cluster {
                    let wanted = if routed.arm.is_challenger() { routed.arm } else { Arm::Stable };
                    self.equal(index, "cluster", wanted.as_str(), cluster);
                }
                let version = rollout.arms.version(routed.arm);
                let mut wanted = routed.response.clone();
                if routed.cause.is_some() && row.status().is_some() {
                    wanted.entry(rollout.version_header.clone()).or_insert_with(|| Some(version.to_owned()));
                }
                for (name, value) in wanted {
                    let got = texts(&seen.response, &name);
                    self.equal(index, &name, Vec::from_iter(value), got);
                }
            }
        }
    }

    /// Nothing of ours on the request or the answer, and everything that was there before.
    fn untouched(&mut self, index: usize, row: &Row, seen: &Seen) {
        if let Some(cluster) = seen.cluster {
            self.equal(index, "cluster", "stable", cluster);
        }
        let routing: Vec<&str> =
            self.scenario.parsed.rollouts.iter().map(|rollout| &*rollout.header).collect();
        // An Envoy that decides takes the client's routing header off; nobody else may.
        let removes = self.way == Way::Envoy && !self.scenario.follows();
        let kept = |name: &str| !removes || !routing.contains(&name);
        let sent: Vec<_> =
            row.lines().into_iter().filter(|(name, _)| !name.starts_with(':') && kept(name)).collect();
        for (name, _) in &sent {
            self.equal(index, name, values(&sent, name), values(&seen.request, name));
        }
        for name in routing.iter().filter(|name| !sent.iter().any(|(sent, _)| sent == *name)) {
            self.equal(index, name, Vec::<String>::new(), texts(&seen.request, name));
        }
        let Answer::Response(answer) = &row.answer else { return };
        let answered: Vec<_> =
            answer.headers.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect();
        let ours = self.scenario.parsed.rollouts.iter().flat_map(|rollout| {
            let confidence = rollout.confidence.iter();
            let shown = confidence.flat_map(|confidence| [&confidence.header, &confidence.source_header]);
            std::iter::once(&rollout.version_header).chain(shown)
        });
        for name in answer.headers.keys().chain(ours) {
            self.equal(index, name, values(&answered, name), values(&seen.response, name));
        }
    }

    /// Holds what a row moved against what it should. What stands under `counters` belongs to no row, so it is left
    /// to [`Verdict::counters`].
    pub fn row_counters(&mut self, index: usize, row: &Row, moved: &Ledger) {
        let expected = self.row_ledger(row);
        for (counter, expected, got) in expected.differences(&moved.without(&self.scenario.besides)) {
            self.fail(index, &counter, expected, got);
        }
    }

    /// What a row moves, less what stands under `counters`.
    pub fn row_ledger(&self, row: &Row) -> Ledger {
        Ledger::of_row(self.scenario, &row.expect).without(&self.scenario.besides)
    }

    /// What all rows move together.
    pub fn ledger(&self) -> Ledger {
        let rows = self.rows().map(|(_, row)| Ledger::of_row(self.scenario, &row.expect));
        rows.fold(self.scenario.besides.clone(), |sum, row| sum.and(&row))
    }

    /// Holds what all rows moved together against what they should.
    pub fn counters(&mut self, moved: &Ledger) {
        for (counter, expected, got) in self.ledger().differences(moved) {
            let (file, row) = (self.scenario.file.clone(), "all rows together".to_owned());
            let (expected, got) = (expected.to_string(), got.to_string());
            self.failures.push(Failure { file, row, way: self.way, about: counter, expected, got });
        }
    }
}

fn values<'h>(headers: &'h [(String, Vec<u8>)], name: &str) -> Vec<&'h [u8]> {
    headers.iter().filter(|(have, _)| have == name).map(|(_, value)| value.as_slice()).collect()
}

fn texts(headers: &[(String, Vec<u8>)], name: &str) -> Vec<String> {
    values(headers, name).into_iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect()
}
