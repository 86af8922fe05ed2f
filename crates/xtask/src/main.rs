//! `cargo xtask`: what a developer runs. Each command finds or builds what it needs and says so.
//! For Linux and macOS: where Envoy runs.

mod apt;
mod bench;
mod cache;
mod chart;
mod checks;
mod cluster;
mod compose;
mod consent;
mod demo;
mod envoy;
mod mesh;
mod pip;
mod process;
mod prometheus;
mod steps;
mod wasm;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::cache::Cache;
use crate::consent::Consent;
use crate::process::{Failed, say};
use crate::wasm::Filter;
use crate::workspace::Workspace;

/// What a developer runs. Before packages of the system are installed, somebody at a terminal is asked; elsewhere it is
/// said and done.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    /// Install what is missing without asking (or SERIN_YES=1).
    #[arg(long, global = true)]
    yes: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a whole rollout on this machine: exit code 0 promoted, 1 rolled back, 2 undecided, 3 could not run or the
    /// machine is too slow.
    ///
    /// With `--mesh istio` a real istiod, started for it, configures Envoy.
    #[command(disable_help_flag = true)]
    Demo {
        /// `--mesh istio`, and the demo's own flags (see `cargo xtask demo --help`).
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Run every test, the ones on a real Envoy included.
    #[command(disable_help_flag = true)]
    Test {
        /// Passed to `cargo test`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Check formatting and lints, run every test, and every criterion bench once.
    Ci,
    /// Build the filter into target/serin/filter.wasm (and filter-trap.wasm, for tests).
    Wasm {
        /// Let rustup download the wasm32 target when the toolchain has none.
        #[arg(long)]
        install: bool,
        /// Shrink the result with wasm-opt, where it is on PATH.
        #[arg(long)]
        optimize: bool,
    },
    /// Find or install the pinned Envoy and print its path.
    Envoy,
    /// Find Prometheus, or unpack Debian's package, and print its path.
    Prometheus,
    /// Run envoy/docker-compose.yaml on a container engine: yours, or as root on Debian one started for it.
    Compose {
        /// In the namespaces made for it.
        #[arg(long, hide = true)]
        inside: bool,
    },
    /// A real API server with a real istiod on this machine, for trying Istio and for the mesh stories.
    Cluster {
        #[command(subcommand)]
        command: cluster::Command,
    },
    /// The Helm chart of `istio/chart`: write the manifests of `istio/` from it, or check it.
    Chart {
        #[command(subcommand)]
        command: chart::Command,
    },
    /// Run a bench in the release profile, or list them.
    Bench {
        /// Which one; without a name all are listed.
        name: Option<String>,
        /// The bench's own flags.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

/// The demo's exit code for "could not run": 0, 1 and 2 say how the rollout ended.
const COULD_NOT_RUN: u8 = 3;

fn main() -> ExitCode {
    let Cli { yes, command } = Cli::parse();
    let could_not = if let Command::Demo { .. } = command { Some(COULD_NOT_RUN) } else { None };
    match run(command, yes) {
        Ok(code) => code,
        Err(error) => {
            say(format!("\nerror: {error:#}"));
            ExitCode::from(could_not.unwrap_or_else(|| code_of(&error)))
        }
    }
}

fn run(command: Command, yes: bool) -> Result<ExitCode> {
    let consent = || Consent::here(yes);
    let done = match command {
        Command::Demo { args } => demo::run(&args, yes).map(|never| match never {}),
        Command::Test { args } => checks::test(&args, yes),
        Command::Ci => checks::ci(yes),
        Command::Wasm { install, optimize } => {
            let options = wasm::Options { install, optimize, consent: consent() };
            let filters = [Filter::Plain, Filter::Trap];
            let built = wasm::build(&Workspace::find()?, &Cache::open()?, filters, options)?;
            built.iter().for_each(|path| println!("{}", path.display()));
            Ok(())
        }
        Command::Envoy => {
            println!("{}", envoy::ready(&Cache::open()?, consent())?.display());
            Ok(())
        }
        Command::Prometheus => {
            println!("{}", prometheus::ready(&Cache::open()?)?.display());
            Ok(())
        }
        Command::Compose { inside: true } => return compose::inside(&Workspace::find()?, &Cache::open()?),
        Command::Compose { inside: false } => compose::command(consent()),
        Command::Cluster { command } => cluster::run(command),
        Command::Chart { command } => chart::run(&command, &Workspace::find()?, &Cache::open()?),
        Command::Bench { name, args } => bench::run(name.as_deref(), &args),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// The exit code of the command that failed, so that ours is cargo's.
fn code_of(error: &anyhow::Error) -> u8 {
    let code = error.downcast_ref::<Failed>().and_then(|failed| failed.code);
    code.and_then(|code| u8::try_from(code).ok()).filter(|code| *code != 0).unwrap_or(1)
}
