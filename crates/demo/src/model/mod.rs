//! Sample model servers.

pub mod behaviour;
pub mod log;
pub mod reply;
pub mod server;

pub use behaviour::{Behaviour, Draw, Fate};
pub use log::{Arrival, Log, Outcome};
pub use server::ModelServer;
