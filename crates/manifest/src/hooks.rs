//! The programs a rollout would have run.

use crate::keep_warm::HookHow;
use crate::plan::{HandBackHow, Plan};
use crate::ready::WarmUpHow;

impl Plan {
    /// The program of each hook that is one, with the field it stands in, below `spec`.
    #[must_use]
    pub fn programs(&self) -> Vec<(&'static str, &str)> {
        let hand_back = match &self.hand_back.how {
            HandBackHow::Command(words) => Some(("handBack.hook", words)),
            HandBackHow::Manual | HandBackHow::Url(_) => None,
        };
        let warm_up = self.warm_up_hook.as_ref().and_then(|hook| match &hook.how {
            WarmUpHow::Command(words) => Some(("warmUpHook", words)),
            WarmUpHow::Url(_) | WarmUpHow::Requests { .. } => None,
        });
        let later = [
            ("keepWarm.hook", self.keep_warm.as_ref().and_then(|keep| keep.hook.as_ref())),
            ("after.succeeded", self.after.succeeded.as_ref()),
            ("after.rolledBack", self.after.rolled_back.as_ref()),
        ];
        let later = later.into_iter().filter_map(|(field, how)| match how? {
            HookHow::Command(words) => Some((field, words)),
            HookHow::Url(_) => None,
        });
        let all = hand_back.into_iter().chain(warm_up).chain(later);
        all.filter_map(|(field, words)| Some((field, words.first()?.as_str()))).collect()
    }
}
