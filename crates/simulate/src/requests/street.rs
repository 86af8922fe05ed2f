//! All requests of a world, tick by tick: who asks, which proxy and version it meets, and when it ends.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use split::policy::{Policy, SCHEMA};
use split::{Arm, Attribute, Cause, Draws, Splitter, Standing};
use tally::{ConfidenceScale, Reading};

use super::counters::Names;
use super::fate::{Fate, Sent as Asked};
use super::pods::Fleet;
use super::proxy::{Begun, Flight, Instance, Sent, seconds};
use super::world::RequestWorld;
use crate::Chance;

/// How long a tick is: that of the filter's timer.
pub(super) const TICK_MS: u64 = 100;
/// Ticks a request lasts at most: beyond every timeout and nearly every stream.
const LONGEST: u64 = 2_048;

/// The world at work.
pub(super) struct TrafficSimulation<'w> {
    world: &'w RequestWorld,
    chance: Chance,
    draws: Draws,
    proxies: Vec<Instance>,
    pods: BTreeMap<Arm, Fleet>,
    /// What is due in each of the coming ticks; the places are used again and again.
    due: Vec<Vec<Flight>>,
    scale: Option<ConfidenceScale>,
    names: Option<Rc<Names>>,
    /// Requests that were assigned.
    pub(super) requests: u64,
}

/// A request as a policy reads it: whatever is asked for, it is the user's key.
struct Ask([u8; 8]);

impl split::Request for Ask {
    fn header(&self, _: &str) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Borrowed(&self.0))
    }

    fn attribute(&self, _: Attribute) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Borrowed(&self.0))
    }
}

impl<'w> TrafficSimulation<'w> {
    pub(super) fn new(world: &'w RequestWorld, scale: Option<ConfidenceScale>, mut chance: Chance) -> Self {
        let draws = Draws::seeded(chance.bits());
        let due = (0..LONGEST).map(|_| Vec::new()).collect();
        Self {
            world,
            chance,
            draws,
            proxies: Vec::new(),
            pods: BTreeMap::new(),
            due,
            scale,
            names: None,
            requests: 0,
        }
    }

    /// Weights are published: each proxy hears of them, and versions are given pods for their shares. `Err`: what the
    /// filter would refuse.
    pub(super) fn publish(
        &mut self,
        publication: &rollout::Publication,
        shares: &[(Arm, f64)],
        now_ms: u64,
    ) -> Result<(), split::PolicyError> {
        let policy = &publication.policy;
        let (rollout, epoch) = (policy.name.clone(), policy.epoch);
        let rollouts = vec![policy.clone()];
        let splitter = Splitter::compile(&Policy {
            schema: SCHEMA,
            incarnation: 1,
            generation: epoch,
            lease: None,
            rollouts,
        })?;
        let claim = splitter.rollout(0);
        let counts_groups = claim.is_some_and(|claim| claim.counts_groups());
        let now_s = seconds(now_ms);
        if let (None, Some(claim)) = (&self.names, claim) {
            let names = Rc::new(Names::of(&claim));
            for (number, of) in self.world.proxies.iter().enumerate() {
                let proxy = Instance::new(*of, number, &names, self.world.counting, &mut self.chance);
                self.proxies.push(proxy);
            }
            self.names = Some(names);
            // Stable's pods have been there for long.
            let fleet = self.pods.entry(Arm::Stable).or_insert_with(|| Fleet::new(self.world.pods));
            fleet.scale(self.world.pods.n, f64::NEG_INFINITY, 0.0, &mut self.chance);
        }
        for (arm, share) in shares {
            let fleet = self.pods.entry(*arm).or_insert_with(|| Fleet::new(self.world.pods));
            fleet.scale(pods_for(*share, self.world.pods.n), now_s, now_s, &mut self.chance);
        }
        let exposes = shares.iter().any(|(_, share)| *share > 0.0);
        let sent =
            Rc::new(Sent { splitter, rollout, publication: publication.id, epoch, counts_groups, exposes });
        for proxy in &mut self.proxies {
            proxy.hear(&sent, now_s, &mut self.chance);
        }
        Ok(())
    }

    /// How many proxies have taken the publication, and how many there are.
    pub(super) fn acknowledged(&self, publication: u64) -> (u32, u32) {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let taken = self.proxies.iter().filter(|proxy| proxy.taken() >= publication).count();
        (number(taken), number(self.proxies.len()))
    }

    /// What the reader of each proxy finds.
    pub(super) fn read(&mut self, now_ms: u64) -> Vec<Option<Reading>> {
        let chance = &mut self.chance;
        self.proxies.iter().map(|proxy| proxy.read(now_ms, chance)).collect()
    }

