//! The cluster this process runs in, or is told of, behind the engine's ports.

mod pods;
mod workloads;

pub use pods::PodsOf;
pub use workloads::InCluster;
