//! Whom the controller may ask: whoever may apply a rollout could otherwise have it ask any server it can reach, and send
//! that server any secret that is offered.
//!
//! A name is checked as it is written, and what it resolves to is checked before it is connected to: a name that is allowed
//! can be made to lead to the machine itself, or to where a cloud hands out credentials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use url::{Host as UrlHost, Url};

/// A host, with `*.` before it all below it, or a network such as `10.0.0.0/8`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Name(String),
    /// With the dot before it.
    Below(String),
    Network {
        first: IpAddr,
        bits: u8,
    },
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(network) = network(text) {
            return Ok(Self(network));
        }
        let name = text.strip_prefix("*.").unwrap_or(text);
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        let port = !name.starts_with('[') && name.contains(':');
        if name.is_empty() || name.starts_with('.') || port || !name.bytes().all(letters) {
            return Err(
                "write a host without scheme and port, such as prometheus.monitoring or *.example.com, or a \
                        network such as 10.0.0.0/8"
                    .to_owned(),
            );
        }
        let text = text.to_ascii_lowercase();
        Ok(Self(match text.strip_prefix('*') {
            Some(below) => Kind::Below(below.to_owned()),
            None => Kind::Name(text),
        }))
    }
}

/// `10.0.0.0/8`, `fd00::/8`.
fn network(text: &str) -> Option<Kind> {
    let (first, bits) = text.split_once('/')?;
    let (first, bits): (IpAddr, u8) = (first.parse().ok()?, bits.parse().ok()?);
    (bits <= if first.is_ipv4() { 32 } else { 128 }).then_some(Kind::Network { first, bits })
}

impl Host {
    /// Is it this host, or below it? `host` is in small letters and bears no port.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        match &self.0 {
            Kind::Name(name) => name == host,
            Kind::Below(below) => host.len() > below.len() && host.ends_with(below.as_str()),
            Kind::Network { .. } => false,
        }
    }

    fn holds(&self, address: IpAddr) -> bool {
        match (&self.0, address) {
            (Kind::Network { first: IpAddr::V4(first), bits }, IpAddr::V4(address)) => {
                let kept = u32::MAX.checked_shl(32 - u32::from(*bits)).unwrap_or(0);
                first.to_bits() & kept == address.to_bits() & kept
            }
            (Kind::Network { first: IpAddr::V6(first), bits }, IpAddr::V6(address)) => {
                let kept = u128::MAX.checked_shl(128 - u32::from(*bits)).unwrap_or(0);
                first.to_bits() & kept == address.to_bits() & kept
            }
            _ => false,
        }
    }

    fn shown(&self) -> String {
        match &self.0 {
            Kind::Name(name) => name.clone(),
            Kind::Below(below) => format!("*{below}"),
            Kind::Network { first, bits } => format!("{first}/{bits}"),
        }
    }
}

/// None named: any may be asked, but for what is at no server's address.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    /// Those that are named.
    pub named: Vec<Host>,
    /// The option that names them, for messages.
    pub option: &'static str,
}

impl Hosts {
    /// Those that an option of the operator's names.
    #[must_use]
    pub const fn new(option: &'static str, named: Vec<Host>) -> Self {
        Self { named, option }
    }

    /// Are none named?
    #[must_use]
    pub const fn is_any(&self) -> bool {
        self.named.is_empty()
    }

    /// May somebody be asked at this URL, as far as can be told before its name is resolved?
    ///
    /// # Errors
    /// When its host is not named; the sentence says which are.
    pub fn allow(&self, url: &Url) -> Result<(), String> {
        match url.host() {
            Some(UrlHost::Ipv4(address)) => self.allow_address(&address.to_string(), address.into()),
            Some(UrlHost::Ipv6(address)) => self.allow_address(&format!("[{address}]"), address.into()),
            Some(UrlHost::Domain(name)) => {
                let name = plain(name);
                let by_address = self.named.iter().any(|host| matches!(host.0, Kind::Network { .. }));
                if self.is_any() || by_address || self.names(&name) {
                    Ok(())
                } else {
                    Err(self.refusal(&name))
                }
            }
            None => Err(self.refusal("")),
        }
    }

    /// May somebody be asked at this address, which is what `host` resolves to or what it is?
    ///
    /// # Errors
    /// When that is not allowed; the sentence says what is.
    pub fn allow_address(&self, host: &str, address: IpAddr) -> Result<(), String> {
        let (host, address) = (plain(host), address.to_canonical());
        if self.named.iter().any(|known| known.holds(address)) {
            return Ok(());
        }
        let exactly = self.named.iter().any(|known| known.0 == Kind::Name(host.clone()));
        let literal = exactly && host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        if is_nobodys(address) && !literal {
            let option = self.option;
            return Err(format!(
                "{host:?} is at {address}, where no server is asked (clouds hand out credentials at link-local addresses); \
                 name the address in {option} if it is meant"
            ));
        }
        if self.is_any() || exactly {
            return Ok(());
        }
        if self.names(&host) && !address.is_loopback() {
            return Ok(());
        }
        Err(self.refusal(&if self.names(&host) { format!("{host} at {address}") } else { host }))
    }

