//! Which versions a rollout has had.

use anyhow::Result;

use super::Store;

impl Store {
    /// The versions that were behind the stable route in the runs of a name, the latest first; one can be there several
    /// times.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn stable_versions(&self, name: &str) -> Result<Vec<String>> {
        let mut query = self.connection.prepare(
            "SELECT json_extract(state, '$.stable_version'), json_extract(state, '$.plan.stable') FROM past_run
             WHERE name = ? ORDER BY run DESC",
        )?;
        let rows = query.query_map([name], |row| Ok([row.get(0)?, row.get(1)?]))?;
        let pairs = rows.collect::<Result<Vec<[String; 2]>, _>>()?;
        Ok(pairs.into_iter().flatten().collect())
    }
}
