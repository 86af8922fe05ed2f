use serde::{Deserialize, Serialize};

/// The verdict of one gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The gate's name.
    pub name: String,
    /// The answer.
    #[serde(rename = "verdict")]
    pub answer: Answer,
    /// The canary's value: a share, milliseconds, or a mean.
    pub estimate: Option<f64>,
    /// What the estimate is held against, in the same unit: the limit, or stable's value with the margin.
    pub bound: Option<f64>,
    /// Canary requests it rests on.
    pub n_canary: u64,
    /// Stable requests it rests on; 0 for a fixed limit.
    pub n_control: u64,
    /// The e-value for harm: 20 means odds a healthy canary shows at most once in 20 runs. Watched since the run began.
    pub harm: f64,
    /// The e-value for "no harm beyond the margin", of this stage.
    pub proof: f64,
    /// Is it a hard gate (it decides), not an advisory one?
    pub hard: bool,
    /// One English sentence.
    pub why: String,
}

impl Verdict {
    /// Does it keep a stage from ending? Only what passes, or does not apply at this weight, lets it go on.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.hard && !matches!(self.answer, Answer::Pass | Answer::NotApplicable)
    }
}

/// A gate's answer. "Not enough", "no" and "broken" are three things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Proven not worse than the margin, on this stage's evidence.
    Pass,
    /// Proven worse.
    Fail,
    /// Proven to lie between good and bad.
    Marginal,
    /// Not enough evidence either way.
    Insufficient,
    /// Could not be evaluated: its plan, its counts or its source are at fault. It holds as [`Self::Insufficient`] does.
    Error,
    /// Does not apply at this weight (no concurrent stable at 100 %, no canary at 0 %).
    NotApplicable,
}
