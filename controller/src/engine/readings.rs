//! Figures of the user's own: sources are asked, pushed figures are kept until it is time to read them.

use std::collections::BTreeMap;

use rollout::{Event, Phase, Reading, State, fleet};
use serde::Deserialize;
use spec::{Gate, Source};

use super::{Engine, Refusal, Report};
use crate::clock;
use crate::sources::Pair;

/// A figure as it is pushed.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// The gate it is for.
    pub metric: String,
    /// The version it was measured on.
    pub version: String,
    pub value: f64,
    /// How many samples it is the mean of.
    #[serde(default = "one")]
    pub n: u64,
}

const fn one() -> u64 {
    1
}

/// Pushed figures of one run, by gate and version. Kept in memory alone: they are stale before a restart matters.
#[derive(Default)]
pub struct Pushed {
    figures: BTreeMap<(String, String), Vec<Kept>>,
    /// When each gate was last given a reading with a figure.
    read_ns: BTreeMap<String, u64>,
    /// Since when each gate has been given none.
    silent_ns: BTreeMap<String, u64>,
}

struct Kept {
    at_ns: u64,
    value: f64,
    n: u64,
}

/// Figures kept for one gate and version; older ones make room.
const KEPT: usize = 1_000;

const NS_PER_MS: u64 = 1_000_000;

impl Pushed {
    fn add(&mut self, figure: Figure, now_ns: u64) {
        let kept = self.figures.entry((figure.metric, figure.version)).or_default();
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push(Kept { at_ns: now_ns, value: figure.value, n: figure.n });
    }

    /// Readings whose time has come: the mean of the canary's figures since the last, each used once, and that of
    /// stable's figures of the gate's window. Nothing for as long as `every` is a reading, too: one without data.
    fn due(&mut self, state: &State, now_ns: u64) -> Vec<Reading> {
        let mut readings = Vec::new();
        for gate in asked_now(state).filter(|gate| matches!(gate.source, Some(Source::Push(_)))) {
            let since_ms = |at_ns: u64| now_ns.saturating_sub(at_ns) / NS_PER_MS;
            if self.read_ns.get(&gate.name).is_some_and(|at| since_ms(*at) < gate.every_ms) {
                continue;
            }
            let window_ms = gate.every_ms.max(gate.min_window_ms);
            let mut mean_of = |version: &String| {
                let kept = self.figures.get_mut(&(gate.name.clone(), version.clone()))?;
                kept.retain(|figure| since_ms(figure.at_ns) <= window_ms);
                mean(kept)
            };
            let (canary, stable) = (mean_of(&state.plan.canary), mean_of(&state.stable_version));
            // A comparison waits for both.
            let Some(canary) = canary.filter(|_| gate.against.is_none() || stable.is_some()) else {
                let silent = self.silent_ns.entry(gate.name.clone()).or_insert(now_ns);
                if since_ms(*silent) >= gate.every_ms {
                    *silent = now_ns;
                    readings.push(Reading { gate: gate.name.clone(), ..Reading::default() });
                }
                continue;
            };
            self.silent_ns.insert(gate.name.clone(), now_ns);
            self.figures.remove(&(gate.name.clone(), state.plan.canary.clone()));
            self.read_ns.insert(gate.name.clone(), now_ns);
            readings.push(Reading { gate: gate.name.clone(), canary: Some(canary), stable, error: None });
        }
        readings
    }
}

/// Weighted by samples.
#[allow(clippy::cast_precision_loss)] // counts of samples
fn mean(figures: &[Kept]) -> Option<f64> {
    let n: f64 = figures.iter().map(|figure| figure.n as f64).sum();
    (n > 0.0).then(|| figures.iter().map(|figure| figure.value * (figure.n as f64 / n)).sum())
}

/// The gates that take readings now, whether asked for or pushed.
fn asked_now(state: &State) -> impl Iterator<Item = &Gate> {
    let live = matches!(state.phase, Phase::Progressing | Phase::Promoting | Phase::Paused(_));
    let planned = state.plan.stages.get(state.stage).filter(|_| live && state.weights.canary_ppm > 0);
    let stage = state.stages.last().filter(|stage| stage.acknowledged.is_some());
    planned.zip(stage).into_iter().flat_map(|(planned, stage)| {
        let gates = planned.gates.iter().filter_map(|&index| state.plan.gates.get(index));
        gates.filter(|gate| stage.baked_ms >= gate.start_after_ms)
    })
}

