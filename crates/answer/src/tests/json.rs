//! Against another reader of JSON, and against itself in pieces.

use proptest::prelude::*;
use serde_json::Value;

use crate::json::{Events, Kind, Tokenizer, Unheard};

/// Is it JSON, read in pieces of this length?
fn is_json(text: &[u8], length: usize) -> bool {
    let mut tokenizer = Tokenizer::default();
    let fed = text.chunks(length.max(1)).try_for_each(|chunk| tokenizer.feed(chunk, &mut Unheard));
    tokenizer.finish(&mut Unheard);
    fed.is_ok() && tokenizer.is_done() && tokenizer.is_strict()
}

/// Puts a document together again.
#[derive(Default)]
struct Rebuilt {
    open: Vec<(Value, String)>,
    key: String,
    bytes: Vec<u8>,
    whole: Option<Value>,
}

impl Rebuilt {
    fn put(&mut self, value: Value) {
        match self.open.last_mut() {
            None => self.whole = Some(value),
            Some((Value::Array(list), _)) => list.push(value),
            Some((container, _)) => {
                container.as_object_mut().expect("an object").insert(std::mem::take(&mut self.key), value);
            }
        }
    }
}

impl Events for Rebuilt {
    fn begin(&mut self, kind: Kind) {
        self.bytes.clear();
        match kind {
            Kind::Object => {
                self.open.push((Value::Object(serde_json::Map::new()), std::mem::take(&mut self.key)))
            }
            Kind::Array => self.open.push((Value::Array(Vec::new()), std::mem::take(&mut self.key))),
            _ => {}
        }
    }

    fn piece(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn end(&mut self, kind: Kind) {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        let value = match kind {
            Kind::Key => return self.key = text,
            Kind::Text => Value::String(text),
            Kind::Number => serde_json::from_str(&text).expect("a number"),
            Kind::True => Value::Bool(true),
            Kind::False => Value::Bool(false),
            Kind::Null | Kind::Nan | Kind::Infinite => Value::Null,
            Kind::Object | Kind::Array => {
                let (value, key) = self.open.pop().expect("what begins ends");
                self.key = key;
                value
            }
        };
        self.put(value);
    }
}

#[test]
fn what_is_json() {
    let deep = "[".repeat(128) + &"]".repeat(128);
    let too_deep = "[".repeat(129) + &"]".repeat(129);
    for (text, expected) in [
        ("{}", true),
        (" [ ] ", true),
        ("0", true),
        ("-0.0e-0", true),
        ("01", false),
        ("-", false),
        ("1.", false),
        ("1e", false),
        ("+1", false),
        (".5", false),
        ("[1,]", false),
        ("{\"a\":1,}", false),
        ("{\"a\" 1}", false),
        ("{1:2}", false),
        ("[1 2]", false),
        ("[1}", false),
        ("{]", false),
        ("tru", false),
        ("trux", false),
        ("nulll", false),
        ("NaN", false),
        ("-Infinity", false),
        ("-I", false),
        ("\"a\nb\"", false),
        ("\"\\x\"", false),
        ("\"\\u12g4\"", false),
        ("\"\\ud83d\\ude00\\ud83d\"", true),
        ("{} {}", false),
        ("", false),
        (&deep, true),
        (&too_deep, false),
    ] {
        for length in [usize::MAX, 1, 2, 3] {
            assert_eq!(is_json(text.as_bytes(), length), expected, "{text} in pieces of {length}");
        }
    }
    // Half a character, a character too long, a surrogate.
    for bytes in [&b"\"\xe2\x82\""[..], b"\"\xc0\xaf\"", b"\"\xed\xa0\x80\"", b"\"\xff\"", b"\"\xe2\\n\""] {
        assert!(!is_json(bytes, 1) && !is_json(bytes, 64), "{bytes:?}");
    }
    assert!(is_json("\"\u{20ac}\u{1f600}\u{e4}\"".as_bytes(), 1));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn documents_come_through_in_any_pieces(value in any_json(), length in 1_usize..20, pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let text = text.expect("JSON");
        let (mut tokenizer, mut rebuilt) = (Tokenizer::default(), Rebuilt::default());
        for chunk in text.as_bytes().chunks(length) {
            tokenizer.feed(chunk, &mut rebuilt).expect("JSON");
        }
        tokenizer.finish(&mut rebuilt);
        prop_assert!(tokenizer.is_done() && tokenizer.is_strict());
        prop_assert_eq!(rebuilt.whole, Some(serde_json::from_str::<Value>(&text).expect("JSON")));
    }

    #[test]
    fn what_is_no_json_is_none_for_both(text in "[\\[\\]{}\",:0-9.eE+\\-truefalsn\\\\u ]{0,24}") {
        let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        prop_assert_eq!(is_json(text.as_bytes(), 1), theirs, "{}", text);
        prop_assert_eq!(is_json(text.as_bytes(), 1_000), theirs, "{}", text);
    }
}
