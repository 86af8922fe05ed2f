//! Who decides, and how does it reach the proxies? The engine keeps the runs and publishes weights.
//!
//! `server` builds the process around it. No protocol of the outside is spoken here: commands come by a channel
//! ([`engine::Command`]), and views leave by watches.

#![allow(missing_docs, reason = "one process in two crates: `server` alone uses what is public here")]

pub mod engine;
pub mod health;
pub mod publish;
pub mod specification;
