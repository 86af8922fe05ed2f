//! A scenario on the built filter, in-process.

use std::sync::LazyLock;

use host::{Headers, Module, Process, ProcessOptions, Properties, Request, Upstream};

use super::ledger::Ledger;
use super::table::{Answer, Missing, Row, Scenario, Way};
use super::verdict::{Failure, Seen, Verdict};
use tests::tools;

/// The filter as it is shipped, compiled once for all tests.
pub static FILTER: LazyLock<Module> = LazyLock::new(|| Module::from_file(tools::wasm()).expect("the filter"));

pub fn replay(scenario: &Scenario) -> Vec<Failure> {
    let mut process = Process::new(&FILTER, ProcessOptions::default()).expect("a process");
    let configured = process.configure(scenario.policy(1).to_string().as_bytes()).expect("a configuration");
    assert!(configured.accepted, "{}, policy: {configured:?}", scenario.file);
    let mut verdict = Verdict::new(scenario, Way::Host);
    let begun = Ledger::of(process.counters());
    let mut before = begun.clone();
    for (index, row) in verdict.rows() {
        let exchange = process.request(0, request(row), upstream(&row.answer)).expect("an exchange");
        if let Some(trap) = &exchange.failed {
            verdict.fail(index, "the VM", "no trap", trap);
        }
        let seen = Seen {
            request: plain(&exchange.request),
            cluster: None,
            status: exchange.status(),
            response: exchange.response.as_ref().map(plain).unwrap_or_default(),
        };
        verdict.request(index, row, &seen);
        let now = Ledger::of(process.counters());
        verdict.row_counters(index, row, &now.since(&before));
        before = now;
    }
    verdict.counters(&before.since(&begun));
    verdict.failures
}

pub fn request(row: &Row) -> Request {
    Request {
        headers: row.lines().into_iter().collect(),
        source_address: format!("{}:50000", row.source_address),
        protocol: if row.http == 2 { "HTTP/2" } else { "HTTP/1.1" }.to_owned(),
        properties: Properties::new().number(&["xds", "listener_direction"], 0),
        ..Request::bare()
    }
}

fn upstream(answer: &Answer) -> Upstream {
    match answer {
        Answer::None(Missing::Timeout) => Upstream::timeout(),
        Answer::None(Missing::Reset) => Upstream::reset(),
        Answer::None(Missing::Disconnect) => Upstream::Disconnect,
        Answer::Response(response) => {
            let mut answer = host::Answer::status(response.status);
            for (name, value) in &response.headers {
                answer = answer.header(name, value.0.clone());
            }
            let trailers: Headers =
                response.trailers.iter().map(|(name, value)| (name, value.0.clone())).collect();
            answer.trailers = (!trailers.is_empty()).then_some(trailers);
            answer.into()
        }
    }
}

fn plain(headers: &Headers) -> Vec<(String, Vec<u8>)> {
    let plain = headers.iter().filter(|(name, _)| !name.starts_with(':'));
    plain.map(|(name, value)| (name.to_owned(), value.to_vec())).collect()
}
