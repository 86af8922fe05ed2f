//! What would this rollout do?
//!
//! ```text
//! [ Plan ] + [ World ] + seed -- run --> [ Outcome ];   many outcomes --> [ Summary ]
//! [ Plan ] + [ RequestWorld ] + seed -- play --> [ Played ];   many of them --> [ Tried ]
//! ```
//!
//! The machine is the one that decides in production ([`rollout::step`] with every gate and guardrail of the plan); only
//! the traffic is made up, by a seeded generator, and the clock is a number. The same seed gives the same run on every
//! machine. No threads here: whoever wants many runs calls [`run`] many times. It makes up counts; [`play`] makes up
//! requests, one by one, and leaves the counting to the code that counts in production.

mod chance;
mod outcome;
mod requests;
mod run;
mod shape;
mod summary;
mod users;
mod world;

pub use chance::Chance;
pub use outcome::{End, Outcome};
pub use requests::{
    Answers, CanaryDifference, CanaryHealth, Clients, Counting, Incident, NAMED, Named, Pods, Proxy,
    RequestWorld, RunResult, Script, WorldResult, play,
};
pub use run::{horizon_ms, run};
pub use shape::{BadTraffic, Beta, Latency};
pub use summary::{Share, Spread, Summary};
pub use users::Users;
pub use world::{Harm, NotAHarm, Traffic, World};
