//! From a rollout as typed to the plan as meant: every rule a document must keep, and every default.

mod anomaly;
mod answers;
mod arms;
mod bandit;
mod fleet;
mod gates;
mod guardrails;
mod hand_back;
mod keep_warm;
mod kubernetes;
mod possible;
mod practice;
mod ready;
mod sources;
mod stages;
mod traffic;
mod watch;
mod windows;

pub(crate) use possible::watched;
pub(crate) use sources::{asked, secret};

use split::policy;

use crate::amount::{Percent, Span};
use crate::incident::{OnSharedIncident, SharedIncident};
use crate::plan::{Acknowledge, Alpha, Budget, ErrorClass, Insufficient, NoData, Plan, Rollback, Unit};
use crate::preset;
use crate::problem::{Problem, Problems};
use crate::series::{limit, series};
use crate::typed::{self, API_VERSION, KIND, Mode, Rollout, RolloutSpec};

pub(crate) use fleet::{Fleet, fleet};

/// Collects what is wrong, so that a user sees all of it at once.
#[derive(Default)]
pub(crate) struct Check {
    pub(crate) problems: Vec<Problem>,
    /// The names the user wrote, in the user's order: what a preset adds stands nowhere in the text.
    gates: Vec<String>,
    guardrails: Vec<String>,
    /// `metadata.namespace`.
    namespace: Option<String>,
}

impl Check {
    pub(crate) fn refuse(
        &mut self,
        field: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.problems.push(Problem::error(field, what, remedy));
    }

    /// Where a gate or guardrail stands in the user's text.
    fn place(&self, list: &str, name: &str) -> String {
        let names = if list == "gates" { &self.gates } else { &self.guardrails };
        match names.iter().position(|known| known == name) {
            Some(index) => format!("spec.{list}[{index}]"),
            None => "spec.preset".to_owned(),
        }
    }

    /// The names of a list, each of which may stand there once.
    fn names(&mut self, list: &str, names: Vec<String>) -> Vec<String> {
        for (index, name) in names.iter().enumerate() {
            if names.iter().take(index).any(|before| before == name) {
                self.refuse(
                    format!("spec.{list}[{index}].name"),
                    format!("{name:?} stands there twice"),
                    "rename one",
                );
            }
        }
        names
    }

    /// A name that becomes a label and part of a counter's name.
    pub(crate) fn label(&mut self, field: &str, name: &str) -> String {
        let fits = (1..=63).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        if !fits {
            let remedy = "use 1 to 63 letters, digits, '.', '_' and '-': it becomes a label in every counter";
            self.refuse(field, format!("{name:?} is not a usable name"), remedy);
        }
        name.to_owned()
    }

    fn header(&mut self, field: &str, name: &str) -> String {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(token) {
            self.refuse(
                field,
                format!("{name:?} is not a header name"),
                "use letters, digits and '-', such as x-user-id",
            );
        }
        name.to_ascii_lowercase()
    }

    fn chance(&mut self, field: &str, value: f64) -> f64 {
        if !(value > 0.0 && value < 0.5) {
            self.refuse(
                field,
                format!("{value} is not a chance of error"),
                "use a number above 0 and below 0.5, such as 0.05",
            );
        }
        value
    }

    /// Weights on the way down.
    fn falling(&mut self, field: &str, weights: &[Percent], ends_at_zero: bool) -> Vec<u32> {
        if weights.windows(2).any(|pair| matches!(pair, [a, b] if b >= a)) {
            self.refuse(field, "the weights do not fall", "write each lower than the one before it");
        }
        if ends_at_zero && weights.last().is_some_and(|last| last.ppm() != 0) {
            self.refuse(field, "the last weight is not 0%", "end with 0%");
        }
        weights.iter().map(|weight| weight.ppm()).collect()
    }
}

