//! A store whose rows are kept elsewhere, and one that goes on from them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::*;
use crate::tests::{queued, run, save};
use crate::{Change, Entry, Kind, Origin, Outcome, Stored, Triggered, Writing};

/// The place elsewhere.
#[derive(Clone, Default)]
struct There(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    rows: BTreeMap<String, String>,
    mesh: Mesh,
    sent: usize,
    /// `Some(true)`: it is done although it is refused.
    refuses: Option<bool>,
}

impl There {
    fn kept<T>(&self, with: impl FnOnce(&mut Kept) -> T) -> T {
        with(&mut self.0.lock().expect("not poisoned"))
    }

    fn take(&self, sent: Sent) -> Result<()> {
        self.kept(|kept| {
            let refuses = kept.refuses;
            if refuses != Some(false) {
                kept.sent += 1;
                kept.mesh = sent.mesh;
                for (key, row) in sent.rows {
                    match row {
                        Some(row) => drop(kept.rows.insert(key, row)),
                        None => drop(kept.rows.remove(&key)),
                    }
                }
            }
            if refuses.is_some() { bail!("no answer") } else { Ok(()) }
        })
    }

    /// A store whose rows are sent here from now on.
    fn replicate(&self, store: &mut Store) {
        let sent = store.all_rows().expect("rows");
        self.take(sent).expect("taken");
        let there = self.clone();
        store.replicate(Box::new(move |sent| there.take(sent))).expect("replicated");
    }

    fn take_over(&self, store: &mut Store) -> Result<()> {
        let rows = self.kept(|kept| kept.rows.clone());
        store.take_over(migrations::PRESENT, rows.iter().map(|(key, row)| (&**key, &**row)))
    }
}

fn store(dir: &tempfile::TempDir, name: &str) -> Store {
    Store::open(&dir.path().join(name)).expect("a store")
}

fn all(store: &Store) -> String {
    let runs = store.rollouts().expect("runs").into_iter().map(|Stored { spec, state, generation }| {
        format!("{spec} {generation} {}", serde_json::to_string(&state).expect("JSON"))
    });
    let triggers = store.triggers().expect("triggers").into_iter();
    let triggers = triggers.map(|it| format!("{} {} {:?} {:?}", it.name, it.spec, it.pending, it.triggered));
    format!(
        "{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}",
        store.mesh().expect("mesh"),
        store.published().expect("published"),
        store.queued().expect("queued"),
        runs.collect::<Vec<_>>(),
        triggers.collect::<Vec<_>>(),
        store.last("ranker").expect("last"),
        store.stable_versions("ranker").expect("versions"),
    )
}

#[test]
fn another_goes_on_from_all_of_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let (there, mut a, mut b) = (There::default(), store(&dir, "a.db"), store(&dir, "b.db"));
    // What was there before is there too.
    save(&mut a, &run("ranker"), 7, 3).expect("written");
    there.replicate(&mut a);
    save(&mut a, &run("other.eu"), 9, 8).expect("written");
    let mut second = run("ranker");
    second.state.run = 2;
    let first = run("ranker");
    let line = [Entry::new(5, Kind::Act, "a \"quoted\" line\n")];
    let past = Writing { entries: &line, ..first.writing() };
    a.commit(&Change {
        runs: &[second.writing()],
        past: &[past],
        generation: 10,
        published: &[(10, u64::MAX), (10, 3)],
        ..Change::default()
    })
    .expect("written");
    a.queue(&queued("ranker", "v3")).expect("written");
    a.queue(&queued("gone", "v3")).expect("written");
    a.unqueue("gone").expect("written");
    a.keep_trigger("registry", "kind: Trigger").expect("written");
    let triggered = Triggered {
        version: "1/2\"".to_owned(),
        by: "me".to_owned(),
        unix_ms: 1,
        outcome: Outcome::Stable,
        origin: Origin::default(),
    };
    a.note_triggered("registry", &[triggered], None).expect("written");
    there.take_over(&mut b).expect("taken over");
    assert_eq!(all(&b), all(&a));
    assert_eq!(there.kept(|kept| kept.mesh.clone()), a.mesh().expect("mesh"));
    assert_eq!(b.incarnation, a.incarnation);
    // And back, after the other went on.
    there.replicate(&mut b);
    b.commit(&Change { gone: &["other.eu".to_owned()], generation: 11, ..Change::default() })
        .expect("written");
    drop(a);
    let mut a = store(&dir, "a.db");
    there.take_over(&mut a).expect("taken over");
    assert_eq!(all(&a), all(&b));
    assert_eq!(a.rollouts().expect("runs").len(), 1);
}

