//! Sample model servers.

pub mod behaviour;
mod chat;
mod kind;
pub mod log;
pub mod reply;
pub mod server;

pub use behaviour::{Behaviour, Draw, Fate};
pub use kind::ModelKind;
pub use log::{Arrival, Log, Outcome};
pub use server::ModelServer;
