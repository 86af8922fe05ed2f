//! A person goes back: to stable while a run lasts, and after it to any version that was behind the stable route
//! before, if something confirms that it is behind the canary route.

use api::{Refusal, RollbackReply};
use futures::future::join_all;
use manifest::{HookHow, KeepWarm, Ready, ReadyOf, ReadyWorkloads, Workload, WorkloadWhat};
use rollout::{Acted, Endpoint, Event, Human, State, fleet};
use tokio::sync::oneshot;

use super::apply::compiles;
use super::ready::{count, in_cluster};
use super::{Act, Conditions, Engine, Report};
use hooks::Hooks;
use sources::Sources;

/// What a person wants.
#[derive(Clone, Debug, Default)]
pub struct RollbackOrder {
    /// The version; `None`: the one from before.
    pub to: Option<String>,
    /// Do without a confirmation that it is there.
    pub unverified: bool,
}

impl RollbackOrder {
    /// What it is, with all it is about: a key stands for it.
    fn words(&self) -> String {
        self.to.as_ref().map_or_else(|| "rollback".to_owned(), |to| format!("rollback to {to}"))
    }
}

type Answer = oneshot::Sender<Result<RollbackReply, Refusal>>;

/// From one version back to another, of one run or member.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RollbackPath {
    name: String,
    from: String,
    to: String,
}

/// What going back means now.
#[derive(Debug, PartialEq, Eq)]
enum RollbackPlan {
    /// The present run ends.
    Abort,
    /// A run of its own.
    Paths(Vec<RollbackPath>),
}

/// The answer to the question whether a version is there, with all that is needed to act on it.
pub struct RollbackCheck {
    name: String,
    order: RollbackOrder,
    human: Human,
    conditions: Conditions,
    ways: Vec<RollbackPath>,
    /// What confirmed it; `None`: nothing was asked.
    said: Result<Option<String>, String>,
    answer: Answer,
}

impl Engine {
    /// `conditions`: what is asked again under its key is not done again, over restarts too: the same word would go back a
    /// version further.
    pub(super) async fn roll_back(
        &mut self,
        name: String,
        order: RollbackOrder,
        human: Human,
        conditions: Conditions,
        answer: Answer,
    ) {
        let raises = self.raises(&name, &order, &human);
        let run = |engine: &Self| {
            engine.states(&engine.applied(&name)).iter().map(|state| state.run).max().unwrap_or(0)
        };
        let done = match self.was_done(&name, &order.words(), &conditions) {
            Ok(true) => {
                let (run, message) = (run(self), format!("{name}: this was done before, under the same key"));
                Some(Ok(RollbackReply { name: name.clone(), run, begun: false, message }))
            }
            Ok(false) if raises => self.expect(&name, &conditions).err().map(Err),
            Err(refusal) if raises => Some(Err(refusal)),
            _ => None,
        };
        if let Some(done) = done {
            let _ = answer.send(done);
            return;
        }
        let ways = match self.aim(&name, &order, &human) {
            Ok(RollbackPlan::Paths(ways)) => ways,
            Ok(RollbackPlan::Abort) => {
                let run = run(self);
                let ended = self.act_as(&name, Act::Abort, human, &conditions, &order.words()).await;
                let message = format!("run {run} is taken back to stable");
                let message = self.with_warning(message);
                let _ = answer.send(ended.map(|()| RollbackReply { name, run, begun: false, message }));
                return;
            }
            Err(refusal) => {
                let _ = answer.send(Err(refusal));
                return;
            }
        };
        let questions: Vec<Question> =
            ways.iter().filter_map(|way| self.question(way, order.unverified)).collect();
        let (hooks, reports) = (self.external.hooks.clone(), self.external.reports.clone());
        let (sources, admins) = (self.external.sources.clone(), self.external.admins.clone());
        tokio::spawn(async move {
            let asked = questions.iter().map(|question| question.ask(&hooks, &sources, &admins));
            let said: Result<Vec<Option<String>>, String> = join_all(asked).await.into_iter().collect();
            let said = said.map(|said| {
                let said: Option<Vec<String>> = said.into_iter().collect();
                said.map(|said| said.join("; "))
            });
            let vouched = Box::new(RollbackCheck { name, order, human, conditions, ways, said, answer });
            let _ = reports.send(Report::RollbackCheck(vouched)).await;
        });
    }

