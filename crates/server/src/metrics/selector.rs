//! The part of PromQL that names series of this controller: `name{label="value"}`, a number, `vector(number)`.

use regex_lite::Regex;

/// What a query asks for.
#[derive(Debug)]
pub enum Query {
    /// A number as it stands.
    Scalar(f64),
    /// One series without labels.
    Vector(f64),
    /// Series of ours.
    Series(Selector),
}

/// Series by name and labels.
#[derive(Debug)]
pub struct Selector(Vec<Matcher>);

#[derive(Debug)]
struct Matcher {
    label: String,
    is: Is,
    /// `!=` and `!~`.
    not: bool,
}

#[derive(Debug)]
enum Is {
    Equal(String),
    Like(Regex),
}

/// The label that holds a metric's name.
const NAME: &str = "__name__";

impl Query {
    /// Reads a query; the error says what can be asked here.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let inner = text
            .strip_prefix("vector")
            .and_then(|rest| rest.trim_start().strip_prefix('(')?.strip_suffix(')'));
        if let Some(inner) = inner {
            let number = inner.trim().parse().map_err(|_| not_here(text))?;
            return Ok(Self::Vector(number));
        }
        if let Ok(number) = text.parse() {
            return Ok(Self::Scalar(number));
        }
        Selector::parse(text).map(Self::Series)
    }
}

fn not_here(text: &str) -> String {
    format!(
        "{text:?} cannot be answered here: series of this controller are asked for by name{{label=\"value\"}} with =, !=, =~ \
         or !~, besides a number and vector(number); functions and operators are Prometheus' own, which scrapes /metrics"
    )
}

impl Selector {
    fn parse(text: &str) -> Result<Self, String> {
        let no = || not_here(text);
        let is_name = |name: &str| {
            !name.is_empty()
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
                && !name.starts_with(|c: char| c.is_ascii_digit())
        };
        let (name, rest) = text.find('{').map_or((text, ""), |at| text.split_at(at));
        let name = name.trim();
        let mut matchers = Vec::new();
        if !name.is_empty() {
            if !is_name(name) {
                return Err(no());
            }
            matchers.push(Matcher { label: NAME.to_owned(), is: Is::Equal(name.to_owned()), not: false });
        }
        let mut rest = match rest {
            "" => "",
            braced => braced.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or_else(no)?,
        }
        .trim();
        while !rest.is_empty() {
            let at = rest.find(['=', '!']).ok_or_else(no)?;
            let (label, said) = rest.split_at(at);
            let label = label.trim().to_owned();
            let operators =
                [("=~", false, true), ("!~", true, true), ("!=", true, false), ("=", false, false)];
            let (said, not, like) = operators
                .into_iter()
                .find_map(|(sign, not, like)| Some((said.strip_prefix(sign)?, not, like)))
                .ok_or_else(no)?;
            let (value, after) = quoted(said.trim_start()).ok_or_else(no)?;
            if !is_name(&label) {
                return Err(no());
            }
            let is = if like {
                let whole = format!("^(?:{value})$");
                Is::Like(
                    Regex::new(&whole)
                        .map_err(|error| format!("{label}: {value:?} is no regular expression: {error}"))?,
                )
            } else {
                Is::Equal(value)
            };
            matchers.push(Matcher { label, is, not });
            rest = after.trim_start();
            rest = match rest.strip_prefix(',') {
                Some(next) => next.trim_start(),
                None if rest.is_empty() => rest,
                None => return Err(no()),
            };
        }
        // As in Prometheus: a selector that fits everything is a mistake.
        if matchers.iter().all(|matcher| matcher.fits("")) { Err(no()) } else { Ok(Self(matchers)) }
    }

    /// Does a series of this name with these labels fit? A label that is not there is empty.
    pub fn fits(&self, name: &str, labels: &[(&'static str, String)]) -> bool {
        self.0.iter().all(|matcher| {
            let value = match matcher.label.as_str() {
                NAME => name,
                label => labels.iter().find(|(known, _)| *known == label).map_or("", |(_, value)| value),
            };
            matcher.fits(value)
        })
    }
}

impl Matcher {
    fn fits(&self, value: &str) -> bool {
        let fits = match &self.is {
            Is::Equal(expected) => value == expected,
            Is::Like(expected) => expected.is_match(value),
        };
        fits != self.not
    }
}

/// A string in quotes and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                't' => '\t',
                other @ ('\\' | '"' | '\'') => other,
                _ => return None,
            }),
            c if c == quote => return Some((value, text.get(at + quote.len_utf8()..)?)),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `expected`: which of these series fit; `None`: it is no query here.
    #[track_caller]
    fn check(text: &str, expected: Option<&[usize]>) {
        let series = [
            ("serin_up", vec![("rollout", "ranker".to_owned()), ("role", "canary".to_owned())]),
            ("serin_up", vec![("rollout", "ranker-eu".to_owned())]),
            ("serin_down", vec![("rollout", "say \"hi\"\\".to_owned())]),
        ];
        let fitting = match Query::parse(text) {
            Ok(Query::Series(selector)) => {
                let fits = |place: &usize| selector.fits(series[*place].0, &series[*place].1);
                Some((0..series.len()).filter(fits).collect::<Vec<_>>())
            }
            Ok(other) => panic!("{text}: {other:?}"),
            Err(error) => {
                assert!(
                    error.contains("cannot be answered here") || error.contains("no regular expression"),
                    "{error}"
                );
                None
            }
        };
        assert_eq!(fitting.as_deref(), expected, "{text}");
    }

    #[test]
    fn series_are_selected_as_prometheus_does() {
        check("serin_up", Some(&[0, 1]));
        check(" serin_up{ rollout = \"ranker\" , } ", Some(&[0]));
        check("serin_up{rollout='ranker',role=\"canary\"}", Some(&[0]));
        check("serin_up{rollout!=\"ranker\"}", Some(&[1]));
        check("serin_up{rollout=~\"ran.*\"}", Some(&[0, 1]));
        check("serin_up{rollout=~\"ran\"}", Some(&[]));
        check("serin_up{rollout!~\"ranker|x\"}", Some(&[1]));
        check("serin_up{role=\"\"}", Some(&[1]));
        check("{__name__=\"serin_down\"}", Some(&[2]));
        check("{__name__=~\"serin_.*\", role!=\"canary\"}", Some(&[1, 2]));
        check("serin_down{rollout=\"say \\\"hi\\\"\\\\\"}", Some(&[2]));
        check("serin_other", Some(&[]));
        for not_here in [
            "",
            "{}",
            "{role=\"\"}",
            "up{",
            "up}",
            "up{a}",
            "up{a=b}",
            "up{a=\"b\"",
            "up{a=\"b\" c=\"d\"}",
            "up{a=~\"(\"}",
            "up{a==\"b\"}",
            "up{1=\"b\"}",
            "up[5m]",
            "rate(up[5m])",
            "up > 1",
            "sum(up)",
            "up offset 5m",
            "vector(up)",
        ] {
            check(not_here, None);
        }
    }

    #[test]
    fn numbers_stand_for_themselves() {
        assert!(matches!(Query::parse("vector(1)"), Ok(Query::Vector(1.0))));
        assert!(matches!(Query::parse(" vector ( 2.5 ) "), Ok(Query::Vector(2.5))));
        assert!(matches!(Query::parse("1"), Ok(Query::Scalar(1.0))));
        assert!(matches!(Query::parse("-1e3"), Ok(Query::Scalar(-1e3))));
    }
}
