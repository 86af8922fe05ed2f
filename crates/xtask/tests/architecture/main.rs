//! The rules of the crates, as stated in ARCHITECTURE.md: who may know whom, and what no file may hold.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "all of it is tests, helper functions too"
)]

mod files;
mod graph;
mod places;
mod sizes;

use std::collections::BTreeSet;

use graph::Graph;

/// What one crate may depend on.
struct Rule {
    package: &'static str,
    /// Must the same input give the same answer for ever?
    purity: Purity,
    /// Crates of this workspace. A new one fails here until somebody states it, with the table in ARCHITECTURE.md.
    ours: &'static [&'static str],
    /// Further crates it must not reach, directly or through others of third parties.
    never: &'static [&'static str],
}

/// From this follows which crates must not be reached, and which bans of std must stand in the crate's `clippy.toml`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purity {
    /// No clock, no randomness, no I/O, no async, no protocol.
    Pure,
    /// The same, with windows reckoned by the wall clock of a place: time zones are data compiled in; jiff's clock, files
    /// and environment are in its feature `std`, which is off, and are banned by name.
    PureWithTimeZones,
    /// It meets the world.
    Effects,
    /// All of it is tests or benches: what only those need counts here too.
    Tests,
}

/// What no pure crate reaches.
const IMPURE: &[&str] = &[
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

/// And what only one with time zones does: Cargo.lock lists `log` below jiff, and no feature turns it on.
const TIME_ZONES: &[&str] = &["jiff", "log"];

/// What the dependencies cannot show, since it is in std: banned by clippy in every pure crate.
const BANS: &[&str] = &[
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "std::fs::read",
    "std::fs::read_to_string",
    "std::fs::write",
    "std::env::var",
    "std::thread::spawn",
    "std::thread::sleep",
    "std::net::TcpStream",
    "std::fs::File",
    "std::hash::RandomState",
];

const TIME_ZONE_BANS: &[&str] = &[
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
    "jiff::tz::TimeZone::get",
    "jiff::tz::TimeZone::system",
    "jiff::tz::TimeZone::try_system",
    "jiff::tz::db",
];

impl Purity {
    fn never(self) -> impl Iterator<Item = &'static str> {
        let (impure, time_zones) = match self {
            Self::Pure => (IMPURE, TIME_ZONES),
            Self::PureWithTimeZones => (IMPURE, &[][..]),
            Self::Effects | Self::Tests => (&[][..], &[][..]),
        };
        impure.iter().chain(time_zones).copied()
    }

    fn bans(self) -> impl Iterator<Item = &'static str> {
        let (bans, time_zones) = match self {
            Self::Pure => (BANS, &[][..]),
            Self::PureWithTimeZones => (BANS, TIME_ZONE_BANS),
            Self::Effects | Self::Tests => (&[][..], &[][..]),
        };
        bans.iter().chain(time_zones).copied()
    }
}

