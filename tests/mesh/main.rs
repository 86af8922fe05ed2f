//! Stories on a real API server and a real istiod: what is shipped in `istio/`, as it is shipped.
//!
//! `cargo xtask test` runs them where the control plane's programs are built already (`SERIN_MESH`), and counts them as
//! skipped elsewhere; hence each is `#[ignore]`d for whoever calls cargo directly.

#![allow(missing_docs)]

#[cfg(test)]
mod agent;
#[cfg(test)]
mod argo_rollouts;
#[cfg(test)]
mod chart;
#[cfg(test)]
mod controlled;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod failover;
#[cfg(test)]
mod fast_lane;
#[cfg(test)]
mod flagger;
#[cfg(test)]
mod latency;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod plugin;
#[cfg(test)]
mod pods;
#[cfg(test)]
mod regions;
#[cfg(test)]
mod rollouts;
#[cfg(test)]
mod server;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod workloads;
