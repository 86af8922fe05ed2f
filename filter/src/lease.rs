//! The dead-man's switch. One VM of the process, whichever wins the compare-and-swap, asks the controller whether the
//! policy still stands; the answer moves a deadline that all VMs see. No answer: the deadline passes, and each VM
//! notices by itself within a tick. The record is in shared data, so a new VM neither extends nor forgets it.

use std::time::Duration;

use split::Standing;
use split::policy::Lease;
use tally::lease::{Answer, Question, Word};

use crate::configure::Active;
use crate::count;
use crate::host::{self, Buffer, Level, Map};

/// How often a VM looks, in milliseconds; also how late it may notice.
pub const TICK_MS: u32 = 100;

/// Not the key of earlier releases, whose times are of the wall clock.
const KEY: &str = "serin/lease/steady";

/// What all VMs of the process know of the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    pair: (u64, u64),
    deadline_ns: u64,
    asked_ns: u64,
    state: State,
    /// Rollouts that were taken back one by one.
    revoked: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    /// Ran out, and that was counted.
    Expired,
    Revoked,
}

/// Starts the lease of a newly accepted policy, unless another VM of the process has done so.
pub fn begin(active: &Active, terms: &Lease) {
    let pair = active.splitter.pair();
    let Ok(now) = host::steady() else { return active.standing.set(Standing::Expired) };
    change(|record| match record {
        Some(record) if record.pair >= pair => None,
        earlier => Some(Record {
            pair,
            deadline_ns: now + ns(terms.ttl_ms),
            asked_ns: earlier.map_or(0, |record| record.asked_ns),
            state: State::Running,
            revoked: Vec::new(),
        }),
    });
    look(active, now);
}

/// Looks at the lease, and asks the controller when it is this VM's turn.
pub fn tick(active: &Active, now: u64) {
    let Some(terms) = active.splitter.lease() else { return };
    let pair = active.splitter.pair();
    let Some((record, cas)) = read() else { return };
    if record.pair != pair {
        // Superseded: only requests in flight still hold this policy, and they have their arm.
        return;
    }
    if record.state == State::Running && now >= record.deadline_ns {
        let expired = Record { state: State::Expired, ..record };
        if host::set_shared(KEY, &expired.bytes(), cas).is_ok() {
            count::once("serin_lease_expired_total");
            host::log(Level::Warn, "serin: the lease ran out; no answer from the controller");
        }
    } else if now >= record.asked_ns + ns(terms.interval_ms) {
        let asked = Record { asked_ns: now, ..record };
        if host::set_shared(KEY, &asked.bytes(), cas).is_ok() {
            ask(terms, pair);
        }
    }
    look(active, now);
}

fn ask(terms: &Lease, pair: (u64, u64)) {
    let node = host::property("xds\0node\0id").unwrap_or_default();
    let question = Question {
        incarnation: pair.0,
        generation: pair.1,
        node: String::from_utf8_lossy(&node).into_owned(),
        by_rollout: true,
    };
    let path = format!("{}?{}", terms.path, question.query());
    let headers = vec![(":method", "GET"), (":path", &*path), (":authority", &*terms.authority)];
    let wait = Duration::from_millis(u64::from(terms.interval_ms));
    // The SDK must make this call itself: it keeps the token to find the way back to this context. Refused means that
    // Envoy has no such cluster: the lease runs out, which is what a lease is for.
    if proxy_wasm::hostcalls::dispatch_http_call(&terms.cluster, headers, None, vec![], wait).is_err() {
        count::once("serin_lease_unasked_total");
    }
}

/// The answer is in the host's buffer. One that cannot be read, or is of another policy, changes nothing.
pub fn answered(active: &Active) {
    let status = host::header(Map::CallResponse, ":status");
    if status.is_ok_and(|status| status != b"200") {
        return;
    }
    let Ok(answer) = host::buffer(Buffer::CallResponseBody)
        .and_then(|body| serde_json::from_slice::<Answer>(&body).map_err(|_| host::NOT_FOUND))
    else {
        return;
    };
    let (Some(terms), Ok(now)) = (active.splitter.lease(), host::steady()) else { return };
    let pair = (answer.incarnation, answer.generation);
    let mut news = Vec::new();
    change(|record| {
        news.clear();
        let record = record.filter(|record| record.pair == pair && record.state != State::Revoked)?;
        match answer.lease {
            Word::Unknown => None,
            Word::Revoke => {
                news.push("revoked");
                Some(Record { state: State::Revoked, ..record })
            }
            Word::Renew => {
                let mut revoked = record.revoked;
                let known = revoked.len();
                revoked.extend(
                    answer.revoked.iter().filter(|name| !revoked.contains(name)).cloned().collect::<Vec<_>>(),
                );
                news.push("renewed");
                news.extend((revoked.len() > known).then_some("revoked"));
                let deadline_ns = now + ns(answer.ttl_ms.unwrap_or(terms.ttl_ms));
                Some(Record { deadline_ns, state: State::Running, revoked, ..record })
            }
        }
    });
    for what in news {
        count::once(&format!("serin_lease_{what}_total"));
    }
    look(active, now);
}

/// Shows this VM's requests how the lease stands. What was taken back stays so until another policy comes, and a policy
/// that another has superseded is not judged any more.
fn look(active: &Active, now: u64) {
    let pair = active.splitter.pair();
    let Some((record, _)) = read().filter(|(record, _)| record.pair >= pair) else {
        // The record is gone or behind: nobody vouches for this policy.
        return active.standing.set(Standing::Expired);
    };
    if record.pair > pair {
        return active.standing.set(Standing::Live);
    }
    active.standing.set(match record.state {
        State::Revoked => Standing::Revoked,
        State::Running if now < record.deadline_ns => Standing::Live,
        State::Running | State::Expired => Standing::Expired,
    });
    // Only ever set: of two releases of the filter in one process, the older one writes the record without the names.
    for (claim, revoked) in active.splitter.rollouts().zip(&active.revoked) {
        if record.revoked.iter().any(|name| name == claim.name()) {
            revoked.set(true);
        }
    }
}

/// Changes the record as all VMs see it.
fn change(mut next: impl FnMut(Option<Record>) -> Option<Record>) {
    for _ in 0..8 {
        let current = read();
        let (record, cas) = current.map_or((None, 0), |(record, cas)| (Some(record), cas));
        let Some(next) = next(record) else { return };
        if host::set_shared(KEY, &next.bytes(), cas).is_ok() {
            return;
        }
    }
}

fn read() -> Option<(Record, u32)> {
    let (bytes, cas) = host::shared(KEY).ok()?;
    Some((Record::from_bytes(&bytes)?, cas))
}

impl Record {
    /// Five numbers, then the names, each ended by a zero.
    fn bytes(&self) -> Vec<u8> {
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

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
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
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_back_as_written() {
        for state in [State::Running, State::Expired, State::Revoked] {
            for revoked in [vec![], vec!["ranker".to_owned()], vec!["a".to_owned(), "b.c".to_owned()]] {
                let record = Record { pair: (1, 2), deadline_ns: 3, asked_ns: 4, state, revoked };
                assert_eq!(Record::from_bytes(&record.bytes()), Some(record));
            }
        }
        assert_eq!(Record::from_bytes(&[0; 39]), None);
    }
}
