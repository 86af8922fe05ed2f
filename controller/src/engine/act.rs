//! From a decision to the world: store, then act.

use rollout::{Cause, Effect, Event, Severity, State, step};

use super::{Engine, Report};
use crate::{clock, hand_back};

/// Evidence without a decision is written this often: losing less than this much of it is a gap, not a fault.
const SAVE_EVERY_NS: u64 = 5_000_000_000;

impl Engine {
    /// Lets the machine take one event. The decision is on the disk before anybody sees it.
    pub(super) async fn advance(&mut self, name: &str, event: &Event) {
        let Some(run) = self.runs.get(name) else { return };
        let (state, effects) = step(run.state.clone(), event, clock::now());
        let mut generation = run.generation;
        let Changes { publishes, revokes } = changes(&effects);
        if publishes {
            generation = self.generation + 1;
        }
        let revoked_below = if revokes { generation.max(self.revoked_below) } else { self.revoked_below };
        let due = clock::monotonic_ns().saturating_sub(run.saved_monotonic_ns) > SAVE_EVERY_NS;
        let mut unsaved = run.unsaved;
        if !effects.is_empty() || due {
            let stored = run.stored(state.clone(), generation);
            unsaved = false;
            if let Err(error) = self.store.save(&stored, generation.max(self.generation), revoked_below) {
                tracing::error!("the store cannot be written: {error:#}");
                // Traffic comes back with or without a store; it never goes up without one.
                if !takes_back(&effects) {
                    return;
                }
                unsaved = true;
            }
        }
        let Some(run) = self.runs.get_mut(name) else { return };
        if !effects.is_empty() || due {
            run.saved_monotonic_ns = clock::monotonic_ns();
        }
        run.unsaved = unsaved;
        run.state = state;
        run.generation = generation;
        self.revoked_below = revoked_below;
        if publishes {
            self.generation = generation;
            run.published(&self.reasons);
        } else if run
            .state
            .publication
            .as_ref()
            .is_some_and(|publication| publication.quorum_age_ms.is_some())
        {
            run.book.settle(clock::unix_ms());
        }
        for effect in effects {
            self.carry_out(name, effect).await;
        }
        self.show();
    }

    /// Writes what the store would not take when it was decided: a run that came back must not go up again after a
    /// restart because the disk was full.
    pub(super) fn save_unsaved(&mut self) {
        for run in self.runs.values_mut().filter(|run| run.unsaved) {
            let stored = run.stored(run.state.clone(), run.generation);
            run.unsaved = self.store.save(&stored, self.generation, self.revoked_below).is_err();
        }
    }

    pub(super) async fn carry_out(&mut self, name: &str, effect: Effect) {
        match effect {
            Effect::Publish(publication) => {
                tracing::info!(
                    rollout = name,
                    generation = self.generation,
                    weight_ppm = publication.policy.arms.canary.weight_ppm,
                    cause = ?publication.cause,
                    "publish"
                );
                self.publish().await;
            }
            Effect::Revoke => {
                tracing::warn!(rollout = name, below = self.revoked_below, "leases revoked");
                self.lease.revoke_below(self.revoked_below);
            }
            Effect::HandBack(request) => {
                let Some(run) = self.runs.get(name).map(|run| run.state.run) else { return };
                let (client, reports, name) = (self.client.clone(), self.reports.clone(), name.to_owned());
                tokio::spawn(async move {
                    let result = hand_back::run(&client, &request).await;
                    // The engine has gone: the next one asks again.
                    let _ = reports.send(Report::HandBack { name, run, result }).await;
                });
            }
            Effect::Record(record) => tracing::info!(rollout = name, "{}", record.what),
            Effect::Notify(notice) => match notice.severity {
                Severity::Info => tracing::info!(rollout = name, "{}", notice.text),
                Severity::Warning => tracing::warn!(rollout = name, "{}", notice.text),
                Severity::Critical => tracing::error!(rollout = name, "{}", notice.text),
            },
        }
    }

    /// Sends what the states of all runs say, under the present generation.
    pub(super) async fn publish(&mut self) {
        let shadowed = self.runs.values().filter(|run| run.state.shadows());
        let clusters = shadowed.flat_map(|run| {
            let clusters = &run.state.plan.traffic.clusters;
            [clusters.stable.clone(), clusters.canary.clone()]
        });
        self.clusters.send_replace(clusters.collect());
        let policies = self.runs.iter().filter_map(|(name, run)| {
            let of_run = policy(&run.state);
            self.exercises.get(name).map_or_else(|| of_run.clone(), |slot| slot.newest(of_run.clone()))
        });
        let policies: Vec<_> = policies.collect();
        let intervals =
            self.runs.values().map(|run| run.state.plan.traffic.lease_intervals).min().unwrap_or(5);
        match self.publisher.compose(self.generation, policies, intervals, self.vouched()) {
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
        let (client, reports) = (self.client.clone(), self.reports.clone());
        let (name, number, plan) = (name.to_owned(), run.state.run, run.state.plan.hand_back.clone());
        tokio::spawn(async move {
            let endpoints = hand_back::versions(&client, &plan).await;
            let _ = reports.send(Report::Stable { name, run: number, endpoints }).await;
        });
    }
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

pub(super) fn changes(effects: &[Effect]) -> Changes {
    Changes {
        publishes: effects.iter().any(|effect| matches!(effect, Effect::Publish(_))),
        revokes: effects.iter().any(|effect| matches!(effect, Effect::Revoke)),
    }
}

/// Does everything that changes traffic here take it back to stable?
pub(super) fn takes_back(effects: &[Effect]) -> bool {
    effects.iter().all(|effect| match effect {
        Effect::Publish(publication) => publication.cause == Cause::Rollback,
        Effect::HandBack(_) => false,
        Effect::Revoke | Effect::Record(_) | Effect::Notify(_) => true,
    })
}
