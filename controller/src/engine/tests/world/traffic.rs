//! What proxies count.

use split::{Arm, Cause};
use tally::{Class, Counted, Progress, Series, Slot, What};

use super::*;

/// How a version on trial answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canary {
    /// As stable does.
    Good,
    /// With errors.
    Fails,
    /// Never.
    Hangs,
}

/// Which of the two proxies are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admins {
    /// "a" alone.
    One,
    /// Both; the second may tell nothing.
    Two { silent: bool },
}

impl World {
    /// A hundred requests of each arm that has a weight.
    pub(super) fn increments(&mut self) -> Increments {
        let mut counted = Vec::new();
        for (name, run) in &self.engine.as_ref().expect("a process").runs {
            let state = &run.state;
            let on_trial = state.plan.arms_in().filter_map(|arm| {
                let exposed = state.plan.share_of(arm, &state.weights) > 0;
                Some((arm, state.plan.version_of(arm)?.to_owned(), exposed))
            });
            let stable = (Arm::Stable, state.stable_version.clone(), state.weights.canary_ppm < 1_000_000);
            for (arm, version, _) in on_trial.chain([stable]).filter(|(.., exposed)| *exposed) {
                let slot = Slot::at(state.epoch, state.epoch);
                let how = match arm {
                    Arm::Stable => Canary::Good,
                    _ if self.fails.as_ref() == Some(&version) => Canary::Fails,
                    _ => self.canary,
                };
                let class = if how == Canary::Fails { Class::ServerError } else { Class::Ok };
                let progress = if how == Canary::Hangs { Progress::Waiting } else { Progress::Answered };
                let aged = |age_ms| What::Aged { slot, age_ms, progress };
                let answered = [
                    What::Finished(Cause::Weight, class, Some(slot)),
                    What::Latency(tally::latency_bin(50_000_000)),
                ];
                let answered = answered.into_iter().filter(|_| how != Canary::Hangs);
                let whats = [What::Assigned(Cause::Weight, Some(slot))].into_iter().chain(answered);
                counted.extend(whats.chain(tally::AGES_MS.map(aged)).map(|what| Counted {
                    series: Series { rollout: name.clone(), version: version.clone(), arm, what },
                    epoch: Some(state.epoch),
                    n: 100,
                }));
            }
        }
        let from_ms = std::mem::replace(&mut self.counted_to_ms, self.now.unix_ms);
        Increments {
            from_ms,
            to_ms: self.now.unix_ms,
            counted,
            gauges: vec![self.gauges.clone()],
            sources: self.sources_from(from_ms),
            ..Increments::default()
        }
    }

    /// The proxies that are read: "a", and "b" where that is read too. One that is silent tells nothing.
    fn sources_from(&self, from_ms: u64) -> Vec<Source> {
        let source = |node: &str, silent: bool| Source {
            address: format!("http://{node}:9901"),
            node: node.to_owned(),
            from_ms,
            told: !silent,
            lacks: silent.then(|| format!("{node} does not answer")),
            runs_filter: true,
            ..Source::default()
        };
        match self.second_admin {
            None => vec![Source { from_ms, told: true, ..Source::default() }],
            Some(Admins::One) => vec![source("a", false)],
            Some(Admins::Two { silent }) => vec![source("a", false), source("b", silent)],
        }
    }
}