/// Fills in the preset and the defaults, and checks everything.
///
/// # Errors
/// Every problem that keeps the rollout from being run, each with its field and its remedy.
pub fn compile(rollout: &Rollout) -> Result<Plan, Problems> {
    let mut check = Check::default();
    if rollout.api_version != API_VERSION {
        let what = format!("{:?} is not known here", rollout.api_version);
        check.refuse("apiVersion", what, format!("write {API_VERSION}"));
    }
    if rollout.kind != KIND {
        check.refuse("kind", format!("{:?} is not known here", rollout.kind), format!("write {KIND}"));
    }
    let name = check.label("metadata.name", &rollout.metadata.name);
    check.namespace.clone_from(&rollout.metadata.namespace);
    check.gates = check.names("gates", rollout.spec.gates.iter().map(|gate| gate.name.clone()).collect());
    check.guardrails =
        check.names("guardrails", rollout.spec.guardrails.iter().map(|g| g.name.clone()).collect());
    let Some(spec) = inherited(&mut check, &rollout.spec) else { return Err(Problems(check.problems)) };
    let plan = plan(&mut check, name, &spec);
    possible::stages(&mut check, &spec, &plan);
    let reach = series(&plan);
    if reach.total() > limit(&plan) {
        check.refuse(
            "spec",
            format!(
                "it can reach {} series in each sidecar, and {} are allowed: {reach}",
                reach.total(),
                limit(&plan)
            ),
            "count less: `baseline: false`, no `confidence`, or `assignment: {unit: request}`",
        );
    }
    if check.problems.is_empty() { Ok(plan) } else { Err(Problems(check.problems)) }
}

/// The document with its preset filled in.
fn inherited(check: &mut Check, written: &RolloutSpec) -> Option<RolloutSpec> {
    let name = written.preset.as_deref().unwrap_or(preset::DEFAULT);
    let Some(mut base) = preset::find(name) else {
        let known: Vec<_> = preset::presets().into_iter().map(|(name, _)| name).collect();
        check.refuse(
            "spec.preset",
            format!("there is no preset {name:?}"),
            format!("use one of {}", known.join(", ")),
        );
        return None;
    };
    // Whoever names no preset and writes gates of his own means these and no others.
    if written.preset.is_none() {
        if !written.gates.is_empty() {
            base.gates.clear();
        }
        if !written.guardrails.is_empty() {
            base.guardrails.clear();
        }
    }
    Some(preset::extend(written.clone(), base))
}

fn plan(check: &mut Check, name: String, spec: &RolloutSpec) -> Plan {
    let stable = check.label("spec.stable.version", &spec.stable.version);
    let canary = check.label("spec.canary.version", &spec.canary.version);
    if stable == canary {
        let remedy = "give the new version a name of its own: the counters of the two are told apart by it";
        check.refuse("spec.canary.version", format!("both versions are called {canary:?}"), remedy);
    }
    let gates = gates::gates(check, spec);
    let guardrails = guardrails::guardrails(check, spec, &gates);
    let alpha = spec.alpha.unwrap_or_default();
    let acknowledge = spec.acknowledge.clone().unwrap_or_default();
    let no_data = spec.no_data.unwrap_or_default();
    let assignment = spec.assignment.clone().unwrap_or_default();
    let sticky = assignment.mode.unwrap_or_default() == Mode::Sticky;
    let unit = assignment.unit.unwrap_or(if sticky { Unit::User } else { Unit::Request });
    if let Some(classes) = &spec.error_classes
        && classes.is_empty()
    {
        check.refuse(
            "spec.errorClasses",
            "no outcome counts as an error",
            "name some, or leave the field out",
        );
    }
    for (field, written, what) in [
        ("noData.after", no_data.after, "counts are never younger, so that there would never be any"),
        ("acknowledge.timeout", acknowledge.timeout, "no proxy answers before it was asked"),
    ] {
        if written.is_some_and(|written| written.ms() == 0) {
            check.refuse(format!("spec.{field}"), what, "write a time such as 60s, or leave the field out");
        }
    }
    let overdue_after_ms = span(spec.overdue_after, crate::ages::USUALLY_OVERDUE_MS);
    if overdue_after_ms == 0 {
        check.refuse("spec.overdueAfter", "every request would be overdue", "write a time such as 2s");
    }
    let stages = stages::stages(check, spec, &gates);
    let choose = arms::choose(check, spec, &stages);
    let room_ppm = bandit::room_ppm(spec, choose.as_ref().map_or(0, |(_, room_ppm)| *room_ppm));
    let challengers = arms::challengers(check, spec, room_ppm);
    let bandit = bandit::bandit(check, spec, &stages, &gates, sticky, unit);
    arms::figures_of_ones_own(check, spec, &gates, &guardrails);
    // The chance of error is the whole run's, so each challenger gets its part.
    #[allow(clippy::cast_precision_loss)] // a handful
    let part = 1.0 / challengers.len().max(1) as f64;
    let windows = spec.windows.as_ref().map(|written| windows::windows(check, written));
    let practice = spec.practice.as_ref();
    let practice = practice.map(|written| practice::practice(check, written, windows.as_ref(), &gates));
    let (keep_warm, scale) = keep_warm::keep_warm(check, spec.keep_warm.as_ref());
    let after = keep_warm::after(check, spec.after.as_ref(), scale);
    Plan {
        owner: spec.owner.clone(),
        traffic: traffic::traffic(check, &name, &canary, spec, unit),
        stages,
        guardrails,
        alpha: Alpha {
            guardrails: part * check.chance("spec.alpha.guardrails", alpha.guardrails.unwrap_or(0.01)),
            gates: part * check.chance("spec.alpha.gates", alpha.gates.unwrap_or(0.04)),
            pass: part * check.chance("spec.alpha.pass", alpha.pass.unwrap_or(0.05)),
        },
        budget: budget(check, spec.budget.unwrap_or_default()),
        error_classes: spec.error_classes.clone().unwrap_or_else(|| ErrorClass::USUAL.to_vec()),
        overdue_after_ms,
        warm_up_ms: span(spec.warm_up, 0),
        ready: spec
            .ready
            .as_ref()
            .map(|written| Box::new(ready::ready(check, written, !challengers.is_empty()))),
        warm_up_hook: spec.warm_up_hook.as_ref().map(|written| Box::new(ready::warm_up_hook(check, written))),
        acknowledge: Acknowledge {
            quorum: acknowledge.quorum.map_or(0.95, Percent::share),
            timeout_ms: span(acknowledge.timeout, 60_000),
            on_timeout: acknowledge.on_timeout.unwrap_or_default(),
            expect: crate::expect::expect(check, acknowledge.expect.as_ref()),
        },
        no_data: NoData {
            after_ms: span(no_data.after, 30_000),
            action: no_data.action.unwrap_or(Insufficient::Rollback),
        },
        hand_back: hand_back::hand_back(check, spec),
        keep_warm,
        after,
        returning: None,
        practice,
        windows,
        supersede: spec.supersede.unwrap_or_default(),
        rollback: rollback(check, spec.rollback.as_ref()),
        baseline: spec.baseline.unwrap_or(challengers.is_empty()),
        challengers,
        lead: 0,
        choose: choose.map(|(choose, _)| choose),
        bandit,
        unit,
        member: None,
        watch: spec.watch.as_ref().map(|written| Box::new(watch::watch(check, written, &gates))),
        name,
        stable,
        canary,
        gates,
    }
}

