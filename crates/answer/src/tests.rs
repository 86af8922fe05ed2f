//! Tables through one check, and properties.

mod faults;
mod json;
mod models;
mod pointers;
mod rules;
mod seeds;
mod streams;

use serde_json::{Value, json};

use crate::{Compiled, Finish, Observed, Reader, Rules};

/// What rules written like this, in the policy, are followed as.
pub fn rules(document: Value) -> Compiled {
    let rules: Rules = serde_json::from_value(document).expect("rules");
    Compiled::compile(&rules).expect("rules within their bounds")
}

/// Reads a body in pieces of this length; each comes a millisecond after the one before if `ticks`.
pub fn read(rules: &Compiled, content_type: &str, body: &[u8], length: usize, ticks: bool) -> Observed {
    let mut reader = Reader::new(rules, Some(content_type.as_bytes()), None);
    for (at, chunk) in body.chunks(length.max(1)).enumerate() {
        reader.chunk(chunk, if ticks { at as u64 } else { 7 });
    }
    reader.end(true)
}

/// The one check of all tables: however the body is cut, the same is seen.
pub fn check(rules: &Compiled, content_type: &str, body: &[u8], expected: Observed) {
    for length in [usize::MAX, 1, 2, 3, 5, 64] {
        let seen = read(rules, content_type, body, length, false);
        assert_eq!(seen, expected, "in pieces of {length}: {}", String::from_utf8_lossy(body));
    }
}

/// A whole JSON answer.
pub fn check_json(written: Value, body: &str, expected: Observed) {
    check(&rules(written), "application/json", body.as_bytes(), expected);
}

/// A stream of events of a language model that was answered as it should be, with its tokens at 7 ms.
pub fn streamed(tokens_in: Option<u64>, tokens_out: Option<u64>, finish: Option<Finish>) -> Observed {
    Observed {
        is_streamed: true,
        first_token_ms: Some(7),
        last_token_ms: Some(7),
        tokens_in,
        tokens_out,
        finish,
        ..Observed::default()
    }
}

/// A stream, in the format of this name.
pub fn check_stream(format: &str, body: &str, expected: Observed) {
    check(&rules(json!({"format": format})), "text/event-stream; charset=utf-8", body.as_bytes(), expected);
}
