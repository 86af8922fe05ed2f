//! Shares follow the evidence: within a stage, within the plan's range, and only while nothing holds the weight.

use judge::bandit::{Range, Version, shares};
use manifest::Percent;
use split::Arm;

use super::Run;
use crate::{Answer, Cause, Interval, State};
use evidence::Look;

/// Shares that would change by less than a tenth stay: every change costs some seconds of evidence.
const LEAST_PART: u32 = 10;
/// How the line of history about a change begins.
const LINE: &str = "Shares: ";

impl Run {
    /// Adds an interval to what shares follow.
    pub(super) fn learn(&mut self, interval: &Interval, look: Look) {
        let state = &mut self.state;
        // Copies are counted by the router alone.
        if let Some(bandit) = state.bandit.as_mut().filter(|_| state.weights.canary_ppm > 0) {
            bandit.observe(&state.plan, interval, look);
        }
    }

    /// Moves the shares, when it is time to.
    pub(super) fn allocate(&mut self) {
        let Some(range) = self.state.share_range() else { return };
        if self.state.considered_in_ms() != Some(0) {
            return;
        }
        let (age_ms, state) = (self.state.age_ms, &mut self.state);
        let Some(best) = state.bandit.as_mut().and_then(|bandit| bandit.consider(&state.plan, age_ms)) else {
            return;
        };
        let best = best.clone();
        let held = self.protects || self.state.holds_shares().is_some();
        let arms: Vec<Arm> = self.state.plan.arms_in().collect();
        let version = |arm: &Arm| Version {
            share_ppm: self.state.plan.share_of(*arm, &self.state.weights),
            best: best.get(arm).copied().unwrap_or(0.0),
            rises: !held && self.state.is_unsuspected(*arm),
        };
        let versions: Vec<Version> = arms.iter().map(version).collect();
        let within =
            Range { floor_ppm: range.floor_ppm, ceiling_ppm: range.ceiling_ppm, each_ppm: range.each_ppm };
        let next: Vec<(Arm, u32, u32)> = arms
            .into_iter()
            .zip(&versions)
            .zip(shares(within, &versions))
            .map(|((arm, now), next)| {
                (arm, now.share_ppm, self.state.with_endpoints(arm, now.share_ppm, next))
            })
            .collect();
        let moves = |(_, now, next): &(Arm, u32, u32)| now.abs_diff(*next) >= (now / LEAST_PART).max(1);
        if !next.iter().any(moves) {
            return;
        }
        let share = |arm: Arm| next.iter().find(|(known, ..)| *known == arm).map_or(0, |(_, _, ppm)| *ppm);
        let weights = self.state.plan.weights_by(self.state.weights.targeted, share);
        let stage = self.state.stage;
        self.publish(weights, Cause::Bandit { stage });
        let line = self.state.shares_line();
        self.record_shares(line);
    }

    /// The state keeps the last of several such lines in a row, lest they push out all others; the journal has each.
    fn record_shares(&mut self, line: String) {
        if self.state.history.last().is_some_and(|last| last.what.starts_with(LINE)) {
            self.state.history.pop();
        }
        self.record(line);
    }
}

impl State {
    /// May a version's share rise as far as its own gates go? What looks bad to one of them must not meet more users,
    /// however good it looks otherwise.
    fn is_unsuspected(&self, arm: Arm) -> bool {
        let gates = match self.arms.rivals.get(&arm) {
            Some(rival) => Some(&rival.gates),
            None => self.stages.last().map(|stage| &stage.gates),
        };
        let suspects = |answer| matches!(answer, Answer::Fail | Answer::Marginal | Answer::Error);
        gates.is_some_and(|gates| !gates.iter().any(|verdict| verdict.hard && suspects(verdict.answer)))
    }

    /// The next share, as far as there are ready endpoints for it; they are counted of the canary alone.
    fn with_endpoints(&self, arm: Arm, now_ppm: u32, next_ppm: u32) -> u32 {
        let lacks = arm == self.plan.arm() && next_ppm > now_ppm && self.endpoints_for(next_ppm).is_err();
        if lacks { now_ppm } else { next_ppm }
    }

    /// "Shares: v2 12%, v3 3%; best with 81%, 17% (v1 2%)".
    fn shares_line(&self) -> String {
        let arms = || self.plan.arms_in();
        let version = |arm: Arm| self.plan.version_of(arm).unwrap_or_default();
        let best = |arm: Arm| chance(self.bandit.as_ref().and_then(|bandit| bandit.best_of(arm)));
        let share = |arm: Arm| Percent::from_ppm(self.plan.share_of(arm, &self.weights));
        let shares: Vec<String> = arms().map(|arm| format!("{} {}", version(arm), share(arm))).collect();
        let chances: Vec<String> = arms().map(best).collect();
        format!(
            "{LINE}{}; best with {} ({} {})",
            shares.join(", "),
            chances.join(", "),
            self.stable_version,
            best(Arm::Stable)
        )
    }

    /// The smallest share of a version on trial.
    pub(crate) fn least_ppm(&self) -> u32 {
        let share = |arm| self.plan.share_of(arm, &self.weights);
        self.plan.arms_in().map(share).min().unwrap_or(self.weights.canary_ppm)
    }
}

/// A probability for people, to the percent.
fn chance(chance: Option<f64>) -> String {
    match chance {
        None => "?".to_owned(),
        Some(chance) if chance < 0.01 => "<1%".to_owned(),
        Some(chance) if chance > 0.99 => ">99%".to_owned(),
        Some(chance) => format!("{:.0}%", 100.0 * chance),
    }
}
