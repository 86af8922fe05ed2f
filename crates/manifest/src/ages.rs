//! At which ages is it counted which requests wait for an answer?

use split::policy;

use crate::plan::Plan;

/// Where nobody says when a request is overdue, in milliseconds; the filter knows its ages by itself.
pub(crate) const USUALLY_OVERDUE_MS: u64 = 2_000;

/// No request is followed longer than this, in milliseconds.
const LONGEST_AGE_MS: u64 = 3_600_000;

impl Plan {
    /// The ages at which it is counted which requests wait for an answer, in milliseconds: that at which one is overdue,
    /// a quarter of it, and two above it for versions that are slow by nature.
    #[must_use]
    pub fn ages_ms(&self) -> [u32; 4] {
        let after = self.overdue_after_ms.clamp(1, LONGEST_AGE_MS);
        [after.div_ceil(4), after, after * 4, after * 16]
            .map(|age| u32::try_from(age.min(LONGEST_AGE_MS)).unwrap_or(u32::MAX))
    }

    pub(crate) fn count(&self) -> Option<policy::Count> {
        let ages_ms =
            if self.overdue_after_ms == USUALLY_OVERDUE_MS { Vec::new() } else { self.ages_ms().to_vec() };
        let groups = self.traffic.count_groups;
        (groups || !ages_ms.is_empty()).then_some(policy::Count { groups, ages_ms })
    }
}
