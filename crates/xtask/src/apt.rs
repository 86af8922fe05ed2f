//! Debian's packages: what is installed, what could be, and installing it as root.

use anyhow::Result;

use crate::process::{Call, on_path, say};
use crate::workspace::Release;

/// Whether this machine takes Debian's packages, and whether we may install them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apt {
    /// No apt here.
    Absent,
    /// apt is here, but only root may install.
    User,
    /// apt is here and we are root.
    Root,
}

impl Apt {
    pub fn find() -> Self {
        if on_path("apt-get").is_none() || on_path("dpkg-query").is_none() {
            return Self::Absent;
        }
        let root = Call::new("id").arg("-u").text().is_ok_and(|uid| uid == "0");
        if root { Self::Root } else { Self::User }
    }
}

/// The command a person would type to install the packages.
pub fn command(packages: &[&str]) -> String {
    format!("sudo apt-get install --no-install-recommends {}", packages.join(" "))
}

/// Whether the package is installed.
pub fn is_installed(package: &str) -> bool {
    Call::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Status}", package])
        .text()
        .is_ok_and(|status| status == "installed")
}

/// The release apt would install, by the package lists on this machine.
pub fn candidate(package: &str) -> Option<Release> {
    let policy = Call::new("apt-cache").args(["policy", package]).env("LC_ALL", "C").text().ok()?;
    candidate_in(&policy)
}

/// Installs the packages as root, after saying which and why.
pub fn install(packages: &[&str], why: &str) -> Result<()> {
    say(format!("installing from Debian's packages: {} ({why})", packages.join(" ")));
    if packages.iter().any(|package| candidate(package).is_none()) {
        refresh()?;
    }
    if install_once(packages).is_ok() {
        return Ok(());
    }
    say("that did not work with the package lists at hand; trying again with fresh ones");
    refresh()?;
    install_once(packages)
}

/// Fetches the package lists anew.
pub fn refresh() -> Result<()> {
    say("apt-get update: the package lists here are missing or too old");
    apt_get()
        .arg("update")
        .remedy("check the network and the sources in /etc/apt, then run this again")
        .run_aside()
}

fn install_once(packages: &[&str]) -> Result<()> {
    // --no-remove: rustc-web conflicts with other Rust packages, and nobody asked us to remove those.
    apt_get()
        .args(["install", "--yes", "--no-install-recommends", "--no-remove"])
        .args(packages)
        .remedy(format!("see apt's message above; once it is solved: {}", command(packages)))
        .run_aside()
}

fn apt_get() -> Call {
    Call::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args([
        "--quiet",
        "-o",
        "DPkg::Lock::Timeout=120",
    ])
}

fn candidate_in(policy: &str) -> Option<Release> {
    let line = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate:"))?.trim();
    let version = line.split_once(':').map_or(line, |(_epoch, version)| version);
    Release::parse(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(policy: &str, expected: Option<Release>) {
        assert_eq!(candidate_in(policy), expected);
    }

    #[test]
    fn the_candidate_is_read_from_apts_policy() {
        check(
            "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1~deb12u2\n",
            Some(Release(1, 96, 0)),
        );
        check("lld-19:\n  Installed: (none)\n  Candidate: 1:19.1.7-3~deb12u1\n", Some(Release(19, 1, 7)));
        check("python3-venv:\n  Candidate: 3.11.2-1+b1\n", Some(Release(3, 11, 2)));
        check("rustc-web:\n  Candidate: (none)\n", None);
        check("", None);
    }
}
