//! The dead-man's switch. One VM of the process, whichever wins the compare-and-swap, asks the controller whether the
//! policy still stands; the answer moves a deadline that all VMs see. No answer: the deadline passes, and each VM
//! notices by itself within a tick. The record is in shared data, so a new VM neither extends nor forgets it.

use std::time::Duration;

use split::Standing;
use split::policy::Lease;
use tally::lease::{Answer, Due, Question, Record};
use tally::metric::filter;

use crate::configure::Active;
use crate::count;
use crate::host::{self, Buffer, Level, Map};

/// How often a VM looks, in milliseconds; also how late it may notice.
pub const TICK_MS: u32 = 100;

/// Not the key of earlier releases, whose times are of the wall clock.
const KEY: &str = "serin/lease/steady";

/// Starts the lease of a newly accepted policy, unless another VM of the process has done so.
pub fn begin(active: &Active, terms: &Lease) {
    let Ok(now) = host::steady() else { return active.standing.set(Standing::Expired) };
    change(|record| Record::begun(record.as_ref(), active.splitter.pair(), terms.ttl_ms, now));
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
    match record.due(terms.interval_ms, now) {
        Some(Due::Expire(expired)) if host::set_shared(KEY, &expired.bytes(), cas).is_ok() => {
            count::once(&tally::gauge(filter::LEASE_EXPIRED_TOTAL, &[]));
            host::log(Level::Warn, "serin: the lease ran out; no answer from the controller");
        }
        Some(Due::Ask(asked)) if host::set_shared(KEY, &asked.bytes(), cas).is_ok() => ask(terms, pair),
        _ => {}
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
        count::once(&tally::gauge(filter::LEASE_UNASKED_TOTAL, &[]));
    }
}

/// The answer is in the host's buffer. One that cannot be read, or is of another policy, changes nothing.
pub fn take_answer(active: &Active) {
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
    let mut told = None;
    change(|record| {
        told = None;
        let (record, news) = record?.answered(&answer, terms.ttl_ms, now)?;
        told = Some(news);
        Some(record)
    });
    if told.is_some_and(|news| news.renewed) {
        count::once(&tally::gauge(filter::LEASE_RENEWED_TOTAL, &[]));
    }
    if told.is_some_and(|news| news.revoked) {
        count::once(&tally::gauge(filter::LEASE_REVOKED_TOTAL, &[]));
    }
    look(active, now);
}

/// Shows this VM's requests how the lease stands. What was taken back stays so until another policy comes.
fn look(active: &Active, now: u64) {
    let pair = active.splitter.pair();
    let Some((record, _)) = read() else {
        // The record is gone: nobody vouches for this policy.
        return active.standing.set(Standing::Expired);
    };
    active.standing.set(record.standing(pair, now));
    if record.pair != pair {
        return;
    }
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
