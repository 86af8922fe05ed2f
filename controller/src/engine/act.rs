//! From a decision to the world: store, then act.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use rollout::fleet::{self, Moved};
use rollout::{Cause, Effect, Event, HandingBack, Phase, Publication, Severity, State};
use tokio::time::Instant;

use super::run::Run;
use super::{Engine, Report, record};
use crate::publish::Part;
use crate::{clock, hand_back};
use store::{Entry, Mesh, Point, Writing};

/// Evidence without a decision is written this often: losing less than this much of it is a gap, not a fault.
pub(super) const KEEP_UP_NS: u64 = 5_000_000_000;

/// Pushes that take nothing back are this far apart: a hundred runs that go on within it are one push to a thousand
/// proxies, not a hundred.
const PUSH_GAP: Duration = Duration::from_millis(100);

/// What is over and lingers is written so many times less often. A crash then costs a minute of it at most: a watch has
/// seen that much less, and a version is kept warm that much longer.
const LINGERS: u64 = 12;

/// Whether there is anything old is looked after this often; when there is, a little at every tick.
const HOUSE_NS: u64 = 60_000_000_000;

/// What one event comes to, for the run it reaches and those that belong to it, before anybody has heard of it.
pub(super) struct Decision {
    moved: Vec<OfRun>,
    mesh: Mesh,
}

struct OfRun {
    state: State,
    effects: Vec<Effect>,
    /// The generation of the run's last publication.
    generation: u64,
    entries: Vec<Entry>,
}

impl Decision {
    /// `before`: runs that belong together, each with the generation of its last publication.
    pub(super) fn make(before: &[(&State, u64)], events: Vec<(usize, Event)>, mesh: Mesh) -> Self {
        let states: Vec<&State> = before.iter().map(|(state, _)| *state).collect();
        let moved = fleet::step(&states, events, clock::now());
        let Changes { publishes, revokes } = changes(moved.iter().flat_map(|one| &one.effects));
        // One publication for all of them.
        let generation = if publishes { mesh.generation + 1 } else { mesh.generation };
        let revoked_below = if revokes { mesh.revoked_below.max(generation) } else { mesh.revoked_below };
        let moved = moved.into_iter().filter_map(|Moved { index, heard, state, effects }| {
            let (before, own) = before.get(index)?;
            let own = if changes(&effects).publishes { generation } else { *own };
            let entries = record::entries(before, heard.first()?, &state, &effects, own);
            Some(OfRun { state, effects, generation: own, entries })
        });
        Self { moved: moved.collect(), mesh: Mesh { generation, revoked_below } }
    }

    pub(super) fn writings<'a>(&'a self, spec: &'a str) -> Vec<Writing<'a>> {
        let writing = |one: &'a OfRun| Writing {
            spec,
            state: &one.state,
            generation: one.generation,
            entries: &one.entries,
            looks: &[],
        };
        self.moved.iter().map(writing).collect()
    }

    pub(super) const fn mesh(&self) -> Mesh {
        self.mesh
    }
}

impl Engine {
    /// Lets the machine take one event.
    pub(super) async fn advance(&mut self, name: &str, event: &Event) {
        let Err(error) = self.try_advance(name, event).await else { return };
        self.unwritten(&error);
        if let Some(run) = self.runs.get(name).filter(|_| comes_once(event)) {
            self.refused.push((name.to_owned(), run.state.run, event.clone()));
        }
    }

    /// Tells the machine again what it could not take while the disk refused.
    pub(super) async fn tell_again(&mut self) {
        for (name, run, event) in std::mem::take(&mut self.refused) {
            if self.runs.get(&name).is_some_and(|present| present.state.run == run) {
                self.advance(&name, &event).await;
            }
        }
    }

    /// Lets the machine take one event. The decision is on the disk before anybody sees it; when the disk refuses, it
    /// was not taken, and the next event finds the run as it was.
    pub(super) async fn try_advance(&mut self, name: &str, event: &Event) -> Result<()> {
        let mates = self.mates(name);
        let Some(index) = mates.iter().position(|mate| mate == name) else { return Ok(()) };
        self.try_together(&mates, vec![(index, event.clone())]).await
    }

