//! The tables as CSV; their columns are described in docs/store.md.

use std::io::Write;

use anyhow::Result;
use rollout::{Counts, State};
use serde_json::Value;
use split::Arm;

use super::{Wanted, moment};
use store::{Archive, Counted, Kept, Kind, Line, Sample};

/// A table on its way out.
pub struct Table<'a> {
    what: Wanted,
    out: csv::Writer<&'a mut dyn Write>,
}

const fn columns(what: Wanted) -> &'static [&'static str] {
    match what {
        Wanted::Runs => &[
            "name",
            "run",
            "stable",
            "canary",
            "phase",
            "applied",
            "last",
            "stages",
            "weight_ppm",
            "exposed_requests",
            "exposed_errors",
            "message",
        ],
        Wanted::Stages => &[
            "name",
            "run",
            "stage",
            "weight_ppm",
            "entered",
            "acknowledged",
            "left",
            "baked_ms",
            "overridden_by",
            "approved_by",
        ],
        Wanted::Gates => &[
            "name",
            "run",
            "time",
            "stage",
            "gate",
            "verdict",
            "estimate",
            "bound",
            "n_canary",
            "n_control",
            "harm",
            "proof",
            "hard",
            "why",
        ],
        Wanted::Measurements => &[
            "name",
            "run",
            "from",
            "to",
            "looks",
            "stage",
            "weight_ppm",
            "epoch",
            "gap",
            "arm",
            "assigned",
            "finished",
            "outcomes",
            "errors",
            "gone",
            "aged",
            "overdue",
            "p50_ms",
            "p99_ms",
            "confidence_n",
            "confidence_mean",
            "gate",
            "value",
            "error",
        ],
        Wanted::History => &["seq", "time", "name", "run", "kind", "who", "what", "why", "detail", "chain"],
    }
}

impl<'a> Table<'a> {
    pub fn new(what: Wanted, out: &'a mut dyn Write) -> Result<Self> {
        let mut out = csv::Writer::from_writer(out);
        out.write_record(columns(what))?;
        Ok(Self { what, out })
    }

    /// A run's lines.
    pub fn run(&mut self, archive: &Archive, kept: &Kept) -> Result<()> {
        let (name, run) = (kept.name.as_str(), kept.run);
        match self.what {
            Wanted::Runs => self.out.write_record(of_run(kept)?)?,
            Wanted::Stages => {
                let state = kept.state()?;
                for stage in of_stages(&state) {
                    self.out.write_record(stage)?;
                }
            }
            Wanted::Gates => {
                let journal = archive.journal(name, run)?;
                for line in journal.lines.iter().filter(|line| line.kind == Kind::Verdict) {
                    self.out.write_record(of_verdict(line))?;
                }
            }
            Wanted::Measurements => {
                for look in archive.samples(name, run)? {
                    for record in of_look(name, run, &look) {
                        self.out.write_record(record)?;
                    }
                }
            }
            Wanted::History => {
                for line in archive.journal(name, run)?.lines {
                    self.out.write_record(of_line(&line))?;
                }
            }
        }
        Ok(())
    }

    pub fn end(mut self) -> Result<()> {
        self.out.flush()?;
        Ok(())
    }
}

fn text(value: impl ToString) -> String {
    value.to_string()
}

fn perhaps(value: Option<impl ToString>) -> String {
    value.map(text).unwrap_or_default()
}

fn of_run(kept: &Kept) -> Result<Vec<String>> {
    let state = kept.state()?;
    let view = state.view();
    Ok(vec![
        kept.name.clone(),
        text(kept.run),
        state.plan.stable.clone(),
        state.plan.canary.clone(),
        text(view.phase.to_string()),
        moment(state.applied.unix_ms),
        moment(state.last.unix_ms),
        text(state.stages.len()),
        text(view.weight_ppm),
        text(state.exposed.requests),
        text(state.exposed.errors),
        view.message,
    ])
}

