//! One stream's conversation, without the stream: what was offered, what the answers mean.

use std::collections::VecDeque;

use crate::Version;

/// What one message from Envoy says, the same for both forms of the protocol.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said<'m> {
    /// The response it answers; empty: none, it opens or changes a subscription.
    pub nonce: &'m str,
    /// The version the node says it holds.
    pub version: &'m str,
    /// Why it would not take the response.
    pub error: Option<&'m str>,
    /// Whether it now wants our resource; `None`: as before.
    pub wants: Option<bool>,
}

/// What a message means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing about what the node holds: a subscription, or an answer to something long replaced.
    Nothing,
    /// The generation is in force.
    Acknowledged {
        /// Which.
        generation: u64,
    },
    /// The node brought this along from an earlier stream. It is a number: whether what it stands for is what we say, nobody
    /// knows, so it acknowledges nothing and is sent over.
    Brought(Version),
    /// The node goes on without it.
    Refused {
        /// Which.
        generation: u64,
        /// In Envoy's words.
        reason: String,
    },
}

/// One stream's state.
#[derive(Debug)]
pub(super) struct Session {
    wanted: bool,
    offered: Option<u64>,
    open: VecDeque<(String, u64)>,
    nonces: u64,
}

/// Offers that may wait for an answer. Envoy answers in order, and an answer settles all before it, so only a node
/// that never answers comes near.
const OPEN: usize = 64;

impl Session {
    pub(super) const fn new() -> Self {
        Self { wanted: false, offered: None, open: VecDeque::new(), nonces: 0 }
    }

    /// Takes in one message.
    pub(super) fn hear(&mut self, said: Said<'_>) -> Heard {
        let heard = if said.nonce.is_empty() { self.opening(said) } else { self.answer(said) };
        if let Some(wanted) = said.wants {
            if wanted && !self.wanted {
                // Whatever was offered before it let go of the resource is no longer held.
                self.offered = None;
            }
            self.wanted = wanted;
        }
        heard
    }

    /// Is there something to send?
    pub(super) fn due(&self, generation: u64) -> bool {
        self.wanted && self.offered != Some(generation)
    }

    /// Notes that a generation is being sent; returns its nonce.
    pub(super) fn offer(&mut self, generation: u64) -> String {
        self.nonces += 1;
        let nonce = self.nonces.to_string();
        self.offered = Some(generation);
        if self.open.len() == OPEN {
            self.open.pop_front();
        }
        self.open.push_back((nonce.clone(), generation));
        nonce
    }

    /// A first message may name a version from an earlier stream.
    fn opening(&self, said: Said<'_>) -> Heard {
        if self.offered.is_some() || said.error.is_some() {
            return Heard::Nothing;
        }
        said.version.parse::<Version>().map_or(Heard::Nothing, Heard::Brought)
    }

    /// An answer to an offer still open counts even when a newer one is under way: the node did hold, or refuse, it.
    fn answer(&mut self, said: Said<'_>) -> Heard {
        let Some(index) = self.open.iter().position(|(nonce, _)| nonce == said.nonce) else {
            return Heard::Nothing;
        };
        let Some((_, generation)) = self.open.drain(..=index).next_back() else {
            return Heard::Nothing;
        };
        match said.error {
            Some(reason) => Heard::Refused { generation, reason: reason.to_owned() },
            None => Heard::Acknowledged { generation },
        }
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
