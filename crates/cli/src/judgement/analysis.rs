//! How several judgements are asked for: by options, or by the execution request that Kayenta's own API takes.

use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, bail};
use manifest::Span;
use serde::Deserialize;
use serde_json::Value;

use super::config::ScoreThresholds;
use super::foreign::{Form, IgnoredFields, Shape, one_object, strict, unwrapped};
use super::table::{Zone, moment};
use crate::client;

/// Options of several judgements.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Several judgements, as Kayenta's standalone analysis makes them")]
pub struct AnalysisOptions {
    /// Interval between judgements (analysisIntervalMins); every score must be above --marginal, and the last reach --pass
    #[arg(long, requires_all = ["config", "timestamp"])]
    interval: Option<Span>,
    /// Duration of the analysis (lifetimeDurationMins) [default: to the last row]
    #[arg(long, requires_all = ["config", "timestamp"])]
    lifetime: Option<Span>,
    /// Window of each judgement (lookbackMins); 0s: from the start, a growing window [default: 0s]
    #[arg(long, requires_all = ["config", "timestamp"])]
    lookback: Option<Span>,
    /// Warm-up at the beginning that is left out (beginAfterMins) [default: 0s]
    #[arg(long, requires_all = ["config", "timestamp"])]
    begin_after: Option<Span>,
    /// Time between two points; missing points then count as NaN [default: missing points are not known]
    #[arg(long, requires_all = ["config", "timestamp"])]
    step: Option<Span>,
    /// Kayenta's execution request (JSON) with all of these; command-line options take precedence
    #[arg(long, requires_all = ["config", "timestamp"])]
    execution: Option<PathBuf>,
}

/// What was asked for; times in milliseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Analysis {
    /// When it begins, in milliseconds since 1970; `None`: with the first row.
    pub start_ms: Option<f64>,
    /// `None`: as long as the rows last.
    pub lifetime_ms: Option<u64>,
    pub interval_ms: Option<u64>,
    pub lookback_ms: u64,
    pub begin_after_ms: u64,
    pub step_ms: Option<u64>,
    /// The control was measured this much earlier.
    pub control_offset_ms: u64,
    pub thresholds: Option<ScoreThresholds>,
    /// What of the request was left aside.
    pub notes: Vec<String>,
}

/// The file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Execution {
    #[serde(default)]
    scopes: Vec<Scope>,
    #[serde(default)]
    thresholds: Option<ScoreThresholds>,
    lifetime_duration_mins: Option<u64>,
    #[serde(default)]
    begin_after_mins: u64,
    #[serde(default)]
    lookback_mins: u64,
    analysis_interval_mins: Option<u64>,
}

const EXECUTION: Shape = Shape {
    decides: &[
        "scopes",
        "thresholds",
        "lifetimeDurationMins",
        "beginAfterMins",
        "lookbackMins",
        "analysisIntervalMins",
    ],
    aside: &[("siteLocal", Form::Object), ("metadata", Form::List)],
};

/// When metrics are asked for; whose they are is settled by the two files.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Scope {
    #[serde(default)]
    control_offset_in_minutes: u64,
    #[serde(default)]
    start_time_iso: Option<String>,
    #[serde(default)]
    end_time_iso: Option<String>,
    /// Seconds; Kayenta's default is a minute.
    #[serde(default = "minute")]
    step: u64,
}

const SCOPE: Shape = Shape {
    decides: &["controlOffsetInMinutes", "startTimeIso", "endTimeIso", "step"],
    aside: &[
        ("scopeName", Form::Text),
        ("controlScope", Form::Text),
        ("controlLocation", Form::Text),
        ("experimentScope", Form::Text),
        ("experimentLocation", Form::Text),
        ("extendedScopeParams", Form::Object),
    ],
};

const fn minute() -> u64 {
    60
}

const MINUTE_MS: u64 = 60_000;

impl AnalysisOptions {
    /// What was asked for; `None`: one judgement.
    pub fn asked(&self) -> Result<Option<Analysis>> {
        let given = [self.interval, self.lifetime, self.lookback, self.begin_after, self.step];
        if self.execution.is_none() && given.iter().all(Option::is_none) {
            return Ok(None);
        }
        let mut analysis = Analysis::default();
        if let Some(path) = &self.execution {
            let file = path.display().to_string();
            let (execution, note) = Execution::parse(&file, &client::read(path)?)?;
            analysis = execution.meant().with_context(|| file)?;
            analysis.notes.extend(note);
        }
        let ms = |span: Span| span.ms();
        analysis.interval_ms = self.interval.map(ms).or(analysis.interval_ms);
        analysis.lifetime_ms = self.lifetime.map(ms).or(analysis.lifetime_ms);
        analysis.lookback_ms = self.lookback.map_or(analysis.lookback_ms, ms);
        analysis.begin_after_ms = self.begin_after.map_or(analysis.begin_after_ms, ms);
        analysis.step_ms = self.step.map(ms).or(analysis.step_ms);
        for (option, value) in [("--interval", analysis.interval_ms), ("--step", analysis.step_ms)] {
            if value.is_some_and(|ms| ms < 1_000) {
                bail!("{option} must be a second or longer, such as 5m");
            }
        }
        Ok(Some(analysis))
    }
}

