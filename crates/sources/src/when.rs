//! The time a figure is wanted of: now, and not before what is measured began.

use std::time::Duration;

/// Clocks that differ by less are not complained of, and answers are rounded and under way for as long.
const SLACK_MS: f64 = 10_000.0;
/// A value of the present is complained of from this age on: some servers round the moment they are asked for.
const PRESENT_MS: f64 = 30_000.0;
/// A time that is farther ahead than this is no matter of clocks that differ a little.
const AHEAD_MS: f64 = 60_000.0;

/// What time a figure is wanted of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct When {
    /// Now, in milliseconds since 1970.
    pub now_ms: u64,
    /// For how long before now what is measured has been so, in milliseconds; `None`: always. Earlier values are none of it.
    pub for_ms: Option<u64>,
    /// The time between two readings, in milliseconds: a value older than that is no reading of now.
    pub every_ms: u64,
}

/// A value's time, as far as it matters.
#[derive(Clone, Debug, PartialEq)]
pub enum SampleTime {
    /// It is one of now.
    Yes,
    /// It is none: why, as the end of a sentence.
    No(String),
}

impl When {
    /// The same, a while later.
    #[must_use]
    pub fn later(self, by: Duration) -> Self {
        let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        Self {
            now_ms: self.now_ms.saturating_add(by_ms),
            for_ms: self.for_ms.map(|ms| ms.saturating_add(by_ms)),
            ..self
        }
    }

    /// When what is measured began, in milliseconds since 1970.
    pub(crate) fn since_ms(self) -> u64 {
        self.for_ms.map_or(0, |ms| self.now_ms.saturating_sub(ms))
    }

    /// How old a value may be that stands for now, in milliseconds. `step_ms`: how far its source's values are apart.
    #[allow(clippy::cast_precision_loss)] // milliseconds
    pub(crate) fn oldest_ms(self, step_ms: f64) -> f64 {
        (self.every_ms as f64).max(SLACK_MS).max(3.0 * step_ms)
    }

    /// The same of a source that gives the one value of the present.
    pub(crate) fn oldest_present_ms(self) -> f64 {
        self.oldest_ms(0.0).max(PRESENT_MS)
    }

    /// Is a value of this moment (milliseconds since 1970) one of now? `oldest_ms`: how old it may be.
    ///
    /// # Errors
    /// When it is of a time to come.
    #[allow(clippy::cast_precision_loss)] // milliseconds since 1970
    pub(crate) fn timely(self, at_ms: f64, oldest_ms: f64) -> Result<SampleTime, String> {
        let age_ms = self.now_ms as f64 - at_ms;
        if age_ms < -AHEAD_MS {
            return Err(format!(
                "is of a time {} ahead of ours; compare the clocks, and the unit",
                span(-age_ms)
            ));
        }
        if age_ms > oldest_ms {
            return Ok(SampleTime::No(format!(
                "is {} old, and a reading is no older than {}",
                span(age_ms),
                span(oldest_ms)
            )));
        }
        if at_ms + SLACK_MS < self.since_ms() as f64 {
            return Ok(SampleTime::No(format!(
                "is {} old, from before what is measured began",
                span(age_ms)
            )));
        }
        Ok(SampleTime::Yes)
    }
}

/// "53m20s": a time in whole seconds, for people.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // not negative; saturates
fn span(ms: f64) -> String {
    manifest::Span::from_ms(((ms / 1_000.0).round() as u64).saturating_mul(1_000)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Ok(true)`: one of now; `Ok(false)`: no data; `Err`: an error.
    #[track_caller]
    fn check(when: When, at_ms: f64, step_ms: f64, expected: Result<bool, ()>) {
        let said = when.timely(at_ms, when.oldest_ms(step_ms));
        assert_eq!(
            said.as_ref().map(|timely| *timely == SampleTime::Yes).map_err(|_| ()),
            expected,
            "{said:?}"
        );
    }

    #[test]
    fn a_reading_is_of_now_and_of_what_is_measured() {
        let now_ms = 1_800_000_000_000;
        let when = When { now_ms, for_ms: Some(60_000), every_ms: 30_000 };
        #[allow(clippy::cast_precision_loss)] // milliseconds since 1970
        let ago = |seconds: f64| now_ms as f64 - seconds * 1e3;
        check(when, ago(0.0), 0.0, Ok(true));
        check(when, ago(30.0), 0.0, Ok(true));
        check(when, ago(31.0), 0.0, Ok(false));
        check(when, ago(3_000.0), 0.0, Ok(false));
        check(when, ago(50.0), 20_000.0, Ok(true));
        // Older than the stage, however seldom it is read.
        check(When { every_ms: 3_600_000, ..when }, ago(65.0), 0.0, Ok(true));
        check(When { every_ms: 3_600_000, ..when }, ago(71.0), 0.0, Ok(false));
        check(When { every_ms: 3_600_000, for_ms: None, ..when }, ago(3_500.0), 0.0, Ok(true));
        // Clocks differ a little; an hour is no such thing.
        check(when, ago(-5.0), 0.0, Ok(true));
        check(when, ago(-3_600.0), 0.0, Err(()));
    }
}