    /// The same for runs that belong together: what follows of it for each other is one decision, one transaction and
    /// one publication.
    pub(super) async fn try_together(&mut self, mates: &[String], events: Vec<(usize, Event)>) -> Result<()> {
        for (index, event) in &events {
            if let Some(run) = mates.get(*index).and_then(|mate| self.runs.get_mut(mate)) {
                run.measured(event);
            }
        }
        let before = mates.iter().filter_map(|mate| self.runs.get(mate));
        let before: Vec<_> = before.map(|run| (&run.state, run.generation)).collect();
        let mut decision = Decision::make(&before, events, self.mesh());
        let decides = decision.moved.iter().any(|one| !one.effects.is_empty());
        let mut lines = Vec::with_capacity(decision.moved.len());
        for one in &mut decision.moved {
            let Some(run) = self.runs.get_mut(&one.state.plan.name) else { continue };
            lines.push((one.state.plan.name.clone(), run.unwritten.len()));
            run.unwritten.append(&mut one.entries);
            run.changed = true;
        }
        if decides {
            let writings = decision.moved.iter().filter_map(|one| {
                let run = self.runs.get(&one.state.plan.name)?;
                let (state, generation) = (&one.state, one.generation);
                Some(Writing {
                    spec: &run.spec,
                    state,
                    generation,
                    entries: &run.unwritten,
                    looks: &run.looks,
                })
            });
            let written = self.store.save(&writings.collect::<Vec<_>>(), decision.mesh);
            let back = decision.moved.iter().all(|one| takes_back(&one.effects));
            for (name, lines) in &lines {
                let Some(run) = self.runs.get_mut(name) else { continue };
                match &written {
                    Ok(()) => run.written(),
                    // Traffic comes back with or without a store; it never goes up without one.
                    Err(_) if back => run.unsaved = true,
                    Err(_) => run.unwritten.truncate(*lines),
                }
            }
            match written {
                Ok(()) => self.disk_refuses = false,
                Err(error) if back => self.unwritten(&error),
                Err(error) => return Err(error),
            }
        }
        self.adopt(decision).await;
        Ok(())
    }

    /// What was decided, and written, holds from here on.
    pub(super) async fn adopt(&mut self, decision: Decision) {
        self.look_at_clocks();
        let Decision { moved, mesh } = decision;
        Mesh { generation: self.generation, revoked_below: self.revoked_below } = mesh;
        let mut effects = Vec::new();
        let mut names = Vec::with_capacity(moved.len());
        for OfRun { state, effects: of_run, generation, .. } in moved {
            let name = state.plan.name.clone();
            let Some(run) = self.runs.get_mut(&name) else { continue };
            let quorum = state.publication.as_ref().is_some_and(|sent| sent.quorum_age_ms.is_some());
            run.state = state;
            run.generation = generation;
            if changes(&of_run).publishes {
                run.published(self.roster.reasons());
            } else if quorum {
                run.accumulator.settle(clock::unix_ms());
            }
            effects.extend(of_run.into_iter().map(|effect| (name.clone(), effect)));
            names.push(name);
        }
        // One publication says what all of them decided.
        let last = effects.iter().rposition(|(_, effect)| matches!(effect, Effect::Publish(_)));
        let urgent = |effect: &Effect| matches!(effect, Effect::Publish(sent) if !may_wait(&sent.cause));
        let urgent = effects.iter().any(|(_, effect)| urgent(effect));
        for (at, (name, effect)) in effects.into_iter().enumerate() {
            match effect {
                Effect::Publish(publication) if Some(at) != last => self.announce(&name, &publication),
                effect => self.carry_out(&name, effect).await,
            }
            if Some(at) == last && urgent && self.unsent {
                self.publish().await;
            }
        }
        for name in names {
            self.show_run(&name);
        }
    }

    pub(super) const fn mesh(&self) -> Mesh {
        Mesh { generation: self.generation, revoked_below: self.revoked_below }
    }

    /// Writes what no decision wrote: evidence now and then, and at once what the store would not take when it was
    /// decided. A run that came back must not go up again after a restart because the disk was full.
    pub(super) fn keep_up(&mut self, every_ns: u64) {
        let now_ns = clock::monotonic_ns();
        let due = now_ns.saturating_sub(self.kept_up_ns) >= every_ns;
        let seldom_due = now_ns.saturating_sub(self.seldom_kept_up_ns) >= every_ns.saturating_mul(LINGERS);
        let late = |run: &Run| {
            let due = if run.state.is_over() { seldom_due } else { due };
            run.unsaved || due && run.changed
        };
        let writings: Vec<Writing<'_>> =
            self.runs.values().filter(|run| late(run)).map(Run::writing).collect();
        if due {
            self.kept_up_ns = now_ns;
        }
        if seldom_due {
            self.seldom_kept_up_ns = now_ns;
        }
        if writings.is_empty() {
            return;
        }
        let mesh = Mesh { generation: self.generation, revoked_below: self.revoked_below };
        match self.store.save(&writings, mesh) {
            Ok(()) => {
                self.runs.values_mut().filter(|run| late(run)).for_each(Run::written);
                if std::mem::take(&mut self.disk_refuses) {
                    tracing::info!("the store can be written again");
                }
            }
            Err(error) => self.unwritten(&error),
        }
    }

