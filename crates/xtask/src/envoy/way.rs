//! Which Envoy to use: a decision without effects.

use std::path::PathBuf;

use super::RELEASE;
use crate::apt::Apt;

/// The releases that will do: the pinned one and its bug fixes.
const SERIES: &str = "1.40.";

/// What was found on this machine.
#[derive(Clone, Debug)]
pub struct Found {
    /// What `SERIN_ENVOY` names.
    pub stated: Option<Candidate>,
    /// The `envoy` on `PATH`.
    pub on_path: Option<Candidate>,
    /// The one installed earlier.
    pub cached: Option<PathBuf>,
    pub python: Python,
}

/// A binary that claims to be Envoy.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub path: PathBuf,
    /// The release it says it is; `None` when it does not run or says none.
    pub release: Option<String>,
}

/// What there is to install with.
#[derive(Clone, Debug)]
pub enum Python {
    /// This one can make virtual environments.
    Ready(PathBuf),
    /// None can; and whether Debian's packages help.
    Missing(Apt),
}

/// The way to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// This binary.
    Use(PathBuf),
    /// Install with this Python.
    Install(PathBuf),
    /// Install Debian's Python packages, then install with them.
    Debian,
    /// Nothing may be done without the reader: this is what to do.
    Tell(String),
}

/// Chooses, in this order: what the reader states, what is on `PATH`, the cache, a new installation. The second
/// part is what the reader should know about the choice.
pub fn way(found: &Found) -> (Way, Vec<String>) {
    let mut notes = Vec::new();
    if let Some(stated) = &found.stated {
        return stated_way(stated);
    }
    if let Some(Candidate { path, release }) = &found.on_path {
        let shown = path.display();
        match release {
            Some(release) if release.starts_with(SERIES) => {
                notes.push(format!("Envoy {release}: {shown}, from PATH"));
                return (Way::Use(path.clone()), notes);
            }
            Some(release) => {
                notes.push(format!("{shown} on PATH is Envoy {release}, tested is {SERIES}x: not used"))
            }
            None => notes.push(format!("{shown} on PATH does not answer --version: not used")),
        }
    }
    let way = match (&found.cached, &found.python) {
        (Some(cached), _) => {
            notes.push(format!("Envoy {RELEASE}: {}, installed earlier", cached.display()));
            Way::Use(cached.clone())
        }
        (None, Python::Ready(python)) => Way::Install(python.clone()),
        (None, Python::Missing(Apt::Root)) => Way::Debian,
        (None, Python::Missing(Apt::User)) => Way::Tell(crate::apt::command(&["python3", "python3-venv"])),
        (None, Python::Missing(Apt::Absent)) => Way::Tell(format!(
            "install Python 3.10 or newer with pip and venv, or set SERIN_ENVOY to an Envoy {RELEASE}"
        )),
    };
    (way, notes)
}

fn stated_way(stated: &Candidate) -> (Way, Vec<String>) {
    let shown = stated.path.display();
    match &stated.release {
        None => (
            Way::Tell(format!(
                "SERIN_ENVOY={shown} does not answer --version: set it to an Envoy binary, or unset it"
            )),
            vec![],
        ),
        Some(release) if release.starts_with(SERIES) => {
            (Way::Use(stated.path.clone()), vec![format!("Envoy {release}: {shown}, from SERIN_ENVOY")])
        }
        // Stated is stated; but a later failure should not come as a surprise.
        Some(release) => {
            let note = format!("Envoy {release}: {shown}, from SERIN_ENVOY; Serin is tested with {SERIES}x");
            (Way::Use(stated.path.clone()), vec![note])
        }
    }
}

