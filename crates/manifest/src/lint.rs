//! What is allowed and probably not wished.

mod anomaly;
mod arms;
mod bandit;
mod harm;
mod marginal;
mod practice;
mod sources;
mod unwatched;

use crate::amount::{Percent, Quantity, Span};
use crate::compile::Fleet;
use crate::gate::{Gate, Guardrail, Metric, MetricKind};
use crate::lines::Lines;
use crate::name;
use crate::plan::{HandBackHow, Plan, Stage, Unit};
use crate::problem::Problem;
use crate::read;
use crate::series::{AIM, series};
use crate::typed::Rollout;

/// Above this a first stage exposes many before anything is known.
const FIRST_STAGE_PPM: u32 = 50_000;
/// More gates that must all pass delay every rollout and are seldom all meant.
const HARD_GATES: usize = 5;

/// Everything to be said about a text: its errors, or else its warnings. With the rate of the traffic, in requests
/// per second, also whether the stages are long enough for their gates.
#[must_use]
pub fn lint(text: &str, per_second: Option<f64>) -> Vec<Problem> {
    match read::load(text) {
        Err(problems) => problems.0,
        Ok(loaded) => {
            let lines = Lines::of(text);
            let mut problems =
                read::located(name::unusable_name(loaded.name()).into_iter().collect(), &lines);
            problems.extend(loaded.warnings);
            if let Some(rate) = per_second {
                let of_rate = too_little_traffic(&loaded.plan, rate)
                    .into_iter()
                    .chain(too_small_budget(&loaded.plan, rate))
                    .chain(bandit::too_little_traffic(&loaded.plan, rate));
                problems.extend(of_rate.map(|mut problem| {
                    problem.line = lines.line(&problem.field);
                    problem
                }));
            }
            problems
        }
    }
}

/// A gate on figures of the user's own that can pass sooner is warned of.
const SHORTEST_WINDOW_MS: u64 = 300_000;

pub(crate) fn warnings(typed: &Rollout, plan: &Plan) -> Vec<Problem> {
    let mut found = Vec::new();
    if let Some(first) = plan.stages.iter().position(|stage| stage.weight_ppm > 0)
        && let Some(stage) = plan.stages.get(first)
        && stage.weight_ppm > FIRST_STAGE_PPM
        && !(first > 0 && stage.weight_ppm == split::MILLION)
    {
        found.push(Problem::warning(
            format!("spec.stages[{first}].weight"),
            format!("the first exposed stage is at {}", Percent::from_ppm(stage.weight_ppm)),
            "begin with 5% or less, so that a bad version meets few users",
        ));
    }
    found.extend(unwatched::warnings(typed, plan));
    found.extend(arms::warnings(typed, plan));
    found.extend(bandit::warnings(plan));
    found.extend(practice::warnings(plan));
    found.extend(bound_after_deadline(typed, plan));
    let hard = plan.gates.iter().filter(|gate| gate.hard).count();
    if hard > HARD_GATES {
        found.push(Problem::warning(
            "spec.gates",
            format!("{hard} gates must all pass"),
            format!("keep {HARD_GATES} or fewer hard, and set `level: advisory` on the rest"),
        ));
    }
    found.extend(plain_patterns(typed));
    for gate in &plan.gates {
        found.extend(gate_warnings(typed, plan, gate));
    }
    for guardrail in &plan.guardrails {
        found.extend(guardrail_warnings(typed, guardrail));
    }
    for (index, stage) in plan.stages.iter().enumerate() {
        let concurrent = stage.measures() && stage.weight_ppm < split::MILLION;
        let mut gates = stage.gates.iter().filter_map(|&gate| plan.gates.get(gate));
        if concurrent && !gates.any(|gate| stage.is_held_by(gate)) {
            let remedy = if stage.shadow_ppm > 0 {
                "name a hard gate on errors, or on figures of your own: answer times of copies decide nothing"
            } else {
                "name at least one hard gate: time proves nothing"
            };
            found.push(Problem::warning(
                format!("spec.stages[{index}].gates"),
                "the stage ends by time alone",
                remedy,
            ));
        }
    }
    if matches!(plan.hand_back.how, HandBackHow::Url(_) | HandBackHow::Command(_))
        && plan.hand_back.endpoints.is_empty()
    {
        found.push(Problem::warning(
            "spec.handBack.endpoints",
            "only the hook says that stable serves the new version",
            "list stable's endpoints, so that their version is checked",
        ));
    }
    // What a preset keeps, its user may not have asked for.
    if let (Some(keep), Some(_)) = (&plan.keep_warm, &typed.spec.keep_warm)
        && keep.endpoints.is_empty()
    {
        found.push(Problem::warning(
            "spec.keepWarm.endpoints",
            "no endpoint is asked which version is behind the canary route",
            "list the canary route's endpoints: without them `serin rollback` wants --unverified",
        ));
    }
    let reach = series(plan);
    if reach.total() > AIM {
        found.push(Problem::warning(
            "spec",
            format!("it can reach {} series in each sidecar: {reach}", reach.total()),
            "count less where that is much: `baseline: false`, no `confidence`, `assignment.unit: request`",
        ));
    }
    found
}

