//! `tests/scenarios/*.yaml`, read strictly; the README there says what each field means.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use split::policy::{Policy, Role, Rollout};
use split::{Arm, Cause, Route};
use tally::Class;

use super::ledger::{Counter, Ledger};
use super::value::{Bytes, Lines};

/// One file.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub file: String,
    policy: Value,
    /// The policy as generation 1.
    pub parsed: Policy,
    pub rows: Vec<Row>,
    /// What moves besides what follows from the rows.
    pub besides: Ledger,
}

/// One request, what answers it, and what must come of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    #[serde(default)]
    pub why: String,
    #[serde(default = "all_ways")]
    pub ways: Vec<Way>,
    #[serde(default = "one")]
    pub http: u8,
    #[serde(default)]
    pub bare: bool,
    #[serde(default = "get")]
    pub method: String,
    #[serde(default = "models_local")]
    pub authority: String,
    #[serde(default = "root")]
    pub path: Bytes,
    #[serde(default)]
    pub headers: BTreeMap<String, Lines>,
    #[serde(default = "loopback")]
    pub source_address: IpAddr,
    #[serde(default)]
    pub answer: Answer,
    pub expect: Expect,
}

/// How a row is replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    Split,
    Host,
    Envoy,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Value")]
pub enum Answer {
    None(Missing),
    Response(Response),
}

/// Why no answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    Timeout,
    Reset,
    Disconnect,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Response {
    pub status: u16,
    #[serde(default)]
    pub headers: BTreeMap<String, Bytes>,
    #[serde(default)]
    pub trailers: BTreeMap<String, Bytes>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Value")]
pub enum Expect {
    Untouched,
    Routed(Routed),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Routed {
    pub rollout: Option<String>,
    pub arm: Arm,
    pub cause: Option<Cause>,
    /// Does the canary get a copy?
    #[serde(default)]
    pub shadow: bool,
    #[serde(default = "ok", deserialize_with = "class")]
    pub class: Class,
    pub status: Option<u16>,
    #[serde(default)]
    pub response: BTreeMap<String, Option<String>>,
}

impl Routed {
    /// What the routing header must say.
    pub fn route(&self) -> Route {
        if self.shadow { Route::Shadow } else { Route::Arm(self.arm) }
    }
}

impl Scenario {
    /// Reads a file's text.
    pub fn read(file: &str, text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            about: String,
            policy: BTreeMap<String, Value>,
            requests: Vec<Value>,
            #[serde(default)]
            counters: Vec<BTreeMap<String, Value>>,
        }
        let at = |place: &str, error: String| format!("{file}, {place}: {error}");
        let raw: File = serde_saphyr::from_str(text).map_err(|error| at("the file", error.to_string()))?;
        if raw.about.is_empty() {
            return Err(at("about", "is empty; say in one sentence what the file shows".to_owned()));
        }
        let policy = Value::Object(raw.policy.into_iter().collect());
        if let Some(field) =
            ["schema", "incarnation", "generation"].iter().find(|field| policy.get(field).is_some())
        {
            return Err(at("policy", format!("`{field}` is the replay's to set; leave it out")));
        }
        let parsed: Policy =
            serde_json::from_value(numbered(&policy, 1)).map_err(|error| at("policy", error.to_string()))?;
        let roles = parsed.rollouts.iter().map(|rollout| std::mem::discriminant(&rollout.role));
        if roles.clone().any(|role| Some(role) != roles.clone().next()) {
            let error =
                "some rollouts decide and some follow; one Envoy does one of the two, so make it two files";
            return Err(at("policy", error.to_owned()));
        }
        let mut rows = Vec::new();
        for (index, value) in raw.requests.into_iter().enumerate() {
            let why = value["why"].as_str().unwrap_or_default().to_owned();
            let row: Row = from_value(value)
                .and_then(|row| checked(row, &parsed))
                .map_err(|error| at(&row_name(index, &why), error))?;
            rows.push(row);
        }
        let mut besides = Ledger::default();
        for (index, fields) in raw.counters.into_iter().enumerate() {
            let (counter, by) =
                Counter::read(fields).map_err(|error| at(&format!("counter {}", index + 1), error))?;
            besides.add(counter, by);
        }
        Ok(Self { file: file.to_owned(), policy, parsed, rows, besides })
    }

    /// Every scenario there is, by file name.
    pub fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let entries = std::fs::read_dir(&folder).expect("the folder of scenarios");
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
        files.sort();
        let read = |path: &PathBuf| {
            let name = path.file_name().expect("a name").to_string_lossy();
            let text = std::fs::read_to_string(path).expect("text");
            Self::read(&format!("tests/scenarios/{name}"), &text).unwrap_or_else(|error| panic!("{error}"))
        };
        files.iter().map(read).collect()
    }

    pub fn policy(&self, generation: u64) -> Value {
        numbered(&self.policy, generation)
    }

    /// Does another proxy decide, for every rollout? Then the routing header that comes in must come through.
    pub fn follows(&self) -> bool {
        self.parsed.rollouts.iter().all(|rollout| matches!(rollout.role, Role::Follow { .. }))
    }

    pub fn row_name(&self, index: usize) -> String {
        row_name(index, self.rows.get(index).map_or("", |row| &row.why))
    }

    /// The rollout that a row says owns its request.
    pub fn rollout(&self, routed: &Routed) -> &Rollout {
        let named = |rollout: &&Rollout| routed.rollout.as_ref().is_none_or(|name| *name == rollout.name);
        self.parsed.rollouts.iter().find(named).expect("checked when it was read")
    }
}