const RULES: &[Rule] = &[
    Rule { package: "answer", purity: Purity::Pure, ours: &[], never: &[] },
    Rule { package: "split", purity: Purity::Pure, ours: &["answer"], never: &[] },
    Rule { package: "tally", purity: Purity::Pure, ours: &["answer", "split"], never: &[] },
    Rule { package: "notation", purity: Purity::Pure, ours: &[], never: &[] },
    Rule { package: "judge", purity: Purity::Pure, ours: &["notation"], never: &[] },
    Rule { package: "calendar", purity: Purity::PureWithTimeZones, ours: &["notation"], never: &[] },
    Rule {
        package: "manifest",
        purity: Purity::Pure,
        ours: &["answer", "calendar", "notation", "split", "tally"],
        never: &[],
    },
    Rule { package: "explain", purity: Purity::Pure, ours: &["manifest", "split"], never: &[] },
    // `tally`: evidence is counted in the bins of the latency counters, and their edges are stated once.
    Rule {
        package: "evidence",
        purity: Purity::Pure,
        ours: &["judge", "manifest", "notation", "split", "tally"],
        never: &[],
    },
    Rule {
        package: "rollout",
        purity: Purity::Pure,
        ours: &["evidence", "judge", "manifest", "notation", "split", "tally"],
        never: &[],
    },
    Rule {
        package: "simulate",
        purity: Purity::Pure,
        ours: &["judge", "manifest", "notation", "rollout", "split", "tally"],
        never: &[],
    },
    Rule { package: "import", purity: Purity::Pure, ours: &["manifest"], never: &[] },
    // Objects and figures come in as values: what reads them is the command.
    Rule { package: "doctor", purity: Purity::Pure, ours: &["split", "tally"], never: &[] },
    Rule {
        package: "filter",
        purity: Purity::Effects,
        ours: &["answer", "split", "tally"],
        never: &["getrandom", "hyper", "rand", "rustix", "tokio", "tonic", "tracing", "wasmtime"],
    },
    Rule {
        package: "host",
        purity: Purity::Effects,
        ours: &[],
        never: &["hyper", "kube", "proxy-wasm", "tokio", "tonic"],
    },
    Rule {
        package: "envoy",
        purity: Purity::Effects,
        ours: &["split", "tally"],
        never: &["k8s-openapi", "kube", "murmur3", "proxy-wasm", "rusqlite", "statrs", "wasmtime"],
    },
    Rule {
        package: "istio",
        purity: Purity::Effects,
        ours: &["api", "manifest"],
        never: &["axum", "clap", "murmur3", "proxy-wasm", "rusqlite", "statrs", "tonic", "wasmtime"],
    },
    Rule {
        package: "api",
        purity: Purity::Effects,
        ours: &["manifest", "rollout", "split"],
        never: &["axum", "hyper", "reqwest", "rusqlite", "tokio"],
    },
    Rule {
        package: "store",
        purity: Purity::Effects,
        ours: &["manifest", "rollout", "split"],
        never: &["axum", "hyper", "reqwest", "tokio", "tonic"],
    },
    Rule {
        package: "outbound",
        purity: Purity::Effects,
        ours: &[],
        // Its way over TLS is hyper's: ARCHITECTURE.md.
        never: &["axum", "prost", "reqwest", "rusqlite", "tonic"],
    },
    Rule {
        package: "sources",
        purity: Purity::Effects,
        ours: &["judge", "manifest", "outbound"],
        never: &["prost", "reqwest", "rusqlite", "tonic"],
    },
    Rule {
        package: "hooks",
        purity: Purity::Effects,
        ours: &["manifest", "outbound", "rollout"],
        never: &["axum", "prost", "reqwest", "rusqlite", "tonic"],
    },
    Rule { package: "clock", purity: Purity::Effects, ours: &["rollout"], never: &["tokio"] },
    Rule {
        package: "lease",
        purity: Purity::Effects,
        ours: &["clock", "store", "tally"],
        never: &["axum", "hyper", "tokio", "tonic"],
    },
    // What it finds is evidence; what follows from that is decided elsewhere.
    Rule {
        package: "scrape",
        purity: Purity::Effects,
        ours: &["clock", "envoy", "manifest", "outbound", "rollout", "sources", "tally"],
        never: &["kube", "rusqlite", "wasmtime"],
    },
    // Nobody talks to it but by channels: HTTP is the server's.
    Rule {
        package: "controller",
        purity: Purity::Effects,
        ours: &[
            "api", "clock", "envoy", "hooks", "istio", "judge", "lease", "manifest", "outbound", "rollout",
            "scrape", "sources", "split", "store", "tally",
        ],
        never: &["clap", "murmur3", "prometheus-client", "proxy-wasm", "statrs", "wasmtime"],
    },
    Rule {
        package: "server",
        purity: Purity::Effects,
        ours: &[
            "api",
            "clock",
            "controller",
            "envoy",
            "hooks",
            "istio",
            "lease",
            "manifest",
            "outbound",
            "rollout",
            "scrape",
            "sources",
            "split",
            "store",
            "tally",
        ],
        never: &["clap", "murmur3", "proxy-wasm", "statrs", "wasmtime"],
    },
    // What needs a controller reaches it through its API; `server::run` alone is the controller.
    Rule {
        package: "cli",
        purity: Purity::Effects,
        ours: &[
            "api", "doctor", "envoy", "explain", "import", "istio", "judge", "manifest", "notation",
            "rollout", "server", "simulate", "sources", "split", "tally",
        ],
        never: &["axum", "murmur3", "proxy-wasm", "rusqlite", "statrs", "tonic", "wasmtime"],
    },
    Rule {
        package: "demo",
        purity: Purity::Effects,
        ours: &["api", "notation"],
        never: &["kube", "prost", "proxy-wasm", "rusqlite", "statrs", "tonic", "wasmtime"],
    },
    Rule {
        package: "tests",
        purity: Purity::Tests,
        ours: &["api", "demo", "envoy", "host", "split", "tally"],
        // Stories lock the store as another program would, and copy it as an operator does.
        never: &["proxy-wasm"],
    },
    Rule {
        package: "benches",
        purity: Purity::Tests,
        ours: &[
            "answer", "demo", "envoy", "host", "judge", "manifest", "rollout", "simulate", "split", "store",
            "tally", "tests",
        ],
        never: &["kube", "proxy-wasm"],
    },
    Rule {
        package: "xtask",
        purity: Purity::Effects,
        ours: &[],
        never: &["hyper", "reqwest", "tokio", "wasmtime"],
    },
];

