//! What is tried: worlds in which the canary is as good as stable, and worlds in which it is not.

use anyhow::{Context as _, Result, anyhow, bail};
use manifest::{Metric, Plan, Unit};
use notation::duration;
use simulate::{Harm, Traffic, World};

use super::show::bare;
use super::worlds::Trouble;
use super::{Options, users};

/// A plan in a world.
#[derive(Debug)]
pub struct Case {
    pub plan: Plan,
    pub world: World,
}

/// Harms tried when none is named.
const HARMS: [&str; 6] =
    ["errors=x2", "errors=x5", "p99=+20%", "p99=+50%", "confidence=-2%", "confidence=-5%"];
/// Requests of one user where nothing is said of them.
const REQUESTS_EACH: f64 = 20.0;
/// The warm-up that is tried where the plan has none.
const WARM_UP_MS: u64 = 5 * 60_000;

/// The canary as good as stable, with and without trouble; then each harm.
pub fn all(options: &Options, troubles: &[Trouble], plan: &Plan, traffic: &Traffic) -> Result<Vec<Case>> {
    let case = |name: &str, plan: &Plan, traffic: &Traffic, harm: Harm| -> Result<Case> {
        Ok(Case { plan: plan.clone(), world: World::new(name, plan, traffic, harm)? })
    };
    let mut cases = vec![case("as good as stable", plan, traffic, Harm::NONE)?];
    for trouble in troubles {
        match trouble {
            Trouble::None => {}
            // Recorded traffic brings its own.
            Trouble::Bursts if !traffic.recorded.is_empty() => {}
            Trouble::Bursts => {
                let traffic = Traffic { bursts: Some(options.bursts), ..traffic.clone() };
                cases.push(case("as good, shared bursts", plan, &traffic, Harm::NONE)?);
            }
            Trouble::Users => {
                let each = options.requests_per_user.unwrap_or(REQUESTS_EACH);
                let traffic = Traffic { users: Some(users(options, each)), ..traffic.clone() };
                for (plan, unit) in units(plan) {
                    let name = format!("as good, users, {unit}");
                    cases.push(case(&name, &plan, &traffic, Harm::NONE)?);
                }
            }
            Trouble::SlowProxy => {
                let traffic = Traffic { slow_proxy_ms: options.silence.ms(), ..traffic.clone() };
                if !(1_000..=50_000).contains(&options.silence.ms()) {
                    bail!("--silence {}: a proxy is silent for 1s to 50s of every minute", options.silence);
                }
                cases.push(case("as good, slow proxy", plan, &traffic, Harm::NONE)?);
                let harm = Harm { errors: 5.0, ..Harm::NONE };
                cases.push(case("errors x5, slow proxy", plan, &traffic, harm)?);
            }
            Trouble::ColdStart => {
                let harm: Harm = options.cold.parse().map_err(|error| anyhow!("--cold: {error}"))?;
                if harm.ends_ms.is_none() {
                    bail!("--cold {}: a cold start ends; say when, such as p99=x5@0s..3m", options.cold);
                }
                for (plan, warm_up) in warm_ups(plan) {
                    let name = format!("cold start, {warm_up}");
                    let mut case = case(&name, &plan, traffic, harm).context("--cold")?;
                    case.world.healthy = true;
                    cases.push(case);
                }
            }
        }
    }
    cases.extend(harmful(options, plan, traffic)?);
    Ok(cases)
}

/// The plan as it is, and with the other unit. Assigned at random, requests of a user reach both versions and the unit
/// makes no difference.
fn units(plan: &Plan) -> Vec<(Plan, &'static str)> {
    if !plan.is_sticky() {
        return vec![(plan.clone(), "assigned at random")];
    }
    let with = |unit: Unit| {
        let mut plan = plan.clone();
        plan.unit = unit;
        plan.traffic.count_groups = unit == Unit::User;
        plan
    };
    vec![(with(Unit::Request), "unit: request"), (with(Unit::User), "unit: user")]
}

/// The plan without and with a warm-up: its own, or five minutes.
fn warm_ups(plan: &Plan) -> Vec<(Plan, String)> {
    let with = |ms: u64| {
        let mut plan = plan.clone();
        plan.warm_up_ms = ms;
        plan
    };
    let ms = if plan.warm_up_ms > 0 { plan.warm_up_ms } else { WARM_UP_MS };
    #[allow(clippy::cast_precision_loss)] // milliseconds of minutes
    let warm_up = format!("warmUp: {}", duration(ms as f64 / 1e3));
    vec![(with(0), "no warmUp".to_owned()), (with(ms), warm_up)]
}

/// What the worlds asked for take for granted.
pub fn notes(options: &Options, troubles: &[Trouble], traffic: &Traffic) -> Vec<String> {
    let mut notes = Vec::new();
    let each = traffic.users.map(|users| users.requests_each);
    let in_world = troubles.contains(&Trouble::Users).then_some(REQUESTS_EACH);
    match each.or(in_world) {
        None => notes.push(
            "each request is another user's; with --requests-per-user, or in --world users, they go together".to_owned(),
        ),
        Some(each) => notes.push(format!(
            "{}: {each} requests each, within a minute or so; all errors happen to {} % of users, answer times to anyone",
            if traffic.users.is_some() { "users" } else { "users, in their world" },
            bare(options.prone)
        )),
    }
    if troubles.contains(&Trouble::SlowProxy) {
        notes.push(format!(
            "slow proxy: one of two says nothing for {0} of every minute, and takes new weights {0} late",
            options.silence
        ));
    }
    if troubles.contains(&Trouble::ColdStart) {
        notes.push(format!(
            "cold start: {} after the first request, and then as good as stable",
            options.cold
        ));
    }
    notes
}

fn harmful(options: &Options, plan: &Plan, traffic: &Traffic) -> Result<Vec<Case>> {
    let confident =
        plan.gates.iter().map(|gate| gate.metric()).chain(plan.guardrails.iter().map(|g| g.metric));
    let confident = confident.into_iter().any(|metric| metric == Metric::ConfidenceMean);
    let named: Vec<&str> = match options.harm.as_slice() {
        [] => HARMS.into_iter().filter(|harm| confident || !harm.starts_with("confidence")).collect(),
        some => some.iter().map(String::as_str).collect(),
    };
    let mut cases = Vec::new();
    for text in named {
        let harm: Harm = text.parse().map_err(|error| anyhow!("--harm: {error}"))?;
        if text.starts_with("confidence") && !confident {
            bail!(
                "--harm {text}: no gate or guardrail watches confidence_mean; add one, or leave this harm out"
            );
        }
        let world = World::new(text.replace('=', " "), plan, traffic, harm);
        cases.push(Case { plan: plan.clone(), world: world.with_context(|| format!("--harm {text}"))? });
    }
    Ok(cases)
}
