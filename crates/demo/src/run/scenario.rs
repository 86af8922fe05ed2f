//! What happens to the new version in each scenario.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;

use crate::model::{Behaviour, ModelKind};

/// How good version v2 is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scenario {
    /// As good as v1: promoted, handed back, and the rollout of v3 begins.
    Good,
    /// Its 5xx share trebles during the second stage.
    Errors,
    /// Its p99 latency is 50 % higher; the median is the same.
    Slow,
    /// Its answers are valid, but of low confidence.
    Unsure,
    /// It stops answering during the second stage.
    Hang,
    /// Chats: each token takes twice as long, and answers are half as long, so that they are there as soon as v1's.
    Tokens,
    /// Chats: it refuses three times as often.
    Refusals,
}

impl Scenario {
    /// What the models are, unless somebody asks for another kind.
    pub fn kind(self) -> ModelKind {
        match self {
            Self::Good | Self::Errors | Self::Slow | Self::Unsure | Self::Hang => ModelKind::Predict,
            Self::Tokens | Self::Refusals => ModelKind::Chat,
        }
    }

    /// How v2 behaves when the rollout begins.
    pub fn canary_at_first(self, version: &str, seed: u64) -> Behaviour {
        let healthy = Behaviour::healthy(version, seed);
        match self {
            Self::Good | Self::Errors | Self::Hang => healthy,
            Self::Slow => Behaviour { tail_multiplier: 1.5, ..healthy },
            Self::Unsure => Behaviour { confidence_mean: 0.75, ..healthy },
            // The same time for all tokens together.
            Self::Tokens => {
                let (tokens_mean, token_ms) = (healthy.tokens_mean / 2.0, healthy.token_ms * 2.0);
                Behaviour { tokens_mean, token_ms, ..healthy }
            }
            Self::Refusals => Behaviour { refusal_share: 3.0 * healthy.refusal_share, ..healthy },
        }
    }

    /// How it behaves once the second stage has begun, when that differs.
    pub fn canary_later(self, version: &str, seed: u64) -> Option<Behaviour> {
        let healthy = Behaviour::healthy(version, seed);
        match self {
            Self::Good | Self::Slow | Self::Unsure | Self::Tokens | Self::Refusals => None,
            Self::Errors => Some(Behaviour { error_share: 3.0 * healthy.error_share, ..healthy }),
            Self::Hang => Some(Behaviour { hang_share: 1.0, ..healthy }),
        }
    }

    /// The scenario in one line.
    pub fn in_words(self) -> String {
        let when = if self.canary_later("v2", 0).is_some() { "in the second stage " } else { "" };
        format!("{when}{}", self.what_v2_does())
    }

    /// What is different about v2.
    pub fn what_v2_does(self) -> &'static str {
        match self {
            Self::Good => "v2 is as good as v1",
            Self::Errors => "v2 begins to answer three times as often with 5xx",
            Self::Slow => "v2's slowest tenth takes 50 % longer",
            Self::Unsure => "v2 is less sure of its answers, mean confidence 0.75 instead of 0.85",
            Self::Hang => "v2 stops answering",
            Self::Tokens => {
                "v2 takes twice as long for each token of half as many, so its answers are as fast"
            }
            Self::Refusals => "v2 refuses three times as many questions, with a status of 200",
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Good => "good",
            Self::Errors => "errors",
            Self::Slow => "slow",
            Self::Unsure => "unsure",
            Self::Hang => "hang",
            Self::Tokens => "tokens",
            Self::Refusals => "refusals",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(scenario: Scenario, changes_later: bool) {
        scenario.canary_at_first("v2", 1).validate().unwrap();
        let later = scenario.canary_later("v2", 1);
        assert_eq!(later.is_some(), changes_later, "{scenario}");
        let worst = later.unwrap_or_else(|| scenario.canary_at_first("v2", 1));
        worst.validate().unwrap();
        assert_eq!(worst == Behaviour::healthy("v2", 1), scenario == Scenario::Good, "{scenario}");
        assert_eq!(serde_json::to_value(scenario).unwrap(), scenario.to_string());
    }

    #[test]
    fn every_scenario_but_one_is_worse_than_healthy() {
        check(Scenario::Good, false);
        check(Scenario::Errors, true);
        check(Scenario::Slow, false);
        check(Scenario::Unsure, false);
        check(Scenario::Hang, true);
        check(Scenario::Tokens, false);
        check(Scenario::Refusals, false);
    }
}
