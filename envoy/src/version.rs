use std::{fmt, str::FromStr};

/// Names one published policy on the wire: `INCARNATION-GENERATION`.
///
/// The incarnation stands in it because a node that reconnects names the version it holds; a generation alone would
/// let generation 7 of a lost store pass for generation 7 of its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Rises when the controller's store is new.
    pub incarnation: u64,
    /// Rises with every push.
    pub generation: u64,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.incarnation, self.generation)
    }
}

/// Not of the form `INCARNATION-GENERATION`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a version reads INCARNATION-GENERATION, two whole numbers")]
pub struct InvalidVersion;

impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let (incarnation, generation) = text.split_once('-').ok_or(InvalidVersion)?;
        Ok(Self {
            incarnation: incarnation.parse().map_err(|_| InvalidVersion)?,
            generation: generation.parse().map_err(|_| InvalidVersion)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Option<(u64, u64)>) {
        let got = text.parse::<Version>().ok();
        assert_eq!(got.map(|v| (v.incarnation, v.generation)), want, "{text:?}");
        if let Some(version) = got {
            assert_eq!(version.to_string(), text);
        }
    }

    #[test]
    fn versions() {
        check("1763700000000-7", Some((1_763_700_000_000, 7)));
        check("0-0", Some((0, 0)));
        check("7", None);
        check("", None);
        check("1-", None);
        check("-1", None);
        check("1-2-3", None);
        check("1--2", None);
    }
}
