//! Prometheus' text format, as far as Envoy, Istio's agent and whoever passes it on write it.

use std::borrow::Cow;

/// Names and what they say.
type Pairs<'t> = Vec<(&'t str, Cow<'t, str>)>;

/// One number of a page.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'t> {
    /// Its name, without labels.
    pub name: &'t str,
    /// Its labels, in their order.
    pub labels: Pairs<'t>,
    /// The number.
    pub value: f64,
}

/// Reads one line; `None`: a comment, an empty line, or not one of this format.
pub fn line(text: &str) -> Option<Sample<'_>> {
    let text = text.trim();
    if text.is_empty() || text.starts_with('#') {
        return None;
    }
    let (name, labels, rest) = match text.find('{') {
        Some(open) if !text.get(..open)?.contains(' ') => {
            let (labels, rest) = labels(text.get(open + 1..)?)?;
            (text.get(..open)?, labels, rest)
        }
        _ => {
            let (name, rest) = text.split_once(' ')?;
            (name, Vec::new(), rest)
        }
    };
    // A time may follow; a page is of now, whatever it says.
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name, labels, value })
}

/// What stands between braces, and what follows them.
fn labels(mut text: &str) -> Option<(Pairs<'_>, &str)> {
    let mut labels = Vec::new();
    loop {
        text = text.trim_start_matches([' ', ',']);
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, rest) = text.split_once("=\"")?;
        let end = closing(rest)?;
        labels.push((name.trim(), unescaped(rest.get(..end)?)));
        text = rest.get(end + 1..)?;
    }
}

/// Where the quoted value ends.
fn closing(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (c, c == '\\') {
            (_, true) => match rest.next() {
                Some('n') => out.push('\n'),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            (c, false) => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read<'t> = (&'t str, &'t [(&'t str, &'t str)], f64);

    #[track_caller]
    fn check(text: &str, want: Option<Read<'_>>) {
        let got = line(text);
        let got = got.as_ref().map(|sample| {
            let labels: Vec<(&str, &str)> = sample.labels.iter().map(|(n, v)| (*n, v.as_ref())).collect();
            (sample.name, labels, sample.value)
        });
        assert_eq!(got, want.map(|(name, labels, value)| (name, labels.to_vec(), value)), "{text}");
    }

    #[test]
    fn lines() {
        check("", None);
        check("# TYPE serin_epoch gauge", None);
        check("envoy_server_uptime{} 17", Some(("envoy_server_uptime", &[], 17.0)));
        check("go_goroutines 3", Some(("go_goroutines", &[], 3.0)));
        check("go_goroutines 3 1796060635224", Some(("go_goroutines", &[], 3.0)));
        check("  a{x=\"1\", y=\"b,}c\",}  1.5e+3  ", Some(("a", &[("x", "1"), ("y", "b,}c")], 1500.0)));
        check(r#"a{x="q\"u\\o\nte"} 2"#, Some(("a", &[("x", "q\"u\\o\nte")], 2.0)));
        check("a{x=\"1\" 2", None);
        check("a{x=1} 2", None);
        check("a two", None);
        check("a", None);
    }
}
