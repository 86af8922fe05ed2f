//! Scores, classes and failures, wherever in a document they are.

use serde_json::{Value, json};

use super::check_json;
use crate::{Class, Fault, Observed, Pointer, Score};

fn score(score: Option<Score>) -> Observed {
    Observed { score, ..Observed::default() }
}

#[test]
fn scores() {
    let value = |value| Some(Score::Value(value));
    let fault = |fault| Some(Score::Fault(fault));
    for (at, body, expected) in [
        ("/score", r#"{"score": 0.93}"#, value(0.93)),
        ("/score", r#"{"other": {"score": 0.1}}"#, None),
        ("/predictions/0/score", r#"{"predictions":[{"label":"a","score":0.5},{"score":0.9}]}"#, value(0.5)),
        ("/predictions/1/score", r#"{"predictions":[{"score":0.5},{"score":0.9}]}"#, value(0.9)),
        ("/predictions/2/score", r#"{"predictions":[{"score":0.5},{"score":0.9}]}"#, None),
        ("/outputs/0/data/0", r#"{"outputs":[{"name":"o","data":[0.25,1]}]}"#, value(0.25)),
        (
            "/choices/0/logprobs/content/0/logprob",
            r#"{"choices":[{"logprobs":{"content":[{"logprob":-0.5},{"logprob":-1}]}}]}"#,
            value(-0.5),
        ),
        ("/a~1b/c~0d", r#"{"a/b":{"c~d":1}}"#, value(1.0)),
        ("/", r#"{"":2}"#, value(2.0)),
        ("/\u{e4}", r#"{"\u00e4":3}"#, value(3.0)),
        ("/0", r#"{"0":4}"#, value(4.0)),
        ("/0", "[5]", value(5.0)),
        ("/01", "[5,6]", None),
        ("/-", "[5,6]", None),
        ("", "0.75", value(0.75)),
        ("", " -1.5e-3\n", value(-0.0015)),
        // A list: its largest, and one fault is the list's.
        ("", "[0.1, 0.7, 0.2]", value(0.7)),
        ("/p", r#"{"p":[-0.5,-0.25]}"#, value(-0.25)),
        ("/p", r#"{"p":[0.9,NaN,0.95]}"#, fault(Fault::Nan)),
        ("/p", r#"{"p":[]}"#, fault(Fault::NotANumber)),
        ("/p", r#"{"p":[[0.1],[0.2]]}"#, fault(Fault::NotANumber)),
        // The last of a name counts, with all that was below the first.
        ("/s", r#"{"s":1,"s":2}"#, value(2.0)),
        ("/a/s", r#"{"a":{"s":1},"a":{"t":2}}"#, None),
        ("/s", r#"{"s":"0.5"}"#, value(0.5)),
        ("/s", r#"{"s":"NaN"}"#, fault(Fault::Nan)),
        ("/s", r#"{"s":"-Infinity"}"#, fault(Fault::Infinite)),
        ("/s", r#"{"s":NaN}"#, fault(Fault::Nan)),
        ("/s", r#"{"s":Infinity}"#, fault(Fault::Infinite)),
        ("/s", r#"{"s":-Infinity, "t": 1}"#, fault(Fault::Infinite)),
        ("/s", r#"{"s":1e999}"#, fault(Fault::OutOfRange)),
        ("/s", r#"{"s":-1e999}"#, fault(Fault::OutOfRange)),
        ("/s", r#"{"s":1e-999}"#, value(0.0)),
        ("/s", r#"{"s":null}"#, fault(Fault::NotANumber)),
        ("/s", r#"{"s":true}"#, fault(Fault::NotANumber)),
        ("/s", r#"{"s":"high"}"#, fault(Fault::NotANumber)),
        ("/s", r#"{"s":{"s":1}}"#, fault(Fault::NotANumber)),
    ] {
        check_json(json!({"format": "json", "score": at}), body, score(expected));
    }
    let long = format!("{{\"s\":0.{}}}", "1".repeat(10_000));
    check_json(json!({"format": "json", "score": "/s"}), &long, score(fault(Fault::OutOfRange)));
    let deep = (0..16).rev().fold("7".to_owned(), |inner, at| format!("{{\"k{at}\":{inner}}}"));
    let at: String = (0..16).map(|at| format!("/k{at}")).collect();
    check_json(json!({"format": "json", "score": at}), &deep, score(value(7.0)));
}

#[test]
fn classes() {
    let names = ["spam", "ham", "1", "true"];
    let named = |place| Some(Class::Named(place));
    for (at, body, expected) in [
        ("/c", r#"{"c":"ham"}"#, named(1)),
        ("/c", r#"{"c":"h\u0061m"}"#, named(1)),
        ("/c", r#"{"c":"eggs"}"#, Some(Class::Other)),
        ("/c", r#"{"c":1}"#, named(2)),
        ("/c", r#"{"c":1.0}"#, named(2)),
        ("/c", r#"{"c":true}"#, named(3)),
        ("/c", r#"{"c":null}"#, Some(Class::Other)),
        ("/c", r#"{"d":1}"#, None),
        // The largest of a list, by its place.
        ("/predictions/0", r#"{"predictions":[[0.1,0.7,0.2]]}"#, named(1)),
        ("", "[0,0,0,0,9]", Some(Class::Other)),
    ] {
        let rules = json!({"format": "json", "class": {"at": at, "names": names}});
        check_json(rules, body, Observed { class: expected, ..Observed::default() });
    }
}

#[test]
fn failures() {
    let check = |failed_when: Value, body: &str, failed| {
        let rules = json!({"format": "json", "failed_when": failed_when});
        check_json(rules, body, Observed { failed, ..Observed::default() });
    };
    for (failed_when, body, failed) in [
        (json!([{"at": "/error"}]), r#"{"error":"no"}"#, true),
        (json!([{"at": "/error"}]), r#"{"error":{"code":1}}"#, true),
        (json!([{"at": "/error"}]), r#"{"error":null}"#, false),
        (json!([{"at": "/error"}]), r#"{"ok":1}"#, false),
        (json!([{"at": "/ok", "equals": false}]), r#"{"ok":false}"#, true),
        (json!([{"at": "/ok", "equals": false}]), r#"{"ok":true}"#, false),
        (json!([{"at": "/ok", "equals": false}]), r#"{"ok":"false"}"#, false),
        (json!([{"at": "/code", "equals": 13}]), r#"{"code":13.0}"#, true),
        (json!([{"at": "/code", "equals": 13}]), r#"{"code":130}"#, false),
        (json!([{"at": "/a"}, {"at": "/state", "equals": "degraded"}]), r#"{"state":"degraded"}"#, true),
        (json!([{"at": "/state", "equals": "degraded"}]), r#"{"state":"degraded!"}"#, false),
    ] {
        check(failed_when, body, failed);
    }
}

#[test]
fn pointers_as_written() {
    for (written, is_right) in [
        ("", true),
        ("/", true),
        ("/a/b~0c", true),
        ("a", false),
        ("/a~", false),
        ("/a~2", false),
        (&"/a".repeat(16), true),
        (&"/a".repeat(17), false),
        (&format!("/{}", "x".repeat(96)), true),
        (&format!("/{}", "x".repeat(97)), false),
        (&"/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx".repeat(7), false),
    ] {
        let parsed = Pointer::parse(written);
        assert_eq!(parsed.is_ok(), is_right, "{written}: {parsed:?}");
        if let Ok(pointer) = parsed {
            let travelled = serde_json::to_string(&pointer).expect("a text");
            assert_eq!(serde_json::from_str::<Pointer>(&travelled).expect("a pointer"), pointer);
            assert_eq!(pointer.as_str(), written);
        }
    }
}
