//! Whoever runs the versions.

use std::pin::Pin;

use manifest::{ReadyWorkloads, WorkloadChange};

use super::DeployHook;

/// How many endpoints are ready, by arm; `Err` says in one sentence why that is not known.
pub type Counting<'a> = Pin<Box<dyn Future<Output = Result<ReadyCounts, String>> + Send + 'a>>;

/// Whoever runs the versions: can be asked which of their endpoints are ready, and be told to run another version.
pub trait Cluster: Send + Sync {
    /// May rollouts change what runs in this namespace?
    ///
    /// # Errors
    /// Why not, and what the operator can do.
    fn may_change(&self, namespace: &str) -> Result<(), String>;

    /// The change from one version to the other as a hook; `from`: all that may be there now.
    fn change(&self, change: &WorkloadChange, from: &[String], to: &str) -> Box<dyn DeployHook>;

    /// Counts the ready endpoints of stable and of these further arms.
    fn ready<'a>(&'a self, workloads: &'a ReadyWorkloads, arms: &'a [String]) -> Counting<'a>;
}

/// How many endpoints are ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadyCounts {
    /// Of the version on trial that has the fewest.
    pub canary: u32,
    /// Of stable; `None`: it is not counted.
    pub stable: Option<u32>,
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
