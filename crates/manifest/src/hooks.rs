//! The programs a rollout would have run, and the URLs it would have called.

use crate::keep_warm::HookHow;
use crate::plan::{HandBackHow, Plan};
use crate::ready::WarmUpHow;
use crate::workload::WorkloadChange;

impl Plan {
    /// The program of each hook that is one, with the field it stands in, below `spec`.
    #[must_use]
    pub fn programs(&self) -> Vec<(&'static str, &str)> {
        let hand_back = match &self.hand_back.how {
            HandBackHow::Command(words) => Some(("handBack.hook", words)),
            HandBackHow::Manual | HandBackHow::Url(_) | HandBackHow::Kubernetes(_) => None,
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
            HookHow::Url(_) | HookHow::Kubernetes(_) => None,
        });
        let all = hand_back.into_iter().chain(warm_up).chain(later);
        all.filter_map(|(field, words)| Some((field, words.first()?.as_str()))).collect()
    }

    /// Every URL that is called or asked for the rollout's sake, but for sources: hooks, requests that warm, endpoints that
    /// name their version. Each with the field it stands in, below `spec`.
    #[must_use]
    pub fn hook_urls(&self) -> Vec<(String, &str)> {
        let hand_back = match &self.hand_back.how {
            HandBackHow::Url(url) => Some(("handBack.hook.url", url)),
            HandBackHow::Manual | HandBackHow::Command(_) | HandBackHow::Kubernetes(_) => None,
        };
        let warm_up = self.warm_up_hook.as_ref().and_then(|hook| match &hook.how {
            WarmUpHow::Url(url) => Some(("warmUpHook.url", url)),
            WarmUpHow::Requests { url, .. } => Some(("warmUpHook.requests.url", url)),
            WarmUpHow::Command(_) => None,
        });
        let later = [
            ("keepWarm.hook.url", self.keep_warm.as_ref().and_then(|keep| keep.hook.as_ref())),
            ("after.succeeded.url", self.after.succeeded.as_ref()),
            ("after.rolledBack.url", self.after.rolled_back.as_ref()),
        ];
        let later = later.into_iter().filter_map(|(field, how)| match how? {
            HookHow::Url(url) => Some((field, url)),
            HookHow::Command(_) | HookHow::Kubernetes(_) => None,
        });
        let kept = self.keep_warm.iter().flat_map(|keep| &keep.endpoints);
        let endpoints =
            [("handBack", self.hand_back.endpoints.iter().collect::<Vec<_>>()), ("keepWarm", kept.collect())];
        let endpoints = endpoints.into_iter().flat_map(|(at, urls)| {
            let urls = urls.into_iter().enumerate();
            urls.map(move |(index, url)| (format!("{at}.endpoints[{index}]"), url.as_str()))
                .collect::<Vec<_>>()
        });
        let hooks = hand_back.into_iter().chain(warm_up).chain(later);
        hooks.map(|(field, url)| (field.to_owned(), url.as_str())).chain(endpoints).collect()
    }

    /// What the controller would change in Kubernetes for the rollout's sake, each with the field it stands in, below `spec`.
    #[must_use]
    pub fn workload_changes(&self) -> Vec<(&'static str, &WorkloadChange)> {
        let hand_back = match &self.hand_back.how {
            HandBackHow::Kubernetes(change) => Some(("handBack.kubernetes", change.as_ref())),
            HandBackHow::Manual | HandBackHow::Url(_) | HandBackHow::Command(_) => None,
        };
        let later = [
            ("keepWarm.kubernetes", self.keep_warm.as_ref().and_then(|keep| keep.hook.as_ref())),
            ("keepWarm.kubernetes", self.after.succeeded.as_ref()),
            ("keepWarm.kubernetes", self.after.rolled_back.as_ref()),
        ];
        let later = later.into_iter().filter_map(|(field, how)| match how? {
            HookHow::Kubernetes(change) => Some((field, change.as_ref())),
            HookHow::Url(_) | HookHow::Command(_) => None,
        });
        hand_back.into_iter().chain(later).collect()
    }
}
