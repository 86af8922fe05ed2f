//! `cargo xtask demo`: a whole rollout on this machine, with everything it needs.

use std::convert::Infallible;
use std::ffi::OsString;

use anyhow::{Result, anyhow};

use crate::cache::Cache;
use crate::cluster::Keeper;
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
    let (through_istio, args) = through_istio(&args);
    let through_istio = through_istio?;
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
    if !through_istio {
        return Err(call.exec());
    }
    let keeper = Keeper::start(
        &workspace.binary("xtask"),
        &workspace.outputs().join(format!("cluster-{}", std::process::id())),
    )?;
    let code = call.arg("--istio").arg(keeper.record()).code()?;
    drop(keeper);
    std::process::exit(code)
}

/// Is `--mesh istio` asked for? And the arguments that are the demo's own.
fn through_istio(args: &[OsString]) -> (Result<bool>, Vec<OsString>) {
    let (mut own, mut mesh) = (Vec::new(), Ok(false));
    let mut given = args.iter();
    while let Some(arg) = given.next() {
        let value = match arg.to_string_lossy().split_once('=') {
            _ if arg == "--mesh" => given.next().map(|value| value.to_string_lossy().into_owned()),
            Some(("--mesh", value)) => Some(value.to_owned()),
            _ => {
                own.push(arg.clone());
                continue;
            }
        };
        mesh = match value.as_deref() {
            Some("istio") => Ok(true),
            other => Err(anyhow!(
                "--mesh {}: there is istio; without --mesh it is Envoy alone",
                other.unwrap_or("")
            )),
        };
    }
    (mesh, own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(args: &[&str], expected: Result<bool, &str>, own: &[&str]) {
        let os = |args: &[&str]| args.iter().map(OsString::from).collect::<Vec<_>>();
        let (mesh, left) = through_istio(&os(args));
        assert_eq!(left, os(own));
        match (mesh, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (found, _) => panic!("{found:?}"),
        }
    }

    #[test]
    fn the_mesh_is_taken_out_of_the_demos_arguments() {
        check(&[], Ok(false), &[]);
        check(&["--mesh", "istio", "--seed", "7"], Ok(true), &["--seed", "7"]);
        check(&["--headless", "--mesh=istio"], Ok(true), &["--headless"]);
        check(&["--mesh", "linkerd"], Err("--mesh linkerd"), &[]);
        check(&["--mesh"], Err("there is istio"), &[]);
    }
}
