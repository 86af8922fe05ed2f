//! A scenario on the assignment alone.

use std::borrow::Cow;

use split::{Attribute, Cause, Draws, Route, Splitter, Standing};

use super::table::{Expect, Row, Scenario, Way};
use super::verdict::{Failure, Verdict};

struct Request {
    lines: Vec<(String, Vec<u8>)>,
    source_address: String,
}

impl split::Request for Request {
    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.lines.iter().find(|(have, _)| have == name).map(|(_, value)| Cow::Borrowed(value.as_slice()))
    }

    fn attribute(&self, attribute: Attribute) -> Option<Cow<'_, [u8]>> {
        match attribute {
            Attribute::SourceAddress => Some(Cow::Borrowed(self.source_address.as_bytes())),
            Attribute::Port => Some(Cow::Borrowed(b"10000")),
            Attribute::Direction => Some(Cow::Borrowed(b"unspecified")),
            Attribute::Peer => None,
        }
    }
}

/// Rollout, route and cause: all there is to see here.
type Assigned = (String, Route, Option<Cause>);

pub fn replay(scenario: &Scenario) -> Vec<Failure> {
    let splitter = Splitter::compile(&scenario.parsed)
        .unwrap_or_else(|error| panic!("{}, policy: {error}", scenario.file));
    let mut verdict = Verdict::new(scenario, Way::Split);
    let mut draws = Draws::seeded(1);
    for (index, row) in verdict.rows() {
        let expected: Option<Assigned> = match &row.expect {
            Expect::Untouched => None,
            Expect::Routed(routed) => {
                Some((scenario.rollout(routed).name.clone(), routed.route(), routed.cause))
            }
        };
        verdict.equal(index, "rollout, route, cause", expected, assign(&splitter, row, &mut draws));
    }
    verdict.failures
}

fn assign(splitter: &Splitter, row: &Row, draws: &mut Draws) -> Option<Assigned> {
    let request = Request { lines: row.lines(), source_address: row.source_address.to_string() };
    let claim = splitter.claim(&request)?;
    if claim.follows() {
        return Some((claim.name().to_owned(), claim.followed(&request), None));
    }
    let assignment = claim.assign(&request, Standing::Live, draws);
    Some((claim.name().to_owned(), assignment.route(), Some(assignment.cause)))
}
