//! What all VMs of one proxy know of the lease, and how it changes.

use split::Standing;

use super::{Answer, LeaseStatus};

/// The lease of a policy, as it stands in the data that the VMs of a proxy share. Times are in nanoseconds by a clock that
/// nobody sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Incarnation and generation of the policy.
    pub pair: (u64, u64),
    /// When the lease runs out.
    pub deadline_ns: u64,
    /// When the controller was last asked; 0: never.
    pub asked_ns: u64,
    /// How the policy as a whole stands.
    pub state: State,
    /// Rollouts of the policy that were taken back one by one.
    pub revoked: Vec<String>,
}

/// How a policy as a whole stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Until its deadline it stands.
    Running,
    /// It ran out, and that was counted.
    Expired,
    /// The controller took it back.
    Revoked,
}

/// What is due at a tick, with the record to write first: the VM that writes it does it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// The lease ran out: count it.
    Expire(Record),
    /// The controller is asked.
    Ask(Record),
}

/// What an answer brought, for the counters `serin_lease_{renewed,revoked}_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    /// The lease lasts longer.
    pub renewed: bool,
    /// The policy, or a rollout of it that stood before, was taken back.
    pub revoked: bool,
}

impl Record {
    /// The record of a policy that begins now and may last `ttl_ms`; `None`: that policy or a newer one has one already.
    #[must_use]
    pub fn begun(earlier: Option<&Self>, pair: (u64, u64), ttl_ms: u32, now_ns: u64) -> Option<Self> {
        if earlier.is_some_and(|record| record.pair >= pair) {
            return None;
        }
        Some(Self {
            pair,
            deadline_ns: now_ns.saturating_add(ns(ttl_ms)),
            asked_ns: earlier.map_or(0, |record| record.asked_ns),
            state: State::Running,
            revoked: Vec::new(),
        })
    }

    /// What is due now, where the controller is asked every `interval_ms`.
    #[must_use]
    pub fn due(&self, interval_ms: u32, now_ns: u64) -> Option<Due> {
        if self.state == State::Running && now_ns >= self.deadline_ns {
            Some(Due::Expire(Self { state: State::Expired, ..self.clone() }))
        } else if now_ns >= self.asked_ns.saturating_add(ns(interval_ms)) {
            Some(Due::Ask(Self { asked_ns: now_ns, ..self.clone() }))
        } else {
            None
        }
    }

    /// The record after an answer; `ttl_ms` is what the policy grants where the answer names no time. `None`: nothing
    /// changes, since the answer is of another policy, or this one was taken back, or the controller does not know it.
    #[must_use]
    pub fn answered(&self, answer: &Answer, ttl_ms: u32, now_ns: u64) -> Option<(Self, News)> {
        if self.pair != (answer.incarnation, answer.generation) || self.state == State::Revoked {
            return None;
        }
        match answer.lease {
            LeaseStatus::Unknown => None,
            LeaseStatus::Revoke => {
                Some((Self { state: State::Revoked, ..self.clone() }, News { renewed: false, revoked: true }))
            }
            LeaseStatus::Renew => {
                let mut revoked = self.revoked.clone();
                revoked.extend(answer.revoked.iter().filter(|name| !self.revoked.contains(name)).cloned());
                let news = News { renewed: true, revoked: revoked.len() > self.revoked.len() };
                let deadline_ns = now_ns.saturating_add(ns(answer.ttl_ms.unwrap_or(ttl_ms)));
                Some((Self { deadline_ns, state: State::Running, revoked, ..self.clone() }, news))
            }
        }
    }

    /// How the lease of a policy stands now. A policy that a newer one has superseded is not judged any more; one that is
    /// newer than the record is not confirmed by anyone.
    #[must_use]
    pub fn standing(&self, pair: (u64, u64), now_ns: u64) -> Standing {
        match (self.pair.cmp(&pair), self.state) {
            (std::cmp::Ordering::Greater, _) => Standing::Live,
            (std::cmp::Ordering::Equal, State::Revoked) => Standing::Revoked,
            (std::cmp::Ordering::Equal, State::Running) if now_ns < self.deadline_ns => Standing::Live,
            _ => Standing::Expired,
        }
    }

    /// As it is shared: five numbers, then the names, each ended by a zero.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let state = match self.state {
            State::Running => 0,
            State::Expired => 1,
            State::Revoked => 2,
        };
        let mut bytes =
            [self.pair.0, self.pair.1, self.deadline_ns, self.asked_ns, state].map(u64::to_le_bytes).concat();
        for name in &self.revoked {
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(0);
        }
        bytes
    }

    /// Reads [`Self::bytes`]; `None`: they are no record.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (numbers, names) = bytes.split_at_checked(40)?;
        let mut numbers =
            numbers.chunks_exact(8).map_while(|word| Some(u64::from_le_bytes(word.try_into().ok()?)));
        let names = std::str::from_utf8(names).ok()?;
        Some(Self {
            pair: (numbers.next()?, numbers.next()?),
            deadline_ns: numbers.next()?,
            asked_ns: numbers.next()?,
            state: match numbers.next()? {
                0 => State::Running,
                1 => State::Expired,
                _ => State::Revoked,
            },
            revoked: names.split_terminator('\0').map(str::to_owned).collect(),
        })
    }
}

const fn ns(milliseconds: u32) -> u64 {
    milliseconds as u64 * 1_000_000
}

#[cfg(test)]
#[path = "../tests/record.rs"]
mod tests;
