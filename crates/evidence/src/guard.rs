use judge::JudgeError;
use judge::anytime::Scale;
use judge::gate::Span;
use manifest::{Guardrail, Insufficient, Limit, Metric};
use serde::{Deserialize, Serialize};

use crate::guard_readings::GuardReadings;
use crate::incident::{Asked, Incident, SharedTrouble};
use crate::measure::shown;
use crate::test::Test;
use crate::words::value;
use crate::{Answer, Counts, Look, Reading, Verdict};

/// The evidence of one guardrail; of an older build's store as with gates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GuardrailEvidence {
    fixed: Option<Test>,
    /// Of one that is held beside stable, while stable is at work: beyond the limit, and worse than stable too.
    beside: Option<Test>,
    /// Everything it saw, for display.
    seen: Counts,
    /// What it saw since it last looked calm: what an alarm is about.
    since: Counts,
    /// Of one with a source: what was read.
    readings: GuardReadings,
    /// Of one that is tested: trouble that stable has at the same moments.
    shared: SharedTrouble,
    /// Why its tests cannot be built: its plan is at fault.
    unbuilt: Option<String>,
    /// Why the last counts could not be evaluated.
    error: Option<String>,
}

impl GuardrailEvidence {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(guardrail: &Guardrail, scale: Scale) -> Self {
        let mut evidence = Self::default();
        evidence.begin(guardrail, scale);
        evidence
    }

    /// Begins the test if there is none.
    pub fn begin(&mut self, guardrail: &Guardrail, scale: Scale) {
        if guardrail.reads.is_none() && self.fixed.is_none() {
            self.fixed = self.built(Test::limit(guardrail.metric, Limit::of(guardrail.limit), scale));
        }
        if guardrail.against_stable && self.beside.is_none() {
            self.beside = self.built(Test::beside(guardrail.metric, guardrail.limit));
        }
    }

    fn built(&mut self, test: Result<Test, JudgeError>) -> Option<Test> {
        test.inspect_err(|error| self.unbuilt = Some(error.to_string())).ok()
    }

    /// Why it cannot be evaluated, so that it guards nothing.
    pub fn fault(&self) -> Option<&str> {
        self.unbuilt.as_deref().or(self.error.as_deref())
    }

    /// Adds an interval; to the proof that the limit is kept only when it is `of_stage`.
    pub fn observe(&mut self, canary: &Counts, stable: Option<&Counts>, span: Span, deff: f64) {
        self.seen.add(canary);
        self.since.add(canary);
        (self.seen.groups, self.since.groups) = (None, None);
        let nobody = Counts::default();
        let (test, stable) = match stable {
            Some(stable) => (self.beside.as_mut(), stable),
            None => (self.fixed.as_mut(), &nobody),
        };
        if let Some(test) = test {
            let observed = test.temper(deff).and_then(|()| test.observe(canary, stable, span));
            self.error = observed.err().map(|error| error.to_string());
        }
        if self.fixed.iter().chain(&self.beside).all(Test::is_calm) {
            self.since = Counts::default();
        }
    }

    /// Looks at stable at the same moments; `canary` is `None` before it has a request. `beside`: is there a stable that
    /// may share its trouble?
    pub fn look_aside(
        &mut self,
        guardrail: &Guardrail,
        (canary, stable): (Option<&Counts>, &Counts),
        (scale, deff): (Scale, f64),
        look: Look,
        beside: bool,
    ) {
        if guardrail.reads.is_some() {
            return;
        }
        if !beside || is_of_difference(guardrail) {
            return self.shared.alone();
        }
        let asked = asked(guardrail, scale, deff);
        let seen = match canary {
            Some(canary) => self.shared.observe(asked, canary, stable, look),
            None => self.shared.observe_before(asked, stable, look).map(|()| false),
        };
        match seen {
            // What the canary showed meanwhile, stable showed too.
            Ok(true) => {
                self.fixed.iter_mut().for_each(Test::forget);
                self.since = Counts::default();
            }
            Ok(false) => {}
            Err(error) => self.error = Some(error.to_string()),
        }
    }

