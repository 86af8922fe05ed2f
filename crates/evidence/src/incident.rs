//! Trouble that both versions share is not the canary's.
//!
//! Beside each limit that the canary is held to while stable is at work, stable is held to it as well, look by look: a row
//! of short tests, each begun when the one before had its answer, so that an answer is of now and the end of an incident
//! need not outweigh its length. Where stable is proven beyond the limit, the canary is held to stable instead: what it
//! does worse is its own. Where stable's answer is missing or old, the limit is what it is without a stable.

use judge::JudgeError;
use judge::anytime::Scale;
use judge::gate::Span;
use manifest::{Limit, Metric, OnSharedIncident, Plan};
use serde::{Deserialize, Serialize};

use crate::measure::estimate;
use crate::test::Test;
use crate::words::value;
use crate::{Counts, Evidence, Interval, Look, UserClustering, test};

/// ln of 20: what is beyond a limit, or within it again, is so by odds of 20 to 1.
const HEIGHT: f64 = 2.996;

/// An answer is of now for so long, in milliseconds.
pub const FRESH_MS: u64 = 60_000;

/// Trouble of stable's at the canary's side, as one gate or guardrail sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    /// Is it a guardrail's, not a gate's?
    pub guardrail: bool,
    /// The gate's or guardrail's name.
    pub name: String,
    /// Is the canary in it, too?
    pub both: bool,
    /// Was stable in it before the canary had a request, and is no worse since, so that the canary is not its cause?
    pub older: bool,
    /// Was stable in it before, and is worse since?
    pub grown: bool,
    /// One clause, with figures.
    pub why: String,
}

/// Both versions against one limit, and the canary against stable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SharedTrouble {
    stable: Side,
    canary: Side,
    /// The canary beyond stable by more than equal versions differ.
    worse: Option<Test>,
    /// Stable was beyond the limit before the canary had a request, and has been since.
    older: bool,
    /// What it showed then.
    before: Counts,
    /// Did it look like that then, with nothing proven?
    leans: bool,
    /// Stable now, against what it showed then.
    growth: Option<Test>,
    /// Stable became worse than it was then: the canary may be the cause of that.
    grown: bool,
    /// Of the last look with a stable beside it.
    age_ms: Option<u64>,
}

/// One version against the limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Side {
    test: Option<Test>,
    /// Is it beyond? `None`: no test has answered yet.
    beyond: Option<bool>,
    /// When a test last answered.
    answered_age_ms: u64,
    /// Was it ever within?
    was_within: bool,
    /// What it showed since it is beyond.
    since: Counts,
}

/// What the limit is, and how it is tested.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Of which metric.
    pub metric: Metric,
    /// The limit whose other side is harm.
    pub limit: f64,
    /// The range of means.
    pub scale: Scale,
    /// How much requests of one user, or of one moment, go together.
    pub deff: f64,
}

impl Side {
    fn observe(&mut self, asked: Asked, counts: &Counts, look: Look) -> Result<(), JudgeError> {
        let limit = || Test::limit(asked.metric, Limit::of(asked.limit), asked.scale);
        let mut test = match self.test.take() {
            Some(test) => test,
            None => limit()?,
        };
        test.temper(asked.deff)?;
        test.observe(counts, &Counts::default(), Span { ms: look.span_ms, of_stage: true })?;
        let answers = test.answers();
        let answer = if answers.harm >= HEIGHT {
            Some(true)
        } else if answers.no_harm >= HEIGHT {
            Some(false)
        } else {
            None
        };
        if answer.is_some() {
            (self.beyond, self.answered_age_ms) = (answer, look.age_ms);
            self.was_within |= answer == Some(false);
        } else {
            self.test = Some(test);
        }
        if self.beyond == Some(true) {
            self.since.add(counts);
            self.since.groups = None;
        } else {
            self.since = Counts::default();
        }
        Ok(())
    }

