//! Do two rollouts claim the same requests? The first in the policy gets them.

use crate::policy::Match;
use crate::rule::is_under;

/// How much of what a later rollout claims an earlier one takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// Nothing.
    Nothing,
    /// Some of it.
    Some,
    /// All of it.
    All,
}

/// How much of what `later` claims does `earlier` take? No [`Match`] claims everything.
#[must_use]
pub fn overlap(earlier: Option<&Match>, later: Option<&Match>) -> Overlap {
    let all = Match::default();
    let (earlier, later) = (earlier.unwrap_or(&all), later.unwrap_or(&all));
    let same = |one: &String, other: &String| one.eq_ignore_ascii_case(other);
    let names = |name: &String| earlier.authority.iter().any(|known| same(known, name));
    let (any_host, any_host_later) = (earlier.authority.is_empty(), later.authority.is_empty());
    let under = |path: &Option<String>, prefix: &Option<String>| match (path, prefix) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(path), Some(prefix)) => is_under(path.as_bytes(), prefix.as_bytes()),
    };
    let paths_cover = under(&later.path_prefix, &earlier.path_prefix);
    let parts = [
        (
            any_host || !any_host_later && later.authority.iter().all(names),
            any_host || any_host_later || later.authority.iter().any(names),
        ),
        (paths_cover, paths_cover || under(&earlier.path_prefix, &later.path_prefix)),
        part(earlier.port, later.port),
        part(earlier.direction, later.direction),
    ];
    if parts.iter().any(|(_, meets)| !meets) {
        Overlap::Nothing
    } else if parts.iter().all(|(covers, _)| *covers) {
        Overlap::All
    } else {
        Overlap::Some
    }
}

/// Of one value that may be named: does the earlier cover the later, and do they meet?
fn part<T: PartialEq>(earlier: Option<T>, later: Option<T>) -> (bool, bool) {
    (earlier.is_none() || earlier == later, earlier.is_none() || later.is_none() || earlier == later)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_rollout_takes_of_a_later_one() {
        #[track_caller]
        fn check(earlier: &str, later: &str, expected: Overlap) {
            let read =
                |json: &str| (json != "all").then(|| serde_json::from_str::<Match>(json).expect("a match"));
            let (one, other) = (read(earlier), read(later));
            assert_eq!(overlap(one.as_ref(), other.as_ref()), expected, "{earlier} before {later}");
            // What takes something meets from either side.
            let back = overlap(other.as_ref(), one.as_ref());
            assert_eq!(back == Overlap::Nothing, expected == Overlap::Nothing, "{later} before {earlier}");
        }
        let path = |prefix: &str| format!("{{\"path_prefix\": \"{prefix}\"}}");
        check("all", "all", Overlap::All);
        check("all", &path("/rank"), Overlap::All);
        check(&path("/rank"), "all", Overlap::Some);
        check(&path("/rank"), &path("/rank"), Overlap::All);
        check(&path("/rank"), &path("/rank/v1"), Overlap::All);
        check(&path("/rank/v1"), &path("/rank"), Overlap::Some);
        check(&path("/rank"), &path("/ranking"), Overlap::Nothing);
        check(&path("/rank/"), &path("/rank"), Overlap::Some);
        check(r#"{"authority": ["a.example"]}"#, r#"{"authority": ["A.example"]}"#, Overlap::All);
        check(r#"{"authority": ["a.example"]}"#, r#"{"authority": ["a.example", "b"]}"#, Overlap::Some);
        check(r#"{"authority": ["a.example"]}"#, r#"{"authority": ["b"]}"#, Overlap::Nothing);
        check(r#"{"authority": ["a.example"]}"#, &path("/rank"), Overlap::Some);
        check(r#"{"port": 80}"#, r#"{"port": 81}"#, Overlap::Nothing);
        check(r#"{"port": 80}"#, r#"{"port": 80, "direction": "inbound"}"#, Overlap::All);
        check(r#"{"direction": "outbound"}"#, r#"{"port": 80, "direction": "inbound"}"#, Overlap::Nothing);
        check(r#"{"direction": "outbound"}"#, r#"{"port": 80}"#, Overlap::Some);
    }
}
