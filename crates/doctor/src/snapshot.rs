//! An installation as it was read.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::page::Page;

/// What was read, or why it could not be.
pub type Read<T> = Result<T, String>;

/// Kinds of objects that are looked at.
pub const KINDS: [&str; 12] = [
    "Deployment",
    "StatefulSet",
    "Service",
    "Pod",
    "ConfigMap",
    "TrafficExtension",
    "WasmPlugin",
    "EnvoyFilter",
    "VirtualService",
    "DestinationRule",
    "Sidecar",
    "HTTPRoute",
];

/// What may be left out on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The controller's own figures.
    Controller,
    /// Prometheus.
    Prometheus,
    /// The sidecars' pages.
    Proxies,
    /// What the controller's service account may do.
    Rights,
    /// Istio's and the programs' versions.
    Versions,
}

/// An installation as it was read.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Of the program that looks.
    pub program_version: String,
    /// Where the controller runs.
    pub namespace: String,
    /// Istio's own namespace; what stands there holds everywhere.
    pub root_namespace: String,
    /// The objects that install the filter: namespace and name.
    pub plugins: Vec<(String, String)>,
    /// What the API server says of itself.
    pub api: Read<Api>,
    /// By kind. A kind that is not served has no objects.
    pub objects: BTreeMap<&'static str, Read<Vec<Value>>>,
    /// What the controller's service account may do.
    pub rights: Vec<(Right, Read<bool>)>,
    /// The pages of sidecars that decide.
    pub proxies: Vec<Proxy>,
    /// The controller's page of metrics.
    pub controller: Read<Page>,
    /// What Prometheus says.
    pub prometheus: Read<Prometheus>,
    /// Clocks that could be compared with this machine's.
    pub clocks: Vec<Clock>,
    /// Left out on purpose.
    pub without: BTreeSet<Part>,
}

/// An API server.
#[derive(Clone, Debug, Default)]
pub struct Api {
    /// Kinds of groups that matter here, as `GROUP/KIND`.
    pub served: BTreeSet<String>,
}

/// Something that a service account may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    /// `get`, ...
    pub verb: &'static str,
    /// The resource's group.
    pub group: &'static str,
    /// The resource's plural, of a subresource with its name: `rollouts/status`.
    pub resource: &'static str,
    /// Where; empty: everywhere.
    pub namespace: String,
    /// Which object; empty: any.
    pub name: String,
    /// Does it need that, or may it not have it?
    pub needed: bool,
}

/// A sidecar's page.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Its pod, as `NAMESPACE/NAME`, or its address.
    pub name: String,
    /// What it says.
    pub page: Read<Page>,
}

/// What Prometheus says of the sidecars.
#[derive(Clone, Debug, Default)]
pub struct Prometheus {
    /// Where it is asked.
    pub url: String,
    /// The sidecars that it has samples of the filter's of.
    pub sidecars: Vec<Sampled>,
    /// Targets that it cannot scrape.
    pub failing: usize,
    /// Is there a counter whose labels are part of its name?
    pub flat: bool,
}

/// A sidecar that Prometheus has samples of.
#[derive(Clone, Debug, Default)]
pub struct Sampled {
    /// Its pod's; empty where its series have no such label.
    pub namespace: String,
    /// Its pod; empty where its series have no such label.
    pub pod: String,
    /// How old its newest sample is, in milliseconds.
    pub age_ms: u64,
}

/// A clock beside this machine's.
#[derive(Clone, Debug)]
pub struct Clock {
    /// Whose.
    pub of: String,
    /// By how much it is ahead, in milliseconds.
    pub ahead_ms: i64,
}

impl Snapshot {
    /// The objects of a kind, if they could be read.
    pub(crate) fn objects(&self, kind: &'static str) -> Result<&[Value], String> {
        match self.objects.get(kind) {
            Some(Ok(objects)) => Ok(objects),
            Some(Err(why)) => Err(format!("{kind}s cannot be read: {why}")),
            None => Err(format!("{kind}s were not asked for")),
        }
    }

    /// Those of a namespace.
    pub(crate) fn objects_in<'s>(
        &'s self,
        kind: &'static str,
        namespace: &str,
    ) -> Result<impl Iterator<Item = &'s Value> + use<'s>, String> {
        let namespace = namespace.to_owned();
        Ok(self.objects(kind)?.iter().filter(move |object| namespace_of(object) == namespace))
    }

    /// One of them.
    pub(crate) fn object(
        &self,
        kind: &'static str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<&Value>, String> {
        Ok(self.objects_in(kind, namespace)?.find(|object| name_of(object) == name))
    }

    /// Pods of a namespace that have not ended and bear these labels; of all, where it is the one whose objects hold everywhere.
    pub(crate) fn pods(&self, namespace: &str, labels: &Value) -> Result<Vec<&Value>, String> {
        let live = |pod: &&Value| !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed");
        let here = |pod: &&Value| namespace == self.root_namespace || namespace_of(pod) == namespace;
        let fits = |pod: &&Value| fits(labels, labels_of(pod));
        Ok(self.objects("Pod")?.iter().filter(here).filter(live).filter(fits).collect())
    }
}

/// A text in an object; empty where there is none.
pub fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The items of a list in an object.
pub fn items<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = &'v Value> + use<'v> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

pub fn name_of(object: &Value) -> &str {
    text(object, "/metadata/name")
}

pub fn namespace_of(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

pub fn labels_of(object: &Value) -> &Value {
    object.pointer("/metadata/labels").unwrap_or(&Value::Null)
}

/// Kind, namespace and name.
pub fn shown(kind: &str, object: &Value) -> String {
    format!("{kind} {}/{}", namespace_of(object), name_of(object))
}

/// Do all of these labels stand there? None: everything fits.
pub fn fits(wanted: &Value, labels: &Value) -> bool {
    let wanted = wanted.as_object().into_iter().flatten();
    wanted.into_iter().all(|(name, value)| labels.get(name) == Some(value))
}

/// Name and namespace of a service, from a host as callers in `namespace` write it; `None`: it is outside of the cluster.
pub fn service_of(host: &str, namespace: &str) -> Option<(String, String)> {
    let mut parts = host.split('.');
    let name = parts.next().filter(|name| !name.is_empty())?;
    let within = parts.next().unwrap_or(namespace);
    match parts.next() {
        None | Some("svc") => Some((name.to_owned(), within.to_owned())),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_service_of_a_namespace() {
        let of = |host| service_of(host, "models").map(|(name, namespace)| format!("{namespace}/{name}"));
        assert_eq!(of("ranker").as_deref(), Some("models/ranker"));
        assert_eq!(of("ranker.search").as_deref(), Some("search/ranker"));
        assert_eq!(of("ranker.search.svc.cluster.local").as_deref(), Some("search/ranker"));
        assert_eq!(of("ranker.example.com"), None);
    }
}
