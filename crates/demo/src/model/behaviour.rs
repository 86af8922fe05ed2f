//! How well a sample model works, and what that makes of one request.

use std::time::Duration;

use rand_distr::{Beta, Distribution, StandardNormal, StandardUniform};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::chance;

/// The quality of a sample model. Any field may change while the server runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// What `x-model-version` and `/version` say.
    pub version: String,
    /// With the request id, the only source of chance.
    pub seed: u64,
    /// Share of requests answered with 500 (gRPC: status 13), 0 to 1.
    pub error_share: f64,
    /// Median of the lognormal time to answer, in milliseconds.
    pub latency_median_ms: f64,
    /// Sigma of its logarithm.
    pub latency_sigma: f64,
    /// The slowest tenth of requests takes this many times as long: p99 moves, the median does not.
    pub tail_multiplier: f64,
    /// Mean of the confidence reported with each prediction, 0 to 1.
    pub confidence_mean: f64,
    /// Share of requests never answered at all, 0 to 1.
    pub hang_share: f64,
    /// How far predictions have moved towards 0: scores, uniform without it, are raised to 1 + this.
    pub drift: f64,
    /// Mean number of tokens of a chat's answer.
    pub tokens_mean: f64,
    /// How long a token takes after the first, in milliseconds.
    pub token_ms: f64,
    /// Share of chats that are refused, 0 to 1.
    pub refusal_share: f64,
}

/// What becomes of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// A prediction.
    Answer,
    /// A server error.
    Fail,
    /// No answer, until the client gives up.
    Hang,
}

/// Everything chance decides about one request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    /// What becomes of it.
    pub fate: Fate,
    /// How long the model takes.
    pub latency: Duration,
    /// How sure the model is, 0 to 1.
    pub confidence: f64,
    /// The prediction itself, 0 to 1.
    pub score: f64,
    /// How many tokens a chat's answer has, and how long each takes after the first.
    pub tokens: u32,
    /// See `tokens`.
    pub token_time: Duration,
    /// Whether a chat is refused.
    pub refuses: bool,
}

impl Draw {
    /// What the score stands for.
    pub fn label(&self) -> &'static str {
        match self.score {
            score if score < 0.5 => "shoes",
            score if score < 0.8 => "bags",
            _ => "hats",
        }
    }
}

/// A behaviour that no server can have.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum InvalidBehaviour {
    /// A share or mean outside its range.
    #[error("{field} is {value}; it must be from 0 to 1")]
    Share {
        /// The field.
        field: &'static str,
        /// What was given.
        value: f64,
    },
    /// A time or multiplier that is not a positive number.
    #[error("{field} is {value}; it must be a positive number below 100000")]
    Positive {
        /// The field.
        field: &'static str,
        /// What was given.
        value: f64,
    },
    /// A version that cannot stand in a header or a policy.
    #[error("version {0:?}: use 1 to 63 letters, digits, '.', '_' or '-'")]
    Version(String),
}

/// z of the slowest tenth.
const TAIL_Z: f64 = 1.281_551_565_544_6;

/// alpha + beta of the confidence's Beta distribution: at mean 0.85 its standard deviation is 0.078.
const CONFIDENCE_WEIGHT: f64 = 20.0;

/// Sigma of the logarithm of an answer's length.
const LENGTH_SIGMA: f64 = 0.5;

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            version: "v1".to_owned(),
            seed: 1,
            error_share: 0.02,
            latency_median_ms: 8.0,
            latency_sigma: 0.4,
            tail_multiplier: 1.0,
            confidence_mean: 0.85,
            hang_share: 0.0,
            drift: 0.0,
            tokens_mean: 20.0,
            token_ms: 4.0,
            refusal_share: 0.02,
        }
    }
}

impl Behaviour {
    /// A healthy model of this version.
    pub fn healthy(version: &str, seed: u64) -> Self {
        Self { version: version.to_owned(), seed, ..Self::default() }
    }

    /// A model that never errs and answers at once: for tests of everything but the model.
    pub fn plain(version: &str) -> Self {
        Self {
            version: version.to_owned(),
            error_share: 0.0,
            latency_median_ms: 0.001,
            latency_sigma: 0.0,
            ..Self::default()
        }
    }

