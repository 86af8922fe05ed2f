//! The controller's side of the dead-man's switch: is the policy a proxy runs still good?

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::clock;

/// A controller whose engine has not come round for this long must not vouch for anything.
const ENGINE_SILENT_MS: u64 = 10_000;

/// What is vouched for; written by the engine, read by the API.
#[derive(Clone, Debug)]
pub struct LeaseBook(Arc<Mutex<Page>>);

#[derive(Clone, Copy, Debug)]
struct Page {
    incarnation: u64,
    generation: u64,
    revoked_below: u64,
    ttl_ms: u32,
    engine_monotonic_ns: u64,
}

/// What a proxy asks.
#[derive(Clone, Debug, Deserialize)]
pub struct Question {
    pub incarnation: u64,
    pub generation: u64,
    /// Who asks; for the log.
    #[serde(default)]
    pub node: String,
}

/// What it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    pub incarnation: u64,
    pub generation: u64,
    pub lease: Word,
    pub ttl_ms: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// It stands for another `ttl_ms`.
    Renew,
    /// It was taken back: stable, now.
    Revoke,
    /// Not one of ours: it runs out by itself.
    Unknown,
}

impl LeaseBook {
    pub fn new(incarnation: u64, ttl_ms: u32) -> Self {
        let page = Page {
            incarnation,
            generation: 0,
            revoked_below: 0,
            ttl_ms,
            engine_monotonic_ns: clock::monotonic_ns(),
        };
        Self(Arc::new(Mutex::new(page)))
    }

    /// The engine came round.
    pub fn alive(&self) {
        self.change(|page| page.engine_monotonic_ns = clock::monotonic_ns());
    }

    pub fn published(&self, generation: u64, ttl_ms: u32) {
        self.change(|page| {
            page.generation = generation;
            page.ttl_ms = ttl_ms;
        });
    }

    pub fn revoke_below(&self, generation: u64) {
        self.change(|page| page.revoked_below = page.revoked_below.max(generation));
    }

    /// `None`: the engine is stuck, and silence is the honest answer.
    pub fn answer(&self, question: &Question) -> Option<Answer> {
        let page = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let silent_ms = clock::monotonic_ns().saturating_sub(page.engine_monotonic_ns) / 1_000_000;
        if silent_ms > ENGINE_SILENT_MS {
            tracing::error!(node = question.node, silent_ms, "the engine is stuck: no lease is renewed");
            return None;
        }
        let answer = page.answer(question);
        if answer.lease != Word::Renew {
            tracing::debug!(node = question.node, generation = question.generation, lease = ?answer.lease);
        }
        Some(answer)
    }

    fn change(&self, change: impl FnOnce(&mut Page)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Page {
    const fn answer(&self, question: &Question) -> Answer {
        let lease = if question.incarnation != self.incarnation || question.generation > self.generation {
            Word::Unknown
        } else if question.generation < self.revoked_below {
            Word::Revoke
        } else {
            Word::Renew
        };
        Answer {
            incarnation: question.incarnation,
            generation: question.generation,
            lease,
            ttl_ms: self.ttl_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_is_renewed_and_what_was_taken_back_is_revoked() {
        let page =
            Page { incarnation: 9, generation: 5, revoked_below: 4, ttl_ms: 5_000, engine_monotonic_ns: 0 };
        for (incarnation, generation, lease) in [
            (9, 5, Word::Renew),
            (9, 4, Word::Renew),
            (9, 3, Word::Revoke),
            (9, 6, Word::Unknown),
            (8, 5, Word::Unknown),
            (10, 1, Word::Unknown),
        ] {
            let question = Question { incarnation, generation, node: String::new() };
            assert_eq!(page.answer(&question).lease, lease, "{incarnation}-{generation}");
        }
    }
}
