//! What comes back from work that was started elsewhere, so that the engine never waits for anything but the store.

use rollout::{Endpoint, Endpoints, Event, PostRunHook};
use split::Arm;

use super::Engine;
use super::readings::SourceAnswer;
use super::rollback::RollbackCheck;
use super::triggers::ConfirmedEvent;

/// The result of it.
pub enum Report {
    HandBack {
        name: String,
        run: u64,
        result: Result<bool, String>,
    },
    Stable {
        name: String,
        run: u64,
        endpoints: Vec<Endpoint>,
    },
    /// `stage`: how many the run had entered when the source was asked.
    Read {
        name: String,
        run: u64,
        stage: usize,
        gate: String,
        arm: Option<Arm>,
        said: Result<SourceAnswer, String>,
    },
    Endpoints {
        name: String,
        run: u64,
        endpoints: Endpoints,
    },
    WarmUp {
        name: String,
        run: u64,
        result: Result<(), String>,
    },
    /// A hook after the end of run `of`.
    Called {
        name: String,
        run: u64,
        of: u64,
        duty: PostRunHook,
        result: Result<(), String>,
    },
    /// What the canary route's endpoints serve.
    Kept {
        name: String,
        run: u64,
        endpoints: Vec<Endpoint>,
    },
    /// Is the version there that a person wants to go back to?
    RollbackCheck(Box<RollbackCheck>),
    /// A model registry was asked what is so now, because it told of something.
    ConfirmedEvent(Box<ConfirmedEvent>),
    /// A model registry has answered a question of this number: the version that means "go".
    Polled {
        name: String,
        question: u64,
        said: Result<Option<String>, String>,
    },
}

impl Engine {
    pub(super) async fn report(&mut self, report: Report) {
        let (name, run, event) = match report {
            Report::HandBack { name, run, result } => {
                let event = match result {
                    Ok(true) => Event::HandBackDone,
                    Ok(false) => return,
                    Err(reason) => Event::HandBackFailed { reason },
                };
                (name, run, event)
            }
            Report::Endpoints { name, run, endpoints } => {
                self.counted_endpoints(&name);
                (name, run, Event::Endpoints(endpoints))
            }
            Report::WarmUp { name, run, result } => {
                let event = match result {
                    Ok(()) => Event::WarmedUp,
                    Err(reason) => Event::WarmUpFailed { reason },
                };
                (name, run, event)
            }
            Report::Called { name, run, of, duty, result } => {
                let event = match result {
                    Ok(()) => Event::Called { run: of, duty },
                    Err(reason) => Event::CallFailed { run: of, duty, reason },
                };
                (name, run, event)
            }
            Report::Kept { name, run, endpoints } => (name, run, Event::KeptReports(endpoints)),
            Report::Stable { name, run, endpoints } => {
                if let Some(run) = self.runs.get_mut(&name) {
                    run.probing = false;
                }
                (name, run, Event::StableReports(endpoints))
            }
            Report::Read { name, run, stage, gate, arm, said } => {
                return self.take_reading(&name, (run, stage), (gate, arm), said).await;
            }
            Report::RollbackCheck(vouched) => return Box::pin(self.settle_rollback(*vouched)).await,
            Report::ConfirmedEvent(confirmed) => return Box::pin(self.take_confirmed(*confirmed)).await,
            Report::Polled { name, question, said } => {
                return Box::pin(self.take_polled(&name, question, said)).await;
            }
        };
        if self.runs.get(&name).is_some_and(|present| present.state.run == run) {
            self.advance(&name, &event).await;
        }
    }
}
