//! Any bytes in any pieces: a body is read alike however it is cut, and none makes a reader panic. Bodies are what models answer
//! (`seeds`), changed here and there, since bytes alone hardly ever get past the first brace.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::json;

use super::{read, rules};
use crate::{Compiled, Reader};

/// One file for each kind of answer.
const SEEDS: [&[u8]; 10] = [
    include_bytes!("seeds/openai.json"),
    include_bytes!("seeds/openai.sse"),
    include_bytes!("seeds/responses.json"),
    include_bytes!("seeds/responses.sse"),
    include_bytes!("seeds/anthropic.json"),
    include_bytes!("seeds/anthropic.sse"),
    include_bytes!("seeds/generate.json"),
    include_bytes!("seeds/generate.sse"),
    include_bytes!("seeds/kserve.json"),
    include_bytes!("seeds/odd.json"),
];

/// With every rule there is, in each format.
static RULES: LazyLock<Vec<Compiled>> = LazyLock::new(|| {
    ["json", "openai", "anthropic", "kserve", "generate"]
        .map(|format| {
            rules(json!({
                "format": format, "expects_json": true, "max_bytes": 4096,
                "score": "/choices/0/logprobs/content/0/logprob",
                "class": {"at": "/predictions/0", "names": ["a", "b"]},
                "failed_when": [{"at": "/error"}, {"at": "/usage/prompt_tokens", "equals": 9}, {"at": "", "equals": "x"}],
            }))
        })
        .to_vec()
});

/// How a seed is changed.
#[derive(Clone, Debug)]
enum Change {
    Set(u8),
    Cut(usize),
    Again(usize),
    Put(&'static [u8]),
}

fn change() -> impl Strategy<Value = (prop::sample::Index, Change)> {
    const WORDS: [&[u8]; 16] = [
        b"{",
        b"}",
        b"[",
        b"]",
        b"\"",
        b"\\",
        b"\\ud800",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"\r",
        b"\n\n",
        b"data: ",
        b"[DONE]",
        b"\xff\xfe",
        b"null",
    ];
    let change = prop_oneof![
        any::<u8>().prop_map(Change::Set),
        (1_usize..40).prop_map(Change::Cut),
        (1_usize..200).prop_map(Change::Again),
        prop::sample::select(&WORDS[..]).prop_map(Change::Put),
    ];
    (any::<prop::sample::Index>(), change)
}

fn changed(seed: &[u8], changes: &[(prop::sample::Index, Change)]) -> Vec<u8> {
    let mut body = seed.to_vec();
    for (place, change) in changes {
        let at = place.index(body.len() + 1);
        match *change {
            Change::Set(byte) => {
                if let Some(place) = body.get_mut(at) {
                    *place = byte;
                }
            }
            Change::Cut(length) => drop(body.drain(at..(at + length).min(body.len()))),
            Change::Again(length) => {
                let part = body[at..(at + length).min(body.len())].to_vec();
                body.splice(at..at, part);
            }
            Change::Put(word) => drop(body.splice(at..at, word.iter().copied())),
        }
    }
    body
}

fn alike(
    body: &[u8],
    content_type: &str,
    cuts: &[prop::sample::Index],
    complete: bool,
) -> Result<(), TestCaseError> {
    for rules in &*RULES {
        let mut whole = Reader::new(rules, Some(content_type.as_bytes()), None);
        whole.chunk(body, 7);
        let whole = whole.end(complete);
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        places.sort_unstable();
        let mut reader = Reader::new(rules, Some(content_type.as_bytes()), None);
        let mut from = 0;
        for to in places.into_iter().chain([body.len()]) {
            reader.chunk(&body[from..to], 7);
            from = to;
        }
        prop_assert_eq!(reader.end(complete), whole);
        if complete {
            prop_assert_eq!(read(rules, content_type, body, 1, false), whole);
        }
    }
    Ok(())
}

const TYPES: [&str; 3] = ["application/json", "text/event-stream", "text/plain"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_changed_answer_is_read_alike_in_any_pieces(
        seed in prop::sample::select(&SEEDS[..]),
        changes in prop::collection::vec(change(), 0..5),
        content_type in prop::sample::select(&TYPES[..]),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        complete: bool,
    ) {
        alike(&changed(seed, &changes), content_type, &cuts, complete)?;
    }

    #[test]
    fn so_are_any_bytes(
        body in prop::collection::vec(any::<u8>(), 0..200),
        content_type in prop::sample::select(&TYPES[..]),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        complete: bool,
    ) {
        alike(&body, content_type, &cuts, complete)?;
    }
}

#[test]
fn the_seeds_are_answers() {
    for seed in SEEDS {
        let content_type = if seed.starts_with(b"{") { TYPES[0] } else { TYPES[1] };
        assert!(RULES.iter().any(|rules| read(rules, content_type, seed, 64, true).unseen.is_none()));
    }
}