fn of_stages(state: &State) -> impl Iterator<Item = Vec<String>> {
    state.stages.iter().enumerate().map(|(at, stage)| {
        vec![
            state.plan.name.clone(),
            text(state.run),
            text(at + 1),
            text(stage.weight_ppm),
            moment(stage.entered.unix_ms),
            perhaps(stage.acknowledged.map(|at| moment(at.unix_ms))),
            perhaps(stage.left.map(|at| moment(at.unix_ms))),
            text(stage.baked_ms),
            perhaps(stage.overridden_by.clone()),
            perhaps(stage.approved_by.clone()),
        ]
    })
}

fn of_verdict(line: &Line) -> Vec<String> {
    let detail = line.detail.clone().unwrap_or_default();
    let field = |field: &str| match detail.pointer(field) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let mut record = vec![line.name.clone(), text(line.run), moment(line.unix_ms), field("/stage")];
    record.extend(
        columns(Wanted::Gates)
            .iter()
            .skip(4)
            .map(|column| field(&format!("/gate/{}", if *column == "gate" { "name" } else { column }))),
    );
    record
}

fn of_look(name: &str, run: u64, look: &Sample) -> Vec<Vec<String>> {
    match look {
        Sample::Counts(counted) => {
            let interval = &counted.interval;
            let arms = [
                ("canary", &interval.canary),
                ("stable", &interval.stable),
                ("baseline", &interval.baseline),
            ];
            // The baseline has its line where there is one.
            let there = arms.into_iter().filter(|(arm, counts)| *arm != "baseline" || counts.assigned > 0);
            // With several versions on trial, the lead stands in the canary's place and each other has its own line.
            let rivals = interval.rivals.iter().map(|(arm, counts)| (arm.as_str(), counts));
            there.chain(rivals).map(|(arm, counts)| of_arm(name, run, counted, arm, counts)).collect()
        }
        Sample::Reading(read) => [
            (read.reading.arm.unwrap_or(Arm::Canary).to_string(), read.reading.canary),
            (Arm::Stable.to_string(), read.reading.stable),
        ]
        .into_iter()
        .filter(|(arm, value)| *arm != Arm::Stable.to_string() || value.is_some())
        .map(|(arm, value)| {
            let at = moment(read.at_ms);
            let mut record = vec![name.to_owned(), text(run), at.clone(), at, text(1), text(read.stage)];
            record.resize(columns(Wanted::Measurements).len() - 3, String::new());
            if let Some(place) = record.get_mut(9) {
                *place = arm;
            }
            record.extend([read.reading.gate.clone(), perhaps(value), perhaps(read.reading.error.clone())]);
            record
        })
        .collect(),
    }
}

#[allow(clippy::cast_precision_loss)] // counts below 2^53
fn of_arm(name: &str, run: u64, counted: &Counted, arm: &str, counts: &Counts) -> Vec<String> {
    let Counted { stage, weight_ppm, samples, interval } = counted;
    let quantile = |q: f64| perhaps(counts.latency.quantile_ms(q));
    let confidence = counts.confidence;
    vec![
        name.to_owned(),
        text(run),
        moment(interval.from_ms),
        moment(interval.to_ms),
        text(samples),
        text(stage),
        text(weight_ppm),
        text(interval.epoch),
        perhaps(interval.gap.clone()),
        arm.to_owned(),
        text(counts.assigned),
        text(counts.finished),
        text(counts.outcomes),
        text(counts.errors),
        text(counts.gone),
        text(counts.overdue.reached),
        text(counts.overdue.overdue),
        quantile(0.5),
        quantile(0.99),
        text(confidence.n),
        perhaps((confidence.n > 0).then(|| confidence.sum / confidence.n as f64)),
        String::new(),
        String::new(),
        String::new(),
    ]
}

fn of_line(line: &Line) -> Vec<String> {
    vec![
        text(line.seq),
        moment(line.unix_ms),
        line.name.clone(),
        text(line.run),
        line.kind.to_string(),
        perhaps(line.who.clone()),
        line.what.clone(),
        perhaps(line.why.clone()),
        perhaps(line.detail.clone()),
        line.chain.clone(),
    ]
}
