//! `cargo xtask prometheus`: a Prometheus, found or unpacked from Debian's package.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::apt::{self, Apt};
use crate::cache::Cache;
use crate::process::{Call, is_program, on_path, say, var};

const REMEDY: &str = "install Prometheus 2.42 or newer and put it on PATH, or set SERIN_PROMETHEUS to it";

/// The Prometheus that is there without installing anything.
pub fn find(cache: &Cache) -> Option<PathBuf> {
    let stated = var("SERIN_PROMETHEUS").map(PathBuf::from).filter(|path| is_program(path));
    let found = stated
        .or_else(|| on_path("prometheus"))
        .or_else(|| Some(unpacked(cache)).filter(|path| is_program(path)))?;
    // Absolute, since those it is handed to run in other folders.
    Some(std::path::absolute(&found).unwrap_or(found))
}

/// Finds Prometheus or unpacks Debian's package into the cache. It is not installed: that would start a service
/// on the reader's machine, and would need root.
pub fn ready(cache: &Cache) -> Result<PathBuf> {
    if let Some(path) = find(cache) {
        say(format!("Prometheus: {}", path.display()));
        return Ok(path);
    }
    let apt = Apt::find();
    if apt == Apt::Absent {
        bail!("no Prometheus here, and no Debian packages to take it from\n  remedy:  {REMEDY}");
    }
    if apt::candidate("prometheus").is_none() {
        if apt == Apt::User {
            bail!(
                "no Prometheus here, and this machine's package lists are empty\n  remedy:  sudo apt-get update"
            );
        }
        apt::refresh()?;
    }
    cache.folder("prometheus", |part| {
        say("Prometheus: unpacking Debian's package into the cache (no service is installed or started)");
        Call::new("apt-get").args(["download", "prometheus"]).dir(part).remedy(REMEDY).run_aside()?;
        let files = std::fs::read_dir(part)
            .context("cannot read the cache folder")?
            .flatten()
            .map(|entry| entry.path());
        let package = files.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "deb"));
        let package = package.context("apt-get download left no package")?;
        Call::new("dpkg-deb").arg("--extract").arg(&package).arg(part).remedy(REMEDY).run_aside()
    })?;
    let path = unpacked(cache);
    Call::new(&path).arg("--version").remedy(REMEDY).text()?;
    Ok(path)
}

fn unpacked(cache: &Cache) -> PathBuf {
    cache.entry("prometheus").join("usr/bin/prometheus")
}