/// What a source said, as the machine takes it. A comparison with half of its values is no data: on its limit alone
/// the canary would pass for good.
fn reading(state: &State, gate: String, said: Result<Pair, String>) -> Reading {
    let compares = state.plan.gates.iter().any(|known| known.name == gate && known.against.is_some());
    match said {
        Ok((canary, stable)) => {
            Reading { gate, canary: canary.filter(|_| !compares || stable.is_some()), stable, error: None }
        }
        Err(error) => Reading { gate, error: Some(error), ..Reading::default() },
    }
}

impl Engine {
    /// Asks the sources whose time has come, each one question at a time; nobody waits for the answer.
    pub(super) fn ask_sources(&mut self, name: &str) {
        let Some(run) = self.runs.get_mut(name) else { return };
        let (number, stage) = (run.state.run, run.state.stages.len());
        for (gate, source) in run.state.readings_due() {
            if !run.asking.insert(gate.clone()) {
                continue;
            }
            let (sources, reports, name) = (self.sources.clone(), self.reports.clone(), name.to_owned());
            tokio::spawn(async move {
                let said = sources.ask(&source).await;
                // The engine has gone: the next one asks again.
                let _ = reports.send(Report::Read { name, run: number, stage, gate, said }).await;
            });
        }
    }

    /// A source has answered. What was asked in a stage that is left says nothing of the next.
    pub(super) async fn answered(
        &mut self,
        name: &str,
        number: u64,
        stage: usize,
        gate: String,
        said: Result<Pair, String>,
    ) {
        let Some(run) = self.runs.get_mut(name).filter(|run| run.state.run == number) else { return };
        run.asking.remove(&gate);
        if run.state.stages.len() != stage {
            return;
        }
        if let Err(error) = &said {
            tracing::warn!(rollout = name, gate, "{error}");
        }
        let reading = reading(&run.state, gate, said);
        self.advance(name, &Event::Reading(reading)).await;
    }

    /// Gives the machine the pushed figures whose time has come.
    pub(super) async fn read_pushed(&mut self, name: &str) {
        let Some(run) = self.runs.get_mut(name) else { return };
        for reading in run.pushed.due(&run.state, clock::monotonic_ns()) {
            self.advance(name, &Event::Reading(reading)).await;
        }
    }

    /// Keeps pushed figures: all of them, or none.
    pub(super) fn push(&mut self, name: &str, figures: Vec<Figure>) -> Result<(), Refusal> {
        let whom = self.meant(name)?;
        let states = self.states(&whom);
        if fleet::is_over(&states) {
            let said = states.first().map(|state| state.message()).unwrap_or_default();
            return Err(Refusal::Conflict(format!(
                "{name} is over, nobody reads its figures any more: {said}"
            )));
        }
        // Of a fleet every figure goes to those members that have its gate.
        let mut taken = Vec::new();
        for figure in figures {
            let mut refused = None;
            let mut found = false;
            for (name, state) in whom.iter().zip(&states) {
                match takes(state, &figure) {
                    Ok(()) => {
                        taken.push((name.clone(), figure.clone()));
                        found = true;
                    }
                    Err(refusal) => refused = refused.or(Some(refusal)),
                }
            }
            if let Some(refusal) = refused.filter(|_| !found) {
                return Err(refusal);
            }
        }
        let now_ns = clock::monotonic_ns();
        for (name, figure) in taken {
            if let Some(run) = self.runs.get_mut(&name) {
                run.pushed.add(figure, now_ns);
            }
        }
        Ok(())
    }
}

/// Is there a gate for it?
fn takes(state: &State, figure: &Figure) -> Result<(), Refusal> {
    let Figure { metric, version, value, n } = figure;
    let plan = &state.plan;
    let pushed: Vec<&str> = plan
        .gates
        .iter()
        .filter(|gate| matches!(gate.source, Some(Source::Push(_))))
        .map(|gate| gate.name.as_str())
        .collect();
    if !pushed.contains(&metric.as_str()) {
        let there = if pushed.is_empty() {
            format!("no gate of {} takes figures; give one `source: {{push: {{}}}}`", plan.name)
        } else {
            format!("gates that take figures: {}", pushed.join(", "))
        };
        return Err(Refusal::Invalid(format!("metric is {metric:?}; {there}")));
    }
    if *version != plan.canary && *version != state.stable_version {
        return Err(Refusal::Invalid(format!(
            "version is {version:?}; write {:?} (the canary) or {:?} (stable)",
            plan.canary, state.stable_version
        )));
    }
    if !value.is_finite() {
        return Err(Refusal::Invalid(format!("value is {value}; write a number")));
    }
    if *n == 0 {
        return Err(Refusal::Invalid("n is 0; write how many samples the value is the mean of".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
