//! Plain readings, one per `every`: for gates that count them beside their proof, and for figures of the user's own,
//! which are numbers without counts and can only be counted themselves.

use manifest::{Gate, Insufficient, Span, Unread};
use serde::{Deserialize, Serialize};

use crate::anomaly::Line;
use crate::measure::at_margin;
use crate::{Answer, Counts, Reading};

/// The readings of one gate in one stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Readings {
    /// When the last was taken or asked for in vain, on the run's own clock.
    pub last_age_ms: Option<u64>,
    /// Counts since then.
    window: Arms,
    /// The last with a value.
    last: Option<Value>,
    pub good_in_a_row: u32,
    pub bad: u32,
    errors_in_a_row: u32,
    error: Option<String>,
    #[serde(default)]
    empty_in_a_row: u32,
    /// Between good and bad.
    #[serde(default)]
    marginal: u32,
    /// How the last one stands to the others, where the gate asks for it.
    #[serde(default)]
    line: Option<Line>,
    /// Why the last had no data.
    #[serde(default)]
    missing: Option<String>,
}

/// The counts of both arms.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arms {
    pub canary: Counts,
    pub control: Counts,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Value {
    canary: f64,
    stable: Option<f64>,
}

impl Arms {
    pub fn add(&mut self, canary: &Counts, control: &Counts) {
        self.canary.add(canary);
        self.control.add(control);
        // Groups are summed up elsewhere; here they would only grow.
        self.control.groups = None;
        self.canary.groups = None;
    }
}

/// "stable for 3m of 5m": how long it has been good, of how long it must be.
pub fn stable_for(gate: &Gate, good: u32) -> String {
    let span = |readings: u32| Span::from_ms(gate.every_ms.saturating_mul(readings.into()));
    format!("stable for {} of {}", span(good), span(gate.consecutive))
}

impl Readings {
    /// Adds counts; returns the window's when it is time for a reading.
    pub fn add_to_window(
        &mut self,
        gate: &Gate,
        canary: &Counts,
        control: &Counts,
        age_ms: u64,
    ) -> Option<Arms> {
        let since = *self.last_age_ms.get_or_insert(age_ms);
        self.window.add(canary, control);
        (age_ms.saturating_sub(since) >= gate.every_ms).then(|| {
            self.last_age_ms = Some(age_ms);
            std::mem::take(&mut self.window)
        })
    }

    /// Weights change: what was counted under the old ones gives no reading.
    pub fn new_window(&mut self) {
        self.window = Arms::default();
        self.last_age_ms = None;
    }

    /// Is it time to ask?
    pub fn due(&self, gate: &Gate, age_ms: u64) -> bool {
        self.last_age_ms.is_none_or(|last| age_ms.saturating_sub(last) >= gate.every_ms)
    }

    /// Why the reading that is noted next has no data.
    pub fn note_missing(&mut self, why: Option<&String>) {
        self.missing = why.cloned();
    }

    /// A reading, and how it stands to others. `None` and what is no number are no data: neither good nor bad. Stable has no
    /// value that is infinite: nothing could be held against it.
    pub fn note(&mut self, gate: &Gate, seen: Option<f64>, stable: Option<f64>, line: Option<Line>) {
        self.errors_in_a_row = 0;
        self.error = None;
        self.empty_in_a_row = self.empty_in_a_row.saturating_add(1);
        let stable = stable.filter(|stable| stable.is_finite());
        let Some(canary) = Reading::held(seen, gate.metric().larger_is_worse()) else { return };
        if gate.limit.is_none() && gate.against.is_some() && stable.is_none() {
            return;
        }
        self.empty_in_a_row = 0;
        self.missing = None;
        self.last = Some(Value { canary, stable });
        self.line = line;
        let outlier = matches!(line, Some(Line::Outlier { .. }));
        // One that is infinite is on the worse side, and beyond any limit; a gate on outliers alone has none.
        if outlier || canary.abs() == f64::MAX || worse(gate, canary, stable, Bound::Fail) {
            self.good_in_a_row = 0;
            self.bad = self.bad.saturating_add(1);
        } else if worse(gate, canary, stable, Bound::Pass) {
            self.good_in_a_row = 0;
            self.marginal = self.marginal.saturating_add(1);
        } else if !matches!(line, Some(Line::Unknown { .. })) {
            self.good_in_a_row = self.good_in_a_row.saturating_add(1);
        }
    }

    /// The source could not be read. An error is no failure of the canary.
    pub fn failed(&mut self, reason: &str) {
        self.empty_in_a_row = 0;
        self.errors_in_a_row = self.errors_in_a_row.saturating_add(1);
        self.error = Some(reason.to_owned());
    }

    /// More readings in vain than the gate bears: what is done about it, and why.
    pub fn unread(&self, gate: &Gate) -> Option<(Insufficient, String)> {
        let vain = (self.errors_in_a_row, self.error.as_deref(), self.empty_in_a_row);
        let figure = gate.figure()?;
        in_vain(vain, figure.no_data, figure.on_error)
    }

