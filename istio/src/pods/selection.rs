//! How an operator says which pods.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::Pod;

/// The port of the page where Istio's agent merges the metrics of its Envoy, and the page.
const MERGED: (u16, &str) = (15_020, "stats/prometheus");

/// Pods by their labels, and the page of each: `pods://models/app=storefront,serin.dev/decide=true:15020/stats/prometheus`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    told: String,
    /// The context of the kubeconfig; `None`: the present one, or the pod's own cluster.
    pub context: Option<String>,
    /// `None`: all namespaces.
    pub namespace: Option<String>,
    /// Labels, as the API server takes them.
    pub labels: String,
    port: u16,
    path: String,
}

/// What an operator must write.
const FORM: &str = "write pods://NAMESPACE/LABEL=VALUE[,LABEL=VALUE...][:PORT/PATH], such as \
                    pods://models/app=storefront:15020/stats/prometheus; NAMESPACE may be *, and CONTEXT@ may stand before it";

impl Selection {
    /// What every selection begins with.
    pub const SCHEME: &str = "pods://";

    /// The page of one of them.
    #[must_use]
    pub fn page(&self, ip: IpAddr) -> String {
        format!("http://{}/{}", SocketAddr::new(ip, self.port), self.path)
    }

    /// What one of them is called: `NAMESPACE/POD`, and the context before it where one is named.
    #[must_use]
    pub fn name(&self, pod: &Pod) -> String {
        match &self.context {
            Some(context) => format!("{context}/{}/{}", pod.namespace, pod.name),
            None => format!("{}/{}", pod.namespace, pod.name),
        }
    }

    /// Where they are, for people: "pods with app=storefront in namespace models".
    #[must_use]
    pub fn words(&self) -> String {
        let place = match &self.namespace {
            Some(namespace) => format!("namespace {namespace}"),
            None => "all namespaces".to_owned(),
        };
        let context = self.context.iter().map(|context| format!(" of context {context}"));
        format!("pods with {} in {place}{}", self.labels, context.collect::<String>())
    }

    /// The path of the API for them.
    pub(super) fn url_path(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("/api/v1/namespaces/{namespace}/pods"),
            None => "/api/v1/pods".to_owned(),
        }
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told)
    }
}

impl FromStr for Selection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{text:?}: {why}; {FORM}");
        let rest = text.strip_prefix(Self::SCHEME).ok_or_else(|| wrong("it does not begin with pods://"))?;
        // Names of contexts may hold any sign, an @ included.
        let (context, rest) =
            rest.rsplit_once('@').map_or((None, rest), |(context, rest)| (Some(context), rest));
        if context.is_some_and(str::is_empty) {
            return Err(wrong("no context stands before the @"));
        }
        let (namespace, rest) = rest.split_once('/').ok_or_else(|| wrong("it names no labels"))?;
        let namespace = match namespace {
            "*" => None,
            _ if is_label(namespace) => Some(namespace.to_owned()),
            _ => return Err(wrong(&format!("{namespace:?} is no namespace"))),
        };
        let (labels, page) = match rest.split_once(':') {
            None => (rest, (MERGED.0, MERGED.1.to_owned())),
            Some((labels, page)) => {
                let (port, path) =
                    page.split_once('/').ok_or_else(|| wrong("after the port stands no path"))?;
                let number = port.parse().ok().filter(|port| *port != 0);
                let number = number.ok_or_else(|| wrong(&format!("{port:?} is no port")))?;
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/?=&%+".contains(&byte);
                if path.is_empty() || !path.bytes().all(plain) {
                    return Err(wrong(&format!("{path:?} is no path of a page")));
                }
                (labels, (number, path.to_owned()))
            }
        };
        for label in labels.split(',') {
            let (key, value) =
                label.split_once('=').ok_or_else(|| wrong(&format!("{label:?} is no LABEL=VALUE")))?;
            if !is_key(key) {
                return Err(wrong(&format!("{key:?} is no key of a label")));
            }
            if !value.is_empty() && !is_value(value) {
                return Err(wrong(&format!("{value:?} is no value of a label")));
            }
        }
        let (port, path) = page;
        let context = context.map(str::to_owned);
        Ok(Self { told: text.to_owned(), context, namespace, labels: labels.to_owned(), port, path })
    }
}

/// As a namespace is called.
fn is_label(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(plain)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// `NAME`, or `DOMAIN/NAME`.
fn is_key(key: &str) -> bool {
    match key.split_once('/') {
        None => is_value(key),
        Some((domain, name)) => domain.len() <= 253 && domain.split('.').all(is_label) && is_value(name),
    }
}

fn is_value(value: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = value.as_bytes();
    bytes.len() <= 63 && value.bytes().all(plain) && ends(bytes.first()) && ends(bytes.last())
}
