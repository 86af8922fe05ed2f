//! Which documents were published under which generation: what a proxy says it runs is compared with that.

use anyhow::Result;
use rusqlite::Transaction;

use super::Store;

pub const MIGRATION_9: &str = "
    -- Digests of the documents of a generation: one for each region, and for each release that wrote it in its own words.
    CREATE TABLE published (
        generation INTEGER NOT NULL, digest INTEGER NOT NULL, PRIMARY KEY (generation, digest)
    ) STRICT, WITHOUT ROWID;
";

/// So many generations are remembered.
pub const GENERATIONS: u64 = 256;

pub fn put(change: &Transaction<'_>, published: &[(u64, u64)]) -> Result<()> {
    let Some(newest) = published.iter().map(|(generation, _)| *generation).max() else { return Ok(()) };
    let mut add = change.prepare_cached("INSERT OR IGNORE INTO published VALUES (?1, ?2)")?;
    for (generation, digest) in published {
        add.execute((i64::try_from(*generation)?, digest.cast_signed()))?;
    }
    let oldest = i64::try_from(newest.saturating_sub(GENERATIONS))?;
    change.prepare_cached("DELETE FROM published WHERE generation <= ?")?.execute([oldest])?;
    Ok(())
}

impl Store {
    /// The documents of the last generations, each as generation and digest; the oldest first.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn published(&self) -> Result<Vec<(u64, u64)>> {
        let mut query = self.connection.prepare("SELECT generation, digest FROM published")?;
        let rows = query.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
        rows.map(|row| {
            let (generation, digest) = row?;
            Ok((u64::try_from(generation)?, digest.cast_unsigned()))
        })
        .collect()
    }
}