    fn names(&self, host: &str) -> bool {
        self.named.iter().any(|known| known.covers(host))
    }

    fn refusal(&self, host: &str) -> String {
        let known: Vec<String> = self.named.iter().map(Host::shown).collect();
        format!(
            "nobody may be asked at {host:?}; the controller's {} names {}",
            self.option,
            known.join(", ")
        )
    }
}

fn plain(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// Addresses that lead to no server in particular, and those of a link, where clouds hand out credentials.
fn is_nobodys(address: IpAddr) -> bool {
    const AWS: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match address {
        IpAddr::V4(v4) => {
            v4.is_unspecified() || v4.is_link_local() || v4.is_multicast() || v4 == Ipv4Addr::BROADCAST
        }
        IpAddr::V6(v6) => v6.is_unspecified() || v6.is_unicast_link_local() || v6.is_multicast() || v6 == AWS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(named: &[&str]) -> Hosts {
        let named = named.iter().map(|host| host.parse().expect("a host"));
        Hosts::new("--source-host", named.collect())
    }

    #[test]
    fn named_hosts_and_what_is_below_them() {
        let hosts = hosts(&["prometheus", "*.example.com", "[::1]"]);
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
            ("http://127.0.0.1", false),
            ("http://2130706433", false),
            ("http://0x7f.1", false),
        ] {
            let url = Url::parse(url).expect("a URL");
            assert_eq!(hosts.allow(&url).is_ok(), allowed, "{url}");
            assert_eq!(Hosts::default().allow(&url), Ok(()));
        }
        for wrong in ["", "*.", "*", "http://x", "x:9090", "x/y", "*.*.x", "10.0.0.0/33", "::/129"] {
            assert!(wrong.parse::<Host>().is_err(), "{wrong:?}");
        }
    }

    #[track_caller]
    fn check(named: &[&str], host: &str, address: &str, expected: Result<(), &str>) {
        let said = hosts(named).allow_address(host, address.parse().expect("an address"));
        match (&said, expected) {
            (Ok(()), Ok(())) => {}
            (Err(error), Err(part)) => assert!(error.contains(part), "{part:?} is missing in: {error}"),
            _ => panic!("{named:?} {host} {address}: {said:?}"),
        }
    }

    /// What a name leads to is looked at, not the name alone.
    #[test]
    fn an_allowed_name_does_not_lead_anywhere() {
        check(&[], "prometheus", "10.1.2.3", Ok(()));
        check(&[], "localhost", "127.0.0.1", Ok(()));
        for address in [
            "169.254.169.254",
            "0.0.0.0",
            "::",
            "fe80::1",
            "::ffff:169.254.169.254",
            "224.0.0.1",
            "fd00:ec2::254",
        ] {
            check(&[], "prometheus", address, Err("--source-host"));
            check(&["prometheus", "*.example.com"], "prometheus", address, Err("where no server is asked"));
        }
        check(&["169.254.169.254"], "169.254.169.254", "169.254.169.254", Ok(()));
        check(&["169.254.0.0/16"], "metadata", "169.254.169.254", Ok(()));
        // Whoever owns a name below an allowed one says what it leads to.
        check(&["*.example.com"], "a.example.com", "93.184.216.34", Ok(()));
        check(&["*.example.com"], "a.example.com", "10.0.0.9", Ok(()));
        check(&["*.example.com"], "a.example.com", "127.0.0.1", Err("a.example.com at 127.0.0.1"));
        check(&["*.example.com"], "a.example.com", "::1", Err("names *.example.com"));
        check(&["*.example.com", "127.0.0.0/8"], "a.example.com", "127.0.0.1", Ok(()));
        check(&["prometheus"], "prometheus", "127.0.0.1", Ok(()));
        // Networks: any name, as long as it leads there.
        check(&["10.0.0.0/8"], "anything", "10.200.0.1", Ok(()));
        check(&["10.0.0.0/8"], "anything", "11.0.0.1", Err("names 10.0.0.0/8"));
        check(&["fd00::/8"], "anything", "fd12::1", Ok(()));
        check(&["0.0.0.0/0"], "anything", "8.8.8.8", Ok(()));
        check(&["prometheus"], "other", "10.0.0.1", Err("nobody may be asked at \"other\""));
    }
}
