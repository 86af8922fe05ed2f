//! Which of several challengers is better?
//!
//! For every ordered pair an e-process against "the first is no worse than the second" (the gate's own tests, the one
//! challenger in the place of stable). One is declared the winner when each other one that is in is proven worse than
//! it at (k - 1)/alpha, with k challengers at the beginning. A wrong winner would have to beat the best one, whose test
//! is then one under its null; of those there are at most k - 1, one for each wrong winner, so at most alpha of all
//! contests end with a wrong one, however often they are looked at.

use manifest::{Gate, Plan};
use serde::{Deserialize, Serialize};
use split::Arm;

use crate::Counts;
use crate::measure::estimate;
use crate::test::scale;
use crate::words::value;
use crate::{Evidence, GateEvidence, Look};

/// The comparison of any two challengers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contest {
    pairs: Vec<Pair>,
    /// Of the last interval.
    epoch: u64,
    /// What each showed so far, for people.
    seen: Vec<(Arm, Counts)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    worse: Arm,
    better: Arm,
    evidence: GateEvidence,
}

impl Contest {
    /// Nothing is known yet of a choice between these arms.
    #[must_use]
    pub fn new(plan: &Plan, gate: &Gate, arms: &[Arm]) -> Self {
        let scale = scale(plan);
        let others = |one: Arm| arms.iter().copied().filter(move |other| *other != one);
        let pairs = arms.iter().flat_map(|&worse| {
            others(worse).map(move |better| Pair { worse, better, evidence: GateEvidence::new(gate, scale) })
        });
        Self {
            pairs: pairs.collect(),
            epoch: 0,
            seen: arms.iter().map(|&arm| (arm, Counts::default())).collect(),
        }
    }

    /// Adds what the challengers showed at the same moments. Without a design effect nothing can be concluded.
    pub fn observe(
        &mut self,
        gate: &Gate,
        epoch: u64,
        counts: &[(Arm, &Counts)],
        look: Look,
        deff: Option<f64>,
    ) {
        let of = |arm: Arm| counts.iter().find(|(known, _)| *known == arm).map(|(_, counts)| *counts);
        // Challengers are always another version than each other.
        let look = Look { concurrent: true, ..look };
        let other_weights = std::mem::replace(&mut self.epoch, epoch) != epoch;
        for pair in &mut self.pairs {
            if other_weights {
                pair.evidence.new_weights();
            }
            if let Some((worse, better)) = of(pair.worse).zip(of(pair.better)) {
                pair.evidence.observe(gate, worse, better, look, deff);
            }
        }
        for (arm, seen) in &mut self.seen {
            if let Some(counts) = of(*arm) {
                seen.add(counts);
                seen.groups = None;
            }
        }
    }

    /// A challenger is out: it is beaten by nobody and beats nobody any more.
    pub fn leave(&mut self, arm: Arm) {
        self.pairs.retain(|pair| pair.worse != arm && pair.better != arm);
        self.seen.retain(|(known, _)| *known != arm);
    }

    /// The one that is proven better than all others that are in. `k`: how many there were at the beginning.
    #[allow(clippy::cast_precision_loss)] // a handful
    pub fn winner(&self, k: usize, alpha: f64) -> Option<Arm> {
        let height = (k.saturating_sub(1).max(1) as f64 / alpha).ln();
        let beats = |arm: &Arm| {
            let mut of = self.pairs.iter().filter(|pair| pair.better == *arm).peekable();
            of.peek().is_some() && of.all(|pair| pair.evidence.harm() >= height)
        };
        self.seen.iter().map(|(arm, _)| *arm).find(beats)
    }

    /// "error_rate is 1.2% of 4000 requests on canary, 0.9% of 4100 on b".
    pub fn standing(&self, gate: &Gate) -> String {
        let each = self.seen.iter().map(|(arm, counts)| match estimate(gate.metric(), counts) {
            (Some(seen), n) => format!("{} of {n} requests on {arm}", value(gate.metric(), seen)),
            (None, _) => format!("unknown on {arm}"),
        });
        format!("{} is {}", gate.metric().name(), each.collect::<Vec<_>>().join(", "))
    }
}

impl Evidence {
    /// How much requests of one user go together, for a comparison of challengers by this gate.
    pub fn design_effect_of(&self, plan: &Plan, gate: &Gate) -> Option<f64> {
        self.clumps(plan.unit).of(gate.metric())
    }
}