    /// Thins and forgets a little of what is old.
    pub(super) fn keep_house(&mut self) {
        let now_ns = clock::monotonic_ns();
        if now_ns.saturating_sub(self.kept_house_ns) < self.house_every_ns {
            return;
        }
        self.kept_house_ns = now_ns;
        let now_ms = clock::unix_ms();
        let keep_ms = self.store.keep_ms;
        let thinned = self.store.thin(now_ms);
        let more =
            thinned.and_then(|more| Ok(more | (self.store.forget(now_ms.saturating_sub(keep_ms))? > 0)));
        match more {
            Ok(more) => self.house_every_ns = if more { 0 } else { HOUSE_NS },
            Err(error) => {
                self.house_every_ns = HOUSE_NS;
                self.unwritten(&error);
            }
        }
    }

    /// Says that the store cannot be written, once until it can.
    pub(super) fn unwritten(&mut self, error: &anyhow::Error) {
        if !std::mem::replace(&mut self.disk_refuses, true) {
            tracing::error!("not written, so nothing rises: {error:#}");
        }
    }

    pub(super) async fn carry_out(&mut self, name: &str, effect: Effect) {
        let _ = self.store.points.reached(Point::Effect);
        match effect {
            Effect::Publish(publication) => {
                self.announce(name, &publication);
                self.unsent = true;
                if !may_wait(&publication.cause) {
                    self.publish().await;
                }
            }
            Effect::Revoke => {
                tracing::warn!(rollout = name, below = self.revoked_below, "leases revoked");
                self.lease.revoke_below(self.revoked_below);
            }
            Effect::HandBack(request) => {
                let Some(state) = self.runs.get(name).map(|run| &run.state) else { return };
                let (run, key) = (state.run, self.key(state));
                let (hooks, reports, name) = (self.hooks.clone(), self.reports.clone(), name.to_owned());
                tokio::spawn(async move {
                    let result = hand_back::run(&hooks, &request, &key).await;
                    // The engine has gone: the next one asks again.
                    let _ = reports.send(Report::HandBack { name, run, result }).await;
                });
            }
            Effect::WarmUp(request) => self.warm_up(name, request),
            Effect::Call(request) => self.call(name, request),
            Effect::Record(record) => tracing::info!(rollout = name, "{}", record.what),
            Effect::Notify(notice) => match notice.severity {
                Severity::Info => tracing::info!(rollout = name, "{}", notice.text),
                Severity::Warning => tracing::warn!(rollout = name, "{}", notice.text),
                Severity::Critical => tracing::error!(rollout = name, "{}", notice.text),
            },
        }
        let _ = self.store.points.reached(Point::Done);
    }

    fn announce(&self, name: &str, publication: &Publication) {
        tracing::info!(
            rollout = name,
            generation = self.generation,
            weight_ppm = publication.policy.arms.canary.weight_ppm,
            cause = ?publication.cause,
            "publish"
        );
    }

    /// Names the asking, so that whoever is asked again after a crash knows it for the same.
    fn key(&self, state: &State) -> String {
        let asked = match &state.phase {
            Phase::HandBack(HandingBack::Asked { since_age_ms, .. }) => *since_age_ms,
            _ => 0,
        };
        format!("{}-{}-{}-{asked}", self.store.incarnation, state.plan.name, state.run)
    }

    /// When what is decided and unsent is sent.
    pub(super) fn push_due(&self) -> Instant {
        self.sent.map_or_else(Instant::now, |sent| sent + PUSH_GAP)
    }

