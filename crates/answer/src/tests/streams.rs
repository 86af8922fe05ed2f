//! Server-sent events in all their forms.

use serde_json::json;

use super::{check, rules};
use crate::sse::{EventStream, Listener};
use crate::{Observed, Score};

#[derive(Default)]
struct Told {
    name: String,
    data: Vec<u8>,
    events: Vec<String>,
}

impl Listener for Told {
    fn name(&mut self, name: &[u8]) {
        self.name = String::from_utf8_lossy(name).into_owned();
    }

    fn data(&mut self, bytes: &[u8]) {
        self.data.extend_from_slice(bytes);
    }

    fn error(&mut self) {
        self.name = "!".to_owned();
    }

    fn dispatch(&mut self) {
        let data = String::from_utf8(std::mem::take(&mut self.data)).expect("UTF-8");
        let name = std::mem::take(&mut self.name);
        if !(name.is_empty() && data.is_empty()) {
            self.events.push(format!("{name}={data}"));
        }
    }
}

#[test]
fn forms_of_events() {
    for (stream, expected) in [
        ("data: a\n\ndata: b\n\n", &["=a", "=b"][..]),
        ("data: a\r\n\r\ndata: b\r\n\r\n", &["=a", "=b"]),
        ("data: a\r\rdata: b\r\r", &["=a", "=b"]),
        ("data: a\r\n\ndata:b\n\r\n", &["=a", "=b"]),
        ("data: a\ndata: b\ndata\n\n", &["=a\nb\n"]),
        ("data:  a\n\n", &["= a"]),
        ("event: e\ndata: a\n\n", &["e=a"]),
        ("data: a\nevent: e\n\ndata: b\n\n", &["e=a", "=b"]),
        (": ping\n\n:\n\ndata: a\n\n", &["=a"]),
        ("id: 1\nretry: 10\nnonsense\ndata: a\n\n", &["=a"]),
        ("dat: x\ndatas: y\n\n", &[]),
        ("data: a", &["=a"]),
        ("data: a\n", &["=a"]),
        ("error: no\n\n", &["!="]),
    ] {
        for length in [usize::MAX, 1, 2, 3] {
            let (mut stream_of, mut told) = (EventStream::default(), Told::default());
            for chunk in stream.as_bytes().chunks(length) {
                stream_of.feed(chunk, &mut told);
            }
            stream_of.finish(&mut told);
            assert_eq!(told.events, expected, "{stream:?} in pieces of {length}");
        }
    }
    let (mut stream_of, mut told) = (EventStream::default(), Told::default());
    stream_of.feed(format!("event: {}\ndata: a\n\n", "e".repeat(100)).as_bytes(), &mut told);
    assert_eq!(told.events, [format!("{}=a", "\0".repeat(48))], "a name that is too long is none");
}

#[test]
fn events_of_any_json() {
    let compiled = rules(json!({"format": "json", "score": "/s"}));
    let seen = |score| Observed { is_streamed: true, score, ..Observed::default() };
    let check = |stream: &str, expected| check(&compiled, "text/event-stream", stream.as_bytes(), expected);
    // The last event that says something counts.
    check("data: {\"s\":1}\n\ndata: {\"s\":2}\n\ndata: {\"t\":3}\n\n", seen(Some(Score::Value(2.0))));
    check("data: {\"s\":\ndata: 1}\n\n", seen(Some(Score::Value(1.0))));
    check("data: {\"s\":1}\n\ndata: [DONE]\n\n", seen(Some(Score::Value(1.0))));
    check("data: {\"s\":1}\n\ndata:[DONE] \n\ndata\n\n", seen(Some(Score::Value(1.0))));
    // Looks like the end, and is none.
    check(
        "data: [DONE\n\ndata: {\"s\":1}\n\n",
        Observed { is_broken: true, ..seen(Some(Score::Value(1.0))) },
    );
    check("data: {\"s\":1}\n\ndata: oh\n\n", Observed { is_broken: true, ..seen(Some(Score::Value(1.0))) });
}
