//! True labels, by the prediction they belong to.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use crate::judgement::Table;

/// Labels by id.
pub struct Labels(BTreeMap<String, (String, u64)>);

impl Labels {
    /// Reads them; a row without a label says nothing, and one that is given twice must be the same.
    pub fn of(table: &Table, id: &str, label: &str) -> Result<Self> {
        let mut known: BTreeMap<String, (String, u64)> = BTreeMap::new();
        let rows = table.labels(id)?.into_iter().zip(table.labels(label)?).zip(table.lines());
        for ((key, value), line) in rows {
            if key.is_empty() {
                bail!(
                    "{}:{line}: column {id:?} is empty; every label needs the id of its prediction",
                    table.file()
                );
            }
            if value.is_empty() {
                continue;
            }
            match known.get(&key) {
                Some((other, before)) if *other != value => bail!(
                    "{}:{line}: {id} {key:?} has the label {value:?}, and {other:?} in line {before}; keep the one that is true",
                    table.file()
                ),
                _ => drop(known.insert(key, (value, line))),
            }
        }
        if known.is_empty() {
            bail!("{}: column {label:?} holds no label; name another with --label", table.file());
        }
        Ok(Self(known))
    }

    pub fn get(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(|(label, _)| label.as_str())
    }

    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(|(label, _)| label.as_str())
    }

    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}
