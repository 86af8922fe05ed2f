//! The life of a cluster: each part is started, waited for, started again, and ended. What was started is written down
//! before anybody waits for it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::machine::{Machine, Process};
use super::shape::Part;

/// How often a part is tried on other ports: between looking for one and using it, somebody else may take it.
const TRIES: usize = 3;

/// How long a part may take to answer. A busy machine needs ten times what a quiet one does.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long a part that was asked to end is waited for.
const FAREWELL: Duration = Duration::from_secs(10);

/// What runs, as it is written into the cluster's folder (`cluster.json`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub kubeconfig: PathBuf,
    pub kubectl: PathBuf,
    /// In the order in which they were started.
    pub parts: Vec<Running>,
}

/// A part, and the process that it is or was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    #[serde(flatten)]
    pub part: Part,
    pub process: Process,
}

/// How a part is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Answers,
    /// It lives and does not do what it is for: what it said instead.
    Silent(String),
    Ended,
}

/// What was done to have a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    WasThere,
    Started,
    /// It had ended, and runs again where it was.
    StartedAgain,
}

impl Record {
    pub fn part(&self, name: &str) -> Option<&Running> {
        self.parts.iter().find(|running| running.part.name == name)
    }
}

/// A cluster on a machine. `keep` writes the record down.
pub struct Lifecycle<'a, M> {
    pub machine: M,
    pub record: Record,
    pub keep: &'a mut dyn FnMut(&Record) -> Result<()>,
}

impl<M: Machine> Lifecycle<'_, M> {
    /// Makes sure that the part `name` runs and answers; `shape` builds its command line for free ports.
    pub fn ensure<const N: usize>(
        &mut self,
        name: &str,
        shape: impl Fn([u16; N]) -> Result<Part>,
    ) -> Result<Done> {
        if let Some(running) = self.record.part(name).cloned() {
            let (running, done) = match self.machine.lives(&running.process) {
                true => (running, Done::WasThere),
                false => (self.start(running.part)?, Done::StartedAgain),
            };
            let found = self.wait(&running);
            return self.judge(found, &running.part, done);
        }
        for _ in 1..TRIES {
            let part = shape(self.machine.ports()?)?;
            let running = self.start(part)?;
            let found = self.wait(&running);
            if found != Found::Ended {
                return self.judge(found, &running.part, Done::Started);
            }
            self.forget(name)?;
        }
        let part = shape(self.machine.ports()?)?;
        let running = self.start(part)?;
        let found = self.wait(&running);
        self.judge(found, &running.part, Done::Started)
    }

    /// Ends the parts of those names, the newest first, and no other process.
    pub fn end(&mut self, names: &[String]) -> Result<()> {
        let parts: Vec<Running> = self.record.parts.iter().rev().cloned().collect();
        for running in parts.into_iter().filter(|running| names.contains(&running.part.name)) {
            self.machine.signal(&running.process, false)?;
            if !self.gone(&running.process) {
                self.machine.signal(&running.process, true)?;
                if !self.gone(&running.process) {
                    bail!("{} (process {}) does not end", running.part.name, running.process.pid);
                }
            }
            self.forget(&running.part.name)?;
        }
        Ok(())
    }

    pub fn state(&mut self, running: &Running) -> State {
        if !self.machine.lives(&running.process) {
            return State::Ended;
        }
        self.machine.answers(&running.part).map_or_else(State::Silent, |()| State::Answers)
    }

    pub fn names(&self) -> Vec<String> {
        self.record.parts.iter().map(|running| running.part.name.clone()).collect()
    }

    fn start(&mut self, part: Part) -> Result<Running> {
        let process = self.machine.start(&part)?;
        let running = Running { part, process };
        let known = self.record.parts.iter_mut().find(|known| known.part.name == running.part.name);
        match known {
            Some(known) => *known = running.clone(),
            None => self.record.parts.push(running.clone()),
        }
        (self.keep)(&self.record)?;
        Ok(running)
    }

    fn forget(&mut self, name: &str) -> Result<()> {
        self.record.parts.retain(|running| running.part.name != name);
        (self.keep)(&self.record)
    }

    fn judge(&mut self, found: Found, part: &Part, done: Done) -> Result<Done> {
        let why = match found {
            Found::Answers => return Ok(done),
            Found::Ended => "ended before it answered".to_owned(),
            Found::Silent(said) => {
                format!("runs and did not answer within {} s ({said})", PATIENCE.as_secs())
            }
        };
        bail!("{} {why}\n{}", part.name, self.machine.log(part))
    }

    fn wait(&mut self, running: &Running) -> Found {
        let mut waited = Duration::ZERO;
        loop {
            match self.state(running) {
                State::Answers => return Found::Answers,
                State::Ended => return Found::Ended,
                State::Silent(said) if waited > PATIENCE => return Found::Silent(said),
                State::Silent(_) => waited += self.machine.pause(),
            }
        }
    }

    fn gone(&mut self, process: &Process) -> bool {
        let mut waited = Duration::ZERO;
        while self.machine.lives(process) {
            if waited > FAREWELL {
                return false;
            }
            waited += self.machine.pause();
        }
        true
    }
}

/// What waiting for a part came to.
#[derive(PartialEq, Eq)]
enum Found {
    Answers,
    Silent(String),
    Ended,
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
