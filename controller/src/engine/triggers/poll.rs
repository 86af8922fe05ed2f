//! Asking registries, again and again.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};

use api::PollView;
use manifest::Poll;

use super::super::{Engine, Report};
use super::NamedBy;

const NS_PER_MS: u64 = 1_000_000;
/// A registry that does not answer is asked ever less often, down to this.
const LONGEST_MS: u64 = 15 * 60_000;

/// How the asking goes.
#[derive(Default)]
pub struct PollState {
    /// Numbers the questions; an answer to an earlier one is too late.
    question: u64,
    asking: bool,
    due_ns: u64,
    /// In a row.
    failures: u32,
    failures_total: u64,
    last_success_unix_ms: Option<u64>,
    error: Option<String>,
}

/// How it goes with what waits. A store that refuses is not asked four times a second, nor is a registry for its sake.
#[derive(Clone, Copy, Default)]
pub struct Backoff {
    /// In a row.
    failures: u32,
    until_ns: u64,
}

/// What could not begin is tried again after twice this, then after twice as long each time, up to half a minute.
const AGAIN_NS: u64 = 500_000_000;

impl Backoff {
    /// It was tried, and begun or not.
    pub fn note_try(&mut self, begun: bool, now_ns: u64) {
        self.failures = if begun { 0 } else { self.failures.saturating_add(1) };
        self.until_ns = now_ns.saturating_add(AGAIN_NS << self.failures.min(6));
    }

    /// Is it too early to try again?
    pub const fn is_waiting(self, now_ns: u64) -> bool {
        self.failures > 0 && now_ns < self.until_ns
    }
}

impl PollState {
    /// The asking of a trigger that was changed: due at once.
    pub fn after(before: &Self) -> Self {
        Self { question: before.question + 1, failures_total: before.failures_total, ..Self::default() }
    }

    /// The number of the last question.
    #[cfg(test)]
    pub const fn question(&self) -> u64 {
        self.question
    }

    /// The next question is due now, unless one is under way.
    pub fn poll_now(&mut self) {
        self.due_ns = 0;
    }

    pub fn view(&self, poll: &Poll) -> PollView {
        PollView {
            url: poll.url.clone(),
            every_ms: poll.every_ms,
            last_success_unix_ms: self.last_success_unix_ms,
            failures: self.failures,
            failures_total: self.failures_total,
            error: self.error.clone(),
        }
    }

    /// Takes an answer in; `chance` is from 0 to 1.
    fn take_answer<T>(&mut self, answer: &Result<T, String>, every_ms: u64, now: rollout::Now, chance: f64) {
        self.asking = false;
        match answer {
            Ok(_) => {
                self.failures = 0;
                self.error = None;
                self.last_success_unix_ms = Some(now.unix_ms);
            }
            Err(why) => {
                self.failures = self.failures.saturating_add(1);
                self.failures_total += 1;
                self.error = Some(why.clone());
            }
        }
        self.due_ns = now.monotonic_ns.saturating_add(wait_ms(every_ms, self.failures, chance) * NS_PER_MS);
    }
}

/// Until the next question. A tenth more or less, so that a hundred triggers do not ask all at once; twice as long
/// after each failure.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // minutes
fn wait_ms(every_ms: u64, failures: u32, chance: f64) -> u64 {
    let longest = LONGEST_MS.max(every_ms);
    let wait = every_ms.saturating_mul(1 << failures.min(10)).min(longest);
    (wait as f64 * (0.9 + 0.2 * chance)) as u64
}

/// From 0 to 1. The standard library's hashers are seeded by the system.
#[allow(clippy::cast_precision_loss)] // that is what a chance is
fn chance() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}

/// How a version that the registry names was first heard of.
fn heard_by(waited: Option<(String, String)>, version: &str) -> String {
    let same = waited.filter(|(waits, _)| waits == version);
    same.map_or_else(|| "its registry was asked".to_owned(), |(_, by)| by)
}

