//! Which engine to use: a decision without effects.

use crate::apt::{self, Apt};

/// What was found on this machine.
#[derive(Clone, Debug)]
pub struct Found {
    /// The reader wants none (`SERIN_ENGINE=none`).
    pub unwanted: bool,
    /// `docker info` is answered.
    pub answers: bool,
    /// Docker Compose 2 or newer speaks to it.
    pub compose: bool,
    pub apt: Apt,
    /// Programs that an engine of ours needs and that are not here.
    pub missing: Vec<&'static str>,
}

/// The way to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// The engine that answers.
    Theirs,
    /// One of our own, of Debian's packages.
    Ours,
    /// Neither, for this reason.
    None(String),
}

/// Chooses: the engine that answers, else one of our own.
pub fn way(found: &Found) -> Way {
    if found.unwanted {
        return Way::None("SERIN_ENGINE=none".into());
    }
    if found.answers && found.compose {
        return Way::Theirs;
    }
    let why = if found.answers {
        "no Docker Compose 2 speaks to the engine here"
    } else {
        "no container engine answers"
    };
    match found.apt {
        Apt::Root if found.missing.is_empty() => Way::Ours,
        Apt::Root => {
            let packages: Vec<&str> = found.missing.iter().map(|program| package(program)).collect();
            Way::None(format!("{why}; for one of our own: {}", apt::command(&packages)))
        }
        Apt::User => Way::None(format!("{why}, and one of our own would need root")),
        Apt::Absent => Way::None(format!("{why}; install Docker with Compose 2")),
    }
}

fn package(program: &str) -> &str {
    match program {
        "unshare" => "util-linux",
        "ip" => "iproute2",
        other => other,
    }
}

/// Whether that is the version of a Compose that reads the file: the first, in Python, does not.
pub fn is_current(version: &str) -> bool {
    let major =
        version.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    major.is_some_and(|major| major >= 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn debian() -> Found {
        Found { unwanted: false, answers: false, compose: false, apt: Apt::Root, missing: Vec::new() }
    }

    #[track_caller]
    fn check(found: &Found, expected: &Way) {
        assert_eq!(way(found), *expected, "{found:?}");
    }

    #[track_caller]
    fn check_none(found: &Found, word: &str) {
        let Way::None(why) = way(found) else { panic!("{found:?}") };
        assert!(why.contains(word), "{why}");
    }

    #[test]
    fn an_engine_that_answers_goes_first() {
        check(&Found { answers: true, compose: true, ..debian() }, &Way::Theirs);
        check(&Found { answers: true, ..debian() }, &Way::Ours);
        check(&debian(), &Way::Ours);
    }

    #[test]
    fn where_there_is_none_the_reason_is_told() {
        check_none(&Found { unwanted: true, answers: true, compose: true, ..debian() }, "SERIN_ENGINE");
        check_none(&Found { apt: Apt::User, ..debian() }, "root");
        check_none(&Found { apt: Apt::Absent, ..debian() }, "install Docker");
        check_none(&Found { apt: Apt::Absent, answers: true, ..debian() }, "no Docker Compose 2");
        check_none(&Found { missing: vec!["ip", "unshare"], ..debian() }, "iproute2 util-linux");
    }

    #[test]
    fn the_first_compose_is_too_old() {
        for (version, expected) in
            [("2.40.3", true), ("v2.5.0\n", true), ("5.0.1", true), ("1.29.2", false), ("", false)]
        {
            assert_eq!(is_current(version), expected, "{version:?}");
        }
    }
}
