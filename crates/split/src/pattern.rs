//! A regular expression that must fit the whole of a value.

use std::fmt;

use regex_lite::{Regex, RegexBuilder};

/// What people write is far shorter; the policy is sent to every proxy.
const LONGEST_TEXT: usize = 256;
/// The compiled form, in bytes. With [`LONGEST_VALUE`] it bounds the work of one request: time grows with the product.
const LARGEST: usize = 16 << 10;
/// Parentheses within parentheses.
const DEEPEST: u32 = 20;
/// A longer value fits no expression: clients send what they like.
const LONGEST_VALUE: usize = 1_024;

/// A regular expression that must fit the whole of a value, as if it began with `^` and ended with `$`. The syntax is
/// that of crate `regex-lite`: no look-around, no back references, so that it takes no more than linear time; `\d` and
/// `\w` and `(?i)` know ASCII alone.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl Pattern {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, in one clause.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is empty, and fits no value that is there".to_owned());
        }
        if text.len() > LONGEST_TEXT {
            return Err(format!("has {} bytes, and {LONGEST_TEXT} are allowed", text.len()));
        }
        let compile = |text: &str| {
            let regex = RegexBuilder::new(text).size_limit(LARGEST).nest_limit(DEEPEST).build();
            regex.map_err(|error| format!("cannot be read: {error}"))
        };
        // By itself first: what closes a parenthesis nobody opened must not close ours.
        compile(text)?;
        let regex = compile(&format!(r"^(?:{text})$"))?;
        Ok(Self { text: text.to_owned(), regex })
    }

    /// Does it fit the whole value? Text that is not UTF-8 fits nothing.
    pub(crate) fn fits(&self, value: &[u8]) -> bool {
        value.len() <= LONGEST_VALUE && std::str::from_utf8(value).is_ok_and(|text| self.regex.is_match(text))
    }

    /// Would comparing the text do the same?
    #[must_use]
    pub fn is_plain(&self) -> bool {
        !self.text.contains(['\\', '.', '+', '*', '?', '(', ')', '|', '[', ']', '{', '}', '^', '$'])
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_value_must_fit() {
        for (pattern, value, fits) in [
            ("beta-(eu|us)", "beta-eu", true),
            ("beta-(eu|us)", "beta-eu-1", false),
            ("beta-(eu|us)", "my-beta-eu", false),
            // Each side of an alternative, too.
            ("a|b", "a", true),
            ("a|b", "ab", false),
            ("^a|b$", "ab", false),
            ("[0-9]+", "12\n", false),
            ("(?m)a$", "a\nb", false),
            (".*", "a\nb", false),
            ("(?i)staff", "STAFF", true),
            ("ü+", "üü", true),
            ("v[0-9.]+", "v1.2", true),
        ] {
            let compiled = Pattern::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert_eq!(compiled.fits(value.as_bytes()), fits, "{pattern} on {value:?}");
        }
        let any = Pattern::new("(?s).*").expect("a pattern");
        assert!(!any.fits(&[0xff, 0xfe]), "not UTF-8");
        assert!(any.fits(&[b'x'; LONGEST_VALUE]) && !any.fits(&[b'x'; LONGEST_VALUE + 1]));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (pattern, part) in [
            ("", "is empty"),
            ("(", "cannot be read"),
            ("a)|(b", "cannot be read"),
            ("(?=a)", "cannot be read"),
            (r"(a)\1", "cannot be read"),
            ("[a-z]{900}", "cannot be read"),
            ("(((((((((((((((((((((((a)))))))))))))))))))))))", "cannot be read"),
            (&"a".repeat(257), "257 bytes, and 256"),
        ] {
            let error = Pattern::new(pattern).expect_err(pattern);
            assert!(error.contains(part), "{pattern}: {error}");
        }
    }
}
