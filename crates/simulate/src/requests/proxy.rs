//! One proxy: takes policies when it hears of them, and counts as the filter does (`filter/src/count.rs`).

use std::collections::VecDeque;
use std::rc::Rc;

use split::{Arm, Cause, Splitter};
use tally::{
    Class, ConfidenceScale, Ending, GroupEvent, InFlight, LATENCY_TOP, Reached, Reading, Slot, Ticket, What,
};

use super::counters::{Counters, Names};
use super::world::{Counting, Proxy};
use crate::Chance;

/// A new process answers after so many seconds.
const RESTART_S: f64 = 1.0;

/// A policy ready to run, and the publication it came with.
#[derive(Debug)]
pub(super) struct Sent {
    pub splitter: Splitter,
    pub rollout: String,
    pub publication: u64,
    pub epoch: u64,
    pub counts_groups: bool,
    /// Does anybody but stable get traffic by it?
    pub exposes: bool,
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct Flight {
    pub proxy: usize,
    /// The process that knows of it.
    process: u64,
    arm: Arm,
    group: Option<u8>,
    epoch: u64,
    ticket: Option<Ticket>,
    /// When it is heard of first, and when it ends, in ticks.
    pub first: u64,
    pub end: u64,
    pub first_s: f64,
    pub class: Class,
    /// Did it take more than one try?
    pub retried: bool,
}

/// What a flight knows when it begins.
pub(super) struct Begun {
    pub arm: Arm,
    pub group: Option<u8>,
    pub class: Class,
    /// Did it take more than one try?
    pub retried: bool,
    pub first_s: f64,
    /// In ticks.
    pub first: u64,
    /// In ticks.
    pub end: u64,
}

#[derive(Debug)]
pub(super) struct Instance {
    pub of: Proxy,
    number: usize,
    process: u64,
    in_force: Option<Rc<Sent>>,
    coming: VecDeque<(f64, Rc<Sent>)>,
    /// Of each policy that still has requests to follow.
    waiting: Vec<(u64, InFlight)>,
    counters: Counters,
    /// The same a tick ago, and the epoch announced then; kept where looks are torn.
    earlier: Option<(Counters, Option<u64>)>,
    names: Rc<Names>,
    restarts_s: f64,
    down_until_s: f64,
    counting: Counting,
}

impl Instance {
    pub(super) fn new(
        of: Proxy,
        number: usize,
        names: &Rc<Names>,
        counting: Counting,
        chance: &mut Chance,
    ) -> Self {
        let restarts_s =
            if of.restart_every_s > 0.0 { chance.exponential(of.restart_every_s) } else { f64::INFINITY };
        Self {
            of,
            number,
            process: 0,
            in_force: None,
            coming: VecDeque::new(),
            waiting: Vec::new(),
            counters: Counters::new(names),
            earlier: None,
            names: Rc::clone(names),
            restarts_s,
            down_until_s: 0.0,
            counting,
        }
    }

    /// A policy is published.
    pub(super) fn hear(&mut self, sent: &Rc<Sent>, now_s: f64, chance: &mut Chance) {
        if now_s < self.of.deaf_from_s && !(self.of.never_rises && sent.exposes) {
            let at_s = now_s + 0.05 + 0.2 * chance.unit() + self.of.lag_s;
            self.coming.push_back((at_s, Rc::clone(sent)));
        }
    }

    /// Whatever is due by now.
    pub(super) fn begin_tick(&mut self, now_s: f64, chance: &mut Chance) {
        if self.of.torn {
            self.earlier = Some((self.counters.clone(), self.present()));
        }
        if self.restarts_s <= now_s {
            self.process += 1;
            self.counters = Counters::new(&self.names);
            self.waiting.clear();
            self.down_until_s = now_s + RESTART_S;
            self.restarts_s = now_s + RESTART_S + chance.exponential(self.of.restart_every_s);
            // A new process gets the newest policy first of all.
            let newest = self.coming.drain(..).next_back().map(|(_, sent)| sent);
            if let Some(sent) = newest.or_else(|| self.in_force.take()) {
                self.take(sent);
            }
        }
        while self.coming.front().is_some_and(|(at_s, _)| *at_s <= now_s) {
            if let Some((_, sent)) = self.coming.pop_front() {
                self.take(sent);
            }
        }
    }

    fn take(&mut self, sent: Rc<Sent>) {
        self.waiting.push((sent.epoch, InFlight::new(self.names.ages_ms())));
        self.in_force = Some(sent);
    }

    fn present(&self) -> Option<u64> {
        self.in_force.as_ref().map(|sent| sent.epoch)
    }

    /// The publication it acknowledges.
    pub(super) fn taken(&self) -> u64 {
        self.in_force.as_ref().map_or(0, |sent| sent.publication)
    }

    /// The policy by which a request is assigned now; `None`: it serves nobody, or knows of no rollout.
    pub(super) fn policy(&self, now_s: f64) -> Option<Rc<Sent>> {
        self.in_force.clone().filter(|_| self.down_until_s <= now_s)
    }

