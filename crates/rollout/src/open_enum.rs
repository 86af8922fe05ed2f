//! Words that travel: written by this controller, and read by commands of other releases.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One of a few values as its word on the wire. A word that a newer controller uses is kept as it came: it can be shown
/// and is no error. The machine's own enums stay closed, so that a `match` over them remains exhaustive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OpenEnum<T, Other = String> {
    /// One of ours.
    Known(T),
    /// Another, as it came.
    Other(Other),
}

impl<T, Other> OpenEnum<T, Other> {
    /// The value; `None` for one that is not ours.
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Other(_) => None,
        }
    }
}

/// Nothing was said.
impl<T, Other: Default> Default for OpenEnum<T, Other> {
    fn default() -> Self {
        Self::Other(Other::default())
    }
}

impl<T, Other> From<T> for OpenEnum<T, Other> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

impl<T: PartialEq, Other> PartialEq<T> for OpenEnum<T, Other> {
    fn eq(&self, value: &T) -> bool {
        self.known() == Some(value)
    }
}

/// The word as it stands on the wire.
impl<T: Serialize> fmt::Display for OpenEnum<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Of numbers in views. JSON knows no infinity and nothing that is not a number: both are written as `null`, and what
/// reads must not fail over it.
pub(crate) fn number<'de, D: serde::Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Answer, PhaseName};

    #[test]
    fn a_word_is_read_as_it_is_written_and_a_newer_one_is_kept() {
        #[track_caller]
        fn check<T>(json: &str, expected: &OpenEnum<T>)
        where
            T: Serialize + for<'de> Deserialize<'de> + PartialEq + fmt::Debug,
        {
            let read: OpenEnum<T> = serde_json::from_str(json).expect("a word");
            assert_eq!((&read, serde_json::to_string(&read).expect("text").as_str()), (expected, json));
            assert_eq!(format!("\"{read}\""), json);
        }
        check("\"not_applicable\"", &OpenEnum::Known(Answer::NotApplicable));
        check("\"likely\"", &OpenEnum::<Answer>::Other("likely".to_owned()));
        for phase in PhaseName::ALL {
            check(&format!("\"{phase:?}\""), &OpenEnum::Known(phase));
        }
        assert_eq!(format!("[{:<6}]", OpenEnum::<_>::Known(Answer::Pass)), "[pass  ]");
        assert_eq!(OpenEnum::<Answer>::default().known(), None);
    }
}
