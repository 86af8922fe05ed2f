use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use serde_json::{Value, json};

/// A host, by address or by name, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    /// An address where `host` is one, else a name that Envoy resolves.
    ///
    /// # Errors
    /// When the host is empty or holds a character no host name has.
    pub fn new(host: &str, port: u16) -> Result<Self, InvalidEndpoint> {
        let named = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
        if !named && host.parse::<IpAddr>().is_err() {
            return Err(InvalidEndpoint(format!("{host}:{port}")));
        }
        Ok(Self { host: host.to_owned(), port })
    }

    /// The host, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Is the host an address, so that nobody need resolve it?
    #[must_use]
    pub fn is_address(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({"socket_address": {"address": self.host, "port_value": self.port}})
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port() }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Not a `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no HOST:PORT; write an address or a host name and a port, such as 127.0.0.1:8080")]
pub struct InvalidEndpoint(String);

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let invalid = || InvalidEndpoint(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(v6) => v6,
            None if host.contains(':') => return Err(invalid()),
            None => host,
        };
        Self::new(host, port.parse().map_err(|_| invalid())?).map_err(|_| invalid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Option<(&str, u16, bool)>) {
        let got = text.parse::<Endpoint>().ok();
        assert_eq!(got.as_ref().map(|e| (e.host(), e.port(), e.is_address())), want, "{text:?}");
        if let Some(endpoint) = got {
            assert_eq!(endpoint.to_string(), text);
        }
    }

    #[test]
    fn endpoints() {
        check("127.0.0.1:8080", Some(("127.0.0.1", 8080, true)));
        check("model-v2.svc:80", Some(("model-v2.svc", 80, false)));
        check("[::1]:9", Some(("::1", 9, true)));
        check("::1:9", None);
        check("host", None);
        check(":80", None);
        check("host:99999", None);
        check("http://host:80", None);
    }
}
