//! What the objects hold: one head, and pages of which it says the names.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::sync::Arc;

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::JournalError;
use super::pages::Rows;

/// Objects of a journal bear its name here.
pub const LABEL: &str = "serin.dev/journal";
const HEAD: &str = "head";
const PART: &str = "part";

/// So many bytes of a page stand in one object: with base64 and all else that is less than 64 KiB.
pub const PART_BYTES: usize = 45_000;

/// A page: so many objects, `NAME-0` and so on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageName {
    /// What it is called.
    pub name: String,
    /// How many objects it is.
    pub parts: usize,
}

/// The policy as it was published last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyName {
    /// Where it stands.
    pub page: PageName,
    /// Which it is.
    pub incarnation: u64,
    /// Which it is.
    pub generation: u64,
}

/// The one object that makes a change hold: whoever writes it names the version that was read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// The form of the rows.
    pub form: i64,
    /// How often another has taken over.
    pub term: u64,
    /// Who writes.
    pub holder: String,
    /// Where its API is reached.
    pub address: String,
    /// How often it was written.
    pub writes: u64,
    /// What the whole mesh is to know, as whoever writes rows says it.
    pub mesh: Value,
    /// The later ones last.
    pub pages: Vec<PageName>,
    /// `None`: nothing was published yet.
    #[serde(default)]
    pub policy: Option<PolicyName>,
}

impl Head {
    pub fn of(object: &ConfigMap) -> Result<Self, JournalError> {
        let text = object.data.as_ref().and_then(|data| data.get(HEAD));
        let name = || object.metadata.name.clone().unwrap_or_default();
        let text =
            text.ok_or_else(|| JournalError::Damaged(format!("the ConfigMap {} has no {HEAD}", name())))?;
        serde_json::from_str(text)
            .map_err(|error| JournalError::Damaged(format!("the ConfigMap {}: {error}", name())))
    }

    /// The object that says it. `version`: the one that was read; `None`: it is made.
    pub fn object(&self, journal: &str, version: Option<String>) -> Result<ConfigMap, JournalError> {
        let text = serde_json::to_string(self).map_err(|error| JournalError::Damaged(error.to_string()))?;
        Ok(ConfigMap {
            metadata: ObjectMeta { resource_version: version, ..metadata(journal, journal.to_owned()) },
            data: Some(BTreeMap::from([(HEAD.to_owned(), text)])),
            ..ConfigMap::default()
        })
    }
}

fn metadata(journal: &str, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        labels: Some(BTreeMap::from([(LABEL.to_owned(), journal.to_owned())])),
        ..ObjectMeta::default()
    }
}

impl PageName {
    /// The names of its objects.
    pub fn objects(&self) -> impl Iterator<Item = String> + '_ {
        (0..self.parts).map(|part| format!("{}-{part}", self.name))
    }
}

/// A page of rows as it is written: its name and its objects.
pub fn written(
    journal: &str,
    name: String,
    content: &[u8],
) -> Result<(PageName, Vec<ConfigMap>), JournalError> {
    let packed = deflated(content).map_err(|error| JournalError::Damaged(error.to_string()))?;
    let parts: Vec<&[u8]> = packed.chunks(PART_BYTES).collect();
    let page = PageName { name, parts: parts.len() };
    let objects = page.objects().zip(parts).map(|(name, part)| ConfigMap {
        metadata: metadata(journal, name),
        binary_data: Some(BTreeMap::from([(PART.to_owned(), ByteString(part.to_vec()))])),
        immutable: Some(true),
        ..ConfigMap::default()
    });
    let objects = objects.collect();
    Ok((page, objects))
}

