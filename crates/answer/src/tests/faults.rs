//! Answers that cannot be read, and bodies that are made to hurt.

use serde_json::json;

use super::{check, read, rules};
use crate::{Fault, Observed, Reader, Score, Unseen};

#[test]
fn headers() {
    let compiled = rules(json!({"format": "json", "score": ""}));
    let seen = Observed { score: Some(Score::Value(1.0)), ..Observed::default() };
    let unseen = |why| Observed { unseen: Some(why), ..Observed::default() };
    for (content_type, encoding, expected) in [
        (Some("application/json"), None, seen),
        (Some("Application/JSON ; charset=utf-8"), Some("identity"), seen),
        (Some("application/problem+json"), None, seen),
        (Some("text/plain"), Some(""), seen),
        (None, None, seen),
        (Some("application/json"), Some("gzip"), unseen(Unseen::Compressed)),
        (None, Some("br, gzip"), unseen(Unseen::Compressed)),
        (Some("application/grpc"), None, unseen(Unseen::OtherType)),
        (Some("application/octet-stream"), None, unseen(Unseen::OtherType)),
        (Some("text/html"), None, unseen(Unseen::OtherType)),
    ] {
        let mut reader = Reader::new(&compiled, content_type.map(str::as_bytes), encoding.map(str::as_bytes));
        reader.chunk(b"1", 3);
        assert_eq!(reader.is_done(), expected.unseen.is_some(), "{content_type:?} {encoding:?}");
        assert_eq!(reader.end(true), expected, "{content_type:?} {encoding:?}");
    }
    // A stream that calls itself text.
    let expected = Observed { is_streamed: true, ..seen };
    check(&compiled, "text/plain", b"\n: hello\ndata: 1\n\n", expected);
    check(&compiled, "application/json", b"\xEF\xBB\xBFdata: 1\n\n", expected);
}

#[test]
fn nothing_is_read_where_nothing_is_asked_for() {
    let compiled = rules(json!({}));
    assert!(!compiled.reads_bodies());
    check(&compiled, "application/json", b"{}", Observed::default());
}

