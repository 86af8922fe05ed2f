//! What is kept, and for how long.

use anyhow::Result;
use rusqlite::params;

use super::Store;

/// Runs taken out at once: the engine waits for it.
const AT_ONCE: u32 = 10;

impl Store {
    /// Adds up a little of what was measured long ago, and takes out a little of what is kept no longer; says whether there
    /// is more.
    ///
    /// # Errors
    /// When the disk does not take it: nothing of it is written then, and the error names a remedy.
    pub fn prune(&mut self, now_ms: u64) -> Result<bool> {
        let thinned = self.thin(now_ms)?;
        Ok(thinned | (self.forget(now_ms.saturating_sub(self.keep_ms))? > 0))
    }

    /// Takes out the oldest of the runs that were followed by another before `before_ms`, with all that belongs to them;
    /// says how many. The present run of each name stays whatever its age.
    ///
    /// # Errors
    /// When the disk does not take it: nothing of it is written then, and the error names a remedy.
    pub fn forget(&mut self, before_ms: u64) -> Result<usize> {
        let mut query = self
            .connection
            .prepare_cached("SELECT name, run FROM past_run WHERE unix_ms < ? ORDER BY unix_ms LIMIT ?")?;
        let runs = query
            .query_map(params![i64::try_from(before_ms)?, AT_ONCE], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<Vec<(String, i64)>, _>>()?;
        drop(query);
        if runs.is_empty() {
            return Ok(0);
        }
        self.write(|change| {
            for (name, run) in &runs {
                for table in ["measured", "journal", "past_run"] {
                    change
                        .prepare_cached(&format!("DELETE FROM {table} WHERE name = ? AND run = ?"))?
                        .execute(params![name, run])?;
                }
            }
            Ok(())
        })?;
        Ok(runs.len())
    }
}
