//! Many rollouts on one screen: those that want a person first.

use std::fmt::Write as _;

use api::{Answer, Outcome, PhaseName, RunView};

use super::show::percent;
use super::{exit_code, practice};
use crate::table::{Side, columns};

/// A message is cut here; `serin get NAME` has all of it.
const MESSAGE: usize = 120;

/// How soon somebody should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// A person is wanted.
    Attention,
    UnderWay,
    AtRest,
}

/// One line each, and what they come to. `attention`: those alone that want a person.
pub fn list(all: &[RunView], attention: bool) -> String {
    let mut rows: Vec<(Rank, &RunView, Vec<String>)> = all
        .iter()
        .map(|view| {
            let wants = wants(view);
            let rank = match (wants.is_empty(), exit_code(view)) {
                (false, _) => Rank::Attention,
                (true, None) => Rank::UnderWay,
                (true, Some(_)) => Rank::AtRest,
            };
            (rank, view, wants)
        })
        .collect();
    rows.sort_by(|one, other| (one.0, &one.1.run.name).cmp(&(other.0, &other.1.run.name)));
    let count = |rank| rows.iter().filter(|row| row.0 == rank).count();
    let counts = [count(Rank::Attention), count(Rank::UnderWay), count(Rank::AtRest)];
    rows.retain(|row| !attention || row.0 == Rank::Attention);

    let head = ["  NAME", "PHASE", "VERSIONS", "WEIGHT", "STAGE", "MESSAGE"].map(str::to_owned);
    let cells = rows.iter().map(|(rank, view, wants)| {
        let (mark, run) = (if *rank == Rank::Attention { '!' } else { ' ' }, &view.run);
        let said = wants.iter().chain([&run.message]).filter(|said| !said.is_empty());
        [
            format!("{mark} {}", run.name),
            run.phase.to_string(),
            format!("{} -> {}", run.begins_at(), run.canary),
            percent(run.weight_ppm),
            format!("{}/{}", run.stage, run.stage_count),
            cut(&said.cloned().collect::<Vec<_>>().join("; ")),
        ]
    });
    let mut out = String::new();
    if !rows.is_empty() {
        let sides = [Side::Left, Side::Left, Side::Left, Side::Right, Side::Right, Side::Left];
        out = columns(sides, [head].into_iter().chain(cells));
    }
    let [attention, under_way, at_rest] = counts;
    let verb = if attention == 1 { "wants" } else { "want" };
    // Writing to a String does not fail.
    let _ = writeln!(
        out,
        "{} rollout{}: {attention} {verb} attention, {under_way} under way, {at_rest} at rest",
        all.len(),
        if all.len() == 1 { "" } else { "s" }
    );
    out
}

/// Why a person should look at it, in a few words each; what its message says already is an empty one.
fn wants(view: &RunView) -> Vec<String> {
    let mut found = Vec::new();
    if matches!(view.run.phase.known(), Some(PhaseName::Paused | PhaseName::RolledBack)) {
        found.push(String::new());
    }
    let said = |text: &str| view.run.message.contains(text);
    found.extend(
        view.run.attention.iter().map(|one| if said(&one.text) { String::new() } else { one.text.clone() }),
    );
    if let Some(canary) = view.queued.as_ref().filter(|queued| queued.refused.is_some()).map(|q| &q.canary) {
        found.push(format!("{canary} was queued and did not begin"));
    }
    if !view.refusals.is_empty() && exit_code(view).is_none() {
        found.push(format!("{} proxies refuse the policy", view.refusals.len()));
    }
    for whose in [view].into_iter().chain(&view.members) {
        let name =
            if whose.run.name == view.run.name { String::new() } else { format!("{}: ", whose.run.name) };
        if let Some(drill) =
            whose.drill.as_ref().filter(|drill| drill.outcome == Some(Outcome::Failed.into()))
        {
            found.push(format!("{name}drill {} failed", drill.number));
        }
        if let Some(parity) =
            whose.parity.as_ref().filter(|parity| parity.outcome == Some(Outcome::Failed.into()))
        {
            found.push(format!("{name}A/A check {} failed", parity.number));
        }
        let live = whose.run.rollback.is_none();
        let gates = whose.run.current_stage().filter(|_| live).map_or(&[][..], |stage| &stage.gates);
        let rails = whose.run.guardrails.iter().filter(|_| live);
        let faulty = gates.iter().chain(rails).filter(|said| said.hard && said.answer == Answer::Error);
        found.extend(faulty.map(|said| format!("{name}{} could not be evaluated", said.name)));
        if let Some(owner) = whose.claimed_by.iter().find(|claimed| claimed.all) {
            found.push(format!("{name}{} owns its requests", owner.name));
        }
        let overdue = whose.practice.iter().filter(|practice| practice.overdue);
        found.extend(overdue.map(|known| format!("{name}{} overdue", practice::words(&known.exercise))));
    }
    found
}

