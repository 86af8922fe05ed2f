//! What a program has started and what has left its group since, by `setsid` or a second fork.
//!
//! A group's signal does not reach those. They are found by a variable that every program is given and hands down, and, as
//! long as they hang together with it, by who started whom. Whoever does neither (a cleared environment, and a parent that has
//! ended) is not found: that takes a container around the controller. Nothing of this is there without `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::time::{ClockId, clock_gettime};

/// The variable that tells one call's processes from all others.
pub const VARIABLE: &str = "SERIN_CALL";

/// A process that is ended may just have started another one.
const ROUNDS: usize = 8;

/// All processes of one call.
#[derive(Clone, Debug)]
pub struct Strays {
    mark: String,
    /// Those that hung together with the program when it was to end, and when each began.
    below: BTreeMap<i32, u64>,
}

impl Strays {
    /// Of a call that is about to begin.
    pub fn new() -> Self {
        static CALLS: AtomicU64 = AtomicU64::new(0);
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        let time = clock_gettime(ClockId::Monotonic);
        let mark = format!("{}-{}.{:09}-{call}", std::process::id(), time.tv_sec, time.tv_nsec);
        Self { mark, below: BTreeMap::new() }
    }

    /// The value of [`VARIABLE`].
    pub fn mark(&self) -> &str {
        &self.mark
    }

    /// Remembers what the program has started, before it ends and they have no parent.
    pub fn look(&mut self, program: Pid) {
        let all: BTreeMap<i32, Stat> = processes().filter_map(|id| Some((id, Stat::of(id)?))).collect();
        let mut found = vec![program.as_raw_nonzero().get()];
        let mut at = 0;
        while let Some(&parent) = found.get(at) {
            at += 1;
            let children = all.iter().filter(|(id, stat)| stat.parent == parent && !found.contains(id));
            let children: Vec<i32> = children.map(|(id, _)| *id).collect();
            found.extend(children);
        }
        let began = found.into_iter().skip(1).filter_map(|id| Some((id, all.get(&id)?.began)));
        self.below.extend(began);
    }

    /// Ends them.
    pub fn end(&self) {
        for _ in 0..ROUNDS {
            let of_it = |id: i32| {
                self.below.get(&id).is_some_and(|began| Stat::of(id).is_some_and(|stat| stat.began == *began))
                    || self.is_marked(id)
            };
            let mut ended = 0;
            for id in processes().filter(|&id| of_it(id)) {
                let Some(Ok(handle)) = Pid::from_raw(id).map(|id| pidfd_open(id, PidfdFlags::empty())) else {
                    continue;
                };
                // The number may be another's by now; the handle is not.
                ended += usize::from(of_it(id) && pidfd_send_signal(&handle, Signal::KILL).is_ok());
            }
            if ended == 0 {
                return;
            }
        }
    }

    fn is_marked(&self, id: i32) -> bool {
        let Ok(environment) = fs::read(format!("/proc/{id}/environ")) else { return false };
        let own = format!("{VARIABLE}={}", self.mark);
        environment.split(|byte| *byte == 0).any(|variable| variable == own.as_bytes())
    }
}

/// The numbers of all processes there are.
fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

struct Stat {
    parent: i32,
    /// In ticks since the machine began.
    began: u64,
}

impl Stat {
    /// `None`: it has ended.
    fn of(id: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // A name may hold anything, brackets included.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let is_there = !matches!(*fields.first()?, "Z" | "X");
        let (parent, began) = (fields.get(1)?.parse().ok()?, fields.get(19)?.parse().ok()?);
        is_there.then_some(Self { parent, began })
    }
}
