//! Drills and A/A checks: the rollback path (a drill), and whether stable is found equal to itself (parity).
//!
//! An exercise borrows the configuration of a rollout whose run is over, and gives it back as it was. It changes in
//! [`Exercise::step`] alone, exactly as a run does in [`crate::step`]: effects are values, the state can be stored
//! between any two steps, and after a crash [`ExerciseEvent::Restart`] takes back whatever it had exposed.

mod differ;
mod drill;
mod parity;
mod parity_report;
mod report;
mod sent;
mod shares;

use manifest::ExerciseKind;
use serde::{Deserialize, Serialize};
use split::policy;

use crate::{Acks, Effect, Human, Interval, Now, Phase, State};

pub use differ::Difference;
pub use drill::{Cancelled, Drill, DrillOrder, DrillPhase, Exposure, LeasePath, LeaseSkipped, PushPath};
pub use parity::{Parity, ParityOrder, ParityPhase};
pub use parity_report::{ParityFinding, ParityGateView, ParitySplitView, ParityVerdict, ParityView};
pub use report::{DrillLeaseView, DrillPushView, DrillView, ExerciseView, PromiseView};
pub use sent::ExercisePublication;
pub use shares::Split;

/// One exercise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exercise {
    /// Of the rollback path.
    Drill(Box<Drill>),
    /// A version against itself.
    Parity(Box<Parity>),
}

/// Everything that can happen to an exercise.
#[derive(Clone, Debug, PartialEq)]
pub enum ExerciseEvent {
    /// It is stored and may begin.
    Begin,
    /// Time went by. Wanted a few times a second.
    Tick,
    /// How far its last publication has come.
    Acks(Acks),
    /// Who has asked for the lease of its last publication, or of a later one, and was told what.
    Heartbeats(Heartbeats),
    /// A look at the gauges of all proxies.
    Look(LastCanaryRequest),
    /// A look at the counters.
    Interval(Box<Interval>),
    /// A person or a rule ends it; why, in a few words.
    Cancel(String),
    /// The process that ran it ended, and another has taken it up.
    Restart,
}

/// Who has asked for a lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heartbeats {
    /// The proxies connected, by name.
    pub connected: Vec<String>,
    /// Those whose lease was renewed.
    pub renewed: Vec<String>,
    /// Those that were told that it is revoked.
    pub revoked: Vec<String>,
    /// Is no other rollout exposed? A lease stands for all rollouts of a proxy, so only then one may be revoked for
    /// practice.
    pub alone: bool,
}

/// When any proxy last sent a request to the canary, as a look at all of them found it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastCanaryRequest {
    /// Every proxy spoke at this moment or later, in milliseconds since 1970; `None`: one or more were silent.
    pub whole_since_ms: Option<u64>,
    /// The last canary request of any proxy, in milliseconds since 1970; `None`: there never was one.
    pub last_ms: Option<u64>,
}

/// How an exercise ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// What was asked is proven.
    Passed,
    /// The opposite is.
    Failed,
    /// Neither.
    Undecided,
    /// It was ended before it could tell.
    Cancelled,
}

/// The end of an exercise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    /// When.
    pub at: Now,
    /// How.
    pub outcome: Outcome,
    /// One English sentence.
    pub why: String,
}

impl Exercise {
    /// What happens next.
    #[must_use]
    pub fn step(self, event: &ExerciseEvent, now: Now) -> (Self, Vec<Effect>) {
        match self {
            Self::Drill(drill) => {
                let (drill, effects) = drill.step(event, now);
                (Self::Drill(Box::new(drill)), effects)
            }
            Self::Parity(parity) => {
                let (parity, effects) = parity.step(event, now);
                (Self::Parity(Box::new(parity)), effects)
            }
        }
    }

    /// It, for people and tools.
    #[must_use]
    pub fn view(&self) -> ExerciseView {
        match self {
            Self::Drill(drill) => ExerciseView::Drill(Box::new(drill.view())),
            Self::Parity(parity) => ExerciseView::Parity(Box::new(parity.view())),
        }
    }

