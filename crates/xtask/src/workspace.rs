//! Where the workspace is, and the cargo that builds it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process::{Call, say, var};

/// The checkout, its target directory and its cargo.
pub struct Workspace {
    /// The folder of the root manifest.
    pub root: PathBuf,
    /// Absolute; `CARGO_TARGET_DIR` and cargo's configuration are honoured.
    pub target: PathBuf,
    /// The oldest Rust that builds the filter.
    pub oldest_rust: Release,
    cargo: PathBuf,
}

/// A Rust release, without its suffix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(pub u32, pub u32, pub u32);

/// Measured with nothing built before, on two cores that others used as well.
const FIRST_BUILD: &str = "nothing is built yet: some 400 crates are compiled once, which took 11 minutes on two busy cores; the tests \
                           come on top of that";

impl Workspace {
    /// Finds the workspace this xtask was built from.
    pub fn find() -> Result<Self> {
        let cargo = var("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
        let here = var("CARGO_MANIFEST_DIR")
            .context("run this as `cargo xtask ...`, so that cargo says where the root is")?;
        let manifest = Path::new(&here).join("Cargo.toml");
        let text = Call::new(&cargo)
            .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
            .arg(&manifest)
            .remedy(format!("cargo must be able to read {}", manifest.display()))
            .text()?;
        let metadata: Value = serde_json::from_str(&text).context("`cargo metadata` did not print JSON")?;
        let path = |field: &str| {
            let value = metadata.get(field).and_then(Value::as_str);
            value.map(PathBuf::from).with_context(|| format!("`cargo metadata` names no {field}"))
        };
        Ok(Self {
            root: path("workspace_root")?,
            target: path("target_directory")?,
            oldest_rust: oldest_rust(&metadata).context("the filter's Cargo.toml states no rust-version")?,
            cargo,
        })
    }

    /// A cargo call at the root, as if typed there.
    pub fn cargo(&self) -> Call {
        Call::new(&self.cargo).without_env(ours()).env("CARGO_TARGET_DIR", &self.target).dir(&self.root)
    }

    /// A call of one of our own binaries, in the reader's folder and without the variables meant for xtask.
    pub fn tool(&self, name: &str) -> Call {
        Call::new(self.binary(name)).without_env(ours())
    }

    /// A binary of the dev profile, where cargo puts it.
    pub fn binary(&self, name: &str) -> PathBuf {
        self.target.join("debug").join(name)
    }

    /// A call of one of our binaries of the release profile.
    pub fn released(&self, name: &str) -> Call {
        Call::new(self.target.join("release").join(name)).without_env(ours())
    }

    /// The folder of what xtask itself produces.
    pub fn outputs(&self) -> PathBuf {
        self.target.join("serin")
    }

    /// Says how long the first build takes, before it begins.
    pub fn announce_first_build(&self) {
        if !self.binary("serin").exists() {
            say(FIRST_BUILD);
        }
    }

    /// Builds the binaries `serin` and `demo`. The whole workspace is selected so that third-party crates get
    /// the same features here as under `cargo test --workspace`: with `--package` alone about thirty of them
    /// (tonic, SQLite, the Envoy protobuf code) would be compiled a second time for the tests.
    pub fn build_binaries(&self) -> Result<()> {
        say("serin and demo: cargo builds what has changed");
        self.cargo().args(["build", "--workspace", "--bins"]).remedy("see the compiler's message above").run()
    }
}

impl Release {
    /// Reads `1.96`, `1.96.0` or `1.96.0+dfsg1-1`.
    pub fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let mut parts = text.get(..end)?.split('.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?.parse().ok()?;
        let patch = parts.next().map_or(Some(0), |patch| patch.parse().ok())?;
        Some(Self(major, minor, patch))
    }
}

impl std::fmt::Display for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(major, minor, patch) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// What `cargo run` sets for this very package. Passed on, it would reach build scripts that watch it, and make
/// them run again whenever cargo is called with and without xtask in turn.
fn ours() -> impl Iterator<Item = OsString> {
    std::env::vars_os().map(|(name, _)| name).filter(|name| {
        let name = name.to_string_lossy();
        let single = ["CARGO_BIN_NAME", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "OUT_DIR"];
        name.starts_with("CARGO_PKG_")
            || name.starts_with("CARGO_MANIFEST_")
            || single.contains(&name.as_ref())
    })
}

fn oldest_rust(metadata: &Value) -> Option<Release> {
    let packages = metadata.get("packages")?.as_array()?;
    let filter =
        packages.iter().find(|package| package.get("name").and_then(Value::as_str) == Some("filter"))?;
    Release::parse(filter.get("rust_version")?.as_str()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<Release>) {
        assert_eq!(Release::parse(text), expected);
    }

    #[test]
    fn releases_are_read_with_and_without_suffix() {
        check("1.95", Some(Release(1, 95, 0)));
        check("1.96.0", Some(Release(1, 96, 0)));
        check("1.96.0+dfsg1-1~deb12u2", Some(Release(1, 96, 0)));
        check("1.97.0-nightly", Some(Release(1, 97, 0)));
        check("(none)", None);
        check("", None);
        assert!(Release(1, 85, 0) < Release(1, 95, 0));
    }
}
