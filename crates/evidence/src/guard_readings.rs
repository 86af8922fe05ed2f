//! The readings of a guardrail with a source of its own: a plain limit, counted over the whole run.

use manifest::{Guardrail, Insufficient, Reads};
use serde::{Deserialize, Serialize};

use crate::incident::{FRESH_MS, Incident};
use crate::readings::{in_vain, said};
use crate::words::digits;
use crate::{Answer, Reading};

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuardReadings {
    /// When the last was taken or asked for in vain, on the run's own clock.
    last_age_ms: Option<u64>,
    /// The last with a value.
    last: Option<f64>,
    /// When that was taken.
    valued_age_ms: Option<u64>,
    /// How many had one.
    n: u64,
    bad_in_a_row: u32,
    errors_in_a_row: u32,
    empty_in_a_row: u32,
    error: Option<String>,
    /// Why the last had no data.
    missing: Option<String>,
    /// Stable's value with the last, where there is one.
    stable: Option<f64>,
    /// Those in a row that were beyond the limit as stable's were.
    shared_in_a_row: u32,
}

/// By this part of stable's value a reading may be worse than stable's, and the trouble is shared.
const ALIKE: f64 = 0.25;

impl GuardReadings {
    /// Is it time to ask?
    pub fn due(&self, reads: &Reads, age_ms: u64) -> bool {
        self.last_age_ms.is_none_or(|last| age_ms.saturating_sub(last) >= reads.every_ms)
    }

    /// A reading; `beside`: is there a stable that may share what is bad?
    pub fn take(&mut self, guardrail: &Guardrail, reading: &Reading, age_ms: u64, beside: bool) {
        self.last_age_ms = Some(age_ms);
        self.error.clone_from(&reading.error);
        if reading.error.is_some() {
            self.errors_in_a_row = self.errors_in_a_row.saturating_add(1);
            self.empty_in_a_row = 0;
            return;
        }
        self.errors_in_a_row = 0;
        self.missing.clone_from(&reading.missing);
        let Some(seen) = Reading::held(reading.canary, guardrail.metric.larger_is_worse()) else {
            self.empty_in_a_row = self.empty_in_a_row.saturating_add(1);
            return;
        };
        self.empty_in_a_row = 0;
        self.n = self.n.saturating_add(1);
        (self.last, self.valued_age_ms) = (Some(seen), Some(age_ms));
        self.stable = reading.stable.filter(|stable| beside && stable.is_finite());
        let alike = |stable: f64| {
            let room = stable.abs() * ALIKE;
            let near = if guardrail.metric.larger_is_worse() {
                seen <= stable + room
            } else {
                seen >= stable - room
            };
            guardrail.is_beyond(stable) && near
        };
        let bad = guardrail.is_beyond(seen);
        if bad && self.stable.is_some_and(alike) {
            // Neither a bad one nor a good one of the canary's.
            self.shared_in_a_row = self.shared_in_a_row.saturating_add(1);
            return;
        }
        self.shared_in_a_row = 0;
        self.bad_in_a_row = if bad { self.bad_in_a_row.saturating_add(1) } else { 0 };
    }

    /// Stable's readings are as bad, as far as is known now.
    pub fn incident(&self, guardrail: &Guardrail, age_ms: u64) -> Option<Incident> {
        let reads = guardrail.reads.as_deref()?;
        let fresh_ms = FRESH_MS.max(reads.every_ms.saturating_mul(2));
        if age_ms.saturating_sub(self.valued_age_ms.or(self.last_age_ms)?) > fresh_ms {
            return None;
        }
        let (seen, stable) = (self.last?, self.stable?);
        let side = if guardrail.metric.larger_is_worse() { "above" } else { "below" };
        (self.shared_in_a_row > reads.borne).then(|| Incident {
            guardrail: true,
            name: guardrail.name.clone(),
            both: true,
            older: false,
            grown: false,
            why: format!(
                "both versions are {side} {}: {} is {} of the canary, {} of stable",
                digits(guardrail.limit),
                guardrail.name,
                digits(seen),
                digits(stable)
            ),
        })
    }

    /// Were more of the last readings bad than it bears?
    pub fn broken(&self, reads: &Reads) -> bool {
        self.bad_in_a_row > reads.borne
    }

    /// More readings in vain than it bears: what is done about it, and why.
    pub fn unread(&self, reads: &Reads) -> Option<(Insufficient, String)> {
        let vain = (self.errors_in_a_row, self.error.as_deref(), self.empty_in_a_row);
        in_vain(vain, reads.no_data, reads.on_error)
    }

    /// A named person goes on in spite of it.
    pub fn forget(&mut self) {
        *self = Self { last: self.last, n: self.n, last_age_ms: self.last_age_ms, ..Self::default() };
    }

    /// Its answer, the last value and how many there were.
    pub fn answer(&self, guardrail: &Guardrail, reads: &Reads) -> (Answer, String, Option<f64>, u64) {
        let side = if guardrail.metric.larger_is_worse() { "above" } else { "below" };
        let limit = digits(guardrail.limit);
        let shown = self.last.map_or_else(|| "unknown".to_owned(), digits);
        let facts = format!("{} is {shown}", guardrail.name);
        let (answer, why) = if self.broken(reads) {
            let (bad, borne) = (self.bad_in_a_row, reads.borne);
            (Answer::Fail, format!("{bad} readings in a row are {side} {limit}, {borne} are borne; {facts}"))
        } else if let Some((_, why)) = self.unread(reads) {
            let answer = if self.error.is_some() { Answer::Error } else { Answer::Insufficient };
            (answer, format!("{why}{}; {facts}", said(self.missing.as_ref())))
        } else if self.last.is_none() {
            let why = said(self.error.as_ref().or(self.missing.as_ref()));
            (Answer::Insufficient, format!("nothing was read yet{why}"))
        } else if self.bad_in_a_row > 0 {
            let bad = self.bad_in_a_row;
            (
                Answer::Pass,
                format!("{facts}; {bad} readings in a row are {side} {limit}, {} are borne", reads.borne),
            )
        } else {
            (Answer::Pass, format!("{facts}; not {side} {limit}"))
        };
        (answer, why, self.last, self.n)
    }
}
