//! The rows that another replica of the controller needs in order to go on, written elsewhere with each decision.
//!
//! Triggers of this connection note which rows a transaction touches. Before it is committed here, those rows are sent: so
//! what holds here holds there, and a decision that is refused there is none. Evidence alone is sent now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rusqlite::{Connection, OptionalExtension, Transaction};

use super::mesh::{Mesh, mesh_of};
use super::{Store, migrations};

/// Evidence without a decision is sent this often.
const EVIDENCE: Duration = Duration::from_secs(15);

/// A table that is needed elsewhere.
struct Table {
    name: &'static str,
    key: &'static [&'static str],
    columns: &'static [&'static str],
    /// So many of the latest, by the last part of the key, are enough there; `None`: all.
    latest: Option<i64>,
}

/// The journal's lines and what is over are kept in full on the volume of whoever wrote them.
const TABLES: [Table; 11] = [
    Table { name: "meta", key: &["key"], columns: &["key", "value"], latest: None },
    Table {
        name: "rollout",
        key: &["name"],
        columns: &["name", "spec", "state", "generation", "unix_ms"],
        latest: None,
    },
    Table {
        name: "past_run",
        key: &["name", "run"],
        columns: &["name", "run", "spec", "state", "unix_ms"],
        latest: Some(3),
    },
    Table {
        name: "exercise",
        key: &["name", "kind", "number"],
        columns: &["name", "kind", "number", "outcome", "ended_unix_ms", "state"],
        latest: Some(5),
    },
    Table {
        name: "queued",
        key: &["name"],
        columns: &["name", "spec", "who", "unix_ms", "refused"],
        latest: None,
    },
    Table { name: "registry_trigger", key: &["name"], columns: &["name", "spec", "pending"], latest: None },
    Table {
        name: "triggered",
        key: &["name", "version"],
        columns: &["name", "version", "triggered"],
        latest: None,
    },
    Table { name: "practised", key: &["name", "kind"], columns: &["name", "kind", "state"], latest: None },
    Table { name: "revoked", key: &["rollout"], columns: &["rollout", "below"], latest: None },
    Table {
        name: "published",
        key: &["generation", "digest"],
        columns: &["generation", "digest"],
        latest: None,
    },
    Table {
        name: "journal",
        key: &["seq"],
        columns: &["seq", "name", "run", "unix_ms", "kind", "who", "what", "why", "detail", "chain"],
        latest: Some(256),
    },
];

/// Rows that were written together.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// The form of the tables.
    pub form: i64,
    /// What the whole mesh is to know.
    pub mesh: Mesh,
    /// Each by its key, as JSON; `None`: it is gone.
    pub rows: Vec<(String, Option<String>)>,
}

/// Sends rows; when it returns without an error, they are there.
pub type Sender = Box<dyn FnMut(Sent) -> Result<()> + Send>;

/// Where rows are sent.
pub(super) struct Replication {
    send: Sender,
    /// When that was last done.
    at: Option<Instant>,
    /// Rows of which it is not known whether they are there as they are here.
    unsure: BTreeSet<String>,
}