    /// Whether a server can behave so.
    ///
    /// # Errors
    /// Names the field, its value and its range.
    pub fn validate(&self) -> Result<(), InvalidBehaviour> {
        let version_is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !(1..=63).contains(&self.version.len()) || !self.version.bytes().all(version_is_plain) {
            return Err(InvalidBehaviour::Version(self.version.clone()));
        }
        for (field, value) in [
            ("error_share", self.error_share),
            ("confidence_mean", self.confidence_mean),
            ("hang_share", self.hang_share),
            ("refusal_share", self.refusal_share),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return Err(InvalidBehaviour::Share { field, value });
            }
        }
        for (field, value) in [
            ("latency_median_ms", self.latency_median_ms),
            ("tail_multiplier", self.tail_multiplier),
            ("tokens_mean", self.tokens_mean),
            ("token_ms", self.token_ms),
            ("1 + drift", 1.0 + self.drift),
        ] {
            if !(value > 0.0 && value < 100_000.0) {
                return Err(InvalidBehaviour::Positive { field, value });
            }
        }
        if !(0.0..=3.0).contains(&self.latency_sigma) {
            return Err(InvalidBehaviour::Positive {
                field: "latency_sigma (0 to 3)",
                value: self.latency_sigma,
            });
        }
        Ok(())
    }

    /// What becomes of a request. The draws are made in a fixed order from the seed and the id alone, so a worse
    /// behaviour fails the same requests as a better one, and more.
    pub fn draw(&self, request_id: &str) -> Draw {
        let mut chance = chance::generator(self.seed, request_id);
        let hang: f64 = StandardUniform.sample(&mut chance);
        let error: f64 = StandardUniform.sample(&mut chance);
        let score: f64 = StandardUniform.sample(&mut chance);
        let z: f64 = StandardNormal.sample(&mut chance);
        let tail = if z > TAIL_Z { self.tail_multiplier } else { 1.0 };
        let latency_ms =
            (self.latency_median_ms * (self.latency_sigma * z).exp() * tail).clamp(0.0, 600_000.0);
        let confidence = Beta::new(
            self.confidence_mean * CONFIDENCE_WEIGHT,
            (1.0 - self.confidence_mean) * CONFIDENCE_WEIGHT,
        )
        // A mean of exactly 0 or 1 has no Beta distribution: it is that number, always.
        .map_or(self.confidence_mean, |beta| beta.sample(&mut chance));
        // Whoever draws more draws it here: what was drawn above stays as it was.
        let refusal: f64 = StandardUniform.sample(&mut chance);
        let length: f64 = StandardNormal.sample(&mut chance);
        let tokens = (self.tokens_mean * (LENGTH_SIGMA * length - LENGTH_SIGMA * LENGTH_SIGMA / 2.0).exp())
            .round()
            .clamp(1.0, 10_000.0) as u32;
        let fate = if hang < self.hang_share {
            Fate::Hang
        } else if error < self.error_share {
            Fate::Fail
        } else {
            Fate::Answer
        };
        Draw {
            fate,
            latency: Duration::from_secs_f64(latency_ms / 1000.0),
            confidence,
            score: score.powf(1.0 + self.drift),
            tokens,
            token_time: Duration::from_secs_f64(self.token_ms / 1000.0),
            refuses: refusal < self.refusal_share,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(behaviour: &Behaviour) -> Vec<Draw> {
        (0..20_000).map(|n| behaviour.draw(&format!("7-{n}"))).collect()
    }

    fn share(draws: &[Draw], fate: Fate) -> f64 {
        draws.iter().filter(|draw| draw.fate == fate).count() as f64 / draws.len() as f64
    }

    fn quantile_ms(draws: &[Draw], q: f64) -> f64 {
        let mut ms: Vec<f64> = draws.iter().map(|draw| draw.latency.as_secs_f64() * 1000.0).collect();
        ms.sort_by(f64::total_cmp);
        ms[(q * ms.len() as f64) as usize]
    }

    #[track_caller]
    fn check_near(what: &str, got: f64, expected: f64, tolerance: f64) {
        assert!((got - expected).abs() <= tolerance, "{what}: {got}, expected {expected} ± {tolerance}");
    }

    #[test]
    fn a_request_id_decides_everything() {
        let healthy = Behaviour::healthy("v1", 3);
        assert_eq!(healthy.draw("3-17"), healthy.draw("3-17"));
        assert_ne!(healthy.draw("3-17").latency, healthy.draw("3-18").latency);
        assert_ne!(healthy.draw("3-17").latency, Behaviour::healthy("v1", 4).draw("3-17").latency);
    }

    /// These numbers are the promise that a run repeats after an upgrade of the libraries behind [`Behaviour::draw`].
    #[test]
    fn golden_draw() {
        let draw = Behaviour::healthy("v1", 1).draw("1-0");
        assert_eq!(
            format!("{:?} {:.4} {:.4}", draw.fate, draw.latency.as_secs_f64() * 1e3, draw.confidence),
            "Answer 6.8836 0.9664"
        );
    }

    #[test]
    fn shares_medians_and_tails_are_as_asked() {
        let healthy = draws(&Behaviour::healthy("v1", 1));
        check_near("errors", share(&healthy, Fate::Fail), 0.02, 0.003);
        check_near("hangs", share(&healthy, Fate::Hang), 0.0, 0.0);
        check_near("median", quantile_ms(&healthy, 0.5), 8.0, 0.2);
        check_near("p99", quantile_ms(&healthy, 0.99), 20.3, 1.2);
        let mean = healthy.iter().map(|draw| draw.confidence).sum::<f64>() / healthy.len() as f64;
        check_near("confidence", mean, 0.85, 0.003);

        let slow = draws(&Behaviour { tail_multiplier: 1.5, ..Behaviour::healthy("v2", 1) });
        check_near("slow median", quantile_ms(&slow, 0.5), quantile_ms(&healthy, 0.5), 1e-9);
        check_near("slow p99", quantile_ms(&slow, 0.99), 1.5 * quantile_ms(&healthy, 0.99), 1e-6);
        let hanging = draws(&Behaviour { hang_share: 1.0, ..Behaviour::healthy("v2", 1) });
        check_near("hanging", share(&hanging, Fate::Hang), 1.0, 0.0);
        let tokens = |behaviour| {
            let draws = draws(&behaviour);
            draws.iter().map(|draw| f64::from(draw.tokens)).sum::<f64>() / draws.len() as f64
        };
        check_near("tokens", tokens(Behaviour::healthy("v1", 1)), 20.0, 0.3);
        let chatty = Behaviour { tokens_mean: 40.0, ..Behaviour::healthy("v2", 1) };
        check_near("twice as many", tokens(chatty), 40.0, 0.6);
        let refused = healthy.iter().filter(|draw| draw.refuses).count() as f64 / healthy.len() as f64;
        check_near("refusals", refused, 0.02, 0.003);
        let shoes = |draws: &[Draw]| {
            draws.iter().filter(|draw| draw.label() == "shoes").count() as f64 / draws.len() as f64
        };
        check_near("shoes", shoes(&healthy), 0.5, 0.01);
        let moved = Behaviour { drift: 0.5, ..Behaviour::healthy("v2", 1) };
        check_near("shoes, moved", shoes(&self::draws(&moved)), 0.63, 0.01);
        let sure = Behaviour { confidence_mean: 1.0, ..Behaviour::healthy("v2", 1) }.draw("a");
        check_near("sure", sure.confidence, 1.0, 0.0);
    }

    #[test]
    fn a_worse_model_fails_the_same_requests_and_more() {
        let good = Behaviour::healthy("v1", 1);
        let bad = Behaviour { error_share: 0.08, ..good.clone() };
        for (good, bad) in draws(&good).iter().zip(draws(&bad)) {
            assert!(good.fate != Fate::Fail || bad.fate == Fate::Fail);
            assert_eq!(good.latency, bad.latency);
        }
    }

    #[track_caller]
    fn check_invalid(behaviour: Behaviour, expected: &str) {
        assert_eq!(behaviour.validate().unwrap_err().to_string(), expected);
    }

    #[test]
    fn nonsense_is_refused_by_field() {
        let healthy = Behaviour::default();
        assert_eq!(healthy.validate(), Ok(()));
        assert_eq!(Behaviour::plain("v9").validate(), Ok(()));
        check_invalid(
            Behaviour { error_share: 1.5, ..healthy.clone() },
            "error_share is 1.5; it must be from 0 to 1",
        );
        check_invalid(
            Behaviour { latency_median_ms: 0.0, ..healthy.clone() },
            "latency_median_ms is 0; it must be a positive number below 100000",
        );
        check_invalid(
            Behaviour { version: "v 2".to_owned(), ..healthy },
            "version \"v 2\": use 1 to 63 letters, digits, '.', '_' or '-'",
        );
    }
}