    /// Does stable seem to break the limit, before anything is proven?
    pub fn stable_leans(&self) -> bool {
        self.shared.leans()
    }

    /// Trouble that stable has now.
    pub fn incident(&self, guardrail: &Guardrail, scale: Scale, age_ms: u64) -> Option<Incident> {
        if guardrail.reads.is_some() {
            return self.readings.incident(guardrail, age_ms);
        }
        self.counted_incident(guardrail, scale)
    }

    fn counted_incident(&self, guardrail: &Guardrail, scale: Scale) -> Option<Incident> {
        let asked = asked(guardrail, scale, 1.0);
        self.shared.incident((true, &guardrail.name), asked, guardrail.against_stable)
    }

    /// A figure of the user's own.
    pub fn take_reading(&mut self, guardrail: &Guardrail, reading: &Reading, age_ms: u64, beside: bool) {
        self.readings.take(guardrail, reading, age_ms, beside);
    }

    /// Does its source want to be asked?
    pub fn due(&self, guardrail: &Guardrail, age_ms: u64) -> bool {
        guardrail.reads.as_deref().is_some_and(|reads| self.readings.due(reads, age_ms))
    }

    /// Were more of the last readings bad than it bears?
    pub fn limit_reached(&self, guardrail: &Guardrail) -> bool {
        guardrail.reads.as_deref().is_some_and(|reads| self.readings.broken(reads))
    }

    /// More readings in vain than it bears: what is done about it, and why.
    pub fn unread(&self, guardrail: &Guardrail) -> Option<(Insufficient, String)> {
        self.readings.unread(guardrail.reads.as_deref()?)
    }

    /// A named person goes on in spite of it.
    pub fn forget(&mut self) {
        self.readings.forget();
    }

    /// What was seen so far is of another kind than what comes.
    pub fn begin_figures(&mut self) {
        (self.seen, self.since) = (Counts::default(), Counts::default());
    }

    /// A stage begins: more is staked on it.
    pub fn begin_stage(&mut self) {
        self.fixed.iter_mut().chain(&mut self.beside).for_each(Test::begin_stage);
        self.shared.begin_stage();
    }

    /// ln of the evidence that the limit is broken.
    pub fn log_e(&self) -> f64 {
        // Where stable breaks the limit as well, what the canary does worse than stable stands for it.
        let fixed = self.fixed.iter().map(|test| match self.shared.is_excuse() {
            true => self.shared.worse(),
            false => test.answers().harm,
        });
        let beside = self.beside.iter().map(|test| test.answers().harm);
        let asked: Vec<(f64, f64)> = fixed.chain(beside).map(|log_e| (1.0, log_e)).collect();
        judge::anytime::average(&asked).unwrap_or(0.0)
    }

    /// ln of the evidence that it is kept.
    pub fn kept(&self) -> f64 {
        self.fixed.as_ref().map_or(0.0, |test| test.answers().no_harm)
    }

    /// Says whether all it counted proves that the limit is kept, with a chance of error of `alpha`. Nothing waits for that: a
    /// guardrail has to be broken to do anything; but it passes by proof alone, as a gate does. `deff`: how much requests of one
    /// user go together.
    pub fn proven(
        &self,
        guardrail: &Guardrail,
        (scale, whose): (Scale, &str),
        (deff, alpha): (f64, f64),
        said: Verdict,
    ) -> Verdict {
        if said.answer != Answer::Pass || guardrail.reads.is_some() {
            return said;
        }
        let metric = guardrail.metric;
        let all = Test::limit(metric, Limit::of(guardrail.limit), scale).and_then(|mut test| {
            test.temper(deff)?;
            test.observe(&self.seen, &Counts::default(), Span { ms: 0, of_stage: true })?;
            Ok(test.answers().no_harm)
        });
        let log_e = all.unwrap_or(0.0);
        let (beyond, within) = if metric.larger_is_worse() { ("above", "below") } else { ("below", "above") };
        let (limit, facts) = (value(metric, guardrail.limit), self.facts(guardrail, whose));
        let (answer, why) = if log_e >= -alpha.ln() {
            (Answer::Pass, format!("{facts}; proven {within} {limit}"))
        } else {
            let why = format!(
                "{facts}; proven neither {beyond} {limit} nor {within} it yet: no stage waits for that"
            );
            (Answer::Insufficient, why)
        };
        Verdict { answer, why, proof: crate::words::e_value(log_e), ..said }
    }