    /// The last values: canary's, stable's.
    pub fn last(&self) -> Option<(f64, Option<f64>)> {
        self.last.map(|last| (last.canary, last.stable))
    }

    /// What is to be said of how the last one stands to the others.
    pub fn line_words(&self, gate: &Gate) -> Option<String> {
        self.line.and_then(|line| line.words(gate))
    }

    /// Were there more bad ones than the gate bears?
    pub fn too_bad(&self, gate: &Gate) -> bool {
        gate.failure_limit.is_some_and(|limit| self.bad > limit)
    }

    /// Were there more between good and bad than the gate bears? One that bears no number of them acts on any.
    pub fn too_marginal(&self, gate: &Gate) -> bool {
        gate.marginal.borne.is_none_or(|borne| self.marginal > borne)
    }

    /// "2 marginal readings, 3 are borne; "; nothing where they are not counted.
    pub fn marginal_words(&self, gate: &Gate) -> String {
        let words = |borne| format!("{} marginal readings, {borne} are borne; ", self.marginal);
        gate.marginal.borne.map(words).unwrap_or_default()
    }

    /// The answer of a gate that has nothing but readings.
    pub fn answer(&self, gate: &Gate, facts: &str) -> (Answer, String) {
        let (good, wanted) = (self.good_in_a_row, gate.consecutive);
        match self.unread(gate) {
            Some((_, why)) if self.error.is_some() => return (Answer::Error, why),
            Some((_, why)) => {
                return (Answer::Insufficient, format!("{why}{}: {facts}", said(self.missing.as_ref())));
            }
            None => {}
        }
        let Some(Value { canary, stable }) = self.last else {
            let why = said(self.error.as_ref().or(self.missing.as_ref()));
            return (Answer::Insufficient, format!("no data yet{why}"));
        };
        let between = worse(gate, canary, stable, Bound::Pass) && !worse(gate, canary, stable, Bound::Fail);
        if good >= wanted && (self.error.is_some() || self.empty_in_a_row > 0) {
            // Borne, but nobody knows whether it is good now.
            let what = self.error.as_deref().unwrap_or("it holds no number");
            (
                Answer::Insufficient,
                format!("{good} good readings in a row, and the last was in vain ({what}): {facts}"),
            )
        } else if good >= wanted {
            (Answer::Pass, format!("{good} good readings in a row: {facts}"))
        } else if between && !matches!(self.line, Some(Line::Outlier { .. })) {
            (Answer::Marginal, format!("between good and bad: {}{facts}", self.marginal_words(gate)))
        } else if gate.marginal.borne.is_some() && self.too_marginal(gate) {
            (Answer::Marginal, format!("{}{facts}", self.marginal_words(gate)))
        } else {
            (
                Answer::Insufficient,
                format!(
                    "{}: {good} of {wanted} good readings in a row, {} bad: {facts}",
                    stable_for(gate, good),
                    self.bad
                ),
            )
        }
    }
}

/// What is known of a cause, in brackets.
pub fn said(why: Option<&String>) -> String {
    why.map(|why| format!(" ({why})")).unwrap_or_default()
}

/// More questions in a row without an answer, or answers without a number, than are borne: what is done, and why.
/// `vain`: how many were errors, the last of them, how many were empty.
pub fn in_vain(
    vain: (u32, Option<&str>, u32),
    no_data: Unread,
    on_error: Unread,
) -> Option<(Insufficient, String)> {
    let (errors, error, empty) = vain;
    if let Some(error) = error.filter(|_| errors > on_error.borne) {
        let why = format!("the source could not be read {errors} times in a row: {error}");
        return Some((on_error.action, why));
    }
    (empty > no_data.borne)
        .then(|| (no_data.action, format!("the source had no data {empty} times in a row")))
}

/// Which bound a value is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// What passes.
    Pass,
    /// What fails a reading: never inside the margin.
    Fail,
    /// Where harm begins.
    Harm,
}

/// Is a value worse than a bound?
pub fn worse(gate: &Gate, seen: f64, stable: Option<f64>, bound: Bound) -> bool {
    let metric = gate.metric();
    let beyond = |limit: f64| if metric.larger_is_worse() { seen > limit } else { seen < limit };
    let limited =
        gate.limit.is_some_and(|limit| beyond(if bound == Bound::Pass { limit.pass } else { limit.fail }));
    let relative = gate.against.zip(stable).is_some_and(|(against, stable)| {
        let (margin, points) = match bound {
            Bound::Pass => (against.margin, against.margin_points),
            Bound::Fail => (against.harm.max(against.margin), against.harm_points.max(against.margin_points)),
            Bound::Harm => (against.harm, against.harm_points),
        };
        let floor = match bound {
            _ if !metric.is_rate() => f64::NEG_INFINITY,
            Bound::Harm => against.ignore_below,
            _ => against.pass_below,
        };
        beyond(at_margin(metric, stable, margin, points)) && seen > floor
    });
    limited || relative
}
