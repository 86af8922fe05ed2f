//! Who depends on whom: the members from `cargo metadata`, third-party crates from Cargo.lock.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Normal and build dependencies; dev-dependencies of members that are nothing but tests, where they are asked for.
pub struct Graph {
    /// With the folder of each.
    members: BTreeMap<String, PathBuf>,
    edges: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    /// `tests` names the members whose dev-dependencies count.
    pub fn of_this_workspace(tests: &[&str]) -> Self {
        let root = root();
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
            .arg(root.join("Cargo.toml"))
            .output()
            .expect("cargo runs");
        assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON from cargo metadata");
        let mut graph = Self { members: BTreeMap::new(), edges: BTreeMap::new() };
        for package in metadata["packages"].as_array().expect("a list of packages") {
            let name = package["name"].as_str().expect("a package has a name");
            let manifest = package["manifest_path"].as_str().expect("a package has a manifest");
            let folder = Path::new(manifest).parent().expect("a manifest is in a folder");
            graph.members.insert(name.to_owned(), folder.to_owned());
            for dependency in package["dependencies"].as_array().expect("a list of dependencies") {
                if dependency["kind"] != "dev" || tests.contains(&name) {
                    graph.add(name, dependency["name"].as_str().expect("a dependency has a name"));
                }
            }
        }
        let lock = std::fs::read_to_string(root.join("Cargo.lock")).expect("Cargo.lock is in the repository");
        graph.add_lock(&lock);
        graph
    }

    pub fn of(members: &[&str], ours: &[(&str, &str)], others: &[(&str, &str)]) -> Self {
        let members = members.iter().map(|name| ((*name).to_owned(), PathBuf::new())).collect();
        let mut graph = Self { members, edges: BTreeMap::new() };
        ours.iter().chain(others).for_each(|(from, to)| graph.add(from, to));
        graph
    }

    pub fn members(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
    }

    /// Where a member lies.
    pub fn folder(&self, package: &str) -> &Path {
        self.members.get(package).unwrap_or_else(|| panic!("no crate `{package}`: remove its rule"))
    }

    /// The members a package depends on.
    pub fn ours(&self, package: &str) -> BTreeSet<String> {
        self.edges
            .get(package)
            .into_iter()
            .flatten()
            .filter(|name| self.members.contains_key(*name))
            .cloned()
            .collect()
    }

    /// How a package reaches a third-party crate without passing through another member.
    pub fn way_to(&self, package: &str, goal: &str) -> Option<String> {
        let mut seen = BTreeSet::from([package]);
        let mut open = vec![vec![package]];
        while let Some(way) = open.pop() {
            let last = *way.last()?;
            if last == goal {
                return Some(way.join(" -> "));
            }
            for next in self.edges.get(last).into_iter().flatten() {
                if !self.members.contains_key(next) && seen.insert(next) {
                    open.push(way.iter().copied().chain([next.as_str()]).collect());
                }
            }
        }
        None
    }

    fn add(&mut self, from: &str, to: &str) {
        self.edges.entry(from.to_owned()).or_default().insert(to.to_owned());
    }

    /// Cargo.lock lists a crate's dependencies for every platform, dev-dependencies only for members. Versions of
    /// one crate are taken together, which can only find more.
    fn add_lock(&mut self, lock: &str) {
        for block in lock.split("[[package]]").skip(1) {
            let Some(name) = block.lines().find_map(|line| line.strip_prefix("name = ")).map(unquoted) else {
                continue;
            };
            if self.members.contains_key(name) {
                continue;
            }
            let listed = block.lines().skip_while(|line| *line != "dependencies = [").skip(1);
            for line in listed.take_while(|line| *line != "]") {
                let dependency = unquoted(line.trim().trim_end_matches(','));
                self.add(name, dependency.split(' ').next().unwrap_or(dependency));
            }
        }
    }
}

/// The folder of the root manifest.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("xtask is two folders below the root")
}

fn unquoted(text: &str) -> &str {
    text.trim().trim_matches('"')
}

#[test]
fn the_lock_file_is_read() {
    let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\ndependencies = [\n \"b\",\n \"c 2.0.0\",\n]\n\n\
                [[package]]\nname = \"b\"\nversion = \"1.0.0\"\n";
    let mut graph = Graph::of(&["member"], &[("member", "a")], &[]);
    graph.add_lock(lock);
    assert_eq!(graph.way_to("member", "c").as_deref(), Some("member -> a -> c"));
    assert_eq!(graph.way_to("member", "b").as_deref(), Some("member -> a -> b"));
    assert_eq!(graph.way_to("member", "d"), None);
}

#[test]
fn this_workspace_is_seen_through_to_its_leaves() {
    let graph = Graph::of_this_workspace(&[]);
    assert!(graph.ours("tally").contains("split"));
    assert!(graph.way_to("controller", "mio").is_some(), "tokio brings mio");
}
