//! What a model registry tells us of its own accord: is it from whom it should be, is it new, and does it mean "go"?

mod payload;
mod signature;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;

pub use payload::{Delivered, read};
pub use signature::{Delivery, Unsigned};

use signature::verify;

/// Deliveries that were taken, by trigger and id, each until its time is too far from ours anyway. Kept in memory
/// alone: after a restart, a repeated delivery names a version that has triggered already.
#[derive(Clone, Default)]
pub struct Deliveries(Arc<Mutex<BTreeMap<(String, String), u64>>>);

impl Deliveries {
    /// Was it taken before?
    pub fn contains(&self, trigger: &str, delivery: &Delivery, now_ms: u64) -> bool {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|_, until_ms| *until_ms > now_ms);
        taken.contains_key(&(trigger.to_owned(), delivery.id.clone()))
    }

    /// It was taken. A delivery that failed on our side is not noted, so that it can be sent again.
    pub fn insert(&self, trigger: &str, delivery: &Delivery, tolerance_ms: u64) {
        let until_ms = delivery.unix_ms.saturating_add(tolerance_ms).saturating_add(1_000);
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.insert((trigger.to_owned(), delivery.id.clone()), until_ms);
    }
}

/// Checks a delivery against the trigger's secret; `None`: the trigger accepts unsigned deliveries.
pub fn check(
    secret: Option<&str>,
    tolerance_ms: u64,
    headers: &HeaderMap,
    body: &[u8],
    now_ms: u64,
) -> Result<Option<Delivery>, Unsigned> {
    secret.map(|secret| verify(secret, tolerance_ms, headers, body, now_ms)).transpose()
}