impl Row {
    /// Every header as it reaches the filter, pseudo-headers first; several cookies as Envoy joins them.
    pub fn lines(&self) -> Vec<(String, Vec<u8>)> {
        let mut lines = Vec::new();
        if !self.bare {
            let text = |text: &str| text.as_bytes().to_vec();
            lines.push((":authority".to_owned(), text(&self.authority)));
            lines.push((":path".to_owned(), self.path.0.clone()));
            lines.push((":method".to_owned(), text(&self.method)));
            lines.push((":scheme".to_owned(), text("http")));
        }
        for (name, values) in &self.headers {
            let values: Vec<Vec<u8>> = values.0.iter().map(|value| value.0.clone()).collect();
            if name == "cookie" && self.http == 2 {
                lines.push((name.clone(), values.join(&b"; "[..])));
            } else {
                lines.extend(values.into_iter().map(|value| (name.clone(), value)));
            }
        }
        lines
    }

    /// The status the client gets; none where it does not wait for one.
    pub fn status(&self) -> Option<u16> {
        let stated = match &self.expect {
            Expect::Untouched => None,
            Expect::Routed(routed) => routed.status,
        };
        stated.or(match &self.answer {
            Answer::Response(response) => Some(response.status),
            Answer::None(Missing::Timeout) => Some(504),
            Answer::None(Missing::Reset) => Some(503),
            Answer::None(Missing::Disconnect) => None,
        })
    }
}

impl Default for Answer {
    fn default() -> Self {
        Self::Response(Response { status: 200, headers: BTreeMap::new(), trailers: BTreeMap::new() })
    }
}

impl TryFrom<Value> for Answer {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        if value.is_string() {
            from_value(value).map(Self::None)
        } else {
            from_value(value).map(Self::Response)
        }
    }
}

impl TryFrom<Value> for Expect {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match value.as_str() {
            Some("untouched") => Ok(Self::Untouched),
            Some(other) => Err(format!("expect: `{other}` is neither `untouched` nor a map")),
            None => from_value(value).map(Self::Routed).map_err(|error| format!("expect: {error}")),
        }
    }
}

fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// What cannot be, or could not be replayed, is refused here.
fn checked(row: Row, policy: &Policy) -> Result<Row, String> {
    let through_envoy = row.ways.contains(&Way::Envoy);
    let wrong = match &row.expect {
        _ if row.http != 1 && row.http != 2 => Some("`http` is 1 or 2".to_owned()),
        _ if row.ways.is_empty() => Some("`ways` is empty; name split, host or envoy".to_owned()),
        _ if row.bare && through_envoy => {
            Some("`bare` cannot go through Envoy; leave it out of `ways`".to_owned())
        }
        _ if row.http == 1
            && through_envoy
            && row.headers.get("cookie").is_some_and(|lines| lines.0.len() > 1) =>
        {
            Some("several `cookie` lines need `http: 2`".to_owned())
        }
        Expect::Routed(routed) if !policy.rollouts.iter().any(|rollout| fits(routed, &rollout.name)) => {
            Some(format!("`expect.rollout` {:?} is not in the policy", routed.rollout))
        }
        Expect::Routed(Routed { arm: Arm::Other(name), .. }) if name.as_str() != "b" => {
            Some(format!("`expect.arm` {name}: of further arms there is a cluster for `b` alone"))
        }
        Expect::Routed(routed) if routed.cause.is_none() && routed.class != Class::Ok => {
            Some("`expect.class` without `cause`: nothing would be counted".to_owned())
        }
        _ => None,
    };
    let trailers = matches!(&row.answer, Answer::Response(response) if !response.trailers.is_empty());
    match wrong {
        Some(wrong) => Err(wrong),
        None if trailers && row.http == 1 => Err("`answer.trailers` need `http: 2`".to_owned()),
        None => Ok(row),
    }
}

fn fits(routed: &Routed, name: &str) -> bool {
    routed.rollout.as_ref().is_none_or(|rollout| rollout == name)
}

fn numbered(policy: &Value, generation: u64) -> Value {
    let mut policy = policy.clone();
    policy["schema"] = split::policy::SCHEMA.into();
    policy["incarnation"] = 1.into();
    policy["generation"] = generation.into();
    policy
}

fn row_name(index: usize, why: &str) -> String {
    let number = index + 1;
    if why.is_empty() { format!("row {number}") } else { format!("row {number} ({why})") }
}

fn class<'de, D: Deserializer<'de>>(from: D) -> Result<Class, D::Error> {
    let text = String::deserialize(from)?;
    let found = Class::ALL.into_iter().find(|class| class.as_str() == text);
    found.ok_or_else(|| D::Error::custom(format!("`{text}` is no class")))
}

fn all_ways() -> Vec<Way> {
    vec![Way::Split, Way::Host, Way::Envoy]
}

fn one() -> u8 {
    1
}

fn get() -> String {
    "GET".to_owned()
}

fn models_local() -> String {
    "models.local".to_owned()
}

fn root() -> Bytes {
    Bytes::from("/")
}

fn loopback() -> IpAddr {
    IpAddr::from([127, 0, 0, 1])
}

fn ok() -> Class {
    Class::Ok
}