    fn is_beyond(&self, age_ms: u64) -> bool {
        self.beyond == Some(true) && age_ms.saturating_sub(self.answered_age_ms) <= FRESH_MS
    }

    fn words(&self, metric: Metric, whose: &str) -> String {
        match estimate(metric, &self.since) {
            (Some(seen), n) => format!("{} of {n} {whose}", value(metric, seen)),
            (None, _) => format!("unknown of {whose}"),
        }
    }
}

impl SharedTrouble {
    /// Adds what both showed at the same moments. Says whether trouble that both had is over: what was gathered against the
    /// canary meanwhile is void.
    pub fn observe(
        &mut self,
        asked: Asked,
        canary: &Counts,
        stable: &Counts,
        look: Look,
    ) -> Result<bool, JudgeError> {
        let shared = self.is_shared();
        self.stable.observe(asked, stable, look)?;
        self.canary.observe(asked, canary, look)?;
        let worse = match &mut self.worse {
            Some(worse) => worse,
            None => self.worse.insert(Test::worse(asked.metric, asked.limit, asked.scale)?),
        };
        worse.temper(asked.deff)?;
        worse.observe(canary, stable, Span { ms: look.span_ms, of_stage: false })?;
        self.age_ms = Some(look.age_ms);
        self.compare_with_before(asked, stable, look)?;
        Ok(shared && self.stable.beyond == Some(false))
    }

    /// The same before the canary has a request.
    pub fn observe_before(&mut self, asked: Asked, stable: &Counts, look: Look) -> Result<(), JudgeError> {
        self.stable.observe(asked, stable, look)?;
        self.older = self.stable.beyond == Some(true);
        if self.older {
            self.before.clone_from(&self.stable.since);
        } else {
            self.before.add(stable);
            self.before.groups = None;
        }
        let seen = estimate(asked.metric, &self.before).0;
        let beyond = |seen: f64| match asked.metric.larger_is_worse() {
            true => seen > asked.limit,
            false => seen < asked.limit,
        };
        self.leans = self.stable.beyond.is_none() && seen.is_some_and(beyond);
        Ok(())
    }

    /// Does stable look as if it were beyond, before anything is proven?
    pub const fn leans(&self) -> bool {
        self.leans
    }

    /// Older trouble is the canary's business, too, once it is worse than it was.
    fn compare_with_before(&mut self, asked: Asked, stable: &Counts, look: Look) -> Result<(), JudgeError> {
        if self.stable.beyond != Some(true) {
            (self.older, self.grown) = (false, false);
        }
        if !self.older || self.grown {
            (self.before, self.growth) = (Counts::default(), None);
            return Ok(());
        }
        if self.growth.is_none() {
            let before = estimate(asked.metric, &self.before).0;
            self.growth = Test::grown(asked.metric, asked.limit, before, asked.scale);
        }
        let Some(growth) = &mut self.growth else { return Ok(()) };
        growth.temper(asked.deff)?;
        growth.observe(stable, &Counts::default(), Span { ms: look.span_ms, of_stage: false })?;
        self.grown = growth.answers().harm >= HEIGHT;
        Ok(())
    }

    /// No stable is beside the canary: nothing is shared.
    pub fn alone(&mut self) {
        if self.age_ms.is_some() {
            *self = Self::default();
        }
    }

    /// A stage begins: more is staked on it.
    pub fn begin_stage(&mut self) {
        self.worse.iter_mut().for_each(Test::begin_stage);
    }

    /// Is stable beyond the limit now? Then the canary is held to stable.
    pub fn is_excuse(&self) -> bool {
        self.age_ms.is_some_and(|age_ms| self.stable.is_beyond(age_ms))
    }

    /// Are both beyond it now?
    fn is_shared(&self) -> bool {
        self.is_excuse() && self.age_ms.is_some_and(|age_ms| self.canary.is_beyond(age_ms))
    }

