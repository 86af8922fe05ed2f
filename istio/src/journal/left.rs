//! Objects of the journal that no head names any more, until they are deleted.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::JournalError;

/// So many may wait for the next write without a word.
const FEW: usize = 8;

/// What is to be deleted yet.
#[derive(Debug, Default)]
pub struct LeftOver {
    known: Mutex<Known>,
    /// Whoever deletes.
    pub turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    names: BTreeSet<String>,
    /// Is somebody to delete them?
    asked: bool,
    /// Were people told that they stay?
    told: bool,
}

impl LeftOver {
    fn known<T>(&self, with: impl FnOnce(&mut Known) -> T) -> T {
        with(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// These are to be deleted too. Is anything?
    pub fn add(&self, names: Vec<String>) -> bool {
        self.known(|known| {
            known.names.extend(names);
            !known.names.is_empty()
        })
    }

    /// They are to be deleted, by whoever has the turn or takes it next.
    pub fn ask(&self) {
        self.known(|known| known.asked = true);
    }

    pub fn is_asked(&self) -> bool {
        self.known(|known| known.asked)
    }

    /// Whoever has the turn begins with all that are there.
    pub fn begin(&self) {
        self.known(|known| known.asked = false);
    }

    pub fn names(&self) -> Vec<String> {
        self.known(|known| known.names.iter().cloned().collect())
    }

    /// Is it to be deleted?
    pub fn holds(&self, name: &str) -> bool {
        self.known(|known| known.names.contains(name))
    }

    pub fn is_gone(&self, name: &str) {
        self.known(|known| {
            known.names.remove(name);
            if known.names.is_empty() && std::mem::take(&mut known.told) {
                tracing::info!("ConfigMaps of the journal that were left over are deleted");
            }
        });
    }

    /// One could not be deleted. People are told when there are more than a few, once.
    pub fn stays(&self, why: &JournalError) {
        self.known(|known| {
            let many = known.names.len();
            if many > FEW && !std::mem::replace(&mut known.told, true) {
                tracing::warn!(
                    "{many} ConfigMaps of the journal are left over, and become more with each write: {why}"
                );
            } else {
                tracing::debug!("{many} ConfigMaps of the journal are left over: {why}");
            }
        });
    }

    /// Were people told?
    #[cfg(test)]
    pub fn is_told(&self) -> bool {
        self.known(|known| known.told)
    }
}
