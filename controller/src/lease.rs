//! The controller's side of the dead-man's switch: is the policy a proxy runs still good?

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::clock;

/// A controller whose engine has not come round for this long must not vouch for anything.
const ENGINE_SILENT_MS: u64 = 10_000;

/// What is vouched for; written by the engine, read by the API.
#[derive(Clone, Debug)]
pub struct LeaseBook(Arc<Mutex<Page>>, Arc<Mutex<BTreeMap<String, Heard>>>);

/// What a proxy was last told.
#[derive(Clone, Copy, Debug)]
struct Heard {
    generation: u64,
    lease: Word,
    at_monotonic_ns: u64,
}

/// Proxies are remembered for this long after they last asked.
const REMEMBERED_NS: u64 = 600_000_000_000;

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
        Self(Arc::new(Mutex::new(page)), Arc::default())
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
        self.remember(question, answer.lease);
        if answer.lease != Word::Renew {
            tracing::debug!(node = question.node, generation = question.generation, lease = ?answer.lease);
        }
        Some(answer)
    }

    /// Names of the proxies that asked for this generation or a later one and were last told that it stands, and of
    /// those that were told that it is revoked.
    pub fn heard(&self, generation: u64) -> (Vec<String>, Vec<String>) {
        let heard = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let told = |word: Word| {
            let fits =
                heard.iter().filter(|(_, heard)| heard.generation >= generation && heard.lease == word);
            fits.map(|(node, _)| node.clone()).collect()
        };
        (told(Word::Renew), told(Word::Revoke))
    }

    fn remember(&self, question: &Question, lease: Word) {
        let mut heard = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ns = clock::monotonic_ns();
        if !heard.contains_key(&question.node) {
            heard.retain(|_, heard| now_ns.saturating_sub(heard.at_monotonic_ns) < REMEMBERED_NS);
        }
        let told = Heard { generation: question.generation, lease, at_monotonic_ns: now_ns };
        heard.insert(question.node.clone(), told);
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
    fn who_asked_and_what_it_was_told() {
        let book = LeaseBook::new(9, 5_000);
        book.published(5, 5_000);
        let ask = |node: &str, generation| {
            book.answer(&Question { incarnation: 9, generation, node: node.to_owned() }).expect("an answer");
        };
        ask("a", 5);
        ask("b", 4);
        assert_eq!(book.heard(5), (vec!["a".to_owned()], vec![]));
        book.revoke_below(6);
        ask("a", 5);
        ask("b", 5);
        assert_eq!(book.heard(5), (vec![], vec!["a".to_owned(), "b".to_owned()]));
    }

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