    /// A tick from `number` times [`TICK_MS`] on.
    pub(super) fn tick(&mut self, number: u64) {
        let (from_ms, to_ms) = (number * TICK_MS, (number + 1) * TICK_MS);
        let from_s = seconds(from_ms);
        for proxy in &mut self.proxies {
            proxy.begin_tick(from_s, &mut self.chance);
        }
        let wave = (std::f64::consts::TAU * from_s / 3_600.0).sin();
        let mean = self.world.rate * (1.0 + self.world.swing * wave) * seconds(TICK_MS);
        for _ in 0..self.chance.arrivals(mean) {
            let now_s = from_s + self.chance.unit() * seconds(TICK_MS);
            self.arrive(now_s, number);
        }
        self.finish(number);
        for proxy in &mut self.proxies {
            proxy.end_tick(to_ms * 1_000_000);
        }
    }

    fn arrive(&mut self, now_s: f64, tick: u64) -> Option<()> {
        let world = self.world;
        let (key, errors) = self.user();
        let at = pick(&world.proxies, self.chance.unit());
        let proxy = self.proxies.get_mut(at)?;
        let sent = proxy.policy(now_s)?;
        let claim = sent.splitter.rollout(0)?;
        let assignment = claim.assign(&Ask(key), Standing::Live, &mut self.draws);
        // Nothing else is evidence.
        if assignment.cause != Cause::Weight {
            return None;
        }
        let arm = assignment.arm;
        // The baseline is served by stable.
        let version = if arm.is_challenger() { arm } else { Arm::Stable };
        let pods = self.pods.entry(version).or_insert_with(|| Fleet::new(world.pods));
        let asked = Asked { now_s, challenger: arm.is_challenger(), errors: proxy.of.errors.or(errors) };
        let fate = Fate::draw(world, asked, pods, &mut self.chance);
        self.requests += 1;
        let flight = proxy.begin(Begun {
            arm,
            group: assignment.group.filter(|_| sent.counts_groups),
            class: fate.class,
            retried: fate.retried,
            first_s: fate.first_s,
            first: due(now_s + fate.first_s, tick),
            end: due(now_s + fate.end_s, tick),
        })?;
        self.wait(flight.first, flight);
        Some(())
    }

    /// Who asks: a key, and the share of errors where it is not everybody's.
    fn user(&mut self) -> ([u8; 8], Option<f64>) {
        let clients = &self.world.clients;
        let heavy = f64::from(clients.heavy) * clients.heavy_share;
        if heavy > 0.0 && self.chance.happens(heavy) {
            let number = self.chance.below(clients.heavy as usize) as u64;
            return ((u64::MAX - number).to_le_bytes(), Some(clients.heavy_errors));
        }
        let users = usize::try_from(clients.users).unwrap_or(usize::MAX).max(1);
        ((self.chance.below(users) as u64).to_le_bytes(), None)
    }

    fn wait(&mut self, tick: u64, flight: Flight) {
        if let Some(due) = place(tick).and_then(|place| self.due.get_mut(place)) {
            due.push(flight);
        }
    }

    fn finish(&mut self, tick: u64) {
        let Some(mut due) = place(tick).and_then(|place| self.due.get_mut(place)).map(std::mem::take) else {
            return;
        };
        for mut flight in due.drain(..) {
            let Some(proxy) = self.proxies.get_mut(flight.proxy) else { continue };
            if flight.end > tick {
                proxy.answer(&mut flight);
                self.wait(flight.end, flight);
            } else {
                proxy.end(flight, self.scale, &mut self.chance);
            }
        }
        // Its room is used again.
        if let Some(emptied) = place(tick).and_then(|place| self.due.get_mut(place)) {
            *emptied = due;
        }
    }
}

/// The tick something is due in: this one at the earliest, and none of so far away that its place is this one's.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // times above 0; what is longer is cut
fn due(at_s: f64, tick: u64) -> u64 {
    ((at_s * 1e3) as u64 / TICK_MS).clamp(tick, tick + LONGEST - 1)
}

fn place(tick: u64) -> Option<usize> {
    usize::try_from(tick % LONGEST).ok()
}

/// The pods a share of the traffic is given.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a share of a small number
fn pods_for(share: f64, of: u32) -> u32 {
    (share * f64::from(of)).ceil() as u32
}

/// The proxy that a draw from 0 to 1 falls to.
fn pick(proxies: &[super::world::Proxy], draw: f64) -> usize {
    let mut left = draw;
    for (at, proxy) in proxies.iter().enumerate() {
        left -= proxy.share;
        if left < 0.0 {
            return at;
        }
    }
    proxies.len().saturating_sub(1)
}
