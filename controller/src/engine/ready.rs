//! Is the canary there, and warm? Its endpoints are counted while a run asks for it.

use envoy::stats::Admin;
use futures::future::join_all;
use hooks::Hooks;
use manifest::{Plan, ReadyWorkloads, Source};
use rollout::{Endpoints, WarmUpRequest};
use split::Arm;

use super::{Engine, Report};
use sources::{Purpose, Requester, Sources, When};

/// Between two counts of one run. Envoy's own health checks are seldom more frequent.
const EVERY_NS: u64 = 2_000_000_000;
/// A count of endpoints by a source is no older than this: sources are counted every minute or sooner.
const OLDEST_MS: u64 = 60_000;

impl Engine {
    /// Who is asked how many endpoints are ready.
    pub fn ask_at(&mut self, admins: Vec<Admin>) {
        self.external.admins = admins;
    }

    /// Counts endpoints, one question at a time; the answers come as reports.
    pub(super) fn count_endpoints(&mut self, name: &str) {
        let now_ns = clock::monotonic_ns();
        let Some(run) = self.runs.get_mut(name).filter(|run| run.state.watches_endpoints()) else { return };
        let Some(ready) = run.state.plan.ready.clone().filter(|_| now_ns >= run.count_due_ns) else { return };
        // An answer sets it back; without one the next question waits for the slowest source.
        run.count_due_ns = now_ns.saturating_add(60 * EVERY_NS);
        let plan = &run.state.plan;
        let source = ready.source.map(|it| it.filled(&plan.name, &plan.stable, &plan.canary));
        let (trial, stable) = (on_trial(plan), plan.traffic.clusters.stable.clone());
        let arms: Vec<String> = plan.arms_in().map(|arm| arm.to_string()).collect();
        let (workloads, hooks) = (ready.kubernetes, self.external.hooks.clone());
        let (sources, admins, reports) =
            (self.external.sources.clone(), self.external.admins.clone(), self.external.reports.clone());
        let (name, run) = (name.to_owned(), run.state.run);
        tokio::spawn(async move {
            let endpoints = match &workloads {
                Some(workloads) => in_cluster(&hooks, workloads, &arms).await,
                None => count(&sources, &admins, (&trial, &stable), (&name, source.as_ref())).await,
            };
            let endpoints =
                endpoints.unwrap_or_else(|error| Endpoints { error: Some(error), ..Endpoints::default() });
            let _ = reports.send(Report::Endpoints { name, run, endpoints }).await;
        });
    }

    pub(super) fn counted_endpoints(&mut self, name: &str) {
        if let Some(run) = self.runs.get_mut(name) {
            run.count_due_ns = clock::monotonic_ns().saturating_add(EVERY_NS);
        }
    }

    pub(super) fn warm_up(&self, name: &str, request: WarmUpRequest) {
        let Some(run) = self.runs.get(name).map(|run| run.state.run) else { return };
        let (hooks, reports, name) =
            (self.external.hooks.clone(), self.external.reports.clone(), name.to_owned());
        self.external.hooks.spawn(async move {
            let result = hooks.warm_up(&request).await;
            // The engine has gone: the next one asks again.
            let _ = reports.send(Report::WarmUp { name, run, result }).await;
        });
    }
}

pub(super) async fn count(
    sources: &Sources,
    admins: &[Admin],
    (trial, stable): (&[String], &str),
    (rollout, source): (&str, Option<&Source>),
) -> Result<Endpoints, String> {
    let Some(source) = source else { return of_envoys(admins, trial, stable).await };
    let asker = Requester { name: rollout, purpose: Purpose::Protect };
    // How many there are is so whoever has been exposed since when.
    let when = When { now_ms: clock::unix_ms(), for_ms: None, every_ms: OLDEST_MS };
    let sources::Figures { canary, stable, why } = sources.ask(source, asker, when).await?;
    let none = || {
        format!(
            "the source of spec.ready has no data{}",
            why.map(|why| format!(": {why}")).unwrap_or_default()
        )
    };
    let canary = whole(canary.ok_or_else(none)?)?;
    Ok(Endpoints { canary: Some(canary), stable: stable.map(whole).transpose()?, error: None })
}

/// The same, counted by whoever runs the versions.
pub(super) async fn in_cluster(
    hooks: &Hooks,
    workloads: &ReadyWorkloads,
    arms: &[String],
) -> Result<Endpoints, String> {
    let ready = hooks.ready(workloads, arms).await?;
    Ok(Endpoints { canary: Some(ready.canary), stable: ready.stable, error: None })
}

/// The clusters of the versions on trial: a further arm's is called as the arm.
pub(super) fn on_trial(plan: &Plan) -> Vec<String> {
    let clusters = &plan.traffic.clusters;
    let of = |arm: Arm| if arm == Arm::Canary { clusters.canary.clone() } else { arm.to_string() };
    plan.arms_in().map(of).collect()
}

/// Every Envoy must find the endpoints: one that sees fewer sends its share of the traffic to these alone. So must every
/// version on trial, for all rise together: the one with the fewest counts.
async fn of_envoys(admins: &[Admin], trial: &[String], stable: &str) -> Result<Endpoints, String> {
    let mut fewest: Option<(u32, u32)> = None;
    for (admin, read) in admins.iter().zip(join_all(admins.iter().map(Admin::healthy)).await) {
        let read = read.map_err(|error| error.to_string())?;
        let of = |cluster: &str| {
            read.get(cluster).copied().ok_or_else(|| {
                let known: Vec<&str> = read.keys().map(String::as_str).collect();
                format!(
                    "Envoy at {} has no cluster {cluster:?}; name one of {} in spec.routing.clusters",
                    admin.source(),
                    known.join(", ")
                )
            })
        };
        let mut each = Vec::with_capacity(trial.len());
        for cluster in trial {
            each.push(of(cluster)?);
        }
        let (now, other) = (each.into_iter().min().unwrap_or(0), of(stable)?);
        fewest = Some(fewest.map_or((now, other), |(least, few)| (least.min(now), few.min(other))));
    }
    let (canary, stable) = fewest.ok_or("no Envoy is asked: give serin run --envoy-admin")?;
    Ok(Endpoints { canary: Some(canary), stable: Some(stable), error: None })
}

/// A figure as a number of endpoints: parts are not whole ones.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked
fn whole(figure: f64) -> Result<u32, String> {
    let range = 0.0..=f64::from(u32::MAX);
    if range.contains(&figure) {
        Ok(figure as u32)
    } else {
        Err(format!("{figure} is no number of endpoints"))
    }
}
