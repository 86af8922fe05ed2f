//! The dead-man's switch. One VM of the process, whichever wins the compare-and-swap, asks the controller whether the
//! policy still stands; the answer moves a deadline that all VMs see. No answer: the deadline passes, and each VM
//! notices by itself within a tick. The record is in shared data, so a new VM neither extends nor forgets it.

use std::time::Duration;

use serde::Deserialize;
use split::Standing;
use split::policy::Lease;

use crate::configure::Active;
use crate::count;
use crate::host::{self, Buffer, Level, Map};

/// How often a VM looks, in milliseconds; also how late it may notice.
pub const TICK_MS: u32 = 100;

const KEY: &str = "serin/lease";

/// What all VMs of the process know of the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    pair: (u64, u64),
    deadline_ns: u64,
    asked_ns: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    /// Ran out, and that was counted.
    Expired,
    Revoked,
}

/// The controller's answer.
#[derive(Deserialize)]
struct Answer {
    incarnation: u64,
    generation: u64,
    lease: Word,
    ttl_ms: Option<u32>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Word {
    Renew,
    Revoke,
    Unknown,
}

/// Starts the lease of a newly accepted policy, unless another VM of the process has done so.
pub fn begin(pair: (u64, u64), terms: &Lease) -> Standing {
    let Ok(now) = host::now() else { return Standing::Expired };
    change(|record| match record {
        Some(record) if record.pair >= pair => None,
        earlier => Some(Record {
            pair,
            deadline_ns: now + ns(terms.ttl_ms),
            asked_ns: earlier.map_or(0, |record| record.asked_ns),
            state: State::Running,
        }),
    });
    standing(now, pair)
}

/// Looks at the lease, and asks the controller when it is this VM's turn.
pub fn tick(active: &Active, now: u64) {
    let Some(terms) = active.splitter.lease() else { return };
    let pair = active.splitter.pair();
    let Some((record, mark)) = read() else { return };
    if record.pair != pair {
        // Superseded: only requests in flight still hold this policy, and they have their arm.
        return;
    }
    if record.state == State::Running && now >= record.deadline_ns {
        let expired = Record { state: State::Expired, ..record };
        if host::set_shared(KEY, &expired.bytes(), mark).is_ok() {
            count::once("serin_lease_expired_total");
            host::log(Level::Warn, "serin: the lease ran out; no answer from the controller");
        }
    } else if now >= record.asked_ns + ns(terms.interval_ms) {
        let asked = Record { asked_ns: now, ..record };
        if host::set_shared(KEY, &asked.bytes(), mark).is_ok() {
            ask(terms, pair);
        }
    }
    active.standing.set(standing(now, pair));
}

fn ask(terms: &Lease, pair: (u64, u64)) {
    let node = host::property("xds\0node\0id").unwrap_or_default();
    let path = format!("{}?incarnation={}&generation={}&node={}", terms.path, pair.0, pair.1, escaped(&node));
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
    let (Some(terms), Ok(now)) = (active.splitter.lease(), host::now()) else { return };
    let pair = (answer.incarnation, answer.generation);
    let changed = change(|record| {
        let record = record.filter(|record| record.pair == pair)?;
        match answer.lease {
            Word::Renew if record.state != State::Revoked => Some(Record {
                deadline_ns: now + ns(answer.ttl_ms.unwrap_or(terms.ttl_ms)),
                state: State::Running,
                ..record
            }),
            Word::Revoke if record.state != State::Revoked => {
                Some(Record { state: State::Revoked, ..record })
            }
            _ => None,
        }
    });
    if changed {
        let what = if answer.lease == Word::Renew { "renewed" } else { "revoked" };
        count::once(&format!("serin_lease_{what}_total"));
    }
    active.standing.set(standing(now, active.splitter.pair()));
}

/// How the lease of a policy stands; one that another policy has superseded is not judged any more.
fn standing(now: u64, pair: (u64, u64)) -> Standing {
    match read() {
        Some((record, _)) if record.pair == pair => match record.state {
            State::Revoked => Standing::Revoked,
            State::Running if now < record.deadline_ns => Standing::Live,
            State::Running | State::Expired => Standing::Expired,
        },
        Some((record, _)) if record.pair > pair => Standing::Live,
        // The record is gone or behind: nobody vouches for this policy.
        _ => Standing::Expired,
    }
}

/// Changes the record as all VMs see it; says whether it did.
fn change(next: impl Fn(Option<Record>) -> Option<Record>) -> bool {
    for _ in 0..8 {
        let current = read();
        let (record, mark) = (current.map(|(record, _)| record), current.map_or(0, |(_, mark)| mark));
        let Some(next) = next(record) else { return false };
        if host::set_shared(KEY, &next.bytes(), mark).is_ok() {
            return true;
        }
    }
    false
}

fn read() -> Option<(Record, u32)> {
    let (bytes, mark) = host::shared(KEY).ok()?;
    Some((Record::from_bytes(&bytes)?, mark))
}

impl Record {
    fn bytes(&self) -> Vec<u8> {
        let state = match self.state {
            State::Running => 0,
            State::Expired => 1,
            State::Revoked => 2,
        };
        [self.pair.0, self.pair.1, self.deadline_ns, self.asked_ns, state].map(u64::to_le_bytes).concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut words =
            bytes.chunks_exact(8).map_while(|word| Some(u64::from_le_bytes(word.try_into().ok()?)));
        Some(Self {
            pair: (words.next()?, words.next()?),
            deadline_ns: words.next()?,
            asked_ns: words.next()?,
            state: match words.next()? {
                0 => State::Running,
                1 => State::Expired,
                _ => State::Revoked,
            },
        })
    }
}

const fn ns(milliseconds: u32) -> u64 {
    milliseconds as u64 * 1_000_000
}

/// A node's id as a query value: what is not a plain letter is escaped.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(*byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_back_as_written() {
        for state in [State::Running, State::Expired, State::Revoked] {
            let record = Record { pair: (1, 2), deadline_ns: 3, asked_ns: 4, state };
            assert_eq!(Record::from_bytes(&record.bytes()), Some(record));
        }
        assert_eq!(Record::from_bytes(&[0; 39]), None);
    }

    #[test]
    fn a_node_id_is_escaped_for_a_query() {
        assert_eq!(escaped(b"sidecar~10.0.0.1~a.b~x y&z"), "sidecar~10.0.0.1~a.b~x%20y%26z");
    }
}
