//! What the status of an object says of a run.

use api::{AttentionKind, PhaseName, Refusal, RunView};

use super::status::{Condition, Status};

/// The conditions of the status, in this order.
pub const ACCEPTED: &str = "Accepted";
const PROGRESSING: &str = "Progressing";
const PROMOTED: &str = "Promoted";
const ROLLED_BACK: &str = "RolledBack";
const NEEDS_ATTENTION: &str = "NeedsAttention";

/// What became of the specification of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is what runs, or ran last.
    Applied,
    /// It begins when the present run is over.
    Queued,
    /// It is not what runs, and why.
    Refused(Refusal),
}

/// The status of an object with this generation. `view`: the run that the object keeps, if there is one.
pub fn status(generation: Option<i64>, taken: &Taken, view: Option<&RunView>) -> Status {
    let accepted = accepted(taken, view);
    let mut status = Status {
        observed_generation: generation,
        message: Some(accepted.2.clone()).filter(|message| !message.is_empty()),
        ..Status::default()
    };
    let mut conditions = vec![(ACCEPTED, accepted.0, accepted.1, accepted.2.clone())];
    match view {
        None => {
            let phase = match taken {
                Taken::Refused(Refusal::Invalid(_)) => "Invalid",
                // It is asked for again, as what is queued is.
                Taken::Refused(Refusal::Failed(_)) | Taken::Applied | Taken::Queued => "Pending",
                Taken::Refused(_) => "Refused",
            };
            status.phase = Some(phase.to_owned());
            let why = || "nothing runs".to_owned();
            for kind in [PROGRESSING, PROMOTED, ROLLED_BACK] {
                conditions.push((kind, false, "NoRun", why()));
            }
            conditions.push((NEEDS_ATTENTION, !accepted.0, accepted.1, accepted.2));
        }
        Some(view) => {
            show(&mut status, view, (!accepted.0).then_some(accepted.2.as_str()));
            conditions.extend(of_run(view, *taken == Taken::Applied, &accepted));
        }
    }
    let made = conditions.into_iter().map(|(kind, is, reason, message)| Condition {
        kind: kind.to_owned(),
        status: if is { "True" } else { "False" }.to_owned(),
        observed_generation: generation,
        last_transition_time: String::new(),
        reason: reason.to_owned(),
        message: short(message),
    });
    status.conditions = made.collect();
    status
}

/// The API server takes 32 KiB of a condition's message; nobody reads so much.
fn short(text: String) -> String {
    const LONGEST: usize = 2_000;
    if text.chars().count() <= LONGEST { text } else { text.chars().take(LONGEST).chain(['…']).collect() }
}

fn accepted(taken: &Taken, view: Option<&RunView>) -> (bool, &'static str, String) {
    match taken {
        Taken::Applied => (true, "Applied", String::new()),
        Taken::Queued => {
            let refused =
                view.and_then(|view| view.queued.as_ref()).and_then(|queued| queued.refused.clone());
            match refused {
                Some(why) => (false, "Refused", why),
                None => (true, "Queued", "it begins when the present run is over".to_owned()),
            }
        }
        Taken::Refused(refusal) => (false, reason(refusal), refusal.text().to_owned()),
    }
}

/// A refusal in one word.
pub const fn reason(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Invalid(_) => "Invalid",
        Refusal::Failed(_) => "ControllerFailed",
        _ => "Refused",
    }
}

fn show(status: &mut Status, view: &RunView, refused: Option<&str>) {
    let run = &view.run;
    status.phase = Some(run.phase.to_string());
    status.run = Some(run.run);
    status.step = Some(format!("{}/{}", run.stage, run.stage_count));
    status.weight = Some(percent(run.weight_ppm));
    status.actual_weight = actual(view);
    status.verdict = Some(view.judgement(None).verdict.to_string());
    status.stable = Some(run.stable.clone());
    status.canary = Some(run.canary.clone());
    let message = match refused {
        Some(why) => {
            format!("the present specification is not what runs: {why}; run {}: {}", run.run, run.message)
        }
        None => run.message.clone(),
    };
    status.message = Some(short(message));
}

fn percent(ppm: u32) -> String {
    manifest::Percent::from_ppm(ppm).to_string()
}

/// The share that was counted lately, to a tenth of a percent.
fn actual(view: &RunView) -> Option<String> {
    let demand = view.demand.as_ref()?;
    let canary = demand.canary.per_second?;
    let others: f64 = demand.others.values().filter_map(|load| load.per_second).sum();
    let all = canary + demand.stable.per_second? + others;
    (all > 0.0).then(|| format!("{:.1}%", canary / all * 100.0))
}

