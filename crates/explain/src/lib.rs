//! What will a rollout do, when, and what would stop it? In plain words, as `serin explain` says it.

mod anomaly;
mod arms;
mod bandit;
mod claims;
mod keep_warm;
mod marginal;
mod practice;
mod traffic;
mod watch;

use std::fmt::Write as _;

use arms::{candidates, choice, several, whose};
use claims::{fails, passes, share, value, words};

use manifest::Loaded;
use manifest::WarmUpHow;
use manifest::slowest;
use manifest::{After, HowMany};
use manifest::{HandBackHow, Insufficient, Plan, Unit};
use manifest::{OnFail, Unread};
use manifest::{Percent, Span};

/// Says what will happen, when, and what would stop it. With the rate of the traffic, in requests per second, also
/// how long the evidence takes.
#[must_use]
pub fn plan(plan: &Plan, per_second: Option<f64>) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut text, plan, per_second);
    text
}

/// As [`plan`], of everything a document runs: what its models and regions are to each other, then each model.
#[must_use]
pub fn document(loaded: &Loaded, per_second: Option<f64>) -> String {
    let mut text = String::new();
    let _ = write_fleet(&mut text, loaded);
    // Regions differ in nothing but their name.
    let region = |plan: &Plan| plan.member.as_ref().and_then(|member| member.region.clone());
    let first = |plan: &&Plan| loaded.members.first().is_none_or(|first| region(first) == region(plan));
    let mut plans = loaded.plans().iter().filter(first);
    if let Some(plan) = plans.next() {
        text.push_str(&self::plan(plan, per_second));
    }
    for plan in plans {
        text.push('\n');
        text.push_str(&self::plan(plan, per_second));
    }
    text
}

fn write_fleet(text: &mut String, loaded: &Loaded) -> std::fmt::Result {
    let Some(first) = loaded.members.first().and_then(|plan| plan.member.as_ref()) else { return Ok(()) };
    writeln!(text, "{}: {} runs that belong together", loaded.name(), loaded.members.len())?;
    let models: Vec<&str> = loaded.typed.spec.models.iter().map(|model| model.name.as_str()).collect();
    if !models.is_empty() {
        writeln!(
            text,
            "{} go up together: a stage ends when the gates of all have passed, and the harm of one takes all back.",
            models.join(", ")
        )?;
    }
    if let Some(regions) = &loaded.typed.spec.regions {
        for (index, wave) in regions.waves.iter().enumerate() {
            let then = if index == 0 { "first" } else { "then" };
            writeln!(text, "Wave {}: {then} {}.", index + 1, wave.join(", "))?;
        }
        let terms = first.terms;
        let soak =
            if terms.soak_ms > 0 { format!(", for {}", Span::from_ms(terms.soak_ms)) } else { String::new() };
        match terms.after {
            After::Stage(stage) => {
                writeln!(text, "A wave begins when stage {stage} of the one before is complete{soak}.")?
            }
            After::Proven => writeln!(
                text,
                "A wave begins when the last stage of the one before is complete{soak}; nothing is handed back before all are there."
            )?,
            After::Succeeded => {
                writeln!(text, "A wave begins when stable serves the new version in the one before{soak}.")?;
            }
        }
        let advance = match terms.advance {
            HowMany::All => "all its regions have".to_owned(),
            HowMany::Any => "one of its regions has".to_owned(),
            HowMany::Least(least) => format!("{least} of its regions have"),
        };
        writeln!(
            text,
            "In a wave a stage ends when {advance} proven it; a region that has not stays where it is."
        )?;
        let abort = match terms.abort {
            HowMany::Any => "One region that goes back takes all back.".to_owned(),
            HowMany::All => "A region that goes back takes no other back.".to_owned(),
            HowMany::Least(least) => format!("When {least} regions have gone back, all do."),
        };
        writeln!(text, "{abort} When a whole wave has, so do the waves after it.")?;
    }
    writeln!(text)
}

