//! Turns views of a rollout into lines for people.

use std::collections::HashMap;
use std::ops::Range;

use api::{Answer, OpenEnum, PhaseName, VerdictView, View};
use notation::{digits, milliseconds, percent, ppm, thousands};

/// Remembers what was told already.
#[derive(Debug, Default)]
pub struct Story {
    told: usize,
    verdicts: HashMap<(usize, String), OpenEnum<Answer>>,
}

impl Story {
    /// What this view has to tell that the ones before had not: each gate whose verdict changed, and the
    /// controller's own history.
    pub fn news(&mut self, view: &View) -> Vec<String> {
        // A stage's last proof and the step to the next can come in one look: the proof is told first.
        let left = view.stage.saturating_sub(1);
        let mut news = self.verdicts(view, 0..left);
        news.extend(view.history.iter().skip(self.told).map(|happening| happening.what.clone()));
        self.told = view.history.len();
        news.extend(self.verdicts(view, left..view.stages.len()));
        news
    }

    fn verdicts(&mut self, view: &View, stages: Range<usize>) -> Vec<String> {
        let mut news = Vec::new();
        for (index, stage) in view.stages.iter().enumerate().filter(|(index, _)| stages.contains(index)) {
            for gate in &stage.gates {
                let before = self.verdicts.insert((index, gate.name.clone()), gate.answer.clone());
                let nothing_yet =
                    matches!(gate.answer.known(), Some(Answer::Insufficient | Answer::NotApplicable));
                if !(before.is_none() && nothing_yet) && before.as_ref() != Some(&gate.answer) {
                    news.push(format!("  {}", gate_line(gate)));
                }
            }
        }
        news
    }
}

/// A gate in one line.
pub fn gate_line(gate: &VerdictView) -> String {
    format!(
        "{:<11} {:<13} {}; canary n {}, stable n {}",
        gate.name,
        gate.answer.to_string().replace('_', " "),
        measured(gate),
        thousands(gate.n_canary),
        thousands(gate.n_control),
    )
}

/// What a gate measured, and what that is held against.
pub fn measured(gate: &VerdictView) -> String {
    // The units of the gates in `spec::rollout`.
    let in_unit = |value: f64| match gate.name.as_str() {
        "errors" | "overdue" | "refusals" => percent(value, 2),
        "latency" | "token-time" => milliseconds(value),
        _ => digits(value, 3),
    };
    match (gate.estimate, gate.bound) {
        (Some(estimate), Some(bound)) => format!("{}, bound {}", in_unit(estimate), in_unit(bound)),
        (Some(estimate), None) => in_unit(estimate),
        _ => "nothing measured".to_owned(),
    }
}

/// Where a rollout is, for the live part of the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Stage, versions, weight, observed share.
    pub place: String,
    /// One line for each gate.
    pub gates: Vec<String>,
    /// The controller's own sentence: what is awaited.
    pub awaited: String,
}

impl State {
    /// The state a view shows. `observed` is the canary's share, and of how many users or requests (`unit`).
    pub fn of(view: &View, observed: Option<(f64, u64)>, unit: &str) -> Self {
        let place = if view.phase == PhaseName::Progressing {
            format!("stage {} of {}", view.stage, view.stage_count)
        } else {
            view.phase.to_string()
        };
        let mut place =
            format!("{place}, {} → {}, weight {}", view.stable, view.canary, ppm(view.weight_ppm));
        if let Some((share, of)) = observed.filter(|_| view.phase == PhaseName::Progressing) {
            place += &format!(", observed {} of {} {unit}", percent(share, 2), thousands(of));
        }
        let gates = view.current_stage().map(|stage| stage.gates.as_slice()).unwrap_or_default();
        Self { place, gates: gates.iter().map(gate_line).collect(), awaited: view.message.clone() }
    }
}

#[cfg(test)]
mod tests {
    use api::{RecordView, StageView};

    use super::*;

    fn view(history: &[&str], answer: Answer) -> View {
        View {
            phase: PhaseName::Progressing.into(),
            stage: 1,
            stage_count: 4,
            weight_ppm: 50_000,
            stable: "v1".to_owned(),
            canary: "v2".to_owned(),
            message: "Waits for errors.".to_owned(),
            history: history
                .iter()
                .map(|what| RecordView { what: (*what).to_owned(), ..RecordView::default() })
                .collect(),
            stages: vec![StageView {
                gates: vec![VerdictView {
                    name: "errors".to_owned(),
                    answer: answer.into(),
                    estimate: Some(0.0148),
                    bound: Some(0.0301),
                    n_canary: 1_200,
                    n_control: 23_000,
                    ..VerdictView::default()
                }],
                ..StageView::default()
            }],
            ..View::default()
        }
    }

    #[track_caller]
    fn check(story: &mut Story, view: &View, expected: &[&str]) {
        assert_eq!(story.news(view), expected);
    }

    #[test]
    fn everything_is_told_once() {
        let mut story = Story::default();
        check(&mut story, &View::default(), &[]);
        check(&mut story, &view(&["Began."], Answer::Insufficient), &["Began."]);
        check(&mut story, &view(&["Began."], Answer::Insufficient), &[]);
        let passed = "  errors      pass          1.48 %, bound 3.01 %; canary n 1,200, stable n 23,000";
        check(&mut story, &view(&["Began.", "On."], Answer::Pass), &["On.", passed]);
        check(&mut story, &view(&["Began.", "On."], Answer::Pass), &[]);
        let failed = "  errors      fail          1.48 %, bound 3.01 %; canary n 1,200, stable n 23,000";
        let next = View { stage: 2, ..view(&["Began.", "On.", "Next."], Answer::Fail) };
        check(&mut story, &next, &[failed, "Next."]);
    }

    #[test]
    fn the_state_in_a_few_lines() {
        let other = |name: &str| VerdictView {
            name: name.to_owned(),
            estimate: Some(20.44),
            ..VerdictView::default()
        };
        assert_eq!(measured(&other("latency")), "20.4 ms");
        assert_eq!(measured(&other("confidence")), "20.4");
        assert_eq!(measured(&VerdictView::default()), "nothing measured");
        let passed = view(&[], Answer::Pass);
        assert_eq!(
            State::of(&passed, Some((0.0497, 9_812)), "users"),
            State {
                place: "stage 1 of 4, v1 → v2, weight 5 %, observed 4.97 % of 9,812 users".to_owned(),
                gates: vec![
                    "errors      pass          1.48 %, bound 3.01 %; canary n 1,200, stable n 23,000"
                        .to_owned()
                ],
                awaited: "Waits for errors.".to_owned(),
            }
        );
        let back = View { phase: PhaseName::RolledBack.into(), weight_ppm: 0, ..passed };
        assert_eq!(State::of(&back, Some((0.0497, 9_812)), "users").place, "RolledBack, v1 → v2, weight 0 %");
    }
}
