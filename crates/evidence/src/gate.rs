mod incident;

use judge::JudgeError;
use judge::anytime::Scale;
use judge::gate::{Answers, Span};
use manifest::{Gate, Insufficient};
use serde::{Deserialize, Serialize};

use crate::anomaly::Series;
use crate::claims::{OF_COPIES, bound, claim, facts, harm_begins};
use crate::incident::SharedTrouble;
use crate::margin::{Margin, OnMargin};
use crate::measure::{estimate, shown};
use crate::readings::{Arms, Bound, Readings, worse};
use crate::test::Test;
use crate::words::{digits, e_value, gathered, value};
use crate::{Answer, Counts, Reading, Verdict};
use crate::{Look, Scope};

/// The evidence of one gate. A store of an older build may hold tests this one does not know: they are begun again, and
/// what they had seen is lost, which is safe.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GateEvidence {
    /// The canary alone against a limit.
    fixed: Option<Test>,
    /// The canary against stable.
    against: Option<Test>,
    /// This stage's counts, for display and for the least number of samples.
    stage: Arms,
    /// Counts since nothing looked like harm: what an alarm is about.
    since: Arms,
    /// Was something proven in this stage that what came since speaks against?
    doubted: bool,
    readings: Readings,
    margin: Margin,
    /// Of one with a limit: trouble that stable has at the same moments.
    #[serde(skip_serializing_if = "Option::is_none")]
    shared: Option<Box<SharedTrouble>>,
    /// What readings are held against, of the whole run.
    series: Series,
    /// Why the tests it asks for cannot be built: its plan is at fault.
    unbuilt: Option<String>,
    /// Why the last counts could not be evaluated.
    error: Option<String>,
}

impl GateEvidence {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(gate: &Gate, scale: Scale) -> Self {
        let mut evidence = Self::default();
        evidence.begin(gate, scale);
        evidence
    }

    /// Begins the tests the gate asks for and does not have.
    pub fn begin(&mut self, gate: &Gate, scale: Scale) {
        if gate.metric().is_external() {
            return;
        }
        if let (Some(limit), None) = (gate.limit, &self.fixed) {
            self.fixed = self.built(Test::limit(gate.metric(), limit, scale));
        }
        if let (Some(against), None) = (gate.against, &self.against) {
            self.against = self.built(Test::against(gate.metric(), against, scale));
        }
    }

    fn built(&mut self, test: Result<Test, JudgeError>) -> Option<Test> {
        test.inspect_err(|error| self.unbuilt = Some(error.to_string())).ok()
    }

    /// Adds an interval. Without a design effect nothing can be concluded, so nothing is added.
    pub fn observe(&mut self, gate: &Gate, canary: &Counts, control: &Counts, look: Look, deff: Option<f64>) {
        if look.of_stage {
            self.stage.add(canary, control);
        }
        if look.copies && !gate.metric().decides_in_shadow() {
            return;
        }
        let Some(deff) = deff else { return };
        let span = Span { ms: look.span_ms, of_stage: look.of_stage };
        let against = self.against.iter_mut().filter(|_| look.concurrent);
        let mut failed = None;
        for test in self.fixed.iter_mut().chain(against) {
            let seen = test.temper(deff).and_then(|()| test.observe(canary, control, span));
            failed = failed.or(seen.err());
        }
        if let Some(error) = failed {
            // Nobody knows what these counts would have said, so nothing that was gathered with them left out is proof.
            self.error = Some(error.to_string());
            self.tests_mut().for_each(Test::begin_proof);
        } else if look.of_stage {
            self.error = None;
        }
        self.since.add(canary, control);
        if self.fixed.iter().chain(&self.against).all(Test::is_calm) {
            self.since = Arms::default();
        }
        if look.of_stage {
            self.read(gate, canary, control, look);
        }
    }

    /// What the stage has counted, of the canary and of what it is compared with.
    pub const fn counted(&self) -> (&Counts, &Counts) {
        (&self.stage.canary, &self.stage.control)
    }

    /// Looks again at what was proven before: what came since may speak against it.
    pub fn review(&mut self, pass: f64) {
        let height = -pass.ln();
        let fallen = self.tests_mut().fold(false, |fallen, test| test.review(height) | fallen);
        self.doubted |= fallen;
    }