fn write_all(text: &mut String, plan: &Plan, per_second: Option<f64>) -> std::fmt::Result {
    let (stable, canary) = (&plan.stable, &candidates(plan));
    writeln!(text, "{}: from {stable} to {canary}", plan.name)?;
    writeln!(text)?;
    writeln!(
        text,
        "Before anybody is exposed, {} of the proxies prove within {} that they follow.",
        share(plan.acknowledge.quorum),
        Span::from_ms(plan.acknowledge.timeout_ms)
    )?;
    traffic::write(text, plan)?;
    ready(text, plan)?;
    for (index, stage) in plan.stages.iter().enumerate() {
        let share = Percent::from_ppm(stage.seen_ppm());
        let what = if stage.shadow_ppm > 0 { "a copy of " } else { "" };
        let bake = Span::from_ms(stage.bake_ms);
        let whose = whose(plan, index);
        write!(text, "Stage {}: {what}{share} of the traffic{whose} for at least {bake}", index + 1)?;
        let names: Vec<_> = stage
            .gates
            .iter()
            .filter_map(|&gate| plan.gates.get(gate))
            .filter(|gate| stage.is_held_by(gate))
            .map(|gate| gate.name.as_str())
            .collect();
        let concurrent = stage.measures() && stage.weight_ppm < split::MILLION;
        if concurrent && !names.is_empty() {
            write!(text, ", until {} pass", names.join(", "))?;
            if let Some((gate, wanted)) = slowest(plan, stage) {
                write!(text, " ({gate} wants about {wanted:.0} canary requests")?;
                if let Some(rate) = per_second {
                    let seconds = wanted / (rate * f64::from(stage.seen_ppm()) / f64::from(split::MILLION));
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates at a year
                    let span = Span::from_ms((seconds.min(366.0 * 86_400.0).ceil() as u64) * 1_000);
                    write!(text, ", {span} at {rate} requests per second")?;
                }
                write!(text, ")")?;
            }
        }
        if stage.approval {
            write!(text, ", then until a person says yes")?;
        }
        writeln!(text, ".")?;
        if concurrent {
            let then = match stage.on_insufficient {
                Insufficient::Hold => "it stays there and says so",
                Insufficient::Pause => "it pauses for a person",
                Insufficient::Rollback => "it goes back to stable",
            };
            writeln!(text, "  Without enough evidence after {}, {then}.", Span::from_ms(stage.deadline_ms))?;
        }
        bandit::stage(text, plan, index)?;
        if let Some(choose) = plan.choose.as_ref().filter(|choose| choose.after == index) {
            writeln!(text, "{}", choice(choose))?;
        }
    }
    bandit::whole(text, plan)?;
    if plan.stages.iter().any(|stage| stage.shadow_ppm > 0) {
        writeln!(
            text,
            "Of a copy nobody sees the answer, and each costs as much as answering; errors and answer times are \
             Envoy's counters of the clusters {} and {}. Answer times of copies are told and decide nothing: a copy is sent \
             after the live request.",
            plan.traffic.clusters.stable, plan.traffic.clusters.canary
        )?;
    }
    if plan.warm_up_ms > 0 {
        let time = Span::from_ms(plan.warm_up_ms);
        writeln!(
            text,
            "The canary's first {time} at each higher weight are no evidence: endpoints that come with it may be slow while \
             they are cold."
        )?;
    }
    if let Some(windows) = &plan.windows {
        writeln!(
            text,
            "The weight rises by itself only in its windows: {}. It falls at any time.",
            windows.words()
        )?;
    }
    match &plan.hand_back.how {
        HandBackHow::Manual => writeln!(text, "Then a person puts {canary} behind the stable route.")?,
        HandBackHow::Url(url) => {
            writeln!(text, "Then {url} is asked to put {canary} behind the stable route.")?
        }
        HandBackHow::Command(command) => {
            writeln!(text, "Then `{}` puts {canary} behind the stable route.", command.join(" "))?;
        }
        HandBackHow::Kubernetes(change) => {
            let (done, waits) = (keep_warm::changed(change, canary), Span::from_ms(change.timeout_ms));
            writeln!(text, "Then {done}, and {waits} at most are waited for its pods to be ready.")?;
        }
    }
    let steps: Vec<_> =
        plan.hand_back.steps_ppm.iter().map(|&ppm| Percent::from_ppm(ppm).to_string()).collect();
    let asked = match plan.hand_back.endpoints.len() {
        0 => "When that is confirmed".to_owned(),
        1 => "When stable's endpoint reports it".to_owned(),
        n => format!("When all {n} of stable's endpoints report it"),
    };
    writeln!(text, "{asked}, the canary's weight goes back: {}.", steps.join(", "))?;
    watch::write(text, plan)?;
    keep_warm::afterwards(text, plan)?;
    writeln!(text)?;
    writeln!(text, "A stage passes when it is proven that")?;
    for gate in plan.gates.iter().filter(|gate| gate.hard) {
        writeln!(text, "  {}: {}", gate.name, passes(gate))?;
    }
    let advisory: Vec<_> =
        plan.gates.iter().filter(|gate| !gate.hard).map(|gate| gate.name.as_str()).collect();
    if !advisory.is_empty() {
        writeln!(text, "  ({} are only reported)", advisory.join(", "))?;
    }
    marginal::write(text, plan)?;
    if plan.challengers.is_empty() {
        writeln!(text, "It stops at any moment when it is proven that")?;
    } else {
        writeln!(
            text,
            "A version is dropped alone, for the rest of the run, and the last one left goes back to stable, at any \
             moment when it is proven that"
        )?;
    }
    for gate in plan.gates.iter().filter(|gate| gate.hard) {
        let then = if gate.on_fail == OnFail::Pause { " (pauses)" } else { "" };
        writeln!(text, "  {}: {}{then}", gate.name, fails(gate))?;
    }
    for guardrail in &plan.guardrails {
        let side = if guardrail.metric.larger_is_worse() { "above" } else { "below" };
        let readings = guardrail.reads.as_deref().map_or_else(String::new, |reads| {
            let every = Span::from_ms(reads.every_ms);
            format!(" ({} readings in a row, one every {every})", reads.borne.saturating_add(1))
        });
        let readings =
            if guardrail.against_stable { ", and worse than stable's".to_owned() } else { readings };
        writeln!(
            text,
            "  {}: {} is {side} {}{readings}",
            guardrail.name,
            words(guardrail.metric),
            value(guardrail.metric, guardrail.limit)
        )?;
    }
    for (limit, what) in [(plan.budget.requests, "requests"), (plan.budget.errors, "errors")] {
        if let Some(limit) = limit {
            writeln!(
                text,
                "It stops when the canary has had more than {limit} {what} before it bears all traffic."
            )?;
        }
    }
    let figures =
        plan.gates.iter().filter(|gate| gate.hard).filter_map(|gate| Some((&gate.name, gate.figure()?)));
    for (name, figure) in figures {
        let (on_error, no_data) = (unread(figure.on_error), unread(figure.no_data));
        writeln!(text, "When {name} cannot be read {on_error}; when it holds no number {no_data}.")?;
    }
    let read = plan.guardrails.iter().filter_map(|rail| Some((&rail.name, rail.reads.as_deref()?)));
    for (name, reads) in read {
        let (on_error, no_data) = (unread(reads.on_error), unread(reads.no_data));
        writeln!(text, "When {name} cannot be read {on_error}; when it holds no number {no_data}.")?;
    }
    traffic::write_ends(text, plan)?;
    if plan.traffic.on_lease_expired == split::policy::OnLeaseExpired::Stable {
        let beats = plan.traffic.lease_intervals;
        writeln!(
            text,
            "It stops by itself when a proxy hears nothing of the controller for {beats} heartbeats."
        )?;
    }
    let stopped = (plan.alpha.gates + plan.alpha.guardrails) * several(plan);
    if plan.challengers.is_empty() {
        writeln!(
            text,
            "A canary as good as stable is stopped by chance in at most {} of rollouts.",
            share(stopped)
        )?;
    } else {
        writeln!(
            text,
            "In at most {} of rollouts any version as good as stable is dropped by chance: each has its part of that.",
            share(stopped)
        )?;
    }
    if plan.unit == Unit::User {
        writeln!(
            text,
            "Users keep their version; the evidence is weakened by how much their requests go together."
        )?;
    }
    practice::practice(text, plan)
}