impl Table {
    fn of(key: &str) -> Option<&'static Self> {
        let (name, _) = key.split_once('[')?;
        TABLES.iter().find(|table| table.name == name)
    }

    /// Its key as JSON, of a row that SQL calls so.
    fn key_of(&self, row: &str) -> String {
        let parts: Vec<String> = self.key.iter().map(|column| format!("{row}{column}")).collect();
        format!("json_array({})", parts.join(", "))
    }

    fn object(&self) -> String {
        let parts: Vec<String> =
            self.columns.iter().map(|column| format!("'{column}', \"{column}\"")).collect();
        format!("json_object({})", parts.join(", "))
    }

    /// The row with a key.
    fn row(&self, connection: &Connection, key: &str) -> Result<Option<String>> {
        let of: Vec<String> = self
            .key
            .iter()
            .enumerate()
            .map(|(place, column)| format!("\"{column}\" = json_extract(?1, '$[{place}]')"))
            .collect();
        let query = format!("SELECT {} FROM {} WHERE {}", self.object(), self.name, of.join(" AND "));
        let key = key.get(self.name.len()..).unwrap_or_default();
        Ok(connection.prepare_cached(&query)?.query_row([key], |row| row.get(0)).optional()?)
    }

    /// The key of the row that is one too many since this one is there.
    fn surplus(&self, key: &str) -> Option<String> {
        let latest = self.latest?;
        let mut parts: Vec<serde_json::Value> = serde_json::from_str(key.get(self.name.len()..)?).ok()?;
        let last = parts.last_mut()?;
        *last = (last.as_i64()? - latest).into();
        Some(format!("{}{}", self.name, serde_json::to_string(&parts).ok()?))
    }

    fn put(&self, change: &Transaction<'_>, row: &str) -> Result<()> {
        let columns: Vec<String> = self.columns.iter().map(|column| format!("\"{column}\"")).collect();
        let values: Vec<String> =
            self.columns.iter().map(|column| format!("json_extract(?1, '$.{column}')")).collect();
        let query = format!(
            "INSERT OR REPLACE INTO {} ({}) SELECT {}",
            self.name,
            columns.join(", "),
            values.join(", ")
        );
        change.prepare_cached(&query)?.execute([row])?;
        Ok(())
    }

    /// All its rows that are wanted elsewhere, with their keys.
    fn all(&self, connection: &Connection) -> Result<Vec<(String, Option<String>)>> {
        let only = match (self.latest, self.key.split_last()) {
            (Some(latest), Some((last, before))) => {
                let same: Vec<String> =
                    before.iter().map(|column| format!(" AND n.{column} = t.{column}")).collect();
                let same = same.concat();
                format!(
                    " WHERE t.{last} > (SELECT max(n.{last}) FROM {} n WHERE true{same}) - {latest}",
                    self.name
                )
            }
            _ => String::new(),
        };
        let query = format!("SELECT {}, {} FROM {} t{only}", self.key_of("t."), self.object(), self.name);
        let mut query = connection.prepare(&query)?;
        let rows = query.query_map([], |row| {
            Ok((format!("{}{}", self.name, row.get::<_, String>(0)?), row.get::<_, Option<String>>(1)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl Replication {
    /// Sends what a transaction touched. `evidence`: it decides nothing, so it may wait.
    pub fn send(&mut self, change: &Transaction<'_>, evidence: bool) -> Result<()> {
        let recent = self.at.is_some_and(|at| at.elapsed() < EVIDENCE);
        if evidence && recent && self.unsure.is_empty() {
            return Ok(());
        }
        let mut query = change.prepare_cached("SELECT DISTINCT tbl || k FROM temp.touched")?;
        let touched = query.query_map([], |row| row.get::<_, String>(0))?;
        self.unsure.extend(touched.collect::<Result<Vec<_>, _>>()?);
        if self.unsure.is_empty() {
            return Ok(());
        }
        let mut rows = BTreeMap::new();
        for key in &self.unsure {
            let Some(table) = Table::of(key) else { continue };
            let row = table.row(change, key)?;
            if let Some(surplus) = table.surplus(key).filter(|_| row.is_some()) {
                rows.entry(surplus).or_insert(None);
            }
            rows.insert(key.clone(), row);
        }
        let sent =
            Sent { form: migrations::PRESENT, mesh: mesh_of(change)?, rows: rows.into_iter().collect() };
        (self.send)(sent)?;
        change.execute("DELETE FROM temp.touched", [])?;
        self.at = Some(Instant::now());
        Ok(())
    }

    /// What was sent holds here too.
    pub fn committed(&mut self) {
        self.unsure.clear();
    }
}

impl Store {
    /// From now on every change is sent before it holds here.
    ///
    /// # Errors
    /// When SQLite takes no such order.
    pub fn replicate(&mut self, send: Sender) -> Result<()> {
        self.connection.pragma_update(None, "temp_store", "MEMORY")?;
        // A conflict clause of a trigger would be that of the statement which fires it: so rows may be noted twice.
        let mut orders = String::from("CREATE TEMP TABLE touched (tbl TEXT NOT NULL, k TEXT NOT NULL);");
        for table in &TABLES {
            for (event, row) in [("INSERT", "NEW."), ("UPDATE", "NEW."), ("DELETE", "OLD.")] {
                let (name, key) = (table.name, table.key_of(row));
                orders += &format!(
                    "CREATE TEMP TRIGGER touch_{name}_{event} AFTER {event} ON main.{name}
                     BEGIN INSERT INTO touched VALUES ('{name}', {key}); END;"
                );
            }
        }
        self.connection.execute_batch(&orders)?;
        self.replication = Some(Replication { send, at: None, unsure: BTreeSet::new() });
        Ok(())
    }

    /// All rows that another replica needs, for a place where none are yet.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn all_rows(&mut self) -> Result<Sent> {
        let lineage = i64::try_from(self.incarnation)?;
        self.connection.execute("INSERT OR IGNORE INTO meta VALUES ('lineage', ?)", [lineage])?;
        let mut rows = Vec::new();
        for table in &TABLES {
            rows.extend(table.all(&self.connection)?);
        }
        Ok(Sent { form: migrations::PRESENT, mesh: self.mesh()?, rows })
    }

    /// May these rows take the place of what is here? Not where there are decisions that they do not come from.
    ///
    /// # Errors
    /// When they may not; the error names a remedy.
    pub fn fits<'a>(&self, rows: impl Iterator<Item = (&'a str, &'a str)>) -> Result<()> {
        let own = self.lineage()?;
        let mut rows = rows.filter(|(key, _)| *key == "meta[\"lineage\"]");
        let theirs = rows.next().and_then(|(_, row)| serde_json::from_str::<serde_json::Value>(row).ok());
        let theirs = theirs.and_then(|row| row.get("value")?.as_i64());
        let count = |table: &str| {
            let query = format!("SELECT count(*) FROM {table}");
            self.connection.query_row(&query, [], |row| row.get::<_, i64>(0))
        };
        let (decided, waiting, triggers) = (count("rollout")?, count("queued")?, count("registry_trigger")?);
        if decided + waiting + triggers > 0 && own != theirs {
            bail!(
                "the store {} has {decided} rollouts of its own, {waiting} that wait and {triggers} triggers, and the journal in the cluster is another's; give this replica a \
                 new --store, or let the one with this store begin alone under another --kubernetes-lease",
                self.path.display()
            );
        }
        Ok(())
    }

    fn lineage(&self) -> Result<Option<i64>> {
        let query = "SELECT value FROM meta WHERE key = 'lineage'";
        Ok(self.connection.query_row(query, [], |row| row.get(0)).optional()?)
    }

    /// These rows take the place of what is here. The journal, what was measured and what is over stay, as far as they are
    /// of what the rows tell of.
    ///
    /// # Errors
    /// When a later serin wrote them, they do not fit, or the disk refuses; then nothing was changed.
    pub fn take_over<'a>(
        &mut self,
        form: i64,
        rows: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    ) -> Result<()> {
        if form > migrations::PRESENT {
            bail!(
                "the journal in the cluster has form {form}, this serin reads form {}; use the serin that wrote it",
                migrations::PRESENT
            );
        }
        self.fits(rows.clone())?;
        self.write(|change| {
            for name in [
                "meta",
                "rollout",
                "queued",
                "registry_trigger",
                "triggered",
                "practised",
                "revoked",
                "published",
            ] {
                change.execute(&format!("DELETE FROM {name}"), [])?;
            }
            // A line of the same number that holds takes the place of one that does not.
            for (key, row) in rows {
                let table =
                    Table::of(key).with_context(|| format!("{key} is of no table that is known here"))?;
                table.put(change, row).with_context(|| format!("{key} cannot be read"))?;
            }
            change.execute(
                "DELETE FROM past_run WHERE EXISTS (SELECT 1 FROM rollout r WHERE r.name = past_run.name
                 AND json_extract(r.state, '$.run') <= past_run.run)",
                [],
            )?;
            Ok(())
        })?;
        self.incarnation = self.number("incarnation")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
