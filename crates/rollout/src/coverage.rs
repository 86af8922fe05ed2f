//! Which part of a run's own clock a controller was running, and which part counts cover: time without counts is no bake and
//! no window, and time without a controller counts toward no deadline.

use serde::{Deserialize, Serialize};

/// So many looks late, the next one is missing.
const LOOKS_MISSED: u64 = 3;

/// A look takes a moment to arrive, however short the time it tells of.
const SLACK_MS: u64 = 1_000;

/// Between two steps of a controller that lives there is less.
const LIVE_STEP_MS: u64 = 5_000;

/// How far counts cover the time that was watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Coverage {
    /// Watched, and not told of yet.
    open_ms: u64,
    /// Of these, at the acknowledged weights of the stage while it was on its way.
    stage_open_ms: u64,
    /// How much of that the deadline has had already, because the controller lived.
    lived_ms: u64,
    /// Watched, and told of by no counts for good.
    blind_ms: u64,
    /// How long the last look lasted.
    span_ms: u64,
}

impl Coverage {
    /// Time goes by; `of_stage`: at the acknowledged weights of a stage on its way. Returns how much of it the stage's
    /// deadline takes: the time in which a controller lived, counted or not.
    pub(crate) fn pass(&mut self, ms: u64, of_stage: bool) -> u64 {
        self.open_ms = self.open_ms.saturating_add(ms);
        if !of_stage {
            return 0;
        }
        self.stage_open_ms = self.stage_open_ms.saturating_add(ms);
        let lived = ms.min(LIVE_STEP_MS);
        self.lived_ms = self.lived_ms.saturating_add(lived);
        lived
    }

    /// Counts over `span_ms` came; returns how much of the stage they cover, in milliseconds, and how much of that its
    /// deadline has not had yet. A look that arrives a little early or late covers what it lasted all the same, so the
    /// rest of one look's time is kept for the next.
    pub(crate) fn take(&mut self, span_ms: u64) -> (u64, u64) {
        let rest = self.open_ms.saturating_sub(span_ms);
        let kept = rest.min(span_ms);
        self.blind_ms = self.blind_ms.saturating_add(rest - kept);
        (self.open_ms, self.span_ms) = (kept, span_ms);
        let of_stage = self.stage_open_ms.min(span_ms);
        self.stage_open_ms = (self.stage_open_ms - of_stage).min(kept);
        let late = of_stage.saturating_sub(self.lived_ms);
        self.lived_ms = self.lived_ms.saturating_sub(of_stage).min(self.stage_open_ms);
        (of_stage, late)
    }

    /// A stage begins, or begins anew: earlier time does not count.
    pub(crate) const fn begin_stage(&mut self) {
        (self.stage_open_ms, self.lived_ms) = (0, 0);
    }

    /// Is the last look as young as the one after it lets it be?
    pub(crate) const fn is_current(&self) -> bool {
        self.open_ms <= self.span_ms.saturating_mul(LOOKS_MISSED).saturating_add(SLACK_MS)
    }

    /// How long the last look lasted, in milliseconds.
    pub(crate) const fn look_ms(&self) -> u64 {
        self.span_ms
    }

    /// The run's own clock without the time that no counts cover, in milliseconds.
    pub(crate) const fn covered(&self, age_ms: u64) -> u64 {
        age_ms.saturating_sub(self.blind_ms)
    }
}
