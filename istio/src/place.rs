//! Which object holds the filter.

use std::fmt;
use std::str::FromStr;

use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::Value;

/// The object that installs the filter: `models/serin`, or `eu-west=models/serin` where it is of one region's proxies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its proxies' region; `None`: they get what is for all.
    pub region: Option<String>,
    /// Where the callers run.
    pub namespace: String,
    /// What it is called.
    pub name: String,
}

/// What kind of object it is. istiod makes the one of the other, so only one of the two may be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Istio 1.30 and later.
    TrafficExtension,
    /// Before.
    WasmPlugin,
}

impl Kind {
    /// The newer one first.
    pub const ALL: [Self; 2] = [Self::TrafficExtension, Self::WasmPlugin];

    /// Where the policy stands in the object, by keys.
    pub(crate) const fn path(self) -> &'static [&'static str] {
        match self {
            Self::TrafficExtension => &["spec", "wasm", "pluginConfig"],
            Self::WasmPlugin => &["spec", "pluginConfig"],
        }
    }

    pub(crate) fn api(self, client: Client, namespace: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("extensions.istio.io", "v1alpha1", &self.to_string());
        let plural = match self {
            Self::TrafficExtension => "trafficextensions",
            Self::WasmPlugin => "wasmplugins",
        };
        Api::namespaced_with(client, namespace, &ApiResource::from_gvk_with_plural(&kind, plural))
    }

    /// The policy that stands in the object.
    pub(crate) fn policy(self, object: &DynamicObject) -> Option<&Value> {
        self.path().iter().try_fold(&object.data, |value, key| value.get(key))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TrafficExtension => "TrafficExtension",
            Self::WasmPlugin => "WasmPlugin",
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (region, object) =
            text.split_once('=').map_or((None, text), |(region, object)| (Some(region), object));
        let named = |name: &str| {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
            !name.is_empty() && name.len() <= 253 && name.chars().all(plain)
        };
        match object.split_once('/') {
            Some((namespace, name))
                if named(namespace) && named(name) && region.is_none_or(|region| !region.is_empty()) =>
            {
                Ok(Self {
                    region: region.map(str::to_owned),
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                })
            }
            _ => Err(format!("{text:?} names no object; write NAMESPACE/NAME or REGION=NAMESPACE/NAME")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(Option<&str>, &str, &str)>) {
        let read = text.parse::<Place>();
        let found = read
            .as_ref()
            .ok()
            .map(|place| (place.region.as_deref(), place.namespace.as_str(), place.name.as_str()));
        assert_eq!(found, expected, "{text}");
        if let Err(error) = read {
            assert!(error.contains("NAMESPACE/NAME"), "{error}");
        }
    }

    #[test]
    fn a_place_is_read() {
        check("models/serin", Some((None, "models", "serin")));
        check("eu-west=models/serin", Some((Some("eu-west"), "models", "serin")));
        for wrong in
            ["", "serin", "models/", "/serin", "=models/serin", "a/b/c", "Models/serin", "models/serin?x"]
        {
            check(wrong, None);
        }
    }
}
