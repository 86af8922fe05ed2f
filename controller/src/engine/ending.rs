//! After the end of a run: hooks are called, and what is kept warm is looked at.

use rollout::HookCallRequest;

use super::{Engine, Report};

/// Between two questions to the endpoints of a version that is kept.
const EVERY_NS: u64 = 10_000_000_000;

impl Engine {
    /// Calls a hook and does not wait for the answer; it comes as a report.
    pub(super) fn call(&self, name: &str, request: HookCallRequest) {
        let Some(run) = self.runs.get(name).map(|run| run.state.run) else { return };
        // A key of the request: a hook that is asked again after a crash recognises it.
        let HookCallRequest { rollout, run: of, duty, .. } = &request;
        let key = format!("{}-{rollout}-{of}-{}", self.mesh.incarnation, duty.word());
        let (hooks, reports, name) =
            (self.external.hooks.clone(), self.external.reports.clone(), name.to_owned());
        self.external.hooks.spawn(async move {
            let result = hooks.after(&request, &key).await;
            let (of, duty) = (request.run, request.duty);
            // The engine has gone: the next one calls again.
            let _ = reports.send(Report::Called { name, run, of, duty, result }).await;
        });
    }

    /// Asks the canary route's endpoints now and then whether what is kept there is there.
    pub(super) fn look_at_kept(&mut self, name: &str) {
        let now_ns = clock::monotonic_ns();
        let Some(run) = self.runs.get_mut(name).filter(|run| run.state.polls_kept_version()) else { return };
        let Some(keep) = run.state.plan.keep_warm.clone().filter(|_| now_ns >= run.kept_due_ns) else {
            return;
        };
        run.kept_due_ns = now_ns.saturating_add(EVERY_NS);
        let (hooks, reports) = (self.external.hooks.clone(), self.external.reports.clone());
        let (name, run) = (name.to_owned(), run.state.run);
        tokio::spawn(async move {
            let endpoints = hooks.versions(&keep.endpoints, &keep.version_in).await;
            let _ = reports.send(Report::Kept { name, run, endpoints }).await;
        });
    }

    /// Is the version from before kept behind the canary route? What begins by itself leaves it its time; whoever
    /// applies something by hand, or has it replace what is there, does not.
    pub(super) fn keeps_old(&self, name: &str) -> bool {
        self.states(&self.applied(name)).iter().any(|state| {
            let kept = state.kept();
            !kept.is_empty() && kept.contains(&state.plan.stable)
        })
    }
}