    /// What is to be said of a canary that is found beyond a limit that stable breaks as well.
    pub fn beyond_stable(&self, metric: Metric) -> String {
        if !self.is_excuse() {
            return String::new();
        }
        format!(
            "; stable is beyond it, too, at {}, and the canary is worse",
            self.stable.words(metric, "requests")
        )
    }

    /// ln of the evidence that the canary is worse than stable.
    pub fn worse(&self) -> f64 {
        self.worse.as_ref().map_or(0.0, |worse| worse.answers().harm)
    }

    /// The trouble there is: of both; or of stable alone where it is news, for a version that is rolled out to mend what
    /// stable has been doing all along must not wait for stable. `news`: the same for trouble of both.
    pub fn incident(&self, (guardrail, name): (bool, &str), asked: Asked, news: bool) -> Option<Incident> {
        let both = self.is_shared();
        if !self.is_excuse() || !(self.stable.was_within || both && !news) {
            return None;
        }
        let metric = asked.metric;
        let side = if metric.larger_is_worse() { "above" } else { "below" };
        let whose = if both { "both versions are" } else { "stable is" };
        let stable = self.stable.words(metric, "stable requests");
        let canary = self.canary.words(metric, "canary requests");
        let canary = if both { format!(", {canary}") } else { String::new() };
        let why =
            format!("{whose} {side} {}: {} is {stable}{canary}", value(metric, asked.limit), metric.name());
        let (older, grown) = (self.older && !self.grown, self.grown);
        Some(Incident { guardrail, name: name.to_owned(), both, older, grown, why })
    }
}

/// Does this plan bear what stable bears?
pub fn is_asked(plan: &Plan) -> bool {
    plan.rollback.shared_incident.action == OnSharedIncident::Hold
}

impl Evidence {
    /// What stable shows before the canary has a request.
    pub fn observe_before(&mut self, plan: &Plan, interval: &Interval, look: Look) {
        if !is_asked(plan) {
            return;
        }
        let mut stable = interval.stable.clone();
        stable.add(&interval.baseline);
        let scale = test::scale(plan);
        for (guardrail, evidence) in plan.guardrails.iter().zip(&mut self.guardrails) {
            evidence.look_aside(guardrail, (None, &stable), (scale, 1.0), look, true);
        }
        for (gate, evidence) in plan.gates.iter().zip(&mut self.gates) {
            evidence.look_aside(gate, (None, &stable), (scale, UserClustering::NONE), look, true);
        }
    }

    /// The first limit that stable seems to break before the canary has a request, while nothing is proven.
    #[must_use]
    pub fn leans_before<'a>(&self, plan: &'a Plan) -> Option<&'a str> {
        if !is_asked(plan) {
            return None;
        }
        let rails = plan.guardrails.iter().zip(&self.guardrails);
        let rails = rails.filter(|(_, evidence)| evidence.stable_leans()).map(|(rail, _)| &rail.name);
        let gates = plan.gates.iter().zip(&self.gates);
        let gates = gates.filter(|(gate, evidence)| gate.hard && evidence.stable_leans());
        rails.chain(gates.map(|(gate, _)| &gate.name)).next().map(String::as_str)
    }

    /// Trouble that stable has now, at `age_ms` on the run's own clock, that of both versions first.
    #[must_use]
    pub fn incidents(&self, plan: &Plan, age_ms: u64) -> Vec<Incident> {
        if !is_asked(plan) {
            return Vec::new();
        }
        let scale = test::scale(plan);
        let rails = plan.guardrails.iter().zip(&self.guardrails);
        let rails = rails.filter_map(|(guardrail, evidence)| evidence.incident(guardrail, scale, age_ms));
        let gates = plan.gates.iter().zip(&self.gates);
        let gates = gates.filter_map(|(gate, evidence)| evidence.incident(gate, scale));
        let mut all: Vec<Incident> = rails.chain(gates).collect();
        all.sort_by_key(|incident| !incident.both);
        all
    }
}