    /// "error_rate is 1.2% of 900 canary requests".
    fn facts(&self, guardrail: &Guardrail, whose: &str) -> String {
        let metric = guardrail.metric;
        let (seen, n) = shown(metric, &self.seen, guardrail.against_stable);
        let shown = seen.map_or_else(|| "unknown".to_owned(), |seen| value(metric, seen));
        format!("{} is {shown} of {n} {whose}", metric.name())
    }

    /// What the alarm is about, in numbers that bear it out: those since it began, else those of the whole run.
    fn alarm(&self, guardrail: &Guardrail, whose: &str) -> String {
        let metric = guardrail.metric;
        let bad = |seen: f64| guardrail.is_beyond(seen);
        let of = |counts: &Counts| match shown(metric, counts, guardrail.against_stable) {
            (Some(seen), n) => Some((seen, format!("{} of {n} {whose}", value(metric, seen)))),
            (None, _) => None,
        };
        match (of(&self.since), of(&self.seen)) {
            (_, Some((all, text))) if bad(all) => text,
            (Some((since, text)), Some((_, all))) if bad(since) => {
                format!("{text} since it began, {all} in all")
            }
            (_, Some((_, all))) => format!("so it was for a time; {all} in all"),
            (_, None) => format!("none of the {whose} is left to show it"),
        }
    }

    /// What it says of `whose` requests, such as "canary requests".
    pub fn verdict(&self, guardrail: &Guardrail, whose: &str, broken: bool) -> Verdict {
        if let Some(reads) = guardrail.reads.as_deref() {
            let (answer, why, seen, n) = self.readings.answer(guardrail, reads);
            return said(guardrail, answer, why, (seen, n), 1.0);
        }
        let metric = guardrail.metric;
        let (seen, n_canary) = shown(metric, &self.seen, guardrail.against_stable);
        let limit = value(metric, guardrail.limit);
        let side = if metric.larger_is_worse() { "above" } else { "below" };
        let (answer, why) = if broken {
            (
                Answer::Fail,
                format!(
                    "{} is proven {side} {limit}: {}{}",
                    metric.name(),
                    self.alarm(guardrail, whose),
                    self.shared.beyond_stable(metric)
                ),
            )
        } else if let Some(fault) = self.fault() {
            (Answer::Error, format!("could not be evaluated: {fault}"))
        } else if let Some(incident) = self.counted_incident(guardrail, Scale::UNIT) {
            (Answer::Insufficient, format!("shared incident: {}", incident.why))
        } else {
            let why = format!("{}; not proven {side} {limit}", self.facts(guardrail, whose));
            (if n_canary == 0 { Answer::Insufficient } else { Answer::Pass }, why)
        };
        said(guardrail, answer, why, (seen, n_canary), super::words::e_value(self.log_e()))
    }
}

fn asked(guardrail: &Guardrail, scale: Scale, deff: f64) -> Asked {
    Asked { metric: guardrail.metric, limit: guardrail.limit, scale, deff }
}

fn said(
    guardrail: &Guardrail,
    answer: Answer,
    why: String,
    (estimate, n_canary): (Option<f64>, u64),
    harm: f64,
) -> Verdict {
    Verdict {
        name: guardrail.name.clone(),
        answer,
        estimate,
        bound: Some(guardrail.limit),
        n_canary,
        n_control: 0,
        harm,
        proof: 1.0,
        hard: true,
        why,
    }
}

/// How many clients leave of themselves is no limit's business, nor how often a mesh tries again; that one version differs from the
/// other is. What both show is no incident.
pub fn is_of_difference(guardrail: &Guardrail) -> bool {
    guardrail.against_stable && matches!(guardrail.metric, Metric::GoneRate | Metric::RetryRate)
}
