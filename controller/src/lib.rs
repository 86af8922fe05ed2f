//! Who decides, and how does it reach the proxies? The engine keeps the runs, publishes weights and reads counters.
//!
//! `server` builds the process around it. No protocol of the outside is spoken here: commands come by a channel
//! ([`engine::Command`]), and views leave by watches.

#![allow(missing_docs, reason = "one process in two crates: `server` alone uses what is public here")]

pub mod clock;
pub mod engine;
pub mod evidence;
pub mod health;
pub mod lease;
pub mod publish;
pub mod scrape;
pub mod specification;
pub mod traffic;
pub mod webhook;