    /// Does it send traffic to another version, rather than take it back to the one that stable serves?
    pub(super) fn raises(&self, name: &str, order: &RollbackOrder, human: &Human) -> bool {
        matches!(self.aim(name, order, human), Ok(RollbackPlan::Paths(_)))
    }

    /// The endpoints or the hook have answered: the rollback begins, unless something else happened meanwhile.
    pub(super) async fn settle_rollback(&mut self, vouched: RollbackCheck) {
        let RollbackCheck { name, order, human, conditions, ways, said, answer } = vouched;
        let begun = match (self.aim(&name, &order, &human), said) {
            (Err(refusal), _) => Err(refusal),
            (Ok(RollbackPlan::Paths(now)), Ok(said)) if now == ways => {
                let acted = conditions.acted(&order.words());
                self.begin_way_back(&name, ways, human, said, acted).await
            }
            (Ok(RollbackPlan::Paths(now)), Err(why)) if now == ways => {
                Err(Refusal::Conflict(format!("{name}: {why}")))
            }
            (Ok(_), _) => Err(Refusal::Conflict(format!(
                "{name} has moved on meanwhile; see serin get {name}, and try again"
            ))),
        };
        let _ = answer.send(begun);
    }

    async fn begin_way_back(
        &mut self,
        name: &str,
        ways: Vec<RollbackPath>,
        human: Human,
        said: Option<String>,
        acted: Option<Acted>,
    ) -> Result<RollbackReply, Refusal> {
        let present = self.applied(name);
        let plan = |way: &RollbackPath| {
            let plan = &self.runs.get(&way.name)?.state.plan;
            Some(plan.to_return(&way.from, &way.to, said.clone()))
        };
        let plans: Vec<_> = ways.iter().filter_map(plan).collect();
        plans.iter().try_for_each(compiles)?;
        let text = present.first().and_then(|name| self.runs.get(name)).map(|run| run.spec.text().to_owned());
        // In the middle of a hand-back: everybody to the stable route first, which serves the new version by now.
        if !fleet::is_over(&self.states(&present)) {
            let abort = |index| (index, Event::Abort(human.clone()));
            let events = (0..present.len()).map(abort).collect();
            self.try_together(&present, events).await.map_err(|error| Refusal::unwritten(&error))?;
        }
        let states = self.states(&present);
        let run = states.iter().map(|state| state.run).max().unwrap_or(0) + 1;
        let epoch = states.iter().map(|state| state.epoch).max().unwrap_or(0);
        let waited = self.waiting.get(name).map(|waiting| waiting.view().canary);
        self.begin(name, plans, &text.unwrap_or_default(), human, (run, epoch), acted).await?;
        let mut to: Vec<String> = ways.into_iter().map(|way| way.to).collect();
        to.dedup();
        let mut message = format!("everybody goes back to {}", to.join(", "));
        if let Some(waited) = waited {
            message.push_str(&format!("; {waited}, which waited, does not begin"));
        }
        let message = self.with_warning(message);
        Ok(RollbackReply { name: name.to_owned(), run, begun: true, message })
    }

    fn with_warning(&mut self, message: String) -> String {
        match self.not_yet_written() {
            Some(warning) => format!("{message}; warning: {warning}"),
            None => message,
        }
    }

    fn aim(&self, name: &str, order: &RollbackOrder, human: &Human) -> Result<RollbackPlan, Refusal> {
        let whom = self.applied(name);
        if whom.is_empty() {
            self.there_is(name)?;
            let fleet = self.runs.get(name).and_then(|run| run.state.plan.member.as_ref());
            let fleet = fleet.map_or(name, |member| &member.fleet);
            return Err(Refusal::Conflict(format!(
                "{name} goes back with all of {fleet}: serin rollback {fleet}"
            )));
        }
        let states = self.states(&whom);
        if let Some(under_way) = under_way(name, &states, order)? {
            return Ok(under_way);
        }
        let mut ways = Vec::new();
        for state in &states {
            ways.push(self.way(state, order)?);
        }
        if human.reason.trim().is_empty() {
            let what = "a weight that rises without a verdict wants a reason: give --reason";
            return Err(Refusal::Invalid(format!("{name}: {what}")));
        }
        Ok(RollbackPlan::Paths(ways))
    }

