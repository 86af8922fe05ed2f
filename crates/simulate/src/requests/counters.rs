//! The counters of one rollout, as numbers in a row: a request finds its own without a name.

use std::collections::BTreeMap;
use std::rc::Rc;

use split::{Arm, Cause, Claim, GROUPS};
use tally::{AGES_MS, Class, ConfidenceScale, GroupEvent, LATENCY_BINS, Progress, SLOTS, Series, Slot, What};

/// Slots of a counter: those in rotation, and the late one.
const ALL_SLOTS: usize = SLOTS as usize + 1;
const CLASSES: usize = Class::ALL.len();
const PROGRESS: [Progress; 4] = [Progress::Answered, Progress::Waiting, Progress::Left, Progress::LeftSoon];

/// What every counter is called, in the order of the names, and where it stands.
#[derive(Debug)]
pub(super) struct Names {
    series: Vec<Series>,
    arms: Vec<Arm>,
    ages_ms: Vec<u32>,
    /// By arm, and by the place among an arm's counters.
    places: Vec<Vec<usize>>,
}

/// The counters of one process.
#[derive(Clone, Debug)]
pub(super) struct Counters {
    names: Rc<Names>,
    counts: Vec<u64>,
}

impl Names {
    /// Those of a rollout, as the first policy tells its arms and versions.
    pub(super) fn of(claim: &Claim<'_>) -> Self {
        let arms: Vec<Arm> = claim.arms().collect();
        let ages = if claim.ages_ms().is_empty() { &AGES_MS } else { claim.ages_ms() };
        let ages_ms = ages.to_vec();
        let whats = whats(&ages_ms);
        let mut named: Vec<(Series, usize, usize)> = Vec::with_capacity(arms.len() * whats.len());
        for (at, &arm) in arms.iter().enumerate() {
            for (place, &what) in whats.iter().enumerate() {
                let (rollout, version) = (claim.name().to_owned(), claim.version(arm).to_owned());
                named.push((Series { rollout, version, arm, what }, at, place));
            }
        }
        named.sort_unstable();
        let mut places = vec![vec![0; whats.len()]; arms.len()];
        for (position, (_, arm, place)) in named.iter().enumerate() {
            if let Some(known) = places.get_mut(*arm).and_then(|places| places.get_mut(*place)) {
                *known = position;
            }
        }
        let series = named.into_iter().map(|(series, ..)| series).collect();
        Self { series, arms, ages_ms, places }
    }

    pub(super) fn ages_ms(&self) -> &[u32] {
        &self.ages_ms
    }

    fn place(&self, arm: Arm, what: What) -> Option<usize> {
        let arm = self.arms.iter().position(|known| *known == arm)?;
        self.places.get(arm)?.get(local(what, &self.ages_ms)?).copied()
    }
}

/// Everything an arm counts, each at its [`local`] place.
fn whats(ages_ms: &[u32]) -> Vec<What> {
    let slots = || (0..SLOTS).map(Slot::Of).chain([Slot::Late]);
    let mut whats: Vec<What> = slots().map(|slot| What::Assigned(Cause::Weight, Some(slot))).collect();
    for class in Class::ALL {
        whats.extend(slots().map(|slot| What::Finished(Cause::Weight, class, Some(slot))));
    }
    for slot in slots() {
        for &age_ms in ages_ms {
            whats.extend(PROGRESS.map(|progress| What::Aged { slot, age_ms, progress }));
        }
    }
    whats.extend((0..LATENCY_BINS).map(What::Latency));
    whats.extend((0..ConfidenceScale::POINTS).map(What::Confidence));
    for group in 0..GROUPS {
        whats.extend([GroupEvent::Finished, GroupEvent::Error].map(|event| What::Group(group, event)));
    }
    whats.push(What::Retried);
    whats
}

/// The place of a counter among those of its arm; `None`: it is not counted here.
fn local(what: What, ages_ms: &[u32]) -> Option<usize> {
    let of_slot = |slot: Slot| match slot {
        Slot::Of(place) => usize::from(place),
        Slot::Late => usize::from(SLOTS),
    };
    let finished = ALL_SLOTS;
    let aged = finished + CLASSES * ALL_SLOTS;
    let latency = aged + ALL_SLOTS * ages_ms.len() * PROGRESS.len();
    let confidence = latency + usize::from(LATENCY_BINS);
    let groups = confidence + usize::from(ConfidenceScale::POINTS);
    let retried = groups + 2 * usize::from(GROUPS);
    Some(match what {
        What::Retried => retried,
        What::Assigned(Cause::Weight, Some(slot)) => of_slot(slot),
        What::Finished(Cause::Weight, class, Some(slot)) => {
            finished + class as usize * ALL_SLOTS + of_slot(slot)
        }
        What::Aged { slot, age_ms, progress } => {
            let age = ages_ms.iter().position(|known| *known == age_ms)?;
            aged + (of_slot(slot) * ages_ms.len() + age) * PROGRESS.len() + progress as usize
        }
        What::Latency(bin) => latency + usize::from(bin),
        What::Confidence(point) => confidence + usize::from(point),
        What::Group(group, event) => groups + 2 * usize::from(group) + event as usize,
        What::Assigned(..) | What::Finished(..) | What::ConfidenceInvalid => return None,
        // What a body says is not simulated.
        What::Answer(_)
        | What::Predicted(_)
        | What::Finish(_)
        | What::InputTokens(_)
        | What::OutputTokens(_)
        | What::FirstToken(_)
        | What::TokenTime(_) => return None,
    })
}

impl Counters {
    /// All at nothing.
    pub(super) fn new(names: &Rc<Names>) -> Self {
        Self { names: Rc::clone(names), counts: vec![0; names.series.len()] }
    }

    pub(super) fn add(&mut self, arm: Arm, what: What, by: u64) {
        if let Some(count) = self.names.place(arm, what).and_then(|place| self.counts.get_mut(place)) {
            *count += by;
        }
    }

    /// What a reader finds: those before the `part`-th as they were at an earlier moment, the others as they are.
    pub(super) fn read(&self, earlier: &Self, part: usize) -> BTreeMap<Series, u64> {
        let before = earlier.counts.iter().take(part);
        let counts = before.chain(self.counts.iter().skip(part));
        let named = self.names.series.iter().zip(counts).filter(|(_, count)| **count > 0);
        named.map(|(series, count)| (series.clone(), *count)).collect()
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.counts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_its_place() {
        for (place, what) in whats(&AGES_MS).into_iter().enumerate() {
            assert_eq!(local(what, &AGES_MS), Some(place), "{what:?}");
        }
    }
}
