//! `cargo xtask demo`: a whole rollout on this machine, with everything it needs.

use std::convert::Infallible;
use std::ffi::OsString;

use anyhow::Result;

use crate::cache::Cache;
use crate::consent::{self, Consent};
use crate::envoy;
use crate::wasm::{self, Filter, Options};
use crate::workspace::Workspace;

/// Builds what is missing and becomes the demo, whose exit code says how the rollout ended; returns only when it
/// could not be run.
pub fn run(args: &[OsString], yes: bool) -> Result<Infallible> {
    let workspace = Workspace::find()?;
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        workspace.build_binaries()?;
        return Err(workspace.tool("demo").args(["run", "--help"]).exec());
    }
    let (also, args) = consent::taken_out(args);
    let consent = Consent::here(yes || also);
    workspace.announce_first_build();
    let cache = Cache::open()?;
    let [filter] = wasm::build(
        &workspace,
        &cache,
        [Filter::Plain],
        Options { install: true, optimize: false, consent },
    )?;
    let envoy = envoy::ready(&cache, consent)?;
    workspace.build_binaries()?;
    let call = workspace
        .tool("demo")
        .args(["run", "--envoy"])
        .arg(envoy)
        .arg("--wasm")
        .arg(filter)
        .arg("--serin")
        .arg(workspace.binary("serin"))
        .args(args);
    Err(call.exec())
}
