//! Figures of the user's own: sources are asked, pushed figures are kept until it is time to read them.

use std::collections::BTreeMap;

use api::{Figure, Refusal};
use judge::anomaly::Spread;
use manifest::Source;
use rollout::{Event, Question, Reading, State, Wanted, fleet};
use split::Arm;

use super::{Engine, Report};
use sources::{Figures, Purpose, Requester, When};

/// Pushed figures of one run, by gate or guardrail and version. Kept in memory alone: they are stale before a restart matters.
#[derive(Default)]
pub struct Pushed {
    figures: BTreeMap<(String, String), Vec<Kept>>,
    /// When each was last given a reading with a figure.
    read_ns: BTreeMap<(String, String), u64>,
    /// Since when each has been given none.
    silent_ns: BTreeMap<(String, String), u64>,
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

    /// Readings whose time has come: the mean of a version's figures since the last, each used once, and that of
    /// stable's figures of the gate's window. Nothing for as long as `every` is a reading, too: one without data.
    fn due(&mut self, state: &State, now_ns: u64) -> Vec<Reading> {
        let mut readings = Vec::new();
        for wanted in state.wanted().iter().filter(|wanted| matches!(wanted.source, Source::Push(_))) {
            for arm in state.measured_arms() {
                readings.extend(self.reading(state, wanted, arm, now_ns));
            }
        }
        readings
    }

    fn reading(
        &mut self,
        state: &State,
        wanted: &Wanted<'_>,
        arm: Option<Arm>,
        now_ns: u64,
    ) -> Option<Reading> {
        let gate = wanted.name.to_owned();
        let version = arm.and_then(|arm| state.plan.version_of(arm)).unwrap_or(&state.plan.canary);
        let of_version = (gate.clone(), version.to_owned());
        let since_ms = |at_ns: u64| now_ns.saturating_sub(at_ns) / NS_PER_MS;
        // Figures from before the canary had traffic in this run do not count. Another boot has another clock.
        let exposed_ns = state.stages.first().map(|stage| stage.entered.monotonic_ns);
        let exposed_ns = exposed_ns.filter(|at| *at <= now_ns).unwrap_or(0);
        let read_ns = self.read_ns.get(&of_version).copied();
        if read_ns.is_some_and(|at| since_ms(at) < wanted.every_ms) {
            return None;
        }
        // What was pushed just after a reading is as old as `every` at the next, and is waited for all the same.
        let waits = |at_ns: u64| {
            read_ns.is_some_and(|read| at_ns >= read && since_ms(read) < wanted.every_ms.saturating_mul(2))
        };
        let mut mean_of = |version: &str| {
            let kept = self.figures.get_mut(&(gate.clone(), version.to_owned()))?;
            kept.retain(|figure| figure.at_ns >= exposed_ns);
            kept.retain(|figure| since_ms(figure.at_ns) <= wanted.window_ms || waits(figure.at_ns));
            mean(kept)
        };
        let (canary, stable) = (mean_of(version), mean_of(&state.stable_version));
        // A comparison waits for both.
        let Some(canary) = canary.filter(|_| !wanted.compares || stable.is_some()) else {
            let silent = self.silent_ns.entry(of_version).or_insert(now_ns);
            if since_ms(*silent) < wanted.every_ms {
                return None;
            }
            *silent = now_ns;
            return Some(Reading { gate, arm, ..Reading::default() });
        };
        self.figures.remove(&of_version);
        self.silent_ns.insert(of_version.clone(), now_ns);
        self.read_ns.insert(of_version, now_ns);
        Some(Reading { gate, arm, canary: Some(canary), stable, ..Reading::default() })
    }
}

/// Weighted by samples.
#[allow(clippy::cast_precision_loss)] // counts of samples
fn mean(figures: &[Kept]) -> Option<f64> {
    let n: f64 = figures.iter().map(|figure| figure.n as f64).sum();
    (n > 0.0).then(|| figures.iter().map(|figure| figure.value * (figure.n as f64 / n)).sum())
}

/// What a source said.
pub struct SourceAnswer {
    pub figures: Figures,
    /// Middle and spread of what it gave before, where that is asked for.
    pub history: Option<Spread>,
}

