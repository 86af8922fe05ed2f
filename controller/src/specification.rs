//! A specification, read before it comes to the engine: one that is long or deeply nested delays no other command.

use std::sync::Arc;
use std::time::Duration;

use api::Refusal;
use manifest::{Loaded, Plan, Problem, Trigger};
use tokio::sync::Semaphore;

use crate::engine::compiles;

/// What is longer than this in being read is refused; it goes on being read, and holds one of the readers until then.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A specification that was read.
pub struct Specification {
    /// As it was applied.
    pub text: String,
    pub loaded: Loaded,
}

impl Specification {
    /// Reads it, and its policies as a filter would.
    pub fn read(text: String) -> Result<Self, Refusal> {
        let loaded = manifest::load(&text).map_err(|problems| Refusal::Invalid(problems.to_string()))?;
        loaded.plans().iter().try_for_each(compiles)?;
        Ok(Self { text, loaded })
    }
}

/// A trigger that was read.
pub struct ReadTrigger {
    /// As it was applied.
    pub text: String,
    pub trigger: Trigger,
    pub warnings: Vec<Problem>,
    /// What it would roll out, with a version that stands for any.
    pub sample: Plan,
}

impl ReadTrigger {
    /// Reads it, and the policies of what it rolls out as a filter would.
    pub fn read(text: String) -> Result<Self, Refusal> {
        let invalid = |problems: manifest::Problems| Refusal::Invalid(problems.to_string());
        let (trigger, warnings) = manifest::load_trigger(&text).map_err(invalid)?;
        let sample = manifest::compile(&trigger.sample()).map_err(invalid)?;
        compiles(&sample)?;
        Ok(Self { text, trigger, warnings, sample })
    }
}

/// Those who read what people apply, beside the engine.
#[derive(Clone, Debug)]
pub struct SpecificationReaders(Arc<Semaphore>);

impl Default for SpecificationReaders {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(2)))
    }
}

impl SpecificationReaders {
    /// Reads something in turn.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let readers = self.0.clone();
        let reading = async move {
            let reader = readers.acquire_owned().await.ok()?;
            let reading = tokio::task::spawn_blocking(move || {
                let _reader = reader;
                read()
            });
            reading.await.ok()
        };
        match tokio::time::timeout(TIMEOUT, reading).await {
            Ok(Some(read)) => read,
            Ok(None) => Err(Refusal::Failed("the specification could not be read; see the log".to_owned())),
            Err(_) => Err(Refusal::Invalid(format!(
                "it takes longer than {} s to read; divide it into several documents",
                TIMEOUT.as_secs()
            ))),
        }
    }
}
