//! What a query of Prometheus shows of itself, without understanding all of it.

/// The query without its comments and the text in quotes, sign for sign: what stands in quotes is no operator.
fn bare(query: &str) -> Vec<u8> {
    let mut bare = query.as_bytes().to_vec();
    let (mut quote, mut comment, mut escaped) = (None, false, false);
    for byte in &mut bare {
        let seen = *byte;
        if comment {
            comment = seen != b'\n';
            *byte = b' ';
        } else if let Some(open) = quote {
            *byte = b'_';
            if escaped {
                escaped = false;
            } else if seen == b'\\' && open != b'`' {
                escaped = true;
            } else if seen == open {
                quote = None;
            }
        } else if matches!(seen, b'"' | b'\'' | b'`') {
            quote = Some(seen);
            *byte = b'_';
        } else if seen == b'#' {
            comment = true;
            *byte = b' ';
        }
    }
    bare
}

/// A comparison at the end of a query, which takes away what does not keep it: `x < 0.1` is empty where x is 0.2.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Filter {
    /// What is compared.
    pub(crate) query: String,
    /// `<`, `<=`, `>` or `>=`.
    pub(crate) sign: &'static str,
    pub(crate) limit: f64,
}

/// The comparison that a query ends in, if it compares the whole of it with a number.
pub(crate) fn filter(query: &str) -> Option<Filter> {
    let bare = bare(query);
    let mut depth = 0_i32;
    let mut found = None;
    for (at, byte) in bare.iter().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            b'<' | b'>' if depth == 0 => {
                if found.is_some() {
                    return None;
                }
                found = Some(at);
            }
            _ => {}
        }
    }
    let at = found?;
    let (left, right) = (query.get(..at)?, query.get(at..)?);
    let signs = ["<=", ">=", "<", ">"];
    let sign = signs.into_iter().find(|sign| right.starts_with(sign))?;
    let outside = String::from_utf8_lossy(bare.get(at..)?).into_owned();
    let limit: f64 = outside.get(sign.len()..)?.trim().parse().ok()?;
    let words = outer_words(&bare);
    let joined = ["and", "or", "unless", "bool"].iter().any(|word| words.iter().any(|known| known == word));
    (!joined && limit.is_finite() && !left.trim().is_empty()).then(|| Filter {
        query: left.trim().to_owned(),
        sign,
        limit,
    })
}

/// Words outside of parentheses.
fn outer_words(bare: &[u8]) -> Vec<String> {
    let mut depth = 0_i32;
    let outer: String = bare
        .iter()
        .map(|byte| {
            match byte {
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' => depth -= 1,
                _ => {}
            }
            if depth == 0 && byte.is_ascii() { char::from(*byte) } else { ' ' }
        })
        .collect();
    outer.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').map(str::to_ascii_lowercase).collect()
}

/// Without white space and what stands in quotes, in small letters.
fn squeezed(query: &str) -> String {
    let bare: Vec<u8> = bare(query).into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
    String::from_utf8_lossy(&bare).to_ascii_lowercase()
}

/// What stands in the place of no data: the number of `or vector(0)`.
pub(crate) fn instead_of_nothing(query: &str) -> Option<f64> {
    let squeezed = squeezed(query);
    let at =
        ["orvector(", "oron()vector("].iter().find_map(|way| squeezed.rfind(way).map(|at| at + way.len()))?;
    squeezed.get(at..)?.split(')').next()?.parse().ok()
}

/// May it give several series, of which the first decides?
pub(crate) fn is_of_many(query: &str) -> bool {
    let squeezed = squeezed(query);
    let squeezed =
        squeezed.trim_start_matches(|c: char| c == '(' || c.is_ascii_digit() || "*+-.".contains(c));
    const ONE: [&str; 12] = [
        "sum(",
        "avg(",
        "max(",
        "min(",
        "count(",
        "scalar(",
        "vector(",
        "absent(",
        "quantile(",
        "sum_over_time(sum(",
        "stddev(",
        "time(",
    ];
    let aggregated = |text: &str| ONE.iter().any(|begin| text.starts_with(begin));
    if aggregated(squeezed) || squeezed.starts_with("clamp") || squeezed.starts_with("round(") {
        return false;
    }
    if let Some(inner) = squeezed.strip_prefix("histogram_quantile(") {
        let inner = inner.split_once(',').map_or(inner, |(_, inner)| inner);
        let by_le = squeezed.contains("by(le)");
        return !(by_le && inner.starts_with("sum"));
    }
    // `sum by (x)` may be one or many.
    !squeezed.starts_with("sumby(") && !squeezed.starts_with("sumwithout(")
        || squeezed.starts_with("sumby(") && squeezed.contains("by(pod")
}

