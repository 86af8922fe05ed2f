//! Which proxies a rollout is to be followed by: a proxy that is not expected counts towards no quorum.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::compile::Check;

/// The proxies that are expected. Without it those that are connected are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expect {
    /// So many at least: the quorum is a share of no fewer, whether they are connected or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub count: Option<u32>,
    /// Their names (`node.id`), with `*` for any characters, such as `edge-*`. Others count for nothing; one without `*` that
    /// is not connected is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

impl Expect {
    /// Is it one of them?
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|pattern| fits(pattern, name))
    }

    /// Names that stand for one proxy each.
    pub fn single(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str).filter(|name| !name.contains('*'))
    }
}

/// Does a name fit a pattern? Each part between stars is found behind the one before it, as early as can be.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match name.find(part).and_then(|at| name.get(at + part.len()..)) {
            Some(behind) => name = behind,
            None => return false,
        }
    }
    name.ends_with(last)
}

pub(crate) fn expect(check: &mut Check, written: Option<&Expect>) -> Option<Expect> {
    const FIELD: &str = "spec.acknowledge.expect";
    let written = written?;
    if written.count == Some(0) {
        check.refuse(
            format!("{FIELD}.count"),
            "it expects no proxy",
            "write how many proxies there are, 1 at least",
        );
    }
    if written.count.is_none() && written.names.is_empty() {
        check.refuse(
            FIELD,
            "it says neither count nor names",
            "write count: 2, or names: [edge-*], or leave it out",
        );
    }
    for (index, name) in written.names.iter().enumerate() {
        if name.is_empty() || name.len() > 512 || name.chars().any(char::is_control) {
            let remedy = "write the node.id of a proxy, with * for any characters";
            check.refuse(
                format!("{FIELD}.names[{index}]"),
                format!("{name:?} is no name of a proxy"),
                remedy,
            );
        }
    }
    Some(written.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_stars() {
        for (pattern, fitting, others) in [
            ("edge-1", &["edge-1"][..], &["edge-10", "edge", "xedge-1", ""][..]),
            ("edge-*", &["edge-", "edge-1"], &["edge", "xedge-1"]),
            ("*", &["", "a"], &[]),
            ("*.models", &["a.models", ".models"], &["a.models.x", "models"]),
            ("a*b*c", &["abc", "axbxc", "abbcc"], &["ab", "acb", "abcx"]),
            ("a*a", &["aa", "aba"], &["a"]),
            (
                "sidecar~*~ranker-*.models~*",
                &["sidecar~10.0.0.1~ranker-7f.models~models.svc"],
                &["sidecar~10.0.0.1~search-1.models~x"],
            ),
        ] {
            let expect = Expect { count: None, names: vec![pattern.to_owned()] };
            for name in fitting {
                assert!(expect.knows(name), "{pattern} {name}");
            }
            for name in others {
                assert!(!expect.knows(name), "{pattern} {name}");
            }
        }
        assert!(Expect::default().knows("anybody"));
    }

    #[test]
    fn what_is_written_is_meant_or_named() {
        let load = |text: &str| {
            crate::load(&format!("{}  acknowledge: {{expect: {text}}}\n", crate::tests::MINIMAL))
                .map(|loaded| loaded.plan.acknowledge.expect)
                .map_err(|problems| problems.to_string())
        };
        let both = Expect { count: Some(3), names: vec!["edge-*".to_owned()] };
        assert_eq!(load("{count: 3, names: ['edge-*']}"), Ok(Some(both)));
        for (text, part) in [
            ("{}", "neither count nor names"),
            ("{count: 0}", "spec.acknowledge.expect.count"),
            ("{names: ['']}", "spec.acknowledge.expect.names[0]"),
            ("{names: [\"a\\nb\"]}", "spec.acknowledge.expect.names[0]"),
            ("{number: 3}", "number"),
        ] {
            let problems = load(text).expect_err(text);
            assert!(problems.contains(part), "{problems}");
        }
    }
}
