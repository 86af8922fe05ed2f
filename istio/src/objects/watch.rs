//! Which objects there are, as the API server tells: a list, then a watch from there, and again after whatever breaks it.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::Duration;

use futures::stream::{BoxStream, SelectAll, StreamExt as _};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};

use super::{GROUP, PLURAL, VERSION};
use crate::refusal;

/// Namespace and name.
pub type Key = (String, String);

/// Whose Rollouts are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespaces {
    /// Those of every namespace.
    All,
    /// Those of these.
    Named(Vec<String>),
}

impl Namespaces {
    /// Are Rollouts of this namespace kept?
    #[must_use]
    pub fn holds(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.iter().any(|name| name == namespace),
        }
    }
}

impl FromStr for Namespaces {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let named = |name: &&str| !name.is_empty() && name.len() <= 63 && name.chars().all(plain);
        let mut names: Vec<String> = Vec::new();
        for name in text.split(',') {
            if !named(&name) {
                return Err(format!(
                    "{name:?} names no namespace; write NAMESPACE, several with commas between, or all"
                ));
            }
            // Two watches of one namespace would tell everything twice.
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        Ok(Self::Named(names))
    }
}

/// What is told: by which of the watches, and what.
pub type Told = (usize, watcher::Result<watcher::Event<DynamicObject>>);

/// The kind.
pub fn resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, "Rollout"), PLURAL)
}

/// Objects of a namespace.
pub fn api(client: &Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &resource())
}

/// One of the watches: what it has told so far.
#[derive(Debug, Default)]
pub struct Watch {
    /// Whose Rollouts it tells of; `None`: those of all namespaces.
    namespace: Option<String>,
    /// What its list has named so far, while it is listed.
    listing: BTreeSet<Key>,
    /// Has it listed all, once? What is not known by then is not missed.
    pub listed: bool,
    /// Why it cannot be had, as people were told.
    failing: Option<String>,
}

impl Watch {
    /// Does it tell of this namespace?
    pub fn holds(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|own| own == namespace)
    }

    /// Its list begins.
    pub fn begin_list(&mut self) {
        self.listing.clear();
    }

    /// Its list names an object.
    pub fn lists(&mut self, key: Key) {
        self.listing.insert(key);
    }

    /// Its list is whole; what is in it.
    pub fn end_list(&mut self) -> BTreeSet<Key> {
        self.listed = true;
        if self.failing.take().is_some() {
            tracing::info!("Rollouts of {} are watched again", self.place());
        }
        std::mem::take(&mut self.listing)
    }

    /// It cannot be had. People are told once for each reason; the other namespaces' Rollouts are kept meanwhile.
    pub fn fail(&mut self, error: &watcher::Error) {
        let why = self.words(error);
        if self.failing.as_ref() != Some(&why) {
            tracing::error!(
                "Rollouts of {} cannot be watched, what they keep stays as it is: {why}; is rollouts.serin.dev installed \
                 (istio/chart/crds)?",
                self.place()
            );
            self.failing = Some(why);
        }
    }

    fn words(&self, error: &watcher::Error) -> String {
        let (verb, error) = match error {
            watcher::Error::InitialListFailed(error) => ("list", error),
            watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => ("watch", error),
            other => return other.to_string(),
        };
        refusal::words(error, verb, PLURAL, self.namespace.as_deref())
    }

    fn place(&self) -> String {
        self.namespace
            .as_ref()
            .map_or("all namespaces".to_owned(), |namespace| format!("namespace {namespace}"))
    }
}

/// All that happens to the objects, for ever, and the watches that tell.
pub fn watch(
    client: &Client,
    namespaces: &Namespaces,
    again: Duration,
) -> (SelectAll<BoxStream<'static, Told>>, Vec<Watch>) {
    let apis: Vec<Api<DynamicObject>> = match namespaces {
        Namespaces::All => vec![Api::all_with(client.clone(), &resource())],
        Namespaces::Named(names) => names.iter().map(|name| api(client, name)).collect(),
    };
    let watches = match namespaces {
        Namespaces::All => vec![Watch::default()],
        Namespaces::Named(names) => {
            names.iter().map(|name| Watch { namespace: Some(name.clone()), ..Watch::default() }).collect()
        }
    };
    let streams = apis.into_iter().enumerate().map(|(index, api)| {
        let told = watcher(api, watcher::Config::default()).backoff(Doubling::from(again));
        told.map(move |told| (index, told)).boxed()
    });
    (streams.collect(), watches)
}

/// Waits longer after each failure, and not much longer: nobody waits half a minute for an API server that is back.
#[derive(Debug)]
struct Doubling {
    first: Duration,
    next: Duration,
}

impl Doubling {
    const fn from(first: Duration) -> Self {
        Self { first, next: first }
    }
}

impl Iterator for Doubling {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = self.next;
        self.next = (wait * 2).min(Duration::from_secs(5).max(self.first));
        Some(wait)
    }
}

impl Backoff for Doubling {
    fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_read() {
        let named =
            |names: &[&str]| Ok(Namespaces::Named(names.iter().map(|name| (*name).to_owned()).collect()));
        assert_eq!("all".parse(), Ok(Namespaces::All));
        assert_eq!("models".parse(), named(&["models"]));
        assert_eq!("models,search,models".parse(), named(&["models", "search"]));
        for wrong in ["", "models,", "Models", "a/b", "a b"] {
            let error = wrong.parse::<Namespaces>().expect_err(wrong);
            assert!(error.contains("with commas between, or all"), "{error}");
        }
    }
}
