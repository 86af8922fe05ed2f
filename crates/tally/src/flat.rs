//! Names as Prometheus shows them where Envoy was told of no tags.
//!
//! Every sign that no name of Prometheus may hold has become `_`, so `version=.=v1.2;.;` is `version___v1_2___`: which rollout
//! and version that was is known only by comparing it with those that are asked for.

use std::collections::{BTreeMap, BTreeSet};

use crate::{PREFIX, Series, gauge};

/// What stands between a tag and its value, and after it.
const BETWEEN: &str = "___";

/// The rollouts and versions that are asked for, by what has become of their names.
#[derive(Clone, Debug, Default)]
pub struct FlatNames {
    rollouts: BTreeMap<String, BTreeSet<String>>,
    versions: BTreeMap<String, BTreeSet<(String, String)>>,
}

/// What a name without labels says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlatName {
    /// A counter of a rollout's.
    Counter(Series),
    /// Another number of the filter's, by the name the filter gave it.
    Other(String),
    /// It may be of one or of another: what they are called, for people.
    Ambiguous(String, String),
}

impl FlatNames {
    /// Knows pairs of rollout and version.
    #[must_use]
    pub fn new(scope: &BTreeSet<(String, String)>) -> Self {
        let mut names = Self::default();
        for (rollout, version) in scope {
            let key = [&*flat(rollout), &*flat(version)].join("___version___");
            names.rollouts.entry(flat(rollout)).or_default().insert(rollout.clone());
            names.versions.entry(key).or_default().insert((rollout.clone(), version.clone()));
        }
        names
    }

    /// Reads a name without labels; `None`: it is not ours, or of a rollout that is not asked for.
    #[must_use]
    pub fn read(&self, name: &str) -> Option<FlatName> {
        let ours = name.strip_prefix(PREFIX)?;
        if let Some((what, tags)) = ours.split_once("_total_rollout___") {
            return self.counter(what, tags);
        }
        for (tag, known) in [("_rollout___", true), ("_reason___", false)] {
            let Some((what, value)) = ours.split_once(tag) else { continue };
            let value = value.strip_suffix(BETWEEN)?;
            let key = tag.trim_matches('_');
            if !known {
                return Some(FlatName::Other(gauge(what, &[(key, value)])));
            }
            let mut rollouts = self.rollouts.get(value)?.iter();
            return match (rollouts.next()?, rollouts.next()) {
                (one, None) => Some(FlatName::Other(gauge(what, &[(key, one)]))),
                (one, Some(other)) => Some(FlatName::Ambiguous(one.clone(), other.clone())),
            };
        }
        (!ours.contains(BETWEEN)).then(|| FlatName::Other(name.to_owned()))
    }

    fn counter(&self, what: &str, tags: &str) -> Option<FlatName> {
        let (whose, rest) = tags.split_once("___arm___")?;
        let mut pairs = self.versions.get(whose)?.iter();
        let (rollout, version) = match (pairs.next()?, pairs.next()) {
            (one, None) => one,
            (one, Some(other)) => {
                return Some(FlatName::Ambiguous(one.1.clone(), other.1.clone()));
            }
        };
        let mut parts = rest.split(BETWEEN);
        // No arm has `_` in its name.
        let arm = parts.next()?.replace('_', "-");
        let mut values = BTreeMap::from([
            ("rollout", rollout.as_str()),
            ("version", version.as_str()),
            ("arm", arm.as_str()),
        ]);
        while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
            values.insert(key, value);
        }
        Series::of_tags(what, |tag| values.get(tag).copied()).map(FlatName::Counter)
    }
}

/// What becomes of a text in a name.
fn flat(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

#[cfg(test)]
#[path = "tests/flat.rs"]
mod tests;
