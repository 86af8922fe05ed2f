//! A policy as it stands in `pluginConfig`.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Number, Value};

/// Where sidecars ask whether their policy still stands: a service of the mesh, `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseAddress {
    /// The service's full name.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl LeaseAddress {
    /// What istiod calls the service's port in a proxy.
    fn cluster(&self) -> String {
        format!("outbound|{}||{}", self.port, self.host)
    }
}

impl fmt::Display for LeaseAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl FromStr for LeaseAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        text.rsplit_once(':')
            .filter(|(host, _)| !host.is_empty() && host.chars().all(plain))
            .and_then(|(host, port)| Some(Self { host: host.to_owned(), port: port.parse().ok()? }))
            .ok_or_else(|| {
                format!("{text:?} is no service; write its full name and port, as in serin.serin-system.svc.cluster.local:7070")
            })
    }
}

/// The policy as an object, its lease asked for at `lease`. Numbers are as the API server gives them back.
pub fn plugin_config(policy: &str, lease: &LeaseAddress) -> Result<Value, serde_json::Error> {
    let mut policy: Value = serde_json::from_str(policy)?;
    if let Some(terms) = policy.get_mut("lease").and_then(Value::as_object_mut) {
        terms.insert("cluster".to_owned(), lease.cluster().into());
        terms.insert("authority".to_owned(), lease.host.clone().into());
    }
    Ok(without_points(policy))
}

/// Whole numbers without a point: the API server leaves it out, and what comes back must be equal.
fn without_points(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::Number(whole(&number).unwrap_or(number)),
        Value::Array(items) => Value::Array(items.into_iter().map(without_points).collect()),
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (name, without_points(value)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        other => other,
    }
}

fn whole(number: &Number) -> Option<Number> {
    let value = number.as_f64().filter(|_| number.is_f64())?;
    #[allow(clippy::cast_possible_truncation)] // whole, and far from the ends of i64
    (value.fract() == 0.0 && value.abs() < 9e15).then(|| Number::from(value as i64))
}

/// Which of two policies is newer: a controller that finds a newer one is not alone, or its store is an old one.
pub fn version(policy: &Value) -> (u64, u64) {
    let number = |field: &str| policy.get(field).and_then(Value::as_u64).unwrap_or(0);
    (number("incarnation"), number("generation"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_lease_is_asked_for_at_the_service() {
        let address: LeaseAddress = "serin.serin-system.svc.cluster.local:7070".parse().expect("an address");
        let policy = json!({
            "incarnation": 7, "generation": 3, "rollouts": [{"weight": 5.0, "share": 0.5, "list": [1e3]}],
            "lease": {"cluster": "serin", "authority": "serin", "path": "/v1/lease/ab", "ttl_ms": 5000},
        });
        let config = plugin_config(&policy.to_string(), &address).expect("a policy");
        let expected = json!({
            "incarnation": 7, "generation": 3, "rollouts": [{"weight": 5, "share": 0.5, "list": [1000]}],
            "lease": {
                "cluster": "outbound|7070||serin.serin-system.svc.cluster.local",
                "authority": "serin.serin-system.svc.cluster.local",
                "path": "/v1/lease/ab", "ttl_ms": 5000,
            },
        });
        assert_eq!(config, expected);
        assert_eq!(version(&config), (7, 3));
        assert_eq!(plugin_config("{\"generation\": 1}", &address).expect("none"), json!({"generation": 1}));
    }

    #[test]
    fn an_address_is_a_service_and_its_port() {
        for wrong in ["", "serin", ":7070", "serin:", "serin:70700", "http://serin:7070", "Serin:7070"] {
            assert!(wrong.parse::<LeaseAddress>().is_err(), "{wrong}");
        }
        let address: LeaseAddress = "serin.models:1".parse().expect("an address");
        assert_eq!(address.to_string(), "serin.models:1");
    }
}
