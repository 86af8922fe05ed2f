//! What a version was when it was promoted, and whether it stays so.
//!
//! ```text
//! what the canary showed --> [ Baseline ] --> a limit per gate --> stable's counts, held to it, look by look
//! ```
//!
//! There is no other version to compare with after the promotion, so the comparison is with fixed limits: the gate's
//! margin from the worst value the baseline leaves possible. Half of the watch's alpha is spent on that bound, once (it
//! is proven as a stage is passed, by [`evidence::proven`]), the other half on the tests against the limits, in
//! each week. If the bounds hold, a version that stays within its margin is within its limits, so by the union bound at
//! most alpha of all first weeks hold a false word. The tests are those of guardrails.

mod view;

use manifest::{Guardrail, Metric, Plan, Room, Watch};
use serde::{Deserialize, Serialize};

use crate::{Counts, Now, State};
use evidence::{
    Effects, Groups, GuardrailEvidence, UserClustering, at_margin, digits, estimate, proven, scale, value,
};

pub use view::{GateStanding, GateWatchView, UnwatchedView, WatchStanding, WatchView};

/// Requests that make a baseline: with fewer its own uncertainty takes more room than the usual margin.
const ENOUGH: u64 = 3_000;

/// What it shows now is what it showed in so much time, in milliseconds.
const RECENT_MS: u64 = 600_000;

/// The watch begins anew so often, in milliseconds: a test that has seen months of health finds harm late.
pub(crate) const ANEW_MS: u64 = 7 * 86_400_000;

/// A version's counters from the end of its rollout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// The version.
    pub version: String,
    /// When the first of its stages began, in milliseconds since 1970.
    pub from_unix_ms: u64,
    /// When it was promoted, in milliseconds since 1970.
    pub to_unix_ms: u64,
    /// Its last so many stages are in it.
    pub stages: usize,
    /// What it showed in them, from the quorum's moment on.
    pub counts: Counts,
}

/// A promoted version, watched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watching {
    /// When it was promoted.
    pub since: Now,
    /// The same on the run's own clock.
    pub since_age_ms: u64,
    /// When its evidence began, on the run's own clock.
    pub anew_age_ms: u64,
    /// When the last trustworthy counts came, on the run's own clock.
    pub counts_age_ms: u64,
    /// What is held to what.
    pub gates: Vec<GateWatch>,
    /// Gates that are not watched, each with the reason.
    pub left_out: Vec<Unwatched>,
    /// How requests of one user go together.
    users: Groups,
    /// What it showed lately.
    recent: Recent,
    /// The person who stopped it, until it is resumed.
    pub paused_by: Option<String>,
    /// Its end.
    pub ended: Option<WatchEnded>,
}

/// The end of a watch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchEnded {
    /// When.
    pub at: Now,
    /// The same on the run's own clock.
    pub age_ms: u64,
    /// Why, in a few words.
    pub why: String,
}

/// One gate, held to a limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateWatch {
    /// The gate's name and metric, and the limit.
    pub limit: Guardrail,
    /// What the baseline showed, and how many requests that rests on.
    pub was: Option<f64>,
    /// See [`Self::was`].
    pub was_n: u64,
    /// What was seen since it began, or since it was last proven to be out of its limit.
    evidence: GuardrailEvidence,
    /// It is out of its limit.
    pub drift: Option<Drift>,
}

/// A value out of its limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// When that was proven.
    pub since: Now,
    /// One clause.
    pub why: String,
}

/// A gate that is not watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unwatched {
    /// Its name.
    pub name: String,
    /// Why.
    pub why: String,
}

/// What a look changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// A gate is proven out of its limit.
    Drifts { gate: String, why: String },
    /// A gate is proven within its limit again.
    Recovers { gate: String, why: String },
}

/// Counts of the last five to ten minutes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recent {
    began_age_ms: u64,
    now: Counts,
    before: Counts,
}

impl Recent {
    fn add(&mut self, counts: &Counts, age_ms: u64) {
        if age_ms.saturating_sub(self.began_age_ms) >= RECENT_MS / 2 {
            self.before = std::mem::take(&mut self.now);
            self.began_age_ms = age_ms;
        }
        self.now.add(counts);
        self.now.groups = None;
    }

    fn all(&self) -> Counts {
        let mut all = self.before.clone();
        all.add(&self.now);
        all
    }
}

