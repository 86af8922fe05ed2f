//! The lines of the journal that a decision writes.

use rollout::{Effect, Event, Human, Severity, State, Verdict};
use serde_json::json;

use store::{Entry, Kind};

/// The lines of one step: who did what, what was decided, and which gates changed their answer.
pub fn entries(
    before: &State,
    event: &Event,
    after: &State,
    effects: &[Effect],
    generation: u64,
) -> Vec<Entry> {
    let now = after.last.unix_ms;
    let mut entries = Vec::new();
    if let Some((what, human)) = by(before, event)
        && (!effects.is_empty() || before.phase != after.phase)
    {
        let why = Some(human.reason.clone()).filter(|reason| !reason.is_empty());
        entries.push(Entry { who: Some(human.who.clone()), why, ..Entry::new(now, Kind::Act, what) });
    }
    entries.extend(verdicts(before, after).map(|verdict| {
        let answer = serde_json::to_value(verdict.answer).unwrap_or_default();
        let what = format!("{}: {}", verdict.name, answer.as_str().unwrap_or_default());
        let why = Some(verdict.why.clone());
        let detail = json!({"stage": after.stages.len(), "gate": verdict});
        Entry { why, ..Entry::new(now, Kind::Verdict, what) }.with(&detail)
    }));
    entries.extend(of_effects(effects, now, generation));
    entries
}

/// The lines of what is about to be done.
pub fn of_effects(effects: &[Effect], now: u64, generation: u64) -> Vec<Entry> {
    effects.iter().filter_map(|effect| effect_entry(effect, now, generation)).collect()
}

fn effect_entry(effect: &Effect, now: u64, generation: u64) -> Option<Entry> {
    match effect {
        Effect::Publish(publication) => {
            let policy = &publication.policy;
            let weight_ppm = policy.arms.canary.weight_ppm;
            let what = format!(
                "publish weight {} as generation {generation}",
                manifest::Percent::from_ppm(weight_ppm)
            );
            Some(Entry::new(now, Kind::Publish, what).with(&json!({
                "generation": generation, "epoch": policy.epoch, "weight_ppm": weight_ppm, "cause": publication.cause,
            })))
        }
        Effect::Record(record) => Some(Entry::new(record.at.unix_ms, Kind::Record, record.what.clone())),
        Effect::Notify(notice) => {
            let severity = match notice.severity {
                Severity::Info => "info",
                Severity::Warning => "warning",
                Severity::Critical => "critical",
            };
            let detail = json!({"severity": severity, "key": notice.key});
            Some(Entry::new(now, Kind::Notice, notice.text.clone()).with(&detail))
        }
        // They follow from what is written down anyway.
        Effect::Revoke { .. } | Effect::HandBack(_) | Effect::WarmUp(_) | Effect::Call(_) => None,
    }
}

/// What a person did.
fn by<'e>(before: &State, event: &'e Event) -> Option<(&'static str, &'e Human)> {
    let (what, human) = event.act()?;
    let returns = matches!(event, Event::Start(_)) && before.plan.returning.is_some();
    Some((if returns { "rollback" } else { what }, human))
}

/// Verdicts of the last two stages that answer otherwise than before: the one that may just have been left, and the
/// one that may just have been entered. A broken guardrail ends the run and is in the line that says so.
fn verdicts<'a>(before: &'a State, after: &'a State) -> impl Iterator<Item = &'a Verdict> {
    let first = before.stages.len().saturating_sub(1);
    after.stages.iter().enumerate().skip(first).flat_map(move |(at, stage)| {
        let known = before.stages.get(at).map(|stage| stage.gates.as_slice()).unwrap_or_default();
        stage.gates.iter().filter(move |verdict| {
            !known.iter().any(|known| known.name == verdict.name && known.answer == verdict.answer)
        })
    })
}
