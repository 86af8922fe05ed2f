//! `cargo xtask bench`: figures, each with the command that repeats it.

use std::ffi::OsString;

use anyhow::{Context, Result};

use crate::process::Call;
use crate::workspace::Workspace;

/// A program or a criterion bench of the package `benches`, in the release profile.
struct Bench {
    name: &'static str,
    kind: Kind,
    about: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Plays traffic in its own time.
    Simulation,
    /// Measures the program `serin`, which lies beside it.
    Processes,
    /// What one call costs.
    Criterion,
}

const BENCHES: [Bench; 12] = [
    Bench {
        name: "judge",
        kind: Kind::Simulation,
        about: "how often the gates are wrong, and how long they take to be right",
    },
    Bench {
        name: "alarms",
        kind: Kind::Simulation,
        about: "the same of whole rollouts in worlds of requests, each of which has a name: RUNS SEED [WORLD]...",
    },
    Bench {
        name: "counts",
        kind: Kind::Simulation,
        about: "the same of whole rollouts on made-up counts, gates and guardrails together: RUNS SEED",
    },
    Bench {
        name: "tolerance",
        kind: Kind::Simulation,
        about: "what it costs and saves that harm begins a little beyond stable, by metric and tolerance: RUNS SEED",
    },
    Bench {
        name: "bandit",
        kind: Kind::Simulation,
        about: "what shares that follow the evidence bring and cost beside weights that stand: RUNS SEED",
    },
    Bench {
        name: "load",
        kind: Kind::Processes,
        about: "how late a controller looks at a hundred rollouts and a thousand proxies, and what it costs",
    },
    Bench {
        name: "split",
        kind: Kind::Criterion,
        about: "the decision for one request: sticky, by key and by draw, with one arm and with many",
    },
    Bench {
        name: "answer",
        kind: Kind::Criterion,
        about: "reading a model's answer as it passes by, beside serde_json",
    },
    Bench {
        name: "filter",
        kind: Kind::Criterion,
        about: "a whole request through the built filter on the test host (needs `cargo xtask wasm`)",
    },
    Bench { name: "gate", kind: Kind::Criterion, about: "one look of a gate, by its kind" },
    Bench { name: "step", kind: Kind::Criterion, about: "one look of a whole run: `rollout::step`" },
    Bench { name: "store", kind: Kind::Criterion, about: "one decision written to the disk" },
];

/// Runs the bench, or lists them all; `args` are its own.
pub fn run(name: Option<&str>, args: &[OsString]) -> Result<()> {
    let Some(name) = name else {
        println!("{}", listed());
        return Ok(());
    };
    let bench = BENCHES
        .iter()
        .find(|bench| bench.name == name)
        .with_context(|| format!("no bench is called {name:?}; there are:\n{}", listed()))?;
    let workspace = Workspace::find()?;
    if bench.kind == Kind::Processes {
        // One build: two would compile what both need twice, since they ask for other features.
        let build = ["build", "--release", "--package", "cli", "--package", "benches", "--bin", "serin"];
        bench.run(workspace.cargo().args(build).args(["--bin", bench.name]))?;
    }
    bench.run(bench.call(&workspace).args(args))
}

/// Runs every criterion bench once, in the test profile and with the features of the tests' own build: nothing is measured,
/// and nothing is compiled that the tests have compiled already.
pub fn try_all(workspace: &Workspace) -> Result<()> {
    let names = criterion().flat_map(|bench| ["--bench", bench.name]);
    let remedy = "see the bench that failed above; run it alone with: cargo xtask bench NAME";
    workspace.cargo().args(["test", "--workspace"]).args(names).remedy(remedy).run()
}

fn criterion() -> impl Iterator<Item = &'static Bench> {
    BENCHES.iter().filter(|bench| bench.kind == Kind::Criterion)
}

impl Bench {
    fn call(&self, workspace: &Workspace) -> Call {
        // Without the default features nothing is compiled that only `load` needs.
        let package = ["--package", "benches", "--no-default-features"];
        match self.kind {
            Kind::Simulation => {
                workspace.cargo().args(["run", "--release"]).args(package).args(["--bin", self.name, "--"])
            }
            Kind::Criterion => {
                workspace.cargo().arg("bench").args(package).args(["--bench", self.name, "--"])
            }
            Kind::Processes => workspace.released(self.name),
        }
    }

    fn run(&self, call: Call) -> Result<()> {
        call.remedy(format!("see the message above; {} is: {}", self.name, self.about)).run()
    }
}

/// One line each: the programs, and criterion's.
fn listed() -> String {
    let lines = |criterion: bool| {
        let of_kind = BENCHES.iter().filter(move |bench| (bench.kind == Kind::Criterion) == criterion);
        of_kind.map(|bench| format!("  {}: {}", bench.name, bench.about)).collect::<Vec<_>>().join("\n")
    };
    format!(
        "programs, `cargo xtask bench NAME ARGS`:\n{}\ncriterion, the same or all at once by `cargo bench -p benches`:\n{}",
        lines(false),
        lines(true)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The targets that `benches/Cargo.toml` names, in order of their names.
    fn targets(kind: &str) -> Vec<String> {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/Cargo.toml");
        let text = std::fs::read_to_string(manifest).unwrap();
        let blocks = text.split("\n[").filter(|block| block.starts_with(&format!("[{kind}]]")));
        let mut names: Vec<String> = blocks
            .map(|block| block.lines().find_map(|line| line.strip_prefix("name = ")).unwrap())
            .map(|name| name.trim_matches('"').to_owned())
            .collect();
        names.sort();
        names
    }

    #[track_caller]
    fn check(criterion: bool, kind: &str) {
        let known = BENCHES.iter().filter(|bench| (bench.kind == Kind::Criterion) == criterion);
        let mut known: Vec<&str> = known.map(|bench| bench.name).collect();
        known.sort_unstable();
        assert_eq!(known, targets(kind));
    }

    #[test]
    fn every_target_is_listed_and_every_name_is_a_target() {
        check(false, "bin");
        check(true, "bench");
    }
}
