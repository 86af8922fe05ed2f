//! `cargo xtask bench NAME`: figures, each with the command that repeats it.

use std::ffi::OsString;

use anyhow::{Context, Result};

use crate::workspace::Workspace;

/// A bench: a program of the release profile that prints figures.
struct Bench {
    name: &'static str,
    package: &'static str,
    target: Target,
    about: &'static str,
}

/// Which of a package's programs it is.
enum Target {
    /// One that uses the package.
    Example(&'static str),
    /// One that starts the package's own program, which cargo builds beside it.
    Bench(&'static str),
}

const BENCHES: [Bench; 6] = [
    Bench {
        name: "judge",
        package: "judge",
        target: Target::Example("bench"),
        about: "how often the gates are wrong, and how long they take to be right",
    },
    Bench {
        name: "alarms",
        package: "simulate",
        target: Target::Example("alarms"),
        about: "the same of whole rollouts in worlds of requests, each of which has a name: RUNS SEED [WORLD]...",
    },
    Bench {
        name: "counts",
        package: "rollout",
        target: Target::Example("counts"),
        about: "the same of whole rollouts on made-up counts, gates and guardrails together: RUNS SEED",
    },
    Bench {
        name: "tolerance",
        package: "rollout",
        target: Target::Example("tolerance"),
        about: "what it costs and saves that harm begins a little beyond stable, by metric and tolerance: RUNS SEED",
    },
    Bench {
        name: "bandit",
        package: "rollout",
        target: Target::Example("bandit"),
        about: "what shares that follow the evidence bring and cost beside weights that stand: RUNS SEED",
    },
    Bench {
        name: "load",
        package: "controller",
        target: Target::Bench("load"),
        about: "how late a controller looks at a hundred rollouts and a thousand proxies, and what it costs",
    },
];

/// Runs the bench; `args` are its own.
pub fn run(name: &str, args: &[OsString]) -> Result<()> {
    let bench = BENCHES.iter().find(|bench| bench.name == name).with_context(|| {
        let known = BENCHES.map(|bench| format!("  {}: {}", bench.name, bench.about)).join("\n");
        format!("no bench is called {name:?}; there are:\n{known}")
    })?;
    let how = match bench.target {
        Target::Example(name) => {
            ["run", "--release", "--package", bench.package, "--example", name, "--"].to_vec()
        }
        Target::Bench(name) => ["bench", "--package", bench.package, "--bench", name, "--"].to_vec(),
    };
    Workspace::find()?
        .cargo()
        .args(how)
        .args(args)
        .remedy(format!("see the message above; {} is: {}", bench.name, bench.about))
        .run()
}
