//! Python packages: pinned, with hashes, in a virtual environment of their own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process::{Call, on_path};

/// A Python that can make virtual environments. Debian splits that off into a package.
pub fn python() -> Option<PathBuf> {
    let able = |path: &PathBuf| {
        let check = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";
        Call::new(path).args(["-c", check]).text().is_ok()
    };
    on_path("python3").filter(able).or_else(|| Some(PathBuf::from("/usr/bin/python3")).filter(able))
}

/// Installs what pip's `requirements` name into `part/venv`.
pub fn install(python: &Path, requirements: &str, part: &Path, remedy: &str) -> Result<()> {
    let file = part.join("requirements.txt");
    fs::write(&file, requirements).with_context(|| format!("cannot write {}", file.display()))?;
    let venv = part.join("venv");
    Call::new(python)
        .args(["-m", "venv"])
        .arg(&venv)
        .remedy("on Debian: apt-get install python3-venv")
        .run_aside()?;
    Call::new(venv.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"])
        .args(["--no-deps", "--only-binary=:all:", "--require-hashes", "--requirement"])
        .arg(&file)
        // These would send the package elsewhere than into the environment.
        .without_env(["PIP_USER", "PIP_TARGET", "PIP_PREFIX"])
        .remedy(remedy)
        .run_aside()
}

/// The folder `inner` of an installed package.
pub fn folder(part: &Path, inner: &str) -> Result<PathBuf> {
    let lib = part.join("venv/lib");
    let pythons = fs::read_dir(&lib)
        .with_context(|| format!("no {}: remove {} and run this again", lib.display(), part.display()))?;
    let mut folders = pythons.flatten().map(|python| python.path().join("site-packages").join(inner));
    folders.find(|path| path.is_dir()).with_context(|| {
        format!("no {inner} below {}: remove {} and run this again", lib.display(), part.display())
    })
}
