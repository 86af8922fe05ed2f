//! One answer for tools that ask whether a version is good: `GET /v1/rollouts/{name}/verdict`.

use serde::{Deserialize, Serialize};

use crate::{Answer, OpenEnum, PhaseName, RunView, VerdictView};

/// What a run says of its canary, for a tool that moves on by it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Judgement {
    /// The answer.
    pub verdict: OpenEnum<Judged>,
    /// One English sentence: what the answer rests on.
    pub why: String,
    /// The version that is judged.
    pub version: String,
    /// The version it is compared with.
    pub stable: String,
    /// The run of this name it is.
    pub run: u64,
    /// Where the run is.
    pub phase: OpenEnum<PhaseName>,
    /// The stage it is in, from 1; 0 before the first.
    pub stage: usize,
    /// The canary's weight, in parts per million.
    pub weight_ppm: u32,
    /// The gates of this stage and the guardrails; of a fleet its members have their own.
    pub gates: Vec<VerdictView>,
}

/// Asks of a judgement: `GET /v1/rollouts/{name}/verdict`, and what hooks of other tools ask.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JudgementQuery {
    /// The version that is asked about. The run of another version says nothing of it; absent: whichever is rolled out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Is the version good? From the best answer to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judged {
    /// Every gate of this stage is proven, or the version was promoted.
    Pass,
    /// Evidence is being gathered.
    Pending,
    /// Evidence alone will not answer: it is paused, it is not seen, or a gate cannot be evaluated.
    Inconclusive,
    /// A gate or guardrail is broken, or the version was taken back.
    Fail,
}

impl Judged {
    /// All of them, from the best to the worst.
    pub const ALL: [Self; 4] = [Self::Pass, Self::Pending, Self::Inconclusive, Self::Fail];
}

impl RunView {
    /// What it says of `version`; `None`: of whichever version it rolls out. A fleet is as good as the worst of its members.
    #[must_use]
    pub fn judgement(&self, version: Option<&str>) -> Judgement {
        let run = &self.run;
        let of_another = version.filter(|version| *version != run.canary);
        let (judged, why) = match of_another {
            Some(version) => {
                let is = format!("run {} is of {}, not of {version}", run.run, run.canary);
                (Judged::Pending, is)
            }
            None => self.judged(),
        };
        let gates = run.current_stage().map(|stage| stage.gates.clone()).unwrap_or_default();
        Judgement {
            verdict: judged.into(),
            why,
            version: run.canary.clone(),
            stable: run.begins_at().to_owned(),
            run: run.run,
            phase: run.phase.clone(),
            stage: run.stage,
            weight_ppm: run.weight_ppm,
            gates: gates.into_iter().chain(run.guardrails.iter().cloned()).collect(),
        }
    }

    fn judged(&self) -> (Judged, String) {
        let message = self.run.message.clone();
        match self.run.phase.known() {
            Some(PhaseName::Succeeded) => (Judged::Pass, message),
            Some(PhaseName::RolledBack) => (Judged::Fail, message),
            // A person or a rule stopped it, so evidence alone does not let it go on.
            Some(PhaseName::Paused) | None => (Judged::Inconclusive, message),
            Some(PhaseName::Pending) => (Judged::Pending, message),
            Some(phase) if self.members.is_empty() => {
                self.by_gates(matches!(phase, PhaseName::Promoting | PhaseName::HandBack))
            }
            Some(_) => {
                let worst = self.members.iter().map(|member| (member.judged(), &member.run.name));
                let worst = worst.max_by_key(|((judged, _), _)| *judged);
                worst.map_or((Judged::Pending, message), |((judged, why), name)| {
                    (judged, format!("{name}: {why}"))
                })
            }
        }
    }

    /// `at_100`: nothing is left to be proven beside stable.
    fn by_gates(&self, at_100: bool) -> (Judged, String) {
        let run = &self.run;
        let gates = run.current_stage().map_or(&[][..], |stage| &stage.gates);
        let said = |gate: &VerdictView| format!("{}: {}", gate.name, gate.why);
        let is = |gate: &&VerdictView, answers: &[Answer]| {
            gate.hard && answers.iter().any(|answer| gate.answer == *answer)
        };
        if let Some(broken) = gates.iter().chain(&run.guardrails).find(|gate| is(gate, &[Answer::Fail])) {
            return (Judged::Fail, said(broken));
        }
        if let Some(found) = run.attention.first() {
            return (Judged::Inconclusive, found.text.clone());
        }
        if let Some(gate) = gates.iter().find(|gate| is(gate, &[Answer::Error, Answer::Marginal])) {
            return (Judged::Inconclusive, said(gate));
        }
        let settled = |gate: &VerdictView| {
            !gate.hard || gate.answer == Answer::Pass || gate.answer == Answer::NotApplicable
        };
        if let Some(open) = gates.iter().find(|gate| !settled(gate)) {
            return (Judged::Pending, said(open));
        }
        let proven = gates.iter().filter(|gate| is(gate, &[Answer::Pass])).count();
        match (proven, at_100) {
            (0, false) => {
                (Judged::Inconclusive, format!("stage {} has no gate that could prove anything", run.stage))
            }
            (0, true) => (Judged::Pass, "all stages were passed".to_owned()),
            (_, _) => (Judged::Pass, format!("the gates of stage {} are proven", run.stage)),
        }
    }
}
