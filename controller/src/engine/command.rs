//! What people ask for, and who of the engine answers.

use api::{Applied, Done, Figure, PastView, Refusal, RollbackReply};
use manifest::ExerciseKind;
use rollout::{ExerciseView, Human};
use tokio::sync::oneshot;

use super::exercise::Order;
use super::rollback::RollbackOrder;
use super::triggers::TriggerCommand;
use super::{Act, Conditions, Engine};
use crate::specification::Specification;

/// What people ask for.
pub enum Command {
    Apply {
        spec: Box<Specification>,
        who: String,
        again: bool,
        /// Only say what would become of it.
        dry_run: bool,
        conditions: Conditions,
        answer: oneshot::Sender<Result<Applied, Refusal>>,
    },
    /// What was rolled back is to begin once more.
    Retry {
        name: String,
        human: Human,
        conditions: Conditions,
        answer: oneshot::Sender<Result<Applied, Refusal>>,
    },
    Act {
        name: String,
        act: Act,
        human: Human,
        conditions: Conditions,
        answer: oneshot::Sender<Result<Done, Refusal>>,
    },
    /// What is over is let go: out of the policy.
    Delete {
        name: String,
        human: Human,
        conditions: Conditions,
        answer: oneshot::Sender<Result<(), Refusal>>,
    },
    /// Back to stable, or to a version that was there before.
    RollBack {
        name: String,
        order: RollbackOrder,
        human: Human,
        conditions: Conditions,
        answer: oneshot::Sender<Result<RollbackReply, Refusal>>,
    },
    /// Figures for gates that take them.
    Push { name: String, figures: Vec<Figure>, answer: oneshot::Sender<Result<(), Refusal>> },
    /// Something to be tried between runs; answers with its number.
    Exercise {
        name: String,
        order: Order,
        human: Human,
        conditions: Conditions,
        answer: oneshot::Sender<Result<u64, Refusal>>,
    },
    /// What was tried, the newest first.
    Exercises {
        name: String,
        what: ExerciseKind,
        answer: oneshot::Sender<Result<Vec<ExerciseView>, Refusal>>,
    },
    /// An earlier run, as it ended.
    Past { name: String, run: u64, answer: oneshot::Sender<Result<Box<PastView>, Refusal>> },
    /// Something of what begins rollouts by itself.
    Trigger(TriggerCommand),
}

impl Engine {
    pub(super) async fn command(&mut self, command: Command) {
        // A client that went away no longer wants the answer; what it asked for is done all the same.
        match command {
            Command::Apply { spec, again, dry_run: true, answer, .. } => {
                let _ = answer.send(self.would_apply(&spec, again));
            }
            Command::Apply { spec, who, again, conditions, answer, .. } => {
                let human = Human { who, reason: String::new() };
                let mut applied = self.apply_if(&spec, human, again, &conditions).await;
                // Another timetable holds at once and is written meanwhile.
                if let Ok(applied) = &mut applied {
                    applied.warnings.extend(self.not_yet_written());
                }
                let _ = answer.send(applied);
            }
            Command::Retry { name, human, conditions, answer } => {
                let applied = self.retry(&name, human, &conditions).await;
                let _ = answer.send(applied);
            }
            Command::Act { name, act, human, conditions, answer } => {
                let done = self.act_if(&name, act, human, &conditions).await;
                let warnings = |engine: &mut Self| engine.not_yet_written().into_iter().collect();
                let _ = answer.send(done.map(|()| Done { warnings: warnings(self), ..Done::DONE }));
            }
            Command::Delete { name, human, conditions, answer } => {
                let _ = answer.send(self.delete_if(&name, &human, &conditions).await);
            }
            Command::RollBack { name, order, human, conditions, answer } => {
                Box::pin(self.roll_back(name, order, human, conditions, answer)).await;
            }
            Command::Push { name, figures, answer } => {
                let _ = answer.send(self.push(&name, figures));
            }
            Command::Exercise { name, order, human, conditions, answer } => {
                let _ = answer.send(self.order_if(&name, order, human, &conditions).await);
            }
            Command::Exercises { name, what, answer } => {
                let _ = answer.send(self.past_exercises(&name, what));
            }
            Command::Past { name, run, answer } => {
                let _ = answer.send(self.past(&name, run));
            }
            Command::Trigger(command) => Box::pin(self.trigger_command(command)).await,
        }
    }
}