/// A bound that no incident reaches.
fn bound_after_deadline(typed: &Rollout, plan: &Plan) -> Option<Problem> {
    typed.spec.rollback.as_ref()?.shared_incident_for?;
    let for_ms = plan.rollback.shared_incident.for_ms;
    let beside_stable = |stage: &&Stage| (1..split::MILLION).contains(&stage.weight_ppm);
    let shortest_ms = plan.stages.iter().filter(beside_stable).map(|stage| stage.deadline_ms).min()?;
    (for_ms > shortest_ms).then(|| {
        let (bound, shortest) = (Span::from_ms(for_ms), Span::from_ms(shortest_ms));
        Problem::warning(
            "spec.rollback.sharedIncidentFor",
            format!("{bound} is longer than a stage's deadline ({shortest}), which ends the incident before"),
            format!("write {shortest} or less, or a later deadline"),
        )
    })
}

/// Comparing is cheaper than matching, and happens in every request.
fn plain_patterns(typed: &Rollout) -> Vec<Problem> {
    let spec = &typed.spec;
    let overrides = spec.overrides.iter().map(|known| &known.when).enumerate();
    let cohorts = spec.cohorts.iter().map(|known| &known.when).enumerate();
    let lists = overrides.map(|known| ("overrides", known)).chain(cohorts.map(|known| ("cohorts", known)));
    let conditions = lists.flat_map(|(list, (index, when))| {
        when.iter()
            .enumerate()
            .map(move |(at, condition)| (format!("spec.{list}[{index}].when[{at}]"), condition))
    });
    let plain = conditions.filter(|(_, condition)| {
        condition
            .regex
            .as_deref()
            .is_some_and(|regex| split::Pattern::new(regex).is_ok_and(|regex| regex.is_plain()))
    });
    plain
        .map(|(at, _)| {
            Problem::warning(
                format!("{at}.regex"),
                "it fits one text alone",
                "write it as `exact`, which is cheaper",
            )
        })
        .collect()
}

/// What is to be said of a fleet: of every member once, of the whole, and of each field where the user wrote it.
pub(crate) fn fleet_warnings(typed: &Rollout, fleet: &Fleet) -> Vec<Problem> {
    let mut found: Vec<Problem> = Vec::new();
    for member in &fleet.members {
        for problem in warnings(&member.typed, &member.plan) {
            let problem = Problem { field: member.place(typed, &problem.field), ..problem };
            if !found.contains(&problem) {
                found.push(problem);
            }
        }
    }
    found.extend(fleet.warnings.iter().cloned());
    found
}

/// A source is asked in the stages that name its gate.
fn never_read(at: &str, plan: &Plan, gate: &Gate) -> Option<Problem> {
    let index = plan.gates.iter().position(|known| known.name == gate.name)?;
    let named = plan.stages.iter().any(|stage| stage.gates.contains(&index));
    (!named).then(|| {
        Problem::warning(
            at,
            format!("gate {} is named by no stage, so its source is never read", gate.name),
            "name it in the `gates` of a stage, or make it a guardrail, which is read in all of them",
        )
    })
}

