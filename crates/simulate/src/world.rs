//! A world: stable's traffic, and how the canary differs.

use std::fmt;
use std::str::FromStr;

use manifest::{Metric, Plan};
use rollout::Interval;

use crate::Users;
use crate::shape::{BadTraffic, Beta, Figures, Latency, Shape, Times};

/// Stable's traffic.
#[derive(Clone, Debug, PartialEq)]
pub struct Traffic {
    /// Requests over all arms.
    pub requests_per_second: f64,
    /// Share of errors.
    pub error_rate: f64,
    /// Answer times.
    pub latency: Latency,
    /// Mean and standard deviation of the model's confidence, as parts of its range.
    pub confidence: (f64, f64),
    /// For two of every twenty minutes both versions have this share of errors instead.
    pub bursts: Option<f64>,
    /// Intervals of real traffic: rate, errors, times and confidence follow stable's in them, over and over, beginning
    /// anywhere. The figures above fill what they do not hold.
    pub recorded: Vec<Interval>,
    /// Users whose requests go together; `None`: each request is another user's.
    pub users: Option<Users>,
    /// One of two proxies reports nothing for so long in every minute, and takes new weights that late, in milliseconds.
    pub slow_proxy_ms: u64,
}

/// How the canary differs from stable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Harm {
    /// Errors, as a factor.
    pub errors: f64,
    /// Answer times, as a factor on each.
    pub slower: f64,
    /// Mean confidence, as a factor.
    pub confidence: f64,
    /// It begins this long after the canary got its first traffic.
    pub begins_ms: u64,
    /// And ends this long after; `None`: it stays.
    pub ends_ms: Option<u64>,
}

/// Text that is no harm; says what would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAHarm(String);

impl fmt::Display for NotAHarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no harm; write errors=x2, p99=+20% or confidence=-2%, with @10m for one that begins ten minutes in, or @0s..3m for one \
             that lasts three",
            self.0
        )
    }
}

impl std::error::Error for NotAHarm {}

impl Harm {
    /// No difference at all.
    pub const NONE: Self = Self { errors: 1.0, slower: 1.0, confidence: 1.0, begins_ms: 0, ends_ms: None };

    /// Is it there so long after the canary got its first traffic?
    pub(crate) fn lasts_at(&self, since_ms: u64) -> bool {
        since_ms >= self.begins_ms && self.ends_ms.is_none_or(|ends| since_ms < ends)
    }
}

impl FromStr for Harm {
    type Err = NotAHarm;

    fn from_str(text: &str) -> Result<Self, NotAHarm> {
        let wrong = || NotAHarm(text.to_owned());
        let ms = |span: &str| span.parse::<manifest::Span>().map(|span| span.ms()).map_err(|_| wrong());
        let (what, when) = text.split_once('@').unwrap_or((text, "0s"));
        let (begins_ms, ends_ms) = match when.split_once("..") {
            Some((begins, ends)) => (ms(begins)?, Some(ms(ends)?)),
            None => (ms(when)?, None),
        };
        if ends_ms.is_some_and(|ends| ends <= begins_ms) {
            return Err(wrong());
        }
        let (metric, change) = what.split_once('=').ok_or_else(wrong)?;
        let factor = if let Some(factor) = change.strip_prefix('x').or_else(|| change.strip_suffix('x')) {
            factor.parse::<f64>().ok()
        } else if let Some(part) = change.strip_suffix('%').filter(|part| part.starts_with(['+', '-'])) {
            part.parse::<f64>().ok().map(|part| 1.0 + part / 100.0)
        } else {
            None
        };
        let factor = factor.filter(|factor| *factor > 0.0 && factor.is_finite()).ok_or_else(wrong)?;
        let none = Self { begins_ms, ends_ms, ..Self::NONE };
        match metric {
            "errors" => Ok(Self { errors: factor, ..none }),
            "p99" | "latency" => Ok(Self { slower: factor, ..none }),
            "confidence" => Ok(Self { confidence: factor, ..none }),
            _ => Err(wrong()),
        }
    }
}