    /// The way back of one run that is over, or nearly.
    fn way(&self, state: &State, order: &RollbackOrder) -> Result<RollbackPath, Refusal> {
        let stable = &state.stable_version;
        let conflict = |why: String| Err(Refusal::Conflict(format!("{}: {why}", state.plan.name)));
        let known = self.versions_before(state)?;
        let those = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let went = state.plan.returning.as_ref().filter(|_| *stable == state.plan.canary);
        let to = match (&order.to, went) {
            (Some(to), _) => to.clone(),
            (None, Some(gone)) => {
                return conflict(format!(
                    "run {} went back from {} to {stable}; to go further, name the version: --to, one of {those}",
                    state.run, gone.from
                ));
            }
            (None, None) if *stable != state.plan.stable => state.plan.stable.clone(),
            (None, None) => {
                return conflict(format!(
                    "stable serves {stable} already: {}; to go further back, name the version: --to, one of {those}",
                    state.message()
                ));
            }
        };
        if to == *stable {
            return conflict(format!("stable serves {to} already"));
        }
        if !known.contains(&to) {
            return conflict(format!("{to} was never behind its stable route; those that were: {those}"));
        }
        if state.is_being_deleted(&to) && !order.unverified {
            return conflict(format!(
                "a hook was told that {to} can be deleted; if you know that it is there, go back with --unverified"
            ));
        }
        Ok(RollbackPath { name: state.plan.name.clone(), from: stable.clone(), to })
    }

    /// The versions that were behind the stable route of a run's name before, the latest first.
    fn versions_before(&self, state: &State) -> Result<Vec<String>, Refusal> {
        let stored = self.journal.stable_versions(&state.plan.name);
        let stored = stored.map_err(|error| Refusal::unread(&error))?;
        let mut known: Vec<String> = Vec::new();
        for version in std::iter::once(state.plan.stable.clone()).chain(stored) {
            if version != state.stable_version && !known.contains(&version) {
                known.push(version);
            }
        }
        Ok(known)
    }

    fn question(&self, way: &RollbackPath, unverified: bool) -> Option<Question> {
        let state = &self.runs.get(&way.name)?.state;
        let plan = &state.plan;
        Some(Question {
            rollout: plan.name.clone(),
            to: way.to.clone(),
            keep: plan.keep_warm.clone(),
            placed: state.was_placed(&way.to),
            ready: plan.ready.clone(),
            source: plan
                .ready
                .as_ref()
                .and_then(|ready| ready.source.as_ref())
                .map(|source| source.filled(&plan.name, &way.from, &way.to)),
            clusters: plan.traffic.clusters.clone(),
            unverified,
        })
    }
}

/// What going back means while runs last; `None`: they are over, or stable serves the new version already.
fn under_way(name: &str, states: &[&State], order: &RollbackOrder) -> Result<Option<RollbackPlan>, Refusal> {
    let Some(live) = states.iter().find(|state| !state.is_over()) else { return Ok(None) };
    let (run, stable, canary) = (live.run, &live.stable_version, &live.plan.canary);
    if live.plan.returning.is_some() {
        return Err(Refusal::Conflict(format!(
            "{name} goes back to {canary} already (run {run}): {}; serin abort {name} gives the traffic to {stable} again",
            live.message()
        )));
    }
    if states.iter().all(|state| state.is_over() || state.stable_version != state.plan.stable) {
        return Ok(None);
    }
    match &order.to {
        Some(to) if to != stable => Err(Refusal::Conflict(format!(
            "run {run} of {name} ({stable} to {canary}) is under way: it can go back to {stable} alone; serin abort \
             {name}, then serin rollback {name} --to {to}"
        ))),
        _ => Ok(Some(RollbackPlan::Abort)),
    }
}

