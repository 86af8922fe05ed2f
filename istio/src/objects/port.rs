//! What the objects ask of the controller, and what it shows them.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use api::{Applied, Refusal, RunView};
use tokio::sync::watch;

/// Every run by name.
pub type Views = Arc<BTreeMap<String, Arc<RunView>>>;

/// An answer of the controller. It comes or fails within a bound: whoever waits for it holds nobody else up.
pub type Answered<'a, T> = Pin<Box<dyn Future<Output = Result<T, Refusal>> + Send + 'a>>;

/// The controller, as the objects see it: what a person does with `serin apply`, `serin abort` and `serin delete`.
pub trait Controller: Debug + Send + Sync {
    /// Applies a document.
    fn apply(&self, text: String) -> Answered<'_, Applied>;

    /// Sends all traffic of a rollout back to stable, at once.
    fn abort<'a>(&'a self, name: &'a str, why: &'a str) -> Answered<'a, ()>;

    /// Lets go of a rollout that is over.
    fn delete<'a>(&'a self, name: &'a str, why: &'a str) -> Answered<'a, ()>;

    /// What is to be seen of all.
    fn views(&self) -> watch::Receiver<Views>;
}
