//! Which objects there are, as the API server tells: a list, then a watch from there, and again after whatever breaks it.

use std::str::FromStr;
use std::time::Duration;

use futures::stream::{BoxStream, SelectAll, StreamExt as _};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};

use super::{GROUP, PLURAL, VERSION};

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

/// All that happens to the objects, for ever, and the number of watches.
pub fn watch(
    client: &Client,
    namespaces: &Namespaces,
    again: Duration,
) -> (SelectAll<BoxStream<'static, Told>>, usize) {
    let apis: Vec<Api<DynamicObject>> = match namespaces {
        Namespaces::All => vec![Api::all_with(client.clone(), &resource())],
        Namespaces::Named(names) => names.iter().map(|name| api(client, name)).collect(),
    };
    let count = apis.len();
    let streams = apis.into_iter().enumerate().map(|(index, api)| {
        let told = watcher(api, watcher::Config::default()).backoff(Doubling::from(again));
        told.map(move |told| (index, told)).boxed()
    });
    (streams.collect(), count)
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
