//! A cluster for the time of one command.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::folder::RECORD;

/// A cluster that ends with this value, and with this process however that ends: `up --hold` in a process of its own
/// sees its standard input closed.
pub struct Keeper {
    child: Child,
    folder: PathBuf,
}

impl Keeper {
    /// Starts one in that folder; `xtask` is this program as it was just built, which may not be the file we run from.
    pub fn start(xtask: &Path, folder: &Path) -> Result<Self> {
        let mut child = Command::new(xtask)
            .args(["cluster", "up", "--hold", "--dir"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for those whose cluster it is.
            .process_group(0)
            .spawn()
            .context("the cluster's keeper could not be started")?;
        let output = child.stdout.take().context("the keeper has no output")?;
        let said = BufReader::new(output).lines().next();
        ensure!(matches!(said, Some(Ok(_))), "no cluster: see the message above");
        Ok(Self { child, folder: folder.to_owned() })
    }

    /// What is written down of it.
    pub fn record(&self) -> PathBuf {
        self.folder.join(RECORD)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
