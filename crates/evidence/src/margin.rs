//! What is done about a gate between good and bad, and how often.

use manifest::{Gate, OnMarginal, Span};
use serde::{Deserialize, Serialize};

/// What a gate between good and bad has led to in this stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Margin {
    /// How often it was measured again.
    again: u32,
    /// Since when it is held, as time at the stage's weights.
    held_from_ms: Option<u64>,
}

/// What is to be done, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnMargin {
    /// Stop and ask a person.
    Ask(String),
    /// Its evidence has been begun again.
    Again(String),
}

impl Margin {
    /// It is between good and bad no more.
    pub fn release(&mut self) {
        self.held_from_ms = None;
    }

    /// It is between good and bad beyond what it bears; `None`: it is held.
    pub fn act(&mut self, gate: &Gate, why: &str, baked_ms: u64) -> Option<OnMargin> {
        match gate.on_marginal {
            OnMarginal::Escalate => return Some(OnMargin::Ask(why.to_owned())),
            OnMarginal::Reanalyze if self.again < gate.marginal.again => {
                self.again += 1;
                return Some(OnMargin::Again(format!("{} of {}: {why}", self.again, gate.marginal.again)));
            }
            OnMarginal::Reanalyze | OnMarginal::Hold => {}
        }
        let held_ms = baked_ms.saturating_sub(*self.held_from_ms.get_or_insert(baked_ms));
        let most_ms = gate.marginal.hold_ms.filter(|&most_ms| held_ms >= most_ms)?;
        Some(OnMargin::Ask(format!("held for {}: {why}", Span::from_ms(most_ms))))
    }
}