#[test]
fn too_large() {
    let compiled = rules(json!({"format": "json", "score": "/s", "max_bytes": 10}));
    let seen = Observed { score: Some(Score::Value(1.0)), ..Observed::default() };
    check(&compiled, "application/json", br#"{ "s": 1 }"#, seen);
    let unseen = Observed { unseen: Some(Unseen::TooLarge), ..Observed::default() };
    check(&compiled, "application/json", br#"{ "s": 1  }"#, unseen);
    // What was known of a stream by then stays known.
    let compiled = rules(json!({"format": "generate", "max_bytes": 40}));
    let stream = b"data: {\"text_output\":\"a\"}\n\ndata: {\"text_output\":\"b\"}\n\n";
    let expected = Observed {
        is_streamed: true,
        first_token_ms: Some(7),
        last_token_ms: Some(7),
        unseen: Some(Unseen::TooLarge),
        ..Observed::default()
    };
    check(&compiled, "text/event-stream", stream, expected);
}

#[test]
fn the_client_left() {
    let end = |format: &str, kind: &str, body: &[u8]| {
        let mut reader = Reader::new(&rules(json!({"format": format})), Some(kind.as_bytes()), None);
        reader.chunk(body, 7);
        reader.end(false)
    };
    let truncated = Observed { unseen: Some(Unseen::Truncated), ..Observed::default() };
    assert_eq!(end("openai", "application/json", br#"{"choices":[{"mess"#), truncated);
    assert_eq!(end("openai", "application/json", b""), truncated);
    let stream =
        end("openai", "text/event-stream", b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n");
    assert_eq!((stream.is_broken, stream.unseen), (false, Some(Unseen::Truncated)));
    assert_eq!((stream.first_token_ms, stream.tokens_out, stream.is_counted), (Some(7), Some(1), true));
    // It left after the last word.
    let whole = end("openai", "application/json", br#"{"choices":[{"message":{"content":"a"}}]}"#);
    assert_eq!(whole.unseen, None);
}

#[test]
fn ended_early_by_the_server() {
    let compiled = rules(json!({"format": "json", "score": "/s", "expects_json": true}));
    let broken = Observed { is_broken: true, ..Observed::default() };
    check(&compiled, "application/json", br#"{"s": 1, "#, broken);
    let invalid = Observed { is_invalid_json: true, ..Observed::default() };
    check(&compiled, "application/json", br#"{"s": 1]"#, invalid);
    check(&compiled, "application/json", b"<html>", invalid);
    check(&compiled, "application/json", b"  ", Observed { is_empty: true, ..invalid });
    // Python's NaN is no JSON, and its score a fault; so is text that is no UTF-8.
    let fault = Some(Score::Fault(Fault::Nan));
    check(&compiled, "application/json", br#"{"s": NaN}"#, Observed { score: fault, ..invalid });
    let value = Some(Score::Value(1.0));
    check(
        &compiled,
        "application/json",
        b"{\"s\": 1, \"t\": \"\xff\"}",
        Observed { score: value, ..invalid },
    );
}

#[test]
fn the_time_of_tokens() {
    let compiled = rules(json!({"format": "openai"}));
    let mut reader = Reader::new(&compiled, Some(b"text/event-stream"), None);
    let chunks: [(&[u8], u64); 7] = [
        (b"data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n", 100),
        (b": keep-alive\n\n", 200),
        (b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"", 300),
        // An event is there when it is whole.
        (b"}}]}\n\n", 400),
        (b"data: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n\n", 500),
        (b"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n", 600),
        (b"data: [DONE]\n\n", 700),
    ];
    for (chunk, at_ms) in chunks {
        reader.chunk(chunk, at_ms);
    }
    let seen = reader.end(true);
    assert_eq!((seen.first_token_ms, seen.last_token_ms), (Some(400), Some(500)));
    assert_eq!((seen.tokens_out, seen.is_counted), (Some(2), true));
}

#[test]
fn a_reader_is_small_and_holds_no_text() {
    // With everything asked for; no part of a reader is on the heap but what it shares with all others.
    assert!(size_of::<Reader>() <= 1_024, "{}", size_of::<Reader>());
}

#[test]
fn hostile_bodies() {
    let compiled =
        rules(json!({"format": "openai", "score": "/s", "expects_json": true, "max_bytes": 67_108_864}));
    let unseen = |why| Observed { unseen: Some(why), ..Observed::default() };
    let deep = "[".repeat(1_000_000);
    assert_eq!(read(&compiled, "application/json", deep.as_bytes(), 4096, false), unseen(Unseen::TooLarge));
    let number = format!("{{\"s\": {}, \"choices\": []}}", "9".repeat(10_000_000));
    let seen = read(&compiled, "application/json", number.as_bytes(), 16_384, false);
    assert_eq!(seen.score, Some(Score::Fault(Fault::OutOfRange)));
    let line = format!("data: {{\"choices\": [{{\"delta\": {{\"content\": \"{}", "x".repeat(10_000_000));
    assert!(read(&compiled, "text/event-stream", line.as_bytes(), 16_384, false).is_broken);
    let key = format!("{{\"{}\": 1, \"s\": 2, \"choices\": []}}", "k".repeat(10_000_000));
    let seen = read(&compiled, "application/json", key.as_bytes(), 16_384, false);
    assert_eq!(seen.score, Some(Score::Value(2.0)));
    let events = "data: {\"choices\":[]}\n\n".repeat(100_000);
    assert!(read(&compiled, "text/event-stream", events.as_bytes(), 1, false).is_broken);
    let members = "{\"s\":".repeat(127) + "1" + &"}".repeat(127);
    assert_eq!(
        read(&compiled, "application/json", members.as_bytes(), 1, false).unseen,
        Some(Unseen::OtherType)
    );
}
