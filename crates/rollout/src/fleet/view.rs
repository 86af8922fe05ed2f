//! A fleet as people see it.

use super::{Fleet, is_done, is_over, went_back};
use crate::view::{ExposedView, PhaseName, RecordView, RollbackView, View};
use crate::{Phase, State};

/// Lines of history shown of the whole.
const HISTORY: usize = 200;

/// The phase of the whole, from those of its members.
#[must_use]
pub fn phase(members: &[&State]) -> PhaseName {
    let fleet = Fleet::of(members);
    let any = |of: fn(&State) -> bool| members.iter().any(|state| of(state));
    let all = |of: fn(&State) -> bool| members.iter().all(|state| is_done(state) || of(state));
    let aborted = fleet.as_ref().is_none_or(Fleet::aborted);
    let unanimous = fleet.as_ref().is_none_or(Fleet::is_unanimous);
    let succeeded = |state: &State| state.phase == Phase::Succeeded;
    let paused = |state: &State| matches!(state.phase, Phase::Paused(_));
    let pending = |state: &State| matches!(state.phase, Phase::Pending { .. });
    let handing = |state: &State| matches!(state.phase, Phase::HandBack(_));
    let promoting = |state: &State| matches!(state.phase, Phase::Promoting);
    if (any(went_back) && aborted) || (is_over(members) && !any(succeeded)) {
        PhaseName::RolledBack
    } else if is_over(members) {
        PhaseName::Succeeded
    } else if any(paused)
        && (unanimous || !any(|state| !is_done(state) && !matches!(state.phase, Phase::Paused(_))))
    {
        PhaseName::Paused
    } else if all(pending) && !any(succeeded) {
        PhaseName::Pending
    } else if all(handing) {
        PhaseName::HandBack
    } else if all(promoting) {
        PhaseName::Promoting
    } else {
        PhaseName::Progressing
    }
}

/// The whole, as the API shows it: where the last of those who are on the way is, and what it waits for. Gates are with the
/// members.
#[must_use]
pub fn view(name: &str, members: &[&State]) -> View {
    let fleet = Fleet::of(members);
    let under_way: Vec<&&State> =
        members.iter().filter(|state| !went_back(state) && !state.stages.is_empty()).collect();
    let stage = under_way.iter().map(|state| state.stage + 1).min().unwrap_or(0);
    let culprit = fleet.as_ref().and_then(|fleet| fleet.culprit(None));
    let mut history: Vec<RecordView> = members
        .iter()
        .flat_map(|state| {
            state.history.iter().map(|record| {
                let seen = RecordView::from(record);
                RecordView { what: format!("{}: {}", state.plan.name, seen.what), ..seen }
            })
        })
        .collect();
    history.sort_by_key(|record| record.unix_ms);
    let surplus = history.len().saturating_sub(HISTORY);
    history.drain(..surplus);
    let exposed = members.iter().fold(ExposedView::default(), |sum, state| ExposedView {
        requests: sum.requests.saturating_add(state.exposed.requests),
        errors: sum.errors.saturating_add(state.exposed.errors),
    });
    let first = members.first();
    View {
        name: name.to_owned(),
        run: members.iter().map(|state| state.run).max().unwrap_or(0),
        phase: phase(members).into(),
        message: fleet.map_or_else(String::new, |fleet| message(&fleet, members)),
        attention: members
            .iter()
            .flat_map(|state| {
                let name = &state.plan.name;
                state.attention().into_iter().map(move |found| crate::AttentionView {
                    text: format!("{name}: {}", found.text),
                    ..found
                })
            })
            .collect(),
        ways: Vec::new(),
        stage,
        stage_count: first.map_or(0, |state| state.plan.stages.len()),
        arms: Vec::new(),
        bandit: None,
        weight_ppm: members.iter().map(|state| state.weights.canary_ppm).max().unwrap_or(0),
        epoch: members.iter().map(|state| state.epoch).max().unwrap_or(0),
        stable: versions(members, |state| &state.stable_version),
        from: versions(members, |state| &state.plan.stable),
        canary: versions(members, |state| &state.plan.canary),
        stages: Vec::new(),
        exposed,
        guardrails: Vec::new(),
        returning: None,
        kept: None,
        calls: Vec::new(),
        rollback: culprit.and_then(|state| state.rollback.as_ref()).map(RollbackView::from),
        baseline: None,
        watch: None,
        history,
        closed: members.iter().find(|state| !is_done(state)).and_then(|state| state.view().closed),
        overrides: members.iter().flat_map(|state| state.view().overrides).collect(),
        model: None,
        region: None,
    }
}

/// "v2", or "r2, k7" where models have versions of their own.
fn versions(members: &[&State], of: fn(&State) -> &String) -> String {
    let mut seen: Vec<&str> = Vec::new();
    for state in members {
        if !seen.contains(&of(state).as_str()) {
            seen.push(of(state));
        }
    }
    seen.join(", ")
}

/// One English sentence: the reason for the present state, and what comes next.
fn message(fleet: &Fleet, members: &[&State]) -> String {
    let word = phase(members);
    let gone = members.iter().filter(|state| went_back(state));
    let gone: Vec<&str> = gone.map(|state| state.plan.name.as_str()).collect();
    if word == PhaseName::RolledBack {
        let why = fleet
            .culprit(None)
            .and_then(|state| Some(format!("{}: {}", state.plan.name, state.rollback.as_ref()?.reason)));
        let kept = members.iter().filter(|state| state.phase == Phase::Succeeded);
        let kept: Vec<&str> = kept.map(|state| state.plan.name.as_str()).collect();
        let kept = if kept.is_empty() {
            String::new()
        } else {
            format!("; {} had been handed over before: roll out the old version to go back", kept.join(", "))
        };
        return format!("rolled back because of {}{kept}", why.unwrap_or_default());
    }
    let without = if gone.is_empty() { String::new() } else { format!("; without {}", gone.join(", ")) };
    if word == PhaseName::Succeeded {
        let drifting =
            |state: &&&State| state.watched().is_some_and(|watch| watch.drifting().next().is_some());
        let drifting: Vec<&str> =
            members.iter().filter(drifting).map(|state| state.plan.name.as_str()).collect();
        let drift =
            if drifting.is_empty() { String::new() } else { format!("; DRIFT in {}", drifting.join(", ")) };
        return format!("promoted: stable serves the new versions{without}{drift}");
    }
    let front = fleet.front();
    let wave =
        if fleet.waves() > 1 { format!("wave {} of {}: ", front + 1, fleet.waves()) } else { String::new() };
    let of_front: Vec<&State> =
        fleet.members_of(front).into_iter().filter_map(|index| members.get(index).copied()).collect();
    let others = members.iter().filter(|state| !is_done(state) && matches!(state.phase, Phase::Paused(_)));
    let mut waits: Vec<&State> = others.copied().collect();
    if waits.is_empty() {
        waits = of_front.iter().copied().filter(|state| !is_done(state) && state.asks().is_none()).collect();
    }
    match (waits.as_slice(), fleet.soaks_ms(front)) {
        ([], Some(ms)) if front + 1 < fleet.waves() => {
            let left = manifest::Span::from_ms(ms.div_ceil(1_000) * 1_000);
            format!("{wave}is there; wave {} begins in {left}{without}", front + 2)
        }
        ([], _) => format!("{wave}goes on as soon as all follow{without}"),
        (waits, _) => {
            let said: Vec<String> =
                waits.iter().map(|state| format!("{}: {}", state.plan.name, state.message())).collect();
            format!("{wave}{}{without}", said.join("; "))
        }
    }
}