/// The content of a page, by its objects.
pub fn read(page: &PageName, object: impl Fn(&str) -> Option<ConfigMap>) -> Result<Vec<u8>, JournalError> {
    let mut packed = Vec::new();
    for name in page.objects() {
        let mut found = object(&name).ok_or_else(|| JournalError::Missing(name.clone()))?;
        let part = found.binary_data.as_mut().and_then(|data| data.remove(PART));
        let part =
            part.ok_or_else(|| JournalError::Damaged(format!("the ConfigMap {name} has no {PART}")))?;
        packed.extend(part.0);
    }
    let mut content = Vec::new();
    DeflateDecoder::new(&*packed)
        .read_to_end(&mut content)
        .map_err(|error| JournalError::Damaged(format!("the page {}: {error}", page.name)))?;
    Ok(content)
}

/// Is an object that is there what was to be made?
pub fn is_same(there: &ConfigMap, made: &ConfigMap) -> bool {
    let labelled =
        |object: &ConfigMap| object.metadata.labels.as_ref().and_then(|all| all.get(LABEL)).cloned();
    there.binary_data == made.binary_data && labelled(there) == labelled(made)
}

fn deflated(content: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content)?;
    encoder.finish()
}

/// Rows as the content of a page.
pub fn content(rows: &Rows) -> Result<Vec<u8>, JournalError> {
    let rows: BTreeMap<&String, Option<&str>> = rows.iter().map(|(key, row)| (key, row.as_deref())).collect();
    serde_json::to_vec(&rows).map_err(|error| JournalError::Damaged(error.to_string()))
}

/// The rows of a page.
pub fn rows(page: &PageName, content: &[u8]) -> Result<Rows, JournalError> {
    let rows: BTreeMap<String, Option<String>> = serde_json::from_slice(content)
        .map_err(|error| JournalError::Damaged(format!("the page {}: {error}", page.name)))?;
    Ok(rows.into_iter().map(|(key, row)| (key, row.map(Arc::from))).collect())
}

/// What the whole mesh knows never falls: of each number the higher one, of each name what either says.
pub fn raised(before: &Value, now: Value) -> Value {
    match (before, now) {
        (Value::Object(before), Value::Object(mut now)) => {
            for (name, value) in before {
                let raised = now.remove(name).map_or_else(|| value.clone(), |now| raised(value, now));
                now.insert(name.clone(), raised);
            }
            Value::Object(now)
        }
        (Value::Number(before), Value::Number(now)) if before.as_u64() > now.as_u64() => {
            before.clone().into()
        }
        (before, Value::Null) => before.clone(),
        (_, now) => now,
    }
}

#[cfg(test)]
mod tests {
    use judge::random::SplitMix64;

    use super::*;

    /// States of any size: each object stays below 64 KiB, and what is read is what was written.
    #[test]
    fn no_object_is_larger_than_64_kib() {
        let mut chance = SplitMix64::seeded(7);
        let mut noise = |length: usize| -> String {
            let mut draw = || char::from(b' ' + u8::try_from(chance.below(95)).expect("small"));
            (0..length).map(|_| draw()).collect()
        };
        for (many, length) in [(0, 0), (1, 0), (1, 40_000), (3, 200_000), (500, 3_000), (2_000, 20)] {
            let rows: Rows =
                (0..many).map(|n| (format!("rollout[\"r{n}\"]"), Some(Arc::from(noise(length))))).collect();
            let content_of = content(&rows).expect("JSON");
            let (page, objects) = written("serin", "serin-1-1".to_owned(), &content_of).expect("a page");
            for object in &objects {
                let bytes = serde_json::to_vec(object).expect("JSON").len();
                assert!(bytes < 64 * 1024, "{many} rows of {length} bytes: {bytes}");
            }
            let found = |name: &str| {
                objects.iter().find(|object| object.metadata.name.as_deref() == Some(name)).cloned()
            };
            let back = read(&page, found).expect("all parts");
            assert_eq!(super::rows(&page, &back).expect("rows"), rows);
            if page.parts > 1 {
                let torn = read(&page, |name| found(name).filter(|_| !name.ends_with("-1")));
                assert!(matches!(torn, Err(JournalError::Missing(_))), "a page with a part missing is none");
            }
        }
    }
}