/// What its figure is measured in, by the names in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    Milliseconds,
    /// A part of 1.
    Ratio,
    /// A ratio times a hundred.
    Percent,
}

pub(crate) fn unit(query: &str) -> Option<Unit> {
    let squeezed = squeezed(query);
    let hundredfold = squeezed.contains("*100") || squeezed.contains("100*");
    if squeezed.contains("histogram_quantile(") || squeezed.contains("_bucket") && !squeezed.contains('/') {
        let thousandfold = squeezed.contains("*1000") || squeezed.contains("1000*");
        let ms = squeezed.contains("milliseconds") || squeezed.contains("_ms_") || squeezed.contains("_ms{");
        return match (ms || thousandfold, squeezed.contains("seconds")) {
            (true, _) => Some(Unit::Milliseconds),
            (false, true) => Some(Unit::Seconds),
            (false, false) => None,
        };
    }
    let counts = squeezed.contains("rate(") || squeezed.contains("increase(");
    let latency = squeezed.contains("_sum") && squeezed.contains("_count");
    match (squeezed.contains('/') && counts && !latency, hundredfold) {
        (true, true) => Some(Unit::Percent),
        (true, false) => Some(Unit::Ratio),
        _ => None,
    }
}

/// Does anything in it tell the new version from the old?
pub(crate) fn names_a_version(query: &str) -> bool {
    let query = query.to_ascii_lowercase();
    const SIGNS: [&str; 14] = [
        "canary",
        "stable",
        "hash",
        "version",
        "revision",
        "subset",
        "primary",
        "preview",
        "pod",
        "arm",
        "{{",
        "release",
        "replicaset",
        "workload",
    ];
    SIGNS.iter().any(|sign| query.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_at_the_end_is_found() {
        let found = |query: &str| filter(query).map(|found| (found.query, found.sign, found.limit));
        let of = |query: &str, sign: &'static str, limit: f64| Some((query.to_owned(), sign, limit));
        assert_eq!(found("100 * (a / b) < 0.1\n"), of("100 * (a / b)", "<", 0.1));
        assert_eq!(found("a{x=\"<1\"} >= 0.92 # > 3\n"), of("a{x=\"<1\"}", ">=", 0.92));
        assert_eq!(found("sum(a > 5)"), None);
        assert_eq!(found("a < 5 and b > 3"), None);
        assert_eq!(found("a > bool 3"), None);
        assert_eq!(found("a < b"), None);
        assert_eq!(found("a < 5 or vector(0)"), None);
        assert_eq!(found(""), None);
        assert_eq!(found("< 5"), None);
        assert_eq!(found("a{x=\"é<"), None);
    }

    #[test]
    fn queries_show_what_they_are() {
        assert_eq!(instead_of_nothing("sum(rate(x[5m])) or on() vector(0)"), Some(0.0));
        assert_eq!(instead_of_nothing("sum(x) or vector( 1 )"), Some(1.0));
        assert_eq!(instead_of_nothing("x"), None);
        assert!(is_of_many("rate(a[5m]) / rate(b[5m])"));
        assert!(is_of_many("histogram_quantile(0.99, rate(a_bucket[5m]))"));
        assert!(!is_of_many("histogram_quantile(0.99, sum by (le) (rate(a_bucket[5m])))"));
        assert!(!is_of_many("histogram_quantile(0.99, sum(rate(a_bucket[5m])) by (le))"));
        assert!(!is_of_many("100 * sum(rate(a[5m])) / sum(rate(b[5m]))"));
        assert_eq!(
            unit("histogram_quantile(0.99, sum(rate(x_duration_seconds_bucket[5m])) by (le))"),
            Some(Unit::Seconds)
        );
        assert_eq!(
            unit("histogram_quantile(0.99, sum(rate(x_duration_milliseconds_bucket[5m])) by (le))"),
            Some(Unit::Milliseconds)
        );
        assert_eq!(unit("sum(rate(a[5m])) / sum(rate(b[5m]))"), Some(Unit::Ratio));
        assert_eq!(unit("sum(rate(a[5m])) / sum(rate(b[5m])) * 100"), Some(Unit::Percent));
        assert_eq!(unit("avg(confidence)"), None);
        assert!(names_a_version("a{version=\"v2\"}") && !names_a_version("sum(rate(errors_total[5m]))"));
    }
}
