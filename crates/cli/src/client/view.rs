//! What the controller answers, as far as a person is shown it. Fields it does not know are passed over: an older
//! command can read a newer controller.

use serde::Deserialize;

/// A rollout.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct View {
    pub name: String,
    pub run: u64,
    pub phase: String,
    pub message: String,
    pub stage: u64,
    pub stage_count: u64,
    pub weight_ppm: u32,
    pub generation: Option<u64>,
    pub stable: String,
    pub canary: String,
    pub arms: Vec<Arm>,
    pub bandit: Option<Bandit>,
    pub stages: Vec<Stage>,
    pub guardrails: Vec<Gate>,
    pub exposed: Exposed,
    pub watch: Option<Watch>,
    pub refusals: Vec<Refusal>,
    pub drill: Option<super::drill::Drill>,
    pub parity: Option<super::parity::Parity>,
    pub practice: Vec<Practice>,
    pub drill_passed_unix_ms: Option<u64>,
    pub parity_passed_unix_ms: Option<u64>,
    pub queued: Option<Queued>,
    pub closed: Option<Closed>,
    pub overrides: Vec<Override>,
    pub kept: Option<Kept>,
    pub calls: Vec<Call>,
    pub model: Option<String>,
    pub region: Option<String>,
    pub members: Vec<View>,
}

/// What is tried between runs by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Practice {
    pub exercise: String,
    pub when: String,
    pub next_unix_ms: Option<u64>,
    pub next: Option<String>,
    pub late: Option<String>,
    pub missed: bool,
    pub overdue: bool,
}

/// Who has met the versions on trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Exposed {
    pub requests: u64,
    pub errors: u64,
}

/// A time at which the weight does not rise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Closed {
    pub why: String,
}

/// A version that is kept warm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Kept {
    pub versions: Vec<String>,
    pub left_ms: u64,
    pub until_unix_ms: u64,
    pub there: Option<bool>,
    pub was_stable: bool,
}

/// A hook that has not succeeded yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Call {
    pub run: u64,
    pub duty: String,
    pub versions: Vec<String>,
    pub failed: Option<String>,
    pub again_ms: Option<u64>,
}

/// What came of going back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct WentBack {
    pub run: u64,
    pub begun: bool,
    pub message: String,
}

/// What a named person went past.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Override {
    pub who: String,
    pub reason: String,
    pub stage: u64,
    pub past: Vec<String>,
}

/// One of several versions on trial.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Arm {
    pub arm: String,
    pub version: String,
    pub weight_ppm: u32,
    pub standing: String,
    pub reason: Option<String>,
    pub gates: Vec<Gate>,
}

/// Shares that follow the evidence.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Bandit {
    pub by: String,
    pub floor_ppm: u32,
    pub ceiling_ppm: u32,
    pub most_ppm: u32,
    pub next_in_ms: Option<u64>,
    pub holds: Option<String>,
    pub versions: Vec<Share>,
}

/// A version's share.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Share {
    pub arm: String,
    pub version: String,
    pub share_ppm: u32,
    pub best: Option<f64>,
}

/// The specification that comes next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Queued {
    pub canary: String,
    pub who: String,
    pub refused: Option<String>,
}

/// A stage that was entered.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Stage {
    pub gates: Vec<Gate>,
}

/// A gate or a guardrail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Gate {
    pub name: String,
    pub verdict: String,
    pub why: String,
}

/// What is watched since the promotion.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Watch {
    pub version: String,
    pub standing: String,
    pub since_unix_ms: u64,
    pub gates: Vec<Watched>,
    pub left_out: Vec<Unwatched>,
}

/// A gate that is watched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Watched {
    pub name: String,
    pub standing: String,
    pub why: String,
}

/// A gate that is not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Unwatched {
    pub name: String,
    pub why: String,
}

/// A proxy that would not take a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Refusal {
    pub node: String,
    pub reason: String,
}

/// What became of a specification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Applied {
    pub name: String,
    pub run: u64,
    pub unchanged: bool,
    pub queued: bool,
    pub rescheduled: bool,
    pub replaces: Option<u64>,
    pub changes: Vec<Change>,
    pub warnings: Vec<String>,
}

/// A field that differs from what was applied last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Change {
    pub field: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// What became of a trigger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Trigger {
    pub name: String,
    pub rollout: String,
    pub unchanged: bool,
    pub warnings: Vec<String>,
}

/// Why something was not done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Fault {
    pub error: String,
}

impl Applied {
    /// What became of it in one word, for counting, and in a few. `dry_run`: what would.
    pub fn said(&self, dry_run: bool) -> (&'static str, String) {
        let run = self.run;
        match self {
            Self { unchanged: true, .. } => ("unchanged", format!("unchanged, this is run {run}")),
            Self { rescheduled: true, .. } if dry_run => (
                "to be rescheduled",
                format!("run {run} would stay as it is, practice would have another timetable"),
            ),
            Self { rescheduled: true, .. } => {
                ("rescheduled", format!("run {run} stays as it is, practice has another timetable"))
            }
            Self { queued: true, .. } if dry_run => {
                ("to be queued", format!("would be queued, to begin when run {run} is over"))
            }
            Self { queued: true, .. } => ("queued", format!("queued, it begins when run {run} is over")),
            Self { replaces: Some(old), .. } if dry_run => {
                ("to begin", format!("would begin as run {run}, and abort run {old}"))
            }
            Self { replaces: Some(old), .. } => {
                ("begun", format!("begun as run {run} in place of run {old}"))
            }
            _ if dry_run => ("to begin", format!("would begin as run {run}")),
            _ => ("begun", format!("begun as run {run}")),
        }
    }

    /// How it is looked at.
    pub fn next(&self) -> String {
        if self.unchanged || self.queued || self.rescheduled {
            return format!("see: serin get {}", self.name);
        }
        format!("follow it: serin get {} -w", self.name)
    }
}

impl Change {
    /// It in one line.
    pub fn line(&self) -> String {
        let Self { field, before, after } = self;
        match (before, after) {
            (Some(before), Some(after)) => format!("{field}: {before} -> {after}"),
            (None, Some(after)) => format!("{field}: {after} (new)"),
            (Some(before), None) => format!("{field}: {before} (gone)"),
            (None, None) => field.clone(),
        }
    }
}

impl Trigger {
    /// As [`Applied::said`].
    pub fn said(&self, dry_run: bool) -> (&'static str, String) {
        let rollout = &self.rollout;
        match (self.unchanged, dry_run) {
            (true, _) => ("unchanged", format!("unchanged, it begins {rollout} by itself")),
            (false, true) => ("to be kept", format!("would be kept, to begin {rollout} by itself")),
            (false, false) => {
                ("kept", format!("kept, it begins {rollout} by itself; see: serin trigger get {}", self.name))
            }
        }
    }
}

impl Practice {
    /// What is tried, in a word.
    pub fn what(&self) -> &'static str {
        if self.exercise == "parity" { "A/A check" } else { "drill" }
    }
}

impl View {
    /// The exit code of a rollout that is over: 0 promoted, 1 rolled back.
    pub fn over(&self) -> Option<u8> {
        match self.phase.as_str() {
            "Succeeded" => Some(0),
            "RolledBack" => Some(1),
            _ => None,
        }
    }
}
