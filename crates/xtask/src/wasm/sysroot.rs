//! Rust's standard library for wasm32, built once from Debian's source package and kept in the cache.
//!
//! Debian packages the compiler and the library's source, but not the library built for this target. Only the
//! very compiler that built a standard library can use it, so the cache entry carries the compiler's version.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::way::TARGET;
use crate::cache::Cache;
use crate::process::{Call, say};
use crate::workspace::{Release, Workspace};

/// What cargo needs to build with Debian's compiler.
pub struct Sysroot {
    pub compiler: PathBuf,
    /// The folder for `--sysroot`.
    pub dir: PathBuf,
}

/// What `rustc -vV` says, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
struct Version {
    release: Release,
    commit: String,
}

/// The compiler of the package `rustc-web`; by its full path, since rustup's comes first in `PATH`.
pub const COMPILER: &str = "/usr/bin/rustc";

/// Bit code lets the filter's link-time optimisation reach into the standard library.
const FLAGS: &str = "-Cembed-bitcode=yes";

/// Finds the standard library in the cache or builds it.
pub fn ready(workspace: &Workspace, cache: &Cache) -> Result<Sysroot> {
    let compiler = PathBuf::from(COMPILER);
    let said = Call::new(&compiler).arg("-vV").remedy("apt-get install --reinstall rustc-web").text()?;
    let version = version_in(&said).with_context(|| format!("{COMPILER} -vV says no release:\n{said}"))?;
    ensure!(
        version.release >= workspace.oldest_rust,
        "{COMPILER} is Rust {}, and Serin needs {} or newer: apt-get update && apt-get install rustc-web rust-web-src",
        version.release,
        workspace.oldest_rust
    );
    let name = format!("wasm-std-{}-{}", version.release, version.commit);
    let dir = cache.folder(&name, |part| {
        say(format!(
            "Rust's standard library for {TARGET}: building it once with {COMPILER} {} (about a minute)",
            version.release
        ));
        build(workspace, &compiler, part)
    })?;
    Ok(Sysroot { compiler, dir })
}

fn build(workspace: &Workspace, compiler: &Path, sysroot: &Path) -> Result<()> {
    let source = sysroot.join("empty");
    let target = sysroot.join("build");
    fs::create_dir_all(source.join("src")).context("cannot write to the cache folder")?;
    // A workspace of its own: the cache may lie inside a checkout.
    let manifest = "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(source.join("Cargo.toml"), manifest)?;
    fs::write(source.join("src/lib.rs"), "#![no_std]\n")?;
    workspace
        .cargo()
        .without_env(["CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR"])
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTC", compiler)
        .env("RUSTFLAGS", FLAGS)
        .args(["build", "--release", "--target", TARGET, "-Zbuild-std=std,panic_abort", "--target-dir"])
        .arg(&target)
        .dir(&source)
        .remedy("it needs the packages rustc-web and rust-web-src of one version, and the network for the crates std uses")
        .run_aside()?;
    let libraries = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    fs::create_dir_all(&libraries)?;
    for library in libraries_in(&target.join(TARGET).join("release"))? {
        let name = library.file_name().context("a library without a name")?;
        fs::rename(&library, libraries.join(name))?;
    }
    for needed in ["libcore-", "libstd-", "libpanic_abort-"] {
        let there = fs::read_dir(&libraries)?
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().starts_with(needed));
        ensure!(
            there,
            "cargo built no {needed}*.rlib from {COMPILER}'s source: is rust-web-src of the same version?"
        );
    }
    crate::cache::remove(&source)?;
    crate::cache::remove(&target)
}

/// Every library below the folder: cargo's layout inside it is not promised.
fn libraries_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).with_context(|| format!("cargo left no {}", dir.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rlib") {
                found.push(path);
            }
        }
    }
    found.retain(|path| path.file_name().is_some_and(|name| name != "libempty.rlib"));
    Ok(found)
}

fn version_in(said: &str) -> Option<Version> {
    let field = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let commit = field("commit-hash:").unwrap_or("unknown");
    Some(Version { release: Release::parse(field("release:")?)?, commit: commit.chars().take(9).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(said: &str, expected: Option<(Release, &str)>) {
        let expected = expected.map(|(release, commit)| Version { release, commit: commit.to_owned() });
        assert_eq!(version_in(said), expected);
    }

    #[test]
    fn the_compilers_version_is_read() {
        let said = "rustc 1.96.0 (ac68faa20 2026-05-25)\nbinary: rustc\ncommit-hash: ac68faa20c58cbcc\nhost: x\nrelease: 1.96.0\n";
        check(said, Some((Release(1, 96, 0), "ac68faa20")));
        check("commit-hash: unknown\nrelease: 1.96.0", Some((Release(1, 96, 0), "unknown")));
        check("release: 1.96.0", Some((Release(1, 96, 0), "unknown")));
        check("rustc 1.96.0", None);
    }
}