/// Everything that is drawn from.
#[derive(Clone, Debug)]
pub struct World {
    /// In one phrase.
    pub name: String,
    /// How the canary differs.
    pub harm: Harm,
    /// Should it be promoted? Set where the canary differs in nothing; a cold start is no harm either.
    pub healthy: bool,
    pub(crate) users: Option<Users>,
    /// Do users stay with a version?
    pub(crate) sticky: bool,
    pub(crate) slow_proxy_ms: u64,
    /// Shapes in turn, stable's and the canary's, each with its expected requests per second.
    moments: Vec<Moment>,
    /// How long each lasts.
    moment_ms: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Moment {
    pub per_second: f64,
    pub stable: Shape,
    pub canary: Shape,
}

impl World {
    /// Makes a world for a plan: what its gates measure is what is drawn.
    ///
    /// # Errors
    /// Figures that no traffic can have.
    pub fn new(
        name: impl Into<String>,
        plan: &Plan,
        traffic: &Traffic,
        harm: Harm,
    ) -> Result<Self, BadTraffic> {
        if !(traffic.requests_per_second > 0.0 && traffic.requests_per_second <= 100_000.0) {
            return Err(BadTraffic(format!(
                "{} requests a second: from above 0 up to 100000; for more, simulate a part of it",
                traffic.requests_per_second
            )));
        }
        if let Some(users) = traffic.users
            && !(users.requests_each >= 1.0
                && users.requests_each <= 1e6
                && users.prone > 0.0
                && users.prone <= 1.0)
        {
            return Err(BadTraffic(format!(
                "users with {} requests each, of whom {} have all the errors: from 1 request up, and above 0 % up to \
                 100 %",
                users.requests_each,
                notation::percent(users.prone, 3)
            )));
        }
        let base = figures(plan, traffic);
        let harmed = |base: &Figures<'_>| {
            Shape::new(&Figures {
                errors: base.errors * harm.errors,
                slower: harm.slower,
                confident: harm.confidence,
                ..*base
            })
        };
        let synthetic = |errors: f64| {
            let base = Figures { errors, ..base };
            Ok(Moment {
                per_second: traffic.requests_per_second,
                stable: Shape::new(&base)?,
                canary: if traffic.bursts == Some(errors) { Shape::new(&base)? } else { harmed(&base)? },
            })
        };
        let recorded = |interval: &Interval| {
            let all = [&interval.stable, &interval.canary, &interval.baseline].map(|counts| counts.assigned);
            let ms = interval.to_ms.saturating_sub(interval.from_ms).max(1);
            #[allow(clippy::cast_precision_loss)] // counts and times below 2^53
            let per_second = all.iter().sum::<u64>() as f64 * 1e3 / ms as f64;
            Ok(Moment {
                per_second,
                stable: Shape::of_recorded(interval, &Figures { errors: 1.0, ..base })?,
                canary: Shape::of_recorded(
                    interval,
                    &Figures { errors: harm.errors, slower: harm.slower, confident: harm.confidence, ..base },
                )?,
            })
        };
        let (moments, moment_ms) = match (traffic.recorded.as_slice(), traffic.bursts) {
            ([], None) => (vec![synthetic(traffic.error_rate)?], 1_000),
            ([], Some(burst)) => {
                let minute = |at: usize| synthetic(if at < 2 { burst } else { traffic.error_rate });
                ((0..20).map(minute).collect::<Result<_, BadTraffic>>()?, 60_000)
            }
            (intervals @ [first, ..], _) => {
                let ms = first.to_ms.saturating_sub(first.from_ms).max(1);
                (intervals.iter().map(recorded).collect::<Result<_, BadTraffic>>()?, ms)
            }
        };
        Ok(Self {
            name: name.into(),
            harm,
            healthy: harm == Harm::NONE,
            users: traffic.users,
            sticky: plan.is_sticky(),
            slow_proxy_ms: traffic.slow_proxy_ms,
            moments,
            moment_ms,
        })
    }

    /// Where in its turns a run may begin.
    pub(crate) fn turns(&self) -> usize {
        self.moments.len()
    }

    /// Does a proxy say nothing in the look that began at `ms`?
    pub(crate) const fn silent_at(&self, ms: u64) -> bool {
        ms % 60_000 < self.slow_proxy_ms
    }

    /// Requests a second, on average.
    #[allow(clippy::cast_precision_loss)] // a handful of moments, or a day of them
    pub(crate) fn per_second(&self) -> f64 {
        self.moments.iter().map(|moment| moment.per_second).sum::<f64>() / self.moments.len() as f64
    }

    /// The moment at `ms`, of a run that began at turn `begun`.
    #[allow(clippy::cast_possible_truncation)] // a remainder below the number of moments
    pub(crate) fn at(&self, ms: u64, begun: usize) -> Option<&Moment> {
        let turn = (ms / self.moment_ms + begun as u64) % self.moments.len() as u64;
        self.moments.get(turn as usize)
    }
}

fn figures<'a>(plan: &Plan, traffic: &Traffic) -> Figures<'a> {
    let metrics = plan.gates.iter().map(|gate| gate.metric()).chain(plan.guardrails.iter().map(|g| g.metric));
    let confident = metrics.into_iter().any(|metric| metric == Metric::ConfidenceMean);
    let range = plan.traffic.confidence.as_ref().map_or((0.0, 1.0), |c| (c.min, c.max));
    let (mean, sd) = traffic.confidence;
    let (min, max) = range;
    let confidence =
        confident.then_some(Beta { mean: min + mean * (max - min), sd: sd * (max - min), min, max });
    Figures {
        errors: traffic.error_rate,
        slower: 1.0,
        confident: 1.0,
        times: Times::Lognormal(traffic.latency),
        confidence,
        overdue_after_ms: plan.overdue_after_ms,
        groups: plan.traffic.count_groups,
    }
}
