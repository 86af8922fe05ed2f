//! Who acts, and why: as they say themselves, in one line each. What people write stands in logs, in the history and on
//! other people's terminals.

use api::{EXPECT_HEADER, KEY_HEADER, Refusal, USER_HEADER};
use axum::http::HeaderMap;
use rollout::Human;

use controller::engine::Conditions;

/// Longer ones are refused, in characters.
const LONGEST_NAME: usize = 128;
const LONGEST_REASON: usize = 2_000;

/// Longer keys are none, in characters.
pub const LONGEST_KEY: usize = 200;

/// Who does something, and why.
///
/// # Errors
/// When either is too long to be read.
pub fn human(headers: &HeaderMap, reason: &str) -> Result<Human, Refusal> {
    let said = headers.get(USER_HEADER).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let who = one_line(said.as_deref().unwrap_or_default());
    let reason = one_line(reason);
    for (what, text, longest) in [(USER_HEADER, &who, LONGEST_NAME), ("reason", &reason, LONGEST_REASON)] {
        let length = text.chars().count();
        if length > longest {
            let why = format!("{what} has {length} characters, and {longest} are taken; shorten it");
            return Err(Refusal::Invalid(why));
        }
    }
    Ok(Human { who: if who.is_empty() { "somebody".to_owned() } else { who }, reason })
}

/// Of what an act is meant, and under which key.
pub fn conditions(headers: &HeaderMap) -> Conditions {
    let said = |name| {
        let text = headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        text.filter(|text| !text.is_empty()).map(|text| text.chars().take(LONGEST_KEY).collect())
    };
    Conditions { expect: said(EXPECT_HEADER), key: said(KEY_HEADER) }
}

/// The same without line breaks, and without what moves a cursor or turns the direction of reading.
fn one_line(text: &str) -> String {
    let breaks = |c: char| {
        c.is_whitespace() || c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.split(breaks).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(who: &[u8], reason: &str, expected: Result<(&str, &str), &str>) {
        let mut headers = HeaderMap::new();
        if !who.is_empty() {
            headers.insert(USER_HEADER, axum::http::HeaderValue::from_bytes(who).expect("a value"));
        }
        match (human(&headers, reason), expected) {
            (Ok(human), Ok(expected)) => assert_eq!((&*human.who, &*human.reason), expected),
            (Err(refusal), Err(part)) => assert!(refusal.text().contains(part), "{refusal}"),
            (found, expected) => panic!("{found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn what_people_write_is_one_line() {
        check(b"anna", "too slow", Ok(("anna", "too slow")));
        check(b"", "", Ok(("somebody", "")));
        check(b" \t ", " ", Ok(("somebody", "")));
        check("j\u{fc}rgen".as_bytes(), "sch\u{f6}n", Ok(("j\u{fc}rgen", "sch\u{f6}n")));
        let forged = "x\n2026-11-30T00:00:00Z  INFO promoted by alice\r\n\u{1b}[2J\u{85}\u{2028}\u{202e}end";
        check(b"bob", forged, Ok(("bob", "x 2026-11-30T00:00:00Z INFO promoted by alice [2J end")));
        check(&[b'a'; 129], "", Err("x-serin-user"));
        check(b"a", &"\u{e4}".repeat(2_000), Ok(("a", &"\u{e4}".repeat(2_000))));
        check(b"a", &"a".repeat(2_001), Err("2000 are taken"));
    }
}