fn this_workspace() -> Graph {
    let tests = RULES.iter().filter(|rule| rule.purity == Purity::Tests).map(|rule| rule.package);
    Graph::of_this_workspace(&tests.collect::<Vec<_>>())
}

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
        for name in rule.purity.never().chain(rule.never.iter().copied()) {
            if let Some(way) = graph.way_to(package, name) {
                found.push(format!("crate `{package}` must not know `{name}`, and reaches it by {way}"));
            }
        }
    }
    found
}

#[test]
fn crates_depend_on_what_is_stated_only() {
    let found = breaches(&this_workspace(), RULES);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_rule_is_about_a_crate() {
    let graph = this_workspace();
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

/// What a crate's `clippy.toml` does not ban and must, one sentence each.
fn missing_bans(rule: &Rule, lints: Option<&str>) -> Vec<String> {
    let bans = rule.purity.bans().filter(|path| {
        let entry = format!("{{ path = \"{path}\", reason =");
        !lints.is_some_and(|lints| lints.lines().any(|line| line.trim_start().starts_with(&entry)))
    });
    bans.map(|path| format!("crate `{}` is pure: ban `{path}` in its clippy.toml", rule.package)).collect()
}

#[test]
fn pure_crates_ban_what_is_impure_in_std() {
    let graph = this_workspace();
    let mut found = Vec::new();
    for rule in RULES {
        let lints = std::fs::read_to_string(graph.folder(rule.package).join("clippy.toml")).ok();
        found.extend(missing_bans(rule, lints.as_deref()));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_missing_ban_is_found() {
    let rule = |purity| Rule { package: "a", purity, ours: &[], never: &[] };
    let (pure, zones, effects) = (rule(Purity::Pure), rule(Purity::PureWithTimeZones), rule(Purity::Effects));
    let lines = |bans: &[&str]| -> String {
        bans.iter().map(|path| format!("  {{ path = \"{path}\", reason = \"r\" }},\n")).collect()
    };
    assert_eq!(missing_bans(&pure, None).len(), BANS.len(), "a crate without a clippy.toml");
    assert_eq!(missing_bans(&pure, Some(&lines(BANS))), Vec::<String>::new());
    assert_eq!(missing_bans(&zones, Some(&lines(BANS))).len(), TIME_ZONE_BANS.len());
    assert_eq!(missing_bans(&effects, None), Vec::<String>::new());
    for left_out in BANS {
        let rest: Vec<&str> = BANS.iter().filter(|path| *path != left_out).copied().collect();
        let commented = format!("# {{ path = \"{left_out}\", reason = \"r\" }},\n{}", lines(&rest));
        assert_eq!(
            missing_bans(&pure, Some(&commented)),
            [format!("crate `a` is pure: ban `{left_out}` in its clippy.toml")]
        );
    }
}

/// A check that cannot fail is none: the same function on a small graph with one breach of each kind.
#[test]
fn a_breach_is_found() {
    let rules = [
        Rule { package: "a", purity: Purity::Pure, ours: &[], never: &[] },
        Rule { package: "b", purity: Purity::Effects, ours: &["a"], never: &["tokio"] },
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