#[test]
fn what_is_refused_there_is_nothing_here_and_the_next_write_makes_sure() {
    let dir = tempfile::tempdir().expect("a folder");
    for done in [false, true] {
        let name = format!("{done}.db");
        let (there, mut a) = (There::default(), store(&dir, &name));
        save(&mut a, &run("ranker"), 7, 3).expect("written");
        there.replicate(&mut a);
        let before = all(&a);
        there.kept(|kept| kept.refuses = Some(done));
        let refused = save(&mut a, &run("other"), 8, 3).expect_err("refused");
        assert!(format!("{refused:#}").contains("no answer"), "{refused:#}");
        assert_eq!(all(&a), before);
        there.kept(|kept| kept.refuses = None);
        let ranker = run("ranker");
        a.commit(&Change { runs: &[ranker.writing()], evidence: true, ..Change::default() })
            .expect("written");
        let mut b = store(&dir, &format!("b-{name}"));
        there.take_over(&mut b).expect("taken over");
        assert_eq!(all(&b), all(&a), "done: {done}");
    }
}

/// A disk that fails when the place elsewhere has it already.
#[test]
fn what_does_not_hold_here_is_taken_back_there() {
    let dir = tempfile::tempdir().expect("a folder");
    let (there, mut a, mut b) = (There::default(), store(&dir, "a.db"), store(&dir, "b.db"));
    save(&mut a, &run("ranker"), 7, 3).expect("written");
    there.replicate(&mut a);
    // The row was sent, and then the commit itself failed.
    let unsure = a.replication.as_mut().expect("replicated");
    unsure.unsure.insert("rollout[\"other\"]".to_owned());
    there.kept(|kept| kept.rows.insert("rollout[\"other\"]".to_owned(), "{}".to_owned()));
    save(&mut a, &run("ranker"), 8, 3).expect("written");
    there.take_over(&mut b).expect("taken over");
    assert_eq!(all(&b), all(&a));
}

#[test]
fn evidence_is_sent_now_and_then() {
    let dir = tempfile::tempdir().expect("a folder");
    let (there, mut a) = (There::default(), store(&dir, "a.db"));
    save(&mut a, &run("ranker"), 7, 3).expect("written");
    there.replicate(&mut a);
    let mut evidence = run("ranker");
    let mut learn = |a: &mut Store| {
        evidence.state.age_ms += 1;
        a.commit(&Change { runs: &[evidence.writing()], evidence: true, ..Change::default() })
            .expect("written");
        there.kept(|kept| kept.sent)
    };
    let sent = learn(&mut a);
    for _ in 0..3 {
        assert_eq!(learn(&mut a), sent, "not every time");
    }
    // What a decision is about goes with it, and all that was learnt before.
    save(&mut a, &run("other"), 8, 3).expect("written");
    let mut b = store(&dir, "b.db");
    there.take_over(&mut b).expect("taken over");
    assert_eq!(all(&b), all(&a));
    a.replication.as_mut().expect("replicated").at = None;
    assert!(learn(&mut a) > sent);
}

#[test]
fn the_latest_are_enough_there() {
    let dir = tempfile::tempdir().expect("a folder");
    let (there, mut a, mut b) = (There::default(), store(&dir, "a.db"), store(&dir, "b.db"));
    for number in 1..=20 {
        if number == 10 {
            there.replicate(&mut a);
        }
        let mut past = run("ranker");
        past.state.run = number;
        let lines: Vec<Entry> = (0..40).map(|n| Entry::new(n, Kind::Record, "a line")).collect();
        let past = Writing { entries: &lines, ..past.writing() };
        a.commit(&Change { past: &[past], ..Change::default() }).expect("written");
    }
    let count =
        |table: &str| there.kept(|kept| kept.rows.keys().filter(|key| key.starts_with(table)).count());
    assert_eq!((count("past_run["), count("journal[")), (3, 256));
    there.take_over(&mut b).expect("taken over");
    assert_eq!(b.last("ranker").expect("last"), a.last("ranker").expect("last"));
}

#[test]
fn decisions_that_are_none_of_theirs_are_not_written_over() {
    let dir = tempfile::tempdir().expect("a folder");
    let (there, mut a, mut b) = (There::default(), store(&dir, "a.db"), store(&dir, "b.db"));
    save(&mut a, &run("ranker"), 7, 3).expect("written");
    there.replicate(&mut a);
    save(&mut b, &run("mine"), 7, 3).expect("written");
    let refused = there.take_over(&mut b).expect_err("refused").to_string();
    assert!(refused.contains("1 rollouts of its own") && refused.contains("--store"), "{refused}");
    assert_eq!(b.rollouts().expect("runs").len(), 1);
    let mut c = store(&dir, "c.db");
    c.keep_trigger("registry", "kind: Trigger").expect("written");
    let refused = there.take_over(&mut c).expect_err("refused").to_string();
    assert!(refused.contains("1 triggers"), "{refused}");
    assert_eq!(c.triggers().expect("triggers").len(), 1);
    let later = b.take_over(migrations::PRESENT + 1, std::iter::empty()).expect_err("refused").to_string();
    assert!(later.contains("use the serin that wrote it"), "{later}");
}