impl State {
    /// What its version showed, from the last stage back until there is enough for every gate that is counted.
    pub(crate) fn summed_up(&self) -> Baseline {
        let metrics = || {
            let gates = self.plan.gates.iter().filter(|gate| !gate.metric().is_external());
            gates.map(|gate| (gate.metric(), gate.min_samples().max(ENOUGH)))
        };
        let mut baseline = Baseline {
            version: self.plan.canary.clone(),
            to_unix_ms: self.last.unix_ms,
            ..Baseline::default()
        };
        for stage in self.stages.iter().rev() {
            let enough = metrics().all(|(metric, wanted)| estimate(metric, &baseline.counts).1 >= wanted);
            if baseline.stages > 0 && enough {
                break;
            }
            baseline.counts.add(&stage.shown);
            baseline.stages += 1;
            baseline.from_unix_ms = stage.acknowledged.unwrap_or(stage.entered).unix_ms;
        }
        baseline
    }

    /// Is its version watched now?
    #[must_use]
    pub fn watched(&self) -> Option<&Watching> {
        self.watching.as_deref().filter(|watching| watching.ended.is_none())
    }
}

impl Watching {
    /// A watch that begins with the promotion.
    pub(crate) fn new(state: &State, watch: &Watch, baseline: &Baseline) -> Self {
        let plan = &state.plan;
        let users = state.evidence.groups.clone();
        let clumps = users.clumps(plan.unit, Effects::NONE);
        let (mut gates, mut left_out) = (Vec::new(), Vec::new());
        // The baseline began with one of the stages, whichever was enough: the bounds of all of them must hold.
        #[allow(clippy::cast_precision_loss)] // a handful
        let alpha = watch.alpha / (2 * watch.gates.len().max(1) * state.stages.len().max(1)) as f64;
        for (at, gate) in plan.gates.iter().enumerate() {
            let Some(watched) = watch.gates.iter().find(|watched| watched.gate == at) else {
                let why = if gate.metric().is_external() {
                    "its figures are not counted"
                } else {
                    "it is not named"
                };
                left_out.push(Unwatched { name: gate.name.clone(), why: why.to_owned() });
                continue;
            };
            let bound = |room: Room| derived(plan, gate.metric(), room, &baseline.counts, clumps, alpha);
            let own = gate.limit.map(|limit| limit.fail);
            match stricter(gate.metric(), watched.room.map(bound), own) {
                Ok(limit) => {
                    let (was, was_n) = estimate(gate.metric(), &baseline.counts);
                    let limit = gate.held_to(limit);
                    let evidence = GuardrailEvidence::new(&limit, scale(plan));
                    gates.push(GateWatch { limit, was, was_n, evidence, drift: None });
                }
                Err(why) => left_out.push(Unwatched { name: gate.name.clone(), why }),
            }
        }
        Self {
            since: state.last,
            since_age_ms: state.age_ms,
            anew_age_ms: state.age_ms,
            counts_age_ms: state.age_ms,
            gates,
            left_out,
            users,
            recent: Recent { began_age_ms: state.age_ms, ..Recent::default() },
            paused_by: None,
            ended: None,
        }
    }

    /// Takes what stable showed in an interval of `ms` milliseconds.
    pub(crate) fn observe(
        &mut self,
        plan: &Plan,
        stable: &Counts,
        ms: u64,
        now: Now,
        age_ms: u64,
    ) -> Vec<News> {
        self.counts_age_ms = age_ms;
        self.users.count(stable);
        self.recent.add(stable, age_ms);
        if age_ms.saturating_sub(self.anew_age_ms) >= ANEW_MS {
            self.anew_age_ms = age_ms;
            for gate in self.gates.iter_mut().filter(|gate| gate.drift.is_none()) {
                gate.begin_anew(plan);
            }
        }
        let Some(watch) = &plan.watch else { return Vec::new() };
        #[allow(clippy::cast_precision_loss)] // a handful
        let height = (2.0 * self.gates.len() as f64 / watch.alpha).ln();
        let clumps = self.users.clumps(plan.unit, Effects::NONE);
        let span = judge::gate::Span { ms, of_stage: true };
        let mut news = Vec::new();
        for gate in &mut self.gates {
            // Without a design effect nothing can be concluded.
            let Some(deff) = clumps.of(gate.limit.metric) else { continue };
            gate.evidence.observe(stable, None, span, deff);
            news.extend(gate.decide(plan, height, now));
        }
        news
    }

    /// What was seen so far counts no more: a person wants it so.
    pub(crate) fn begin_anew(&mut self, plan: &Plan, age_ms: u64) {
        (self.anew_age_ms, self.counts_age_ms) = (age_ms, age_ms);
        self.recent = Recent { began_age_ms: age_ms, ..Recent::default() };
        for gate in &mut self.gates {
            gate.drift = None;
            gate.begin_anew(plan);
        }
    }

