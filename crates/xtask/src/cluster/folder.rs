//! Where a cluster keeps everything: data, logs, and the record of what runs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::lifecycle::Record;
use crate::process::say;

/// The record's name.
pub const RECORD: &str = "cluster.json";

/// Where a cluster keeps everything.
pub struct Folder(PathBuf);

impl Folder {
    pub fn at(path: &Path) -> Result<Self> {
        Ok(Self(std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))?))
    }

    pub fn whole(&self) -> &Path {
        &self.0
    }

    /// The path of a file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file in it, and the folders above.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Makes it, unless it holds something else.
    pub fn make(&self) -> Result<()> {
        fs::create_dir_all(&self.0).with_context(|| format!("cannot make {}", self.0.display()))?;
        let mut entries =
            fs::read_dir(&self.0).with_context(|| format!("cannot read {}", self.0.display()))?;
        ensure!(
            self.path(RECORD).is_file() || entries.next().is_none(),
            "{} holds something else than a cluster: name an empty folder with --dir",
            self.0.display()
        );
        Ok(())
    }

    /// One command at a time changes a cluster. The lock lies beside it, since the folder is removed.
    pub fn lock(&self) -> Result<File> {
        let path = self.lock_file();
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        let lock = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        if lock.try_lock().is_err() {
            say("waiting for another command on this cluster");
            lock.lock().context("cannot lock the cluster")?;
        }
        Ok(lock)
    }

    pub fn lock_file(&self) -> PathBuf {
        self.0.with_extension("lock")
    }

    /// What runs in it; `None` when nothing was ever started.
    pub fn record(&self) -> Result<Option<Record>> {
        let path = self.path(RECORD);
        match fs::read_to_string(&path) {
            Ok(text) => {
                let record = serde_json::from_str(&text).with_context(|| {
                    format!(
                        "{} cannot be read: end the processes it names, and remove the folder",
                        path.display()
                    )
                })?;
                Ok(Some(record))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Writes down what runs.
    pub fn keep(&self, record: &Record) -> Result<()> {
        let text = serde_json::to_string_pretty(record).context("the record is no JSON")?;
        // Whole or not at all: it says what must be ended.
        let part = self.write("cluster.json.part", &text)?;
        fs::rename(&part, self.path(RECORD)).context("cannot write the record")
    }
}
