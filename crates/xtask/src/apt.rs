//! Debian's packages: what is installed, what could be, and installing it as root.

use anyhow::{Result, bail};

use crate::consent::Consent;
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

/// Installs the packages as root, after saying which, how much and why, and asking whoever sits at a terminal.
pub fn install(packages: &[&str], why: &str, consent: Consent) -> Result<()> {
    if packages.iter().any(|package| candidate(package).is_none()) {
        refresh()?;
    }
    let intent = intent_in(&simulated(packages));
    say(format!("{why}.\nDebian has it; as root, this would be installed: {}", intent.in_words(packages)));
    if !consent.given("Install it?") {
        bail!("nothing was installed, and without it this cannot go on\n  remedy:  {}", command(packages));
    }
    if consent == Consent::Unattended {
        say("no terminal to ask at: installing it");
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

/// What apt says it would do. It is asked to do it and to answer no itself: only then does it tell sizes.
fn simulated(packages: &[&str]) -> String {
    apt_get()
        .env("LC_ALL", "C")
        .args(["install", "--assume-no", "--no-install-recommends", "--no-remove"])
        .args(packages)
        .said()
}

/// What would be installed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Intent {
    /// Every package that is new, those that others need included.
    new: usize,
    /// What is fetched, in apt's words.
    fetched: Option<String>,
    /// What it takes on the disk, in apt's words.
    kept: Option<String>,
}

impl Intent {
    fn in_words(&self, packages: &[&str]) -> String {
        let mut words = packages.join(" ");
        if let Some(others) = self.new.checked_sub(packages.len()).filter(|others| *others > 0) {
            words += &format!(" and what they need ({others} more)");
        }
        match (&self.fetched, &self.kept) {
            (Some(fetched), Some(kept)) => words + &format!(": {fetched} to fetch, {kept} on the disk"),
            (None, Some(kept)) => words + &format!(": {kept} on the disk"),
            _ => words,
        }
    }
}

fn intent_in(said: &str) -> Intent {
    let between = |before: &str, after: &str| {
        let found = said.lines().find_map(|line| line.trim().strip_prefix(before)?.split_once(after));
        found.map(|(size, _)| size.to_owned())
    };
    let heading = "The following NEW packages will be installed:";
    let new = said.lines().skip_while(|line| line.trim() != heading).skip(1);
    Intent {
        new: new.take_while(|line| line.starts_with(' ')).flat_map(str::split_whitespace).count(),
        fetched: between("Need to get ", " of archives"),
        kept: between("After this operation, ", " of additional disk space"),
    }
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

    const SAID: &str = "Reading package lists...
The following additional packages will be installed:
  libllvm19
The following NEW packages will be installed:
  libllvm19 rust-web-src
  rustc-web
0 upgraded, 3 newly installed, 0 to remove and 141 not upgraded.
Need to get 149 MB of archives.
After this operation, 779 MB of additional disk space will be used.
Do you want to continue? [Y/n] N
Abort.
";

    #[track_caller]
    fn check_intent(said: &str, words: &str) {
        assert_eq!(intent_in(said).in_words(&["rustc-web", "rust-web-src"]), words);
    }

    #[test]
    fn the_size_is_apts_own_word() {
        check_intent(
            SAID,
            "rustc-web rust-web-src and what they need (1 more): 149 MB to fetch, 779 MB on the disk",
        );
        check_intent(
            &SAID.replace("149 MB", "0 B/149 MB"),
            "rustc-web rust-web-src and what they need (1 more): 0 B/149 MB to fetch, 779 MB on the disk",
        );
        check_intent("E: Unable to locate package rustc-web", "rustc-web rust-web-src");
        check_intent("", "rustc-web rust-web-src");
    }
}
