//! What stands in one place, and may be written or called from nowhere else.

use crate::files::tracked;
use crate::graph::root;
use crate::sizes::{crate_of, without_tests};

/// A piece of code and the files that may hold it. Tests may hold all of it: they ask as others would.
struct Place {
    code: &'static str,
    /// Files, or folders with a `/` at the end.
    only_in: &'static [&'static str],
    why: &'static str,
}

const PATHS: &str = "every path of the API is written once: use api::path";

const METRICS: &str = "every metric's name is written once: use tally::metric";

const ONE_COMMIT: &str = "the store is written by Engine::commit (decisions), Engine::wish (what waits for its turn) and Engine::prune";

const ARCHIVE: &str = "the store is read beside the engine for exports and readiness alone: ask the engine";

const PLACES: &[Place] = &[
    Place {
        code: "\"/v1/rollouts",
        only_in: &["crates/api/src/path.rs", "crates/xtask/src/compose/story.rs"],
        why: PATHS,
    },
    Place { code: "\"/v1/triggers", only_in: &["crates/api/src/path.rs"], why: PATHS },
    Place { code: "\"/v1/export", only_in: &["crates/api/src/path.rs"], why: PATHS },
    Place { code: "\"/v1/lease", only_in: &["crates/api/src/path.rs"], why: PATHS },
    Place { code: "self.journal.begin(", only_in: &["controller/src/engine/writing.rs"], why: ONE_COMMIT },
    Place { code: "self.journal.note(", only_in: &["controller/src/engine/commit.rs"], why: ONE_COMMIT },
    Place {
        code: "self.journal.prune(",
        only_in: &["controller/src/engine/maintenance.rs"],
        why: ONE_COMMIT,
    },
    Place { code: "store.keep(", only_in: &["controller/src/engine/store_writer.rs"], why: ONE_COMMIT },
    Place { code: "self.write(numbered)", only_in: &["controller/src/engine/commit.rs"], why: ONE_COMMIT },
    Place { code: "Archive::of(", only_in: &["crates/server/src/serve.rs"], why: ARCHIVE },
    Place { code: "\"serin_", only_in: &["crates/tally/src/"], why: METRICS },
];

/// Lines of a file's text that hold what stands elsewhere.
fn misplaced(places: &[Place], file: &str, text: &str) -> Vec<String> {
    let holds = |place: &Place| {
        place.only_in.iter().any(|known| *known == file || known.ends_with('/') && file.starts_with(known))
    };
    let lines = without_tests(text).into_iter().zip(1..);
    let code = lines.filter(|(line, _)| !line.trim_start().starts_with("//"));
    code.flat_map(|(line, number)| {
        let found = places.iter().filter(|place| line.contains(place.code) && !holds(place));
        found.map(move |place| format!("{file}:{number}: {}: {}", place.code, place.why))
    })
    .collect()
}

#[test]
fn what_stands_in_one_place_stands_in_no_other() {
    let mut found = Vec::new();
    let mut held = vec![false; PLACES.len()];
    for path in tracked().into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "rs")) {
        let inside = path.strip_prefix(root()).unwrap_or(&path);
        if crate_of(inside).is_none() {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("Rust is UTF-8");
        for (place, held) in PLACES.iter().zip(&mut held) {
            *held |= text.contains(place.code);
        }
        found.extend(misplaced(PLACES, &inside.to_string_lossy(), &text));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    for (place, held) in PLACES.iter().zip(held) {
        assert!(held, "nothing holds {}: remove its rule", place.code);
    }
}

#[test]
fn what_stands_elsewhere_is_found() {
    let places = [Place { code: "f(", only_in: &["a/one.rs", "b/"], why: "once" }];
    #[track_caller]
    fn check(places: &[Place], file: &str, text: &str, expected: usize) {
        assert_eq!(misplaced(places, file, text).len(), expected, "{file}: {text}");
    }
    check(&places, "a/two.rs", "g();\nx.f(1);\n", 1);
    check(&places, "a/one.rs", "f(1)", 0);
    check(&places, "b/c/d.rs", "f(1)", 0);
    check(&places, "bc.rs", "f(1)", 1);
    check(&places, "c.rs", "// f(1)\n#[cfg(test)]\nmod tests {\n    f(2);\n}\n", 0);
}
