//! What becomes of a request that reached a version.

use tally::Class;

use super::pods::{Fleet, Served};
use super::world::{CanaryDifference, RequestWorld};
use crate::Chance;

/// How soon the proxy, or a broken connection, answers.
const AT_ONCE_S: f64 = 0.002;
/// How long the proxy waits for a first try before it tries again.
const TRY_S: f64 = 2.0;

/// A request, as far as its fate depends on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    /// When.
    pub now_s: f64,
    /// Does it go to a version on trial?
    pub challenger: bool,
    /// Its own chance of an error, where that is not the world's.
    pub errors: Option<f64>,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fate {
    /// Seconds until something is heard of it.
    pub first_s: f64,
    /// Seconds until its end.
    pub end_s: f64,
    /// How it ended.
    pub class: Class,
    /// Did it take more than one try?
    pub retried: bool,
}

impl Fate {
    const fn at(seconds: f64, class: Class) -> Self {
        Self { first_s: seconds, end_s: seconds, class, retried: false }
    }

    /// The same, of a request that was tried again.
    const fn again(self, retried: bool) -> Self {
        Self { retried, ..self }
    }

    /// Draws it.
    pub(super) fn draw(world: &RequestWorld, sent: Sent, pods: &mut Fleet, chance: &mut Chance) -> Self {
        let answers = &world.answers;
        let differs = if sent.challenger { world.canary } else { CanaryDifference::NONE };
        if hits(answers.local, chance) {
            return Self::at(AT_ONCE_S, Class::Local);
        }
        let Served::After(slow, wait_s) = pods.serve(sent.now_s, chance) else {
            return Self::at(AT_ONCE_S, Class::Reset);
        };
        let early = if sent.now_s < answers.slow_until_s { answers.slow_by } else { 1.0 };
        let (fails, slower) = world.incident.at(sent.now_s, sent.challenger);
        let typical_s = answers.median_s * differs.times * slow * early * slower;
        let mut takes_s = typical_s * (answers.sigma * chance.normal()).exp() + wait_s;
        let (mut class, mut retried) = (Class::Ok, false);
        if hits(sent.errors.unwrap_or(answers.errors) * differs.errors, chance) {
            class = if answers.resets { Class::Reset } else { Class::ServerError };
            takes_s = if answers.resets { AT_ONCE_S } else { takes_s };
        } else if hits(fails, chance) {
            class = Class::ServerError;
        } else if hits(answers.timeouts * differs.timeouts, chance) || hits(differs.hangs, chance) {
            takes_s = f64::INFINITY;
        } else if hits(answers.retries, chance) {
            (takes_s, retried) = (takes_s + TRY_S, true);
        } else if hits(differs.retried, chance) {
            (takes_s, retried) = (takes_s + AT_ONCE_S, true);
        } else if takes_s > answers.try_s {
            let second_s = typical_s * (answers.sigma * chance.normal()).exp() + wait_s;
            (takes_s, retried) = (answers.try_s + second_s, true);
        }
        let patience_s =
            if hits(world.clients.impatient, chance) { world.clients.patience_s } else { f64::INFINITY };
        if takes_s > patience_s && patience_s < answers.timeout_s {
            return Self::at(patience_s, Class::Gone).again(retried);
        }
        if takes_s > answers.timeout_s {
            return Self::at(answers.timeout_s, Class::Timeout).again(retried);
        }
        if class == Class::Ok && hits(differs.cuts, chance) {
            return Self { first_s: takes_s, end_s: takes_s + AT_ONCE_S, class: Class::Reset, retried };
        }
        if class == Class::Ok && hits(answers.streams, chance) {
            // Half of them are websockets.
            let class = if chance.happens(0.5) { Class::Upgrade } else { Class::Ok };
            let end_s = takes_s + chance.exponential(answers.stream_s);
            return Self { first_s: takes_s, end_s, class, retried };
        }
        Self::at(takes_s, class).again(retried)
    }
}

/// Costs no chance where it never happens.
fn hits(probability: f64, chance: &mut Chance) -> bool {
    probability > 0.0 && chance.happens(probability)
}
