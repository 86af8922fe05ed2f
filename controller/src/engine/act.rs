//! From an event to a decision, and from its effects to the world.

use anyhow::Result;
use manifest::HandBackHow;
use rollout::fleet::MemberOutcome;
use rollout::{Effect, Event, HandBackProgress, Phase, Publication, Severity, State, fleet};
use store::Failpoint;
use tokio::sync::oneshot;

use super::commit::{Draft, RunDraft};
use super::{Engine, Report};

impl Engine {
    /// Lets the machine take one event. When what follows of it cannot be written down, the event still counts, and what
    /// takes back is done; what would have risen does at a later event.
    pub(super) async fn advance(&mut self, name: &str, event: &Event) {
        let mates = self.mates(name);
        let Some(index) = mates.iter().position(|mate| mate == name) else { return };
        // It cannot fail: what could not be written is not done.
        let _ = self.try_together(&mates, vec![(index, event.clone())]).await;
    }

    /// The same for runs that belong together: what follows of it for each other is one decision, one transaction and
    /// one publication. What a person wants and the store does not take is not done; all the rest counts.
    pub(super) async fn try_together(&mut self, mates: &[String], events: Vec<(usize, Event)>) -> Result<()> {
        for (index, event) in &events {
            if let Some(run) = mates.get(*index).and_then(|mate| self.runs.get_mut(mate)) {
                run.keep_sample(event);
            }
        }
        self.together(mates, events).await
    }

    /// Tells a run again what it heard while a decision about it was late; it was measured then.
    pub(super) async fn replay(&mut self, name: &str, event: &Event) {
        let mates = self.mates(name);
        let Some(index) = mates.iter().position(|mate| mate == name) else { return };
        let _ = self.together(&mates, vec![(index, event.clone())]).await;
    }

    async fn together(&mut self, mates: &[String], events: Vec<(usize, Event)>) -> Result<()> {
        // What makes a decision late is part of that decision.
        let was_late = self.is_late();
        let by_person = events.iter().any(|(_, event)| event.act().is_some());
        let moved = fleet::step(&self.states(mates), events.clone(), clock::now());
        if let Err(error) = self.take(moved).await {
            if by_person {
                return Err(error);
            }
            self.unwritten(&error);
            let moved = fleet::protect(&self.states(mates), events.clone(), clock::now());
            self.take(moved).await?;
        }
        for (index, event) in events.iter().filter(|_| was_late) {
            if let Some(name) = mates.get(*index) {
                self.heard_meanwhile(name, event);
            }
        }
        Ok(())
    }

    async fn take(&mut self, moved: Vec<MemberOutcome>) -> Result<()> {
        let runs: Vec<RunDraft> =
            moved.into_iter().filter_map(|moved| Some(RunDraft::step(moved)?.1)).collect();
        let names: Vec<String> = runs.iter().map(|run| run.state.plan.name.clone()).collect();
        self.commit(Draft { runs, ..Draft::default() }).await?;
        names.iter().for_each(|name| self.show_run(name));
        Ok(())
    }

    /// Does what was decided. One publication says what all of them decided.
    pub(super) async fn carry_out_all(&mut self, effects: Vec<(String, Effect)>) {
        let publishes = |effect: &Effect| matches!(effect, Effect::Publish(_));
        let last = effects.iter().rposition(|(_, effect)| publishes(effect));
        let urgent = |effect: &Effect| match effect {
            Effect::Publish(publication) => !publication.cause.may_wait(),
            Effect::Revoke { .. }
            | Effect::HandBack(_)
            | Effect::WarmUp(_)
            | Effect::Call(_)
            | Effect::Record(_)
            | Effect::Notify(_) => false,
        };
        let urgent = effects.iter().any(|(_, effect)| urgent(effect));
        for (at, (name, effect)) in effects.into_iter().enumerate() {
            self.carry_out(&name, effect).await;
            if Some(at) == last && urgent {
                self.publish().await;
            }
        }
    }

    /// Does one thing that was decided; weights leave with the next push.
    pub(super) async fn carry_out(&mut self, name: &str, effect: Effect) {
        let _ = self.journal.reached(Failpoint::Effect);
        match effect {
            Effect::Publish(publication) => {
                self.announce(name, &publication);
                self.publication.pending = true;
            }
            Effect::Revoke { below } => {
                tracing::warn!(rollout = name, ?below, generation = self.mesh.generation, "leases revoked");
                self.publication.leases.revoke(&self.mesh);
            }
            Effect::HandBack(request) => {
                let Some(state) = self.runs.get(name).map(|run| &run.state) else { return };
                let (run, key) = (state.run, self.key(state));
                let (hooks, reports) = (self.external.hooks.clone(), self.external.reports.clone());
                let (asked, withdrawn) = oneshot::channel();
                if let Some(run) = self.runs.get_mut(name) {
                    run.hand_back = Some(asked);
                }
                let name = name.to_owned();
                // A tool that was called goes on; what only waits before it changes something does not outlive an abort.
                let stops = matches!(request.how, HandBackHow::Kubernetes(_));
                self.external.hooks.spawn(async move {
                    let result = tokio::select! {
                        result = hooks.hand_back(&request, &key) => result,
                        _ = withdrawn, if stops => return,
                    };
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
        let _ = self.journal.reached(Failpoint::Done);
    }

    fn announce(&self, name: &str, publication: &Publication) {
        tracing::info!(
            rollout = name,
            generation = self.mesh.generation,
            weight_ppm = publication.policy.arms.canary.weight_ppm,
            cause = ?publication.cause,
            "publish"
        );
    }

    /// A key of the request: a hook that is asked again after a crash recognises it.
    fn key(&self, state: &State) -> String {
        let asked = match &state.phase {
            Phase::HandBack(HandBackProgress::Asked { since_age_ms, .. }) => *since_age_ms,
            _ => 0,
        };
        format!("{}-{}-{}-{asked}", self.mesh.incarnation, state.plan.name, state.run)
    }

    /// Goes on where the last process stopped: what was published is published again, unchanged.
    pub(super) async fn recover(&mut self) {
        self.take_back_exercises().await;
        if self.mesh.generation > 0 {
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
        let (hooks, reports) = (self.external.hooks.clone(), self.external.reports.clone());
        let (name, number, plan) = (name.to_owned(), run.state.run, run.state.plan.hand_back.clone());
        tokio::spawn(async move {
            let endpoints = hooks.versions(&plan.endpoints, &plan.version_in).await;
            let _ = reports.send(Report::Stable { name, run: number, endpoints }).await;
        });
    }
}