impl Engine {
    /// Asks the registries that are due, each with one question at a time; the answers come as reports.
    pub(super) fn ask_registries(&mut self) {
        let now_ns = clock::monotonic_ns();
        for (name, trigger) in &mut self.triggers {
            let polling = &mut trigger.polling;
            let asked = trigger.spec.mlflow.clone().filter(|mlflow| mlflow.poll.is_some());
            let Some(mlflow) = asked.filter(|_| !polling.asking && now_ns >= polling.due_ns) else {
                continue;
            };
            polling.asking = true;
            polling.question += 1;
            let (sources, reports, name) =
                (self.external.sources.clone(), self.external.reports.clone(), name.clone());
            let question = polling.question;
            tokio::spawn(async move {
                let said = sources.newest(&name, &mlflow).await;
                // The engine has gone: the next one asks again.
                let _ = reports.send(Report::Polled { name, question, said }).await;
            });
        }
    }

    /// A registry has answered.
    pub(in super::super) async fn take_polled(
        &mut self,
        name: &str,
        question: u64,
        said: Result<Option<String>, String>,
    ) {
        let Some(trigger) = self.triggers.get_mut(name) else { return };
        if trigger.polling.question != question {
            return;
        }
        let every_ms = trigger.spec.mlflow.as_ref().and_then(|mlflow| mlflow.poll.as_ref());
        let every_ms = every_ms.map_or(LONGEST_MS, |poll| poll.every_ms);
        trigger.polling.take_answer(&said, every_ms, clock::now(), chance());
        trigger.confirming &= said.is_err();
        let waited = trigger.pending.as_ref().map(|pending| (pending.version.clone(), pending.by.clone()));
        self.show_triggers();
        match said {
            Ok(Some(version)) => {
                match self.go(name, &version, &heard_by(waited, &version), NamedBy::Registry).await {
                    Ok(gone) if gone.triggered => {
                        tracing::info!(trigger = name, version, "{}", gone.message);
                    }
                    Ok(_) => {}
                    Err(refusal) => tracing::error!(trigger = name, version, "{}", refusal.text()),
                }
            }
            Ok(None) => {
                if let Err(refusal) =
                    self.take_back_word(name, "its registry was asked, and names no version", None)
                {
                    tracing::error!(trigger = name, "{}", refusal.text());
                }
            }
            Err(why) => tracing::warn!(trigger = name, "the registry gave no answer: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rollout::Now;

    use super::*;

    #[track_caller]
    fn check(every_ms: u64, failures: u32, chance: f64, expected_ms: u64) {
        assert_eq!(wait_ms(every_ms, failures, chance), expected_ms, "{every_ms} {failures} {chance}");
    }

    #[test]
    fn a_silent_registry_is_asked_ever_less_often() {
        check(60_000, 0, 0.5, 60_000);
        check(60_000, 0, 0.0, 54_000);
        check(60_000, 0, 1.0, 66_000);
        check(60_000, 1, 0.5, 120_000);
        check(60_000, 3, 0.5, 480_000);
        check(60_000, 4, 0.5, 900_000);
        check(60_000, u32::MAX, 0.5, 900_000);
        check(3_600_000, 7, 0.5, 3_600_000);
        assert!((0.0..=1.0).contains(&chance()));
    }

    #[test]
    fn an_answer_ends_the_failures_in_a_row_and_not_their_count() {
        let mut polling = PollState::default();
        let failed: Result<(), String> = Err("refused".into());
        polling.take_answer(&failed, 60_000, Now::at_ms(1_000), 0.5);
        polling.take_answer(&failed, 60_000, Now::at_ms(2_000), 0.5);
        assert_eq!((polling.failures, polling.due_ns), (2, 242_000 * NS_PER_MS));
        assert_eq!((polling.last_success_unix_ms, polling.error.as_deref()), (None, Some("refused")));
        polling.take_answer(&Ok(()), 60_000, Now::at_ms(5_000), 0.5);
        assert_eq!((polling.failures, polling.failures_total, polling.due_ns), (0, 2, 65_000 * NS_PER_MS));
        assert_eq!((polling.last_success_unix_ms, polling.error), (Some(5_000), None));
    }
}
