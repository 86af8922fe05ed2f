//! The runs as people and tools see them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::{DrillView, ParityView, RunView};
use manifest::{ExerciseKind, Plan};
use rollout::ExerciseView;
use split::Overlap;

use super::exercise::ExerciseState;
use super::queue::QueuedRun;
use super::run::Run;
use super::{Engine, claims};

/// Every run by name.
pub type Views = Arc<BTreeMap<String, Arc<RunView>>>;

fn drill(slot: Option<&ExerciseState>) -> Option<DrillView> {
    match slot?.last_of(ExerciseKind::Drill)?.view() {
        ExerciseView::Drill(view) => Some(*view),
        ExerciseView::Parity(_) => None,
    }
}

fn parity(slot: Option<&ExerciseState>) -> Option<ParityView> {
    match slot?.last_of(ExerciseKind::Parity)?.view() {
        ExerciseView::Parity(view) => Some(*view),
        ExerciseView::Drill(_) => None,
    }
}

impl Engine {
    /// Shows all runs as they are now.
    pub(super) fn show(&self) {
        let views = self.runs.iter().map(|(name, run)| (name.clone(), self.view(name, run)));
        let mut views: BTreeMap<String, Arc<RunView>> = views.collect();
        for name in self.fleets() {
            let view = self.fleet_view(&name, &views);
            views.insert(name, view);
        }
        self.views.send_replace(Arc::new(views));
    }

    /// Shows one run as it is now, and the fleet it is of; the others stay as they were.
    pub(super) fn show_run(&self, name: &str) {
        let Some(run) = self.runs.get(name) else { return };
        let view = self.view(name, run);
        self.views.send_modify(|views| {
            let views = Arc::make_mut(views);
            views.insert(name.to_owned(), view);
            if let Some(member) = &run.state.plan.member {
                let view = self.fleet_view(&member.fleet, views);
                views.insert(member.fleet.clone(), view);
            }
        });
    }

    /// Shows what was applied under a name as it is now, and whoever else is seen otherwise because of it; `before`: the runs
    /// that were there. All others stay as they were: of hundreds, each would be made anew for each that begins.
    pub(super) fn show_applied(&self, name: &str, before: &[String]) {
        let mut changed: BTreeSet<String> = self.applied(name).into_iter().collect();
        changed.extend(before.iter().cloned().chain([name.to_owned()]));
        changed.extend(self.claimed_from(&changed));
        self.views.send_modify(|views| {
            let views = Arc::make_mut(views);
            let mut fleets = BTreeSet::new();
            for name in &changed {
                if let Some(run) = self.runs.get(name) {
                    views.insert(name.clone(), self.view(name, run));
                    fleets.extend(run.state.plan.member.as_ref().map(|member| member.fleet.clone()));
                } else {
                    views.remove(name);
                }
            }
            for fleet in fleets {
                let view = self.fleet_view(&fleet, views);
                views.insert(fleet, view);
            }
        });
    }

    /// The runs whose requests these take, or took when they were shown last.
    fn claimed_from(&self, names: &BTreeSet<String>) -> Vec<String> {
        let views = self.views.borrow().clone();
        let took = |name: &String| {
            views.get(name).is_some_and(|view| view.claimed_by.iter().any(|by| names.contains(&by.name)))
        };
        let plans: Vec<&Plan> =
            names.iter().filter_map(|name| self.runs.get(name)).map(|run| &*run.state.plan).collect();
        let takes = |plan: &Plan| {
            plans.iter().any(|owner| owner.name < plan.name && owner.takes_of(plan) != Overlap::Nothing)
        };
        let of = self.runs.iter().filter(|(name, run)| took(name) || takes(&run.state.plan));
        of.map(|(name, _)| name.clone()).collect()
    }

    fn fleet_view(&self, name: &str, views: &BTreeMap<String, Arc<RunView>>) -> Arc<RunView> {
        let members = self.applied(name);
        let run = rollout::fleet::view(name, &self.states(&members));
        let members: Vec<RunView> =
            members.iter().filter_map(|name| views.get(name).map(|view| RunView::clone(view))).collect();
        let latencies = members.iter().filter_map(|member| member.rollback_latency);
        Arc::new(RunView {
            run,
            revision: self.revision_of(name),
            claimed_by: Vec::new(),
            generation: Some(members.iter().filter_map(|member| member.generation).max().unwrap_or(0)),
            acks: Vec::new(),
            refusals: members.iter().flat_map(|member| member.refusals.clone()).collect(),
            rollback_latency: latencies.max_by_key(|latency| (!latency.complete, latency.to_ms)),
            drill: None,
            drill_passed_unix_ms: None,
            parity: None,
            parity_passed_unix_ms: None,
            practice: Vec::new(),
            demand: None,
            queued: self.waiting.get(name).map(QueuedRun::view),
            object: members.iter().find_map(|member| member.object.clone()),
            members,
        })
    }

    fn view(&self, name: &str, run: &Run) -> Arc<RunView> {
        let under_way = !run.state.is_over();
        let claimed_by = if under_way { self.claimed_by(&run.state.plan) } else { Vec::new() };
        let mut view = run.state.view();
        if let Some(said) = claims::words(&claimed_by) {
            view.message = format!("{said}; {}", view.message);
        }
        Arc::new(RunView {
            run: view,
            revision: self.revision_of(name),
            claimed_by,
            generation: Some(run.acknowledged.generation),
            acks: run.acknowledged.acks.clone(),
            refusals: run.acknowledged.refusals.clone(),
            rollback_latency: run.latency,
            drill: drill(self.exercises.get(name)),
            drill_passed_unix_ms: self
                .exercises
                .get(name)
                .and_then(|slot| slot.last_passed_ms(ExerciseKind::Drill)),
            parity: parity(self.exercises.get(name)),
            parity_passed_unix_ms: self
                .exercises
                .get(name)
                .and_then(|slot| slot.last_passed_ms(ExerciseKind::Parity)),
            practice: self.exercises.get(name).map(ExerciseState::practice).unwrap_or_default(),
            demand: Some(run.state.demand(run.measured.rates().as_ref())),
            queued: self.waiting.get(name).map(QueuedRun::view),
            object: run.spec.object().cloned(),
            members: Vec::new(),
        })
    }
}
