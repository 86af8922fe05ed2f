//! The rules: what one region's fate means to the others, and when who may go on.

use manifest::{After, Terms};

use super::{is_done, went_back};
use crate::{Event, Pause, Phase, RollbackBy, State};

/// The members, by region.
pub(super) struct Fleet<'a> {
    members: &'a [&'a State],
    terms: Terms,
    regions: Vec<Region>,
}

/// Members that go in lockstep: the models of one region.
struct Region {
    wave: usize,
    members: Vec<usize>,
}

impl<'a> Fleet<'a> {
    /// `None`: it is a run by itself.
    pub(super) fn of(members: &'a [&'a State]) -> Option<Self> {
        let terms = members.first()?.plan.member.as_ref()?.terms;
        let mut regions: Vec<(Option<&String>, Region)> = Vec::new();
        for (index, state) in members.iter().enumerate() {
            let member = state.plan.member.as_ref()?;
            match regions.iter_mut().find(|(name, _)| *name == member.region.as_ref()) {
                Some((_, region)) => region.members.push(index),
                None => {
                    regions.push((member.region.as_ref(), Region { wave: member.wave, members: vec![index] }))
                }
            }
        }
        let regions = regions.into_iter().map(|(_, region)| region).collect();
        Some(Self { members, terms, regions })
    }

    fn of_region<'r>(&'r self, region: &'r Region) -> impl Iterator<Item = &'a State> + 'r {
        region.members.iter().filter_map(|&index| self.members.get(index).copied())
    }

    fn derailed(&self, region: &Region) -> bool {
        self.of_region(region).any(went_back)
    }

    /// Have so many regions gone back that all must?
    pub(super) fn aborted(&self) -> bool {
        let derailed = self.regions.iter().filter(|region| self.derailed(region)).count();
        derailed > 0 && derailed >= self.terms.abort.of(self.regions.len())
    }

    /// Whose rollback it is that others follow: the first that was not itself taken along.
    pub(super) fn culprit(&self, region: Option<usize>) -> Option<&'a State> {
        let of = |index: usize| {
            let region = region.and_then(|region| self.regions.get(region));
            region.is_none_or(|region| region.members.contains(&index))
        };
        let gone = self.members.iter().enumerate().filter(|(index, state)| of(*index) && went_back(state));
        let own = |state: &State| {
            let by = state.rollback.as_ref().map(|rollback| &rollback.by);
            !matches!(by, Some(RollbackBy::Fleet(_)))
        };
        let decided = |state: &State| state.rollback.as_ref().map(|rollback| rollback.decided.unix_ms);
        gone.map(|(_, state)| *state).min_by_key(|state| (!own(state), decided(state)))
    }

    /// Who is to go back because of another.
    pub(super) fn goes_back(&self) -> Vec<(usize, Event)> {
        let aborted = self.aborted();
        // Nothing vouches for a wave when all of one before it went back.
        let lost_wave =
            (0..self.waves()).find(|&wave| self.in_wave(wave).all(|region| self.derailed(region)));
        let mut events = Vec::new();
        for (at, region) in self.regions.iter().enumerate() {
            let own = self.derailed(region);
            let goes = own || aborted || lost_wave.is_some_and(|wave| region.wave > wave);
            let culprit = if own { self.culprit(Some(at)) } else { self.culprit(None) };
            let Some((culprit, rollback)) =
                culprit.filter(|_| goes).and_then(|state| Some((state, state.rollback.as_ref()?)))
            else {
                continue;
            };
            for &index in &region.members {
                if self.members.get(index).is_some_and(|state| !is_done(state)) {
                    let event = Event::CascadeRollback {
                        member: culprit.plan.name.clone(),
                        reason: format!("{} went back: {}", culprit.plan.name, rollback.reason),
                        gentle: rollback.by.is_gentle(),
                    };
                    events.push((index, event));
                }
            }
        }
        events
    }

    pub(super) fn waves(&self) -> usize {
        self.regions.iter().map(|region| region.wave + 1).max().unwrap_or(0)
    }

    fn in_wave(&self, wave: usize) -> impl Iterator<Item = &Region> {
        self.regions.iter().filter(move |region| region.wave == wave)
    }

    /// Regions of a wave that are still on their way, or there.
    fn left_in(&self, wave: usize) -> Vec<&Region> {
        self.in_wave(wave).filter(|region| !self.derailed(region)).collect()
    }

    /// Do enough regions of a wave fulfil it?
    fn enough(&self, wave: usize, fulfils: impl Fn(&Region) -> bool) -> bool {
        let left = self.left_in(wave);
        let fulfilled = left.iter().filter(|region| fulfils(region)).count();
        !left.is_empty() && fulfilled >= self.terms.advance.of(left.len())
    }

    /// May every member of the region enter the stage, or is it ready to?
    fn passes(&self, region: &Region, stage: usize) -> bool {
        self.of_region(region).all(|state| {
            state.permitted.is_some_and(|permitted| permitted > stage) || state.asks() == Some(stage)
        })
    }

    /// Who may go on.
    pub(super) fn permits(&self) -> Vec<(usize, Event)> {
        if self.stopped() {
            return Vec::new();
        }
        let mut events = Vec::new();
        for region in self.regions.iter().filter(|region| !self.derailed(region)) {
            if !self.open(region.wave) {
                continue;
            }
            for &index in &region.members {
                let Some(stage) = self.members.get(index).and_then(|state| state.asks()) else { continue };
                if self.passes(region, stage) && self.agreed(region.wave, stage) {
                    events.push((index, Event::Permit { stage }));
                }
            }
        }
        events
    }

    /// Has a person stopped everybody who is on the way?
    fn stopped(&self) -> bool {
        let under_way = |state: &&&State| {
            !is_done(state) && !matches!(state.phase, Phase::Pending { .. } | Phase::HandBack(_))
        };
        let mut under_way = self.members.iter().filter(under_way).peekable();
        under_way.peek().is_some()
            && under_way.all(|state| matches!(state.phase, Phase::Paused(Pause::Human { .. })))
    }

    /// Have enough regions proven what comes before this stage?
    fn agreed(&self, wave: usize, stage: usize) -> bool {
        let last = self.members.first().map_or(0, |state| state.plan.stages.len());
        let proven = |wave| self.enough(wave, |region| self.passes(region, stage));
        // What is handed back cannot be taken back, so that waits for every wave, unless the plan wants it wave by wave.
        if stage >= last && self.terms.after != After::Succeeded {
            (0..self.waves()).all(proven)
        } else {
            proven(wave)
        }
    }

    /// Has the wave's turn come?
    pub(super) fn open(&self, wave: usize) -> bool {
        let begun = |region: &Region| self.of_region(region).any(|state| state.permitted > Some(0));
        let Some(before) = wave.checked_sub(1) else { return true };
        self.in_wave(wave).any(begun)
            || self.enough(before, |region| self.there_ms(region).is_some_and(|ms| ms >= self.terms.soak_ms))
    }

    /// Is enough of the wave where the next one wants it, however short a time?
    pub(super) fn arrived(&self, wave: usize) -> bool {
        self.enough(wave, |region| self.there_ms(region).is_some())
    }

    /// The time until the wave after this one begins, in milliseconds; `None`: it is not there yet.
    pub(super) fn soaks_ms(&self, wave: usize) -> Option<u64> {
        let left = self.left_in(wave);
        let mut times: Vec<u64> = left.iter().filter_map(|region| self.there_ms(region)).collect();
        times.sort_unstable_by(|a, b| b.cmp(a));
        let last = self.terms.advance.of(left.len()).checked_sub(1)?;
        Some(self.terms.soak_ms.saturating_sub(*times.get(last)?))
    }

    /// For how long the region has been where the next wave wants it, in milliseconds of watched time.
    fn there_ms(&self, region: &Region) -> Option<u64> {
        let there = |state: &State| {
            if matches!(state.phase, Phase::Paused(_)) {
                return None;
            }
            let complete = |index: usize| {
                let stage = state.stages.iter().rev().find(|stage| stage.stage == index);
                stage.filter(|_| state.stage >= index).and_then(|stage| stage.complete_age_ms)
            };
            let last = state.plan.stages.len().saturating_sub(1);
            let since = match self.terms.after {
                After::Stage(stage) => {
                    complete(usize::try_from(stage).unwrap_or(1).saturating_sub(1).min(last))
                }
                After::Proven => complete(last),
                After::Succeeded => state.succeeded_age_ms,
            };
            since.map(|since| state.age_ms.saturating_sub(since))
        };
        self.of_region(region).map(there).min().flatten()
    }

    /// The last wave that has begun.
    pub(super) fn front(&self) -> usize {
        (0..self.waves()).rev().find(|&wave| wave == 0 || self.begun(wave)).unwrap_or(0)
    }

    fn begun(&self, wave: usize) -> bool {
        self.in_wave(wave).any(|region| self.of_region(region).any(|state| state.permitted > Some(0)))
    }

    /// The members of a wave that are still on their way, or there.
    pub(super) fn members_of(&self, wave: usize) -> Vec<usize> {
        self.left_in(wave).into_iter().flat_map(|region| region.members.iter().copied()).collect()
    }

    /// Must all regions agree?
    pub(super) fn is_unanimous(&self) -> bool {
        self.terms.advance.of(self.regions.len()) == self.regions.len()
    }
}
