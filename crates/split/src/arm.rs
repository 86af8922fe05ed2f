use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One side of the split.
///
/// Further challengers carry their name with them, so that a header or a counter can be read without the policy that
/// wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arm {
    /// The version that serves by default.
    Stable,
    /// The version on trial; of several, the first.
    Canary,
    /// The virtual baseline: served by stable, counted apart, as large as the canary.
    Baseline,
    /// A further version on trial, beside the canary.
    Other(ArmName),
}

/// The name of a further arm: 1 to 16 lower-case letters, digits and dashes, the first a letter; the names of the
/// other arms are taken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArmName([u8; ArmName::LONGEST]);

impl Arm {
    /// The arms that need no name, in the order in which they are shown.
    pub const NAMELESS: [Self; 3] = [Self::Stable, Self::Canary, Self::Baseline];

    /// The arm as it stands in the routing header and in labels.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Stable => "stable",
            Self::Canary => "canary",
            Self::Baseline => "baseline",
            Self::Other(name) => name.as_str(),
        }
    }

    /// Reads [`Arm::as_str`] back; `None` for text that names no arm.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let nameless = Self::NAMELESS.into_iter().find(|arm| arm.as_str() == text);
        nameless.or_else(|| ArmName::new(text).map(Self::Other))
    }

    /// Is it served by a version on trial?
    #[must_use]
    pub const fn is_challenger(self) -> bool {
        matches!(self, Self::Canary | Self::Other(_))
    }
}

impl ArmName {
    /// The length of the longest name.
    pub const LONGEST: usize = 16;

    /// A name; `None` when it is none.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = text.bytes().all(letters) && text.starts_with(|first: char| first.is_ascii_lowercase());
        if !fits || text == SHADOW || Arm::NAMELESS.iter().any(|arm| arm.as_str() == text) {
            return None;
        }
        // Padded with zeros, which no name contains.
        let mut name = [0; Self::LONGEST];
        name.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Self(name))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let text = self.0.split(|byte| *byte == 0).next().unwrap_or_default();
        // Letters of ASCII are UTF-8.
        std::str::from_utf8(text).unwrap_or_default()
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for ArmName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for ArmName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Arm {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Arm {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "{text:?} names no arm; use stable, canary, baseline, or the name of a further arm ({NAMES})"
            ))
        })
    }
}

impl Serialize for ArmName {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ArmName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::new(&text)
            .ok_or_else(|| D::Error::custom(format!("{text:?} cannot name a further arm; use {NAMES}")))
    }
}

/// What a further arm may be called.
const NAMES: &str = "1 to 16 lower-case letters, digits and dashes, the first a letter, not stable, canary, baseline or shadow";

/// What the routing header says of a request that stable answers and the canary gets a copy of.
pub const SHADOW: &str = "shadow";

/// Where the routing header leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// To an arm.
    Arm(Arm),
    /// To stable, and a copy to the canary, whose answer nobody sees.
    Shadow,
}

impl Route {
    /// The route as it stands in the routing header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Arm(arm) => arm.as_str(),
            Self::Shadow => SHADOW,
        }
    }

    /// Reads [`Route::as_str`] back; `None` for text that leads nowhere.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == SHADOW { Some(Self::Shadow) } else { Arm::parse(text).map(Self::Arm) }
    }
}

/// Why a request was given its arm. Only [`Cause::Weight`] is evidence: every other cause chooses its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The rollout's weight, by hash or by draw.
    Weight,
    /// A cohort's own weight.
    Cohort,
    /// An override named the arm.
    Override,
    /// Sticky assignment found no key and the policy says what then.
    NoKey,
    /// The lease had run out or was revoked: stable.
    Fallback,
}

impl Cause {
    /// Every cause, in the order in which they are shown.
    pub const ALL: [Self; 5] = [Self::Weight, Self::Cohort, Self::Override, Self::NoKey, Self::Fallback];

    /// The cause as it stands in labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Weight => "weight",
            Self::Cohort => "cohort",
            Self::Override => "override",
            Self::NoKey => "no_key",
            Self::Fallback => "fallback",
        }
    }

    /// Reads [`Cause::as_str`] back; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == text)
    }
}