/// The release in `envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL`.
pub fn release_in(said: &str) -> Option<String> {
    let line = said.lines().find(|line| line.contains("version:"))?;
    let is_release = |part: &&str| {
        let digits = part.split_once('-').map_or(*part, |(digits, _)| digits);
        digits.split('.').count() == 3 && digits.split('.').all(|number| number.parse::<u32>().is_ok())
    };
    line.split(['/', ' ']).find(is_release).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(release: &str) -> Option<Candidate> {
        let release = Some(release.to_owned()).filter(|release| !release.is_empty());
        Some(Candidate { path: PathBuf::from("/some/envoy"), release })
    }

    fn cached() -> Option<PathBuf> {
        Some(PathBuf::from("/cache/envoy"))
    }

    fn python() -> Python {
        Python::Ready(PathBuf::from("/python3"))
    }

    #[track_caller]
    fn check(
        found: (Option<Candidate>, Option<Candidate>, Option<PathBuf>, Python),
        expected: Way,
        note: &str,
    ) {
        let (stated, on_path, cached, python) = found;
        let (way, notes) = way(&Found { stated, on_path, cached, python });
        assert_eq!(way, expected);
        assert!(notes.join("\n").contains(note), "{notes:?} should say {note:?}");
    }

    #[track_caller]
    fn tells(found: (Option<Candidate>, Python), part: &str) {
        let (stated, python) = found;
        match way(&Found { stated, on_path: None, cached: None, python }).0 {
            Way::Tell(remedy) => assert!(remedy.contains(part), "{remedy}"),
            other => panic!("expected a remedy with {part:?}, got {other:?}"),
        }
    }

    #[test]
    fn what_is_stated_goes_first() {
        let stated = Way::Use(PathBuf::from("/some/envoy"));
        check((some("1.40.2"), None, cached(), python()), stated.clone(), "from SERIN_ENVOY");
        check((some("1.38.0"), None, cached(), python()), stated, "tested with 1.40.x");
        tells((some(""), python()), "SERIN_ENVOY=/some/envoy does not answer");
    }

    #[test]
    fn path_goes_before_the_cache_when_it_is_the_right_release() {
        check(
            (None, some("1.40.0"), cached(), python()),
            Way::Use(PathBuf::from("/some/envoy")),
            "from PATH",
        );
        check(
            (None, some("1.39.0"), cached(), python()),
            Way::Use(PathBuf::from("/cache/envoy")),
            "is Envoy 1.39.0",
        );
        check(
            (None, some("1.400.0"), cached(), python()),
            Way::Use(PathBuf::from("/cache/envoy")),
            "not used",
        );
        check(
            (None, some(""), cached(), python()),
            Way::Use(PathBuf::from("/cache/envoy")),
            "does not answer",
        );
    }

    #[test]
    fn what_is_missing_is_installed_or_told() {
        check((None, None, None, python()), Way::Install(PathBuf::from("/python3")), "");
        check((None, some("1.38.0"), None, python()), Way::Install(PathBuf::from("/python3")), "not used");
        check((None, None, None, Python::Missing(Apt::Root)), Way::Debian, "");
        tells(
            (None, Python::Missing(Apt::User)),
            "sudo apt-get install --no-install-recommends python3 python3-venv",
        );
        tells((None, Python::Missing(Apt::Absent)), "SERIN_ENVOY");
        check(
            (None, None, cached(), Python::Missing(Apt::Absent)),
            Way::Use(PathBuf::from("/cache/envoy")),
            "installed earlier",
        );
    }

    #[track_caller]
    fn reads(said: &str, expected: Option<&str>) {
        assert_eq!(release_in(said).as_deref(), expected);
    }

    #[test]
    fn the_release_is_read_from_what_envoy_says() {
        reads("\n/x/envoy  version: 7e6ab1/1.40.0/Clean/RELEASE/BoringSSL", Some("1.40.0"));
        reads("envoy  version: 7e6ab1/1.41.0-dev/Modified/DEBUG/BoringSSL", Some("1.41.0-dev"));
        reads("GNU bash, version 5.2.15(1)-release", None);
        reads("version: none", None);
        reads("", None);
    }
}