    /// The rollout's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Drill(drill) => &drill.plan.name,
            Self::Parity(parity) => &parity.plan.name,
        }
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> ExerciseKind {
        match self {
            Self::Drill(_) => ExerciseKind::Drill,
            Self::Parity(_) => ExerciseKind::Parity,
        }
    }

    /// What it is called in a sentence: "drill", "A/A check".
    #[must_use]
    pub const fn words(&self) -> &'static str {
        self.kind().words()
    }

    /// Was it scheduled?
    #[must_use]
    pub const fn is_scheduled(&self) -> bool {
        match self {
            Self::Drill(drill) => drill.order.scheduled,
            Self::Parity(parity) => parity.order.scheduled,
        }
    }

    /// Does it revoke leases, which stand for all rollouts of a proxy?
    #[must_use]
    pub const fn affects_leases(&self) -> bool {
        match self {
            Self::Drill(_) => true,
            Self::Parity(parity) => parity.order.deployed,
        }
    }

    /// Counted for each rollout and kind, from 1.
    #[must_use]
    pub const fn number(&self) -> u64 {
        match self {
            Self::Drill(drill) => drill.number,
            Self::Parity(parity) => parity.number,
        }
    }

    /// The run after which it is tried.
    #[must_use]
    pub const fn run(&self) -> u64 {
        match self {
            Self::Drill(drill) => drill.run,
            Self::Parity(parity) => parity.run,
        }
    }

    /// Is it over?
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.ended().is_some()
    }

    /// Its end.
    #[must_use]
    pub const fn ended(&self) -> Option<&Ended> {
        match self {
            Self::Drill(drill) => drill.ended.as_ref(),
            Self::Parity(parity) => parity.ended.as_ref(),
        }
    }

    /// Its last publication; it stays in force until a run or another exercise publishes.
    #[must_use]
    pub const fn sent(&self) -> Option<&ExercisePublication> {
        match self {
            Self::Drill(drill) => drill.sent.as_ref(),
            Self::Parity(parity) => parity.sent.as_ref(),
        }
    }

    /// This rollout's part of the policy document, as long as nothing of a higher epoch is there.
    #[must_use]
    pub fn policy(&self) -> Option<&policy::Rollout> {
        self.sent().map(|sent| &sent.policy)
    }

    /// Must the policy carry a lease although no request goes to the canary?
    #[must_use]
    pub fn wants_lease(&self) -> bool {
        !self.is_over() && self.sent().is_some_and(|sent| sent.vouched)
    }
}

impl State {
    /// May anything be tried on this rollout's configuration now?
    ///
    /// # Errors
    /// Why not, and what would help, in one sentence.
    pub fn at_rest(&self) -> Result<(), String> {
        if self.is_over() {
            return Ok(());
        }
        let (name, run, phase) = (&self.plan.name, self.run, self.phase.name());
        Err(match &self.phase {
            Phase::RolledBack => {
                format!("run {run} of {name} is on its way back to stable; wait for its end")
            }
            _ => format!(
                "run {run} of {name} is under way ({phase}, {} to {}): an exercise would take its traffic; wait for its \
                 end or abort it",
                self.weight(),
                self.plan.canary
            ),
        })
    }

    /// May a person or a schedule expose the canary for an exercise? What was rolled back, or gone back from, never
    /// returns by itself.
    ///
    /// # Errors
    /// Why not, and what would help, in one sentence.
    pub fn may_expose(&self, human: Option<&Human>) -> Result<(), String> {
        let gone = match (&self.phase, &self.plan.returning) {
            (Phase::Succeeded, None) => return Ok(()),
            (Phase::Succeeded, Some(returning)) => format!("{} was gone back from", returning.from),
            _ => {
                let reason = self.rollback.as_ref().map_or("by itself", |rollback| rollback.reason.as_str());
                format!("{} was rolled back ({reason})", self.plan.canary)
            }
        };
        match human {
            Some(human) if !human.reason.is_empty() => Ok(()),
            Some(_) => Err(format!("{gone}; exercise at 0%, or give a reason to send it requests again")),
            None => Err(gone),
        }
    }
}

#[cfg(test)]
mod tests;
