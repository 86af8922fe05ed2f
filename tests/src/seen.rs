use std::fmt;
use std::ops::Deref;

use api::{PhaseName, RunView, VerdictView};

/// A run as a client reads it. It is shown as JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen(pub(crate) RunView);

impl Seen {
    pub fn is(&self, phase: PhaseName) -> bool {
        self.run.phase == phase
    }

    /// Is it in this phase, at this stage (from 1)?
    pub fn is_at(&self, phase: PhaseName, stage: usize) -> bool {
        self.is(phase) && self.run.stage == stage
    }

    /// Why it was rolled back; empty while it was not.
    pub fn reason(&self) -> &str {
        self.run.rollback.as_ref().map_or("", |rollback| &rollback.reason)
    }

    /// The gates of a stage, from 1; none before the stage is entered.
    pub fn gates(&self, stage: usize) -> &[VerdictView] {
        self.run.stages.get(stage.saturating_sub(1)).map_or(&[], |stage| &stage.gates)
    }

    /// How many proxies have the run's last publication.
    pub fn acknowledged(&self) -> usize {
        self.acks.iter().filter(|ack| Some(ack.generation) >= self.generation).count()
    }
}

impl Deref for Seen {
    type Target = RunView;

    fn deref(&self) -> &RunView {
        &self.0
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(&self.0).map_err(|_| fmt::Error)?)
    }
}
