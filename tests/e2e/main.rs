//! Stories on real processes: Envoy with the built filter, the controller, sample model servers, a seeded load.
//!
//! `cargo xtask test` finds or installs what they need and says so; without it they fail and name that command.

#![allow(missing_docs)]

#[cfg(test)]
mod acts;
#[cfg(test)]
mod answers;
#[cfg(test)]
mod arms;
#[cfg(test)]
mod back;
#[cfg(test)]
mod cohorts;
#[cfg(test)]
mod command;
#[cfg(test)]
mod credentials;
#[cfg(test)]
mod demos;
#[cfg(test)]
mod drills;
#[cfg(test)]
mod envoy_alone;
#[cfg(test)]
mod evidence;
#[cfg(test)]
mod fates;
#[cfg(test)]
mod fleets;
#[cfg(test)]
mod hooks;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod leases;
#[cfg(test)]
mod manifests;
#[cfg(test)]
mod pipelines;
#[cfg(test)]
mod policies;
#[cfg(test)]
mod pushes;
#[cfg(test)]
mod ready;
#[cfg(test)]
mod restarts;
#[cfg(test)]
mod restored;
#[cfg(test)]
mod retries;
#[cfg(test)]
mod rollouts;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod shadows;
#[cfg(test)]
mod shares;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod traps;
#[cfg(test)]
mod triggers;
#[cfg(test)]
mod watch;
