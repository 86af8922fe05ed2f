//! What happened at one proxy between two readings of its counters.
//!
//! Counters only grow, and a reader sees them while they are written: a reading may hold the end of a request of which an
//! earlier part of the same reading does not know yet. Nothing here depends on two counters agreeing. Slots are turned
//! into the epochs they stand for, and what cannot be told apart is left out and said so.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::{SLOTS, Series, Slot, What};

/// VMs count into the slots of so many epochs before the announced one: the one kept, and one more where a VM lags.
const BEHIND: u64 = 2;

/// One reading of a proxy's counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Which process was read; counters begin at nothing in each.
    pub process: String,
    /// The counters. One that is absent is 0.
    pub counters: BTreeMap<Series, u64>,
    /// Does the process go on counting for one before it, whose counts are among its own (a hot restart)?
    pub inherits: bool,
    /// By which epoch each rollout assigns ([`crate::epoch_gauge`]).
    pub epochs: BTreeMap<String, u64>,
    /// The rollouts and versions whose counters were asked for; `None`: all.
    pub scope: Option<Arc<BTreeSet<(String, String)>>>,
}

/// An increment of a counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The counter; its slot says nothing any more.
    pub series: Series,
    /// The epoch of the weights by which its requests were assigned; `None`: it makes no difference, or the proxy's filter
    /// is of a time before epochs were told.
    pub epoch: Option<u64>,
    /// By how much it grew.
    pub n: u64,
}

/// Why a reading is not the whole truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The first one: what was counted before belongs to nobody.
    First,
    /// Another process answers: what the one before counted after its last reading is lost.
    Restarted,
    /// The same process counts less than before: someone reset its counters.
    Reset,
    /// Weights changed while it was read; the next reading tells it all.
    Torn,
    /// Weights changed so often since the last reading that requests of some cannot be told apart.
    Skipped,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "first reading",
            Self::Restarted => "envoy restarted",
            Self::Reset => "counters were reset",
            Self::Torn => "weights changed while it was read",
            Self::Skipped => "weights changed several times since it was read last",
        })
    }
}

/// Follows one proxy from reading to reading.
#[derive(Clone, Debug, Default)]
pub struct Follower {
    last: Option<Reading>,
    /// Readings in a row that were put off.
    put_off: u8,
    /// Where counters stood that the same process showed no longer: a page of which a part is missing.
    absent: BTreeMap<Series, u64>,
}

impl Follower {
    /// Takes a reading in: what is new, and why that may not be all.
    pub fn take(&mut self, next: Reading) -> (Vec<Counted>, Option<Loss>) {
        let Some(last) = &self.last else {
            self.last = Some(next);
            return (Vec::new(), Some(Loss::First));
        };
        let empty = Reading::default();
        let restarted = last.process != next.process;
        if restarted {
            self.absent.clear();
        }
        if restarted && next.inherits {
            // Which of them were counted by the process before, and read there, nobody knows.
            self.last = Some(next);
            return (Vec::new(), Some(Loss::Restarted));
        }
        let before = if restarted { &empty } else { last };
        let Some(grown) = grown(before, &next) else {
            let lacking = last.counters.iter().filter(|(series, _)| !next.counters.contains_key(series));
            self.absent.extend(lacking.map(|(series, n)| (series.clone(), *n)));
            self.last = Some(next);
            return (Vec::new(), Some(Loss::Reset));
        };
        let mut counted = Vec::with_capacity(grown.len());
        let (mut torn, mut skipped, mut back) = (false, false, false);
        for (series, n) in grown {
            // One that is back with all it ever counted tells nothing new; one that stands lower began anew.
            if self.absent.get(series).is_some_and(|stood| n >= *stood) {
                back = true;
                continue;
            }
            match epoch(series, before.epochs.get(&series.rollout), next.epochs.get(&series.rollout)) {
                Epoch::Is(epoch) => counted.push(Counted { series: series.clone(), epoch, n }),
                Epoch::Ahead => torn = true,
                Epoch::Unknown => skipped = true,
                Epoch::NoOutcome => {}
            }
        }
        // The gauge is read a moment before the counters: a push in between is known at the next reading.
        if torn && self.put_off == 0 && !restarted {
            self.put_off = 1;
            return (Vec::new(), Some(Loss::Torn));
        }
        self.put_off = 0;
        self.absent.retain(|series, _| !next.counters.contains_key(series));
        self.last = Some(next);
        let loss = match (restarted, back) {
            (true, _) => Some(Loss::Restarted),
            (false, true) => Some(Loss::Reset),
            (false, false) => (skipped || torn).then_some(Loss::Skipped),
        };
        (counted, loss)
    }
}

enum Epoch {
    Is(Option<u64>),
    /// Of an epoch that is not announced yet.
    Ahead,
    /// Of one of several.
    Unknown,
    /// Of weights long gone.
    NoOutcome,
}

/// The epoch of what was counted between two readings, before and after which these were announced.
fn epoch(series: &Series, before: Option<&u64>, now: Option<&u64>) -> Epoch {
    let slot = match series.what {
        What::Assigned(_, Some(slot)) | What::Finished(_, _, Some(slot)) => slot,
        What::Aged { slot, .. } => slot,
        What::Group(..) => return Epoch::Is(now.copied()),
        // Only requests of the present weights are counted here, and which those were must not have changed.
        What::Retried
        | What::Latency(_)
        | What::Confidence(_)
        | What::ConfidenceInvalid
        | What::Answer(_)
        | What::Predicted(_)
        | What::Finish(_)
        | What::InputTokens(_)
        | What::OutputTokens(_)
        | What::FirstToken(_)
        | What::TokenTime(_) => {
            let same = before.is_none_or(|before| now == Some(before));
            return if same { Epoch::Is(now.copied()) } else { Epoch::NoOutcome };
        }
        // Where weights did not decide, it makes no difference.
        What::Assigned(_, None) | What::Finished(_, _, None) => return Epoch::Is(None),
    };
    let Some(&now) = now else { return Epoch::Is(None) };
    if slot == Slot::Late {
        return Epoch::NoOutcome;
    }
    match slot.epoch(now) {
        Some(epoch) if now - epoch <= BEHIND => {
            // Its slot may have stood for the epoch before in its place, too, if that was still counted then.
            let earlier = epoch.checked_sub(u64::from(SLOTS));
            let oldest = before.copied().unwrap_or(now).saturating_sub(BEHIND);
            if earlier.is_some_and(|earlier| earlier >= oldest) {
                Epoch::Unknown
            } else {
                Epoch::Is(Some(epoch))
            }
        }
        _ => Epoch::Ahead,
    }
}

/// By how much counters that both readings ask for grew; `None` when one is less than it was.
fn grown<'r>(last: &Reading, next: &'r Reading) -> Option<Vec<(&'r Series, u64)>> {
    let same = last.scope == next.scope;
    let in_scope = |reading: &Reading, series: &Series| {
        same || reading
            .scope
            .as_ref()
            .is_none_or(|scope| scope.contains(&(series.rollout.clone(), series.version.clone())))
    };
    let shrunk = last.counters.iter().any(|(series, &before)| {
        next.counters.get(series).copied().unwrap_or(0) < before && in_scope(next, series)
    });
    if shrunk {
        return None;
    }
    let news = next.counters.iter().filter_map(|(series, &now)| {
        let by = now.saturating_sub(last.counters.get(series).copied().unwrap_or(0));
        (by > 0 && in_scope(last, series)).then_some((series, by))
    });
    Some(news.collect())
}

#[cfg(test)]
#[path = "tests/follower.rs"]
mod tests;