    /// Sends what the states of all runs say, under the present generation.
    pub(super) async fn publish(&mut self) {
        (self.unsent, self.sent) = (false, Some(Instant::now()));
        let shadowed = self.runs.values().filter(|run| run.state.shadows());
        let clusters = shadowed.flat_map(|run| {
            let clusters = &run.state.plan.traffic.clusters;
            [clusters.stable.clone(), clusters.canary.clone()]
        });
        let exercised =
            self.exercises.values().filter_map(|slot| slot.counting.as_ref().map(|(_, state)| state));
        let counted = self.runs.values().map(|run| &run.state).chain(exercised);
        let scope = counted.flat_map(|state| {
            state.versions().map(|version| (state.plan.name.clone(), version.to_owned())).collect::<Vec<_>>()
        });
        let (clusters, scope) = (clusters.collect(), Arc::new(scope.collect()));
        let policies = self.runs.iter().filter_map(|(name, run)| {
            let of_run = policy(&run.state);
            let slot = self.exercises.get(name);
            let policy = slot.map_or_else(|| of_run.clone(), |slot| slot.newest(of_run.clone()))?;
            Some(Part { region: region(&run.state).map(str::to_owned), policy })
        });
        let policies: Vec<_> = policies.collect();
        let epochs = policies.iter().map(|part| (part.policy.name.clone(), part.policy.epoch)).collect();
        self.wanted.send_modify(|wanted| {
            wanted.published(self.generation, epochs);
            (wanted.clusters, wanted.scope) = (clusters, scope);
        });
        let intervals =
            self.runs.values().map(|run| run.state.plan.traffic.lease_intervals).min().unwrap_or(5);
        match self.publisher.compose(self.generation, &policies, intervals, self.vouched()) {
            Ok(letter) => {
                self.lease.published(letter.generation, letter.ttl_ms);
                self.publisher.send(letter).await;
            }
            // Every plan is compiled when it is applied, so this is a fault of ours; the proxies keep what they have,
            // and the missing acknowledgements stop the run.
            Err(error) => tracing::error!("the policy does not compile and was not sent: {error}"),
        }
    }

    /// Goes on where the last process stopped: what was published is published again, unchanged.
    pub(super) async fn take_up(&mut self) {
        self.take_back_exercises().await;
        if self.generation > 0 {
            self.publish().await;
        }
        for name in self.live() {
            let standing = self.runs.get(&name).map(|run| run.state.standing_effects()).unwrap_or_default();
            for effect in standing {
                if !matches!(effect, Effect::Publish(_)) {
                    self.carry_out(&name, effect).await;
                }
            }
        }
        self.show();
        self.show_triggers();
    }

    /// Asks stable's endpoints what they serve, one question at a time.
    pub(super) fn probe(&mut self, name: &str) {
        let Some(run) = self.runs.get_mut(name).filter(|run| run.state.watches_stable() && !run.probing)
        else {
            return;
        };
        run.probing = true;
        let (client, reports) = (self.hooks.client().clone(), self.reports.clone());
        let (name, number, plan) = (name.to_owned(), run.state.run, run.state.plan.hand_back.clone());
        tokio::spawn(async move {
            let endpoints = hand_back::versions(&client, &plan.endpoints, &plan.version_in).await;
            let _ = reports.send(Report::Stable { name, run: number, endpoints }).await;
        });
    }
}

/// The region whose proxies serve a run; `None`: all proxies.
pub(super) fn region(state: &State) -> Option<&str> {
    state.plan.member.as_ref()?.region.as_deref()
}

/// A run's part of the policy: what it published last.
fn policy(state: &State) -> Option<split::policy::Rollout> {
    state.publication.as_ref().map(|publication| publication.sent.policy.clone())
}

/// What a step's effects do to the mesh.
pub(super) struct Changes {
    pub publishes: bool,
    pub revokes: bool,
}

pub(super) fn changes<'e>(effects: impl IntoIterator<Item = &'e Effect>) -> Changes {
    let mut changes = Changes { publishes: false, revokes: false };
    for effect in effects {
        changes.publishes |= matches!(effect, Effect::Publish(_));
        changes.revokes |= matches!(effect, Effect::Revoke);
    }
    changes
}

/// May these weights wait for others that are under way as well? What comes back never does, nor what a person wants.
const fn may_wait(cause: &Cause) -> bool {
    matches!(cause, Cause::Probe | Cause::Start { .. } | Cause::Verdict { .. } | Cause::HandBack)
}

/// Is this said once, so that it must be kept when it could not be taken? Time and counts come again by themselves, and
/// a person is told at once.
const fn comes_once(event: &Event) -> bool {
    matches!(
        event,
        Event::Acks(_)
            | Event::HandBackDone
            | Event::HandBackFailed { .. }
            | Event::WarmedUp
            | Event::WarmUpFailed { .. }
            | Event::Called { .. }
            | Event::CallFailed { .. }
            | Event::Reading(_)
    )
}

/// Does everything that changes traffic here take it back to stable?
pub(super) fn takes_back(effects: &[Effect]) -> bool {
    effects.iter().all(|effect| match effect {
        Effect::Publish(publication) => publication.cause == Cause::Rollback,
        Effect::HandBack(_) | Effect::WarmUp(_) | Effect::Call(_) => false,
        Effect::Revoke | Effect::Record(_) | Effect::Notify(_) => true,
    })
}
