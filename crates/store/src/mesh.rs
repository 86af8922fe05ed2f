//! What is not of one rollout: which policy was the last, and what nobody vouches for any more.

use std::collections::BTreeMap;

use anyhow::Result;
use rusqlite::{Connection, Transaction, params};
use serde::{Deserialize, Serialize};

use super::Store;

/// What the whole mesh is to know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mesh {
    /// Which store this is: proxies take nothing of a lower one.
    pub incarnation: u64,
    /// The generation of the last policy.
    pub generation: u64,
    /// Nobody vouches for anything that a policy of a lower generation says: revocations from the time when each was of all
    /// rollouts.
    pub all_revoked_below: u64,
    /// By rollout: nobody vouches for what a policy of a lower generation says of it.
    pub revoked_below: BTreeMap<String, u64>,
}

impl Mesh {
    /// The rollouts of which a policy of this generation says what nobody vouches for any more.
    pub fn revoked_since(&self, generation: u64) -> impl Iterator<Item = &str> {
        self.revoked_below
            .iter()
            .filter(move |(_, below)| generation < **below)
            .map(|(rollout, _)| rollout.as_str())
    }

    /// Nobody vouches any more for what a policy of a lower generation says of a rollout.
    pub fn revoke(&mut self, rollout: &str, below: u64) {
        let known = self.revoked_below.entry(rollout.to_owned()).or_default();
        *known = below.max(*known);
    }
}

impl Store {
    /// What the whole mesh is to know.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn mesh(&self) -> Result<Mesh> {
        mesh_of(&self.connection)
    }

    pub(super) fn number(&self, key: &str) -> Result<u64> {
        number(&self.connection, key)
    }
}

pub(super) fn mesh_of(connection: &Connection) -> Result<Mesh> {
    let mut query = connection.prepare("SELECT rollout, below FROM revoked")?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
    let mut revoked_below = BTreeMap::new();
    for row in rows {
        let (rollout, below) = row?;
        revoked_below.insert(rollout, u64::try_from(below)?);
    }
    Ok(Mesh {
        incarnation: number(connection, "incarnation")?,
        generation: number(connection, "generation")?,
        all_revoked_below: number(connection, "revoked_below")?,
        revoked_below,
    })
}

fn number(connection: &Connection, key: &str) -> Result<u64> {
    let value: i64 = connection.query_row("SELECT value FROM meta WHERE key = ?", [key], |row| row.get(0))?;
    Ok(u64::try_from(value)?)
}

/// Incarnations and generations never fall.
pub(super) fn raise(transaction: &Transaction<'_>, now: (u64, u64), revoked: &[(String, u64)]) -> Result<()> {
    for (key, value) in [("incarnation", now.0), ("generation", now.1)] {
        transaction
            .prepare_cached("UPDATE meta SET value = max(value, ?) WHERE key = ?")?
            .execute(params![i64::try_from(value)?, key])?;
    }
    let mut raise = transaction.prepare_cached(
        "INSERT INTO revoked VALUES (?1, ?2) ON CONFLICT (rollout) DO UPDATE SET below = max(below, ?2)",
    )?;
    for (rollout, below) in revoked {
        raise.execute(params![rollout, i64::try_from(*below)?])?;
    }
    Ok(())
}