impl Execution {
    fn parse(file: &str, text: &str) -> Result<(Self, Option<String>)> {
        let mut whole = one_object(file, text)?;
        let (mut value, path) = match unwrapped(&mut whole) {
            Some([_, request]) => (request, "executionRequest"),
            None => (whole, ""),
        };
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let mut sieve = IgnoredFields::default();
        let mut sift = || {
            sieve.keep(&mut value, path, &EXECUTION)?;
            match value.get_mut("scopes") {
                Some(Value::Object(_)) => bail!(
                    "{} is an object, as in the request for one judgement; several take a list of scopes, so leave out \
                     --execution, or write scopes: [{{\"startTimeIso\": ..., \"endTimeIso\": ..., \"step\": 60}}]",
                    below("scopes")
                ),
                Some(Value::Array(scopes)) => scopes
                    .iter_mut()
                    .enumerate()
                    .try_for_each(|(at, scope)| sieve.keep(scope, &below(&format!("scopes[{at}]")), &SCOPE)),
                _ => Ok(()),
            }
        };
        sift().map_err(|error| anyhow!("{file}: {error}"))?;
        Ok((strict(file, path, value)?, sieve.note(file)))
    }

    fn meant(&self) -> Result<Analysis> {
        let Some(scope) = self.scopes.first() else {
            bail!("scopes is empty; Kayenta takes times and the step from the first scope, so give one");
        };
        let moment = |field: &str, text: &Option<String>| -> Result<Option<f64>> {
            let Some(text) = text else { return Ok(None) };
            match moment(text) {
                Ok((seconds, Zone::Said)) => Ok(Some(seconds * 1e3)),
                _ => bail!("scopes[0].{field} is {text:?}; write it as 2026-01-31T12:00:00Z"),
            }
        };
        let start_ms = moment("startTimeIso", &scope.start_time_iso)?;
        let end_ms = moment("endTimeIso", &scope.end_time_iso)?;
        let mut lifetime_ms = self.lifetime_duration_mins.map(|minutes| minutes.saturating_mul(MINUTE_MS));
        let mut begin_after_ms = self.begin_after_mins.saturating_mul(MINUTE_MS);
        match (start_ms, end_ms) {
            (Some(start), Some(end)) if end > start => {
                // With both ends given Kayenta waits before it begins, and leaves nothing out.
                begin_after_ms = 0;
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // whole minutes, above 0
                let minutes = ((end - start) / 60_000.0).floor() as u64;
                lifetime_ms = Some(minutes.saturating_mul(MINUTE_MS));
            }
            (Some(_), Some(_)) => {
                bail!("scopes[0].endTimeIso is not after startTimeIso; correct one of them")
            }
            (None, Some(_)) => bail!(
                "scopes[0].endTimeIso is given without startTimeIso; give both, or lifetimeDurationMins"
            ),
            (_, None) if lifetime_ms.is_none() => {
                bail!(
                    "neither lifetimeDurationMins nor scopes[0].endTimeIso is given; Kayenta asks for one of them"
                )
            }
            _ => {}
        }
        if scope.step == 0 {
            bail!("scopes[0].step is 0; give the seconds between two points, such as 60");
        }
        Ok(Analysis {
            start_ms,
            lifetime_ms,
            interval_ms: self.analysis_interval_mins.map(|minutes| minutes.saturating_mul(MINUTE_MS)),
            lookback_ms: self.lookback_mins.saturating_mul(MINUTE_MS),
            begin_after_ms,
            step_ms: Some(scope.step.saturating_mul(1_000)),
            control_offset_ms: scope.control_offset_in_minutes.saturating_mul(MINUTE_MS),
            thresholds: self.thresholds,
            notes: Vec::new(),
        })
    }
}

impl Analysis {
    /// Was the control measured at another time on purpose?
    pub const fn of_another_time(&self) -> bool {
        self.control_offset_ms > 0
    }
}