/// Is a version behind the canary route?
struct Question {
    rollout: String,
    to: String,
    keep: Option<Box<KeepWarm>>,
    /// Did a hook put it there, and is that still so?
    placed: bool,
    ready: Option<Box<Ready>>,
    source: Option<manifest::Source>,
    clusters: manifest::Clusters,
    unverified: bool,
}

impl Question {
    /// What runs the version that was kept, where that is Kubernetes: when its time is over it may be scaled to nothing.
    fn kept_in_cluster(&self) -> Option<ReadyWorkloads> {
        let Some(HookHow::Kubernetes(change)) = self.keep.as_ref()?.hook.as_ref() else { return None };
        let canary = match &change.what {
            WorkloadWhat::Image { deployment, .. } | WorkloadWhat::Scale { deployment, .. } => {
                Workload::Deployment(deployment.clone())
            }
            WorkloadWhat::Selector { service, .. } => Workload::Service(service.clone()),
        };
        let of = ReadyOf::Each { canary, stable: None };
        Some(ReadyWorkloads { namespace: change.namespace.clone(), of })
    }

    /// What confirms it; `None`: no confirmation is needed.
    async fn ask(
        &self,
        hooks: &Hooks,
        sources: &Sources,
        admins: &[envoy::stats::Admin],
    ) -> Result<Option<String>, String> {
        let to = &self.to;
        let remedy =
            format!("put {to} behind the canary route and try again, or go back all the same: --unverified");
        let trial = [self.clusters.canary.clone()];
        let kept = self.kept_in_cluster();
        let ready = async || {
            let workloads = self.ready.as_ref().and_then(|ready| ready.kubernetes.as_ref());
            if let Some(workloads) = workloads.or(kept.as_ref().filter(|_| self.ready.is_none())) {
                return in_cluster(hooks, workloads, &[split::Arm::Canary.to_string()]).await;
            }
            let source = (self.rollout.as_str(), self.source.as_ref());
            count(sources, admins, (&trial, &self.clusters.stable), source).await
        };
        if self.unverified {
            // A reason replaces the confirmation, except where no endpoint is known at all.
            let counted = self.ready.is_some() || kept.is_some();
            let none = counted && ready().await.is_ok_and(|seen| seen.canary == Some(0));
            return if none {
                let scaled = kept.as_ref().map_or_else(String::new, |kept| scaled_down(kept, to));
                Err(format!("the canary route has no ready endpoint at all{scaled}"))
            } else {
                Ok(None)
            };
        }
        if let Some(keep) = self.keep.as_ref().filter(|keep| !keep.endpoints.is_empty()) {
            let answers = hooks.versions(&keep.endpoints, &keep.version_in).await;
            let others = answers.iter().filter(|answer| answer.version.as_ref() != Some(to));
            let others: Vec<String> = others.map(Endpoint::words).collect();
            if !others.is_empty() {
                return Err(format!("{}; {remedy}", others.join(", ")));
            }
            return Ok(Some(format!("all endpoints of the canary route report {to}: {}", answers.len())));
        }
        // Endpoints that are ready are those of some version; which, only who put it there can tell.
        if let (Some(terms), true) = (&self.ready, self.placed) {
            let seen = ready().await.map_err(|error| format!("{error}; {remedy}"))?;
            let (canary, needed) = (seen.canary.unwrap_or(0), terms.needed(split::MILLION, seen.stable));
            if canary >= needed {
                return Ok(Some(format!("the hook put {to} there, and {canary} endpoints are ready")));
            }
            return Err(format!("{canary} of the {needed} endpoints it takes are ready; {remedy}"));
        }
        Err(format!(
            "no endpoint is configured to ask which version is behind the canary route (spec.keepWarm.endpoints); {remedy}"
        ))
    }
}

/// What a person does about a Deployment that was scaled down when its time was over.
fn scaled_down(kept: &ReadyWorkloads, to: &str) -> String {
    let ReadyWorkloads { namespace, of } = kept;
    let ReadyOf::Each { canary: Workload::Deployment(name), .. } = of else { return String::new() };
    format!(
        ": give Deployment {namespace}/{name} the image of {to} and replicas (kubectl -n {namespace} scale deployment {name} \
         --replicas=N), and try again when they are ready"
    )
}

#[cfg(test)]
mod tests;
