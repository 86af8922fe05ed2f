//! A rollout of Serin while it is being put together, until it is one that can be run.

mod finish;

pub use finish::Made;

use manifest::typed::{Challenger, Clusters, Condition, Gate, Override};
use manifest::{Percent, Push, Quantity, Source, Span};

use crate::place::Place;
use crate::report::Ledger;
use crate::text;

/// Gates and guardrails of the preset that an imported rollout begins with: a gate of the same name would be joined with
/// them.
pub(crate) const OF_PRESET: [&str; 3] = ["errors", "latency", "overdue"];
const TAKEN: [&str; 7] =
    ["errors", "latency", "overdue", "errors-limit", "overdue-limit", "gone-limit", "retries-limit"];

/// A stage.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    pub(crate) weight: Percent,
    pub(crate) shadow: Option<Percent>,
    pub(crate) bake_ms: u64,
    pub(crate) approval: bool,
    pub(crate) gates: Vec<String>,
}

/// A rollout while it is being put together.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    /// The document it is made of.
    pub(crate) of: Place<'a>,
    pub(crate) name: String,
    pub(crate) stable: String,
    pub(crate) canary: String,
    pub(crate) hosts: Vec<String>,
    pub(crate) prefix: Option<String>,
    /// None: those of the preset.
    pub(crate) stages: Vec<Stage>,
    pub(crate) gates: Vec<(Gate, Place<'a>)>,
    pub(crate) overrides: Vec<(Override, Place<'a>)>,
    pub(crate) cookie: Option<String>,
    pub(crate) clusters: Option<Clusters>,
    pub(crate) warm_up: Option<String>,
    pub(crate) succeeded: Option<String>,
    pub(crate) arms: Vec<Challenger>,
}

/// What a weight is beside the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Up,
    Same,
    Down,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(of: &Place<'a>, ledger: &mut Ledger) -> Self {
        let written = of.document.name.clone();
        let name = text::rollout_name(&written).unwrap_or_else(|| "imported".to_owned());
        let metadata = of.at("metadata");
        if name == written {
            ledger.carried(&metadata.at("name"), "the rollout's name");
        } else {
            let what = format!("the rollout is called {name}");
            ledger.approximated(&metadata.at("name"), what, "rename it where another name is meant");
        }
        ledger.carried(&metadata.at("namespace"), "metadata.namespace");
        Self {
            of: of.clone(),
            name,
            stable: "stable".to_owned(),
            canary: "canary".to_owned(),
            hosts: Vec::new(),
            prefix: None,
            stages: Vec::new(),
            gates: Vec::new(),
            overrides: Vec::new(),
            cookie: None,
            clusters: None,
            warm_up: None,
            succeeded: None,
            arms: Vec::new(),
        }
    }

    /// The stage that is being put together; the first is one that exposes nobody.
    pub(crate) fn stage(&mut self) -> Option<&mut Stage> {
        if self.stages.is_empty() {
            self.begin(Percent::from_ppm(0), None);
        }
        self.stages.last_mut()
    }

    fn begin(&mut self, weight: Percent, shadow: Option<Percent>) {
        self.stages.push(Stage { weight, shadow, bake_ms: 0, approval: false, gates: Vec::new() });
    }

    /// The weight of the stage that is being put together.
    pub(crate) fn weight(&self) -> Percent {
        self.stages.last().map_or(Percent::from_ppm(0), |stage| stage.weight)
    }

    /// Begins a stage, if its weight is above the one before it.
    pub(crate) fn rise_to(&mut self, weight: Percent) -> Step {
        let last = self.stages.last().map(|stage| (stage.weight, stage.shadow.is_some()));
        match last {
            Some((before, _)) if weight < before => Step::Down,
            Some((before, _)) if weight == before => Step::Same,
            _ => {
                self.begin(weight, None);
                Step::Up
            }
        }
    }

    /// Begins a stage that copies requests, if nobody is exposed yet.
    pub(crate) fn shadow(&mut self, share: Percent) -> bool {
        let exposed = self.weight().ppm() > 0;
        let lower = self.stages.last().and_then(|stage| stage.shadow).is_some_and(|before| before >= share);
        if exposed || lower || share.ppm() == 0 {
            return false;
        }
        self.begin(Percent::from_ppm(0), Some(share));
        true
    }

    pub(crate) fn bake(&mut self, ms: u64) {
        if let Some(stage) = self.stage() {
            stage.bake_ms = stage.bake_ms.saturating_add(ms).min(366 * 86_400_000);
        }
    }

    /// Adds a gate, unless the same is there already, and says how it is called.
    pub(crate) fn gate(&mut self, mut gate: Gate, at: &Place<'a>) -> String {
        let wished = text::label(&gate.name).unwrap_or_else(|| "gate".to_owned());
        let wished = if TAKEN.contains(&wished.as_str()) { format!("own-{wished}") } else { wished };
        let wished: String = wished.chars().take(58).collect();
        let mut number = 1;
        loop {
            gate.name = if number == 1 { wished.clone() } else { format!("{wished}-{number}") };
            match self.gates.iter().find(|(known, _)| known.name == gate.name) {
                None => break,
                Some((known, _)) if *known == gate => return gate.name,
                Some(_) => number += 1,
            }
        }
        let name = gate.name.clone();
        self.gates.push((gate, at.clone()));
        name
    }

    /// Adds a gate that somebody has to push a figure to, since Serin cannot ask for it.
    pub(crate) fn pushed(&mut self, name: &str, at: &Place<'a>) -> String {
        self.gate(pushed(name), at)
    }

    /// Has the present stage be held by these gates.
    pub(crate) fn hold(&mut self, names: &[String]) {
        if let Some(stage) = self.stage() {
            for name in names {
                if !stage.gates.contains(name) {
                    stage.gates.push(name.clone());
                }
            }
        }
    }

    /// Requests that get the new version whatever the weight.
    pub(crate) fn always(&mut self, when: Vec<Condition>, at: &Place<'a>) {
        self.overrides.push((Override { when, arm: "canary".to_owned() }, at.clone()));
    }
}

/// A gate that passes on a pushed 1, and fails on a 0.
pub(crate) fn pushed(name: &str) -> Gate {
    Gate {
        name: name.to_owned(),
        source: Some(Source::Push(Push {})),
        min: Some(Quantity::Plain(1.0)),
        consecutive: Some(1),
        failure_limit: Some(0),
        ..Gate::default()
    }
}

/// What a person does about a gate of [`pushed`].
pub(crate) fn push_it(rollout: &str, gate: &str) -> String {
    format!(
        "measure it yourself and push it: `serin push {rollout} {gate} --version VERSION VALUE` (1 passes, 0 fails); no stage \
         that names it passes before"
    )
}

/// At least an hour: a stage waits for its gates, and a person is asked when it waited longer.
pub(crate) const LEAST_DEADLINE_MS: u64 = 3_600_000;

/// How long a gate takes at least: until its evidence begins, and all its readings.
pub(crate) fn takes_ms(gate: &Gate) -> u64 {
    let every = gate.every.map_or(60_000, Span::ms);
    let readings = u64::from(gate.consecutive.unwrap_or(3)) + u64::from(gate.failure_limit.unwrap_or(2));
    gate.start_after.map_or(0, Span::ms).saturating_add(every.saturating_mul(readings.saturating_add(1)))
}