fn cut(text: &str) -> String {
    if text.chars().count() <= MESSAGE {
        return text.to_owned();
    }
    text.chars().take(MESSAGE - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(json: &str) -> RunView {
        serde_json::from_str(json).expect("a view")
    }

    #[test]
    fn those_that_want_a_person_come_first() {
        let base = r#""stable":"v1","canary":"v2","stage":1,"stage_count":4"#;
        let all = [
            view(&format!(r#"{{"name":"a-rest",{base},"phase":"Succeeded","message":"promoted"}}"#)),
            view(&format!(
                r#"{{"name":"b-up",{base},"phase":"Progressing","message":"bakes","weight_ppm":50000}}"#
            )),
            view(&format!(
                r#"{{"name":"c-paused",{base},"phase":"Paused","message":"gate errors","weight_ppm":1500}}"#
            )),
            view(&format!(
                r#"{{"name":"d-drilled",{base},"phase":"Succeeded","message":"promoted","drill":{{"number":3,"outcome":"failed"}},
                    "practice":[{{"exercise":"parity","overdue":true}}]}}"#
            )),
            view(&format!(
                r#"{{"name":"e-fault",{base},"phase":"Progressing","message":"baked",
                    "stages":[{{"gates":[{{"name":"c","verdict":"error","hard":true}}]}}]}}"#
            )),
        ];
        assert_eq!(
            list(&all, false),
            "  NAME       PHASE        VERSIONS  WEIGHT  STAGE  MESSAGE\n\
             ! c-paused   Paused       v1 -> v2   0.15%    1/4  gate errors\n\
             ! d-drilled  Succeeded    v1 -> v2      0%    1/4  drill 3 failed; A/A check overdue; promoted\n\
             ! e-fault    Progressing  v1 -> v2      0%    1/4  c could not be evaluated; baked\n\
             \x20 b-up       Progressing  v1 -> v2      5%    1/4  bakes\n\
             \x20 a-rest     Succeeded    v1 -> v2      0%    1/4  promoted\n\
             5 rollouts: 3 want attention, 1 under way, 1 at rest\n"
        );
        let few = list(&all, true);
        assert!(few.lines().count() == 5 && !few.contains("b-up"), "{few}");
        assert_eq!(list(&[], false), "0 rollouts: 0 want attention, 0 under way, 0 at rest\n");
        assert_eq!(list(&all[..1], true), "1 rollout: 0 want attention, 0 under way, 1 at rest\n");
    }

    #[test]
    fn a_hundred_fit_a_screen_each_on_its_line() {
        let long = "x".repeat(500);
        let all: Vec<RunView> = (0..100)
            .map(|n| view(&format!(r#"{{"name":"model-{n:03}","phase":"Progressing","message":"{long}"}}"#)))
            .collect();
        let text = list(&all, false);
        assert_eq!(text.lines().count(), 102);
        assert!(text.lines().all(|line| line.chars().count() < 200));
    }
}
