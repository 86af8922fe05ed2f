//! A watch as people see it.

use manifest::{Metric, Span};
use serde::{Deserialize, Serialize};

use super::{GateWatch, Unwatched, Watching};
use crate::open_enum::number;
use crate::{OpenEnum, State};

/// A watch, as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WatchView {
    /// The version watched.
    pub version: String,
    /// Is it on?
    pub standing: OpenEnum<WatchStanding>,
    /// One English sentence.
    pub message: String,
    /// When the version was promoted, in milliseconds since 1970.
    pub since_unix_ms: u64,
    /// For how long it was watched, in milliseconds; the time in which no controller ran is not in it.
    pub watched_ms: u64,
    /// For how long it is to be watched, in milliseconds; absent: until the next run begins.
    pub for_ms: Option<u64>,
    /// What is held to what.
    pub gates: Vec<GateWatchView>,
    /// Gates that are not watched, each with the reason.
    pub left_out: Vec<UnwatchedView>,
}

/// A gate in a watch, as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GateWatchView {
    /// The gate's name.
    pub name: String,
    /// Is it within its limit?
    pub standing: OpenEnum<GateStanding>,
    /// What is measured.
    pub metric: OpenEnum<Metric>,
    /// What it showed in the last ten minutes: a share, milliseconds, or a mean.
    pub value: Option<f64>,
    /// Requests that rests on.
    pub n: u64,
    /// What it is held to, in the same unit.
    #[serde(deserialize_with = "number")]
    pub limit: f64,
    /// What it showed when it was promoted.
    pub was: Option<f64>,
    /// Requests that rests on.
    pub was_n: u64,
    /// Since when it is proven out of its limit, in milliseconds since 1970.
    pub drift_since_unix_ms: Option<u64>,
    /// One English sentence.
    pub why: String,
}

/// Is a promoted version watched?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WatchStanding {
    /// It is.
    Watching,
    /// A person stopped it.
    Paused,
    /// No longer.
    Over,
}

/// Is a watched gate within its limit?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateStanding {
    /// Nothing says that it is not.
    Within,
    /// It is proven not to be.
    Drift,
    /// Nothing was seen of it lately.
    Unknown,
    /// It is not watched any more.
    Off,
}

/// A gate that is not watched, as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UnwatchedView {
    /// Its name.
    pub name: String,
    /// Why.
    pub why: String,
}

impl From<&Unwatched> for UnwatchedView {
    fn from(known: &Unwatched) -> Self {
        let Unwatched { name, why } = known.clone();
        Self { name, why }
    }
}

impl State {
    /// The watch, as the API shows it, when there is or was one.
    pub(crate) fn watch_view(&self) -> Option<WatchView> {
        let watching = self.watching.as_deref()?;
        let standing = match (&watching.ended, &watching.paused_by) {
            (Some(_), _) => WatchStanding::Over,
            (None, Some(_)) => WatchStanding::Paused,
            (None, None) => WatchStanding::Watching,
        };
        Some(WatchView {
            version: self.stable_version.clone(),
            standing: standing.into(),
            message: self.watch_message(watching),
            since_unix_ms: watching.since.unix_ms,
            watched_ms: watching.watched_ms(self),
            for_ms: self.plan.watch.as_ref().and_then(|watch| watch.for_ms),
            gates: watching
                .gates
                .iter()
                .map(|gate| watching.gate_view(gate, standing == WatchStanding::Watching))
                .collect(),
            left_out: watching.left_out.iter().map(UnwatchedView::from).collect(),
        })
    }

    /// "watched for 3h of 1d: all within their limits".
    pub(crate) fn watch_message(&self, watching: &Watching) -> String {
        let minutes =
            |ms: u64| Span::from_ms(if ms < 60_000 { ms / 1_000 * 1_000 } else { ms / 60_000 * 60_000 });
        if let Some(ended) = &watching.ended {
            return format!("it was watched; that ended {}", ended.why);
        }
        if let Some(who) = &watching.paused_by {
            return format!("the watch is paused by {who} (resume)");
        }
        let for_ms = self.plan.watch.as_ref().and_then(|watch| watch.for_ms);
        let of = for_ms.map_or_else(String::new, |ms| format!(" of {}", Span::from_ms(ms)));
        let drifting: Vec<&str> = watching.drifting().map(|gate| gate.limit.name.as_str()).collect();
        let how = match (watching.gates.is_empty(), drifting.is_empty()) {
            (true, _) => "no gate could be given a limit".to_owned(),
            (false, true) => "all within their limits".to_owned(),
            (false, false) => format!("DRIFT of {}", drifting.join(", ")),
        };
        format!("watched for {}{of}: {how}", minutes(watching.watched_ms(self)))
    }
}

impl Watching {
    /// For how long it has been on.
    fn watched_ms(&self, state: &State) -> u64 {
        self.ended.as_ref().map_or(state.age_ms, |ended| ended.age_ms).saturating_sub(self.since_age_ms)
    }

    fn gate_view(&self, gate: &GateWatch, on: bool) -> GateWatchView {
        let (seen, n) = self.shows(gate);
        let standing = match (&gate.drift, seen) {
            _ if !on => GateStanding::Off,
            (Some(_), _) => GateStanding::Drift,
            (None, Some(_)) => GateStanding::Within,
            (None, None) => GateStanding::Unknown,
        };
        let shown = seen.map_or_else(
            || format!("{} was not seen in the last ten minutes", gate.limit.metric.name()),
            |seen| format!("{} in the last ten minutes", gate.is(seen, n)),
        );
        let facts = format!("{shown}, {}", gate.allowed());
        let why = match &gate.drift {
            _ if !on => format!("{}; {}", gate.allowed(), gate.before()),
            Some(drift) => format!("{facts}; when it was found: {}", drift.why),
            None => format!("{facts}; {}", gate.before()),
        };
        GateWatchView {
            name: gate.limit.name.clone(),
            standing: standing.into(),
            metric: gate.limit.metric.into(),
            value: seen,
            n,
            limit: gate.limit.limit,
            was: gate.was,
            was_n: gate.was_n,
            drift_since_unix_ms: gate.drift.as_ref().map(|drift| drift.since.unix_ms),
            why,
        }
    }
}
