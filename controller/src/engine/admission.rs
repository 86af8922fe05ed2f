//! What becomes of a specification; asked beforehand, or for one that is stored already.

use api::{Applied, ObjectView, Refusal};
use manifest::{Change, Loaded, Plan, Problem};
use rollout::{Admission, Human, PhaseName, fleet};

use super::apply::{never_fits, with_command};
use super::fleets::applied_as;
use super::queue::QueuedRun;
use super::{Conditions, Engine};
use crate::specification::Specification;

/// A specification that was read and may be taken, and what is to become of it.
pub(super) struct Admitted {
    pub name: String,
    pub plans: Vec<Plan>,
    /// Of the runs that are there.
    pub run: u64,
    /// Never [`Admission::Refused`].
    pub admission: Admission,
    pub warnings: Vec<String>,
}

impl Engine {
    /// May it be taken? `again`: a person wants one that was rolled back tried once more.
    pub(super) fn admit(&self, spec: &Specification, again: bool) -> Result<Admitted, Refusal> {
        let loaded = &spec.loaded;
        let mut warnings: Vec<String> = loaded.warnings.iter().map(Problem::to_string).collect();
        let (name, plans) = (loaded.name().to_owned(), loaded.plans().to_vec());
        for plan in &plans {
            self.external.sources.allow(plan).map_err(Refusal::Invalid)?;
            self.external.hooks.allow(plan).map_err(Refusal::Invalid)?;
        }
        warnings.extend(self.unknown_regions(&plans));
        warnings.extend(self.claims(&name, &plans));
        if let Some(why) = self.taken(&name, &plans) {
            return Err(Refusal::Conflict(why));
        }
        let present = self.applied(&name);
        let kept_by = present.iter().find_map(|name| self.runs.get(name)).map(|run| run.spec.object());
        if let Some(kept_by) = kept_by
            && let Some(why) = ObjectView::keeps_out(kept_by, ObjectView::of(&loaded.typed).as_ref(), &name)
        {
            return Err(Refusal::Conflict(why));
        }
        let present = self.states(&present);
        let run = present.iter().map(|present| present.run).max().unwrap_or(1);
        let mut admission = fleet::admit(&present, &plans, again);
        if let Admission::Begin { run, epoch } = &mut admission
            && present.is_empty()
        {
            match self.journal.last(&name).map_err(|error| Refusal::unread(&error))? {
                // Numbers go on where what was deleted had come to: its history stays its own.
                Some(last) => (*run, *epoch) = (last.run + 1, last.epoch.max(*epoch)),
                // What an earlier serin named goes on under its name.
                None => manifest::unusable_name(&name)
                    .map_or(Ok(()), |problem| Err(Refusal::Invalid(problem.to_string())))?,
            }
        }
        let why = match &admission {
            Admission::Refused(why) => Some(with_command(&present, &name, &plans, why.clone())),
            Admission::Replace | Admission::Queue => never_fits(&present, &plans),
            Admission::Begin { .. } | Admission::Unchanged | Admission::Practice => None,
        };
        match why {
            Some(why) => Err(Refusal::Conflict(why)),
            None => Ok(Admitted { name, plans, run, admission, warnings }),
        }
    }

    /// As [`Engine::apply`] would answer; nothing is written or published.
    pub(super) fn would_apply(&self, spec: &Specification, again: bool) -> Result<Applied, Refusal> {
        let Admitted { name, run, admission, mut warnings, .. } = self.admit(spec, again)?;
        let mut would = Applied { run, dry_run: true, ..Applied::default() };
        match admission {
            Admission::Begin { run, .. } => would.run = run,
            Admission::Replace => {
                would.replaces = Some(run);
                would.run = run.saturating_add(1);
            }
            Admission::Queue => would.queued = true,
            Admission::Practice => would.rescheduled = true,
            Admission::Unchanged | Admission::Refused(_) => would.unchanged = true,
        }
        let waiting = self.waiting.get(&name).map(|waiting: &QueuedRun| waiting.view().canary);
        warnings.extend(waiting.map(|canary| format!("{canary}, which waits, would wait no longer")));
        Ok(Applied { changes: self.changes(&name, &spec.loaded), name, warnings, ..would })
    }

    /// What differs from what was applied under a name last.
    fn changes(&self, name: &str, after: &Loaded) -> Vec<Change> {
        let present = self.applied(name);
        let before = present.first().and_then(|name| self.runs.get(name)).map(|run| run.spec.text());
        // An earlier serin may have taken what this one does not read.
        let typed = |text: &str| manifest::load(text).ok().map(|loaded| loaded.typed);
        match before.and_then(typed) {
            Some(before) => manifest::changes(&before, &after.typed),
            None => Vec::new(),
        }
    }

    /// What was rolled back begins once more, from what is stored.
    pub(super) async fn retry(
        &mut self,
        name: &str,
        human: Human,
        conditions: &Conditions,
    ) -> Result<Applied, Refusal> {
        if let Some(whole) =
            self.runs.get(name).map(|run| applied_as(&run.state.plan)).filter(|whole| *whole != name)
        {
            return Err(Refusal::Conflict(format!(
                "{name} is a member of {whole}, which goes as a whole; retry {whole}"
            )));
        }
        let present = self.applied(name);
        let states = self.states(&present);
        let (Some(first), phase) = (present.first(), fleet::phase(&states)) else {
            return Err(self.there_is(name).err().unwrap_or_else(|| Refusal::Unknown(name.to_owned())));
        };
        let run = states.iter().map(|state| state.run).max().unwrap_or(0);
        if let Some(applied) = self.applied_before(name, conditions)? {
            return Ok(applied);
        }
        if !fleet::is_over(&states) {
            let remedy = match phase {
                PhaseName::Paused => "resume measures again, promote goes on in spite of it",
                _ => "wait for its end, or abort it",
            };
            return Err(Refusal::Conflict(format!("run {run} of {name} is under way ({phase}): {remedy}")));
        }
        if phase == PhaseName::Succeeded {
            return Err(Refusal::Conflict(format!(
                "run {run} of {name} was promoted: there is nothing to try again"
            )));
        }
        if human.reason.trim().is_empty() {
            let why = format!("run {run} of {name} was rolled back; give a reason to try it once more");
            return Err(Refusal::Invalid(why));
        }
        let text = self.runs.get(first).map(|run| run.spec.text().to_owned()).unwrap_or_default();
        self.apply_if(&Specification::read(text)?, human, true, conditions).await
    }
}
