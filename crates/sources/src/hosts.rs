//! Hosts that sources may be asked at: whoever may apply a rollout could otherwise have the controller ask any server
//! it can reach, and send that server any secret that is offered.

use std::str::FromStr;

use url::Url;

/// A host, or with `*.` before it all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host(String);

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.strip_prefix("*.").unwrap_or(text);
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        let port = !name.starts_with('[') && name.contains(':');
        if name.is_empty() || name.starts_with('.') || port || !name.bytes().all(letters) {
            return Err(
                "write a host without scheme and port, such as prometheus.monitoring or *.example.com"
                    .to_owned(),
            );
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl Host {
    /// Is it this host, or below it? `host` is in small letters and bears no port.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        match self.0.strip_prefix('*') {
            Some(below) => host.len() > below.len() && host.ends_with(below),
            None => host == self.0,
        }
    }
}

/// None named: any may be asked.
#[derive(Clone, Debug, Default)]
pub struct Hosts(pub Vec<Host>);

impl Hosts {
    /// May a source be asked at this URL?
    ///
    /// # Errors
    /// When its host is not named; the sentence says which are.
    pub fn allow(&self, url: &Url) -> Result<(), String> {
        let host = url.host_str().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
        if self.0.is_empty() || self.0.iter().any(|known| known.covers(&host)) {
            return Ok(());
        }
        let known: Vec<&str> = self.0.iter().map(|host| host.0.as_str()).collect();
        Err(format!(
            "no source may be asked at {host:?}; the controller's --source-host names {}",
            known.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_hosts_and_what_is_below_them() {
        let hosts = ["prometheus", "*.example.com", "[::1]"].map(|host| host.parse().expect("a host"));
        let hosts = Hosts(hosts.to_vec());
        for (url, allowed) in [
            ("http://prometheus:9090/x", true),
            ("http://PROMETHEUS", true),
            ("https://a.example.com", true),
            ("https://a.b.example.com.", true),
            ("https://[::1]:9", true),
            ("https://example.com", false),
            ("https://badexample.com", false),
            ("https://prometheus.evil", false),
            ("https://evil/prometheus", false),
            ("https://prometheus@evil", false),
        ] {
            let url = Url::parse(url).expect("a URL");
            assert_eq!(hosts.allow(&url).is_ok(), allowed, "{url}");
            assert_eq!(Hosts::default().allow(&url), Ok(()));
        }
        for wrong in ["", "*.", "*", "http://x", "x:9090", "x/y", "*.*.x"] {
            assert!(wrong.parse::<Host>().is_err(), "{wrong:?}");
        }
    }
}