    /// A request that the weights gave this arm.
    pub(super) fn begin(&mut self, begun: Begun) -> Option<Flight> {
        let epoch = self.present()?;
        let Begun { arm, group, class, retried, first_s, first, end } = begun;
        let slot = Slot::at(epoch, epoch);
        self.counters.add(arm, What::Assigned(Cause::Weight, Some(slot)), 1);
        let ticket = self.waiting.last_mut().map(|(_, waiting)| waiting.admit(arm));
        let (proxy, process) = (self.number, self.process);
        Some(Flight { proxy, process, arm, group, epoch, ticket, first, end, first_s, class, retried })
    }

    /// The first byte of an answer that goes on.
    pub(super) fn answer(&mut self, flight: &mut Flight) {
        if let Some(ticket) = flight.ticket.take() {
            ticket.end(Ending::Answered);
        }
    }

    /// The end.
    pub(super) fn end(&mut self, mut flight: Flight, scale: Option<ConfidenceScale>, chance: &mut Chance) {
        let Some(present) = self.present().filter(|_| flight.process == self.process) else { return };
        let (arm, class) = (flight.arm, flight.class);
        let forgotten = self.counting == Counting::WithoutLeft && class == Class::Gone;
        if let Some(ticket) = flight.ticket.take() {
            ticket.end(match class {
                Class::Local => Ending::NoOutcome,
                Class::Gone if forgotten => Ending::NoOutcome,
                Class::Gone => Ending::Left,
                _ => Ending::Answered,
            });
        }
        if forgotten {
            return;
        }
        let epoch = if self.counting == Counting::AtTheEnd { present } else { flight.epoch };
        let slot = Slot::at(epoch, present);
        self.counters.add(arm, What::Finished(Cause::Weight, class, Some(slot)), 1);
        if !class.is_outcome() {
            return;
        }
        if epoch == present {
            if flight.retried {
                self.counters.add(arm, What::Retried, 1);
            }
            let bin = if matches!(class, Class::Timeout | Class::Reset) {
                LATENCY_TOP
            } else {
                tally::latency_bin(nanoseconds(flight.first_s))
            };
            self.counters.add(arm, What::Latency(bin), 1);
            let said = scale.filter(|_| class == Class::Ok).and_then(|scale| {
                let (low, high) = (scale.value(0), scale.value(ConfidenceScale::POINTS - 1));
                let share = (0.85 + 0.078 * chance.normal()).clamp(0.0, 1.0);
                scale.point((low + share * (high - low)).clamp(low, high), chance.bits())
            });
            if let Some(point) = said {
                self.counters.add(arm, What::Confidence(point), 1);
            }
        }
        if let Some(group) = flight.group.filter(|_| arm == Arm::Stable) {
            self.counters.add(arm, What::Group(group, GroupEvent::Finished), 1);
            if class.is_error() {
                self.counters.add(arm, What::Group(group, GroupEvent::Error), 1);
            }
        }
    }

    /// A tick of the filter's timer.
    pub(super) fn end_tick(&mut self, now_ns: u64) {
        let Some(present) = self.present() else { return };
        let counters = &mut self.counters;
        for (epoch, waiting) in &mut self.waiting {
            let slot = Slot::at(*epoch, present);
            waiting.tick(now_ns, |reached| {
                let Reached { arm, age_ms, progress, n } = reached;
                // Late requests are no evidence.
                if slot == Slot::Late {
                    return;
                }
                counters.add(arm, What::Aged { slot, age_ms, progress }, n);
            });
        }
        self.waiting.retain(|(epoch, waiting)| *epoch == present || !waiting.is_empty());
    }

    /// What its reader finds; `None`: nothing, this time.
    pub(super) fn read(&self, now_ms: u64, chance: &mut Chance) -> Option<Reading> {
        let now_s = seconds(now_ms);
        let of = &self.of;
        let silent = of.silent_every_s > 0.0 && now_s % of.silent_every_s < of.silent_s;
        if silent || self.down_until_s > now_s || (of.late > 0.0 && chance.happens(of.late)) {
            return None;
        }
        let sent = self.in_force.as_ref()?;
        let (counters, epoch) = match &self.earlier {
            Some((earlier, epoch)) => {
                (self.counters.read(earlier, chance.below(self.counters.len() + 1)), *epoch)
            }
            None => (self.counters.read(&self.counters, 0), Some(sent.epoch)),
        };
        Some(Reading {
            process: format!("{}-{}", self.number, self.process),
            counters,
            epochs: epoch.map(|epoch| (sent.rollout.clone(), epoch)).into_iter().collect(),
            ..Reading::default()
        })
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a time below an hour, above 0
fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

#[allow(clippy::cast_precision_loss)] // milliseconds below a year
pub(super) fn seconds(ms: u64) -> f64 {
    ms as f64 / 1e3
}