fn budget(check: &mut Check, written: typed::Budget) -> Budget {
    for (field, limit) in [("requests", written.requests), ("errors", written.errors)] {
        if limit == Some(0) {
            let what = "the first request would end the rollout";
            check.refuse(format!("spec.budget.{field}"), what, "allow some, or leave the field out");
        }
    }
    Budget { requests: written.requests, errors: written.errors }
}

fn span(written: Option<Span>, default_ms: u64) -> u64 {
    written.map_or(default_ms, Span::ms)
}

fn check_url(check: &mut Check, field: &str, url: &str) {
    if !crate::read::is_url(url) {
        check.refuse(field, format!("{url:?} is not a URL"), "begin with http:// or https:// and a host");
    }
}

fn rollback(check: &mut Check, written: Option<&typed::Rollback>) -> Rollback {
    let written = written.cloned().unwrap_or_default();
    Rollback {
        ramp_ppm: check.falling("spec.rollback.ramp", &written.ramp, false),
        step_ms: span(written.step, 10_000),
        shared_incident: shared_incident(check, &written),
    }
}

fn shared_incident(check: &mut Check, written: &typed::Rollback) -> SharedIncident {
    let action = written.on_shared_incident.unwrap_or_default();
    if action == OnSharedIncident::Rollback && written.shared_incident_for.is_some() {
        let remedy = "leave it out, or write onSharedIncident: hold";
        check.refuse(
            "spec.rollback.sharedIncidentFor",
            "onSharedIncident is rollback, so the incident holds nothing",
            remedy,
        );
    }
    let for_ms = span(written.shared_incident_for, SharedIncident::default().for_ms);
    if action == OnSharedIncident::Hold && for_ms == 0 {
        let remedy = "raise it, or write `onSharedIncident: rollback` in its place";
        check.refuse("spec.rollback.sharedIncidentFor", "0s bears no shared incident", remedy);
    }
    SharedIncident { action, for_ms }
}

/// The lease's terms in the policy's words.
const fn on_expired(written: typed::OnExpired) -> policy::OnLeaseExpired {
    match written {
        typed::OnExpired::Stable => policy::OnLeaseExpired::Stable,
        typed::OnExpired::Hold => policy::OnLeaseExpired::Hold,
    }
}