    /// Why it cannot be evaluated, which is for its plan or for the counts to mend.
    pub fn fault(&self) -> Option<&str> {
        self.unbuilt.as_deref().or(self.error.as_deref())
    }

    /// Is everything proven that the gate asks for at this weight?
    fn proven(&self, gate: &Gate, pass: f64, compares: bool) -> bool {
        let height = -pass.ln();
        let by = |test: &Option<Test>| test.as_ref().is_some_and(|test| test.answers().no_harm >= height);
        let enough = estimate(gate.metric(), &self.stage.canary).1 >= gate.min_samples().max(1);
        enough && (gate.limit.is_none() || by(&self.fixed)) && (!compares || by(&self.against))
    }

    fn read(&mut self, gate: &Gate, canary: &Counts, control: &Counts, look: Look) {
        let counts = gate.failure_limit.is_some() || gate.marginal.borne.is_some();
        if gate.metric().is_external() || (gate.consecutive == 0 && !counts) {
            return;
        }
        if self.is_excused() {
            return self.readings.new_window();
        }
        if let Some(window) = self.readings.add_to_window(gate, canary, control, look.age_ms) {
            let stable = estimate(gate.metric(), &window.control).0.filter(|_| look.concurrent);
            self.readings.note(gate, estimate(gate.metric(), &window.canary).0, stable, None);
        }
    }

    /// A figure of the user's own, of this stage.
    pub fn take_reading(&mut self, gate: &Gate, reading: &Reading, age_ms: u64) {
        self.readings.last_age_ms = Some(age_ms);
        match &reading.error {
            Some(reason) => self.readings.failed(reason),
            None => {
                let Reading { canary, stable, history, .. } = *reading;
                let line = self.series.take(gate, canary, stable, history);
                self.readings.note_missing(reading.missing.as_ref());
                self.readings.note(gate, canary, stable, line);
            }
        }
    }

    /// Does its source want to be asked?
    pub fn due(&self, gate: &Gate, age_ms: u64) -> bool {
        gate.metric().is_external() && self.readings.due(gate, age_ms)
    }

    /// A stage begins: its proof is gathered anew.
    pub fn begin_stage(&mut self) {
        self.margin = Margin::default();
        self.measure_again();
    }

    /// The stage's evidence counts no more.
    fn measure_again(&mut self) {
        self.stage = Arms::default();
        self.doubted = false;
        self.readings = Readings::default();
        self.tests_mut().for_each(Test::begin_stage);
    }

    /// The weights changed: what is compared is compared anew.
    pub fn new_weights(&mut self) {
        // Requests under two shares are not of the same moments in the same proportion.
        if self.fixed.is_some() || self.against.is_some() {
            self.readings.new_window();
        }
        self.tests_mut().for_each(Test::new_weights);
    }

    /// A person wants it measured again.
    pub fn forget(&mut self) {
        self.readings = Readings::default();
        self.margin.release();
        self.tests_mut().for_each(Test::forget);
    }

    fn tests_mut(&mut self) -> impl Iterator<Item = &mut Test> {
        self.fixed.iter_mut().chain(&mut self.against)
    }

    /// ln of the evidence of harm: the average over what the gate asks.
    pub fn harm(&self) -> f64 {
        let fixed =
            self.fixed.iter().map(|test| match self.shared.as_ref().filter(|shared| shared.is_excuse()) {
                Some(shared) => shared.worse(),
                None => test.answers().harm,
            });
        let against = self.against.iter().map(|test| test.answers().harm);
        let asked: Vec<(f64, f64)> = fixed.chain(against).map(|log_e| (1.0, log_e)).collect();
        judge::anytime::average(&asked).unwrap_or(0.0)
    }

    /// More readings in vain than the gate bears: what is done about it, and why.
    pub fn unread(&self, gate: &Gate) -> Option<(Insufficient, String)> {
        self.readings.unread(gate)
    }

    /// What is to be done now that this is its verdict, `baked_ms` into the stage.
    pub fn on_margin(&mut self, gate: &Gate, verdict: &Verdict, baked_ms: u64) -> Option<OnMargin> {
        if verdict.answer != Answer::Marginal || !self.readings.too_marginal(gate) {
            self.margin.release();
            return None;
        }
        let what = self.margin.act(gate, &verdict.why, baked_ms)?;
        if matches!(what, OnMargin::Again(_)) {
            self.measure_again();
            self.forget();
        }
        Some(what)
    }

