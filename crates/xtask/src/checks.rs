//! `cargo xtask test` and `cargo xtask ci`: every test, the ones on a real Envoy included.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::cache::Cache;
use crate::compose::{self, Ran};
use crate::consent::{self, Consent};
use crate::process::{Call, say};
use crate::steps::Steps;
use crate::wasm::{self, Filter, Options};
use crate::workspace::Workspace;
use crate::{bench, chart, envoy, mesh, prometheus};

/// The steps of `test`; `ci` has two more in front, and one behind.
const TEST_STEPS: usize = 8;

/// Runs the tests; `args` go to `cargo test`.
pub fn test(args: &[OsString], yes: bool) -> Result<()> {
    let (also, args) = consent::taken_out(args);
    let workspace = Workspace::find()?;
    // Whoever asks for some tests does not ask for the last.
    let mut steps = Steps::new(if args.is_empty() { TEST_STEPS } else { TEST_STEPS - 1 });
    let consent = Consent::here(yes || also);
    let skipped = test_steps(&workspace, &mut steps, &args, consent, mesh::Unsaid::Skip)?;
    steps.summary();
    skipped.iter().for_each(say);
    Ok(())
}

/// What must hold before a change is taken: formatting, lints, tests, benches that run.
pub fn ci(yes: bool) -> Result<()> {
    let workspace = Workspace::find()?;
    let mut steps = Steps::new(TEST_STEPS + 3);
    steps.run("format", "every file as rustfmt writes it", || {
        workspace
            .cargo()
            .args(["fmt", "--all", "--check"])
            .remedy("cargo fmt --all    (no rustfmt: rustup component add rustfmt)")
            .run()
    })?;
    steps.run("lint", "clippy, warnings are errors", || {
        workspace
            .cargo()
            .args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
            .remedy("change what clippy names above    (no clippy: rustup component add clippy)")
            .run()
    })?;
    let skipped = test_steps(&workspace, &mut steps, &[], Consent::here(yes), mesh::Unsaid::Few)?;
    steps.run("benches", "every criterion bench once, unmeasured: it must still run", || {
        bench::try_all(&workspace)
    })?;
    steps.summary();
    skipped.iter().for_each(say);
    Ok(())
}

/// Returns the line about skipped stories, which is printed last.
fn test_steps(
    workspace: &Workspace,
    steps: &mut Steps,
    args: &[OsString],
    consent: Consent,
    unsaid: mesh::Unsaid,
) -> Result<Option<String>> {
    workspace.announce_first_build();
    let cache = Cache::open()?;
    let mesh = mesh::way(&cache, args, unsaid)?;
    let [plain, trap] = steps.run(
        "filter",
        "the wasm32 module that Envoy loads, as shipped and with the test-only trap",
        || {
            wasm::build(
                workspace,
                &cache,
                [Filter::Plain, Filter::Trap],
                Options { install: true, optimize: false, consent },
            )
        },
    )?;
    let envoy =
        steps.run("envoy", "the pinned release, found or installed", || envoy::ready(&cache, consent))?;
    let prometheus = steps.run("prometheus", "for the stories of sources, found or unpacked", || {
        let ready = prometheus::ready(&cache);
        if let Err(error) = &ready {
            say(format!("the stories of sources will fail for want of it: {error:#}"));
        }
        Ok(ready.ok())
    })?;
    steps.run("build", "serin, demo and every test, in one build", || {
        // Exactly what the tests need plus the binaries: one selection, so one set of features and one build of each
        // dependency. The filter as a native library is left out: it cannot be linked on every system.
        workspace
            .cargo()
            .args(["build", "--workspace", "--bins", "--tests", "--examples"])
            .remedy("see the compiler's message above")
            .run()
    })?;
    let mut handed: Vec<(&'static str, PathBuf)> = vec![
        ("SERIN_BIN", workspace.binary("serin")),
        ("SERIN_DEMO", workspace.binary("demo")),
        ("SERIN_ENVOY", envoy),
        ("SERIN_WASM", plain),
        ("SERIN_WASM_TRAP", trap),
    ];
    handed.extend(prometheus.map(|path| ("SERIN_PROMETHEUS", path)));
    steps.run("test", "cargo test with the paths of the above", || {
        for (name, path) in &handed {
            say(format!("{name}={}", path.display()));
        }
        tests(workspace, args).envs(handed.iter().cloned()).run()
    })?;
    let why =
        "the manifests of istio/ are the chart's, its examples are valid, its rules say what they should";
    if let Some(why) =
        steps.run("chart", why, || chart::tested(workspace, &cache, handed_prometheus(&handed)))?
    {
        steps.skip_last(why);
    }
    if args.is_empty() {
        let why = "envoy/docker-compose.yaml on a container engine (SERIN_ENGINE=none: not)";
        if let Ran::No(why) = steps.run("compose", why, || compose::run(workspace, &cache, consent))? {
            steps.skip_last(why);
        }
    }
    steps.run("mesh", "stories on a real API server and a real istiod", || {
        mesh::run(workspace, &cache, mesh, args, &handed)
    })
}

/// Where Prometheus is, if it is to be had.
fn handed_prometheus<'h>(handed: &'h [(&'static str, PathBuf)]) -> Option<&'h Path> {
    handed.iter().find(|(name, _)| *name == "SERIN_PROMETHEUS").map(|(_, path)| path.as_path())
}

/// `--workspace` would override a package the reader selects.
fn tests(workspace: &Workspace, args: &[OsString]) -> Call {
    let selected = selects_package(args);
    let call = workspace.cargo().arg("test");
    let call = if selected { call } else { call.arg("--workspace") };
    call.args(args).remedy("see the failed test above; run it alone with: cargo xtask test NAME")
}

fn selects_package(args: &[OsString]) -> bool {
    let cargos = args.iter().take_while(|arg| *arg != "--").map(|arg| arg.to_string_lossy());
    cargos.into_iter().any(|arg| {
        arg == "--package"
            || arg.starts_with("--package=")
            || (arg.starts_with("-p") && !arg.starts_with("--"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(args: &[&str], expected: bool) {
        let args: Vec<_> = args.iter().map(OsString::from).collect();
        assert_eq!(selects_package(&args), expected, "{args:?}");
    }

    #[test]
    fn a_selected_package_is_seen() {
        check(&[], false);
        check(&["lease"], false);
        check(&["-p", "split"], true);
        check(&["-psplit"], true);
        check(&["--package=split"], true);
        check(&["--package", "split"], true);
        check(&["--profile", "x"], false);
        check(&["--", "-p"], false);
    }
}