fn guardrail_warnings(typed: &Rollout, guardrail: &Guardrail) -> Vec<Problem> {
    let Some(reads) = guardrail.reads.as_deref() else { return Vec::new() };
    let written = typed.spec.guardrails.iter().position(|written| written.name == guardrail.name);
    let at =
        written.map_or_else(|| "spec.preset".to_owned(), |index| format!("spec.guardrails[{index}].source"));
    let named = ("guardrail", guardrail.name.as_str());
    let unread = sources::unread(&at, named, reads.no_data, reads.on_error);
    unread.into_iter().chain(sources::asked(&at, &reads.source)).collect()
}

fn gate_warnings(typed: &Rollout, plan: &Plan, gate: &Gate) -> Vec<Problem> {
    let mut found = Vec::new();
    let written = typed.spec.gates.iter().position(|written| written.name == gate.name);
    let at = written.map_or_else(|| "spec.preset".to_owned(), |index| format!("spec.gates[{index}]"));
    found.extend(marginal::warnings(&at, gate));
    let harm_is_written =
        written.and_then(|index| typed.spec.gates.get(index)).is_some_and(|gate| gate.harm.is_some());
    found.extend(harm::warnings(&at, gate, harm_is_written));
    if let Some(figure) = gate.figure() {
        // Business figures want hours, and a reading in the first minutes says little.
        let shortest = gate.every_ms.saturating_mul(u64::from(gate.consecutive));
        if shortest < SHORTEST_WINDOW_MS && gate.start_after_ms + gate.min_window_ms < SHORTEST_WINDOW_MS {
            found.push(Problem::warning(
                at.clone(),
                format!(
                    "gate {} can pass after {}: figures of your own seldom settle so soon",
                    gate.name,
                    Span::from_ms(shortest)
                ),
                "raise `every`, `consecutive`, `startAfter` or `minWindow`",
            ));
        }
        found.extend(anomaly::warnings(&at, plan, gate));
        found.extend(never_read(&at, plan, gate));
        let at =
            written.map_or_else(|| "spec.preset".to_owned(), |index| format!("spec.gates[{index}].source"));
        found.extend(sources::unread(&at, ("gate", &gate.name), figure.no_data, figure.on_error));
        found.extend(sources::asked(&at, &figure.source));
        return found;
    }
    if gate.limit.is_some() && gate.against.is_none() && written.is_some() {
        let same = plan.gates.iter().any(|other| other.metric() == gate.metric() && other.against.is_some());
        if !same {
            found.push(Problem::warning(
                at.clone(),
                format!(
                    "gate {} knows a fixed limit alone: trouble that both versions share would fail it",
                    gate.name
                ),
                "add `against: stable` with a margin, on this gate or another of its metric",
            ));
        }
    }
    if gate.hard && plan.unit == Unit::User && gate.metric() != Metric::ErrorRate {
        found.push(Problem::warning(
            at,
            format!(
                "gate {} takes the more requests the more each user makes: assignment is sticky, and of all but errors it \
                 is assumed that a user's requests agree",
                gate.name
            ),
            "allow more time, or set `assignment: {unit: request}` to take each request by itself",
        ));
    }
    found
}

fn too_little_traffic(plan: &Plan, per_second: f64) -> Vec<Problem> {
    let mut found = Vec::new();
    for (index, stage) in plan.stages.iter().enumerate() {
        if !stage.measures() || stage.weight_ppm == split::MILLION {
            continue;
        }
        let rate = per_second * f64::from(stage.seen_ppm()) / f64::from(split::MILLION);
        let Some((gate, wanted)) = slowest(plan, stage) else { continue };
        #[allow(clippy::cast_precision_loss)] // a time below a year
        let (bake_s, deadline_s) = (stage.bake_ms as f64 / 1e3, stage.deadline_ms as f64 / 1e3);
        let seconds = wanted / rate;
        if seconds <= bake_s {
            continue;
        }
        let takes =
            if seconds < 366.0 * 86_400.0 { duration(seconds) } else { "more than a year".to_owned() };
        let what = format!(
            "gate {gate} wants about {wanted:.0} canary requests, which takes {takes} at {per_second} requests per second"
        );
        let weight = Percent::from_ppm(stage.seen_ppm());
        let remedy = if seconds > deadline_s {
            format!(
                "the stage at {weight} would reach its deadline ({}): set a later deadline, a higher weight or a wider \
                 margin; where traffic is this low, blue-green or a shadow may serve better",
                Span::from_ms(stage.deadline_ms)
            )
        } else {
            format!("the stage at {weight} will last longer than its bake ({})", Span::from_ms(stage.bake_ms))
        };
        found.push(Problem::warning(format!("spec.stages[{index}]"), what, remedy));
    }
    found
}