    /// Were there more bad readings than the gate bears?
    pub fn limit_reached(&self, gate: &Gate) -> bool {
        self.readings.too_bad(gate)
    }

    /// What it says now.
    #[must_use]
    pub fn verdict(&self, gate: &Gate, pass: f64, scope: Scope, unknown_unit: bool, failed: bool) -> Verdict {
        if gate.metric().is_external() {
            return self.external_verdict(gate, scope, failed);
        }
        let metric = gate.metric();
        let compares = gate.against.is_some() && scope.concurrent;
        let (seen, n_canary) = shown(metric, &self.stage.canary, compares);
        let (stable, n_control) = shown(metric, &self.stage.control, compares);
        let bound = bound(gate, stable.filter(|_| compares));
        let mut verdict = Verdict {
            name: gate.name.clone(),
            answer: Answer::Insufficient,
            estimate: seen,
            bound,
            n_canary,
            n_control: if compares { n_control } else { 0 },
            harm: e_value(self.harm_now()),
            proof: e_value(self.proof_now(compares)),
            hard: gate.hard,
            why: String::new(),
        };
        let beyond = self.beyond_now(compares).is_some_and(|beyond| beyond >= -pass.ln());
        let passed = self.proven(gate, pass, compares);
        let facts = facts(gate, seen, n_canary, stable.filter(|_| compares), n_control);
        let facts = match self.against.as_ref().filter(|_| compares && n_canary > 0).and_then(Test::edge_ms) {
            Some(edge) => format!("{facts}; 99% of stable's latest take at most {}", value(metric, edge)),
            None => facts,
        };
        let (claim, begins) = (claim(gate, compares), harm_begins(gate, compares));
        (verdict.answer, verdict.why) = if failed {
            let by = self.readings.bad;
            match gate.failure_limit.filter(|&limit| by > limit) {
                Some(limit) => (Answer::Fail, format!("{by} bad readings, {limit} are borne; {facts}")),
                None => (Answer::Fail, format!("{}{begins}", self.alarm(gate, &facts, compares))),
            }
        } else if !scope.exposed {
            (Answer::NotApplicable, "the canary gets no traffic at this weight".to_owned())
        } else if !gate.applies(scope.concurrent) {
            (Answer::NotApplicable, "there is no other version to compare with at this weight".to_owned())
        } else if scope.copies && !metric.decides_in_shadow() {
            (Answer::NotApplicable, format!("{OF_COPIES}: {facts}"))
        } else if let Some(fault) = self.fault() {
            (Answer::Error, format!("could not be evaluated: {fault}"))
        } else if unknown_unit {
            let why = "unit unknown: assignment is sticky and it is not known yet how requests of one user go \
                       together; groups of users must be counted (500 requests of stable tell), or set \
                       assignment.unit: request to take each request by itself";
            (Answer::Insufficient, why.to_owned())
        } else if let Some(incident) = self.incident(gate, Scale::UNIT) {
            (Answer::Insufficient, format!("shared incident: {}; {facts}", incident.why))
        } else if beyond {
            let readings = self.readings.marginal_words(gate);
            (Answer::Marginal, format!("proven between good and bad: {readings}{facts}"))
        } else if !passed && gate.marginal.borne.is_some() && self.readings.too_marginal(gate) {
            (Answer::Marginal, format!("{}{facts}", self.readings.marginal_words(gate)))
        } else if passed && self.readings.good_in_a_row < gate.consecutive {
            let (have, want) = (self.readings.good_in_a_row, gate.consecutive);
            let stable = super::readings::stable_for(gate, have);
            (Answer::Insufficient, format!("{stable}: {have} of {want} good readings in a row; {facts}"))
        } else if passed && scope.baked_ms < gate.start_after_ms.saturating_add(gate.min_window_ms) {
            (Answer::Insufficient, format!("proven, and its window is not over; {facts}"))
        } else if passed {
            (Answer::Pass, format!("proven {claim}: {facts}{begins}"))
        } else if n_canary < gate.min_samples() {
            (
                Answer::Insufficient,
                format!("{n_canary} of at least {} canary requests; {facts}{begins}", gate.min_samples()),
            )
        } else {
            let have = gathered(self.proof_now(compares), pass);
            let again = if self.doubted {
                "was proven, what came since speaks against it: not proven again"
            } else {
                "not yet proven"
            };
            let open = format!("{again} {claim} (evidence {have} of what proof needs): {facts}{begins}");
            (Answer::Insufficient, open)
        };
        verdict
    }

