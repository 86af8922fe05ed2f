//! Readings that are out of line: a rule of thumb (`judge::anomaly`), not a test.

use judge::anomaly::Spread;
use manifest::{Anomaly, Gate, Sides};
use serde::{Deserialize, Serialize};

use crate::words::digits;

/// What was read in this run, whatever the stage; the oldest make room.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Series {
    stable: Vec<f64>,
    own: Vec<f64>,
}

/// As many as a plan may ask for.
const KEPT: usize = 100;
/// From so many on the canary's own readings tell how noisy they are.
const FEWEST: u64 = 5;
/// JSON has no infinity, and nobody cares beyond this.
const FARTHEST: f64 = 1e6;

/// How a reading stands to the others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// There are too few to tell.
    Unknown {
        /// How many.
        n: u64,
    },
    /// In line with them.
    Within,
    /// Out of line, as stable is at the same moment: it befalls both.
    Shared,
    /// Out of line.
    Outlier {
        /// By so many robust standard deviations.
        z: f64,
        /// From this.
        median: f64,
        /// Of so many.
        n: u64,
    },
}

impl Series {
    /// Holds a reading against those before it, and adds it to them. Nothing where no gate asks for it.
    pub fn take(
        &mut self,
        gate: &Gate,
        seen: Option<f64>,
        stable: Option<f64>,
        history: Option<Spread>,
    ) -> Option<Line> {
        let anomaly = gate.anomaly()?;
        let finite = |value: &f64| value.is_finite();
        let (seen, stable) = (seen.filter(finite), stable.filter(finite));
        let line = seen.map(|seen| self.line(gate, anomaly, seen, stable, history));
        keep(&mut self.own, seen);
        keep(&mut self.stable, stable);
        line
    }

    fn line(
        &self,
        gate: &Gate,
        anomaly: &Anomaly,
        seen: f64,
        stable: Option<f64>,
        history: Option<Spread>,
    ) -> Line {
        let others = if self.stable.is_empty() && stable.is_none() { &self.own } else { &self.stable };
        let read = if anomaly.history.is_some() { history } else { Spread::of(others).ok() };
        let n = read.map_or(0, |others| others.n);
        let Some(others) = read.filter(|_| n >= anomaly.min_readings.into()) else {
            return Line::Unknown { n };
        };
        // A few percent of the traffic are noisier than the rest of it, without being worse.
        let own = Spread::of(&self.own).ok().filter(|own| own.n >= FEWEST).unwrap_or(others);
        let least = others.median.abs() * anomaly.least + anomaly.least_points;
        let out = |z: f64, value: f64| {
            let worse = if gate.metric().larger_is_worse() { z } else { -z };
            let far = if anomaly.sides == Sides::Both { z.abs() } else { worse };
            far > anomaly.z && (value - others.median).abs() > least
        };
        let z = others.z_of(&own, seen);
        if !out(z, seen) {
            return Line::Within;
        }
        let of_stable = stable.map(|stable| (others.z(stable), stable));
        if of_stable.is_some_and(|(of, stable)| out(of, stable) && (of > 0.0) == (z > 0.0)) {
            return Line::Shared;
        }
        Line::Outlier { z: z.clamp(-FARTHEST, FARTHEST), median: others.median, n }
    }
}

fn keep(series: &mut Vec<f64>, value: Option<f64>) {
    series.extend(value);
    if series.len() > KEPT {
        series.remove(0);
    }
}

impl Line {
    /// "an outlier, 5.2 deviations below 0.95, the median of 24 readings"; nothing is to be said of one in line.
    pub fn words(&self, gate: &Gate) -> Option<String> {
        match *self {
            Self::Within => None,
            Self::Unknown { n } => {
                let wanted = gate.anomaly().map_or(0, |anomaly| anomaly.min_readings);
                Some(format!("{n} of {wanted} readings to compare it with"))
            }
            Self::Shared => Some("an outlier, and so is stable".to_owned()),
            Self::Outlier { z, median, n } => {
                let side = if z > 0.0 { "above" } else { "below" };
                let (z, median) = (digits(z.abs()), digits(median));
                Some(format!("an outlier, {z} deviations {side} {median}, the median of {n} readings"))
            }
        }
    }
}