/// What a source said, as the machine takes it. A comparison with half of its values is no data: on its limit alone
/// the canary would pass for good.
fn reading(state: &State, gate: String, arm: Option<Arm>, said: Result<SourceAnswer, String>) -> Reading {
    let compares = state.wanted().iter().any(|wanted| wanted.name == gate && wanted.compares);
    match said {
        Ok(SourceAnswer { figures: Figures { canary, stable, why }, history }) => {
            let canary = canary.filter(|_| !compares || stable.is_some());
            Reading { gate, arm, canary, stable, history, error: None, missing: why }
        }
        Err(error) => Reading { gate, arm, error: Some(error), ..Reading::default() },
    }
}

impl Engine {
    /// Asks the sources whose time has come, each with one question at a time; the answers come as reports.
    pub(super) fn ask_sources(&mut self, name: &str) {
        let Some(run) = self.runs.get_mut(name) else { return };
        let (number, stage) = (run.state.run, run.state.stages.len());
        for Question { gate, arm, source, history, every_ms, for_ms, protects } in run.state.questions() {
            if !run.asking.insert((gate.clone(), arm)) {
                continue;
            }
            let (sources, reports, name) =
                (self.external.sources.clone(), self.external.reports.clone(), name.to_owned());
            let when = When { now_ms: clock::unix_ms(), for_ms: Some(for_ms), every_ms };
            tokio::spawn(async move {
                let purpose = if protects { Purpose::Protect } else { Purpose::Prove };
                let asker = Requester { name: &name, purpose };
                let before = async {
                    match history {
                        Some(range) => sources.before(&source, range, asker, when).await,
                        None => Ok(None),
                    }
                };
                let said = tokio::try_join!(sources.ask(&source, asker, when), before);
                let said = said.map(|(figures, history)| SourceAnswer { figures, history });
                // The engine has gone: the next one asks again.
                let _ = reports.send(Report::Read { name, run: number, stage, gate, arm, said }).await;
            });
        }
    }

    /// A source has answered. What was asked in a stage that is left says nothing of the next.
    pub(super) async fn take_reading(
        &mut self,
        name: &str,
        (number, stage): (u64, usize),
        (gate, arm): (String, Option<Arm>),
        said: Result<SourceAnswer, String>,
    ) {
        let Some(run) = self.runs.get_mut(name).filter(|run| run.state.run == number) else { return };
        run.asking.remove(&(gate.clone(), arm));
        if run.state.stages.len() != stage {
            return;
        }
        if let Err(error) = &said {
            tracing::warn!(rollout = name, gate, "{error}");
        }
        let reading = reading(&run.state, gate, arm, said);
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
            return Err(Refusal::Conflict(format!("{name} is over and takes no more figures: {said}")));
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
    let is_pushed = |source: &Source| matches!(source, Source::Push(_));
    let gates = plan.gates.iter().filter(|gate| gate.source().is_some_and(is_pushed));
    let guardrails = plan
        .guardrails
        .iter()
        .filter(|rail| rail.reads.as_ref().is_some_and(|reads| is_pushed(&reads.source)));
    let pushed: Vec<&str> =
        gates.map(|gate| gate.name.as_str()).chain(guardrails.map(|rail| rail.name.as_str())).collect();
    if !pushed.contains(&metric.as_str()) {
        let there = if pushed.is_empty() {
            format!("no gate of {} takes figures; give one `source: {{push: {{}}}}`", plan.name)
        } else {
            format!("what takes figures: {}", pushed.join(", "))
        };
        return Err(Refusal::Invalid(format!("metric is {metric:?}; {there}")));
    }
    let on_trial: Vec<&str> = plan.arms_in().filter_map(|arm| plan.version_of(arm)).collect();
    if !on_trial.contains(&version.as_str()) && *version != state.stable_version {
        let on_trial = match on_trial.as_slice() {
            [canary] => format!("{canary:?} (the canary)"),
            several => several.iter().map(|version| format!("{version:?}")).collect::<Vec<_>>().join(", "),
        };
        return Err(Refusal::Invalid(format!(
            "version is {version:?}; write {on_trial} or {:?} (stable)",
            state.stable_version
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