    /// What the alarm is about, in numbers that bear it out: this stage's, else those since it began.
    fn alarm(&self, gate: &Gate, facts: &str, compares: bool) -> String {
        let bad = |arms: &Arms| {
            let (seen, stable) = (
                shown(gate.metric(), &arms.canary, compares).0,
                shown(gate.metric(), &arms.control, compares).0,
            );
            seen.is_some_and(|seen| worse(gate, seen, stable.filter(|_| compares), Bound::Harm))
        };
        if bad(&self.stage) {
            return format!("harm is proven: {facts}");
        }
        if bad(&self.since) {
            let (seen, n) = shown(gate.metric(), &self.since.canary, compares);
            let (stable, n_stable) = shown(gate.metric(), &self.since.control, compares);
            let since = super::claims::facts(gate, seen, n, stable.filter(|_| compares), n_stable);
            return format!("harm is proven: {since}, since it began; {facts}, in this stage");
        }
        format!("harm is proven by the run as a whole, whatever this stage shows: {facts}")
    }

    fn external_verdict(&self, gate: &Gate, scope: Scope, failed: bool) -> Verdict {
        let (seen, stable) = self.readings.last().map_or((None, None), |(seen, stable)| (Some(seen), stable));
        let compares = gate.against.is_some() && scope.concurrent;
        let stable = stable.filter(|_| compares);
        let bound = bound(gate, stable);
        let facts = match (seen, stable) {
            (Some(seen), Some(stable)) => {
                format!("{} is {}, {} of stable", gate.name, digits(seen), digits(stable))
            }
            (Some(seen), None) => format!("{} is {}", gate.name, digits(seen)),
            (None, _) => "nothing was read".to_owned(),
        };
        let facts =
            bound.map_or_else(|| facts.clone(), |bound| format!("{facts}, {} is asked for", digits(bound)));
        let facts = match self.readings.line_words(gate) {
            Some(words) => format!("{facts}, {words}"),
            None => facts,
        };
        let window = gate.start_after_ms.saturating_add(gate.min_window_ms);
        let (answer, why) = if failed {
            let borne = gate.failure_limit.unwrap_or(0);
            (Answer::Fail, format!("{} bad readings, {borne} are borne; {facts}", self.readings.bad))
        } else if !scope.exposed {
            (Answer::NotApplicable, "the canary gets no traffic at this weight".to_owned())
        } else if !gate.applies(scope.concurrent) {
            let why = "there is no other version to compare with at this weight";
            (Answer::NotApplicable, why.to_owned())
        } else {
            match self.readings.answer(gate, &facts) {
                (Answer::Pass, _) if scope.baked_ms < window => {
                    (Answer::Insufficient, format!("good, and its window is not over: {facts}"))
                }
                other => other,
            }
        };
        Verdict {
            name: gate.name.clone(),
            answer,
            estimate: seen,
            bound,
            n_canary: u64::from(self.readings.good_in_a_row),
            n_control: 0,
            harm: 1.0,
            proof: 1.0,
            hard: gate.hard,
            why,
        }
    }

    fn harm_now(&self) -> f64 {
        self.asked(true).map(|answers| answers.harm).reduce(f64::max).unwrap_or(0.0)
    }

    /// The weakest proof: all are needed.
    fn proof_now(&self, compares: bool) -> f64 {
        self.asked(compares).map(|answers| answers.no_harm).reduce(f64::min).unwrap_or(0.0)
    }

    fn beyond_now(&self, compares: bool) -> Option<f64> {
        self.asked(compares).filter_map(|answers| answers.beyond).reduce(f64::max)
    }

    fn asked(&self, compares: bool) -> impl Iterator<Item = Answers> {
        self.fixed.iter().chain(self.against.iter().filter(move |_| compares)).map(Test::answers)
    }
}