fn unread(unread: Unread) -> String {
    let then = match unread.action {
        Insufficient::Hold => "the stage waits on",
        Insufficient::Pause => "it pauses until that is over",
        Insufficient::Rollback => "it goes back to stable",
    };
    format!("{} times in a row, {then}", unread.borne.saturating_add(1))
}

/// What the canary must be before its weight rises.
fn ready(text: &mut String, plan: &Plan) -> std::fmt::Result {
    let then = |action: Insufficient| match action {
        Insufficient::Hold => "it stays where it is and says so",
        Insufficient::Pause => "it pauses for a person",
        Insufficient::Rollback => "it goes back to stable",
    };
    if let Some(ready) = &plan.ready {
        let part = match ready.of_stable_ppm {
            0 => String::new(),
            ppm => format!(", and {} of those stable has for the same traffic", Percent::from_ppm(ppm)),
        };
        writeln!(
            text,
            "The weight rises only while the canary has {} ready endpoints{part}; after {} without them, {}.",
            ready.endpoints,
            Span::from_ms(ready.timeout_ms),
            then(ready.on_timeout)
        )?;
        writeln!(text, "  When none is left while it has traffic, {}.", then(ready.on_loss))?;
    }
    if let Some(hook) = &plan.warm_up_hook {
        let how = match &hook.how {
            WarmUpHow::Url(url) => format!("{url} is asked to warm it"),
            WarmUpHow::Command(command) => format!("`{}` warms it", command.join(" ")),
            WarmUpHow::Requests { url, count, .. } => format!("{count} requests to {url} warm it"),
        };
        let time = Span::from_ms(hook.timeout_ms);
        writeln!(text, "Before the canary's first request, {how} (within {time}).")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