    /// Nothing more is watched.
    pub(crate) fn end(&mut self, at: Now, age_ms: u64, why: String) {
        self.ended = Some(WatchEnded { at, age_ms, why });
        (self.users, self.recent) = (Groups::default(), Recent::default());
        self.gates.iter_mut().for_each(|gate| gate.evidence = GuardrailEvidence::default());
    }

    /// Gates that are out of their limits.
    pub fn drifting(&self) -> impl Iterator<Item = &GateWatch> {
        self.gates.iter().filter(|gate| gate.drift.is_some())
    }

    /// What a gate shows now, and how many requests that rests on.
    pub(crate) fn shows(&self, gate: &GateWatch) -> (Option<f64>, u64) {
        estimate(gate.limit.metric, &self.recent.all())
    }
}

impl GateWatch {
    fn begin_anew(&mut self, plan: &Plan) {
        self.evidence = GuardrailEvidence::new(&self.limit, scale(plan));
    }

    /// Beyond or within its limit? An episode is a row of short tests, each begun when the one before had its answer, so
    /// that days of drift do not have to be outweighed when they are over.
    fn decide(&mut self, plan: &Plan, height: f64, now: Now) -> Option<News> {
        let beyond = self.evidence.log_e() >= height;
        let within = self.drift.is_some() && self.evidence.kept() >= -plan.alpha.pass.ln();
        if !beyond && !within {
            return None;
        }
        let verdict = self.evidence.verdict(&self.limit, "requests", beyond);
        self.begin_anew(plan);
        if !beyond {
            let seen = verdict.estimate.map_or_else(String::new, |seen| self.is(seen, verdict.n_canary));
            self.drift = None;
            let (gate, why) = (self.limit.name.clone(), format!("{seen}, {}", self.allowed()));
            return Some(News::Recovers { gate, why });
        }
        if self.drift.is_some() {
            return None;
        }
        let why = format!("{}; {}", verdict.why, self.before());
        self.drift = Some(Drift { since: now, why: why.clone() });
        Some(News::Drifts { gate: self.limit.name.clone(), why })
    }

    /// "error_rate is 1.02% of 4000 requests".
    pub(crate) fn is(&self, seen: f64, n: u64) -> String {
        let metric = self.limit.metric;
        format!("{} is {} of {n} requests", metric.name(), value(metric, seen))
    }

    /// "at most 2.1%".
    pub(crate) fn allowed(&self) -> String {
        let side = if self.limit.metric.larger_is_worse() { "at most" } else { "at least" };
        format!("{side} {}", value(self.limit.metric, self.limit.limit))
    }

    /// "it was 1.01% of 30000 when it was promoted".
    pub(crate) fn before(&self) -> String {
        match self.was {
            Some(was) => {
                format!("it was {} of {} when it was promoted", value(self.limit.metric, was), self.was_n)
            }
            None => "it was not seen when it was promoted".to_owned(),
        }
    }
}

/// The limit a baseline leaves: the margin from the worst value it may have had.
pub(crate) fn derived(
    plan: &Plan,
    metric: Metric,
    room: Room,
    seen: &Counts,
    clumps: UserClustering,
    alpha: f64,
) -> Result<f64, String> {
    let n = estimate(metric, seen).1;
    let deff = clumps.of(metric).ok_or("it is not known how requests of one user go together")?;
    let worst = proven(metric, seen, scale(plan), deff, alpha)
        .ok_or_else(|| format!("its {n} requests before the promotion prove nothing of {}", metric.name()))?;
    let limit = at_margin(metric, worst, room.margin, room.points);
    let usable = match metric {
        metric if metric.is_time() => Ok(limit.ceil()),
        Metric::ConfidenceMean => {
            let scale = scale(plan);
            if limit > scale.min && limit < scale.max { Ok(limit) } else { Err(limit) }
        }
        _ => Some(limit.max(room.ignore_below)).filter(|limit| *limit < 1.0).ok_or(limit),
    };
    usable.map_err(|limit| {
        let limit = digits(limit);
        format!(
            "after {n} requests before the promotion its limit would be {limit}, beyond everything possible"
        )
    })
}

/// The stricter of the limit the baseline leaves and the gate's own.
fn stricter(metric: Metric, moved: Option<Result<f64, String>>, own: Option<f64>) -> Result<f64, String> {
    match (moved, own) {
        (Some(Ok(a)), Some(b)) => Ok(if metric.larger_is_worse() { a.min(b) } else { a.max(b) }),
        (Some(Ok(limit)), None) | (None | Some(Err(_)), Some(limit)) => Ok(limit),
        (Some(Err(why)), None) => Err(why),
        (None, None) => Err("it has neither a margin nor a limit".to_owned()),
    }
}
