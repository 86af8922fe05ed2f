//! The rules of the crates, as stated in ARCHITECTURE.md: who may know whom, and what no file may hold.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "all of it is tests, helper functions too"
)]

mod files;
mod graph;

use std::collections::BTreeSet;

use graph::Graph;

/// What one crate may depend on. Dev-dependencies are outside the rule.
struct Rule {
    package: &'static str,
    /// Crates of this workspace. A new one fails here until somebody states it, with the table in ARCHITECTURE.md.
    ours: &'static [&'static str],
    /// Third-party crates it must not reach, directly or through other third-party crates.
    never: &'static [&'static str],
}

/// No clock, no randomness, no I/O, no async, no protocol: the same input gives the same answer for ever.
const PURE: &[&str] = &[
    "axum",
    "chrono",
    "fastrand",
    "getrandom",
    "hyper",
    "jiff",
    "k8s-openapi",
    "kube",
    "log",
    "mio",
    "prost",
    "proxy-wasm",
    "rand",
    "reqwest",
    "rusqlite",
    "rustix",
    "time",
    "tokio",
    "tonic",
    "tracing",
    "wasmtime",
];

/// [`PURE`] without `jiff`, and without `log`, which Cargo.lock lists below jiff and no feature turns on.
const PURE_BUT_FOR_JIFF: &[&str] = &[
    "axum",
    "chrono",
    "fastrand",
    "getrandom",
    "hyper",
    "k8s-openapi",
    "kube",
    "mio",
    "prost",
    "proxy-wasm",
    "rand",
    "reqwest",
    "rusqlite",
    "rustix",
    "time",
    "tokio",
    "tonic",
    "tracing",
    "wasmtime",
];

const RULES: &[Rule] = &[
    Rule { package: "split", ours: &[], never: PURE },
    Rule { package: "tally", ours: &["split"], never: PURE },
    Rule { package: "judge", ours: &[], never: PURE },
    // `jiff`: windows are reckoned by the wall clock of a place. Time zones are data compiled in; its clock, its files and
    // its environment are in its feature `std`, which is off, and are banned by name in spec/clippy.toml.
    Rule { package: "spec", ours: &["split", "tally"], never: PURE_BUT_FOR_JIFF },
    // `tally`: evidence is counted in the bins of the latency counters, and their edges are stated once.
    Rule { package: "rollout", ours: &["judge", "spec", "split", "tally"], never: PURE },
    Rule { package: "simulate", ours: &["judge", "rollout", "spec", "split", "tally"], never: PURE },
    Rule {
        package: "filter",
        ours: &["split", "tally"],
        never: &["getrandom", "hyper", "rand", "rustix", "tokio", "tonic", "tracing", "wasmtime"],
    },
    Rule { package: "host", ours: &[], never: &["hyper", "kube", "proxy-wasm", "tokio", "tonic"] },
    Rule {
        package: "envoy",
        ours: &["split", "tally"],
        never: &["k8s-openapi", "kube", "murmur3", "proxy-wasm", "rusqlite", "statrs", "wasmtime"],
    },
    Rule {
        package: "controller",
        ours: &["envoy", "judge", "rollout", "simulate", "spec", "split", "tally"],
        never: &["murmur3", "proxy-wasm", "statrs", "wasmtime"],
    },
    Rule {
        package: "demo",
        ours: &[],
        never: &["kube", "prost", "proxy-wasm", "rusqlite", "statrs", "tonic", "wasmtime"],
    },
    Rule { package: "tests", ours: &["host", "split"], never: &["proxy-wasm"] },
    Rule { package: "xtask", ours: &[], never: &["hyper", "reqwest", "tokio", "wasmtime"] },
];

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// What breaks the rules, one sentence each.
fn breaches(graph: &Graph, rules: &[Rule]) -> Vec<String> {
    let mut found = Vec::new();
    for package in graph.members() {
        let Some(rule) = rules.iter().find(|rule| rule.package == package) else {
            found.push(format!(
                "crate `{package}` has no rule: state what it may depend on in RULES and ARCHITECTURE.md"
            ));
            continue;
        };
        let allowed = set(rule.ours);
        for dependency in graph.ours(package).difference(&allowed) {
            found.push(format!(
                "crate `{package}` must not depend on `{dependency}`: change the crate, or state it in RULES"
            ));
        }
        for name in rule.never {
            if let Some(way) = graph.way_to(package, name) {
                found.push(format!("crate `{package}` must not know `{name}`, and reaches it by {way}"));
            }
        }
    }
    found
}

#[test]
fn crates_depend_on_what_is_stated_only() {
    let found = breaches(&Graph::of_this_workspace(), RULES);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_rule_is_about_a_crate() {
    let graph = Graph::of_this_workspace();
    for rule in RULES {
        assert!(
            graph.members().any(|name| name == rule.package),
            "no crate `{}`: remove its rule",
            rule.package
        );
        for name in rule.ours {
            assert!(
                graph.members().any(|member| member == *name),
                "no crate `{name}`: remove it from `{}`",
                rule.package
            );
        }
    }
}

/// What the dependencies cannot show (`SystemTime::now` is in std), clippy bans: in every pure crate, and the same.
#[test]
fn pure_crates_carry_the_same_bans() {
    let bans = |package: &str| std::fs::read_to_string(graph::root().join(package).join("clippy.toml"));
    let expected = bans("split").expect("split is pure and has a clippy.toml");
    for name in ["SystemTime::now", "Instant::now", "fs::read", "thread::sleep", "RandomState"] {
        assert!(expected.contains(name), "split/clippy.toml must ban {name}");
    }
    for rule in RULES.iter().filter(|rule| rule.never == PURE) {
        let found = bans(rule.package).unwrap_or_default();
        assert!(found == expected, "{0} is pure: copy split/clippy.toml to {0}/clippy.toml", rule.package);
    }
}

/// A check that cannot fail is none: the same function on a small graph with one breach of each kind.
#[test]
fn a_breach_is_found() {
    let rules = [
        Rule { package: "a", ours: &[], never: &["tokio"] },
        Rule { package: "b", ours: &["a"], never: &["tokio"] },
    ];
    let check = |ours: &[(&str, &str)], others: &[(&str, &str)], expected: &[&str]| {
        let graph = Graph::of(&["a", "b"], ours, others);
        assert_eq!(breaches(&graph, &rules), expected);
    };
    check(&[("b", "a")], &[("a", "serde")], &[]);
    check(&[("a", "b")], &[], &["crate `a` must not depend on `b`: change the crate, or state it in RULES"]);
    check(&[], &[("a", "tokio")], &["crate `a` must not know `tokio`, and reaches it by a -> tokio"]);
    check(
        &[],
        &[("a", "x"), ("x", "tokio")],
        &["crate `a` must not know `tokio`, and reaches it by a -> x -> tokio"],
    );
    // What `a` knows is `a`'s own rule, not `b`'s.
    check(&[("b", "a")], &[("a", "y"), ("y", "x")], &[]);
    let graph = Graph::of(&["c"], &[], &[]);
    let found = breaches(&graph, &rules);
    assert_eq!(found, ["crate `c` has no rule: state what it may depend on in RULES and ARCHITECTURE.md"]);
}
