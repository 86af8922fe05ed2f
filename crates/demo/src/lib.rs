//! Sample model servers, a seeded load, and the report of one rollout.
//!
//! - [`model`]: an HTTP/1.1 and HTTP/2 server that behaves like a model of a given quality, and logs what it did;
//! - [`load`]: many users at a constant rate, what each of their requests came to, and the sums over them;
//! - [`istio`]: a service of two arms as Istio is told of it, and a sidecar for its callers;
//! - [`run`]: servers, Envoy, controller and load put together for one scenario, and its report.
//!
//! Everything drawn at random follows from a seed and a request id, so a run repeats; only time does not.

pub mod chance;
pub mod clock;
pub mod istio;
pub mod load;
pub mod model;
pub mod run;