type Told = (&'static str, bool, &'static str, String);

/// `applied`: the run is of the object's present specification.
fn of_run(view: &RunView, applied: bool, accepted: &(bool, &'static str, String)) -> Vec<Told> {
    let run = &view.run;
    let phase = run.phase.known().copied();
    let moving = matches!(
        phase,
        Some(PhaseName::Pending | PhaseName::Progressing | PhaseName::Promoting | PhaseName::HandBack)
    );
    // A run that goes back to an earlier version keeps the specification, and its success is that specification's end.
    let back = run.returning.is_some();
    let name = match phase {
        Some(PhaseName::Succeeded) if back => "WentBack",
        Some(PhaseName::RolledBack) if back => "WayBackAborted",
        Some(PhaseName::Pending) => "Pending",
        Some(PhaseName::Progressing) => "Progressing",
        Some(PhaseName::Paused) => "Paused",
        Some(PhaseName::Promoting) => "Promoting",
        Some(PhaseName::HandBack) => "HandBack",
        Some(PhaseName::Succeeded) => "Succeeded",
        Some(PhaseName::RolledBack) => "RolledBack",
        None => "Unknown",
    };
    // Who waits for the promotion of what was applied waits for that, not for what ran before.
    let end = |is: bool| match (is, applied) {
        (is, true) => (is, name),
        (_, false) => (false, "OfAnotherSpecification"),
    };
    let promoted = end(phase == Some(PhaseName::Succeeded) && !back);
    let rolled_back = end(phase == Some(if back { PhaseName::Succeeded } else { PhaseName::RolledBack }));
    let rollback = match &run.rollback {
        None if back && phase == Some(PhaseName::Succeeded) => run.message.clone(),
        rollback => rollback.as_ref().map(|rollback| rollback.reason.clone()).unwrap_or_default(),
    };
    let attention = attention(view, accepted);
    vec![
        (PROGRESSING, moving, name, format!("run {}", run.run)),
        (PROMOTED, promoted.0, promoted.1, format!("{} to {}", run.begins_at(), run.canary)),
        (ROLLED_BACK, rolled_back.0, rolled_back.1, rollback),
        (NEEDS_ATTENTION, attention.is_some(), attention.as_ref().map_or("None", |(reason, _)| reason), {
            attention.map(|(_, text)| text).unwrap_or_default()
        }),
    ]
}

/// Whom it waits for, or what blinds it.
fn attention(view: &RunView, accepted: &(bool, &'static str, String)) -> Option<(&'static str, String)> {
    if !accepted.0 {
        return Some((accepted.1, accepted.2.clone()));
    }
    let run = &view.run;
    if let Some(found) = run.attention.first() {
        let reason = match found.kind.known() {
            Some(AttentionKind::NoProxies) => "NoProxies",
            Some(AttentionKind::Quorum) => "Quorum",
            Some(AttentionKind::NoMetrics) => "NoMetrics",
            Some(AttentionKind::Unread) => "Unread",
            Some(AttentionKind::NoRequests) => "NoRequests",
            Some(AttentionKind::GateError) => "GateError",
            Some(AttentionKind::SharedIncident) => "SharedIncident",
            None => "Other",
        };
        return Some((reason, found.text.clone()));
    }
    (run.phase == PhaseName::Paused).then(|| ("Paused", run.message.clone()))
}

/// The status as it is to be written over what stands there: `None` where a person would see no difference. Times of conditions
/// that stay are kept; `now`: the present, as RFC 3339.
pub fn to_write(mut wanted: Status, present: &Status, now: &str) -> Option<Change> {
    for condition in &mut wanted.conditions {
        let before = present.conditions.iter().find(|before| before.kind == condition.kind);
        condition.last_transition_time = before
            .filter(|before| before.status == condition.status)
            .map_or_else(|| now.to_owned(), |before| before.last_transition_time.clone());
    }
    let present = Status { journal: None, ..present.clone() };
    if wanted == present {
        return None;
    }
    let slow = without_figures(&wanted) == without_figures(&present);
    Some(Change { status: wanted, slow })
}

/// A status that differs from what stands there.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub status: Status,
    /// Nothing but figures that move all the time differ: it can wait.
    pub slow: bool,
}

fn without_figures(status: &Status) -> Status {
    let mut status = Status { message: None, actual_weight: None, ..status.clone() };
    for condition in &mut status.conditions {
        condition.message.clear();
    }
    status
}
