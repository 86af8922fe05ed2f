//! What a new rollout or trigger may be called.

use crate::problem::Problem;

/// Why a new rollout or trigger may not be called so; `None`: it may. What an earlier serin took goes on under its name.
///
/// A name stands in addresses (`/v1/rollouts/NAME`), in counters and in Kubernetes, so it is a DNS subdomain of at most 63
/// characters (RFC 1123): nobody can ask for one that is called `..`.
#[must_use]
pub fn unusable_name(name: &str) -> Option<Problem> {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let part = |part: &str| {
        part.bytes().all(|byte| letters(byte) || byte == b'-')
            && part.bytes().next().is_some_and(letters)
            && part.bytes().next_back().is_some_and(letters)
    };
    let fits = name.len() <= 63 && name.split('.').all(part);
    (!fits).then(|| {
        Problem::error(
            "metadata.name",
            format!("nothing new may be called {name:?}"),
            "use 1 to 63 small letters, digits, '-' and '.', with a letter or digit at both ends of each part between dots, \
             such as ranker or search.eu",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_dns_subdomain() {
        let longest = "a".repeat(63);
        for name in ["ranker", "a", "7b", "search.eu", "a-b.c-d", &longest] {
            assert_eq!(unusable_name(name), None, "{name}");
        }
        let longer = "a".repeat(64);
        for name in [
            "", ".", "..", "...", "a..b", ".a", "a.", "-a", "a-", "a.-b", "a-.b", "A", "a_b", "a/b", "a b",
            "%2e", "ä", "a\nb", "a\u{0}", &longer,
        ] {
            let problem = unusable_name(name).unwrap_or_else(|| panic!("{name:?} passes")).to_string();
            assert!(problem.contains("metadata.name") && problem.contains("such as ranker"), "{problem}");
        }
    }
}
