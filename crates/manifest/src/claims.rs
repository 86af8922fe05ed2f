use split::{Overlap, overlap};

use crate::Plan;

impl Plan {
    /// How much of what `later` claims does this one take when it comes before it in the policy? Members in two regions
    /// never meet.
    #[must_use]
    pub fn takes_of(&self, later: &Self) -> Overlap {
        let region = |plan: &Self| plan.member.as_ref().and_then(|member| member.region.clone());
        if region(self).zip(region(later)).is_some_and(|(one, other)| one != other) {
            return Overlap::Nothing;
        }
        overlap(self.traffic.scope.as_ref(), later.traffic.scope.as_ref())
    }
}
