//! Counters as a scenario speaks of them: by name and tags, bins added together.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;
use split::policy::Rollout;
use split::{Arm, Cause};
use tally::Class;

use super::table::{Expect, Scenario};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counter {
    /// What stands between `serin_` and `_total`.
    what: String,
    tags: BTreeMap<String, String>,
}

/// Counters and how far each moved; none at 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger(BTreeMap<Counter, u64>);

impl Counter {
    /// Out of a name as Envoy's statistics and the host show it; `None` for what is no counter of ours.
    fn parse(name: &str) -> Option<Self> {
        let name = name.strip_prefix(tally::PREFIX)?;
        let (what, tags) = name.split_once("_total.").or_else(|| Some((name.strip_suffix("_total")?, "")))?;
        let tags = tags.split(";.;").filter_map(|tag| tag.split_once("=.="));
        // Ages come with time, and a row has none.
        if what == "aged" {
            return None;
        }
        let tags = tags
            .filter(|(tag, _)| !matches!(*tag, "bin" | "slot"))
            .map(|(tag, value)| (tag.to_owned(), value.to_owned()));
        Some(Self { what: what.to_owned(), tags: tags.collect() })
    }

    /// Out of a row under `counters`, with how far it moves.
    pub fn read(fields: BTreeMap<String, Value>) -> Result<(Self, u64), String> {
        let (mut what, mut by, mut tags) = (None, None, BTreeMap::new());
        for (field, value) in fields {
            match (field.as_str(), value) {
                ("what", Value::String(text)) => what = Some(text),
                ("by", Value::Number(number)) => by = number.as_u64().filter(|by| *by > 0),
                ("what" | "by" | "bin", value) => {
                    return Err(format!("`{field}: {value}` is not understood here"));
                }
                (tag, Value::String(text)) if tally::TAGS.contains(&tag) => {
                    tags.insert(field, text);
                }
                (tag, value) if tally::TAGS.contains(&tag) => {
                    return Err(format!("`{field}: {value}`: quote it"));
                }
                _ => return Err(format!("unknown field `{field}`; a tag is one of {:?}", tally::TAGS)),
            }
        }
        let what = what.ok_or("`what` is missing: the name between serin_ and _total")?;
        Ok((Self { what, tags }, by.ok_or("`by` is missing, or not a number above 0")?))
    }

    fn of(what: &str, rollout: &Rollout, arm: Arm, tags: &[(&str, &str)]) -> Self {
        let base = [
            ("rollout", rollout.name.as_str()),
            ("version", rollout.arms.version(arm)),
            ("arm", arm.as_str()),
        ];
        let tags = base.iter().chain(tags).map(|(tag, value)| ((*tag).to_owned(), (*value).to_owned()));
        Self { what: what.to_owned(), tags: tags.collect() }
    }
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tags: Vec<String> = self.tags.iter().map(|(tag, value)| format!("{tag}={value}")).collect();
        write!(f, "serin_{}_total{{{}}}", self.what, tags.join(","))
    }
}

impl Ledger {
    /// Out of every number there is, by name.
    pub fn of<N: AsRef<str>>(numbers: impl IntoIterator<Item = (N, u64)>) -> Self {
        let mut ledger = Self::default();
        for (name, value) in numbers {
            if let Some(counter) = Counter::parse(name.as_ref()) {
                ledger.add(counter, value);
            }
        }
        ledger
    }

    /// What follows from one row: assigned, finished, and latency where it is evidence.
    pub fn of_row(scenario: &Scenario, expect: &Expect) -> Self {
        let mut ledger = Self::default();
        let Expect::Routed(routed) = expect else { return ledger };
        let Some(cause) = routed.cause else { return ledger };
        let (rollout, arm) = (scenario.rollout(routed), routed.arm);
        let (why, class) = (("cause", cause.as_str()), ("class", routed.class.as_str()));
        ledger.add(Counter::of("assigned", rollout, arm, &[why]), 1);
        ledger.add(Counter::of("finished", rollout, arm, &[why, class]), 1);
        if cause == Cause::Weight
            && !matches!(routed.class, Class::Gone | Class::Upgrade | Class::Local | Class::Overflow)
        {
            ledger.add(Counter::of("latency", rollout, arm, &[]), 1);
        }
        ledger
    }

    pub fn add(&mut self, counter: Counter, by: u64) {
        if by > 0 {
            *self.0.entry(counter).or_default() += by;
        }
    }

    pub fn and(mut self, other: &Self) -> Self {
        for (counter, by) in &other.0 {
            self.add(counter.clone(), *by);
        }
        self
    }

    /// How far each moved since `earlier`. A counter that fell would be a reset, of which no replay knows.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut moved = Self::default();
        for (counter, now) in &self.0 {
            let before = earlier.get(counter);
            assert!(*now >= before, "{counter} fell from {before} to {now}");
            moved.add(counter.clone(), now - before);
        }
        moved
    }

    /// Those that `other` does not speak of.
    pub fn without(&self, other: &Self) -> Self {
        let mut rest = self.clone();
        rest.0.retain(|counter, _| !other.0.contains_key(counter));
        rest
    }

    /// Each counter that differs: its name, what `self` expects, what is in `got`.
    pub fn differences(&self, got: &Self) -> Vec<(String, u64, u64)> {
        let all: BTreeSet<&Counter> = self.0.keys().chain(got.0.keys()).collect();
        let pairs = all.into_iter().map(|counter| (counter.to_string(), self.get(counter), got.get(counter)));
        pairs.filter(|(_, expected, got)| expected != got).collect()
    }

    fn get(&self, counter: &Counter) -> u64 {
        self.0.get(counter).copied().unwrap_or(0)
    }
}
