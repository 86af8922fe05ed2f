//! How this machine gets the standard library for wasm32: a decision without effects.

use crate::apt::{self, Apt};

/// The target the filter is built for: proxy-wasm needs no WASI imports.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// What was found on this machine.
#[derive(Clone, Debug)]
pub struct Found {
    /// The active toolchain has the target's standard library.
    pub std: bool,
    pub rustup: Rustup,
    pub apt: Apt,
    /// Those of the Debian packages that this machine would need and does not have.
    pub missing: Vec<&'static str>,
}

/// Whether rustup can add the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rustup {
    /// The active toolchain is not rustup's.
    Absent,
    /// `RUSTUP_AUTO_INSTALL=0`: rustup must not be called to download anything.
    Forbidden,
    Allowed,
}

/// The way to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Build with the active toolchain.
    Toolchain,
    /// Let rustup add the target, then build with the active toolchain.
    Rustup,
    /// Install these packages (none: they are there), build the standard library once, then build with Debian's compiler.
    Debian { install: Vec<&'static str> },
    /// Nothing may be done without the reader: this is what to do.
    Tell(String),
}

/// Chooses, in this order: what is there, rustup, Debian's packages. `install`: the reader asked for what is
/// missing to be downloaded; without it rustup is not run, since it changes the reader's own toolchain.
pub fn way(found: &Found, install: bool) -> Way {
    match (found.std, found.rustup, install) {
        (true, ..) => Way::Toolchain,
        (_, Rustup::Allowed, true) => Way::Rustup,
        (_, Rustup::Allowed, false) => {
            Way::Tell(format!("rustup target add {TARGET}    (or let it be run: cargo xtask wasm --install)"))
        }
        (_, Rustup::Absent | Rustup::Forbidden, _) => debian(found),
    }
}

/// What is left when the toolchain has no target and rustup does not help.
pub fn debian(found: &Found) -> Way {
    match found.apt {
        Apt::Absent => Way::Tell(remedy_without_debian(found.rustup)),
        Apt::User if !found.missing.is_empty() => Way::Tell(apt::command(&found.missing)),
        Apt::User | Apt::Root => Way::Debian { install: found.missing.clone() },
    }
}

fn remedy_without_debian(rustup: Rustup) -> String {
    match rustup {
        Rustup::Forbidden => format!(
            "rustup target add {TARGET}    (not run by us: RUSTUP_AUTO_INSTALL=0 forbids it, and this is no Debian with packages to fall back on)"
        ),
        Rustup::Absent | Rustup::Allowed => {
            format!("install Rust with rustup (https://rustup.rs), then: rustup target add {TARGET}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];

    #[track_caller]
    fn check(std: bool, rustup: Rustup, apt: Apt, missing: &[&'static str], install: bool, expected: Way) {
        let found = Found { std, rustup, apt, missing: missing.to_vec() };
        assert_eq!(way(&found, install), expected);
    }

    #[track_caller]
    fn tells(std: bool, rustup: Rustup, apt: Apt, missing: &[&'static str], install: bool, part: &str) {
        let found = Found { std, rustup, apt, missing: missing.to_vec() };
        match way(&found, install) {
            Way::Tell(remedy) => assert!(remedy.contains(part), "{remedy}"),
            other => panic!("expected a remedy with {part:?}, got {other:?}"),
        }
    }

    #[test]
    fn a_toolchain_with_the_target_is_enough() {
        for rustup in [Rustup::Absent, Rustup::Forbidden, Rustup::Allowed] {
            for apt in [Apt::Absent, Apt::User, Apt::Root] {
                check(true, rustup, apt, &PACKAGES, false, Way::Toolchain);
                check(true, rustup, apt, &PACKAGES, true, Way::Toolchain);
            }
        }
    }

    #[test]
    fn rustup_runs_only_when_asked() {
        check(false, Rustup::Allowed, Apt::Root, &[], true, Way::Rustup);
        check(false, Rustup::Allowed, Apt::Absent, &[], true, Way::Rustup);
        tells(false, Rustup::Allowed, Apt::Root, &[], false, "rustup target add wasm32-unknown-unknown");
        tells(false, Rustup::Allowed, Apt::Absent, &[], false, "cargo xtask wasm --install");
    }

    #[test]
    fn a_forbidden_rustup_is_never_run() {
        for install in [false, true] {
            check(false, Rustup::Forbidden, Apt::Root, &[], install, Way::Debian { install: vec![] });
            check(false, Rustup::Forbidden, Apt::User, &[], install, Way::Debian { install: vec![] });
            tells(false, Rustup::Forbidden, Apt::Absent, &[], install, "RUSTUP_AUTO_INSTALL=0");
        }
    }

    #[test]
    fn only_root_installs_packages() {
        for rustup in [Rustup::Absent, Rustup::Forbidden] {
            check(false, rustup, Apt::Root, &PACKAGES, false, Way::Debian { install: PACKAGES.to_vec() });
            let line = "sudo apt-get install --no-install-recommends rustc-web rust-web-src";
            tells(false, rustup, Apt::User, &PACKAGES, false, line);
            check(false, rustup, Apt::User, &[], false, Way::Debian { install: vec![] });
        }
    }

    #[test]
    fn with_nothing_at_hand_the_remedy_is_rustup() {
        tells(false, Rustup::Absent, Apt::Absent, &PACKAGES, true, "https://rustup.rs");
    }
}
