//! Under which weights was a request assigned?
//!
//! A request's fate belongs to the weights under which it was assigned, not to those under which it ends: after every
//! change of weights the requests in flight are older in one arm than in the other. So counters carry a slot that turns
//! with the epoch. Epochs are without end and counters are permanent, hence a few slots in rotation; what outlives its
//! slot is counted as late and is no evidence.

use std::fmt;

/// How many slots there are in rotation.
///
/// A VM counts into the slots of the last two epochs. VMs of one proxy take a push one after the other, and weights may
/// change once between two looks: 2 + 1 + 1. More would cost every sidecar some twenty counters an arm each.
pub const SLOTS: u8 = 4;

/// Requests of so many epochs before the present one still have their slot.
const KEPT: u64 = 1;

/// Where a fate is counted: the epoch's place in the rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// Epoch modulo [`SLOTS`].
    Of(u8),
    /// Assigned under weights so long gone that their slot may be in use again.
    Late,
}

impl Slot {
    /// The slot of a request assigned in `epoch`, now that `present` is in force in this VM.
    #[must_use]
    pub fn at(epoch: u64, present: u64) -> Self {
        // An epoch above the present one is of a store that is gone.
        let kept = present.checked_sub(epoch).is_some_and(|behind| behind <= KEPT);
        let place = u8::try_from(epoch % u64::from(SLOTS));
        place.ok().filter(|_| kept).map_or(Self::Late, Self::Of)
    }

    /// The epoch that a slot stood for, read from a proxy that had announced `announced`; `None` for late requests.
    ///
    /// A proxy announces an epoch before its workers run it, and workers count up to [`KEPT`] epochs behind their own:
    /// so the slot means the latest epoch in its place that is not above the announced one.
    #[must_use]
    pub fn epoch(self, announced: u64) -> Option<u64> {
        match self {
            Self::Late => None,
            Self::Of(place) => {
                let slots = u64::from(SLOTS);
                let behind = (announced % slots + slots - u64::from(place) % slots) % slots;
                announced.checked_sub(behind)
            }
        }
    }

    /// The slot as it stands in labels.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == LATE {
            return Some(Self::Late);
        }
        text.parse().ok().filter(|place| *place < SLOTS).map(Self::Of)
    }
}

const LATE: &str = "late";

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(place) => write!(f, "{place}"),
            Self::Late => f.write_str(LATE),
        }
    }
}
