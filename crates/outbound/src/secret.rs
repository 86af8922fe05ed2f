//! Texts that are sent and never shown.

use std::fmt;

/// A secret's text; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(String);

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Text {
    /// Holds a text as a secret.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for the question alone.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Takes secrets out of what others say: some servers repeat what they were sent.
#[derive(Clone, Debug, Default)]
pub struct Scrub(Vec<Text>);

impl Scrub {
    /// One more.
    pub fn add(&mut self, text: &str) {
        // As it stands between quotes, too.
        let quoted = format!("{text:?}");
        let quoted = quoted.trim_matches('"');
        for form in [text, text.trim(), quoted] {
            if !form.is_empty() && !self.0.iter().any(|known| known.0 == form) {
                self.0.push(Text(form.to_owned()));
            }
        }
        // The longest first: one may hold another.
        self.0.sort_by_key(|text| std::cmp::Reverse(text.0.len()));
    }

    /// The text with `***` in their places.
    #[must_use]
    pub fn clean(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(&secret.0, "***"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown() {
        let mut scrub = Scrub::default();
        ["a", "tok\"en", "token"].into_iter().for_each(|text| scrub.add(text));
        assert_eq!(scrub.clean(r#"tok"en tok\"en token"#), "*** *** ***");
        assert_eq!(
            format!("{:?} {:?}", Text::new("x".to_owned()), scrub),
            format!("*** Scrub({:?})", scrub.0)
        );
        assert!(!format!("{scrub:?}").contains("tok"));
    }
}
