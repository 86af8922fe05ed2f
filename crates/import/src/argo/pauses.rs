//! What is wrong with steps where they come from.

use crate::place::Place;
use crate::report::Ledger;
use crate::text::{duration, span};

pub(super) fn check(
    canary: &Place<'_>,
    steps: &Place<'_>,
    replicas: Option<f64>,
    background: &Place<'_>,
    ledger: &mut Ledger,
) {
    let listed = steps.items();
    let has = |name: &str| listed.iter().any(|step| step.at(name).is_there());
    if !listed.is_empty() && !has("analysis") && !has("experiment") && !background.is_map() {
        let what = "no step measures anything: the new version goes up by time alone";
        ledger.warning("no-gate", steps, what, "add an analysis");
    }
    if !canary.at("trafficRouting").is_there() && has("setWeight") {
        without_routing(&listed, replicas, ledger);
    }
    for (weight, part) in ["trafficWeight", "failed"].into_iter().map(|name| (canary.at(name), name)) {
        if weight.is_there() {
            let what = if part == "failed" {
                "Argo has no such field: a run that fails aborts by itself, to stable at once"
            } else {
                "Argo has no such field: weights are set by `setWeight`, and split by `trafficRouting`"
            };
            ledger.error("unknown-field", &weight, what, "leave it out");
            ledger.lost(&weight, what, "nothing is to be done: a run begins at 0 and goes back to 0");
        }
    }
    let window = canary.at("rollbackWindow");
    if window.is_there() {
        let what = "it belongs to `spec.rollbackWindow`, and does nothing here";
        ledger.error("unknown-field", &window, what, "move it two levels up");
        let what = "`serin rollback` goes back to versions from before at once, as long as they are deployed";
        ledger.approximated(&window, what, "write `keepWarm` to keep the old version deployed");
    }
    times(&listed, ledger);
    background_fits(&listed, background, ledger);
}

/// Without a traffic router the number of pods is all there is.
fn without_routing(listed: &[Place<'_>], replicas: Option<f64>, ledger: &mut Ledger) {
    let Some(first) = listed.iter().map(|step| step.at("setWeight")).find(Place::is_there) else { return };
    let Some(weight) = first.number() else { return };
    let what = match replicas.filter(|replicas| *replicas > 0.0) {
        Some(replicas) => {
            let pods = (weight * replicas / 100.0).ceil().max(1.0);
            let share = 100.0 * pods / replicas;
            if (share - weight).abs() < 0.5 {
                return;
            }
            format!(
                "without `trafficRouting` a weight is a number of pods: {weight} % of {replicas} is {pods}, which is about {share:.0} % of \
                 the traffic"
            )
        }
        None => "without `trafficRouting` a weight is a number of pods, and at least one of them".to_owned(),
    };
    ledger.error("coarse-weight", &first, what, "add `trafficRouting`");
}

fn weight_of(step: &Place<'_>) -> Option<f64> {
    step.at("setWeight").number()
}

fn times(listed: &[Place<'_>], ledger: &mut Ledger) {
    let mut highest = 0.0_f64;
    for step in listed {
        let Some(weight) = weight_of(step) else { continue };
        if weight < highest {
            let what = format!("the weight falls from {highest} to {weight} in the middle of a rollout");
            ledger.warning("falling-weight", &step.at("setWeight"), what, "let weights rise");
        }
        highest = highest.max(weight);
    }
    let last = listed.iter().rposition(|step| step.at("setWeight").is_there());
    if let Some((at, step)) = last.and_then(|at| Some((at, listed.get(at)?))) {
        let rest = listed.get(at + 1..).unwrap_or_default();
        let watched = rest.iter().any(|step| step.at("pause").is_there() || step.at("analysis").is_there());
        if weight_of(step).is_some_and(|weight| weight >= 100.0) && !watched {
            let what = "nothing comes after 100 %: the rollout is over, and the way back closed, before anything was seen there";
            ledger.warning(
                "no-bake",
                &step.at("setWeight"),
                what,
                "pause at 100 % for some minutes, and measure there",
            );
        }
        if weight_of(step).is_some_and(|weight| weight < 100.0) && !watched {
            let what = "after this weight all traffic follows at once";
            ledger.warning("no-bake", &step.at("setWeight"), what, "pause behind it");
        }
    }
    for pair in listed.windows(2) {
        let [one, next] = pair else { continue };
        if one.at("setWeight").is_there() && next.at("setWeight").is_there() {
            let what = "the next weight follows at once: nothing is seen at this one";
            ledger.warning("no-bake", &one.at("setWeight"), what, "pause between them, or measure");
        }
    }
}

/// A background analysis has to be measured while there is something to see.
fn background_fits(listed: &[Place<'_>], background: &Place<'_>, ledger: &mut Ledger) {
    let start = background.at("startingStep").number().unwrap_or(0.0);
    let endless = |step: &Place<'_>| {
        let pause = step.at("pause");
        step.fields().iter().any(|(name, _)| name == "pause") && !pause.at("duration").is_there()
    };
    #[allow(clippy::cast_precision_loss)] // a handful of steps
    let from = listed.iter().enumerate().filter(|(index, _)| *index as f64 >= start).map(|(_, step)| step);
    if !background.is_map() || listed.is_empty() || from.clone().any(endless) {
        return;
    }
    if from.clone().next().is_none() {
        let what = "there is no such step: the analysis never begins";
        return ledger.error(
            "never-fails",
            &background.at("startingStep"),
            what,
            "begin at a step that is there",
        );
    }
    let total: u64 = from.filter_map(|step| duration(&step.down("pause.duration").text()?)).sum();
    if total < 60_000 {
        let what = format!("all pauses from there on last {}: it is hardly measured", span(total));
        ledger.warning("too-short", background, what, "pause for longer than its interval");
    }
}