/// A budget that a healthy canary uses up within its shortest bakes.
#[allow(clippy::cast_precision_loss)] // a time below a year, counts below 2^53
fn too_small_budget(plan: &Plan, per_second: f64) -> Option<Problem> {
    let may = plan.budget.requests?;
    let on_the_way = plan.stages.iter().filter(|stage| stage.weight_ppm < split::MILLION);
    let least: f64 = on_the_way
        .map(|stage| {
            stage.bake_ms as f64 / 1e3 * per_second * f64::from(stage.weight_ppm) / f64::from(split::MILLION)
        })
        .sum();
    (least > may as f64).then(|| {
        Problem::warning(
            "spec.budget.requests",
            format!(
                "{may} are allowed, and the bakes before 100% alone send the canary about {least:.0} at {per_second} requests per second"
            ),
            "allow more, or shorten the bakes",
        )
    })
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // below a year, not negative
fn duration(seconds: f64) -> String {
    let seconds = if seconds < 600.0 { seconds.ceil() as u64 } else { (seconds / 60.0).ceil() as u64 * 60 };
    Span::from_ms(seconds * 1_000).to_string()
}

/// The hard gate of a stage that wants most canary requests, and how many. Figures of the user's own count none.
#[must_use]
pub fn slowest<'a>(plan: &'a Plan, stage: &Stage) -> Option<(&'a str, f64)> {
    let counts = |gate: &&Gate| stage.is_held_by(gate) && !gate.metric().is_external();
    let hard = stage.gates.iter().filter_map(|&gate| plan.gates.get(gate)).filter(counts);
    hard.map(|gate| (gate.name.as_str(), wanted(gate))).max_by(|a, b| a.1.total_cmp(&b.1))
}

/// About how many canary requests a gate wants before it passes a canary exactly as good as stable, at a level of
/// 0.05. Measured on runs of the machine; where stable's own value matters and is not known, 1 % is assumed.
#[allow(clippy::cast_precision_loss)] // counts
#[must_use]
pub fn wanted(gate: &Gate) -> f64 {
    let by_limit = gate.limit.map(|limit| match gate.metric().kind() {
        // ln(1/alpha) and the price of not knowing by how much it is kept: six expected events, none seen.
        MetricKind::Rate => 6.0 / limit.pass,
        MetricKind::Time => 6.0 / gate.metric().tail(),
        MetricKind::Score => 100.0,
        MetricKind::Figure => 0.0,
    });
    let by_margin = gate.against.map(|against| match gate.metric().kind() {
        MetricKind::Rate => {
            // The growth of ln M per canary request, r - 1 - ln r times stable's rate, against ln(1/alpha) and 2 more.
            let margin = against.margin + against.margin_points / 0.01;
            let compared = 5.0 / (0.01 * (margin - 1.0 - margin.ln()));
            if against.pass_below > 0.0 { compared.min(6.7 / against.pass_below) } else { compared }
        }
        MetricKind::Time => 3.75 / gate.metric().tail() / (against.margin - 1.0),
        // The spread of a score is taken to be a tenth of its mean; bets pay for the range of scores with some more.
        MetricKind::Score => 100.0 + 12.0 * (0.1 / (against.margin + against.margin_points)).powi(2),
        MetricKind::Figure => 0.0,
    });
    let proof = by_limit.unwrap_or(0.0).max(by_margin.unwrap_or(0.0));
    proof.max(gate.min_samples() as f64)
}

/// A distance from stable's value in words: `2%` of it, or `0.5 percentage points`; in the unit of a mean, a plain number.
#[must_use]
pub fn distance(metric: Metric, part: f64, points: f64) -> String {
    if points == 0.0 {
        Quantity::Share(part).to_string()
    } else if metric.is_rate() {
        format!("{} percentage points", Quantity::Share(points).to_string().trim_end_matches('%'))
    } else {
        points.to_string()
    }
}
