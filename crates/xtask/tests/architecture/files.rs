//! What is true of every tracked file.

use std::path::PathBuf;
use std::process::Command;

use crate::graph::root;

/// Files read in one sitting: the aim is 400, and this is where a file must be split.
const LINES: usize = 450;

/// Paths of one machine; the project runs on any. Written in pieces, since this file is checked too.
const PRIVATE: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tmp/", "serin")];

/// A type with more fields than this knows too much, or has a reason.
const FIELDS: usize = 20;

/// Types with more, each with its reason.
const WIDE: [(&str, &str); 7] = [
    ("RolloutSpec", "what a user may write of a rollout: the form of the document is flat"),
    (
        "Gate",
        "what a user may write of a gate, as typed and as stored: which fields go together is checked, and said by name",
    ),
    ("Plan", "a rollout as meant, which mirrors the document"),
    ("State", "the whole of a run, stored as one document that earlier releases wrote"),
    ("View", "a run as the API answers it: the form is public"),
    ("Options", "the options of a command"),
    ("Report", "the demo's report, a public form"),
];

/// Every tracked file that is in the checkout.
pub fn tracked() -> Vec<PathBuf> {
    let remedy = "this test asks git which files belong to the project: install git and run it in a clone";
    let output = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "-z"])
        .current_dir(root())
        .output()
        .unwrap_or_else(|error| panic!("git could not be started ({error}): {remedy}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git ls-files failed ({}): {remedy}", said.trim());
    let names = String::from_utf8(output.stdout).expect("file names are UTF-8");
    let files: Vec<PathBuf> = names.split_terminator('\0').map(|name| root().join(name)).collect();
    assert!(!files.is_empty(), "git knows no file here: {remedy}");
    // A deleted file stays tracked until the commit; a link or a submodule is no text of ours.
    files.into_iter().filter(|path| path.symlink_metadata().is_ok_and(|meta| meta.is_file())).collect()
}

fn private_in(text: &str) -> Vec<(usize, &'static str)> {
    let numbered = text.lines().enumerate();
    numbered
        .flat_map(|(at, line)| {
            PRIVATE.into_iter().filter(|path| line.contains(path)).map(move |path| (at + 1, path))
        })
        .collect()
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    let mut found = Vec::new();
    for path in tracked() {
        let bytes = std::fs::read(&path).expect("a tracked file can be read");
        for (line, private) in private_in(&String::from_utf8_lossy(&bytes)) {
            found.push(format!("{}:{line}: {private}", path.display()));
        }
    }
    assert!(
        found.is_empty(),
        "paths of one machine, write them relative to the root or as a variable:\n{}",
        found.join("\n")
    );
}

#[test]
fn no_rust_file_is_longer_than_one_sitting() {
    let mut found = Vec::new();
    for path in tracked().into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "rs")) {
        let lines = std::fs::read_to_string(&path).expect("Rust is UTF-8").lines().count();
        if lines > LINES {
            found.push(format!("{}: {lines} lines", path.display()));
        }
    }
    assert!(found.is_empty(), "more than {LINES} lines, split by idea:\n{}", found.join("\n"));
}

/// The structs of a Rust text that have named fields, each with how many.
fn structs(text: &str) -> Vec<(&str, usize)> {
    let mut found: Vec<(&str, usize)> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        let head = line.strip_prefix("pub ").or_else(|| line.strip_prefix("pub(super) ")).unwrap_or(line);
        if let Some(name) = head.strip_prefix("struct ").filter(|_| line.ends_with('{')) {
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
            found.push((&name[..end], 0));
            open = true;
        } else if line == "}" {
            open = false;
        } else if let Some((_, fields)) = found.last_mut().filter(|_| open) {
            let field = line.strip_prefix("    ").filter(|field| !field.starts_with([' ', '/', '#']));
            *fields += usize::from(field.is_some_and(|field| field.contains(": ")));
        }
    }
    found
}

#[test]
fn no_type_knows_everything_without_a_reason() {
    let (mut found, mut wide) = (Vec::new(), Vec::new());
    for path in tracked().into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "rs")) {
        let text = std::fs::read_to_string(&path).expect("Rust is UTF-8");
        for (name, fields) in structs(&text).into_iter().filter(|(_, fields)| *fields > FIELDS) {
            wide.push(name.to_owned());
            if !WIDE.iter().any(|(known, _)| *known == name) {
                found.push(format!("{}: {name} has {fields} fields", path.display()));
            }
        }
    }
    assert!(
        found.is_empty(),
        "more than {FIELDS} fields, split by idea or give a reason:\n{}",
        found.join("\n")
    );
    for (name, _) in WIDE {
        assert!(wide.iter().any(|known| known == name), "{name} is wide no longer: remove its reason");
    }
}

#[test]
fn fields_are_counted() {
    let text = "pub struct A<'a> {\n    /// x: y\n    pub a: u8,\n    #[serde(default)]\n    b: Vec<u8>,\n}\nstruct B(u8);\nstruct C {}\nfn f() {\n    let x: u8 = 1;\n}\n";
    assert_eq!(structs(text), [("A", 2)]);
}

#[test]
fn a_private_path_is_found() {
    let text = format!("a\nsee {}x\n", PRIVATE[1]);
    assert_eq!(private_in(&text), [(2, PRIVATE[1])]);
    assert_eq!(private_in("target/serin, ~/work, workspace/"), []);
}
