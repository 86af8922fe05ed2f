//! The pods a version runs on: they stand still, start anew, and are cold at first.

use super::world::Pods;
use crate::Chance;

/// The pods of one version.
#[derive(Debug)]
pub(super) struct Fleet {
    of: Pods,
    pods: Vec<Pod>,
}

#[derive(Clone, Copy, Debug)]
struct Pod {
    born_s: f64,
    stalls_s: f64,
    stalled_until_s: f64,
    restarts_s: f64,
    down_until_s: f64,
}

/// What a pod adds to a request that reaches it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Served {
    /// Its times are so many times as long, and it waits so many seconds first.
    After(f64, f64),
    /// The connection breaks.
    Broken,
}

impl Fleet {
    /// None yet.
    pub(super) const fn new(of: Pods) -> Self {
        Self { of, pods: Vec::new() }
    }

    /// As many as this; those that are added are born at `now_s`.
    pub(super) fn scale(&mut self, n: u32, born_s: f64, now_s: f64, chance: &mut Chance) {
        let n = n as usize;
        self.pods.truncate(n);
        while self.pods.len() < n {
            let next = |every_s: f64, chance: &mut Chance| {
                if every_s > 0.0 { now_s + chance.exponential(every_s) } else { f64::INFINITY }
            };
            self.pods.push(Pod {
                born_s,
                stalls_s: next(self.of.stall_every_s, chance),
                stalled_until_s: 0.0,
                restarts_s: next(self.of.restart_every_s, chance),
                down_until_s: 0.0,
            });
        }
    }

    /// A request reaches one of them.
    pub(super) fn serve(&mut self, now_s: f64, chance: &mut Chance) -> Served {
        if self.pods.is_empty() {
            return Served::After(1.0, 0.0);
        }
        let at = chance.below(self.pods.len());
        let Some(pod) = self.pods.get_mut(at) else { return Served::After(1.0, 0.0) };
        while pod.stalls_s <= now_s {
            pod.stalled_until_s = pod.stalls_s + self.of.stall_s;
            pod.stalls_s = pod.stalled_until_s + chance.exponential(self.of.stall_every_s);
        }
        while pod.restarts_s <= now_s {
            pod.down_until_s = pod.restarts_s + self.of.restart_s;
            pod.restarts_s = pod.down_until_s + chance.exponential(self.of.restart_every_s);
        }
        if pod.down_until_s > now_s {
            return Served::Broken;
        }
        let cold = now_s - pod.born_s < self.of.cold_s;
        Served::After(if cold { self.of.cold } else { 1.0 }, (pod.stalled_until_s - now_s).max(0.0))
    }
}
