//! `cargo xtask bench NAME`: figures, each with the command that repeats it.

use std::ffi::OsString;

use anyhow::{Context, Result};

use crate::workspace::Workspace;

/// A bench: a program of the release profile that prints figures.
struct Bench {
    name: &'static str,
    package: &'static str,
    example: &'static str,
    about: &'static str,
}

const BENCHES: [Bench; 2] = [
    Bench {
        name: "judge",
        package: "judge",
        example: "bench",
        about: "how often the gates are wrong, and how long they take to be right",
    },
    Bench {
        name: "alarms",
        package: "rollout",
        example: "alarms",
        about: "the same of whole rollouts, gates and guardrails together: RUNS SEED",
    },
];

/// Runs the bench; `args` are its own.
pub fn run(name: &str, args: &[OsString]) -> Result<()> {
    let bench = BENCHES.iter().find(|bench| bench.name == name).with_context(|| {
        let known = BENCHES.map(|bench| format!("  {}: {}", bench.name, bench.about)).join("\n");
        format!("no bench is called {name:?}; there are:\n{known}")
    })?;
    Workspace::find()?
        .cargo()
        .args(["run", "--release", "--package", bench.package, "--example", bench.example, "--"])
        .args(args)
        .remedy(format!("see the message above; {} is: {}", bench.name, bench.about))
        .run()
}
