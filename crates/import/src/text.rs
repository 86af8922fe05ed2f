//! Times, names and numbers, as other tools write them.

use manifest::{Percent, Span};

/// A time of Go (`1h30m`, `500ms`, `0.5h`, `1d` is none) or a number of seconds, in milliseconds.
pub(crate) fn duration(text: &str) -> Option<u64> {
    let text = text.trim().trim_start_matches('+');
    if let Ok(seconds) = text.parse::<f64>() {
        return ms(seconds * 1_000.0);
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (count, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let unit = match unit {
            "ns" => 1e-6,
            "us" | "µs" | "μs" => 1e-3,
            "ms" => 1.0,
            "s" => 1e3,
            "m" => 6e4,
            "h" => 3.6e6,
            // Not Go's, and Prometheus's.
            "d" => 8.64e7,
            "w" => 6.048e8,
            _ => return None,
        };
        total += count.parse::<f64>().ok()? * unit;
        rest = after;
    }
    if text.is_empty() { None } else { ms(total) }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between nothing and a year
fn ms(value: f64) -> Option<u64> {
    (0.0..=366.0 * 8.64e7).contains(&value).then(|| value.round() as u64)
}

pub(crate) fn span(ms: u64) -> Span {
    Span::from_ms(ms)
}

/// So many of so many, as a share.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and a million
pub(crate) fn share(part: f64, of: f64) -> Option<Percent> {
    let ppm = 1e6 * part / of;
    (0.0..=1e6).contains(&ppm).then(|| Percent::from_ppm(ppm.round() as u32))
}

/// A name that may be a label; `None`: nothing of it is left.
pub(crate) fn label(text: &str) -> Option<String> {
    let fits = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let label: String = text.trim().chars().map(fits).take(63).collect();
    let label = label.trim_matches(['-', '.', '_']).to_owned();
    (!label.is_empty()).then_some(label)
}

/// A name that a rollout may have: a DNS subdomain.
pub(crate) fn rollout_name(text: &str) -> Option<String> {
    let lower = label(text)?.to_ascii_lowercase().replace('_', "-");
    let parts = lower.split('.').map(|part| part.trim_matches('-')).filter(|part| !part.is_empty());
    let name = parts.collect::<Vec<_>>().join(".");
    (!name.is_empty()).then_some(name)
}

/// The version an image's name tells: its tag, or the beginning of its digest.
pub(crate) fn tag(image: &str) -> Option<String> {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let last = name.rsplit('/').next()?;
    match (last.split_once(':'), digest) {
        (Some((_, tag)), _) => label(tag),
        (None, Some(digest)) => {
            label(&digest.replace("sha256:", "sha256-").chars().take(19).collect::<String>())
        }
        (None, None) => None,
    }
}

/// The version in the address of a model: the part of its path that begins as a number does, or the last.
pub(crate) fn of_uri(uri: &str) -> Option<String> {
    let path = uri.split_once("://").map_or(uri, |(_, path)| path);
    let path = path.split(['?', '#']).next()?.trim_end_matches('/');
    let numbered = |part: &&str| {
        let digits = part.strip_prefix(['v', 'V']).unwrap_or(part);
        digits.starts_with(|c: char| c.is_ascii_digit()) && !part.contains(':')
    };
    // `models/iris/1.0/model` is version 1.0.
    let parts = || path.rsplit('/');
    label(parts().take(3).find(numbered).or_else(|| parts().next())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_gos_and_seconds() {
        for (text, expected) in [
            ("10", Some(10_000)),
            ("10s", Some(10_000)),
            ("1h30m", Some(5_400_000)),
            ("0.5h", Some(1_800_000)),
            ("500ms", Some(500)),
            ("0", Some(0)),
            ("1d", Some(86_400_000)),
            ("", None),
            ("ten", None),
            ("-5m", None),
            ("5x", None),
            ("m", None),
            ("99999h", None),
        ] {
            assert_eq!(duration(text), expected, "{text}");
        }
    }

    #[test]
    fn versions_are_told_by_images_and_addresses() {
        assert_eq!(tag("registry:5000/a/b:v2.1.0").as_deref(), Some("v2.1.0"));
        assert_eq!(tag("registry:5000/a/b"), None);
        assert_eq!(tag("a@sha256:0123456789abcdef").as_deref(), Some("sha256-0123456789ab"));
        assert_eq!(of_uri("gs://ml-models/fraud/v2.1.0/").as_deref(), Some("v2.1.0"));
        assert_eq!(of_uri("gs://models/iris/1.0/model").as_deref(), Some("1.0"));
        assert_eq!(of_uri("https://a.b/c/model.bin?raw=true").as_deref(), Some("model.bin"));
        assert_eq!(rollout_name("My_Model.").as_deref(), Some("my-model"));
        assert_eq!(rollout_name("{{}}"), None);
    }
}
