//! The life of a cluster on a machine that does not exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use super::super::machine::{Machine, Process};
use super::super::shape::{Answers, Part};
use super::{Done, Lifecycle, Record, Running, State};

/// Processes by number; which parts answer, and how many starts of one end at once.
#[derive(Default)]
struct FakeMachine {
    next: u16,
    living: BTreeMap<u32, String>,
    mute: BTreeSet<String>,
    stillborn: BTreeMap<String, usize>,
    stubborn: bool,
    said: Vec<String>,
}

impl Machine for FakeMachine {
    fn ports<const N: usize>(&mut self) -> Result<[u16; N]> {
        let mut ports = [0; N];
        for port in &mut ports {
            self.next += 1;
            *port = self.next;
        }
        Ok(ports)
    }

    fn start(&mut self, part: &Part) -> Result<Process> {
        self.next += 1;
        let pid = u32::from(self.next);
        self.said.push(format!("start {} {}", part.name, part.arguments.join(" ")));
        match self.stillborn.get_mut(&part.name).filter(|left| **left > 0) {
            Some(left) => *left -= 1,
            None => drop(self.living.insert(pid, part.name.clone())),
        }
        Ok(Process { pid, started: part.name.clone() })
    }

    fn lives(&mut self, process: &Process) -> bool {
        self.living.get(&process.pid) == Some(&process.started)
    }

    fn answers(&mut self, part: &Part) -> Result<(), String> {
        if self.mute.contains(&part.name) { Err("503".to_owned()) } else { Ok(()) }
    }

    fn signal(&mut self, process: &Process, hard: bool) -> Result<()> {
        if self.lives(process) {
            self.said.push(format!("{} {}", if hard { "kill" } else { "end" }, process.started));
            if hard || !self.stubborn {
                self.living.remove(&process.pid);
            }
        }
        Ok(())
    }

    fn pause(&mut self) -> Duration {
        Duration::from_secs(5)
    }

    fn log(&mut self, part: &Part) -> String {
        format!("log of {}", part.name)
    }
}

fn part(name: &str, [port]: [u16; 1]) -> Result<Part> {
    Ok(Part {
        name: name.to_owned(),
        program: PathBuf::from("/program"),
        arguments: vec![format!("on {port}")],
        environment: BTreeMap::new(),
        folder: PathBuf::from("/folder"),
        addresses: BTreeMap::new(),
        answers: Answers::Kubectl { kubeconfig: PathBuf::new() },
    })
}

/// Tells what `story` did to a cluster of two, and what is left of its record.
#[track_caller]
fn check(
    machine: FakeMachine,
    story: impl FnOnce(&mut Lifecycle<'_, FakeMachine>),
    said: &[&str],
    left: &[&str],
) {
    let mut kept = Record::default();
    let mut keep = |record: &Record| {
        kept = record.clone();
        Ok(())
    };
    let mut life = Lifecycle { machine, record: Record::default(), keep: &mut keep };
    story(&mut life);
    assert_eq!(life.machine.said, said);
    assert_eq!(life.names(), left);
    let Lifecycle { record, .. } = life;
    assert_eq!(kept, record, "what is so is written down");
}

fn ensure(life: &mut Lifecycle<'_, FakeMachine>, name: &str) -> Result<Done> {
    life.ensure(name, |ports| part(name, ports))
}

fn running(life: &Lifecycle<'_, FakeMachine>, name: &str) -> Running {
    life.record.part(name).expect("a part").clone()
}

fn all(life: &mut Lifecycle<'_, FakeMachine>) -> Result<()> {
    let names = life.names();
    life.end(&names)
}

#[test]
fn parts_are_started_once_and_ended_from_the_last() {
    check(
        FakeMachine::default(),
        |life| {
            assert_eq!(ensure(life, "etcd").expect("started"), Done::Started);
            assert_eq!(ensure(life, "istiod").expect("started"), Done::Started);
            assert_eq!(ensure(life, "etcd").expect("there"), Done::WasThere);
            let etcd = running(life, "etcd");
            assert_eq!(life.state(&etcd), State::Answers);
            all(life).expect("ended");
        },
        &["start etcd on 1", "start istiod on 3", "end istiod", "end etcd"],
        &[],
    );
}

#[test]
fn what_ended_is_started_again_where_it_was() {
    check(
        FakeMachine::default(),
        |life| {
            ensure(life, "etcd").expect("started");
            let etcd = running(life, "etcd");
            life.machine.living.clear();
            assert_eq!(life.state(&etcd), State::Ended);
            assert_eq!(ensure(life, "etcd").expect("started"), Done::StartedAgain);
            assert_ne!(running(life, "etcd").process, etcd.process);
        },
        &["start etcd on 1", "start etcd on 1"],
        &["etcd"],
    );
}

#[test]
fn a_part_whose_port_was_taken_is_tried_on_another() {
    let twice =
        |times| FakeMachine { stillborn: [("etcd".to_owned(), times)].into(), ..FakeMachine::default() };
    check(
        twice(2),
        |life| assert_eq!(ensure(life, "etcd").expect("the third"), Done::Started),
        &["start etcd on 1", "start etcd on 3", "start etcd on 5"],
        &["etcd"],
    );
    check(
        twice(9),
        |life| {
            let error = ensure(life, "etcd").expect_err("it never lives").to_string();
            assert!(
                error.contains("etcd ended before it answered") && error.contains("log of etcd"),
                "{error}"
            );
        },
        &["start etcd on 1", "start etcd on 3", "start etcd on 5"],
        &["etcd"],
    );
}

#[test]
fn a_part_that_never_answers_is_told_of_and_can_be_ended() {
    check(
        FakeMachine { mute: ["etcd".to_owned()].into(), ..FakeMachine::default() },
        |life| {
            let error = ensure(life, "etcd").expect_err("it is mute").to_string();
            assert!(error.contains("etcd runs and did not answer within 120 s (503)"), "{error}");
            let etcd = running(life, "etcd");
            assert_eq!(life.state(&etcd), State::Silent("503".to_owned()));
            all(life).expect("ended");
        },
        &["start etcd on 1", "end etcd"],
        &[],
    );
}

#[test]
fn only_what_was_started_is_ended() {
    check(
        FakeMachine { stubborn: true, ..FakeMachine::default() },
        |life| {
            ensure(life, "etcd").expect("started");
            ensure(life, "istiod").expect("started");
            // The number of the first is somebody else's by now.
            let etcd = running(life, "etcd").process.pid;
            life.machine.living.insert(etcd, "a stranger".to_owned());
            life.end(&["etcd".to_owned()]).expect("nothing to end");
            all(life).expect("ended");
            assert_eq!(life.machine.living.get(&etcd).map(String::as_str), Some("a stranger"));
        },
        &["start etcd on 1", "start istiod on 3", "end istiod", "kill istiod"],
        &[],
    );
}

#[test]
fn a_record_is_read_as_it_is_written() {
    let process = Process { pid: 7, started: "then".to_owned() };
    let parts = vec![Running { part: part("etcd", [1]).expect("a part"), process }];
    let kubeconfig = Path::new("/kubeconfig").to_owned();
    let record = Record { kubeconfig, kubectl: PathBuf::from("/kubectl"), parts };
    let text = serde_json::to_string(&record).expect("JSON");
    assert_eq!(serde_json::from_str::<Record>(&text).expect("a record"), record);
}
