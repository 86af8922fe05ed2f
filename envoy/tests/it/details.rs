//! The words by which requests are classed are words of the pinned Envoy.

use std::collections::BTreeSet;

use crate::mesh::found;

const TABLE: &str = include_str!("../../../crates/tally/src/tests/ends.tsv");

/// Every detail that stands in the binary as it is, by the table; `built` ones are put together at run time.
fn wanted() -> BTreeSet<&'static str> {
    let rows = TABLE.lines().filter(|line| !line.starts_with('#'));
    let fields = rows.map(|row| row.split('\t').collect::<Vec<_>>());
    fields.filter(|fields| fields.get(3) == Some(&"yes")).map(|fields| fields[1]).collect()
}

/// The texts of a binary: runs of printable characters of a length that a detail may have.
fn texts(binary: &[u8]) -> impl Iterator<Item = &str> {
    binary
        .split(|byte| !(b' '..=b'~').contains(byte))
        .filter(|run| (6..400).contains(&run.len()))
        .filter_map(|run| std::str::from_utf8(run).ok())
}

#[test]
fn every_detail_that_is_classed_stands_in_the_pinned_envoy() {
    let Some(envoy) = found() else { return };
    let binary = std::fs::read(&envoy).expect("the binary");
    let mut missing = wanted();
    assert!(missing.len() > 120, "{}", missing.len());
    for text in texts(&binary) {
        missing.remove(text);
    }
    // A linker lets a text be the end of another.
    let left: Vec<&str> = missing.iter().copied().collect();
    for text in texts(&binary) {
        for detail in &left {
            if text.contains(detail) {
                missing.remove(detail);
            }
        }
    }
    assert!(missing.is_empty(), "this Envoy does not know {missing:?}");
    assert!(!texts(&binary).any(|text| text == "a_detail_that_is_none"), "the check can fail");
}
