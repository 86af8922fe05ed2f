//! What a person reads when the disk does not do what it should.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn refused(file: &Path) -> String {
    format!("{:#}", Store::open(file).err().expect("refused"))
}

#[track_caller]
fn says(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "{part:?} is missing in: {error}");
    }
}

#[test]
fn a_foreign_file_is_named_and_left_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let foreign = dir.path().join("foreign.db");
    fs::write(&foreign, "not a store at all, but long enough to be looked at").expect("a file");
    says(&refused(&foreign), &["foreign.db", "--store"]);
    assert!(fs::read_to_string(&foreign).expect("still there").starts_with("not a store"));
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    says(&refused(&dir.path().join("nowhere/serin.db")), &["nowhere/serin.db", "must exist and be writable"]);
}

#[test]
fn two_controllers_on_one_store_are_one_too_many() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let first = Store::open(&file).expect("a new store");
    says(&refused(&file), &["serin.db", "another serin", "--store"]);
    drop(first);
    Store::open(&file).expect("the other has gone");
}

#[test]
fn a_damaged_store_says_how_it_is_mended() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut store = Store::open(&file).expect("a new store");
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        save(&mut store, &run(name), 7, 3).expect("written");
    }
    drop(store);
    let mut bytes = fs::read(&file).expect("the store");
    let header = 4096;
    bytes.iter_mut().skip(header).for_each(|byte| *byte = 0xA5);
    fs::write(&file, bytes).expect("damaged");
    let error = match Store::open(&file) {
        Err(error) => format!("{error:#}"),
        Ok(store) => format!("{:#}", store.rollouts().err().expect("damaged")),
    };
    says(&error, &["serin.db", "is damaged", "backup", ".recover"]);
}

#[test]
fn a_store_that_may_only_be_read_says_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut store = Store::open(&file).expect("a new store");
    store.refuse_writes(true).expect("a switch");
    let error = format!("{:#}", save(&mut store, &run("ranker"), 7, 3).expect_err("refused"));
    says(&error, &["serin.db", "cannot be written", "writable by this user"]);
    drop(store);

    // A user who may write everything is not stopped by permissions.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o500)).expect("read only");
    let stopped = fs::write(dir.path().join("probe"), "").is_err();
    if stopped {
        fs::remove_file(dir.path().join("serin.db.lock")).ok();
        says(&refused(&dir.path().join("other.db")), &["other.db", "writable"]);
    }
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).expect("as before");
}

/// SQLite's own limit on pages stands for the end of the disk: the same error, from the same place.
#[test]
fn a_full_disk_loses_nothing_and_says_what_helps() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut store = Store::open(&file).expect("a new store");
    save(&mut store, &run("ranker"), 7, 3).expect("written");
    let pages: i64 = store.connection.pragma_query_value(None, "page_count", |row| row.get(0)).expect("it");
    store.connection.pragma_update(None, "max_page_count", pages).expect("a limit");
    let error = (0..100)
        .find_map(|n| save(&mut store, &run(&format!("more-{n}")), 8 + n, 3).err())
        .expect("the limit is reached");
    says(&format!("{error:#}"), &["serin.db", "disk full", "free some space"]);
    let before = store.mesh().expect("it");
    assert!(save(&mut store, &run("one-more"), 1_000, 3).is_err());
    assert_eq!(store.mesh().expect("it"), before, "all of a decision or nothing");

    store.connection.pragma_update(None, "max_page_count", 1_000_000).expect("room again");
    save(&mut store, &run("one-more"), 1_000, 3).expect("written");
}
