//! A world of requests: each is asked, assigned, answered or not, and counted by the code that counts in production.
//!
//! ```text
//! [ RequestWorld ] -- requests --> tally::{InFlight, Slot} -- looks --> tally::Follower --> CounterAccumulator --> step
//! ```
//!
//! What [`crate::run`] makes up are counts of an interval; here they come about. So this can go wrong in all the ways in
//! which counting can: weights that travel, requests that end late or never, proxies that lag, fall silent or start anew,
//! readings that are torn. Everything beside the network between them is the real thing: `split` assigns, `tally`
//! follows, names and reads, `rollout` judges.

mod counters;
mod fate;
mod looks;
mod named;
mod play;
mod pods;
mod proxy;
mod street;
mod tried;
mod world;

pub use named::{CanaryHealth, NAMED, Named};
pub use play::{RunResult, Script, play};
pub use tried::WorldResult;
pub use world::{Answers, CanaryDifference, Clients, Counting, Incident, Pods, Proxy, RequestWorld};
