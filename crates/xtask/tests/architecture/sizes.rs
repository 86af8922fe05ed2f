//! How large each crate is, without its tests.

use std::collections::BTreeMap;
use std::path::Path;

use crate::files::tracked;
use crate::graph::root;

/// A crate with more lines than this answers more than one question.
const CRATE: usize = 11_000;

/// What has a limit of its own: everything meets in the controller.
const OF_ITS_OWN: [(&str, usize); 1] = [("controller", 8_000)];

/// The crate that a Rust file belongs to, by its folder; `None`: it is a test. Of the crate `tests` the library counts, which
/// is the harness; the stories are tests like any others.
pub fn crate_of(path: &Path) -> Option<String> {
    let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
    let (folder, rest) = match parts.split_first()? {
        (&"crates", rest) => (rest.first()?, rest.get(1..)?),
        (folder, rest) => (folder, rest),
    };
    let name = rest.last()?;
    let is_test = (*folder == "tests" && rest.first() != Some(&"src"))
        || rest.contains(&"tests")
        || *name == "tests.rs"
        || name.ends_with("_tests.rs");
    (!is_test).then(|| (*folder).to_owned())
}

/// Lines up to the tests within the file.
fn lines(text: &str) -> usize {
    without_tests(text).len()
}

/// The lines of a file before the tests within it.
pub fn without_tests(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    let tests = lines.windows(3).position(|three| {
        three[0] == "#[cfg(test)]"
            && three[1..].iter().any(|line| line.starts_with("mod ") && line.ends_with('{'))
    });
    lines.truncate(tests.unwrap_or(lines.len()));
    lines
}

#[test]
fn no_crate_answers_more_than_one_question() {
    let mut sizes: BTreeMap<String, usize> = BTreeMap::new();
    for path in tracked().into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "rs")) {
        let text = std::fs::read_to_string(&path).expect("Rust is UTF-8");
        let inside = path.strip_prefix(root()).unwrap_or(&path);
        if let Some(name) = crate_of(inside) {
            *sizes.entry(name).or_default() += lines(&text);
        }
    }
    let mut shown: Vec<(&String, &usize)> = sizes.iter().collect();
    shown.sort_by_key(|(_, lines)| std::cmp::Reverse(**lines));
    println!("lines of Rust without tests:");
    shown.iter().for_each(|(name, lines)| println!("{lines:>7} {name}"));
    let most =
        |name: &str| OF_ITS_OWN.iter().find(|(known, _)| *known == name).map_or(CRATE, |(_, most)| *most);
    let large: Vec<_> = shown.iter().filter(|(name, lines)| **lines > most(name)).collect();
    assert!(large.is_empty(), "split by question: {large:?}");
}

#[test]
fn tests_are_left_out() {
    for (path, expected) in [
        ("controller/src/engine/mod.rs", Some("controller")),
        ("controller/src/engine/tests/world.rs", None),
        ("crates/judge/tests/judge/main.rs", None),
        ("crates/judge/src/plan.rs", Some("judge")),
        ("envoy/src/ecds/nodes_tests.rs", None),
        ("tests/src/serin.rs", Some("tests")),
        ("tests/e2e/leases.rs", None),
    ] {
        assert_eq!(crate_of(Path::new(path)).as_deref(), expected, "{path}");
    }
    assert_eq!(lines("a\nb\n#[cfg(test)]\nmod tests {\n    c\n}\n"), 2);
    assert_eq!(lines("a\n#[cfg(test)]\nmod tests;\n"), 3);
}
