//! Serin's own judgement of two files: metrics, triggers and segments become one verdict.

use anyhow::{Result, bail};
use judge::JUDGE;
use judge::alert::Alarm;
use judge::multiplicity::{Adjust, adjust_p};
use judge::score::{ScoreThresholds, WeightedGate, score};
use judge::verdict::Correction;
use serde_json::json;

use super::alert::{self, Found};
use super::asked::Asked;
use super::own::{Judged, Samples, kind, one};
use super::segment::{Answer, Dimension, SegmentPolicy, check_share};
use super::{Judgement, Kind, Options, Rule, Table, Verdict, show};

/// Everything that was found.
pub struct Whole {
    pub judged: Vec<Judged>,
    pub triggers: Vec<Found>,
    pub dimensions: Vec<Dimension>,
    pub segments: Vec<Answer>,
    /// Of all traffic together; `None`: only triggers were asked for.
    pub score: Option<f64>,
    pub thresholds: ScoreThresholds,
    /// Tests that could fail, over which Holm's correction goes.
    pub family: usize,
    pub verdict: Verdict,
    /// What decided it, one phrase each.
    pub because: Vec<String>,
    pub notes: Vec<String>,
}

pub fn judgement(
    options: &Options,
    control: &Table,
    canary: &Table,
    notes: Vec<String>,
) -> Result<Judgement> {
    let asked = Asked::new(options)?;
    if asked.metrics.is_empty() && asked.triggers.is_empty() {
        let columns: Vec<&str> =
            control.names().filter(|name| Some(*name) != options.timestamp.as_deref()).collect();
        bail!(
            "say what to judge: --metric NAME, --trigger NAME=COLUMN, --rules FILE or --config FILE; {} has: {}",
            control.file(),
            columns.join(", ")
        );
    }
    let rules: Vec<Rule> =
        asked.metrics.iter().map(|text| Rule::parse(text, options)).collect::<Result<_>>()?;
    for (at, rule) in rules.iter().enumerate() {
        if rules.iter().skip(at + 1).any(|other| other.name == rule.name) {
            bail!("--metric {} is given twice; give each column once", rule.name);
        }
    }
    if rules.is_empty() && !asked.segments.is_empty() {
        bail!(
            "--segment cuts what --metric judges, and none is given; triggers look at all traffic together"
        );
    }
    let triggers = asked
        .triggers
        .iter()
        .map(|text| alert::Rule::parse(text)?.judge(control, canary, options.pair_by.as_deref()))
        .collect::<Result<Vec<Found>>>()?;
    let mut kinds = rules.iter().map(|rule| kind(rule, control, canary)).collect::<Result<Vec<Kind>>>()?;
    let units = match &options.unit {
        None => None,
        Some(unit) => {
            // A user's share of errors is no longer 0 or 1; what is compared is the mean over users.
            kinds.iter_mut().filter(|kind| **kind == Kind::Rate).for_each(|kind| *kind = Kind::Mean);
            Some((control.by_unit(unit)?, canary.by_unit(unit)?))
        }
    };
    let (control, canary) = units.as_ref().map_or((control, canary), |(control, canary)| (control, canary));
    let dimensions = asked
        .segments
        .iter()
        .map(|name| Dimension::new(name, control, canary, options.share))
        .collect::<Result<Vec<Dimension>>>()?;
    let mut judged = Vec::new();
    for (rule, kind) in rules.iter().zip(&kinds) {
        let (stable, values) = (control.column(&rule.name)?, canary.column(&rule.name)?);
        for segment in dimensions.iter().flat_map(|dimension| &dimension.segments) {
            let [canary, stable] = segment.values(&values, &stable);
            let samples = Samples {
                name: format!("{} in {}", rule.name, segment.name),
                segment: Some(segment.name.clone()),
                kind: *kind,
                canary,
                stable,
                fewest: options.min_samples.max(options.min_segment_n),
            };
            judged.push(one(rule, samples, options.seed));
        }
        let samples = Samples {
            name: rule.name.clone(),
            segment: None,
            kind: *kind,
            canary: values,
            stable,
            fewest: options.min_samples,
        };
        judged.push(one(rule, samples, options.seed));
    }
    // All traffic first, then segment by segment.
    judged.sort_by(|a, b| a.segment.cmp(&b.segment));
    let family = correct_harm(&mut judged)?;
    let thresholds =
        ScoreThresholds { pass: options.pass.unwrap_or(95.0), fail: options.fail.unwrap_or(60.0) };
    let mut segments = Vec::new();
    for segment in dimensions.iter().flat_map(|dimension| &dimension.segments) {
        let (verdict, _) = of_all(&judged, Some(&segment.name), thresholds)?;
        let [n_canary, n_control] = segment.rows;
        segments.push(Answer { segment: segment.name.clone(), verdict, n_canary, n_control });
    }
    let together = if rules.is_empty() { None } else { Some(of_all(&judged, None, thresholds)?) };
    let lost = match options.share {
        Some(share) => check_share(control, canary, share)?,
        None => None,
    };
    let (verdict, because) = combined(
        together.map(|(verdict, _)| verdict),
        &segments,
        &dimensions,
        &triggers,
        lost,
        options.segments_must,
    );
    let mut whole = Whole {
        judged,
        triggers,
        dimensions,
        segments,
        score: together.map(|(_, score)| score),
        thresholds,
        family,
        verdict,
        because,
        notes,
    };
    whole.notes.extend(whole.caveats(options));
    Ok(Judgement { verdict, text: show::text(&whole), json: whole.document() })
}

/// The verdict and the score of all traffic, or of one segment.
fn of_all(judged: &[Judged], segment: Option<&str>, thresholds: ScoreThresholds) -> Result<(Verdict, f64)> {
    let own: Vec<&Judged> = judged.iter().filter(|j| j.segment.as_deref() == segment).collect();
    let gates: Vec<WeightedGate> = own
        .iter()
        .map(|j| WeightedGate { weight: j.weight, verdict: j.finding.verdict, critical: j.critical })
        .collect();
    let scored = score(&gates, thresholds)?;
    // One metric's score is 0 or 100 and hides the middle: its own answer says more.
    let verdict = match own.as_slice() {
        [only] => only.finding.verdict,
        // A score may forgive a metric; harm proven in a part of the traffic is not forgiven there.
        _ if segment.is_some() && own.iter().any(|j| j.finding.verdict == Verdict::Fail) => Verdict::Fail,
        _ => scored.verdict,
    };
    Ok((verdict, scored.value))
}

/// One verdict from all that was found, and what decided it.
///
/// What was proven stands: a critical trigger, harm in a segment, harm over all traffic. Where the arms hold different
/// people, the comparison of all traffic proves nothing and only those within segments do.
fn combined(
    together: Option<Verdict>,
    segments: &[Answer],
    dimensions: &[Dimension],
    triggers: &[Found],
    lost: Option<String>,
    must: SegmentPolicy,
) -> (Verdict, Vec<String>) {
    let with_alarm = |alarm: Alarm| -> Vec<String> {
        let found = triggers.iter().filter(|found| found.finding.alarm == alarm);
        found
            .map(|found| format!("trigger {} on {} is {alarm}", found.finding.trigger, found.column))
            .collect()
    };
    let of_segments = |verdict: Verdict, says: &str| -> Vec<String> {
        let found = segments.iter().filter(|answer| answer.verdict == verdict);
        found.map(|answer| format!("{} {says}", answer.segment)).collect()
    };
    let of_all = |verdict: Verdict, says: &str| -> Vec<String> {
        (together == Some(verdict)).then(|| says.to_owned()).into_iter().collect()
    };
    let uneven: Vec<String> = dimensions
        .iter()
        .filter(|dimension| !dimension.mix.even)
        .map(|dimension| format!("by {}, {}", dimension.name, dimension.mix.why()))
        .collect();
    let selected: Vec<String> = lost.into_iter().collect();
    let comparable = uneven.is_empty() && selected.is_empty();
    let mut failing = with_alarm(Alarm::Critical);
    if selected.is_empty() {
        failing.extend(of_segments(Verdict::Fail, "is worse than stable"));
    }
    if comparable {
        failing.extend(of_all(Verdict::Fail, "all traffic together fails"));
    }
    let hold = must == SegmentPolicy::Pass;
    let when = |wanted: bool, found: Vec<String>| if wanted { found } else { Vec::new() };
    let rungs = [
        (Verdict::Fail, failing),
        (
            Verdict::Error,
            [
                selected,
                uneven,
                of_all(Verdict::Error, "a metric could not be judged"),
                of_segments(Verdict::Error, "could not be judged"),
            ]
            .concat(),
        ),
        (
            Verdict::Insufficient,
            [
                with_alarm(Alarm::Insufficient),
                of_all(Verdict::Insufficient, "too little data"),
                when(hold, of_segments(Verdict::Insufficient, "has too little data")),
            ]
            .concat(),
        ),
        (
            Verdict::Marginal,
            [
                with_alarm(Alarm::Warning),
                of_all(Verdict::Marginal, "neither proven good nor worse"),
                when(hold, of_segments(Verdict::Marginal, "is neither proven good nor worse")),
            ]
            .concat(),
        ),
    ];
    rungs.into_iter().find(|(_, found)| !found.is_empty()).unwrap_or((Verdict::Pass, Vec::new()))
}

/// Proven harm fails a metric that is not proven good. Holm's correction over all metrics, of all traffic and of every
/// segment: the chance that any healthy one fails stays at alpha. Returns how many there are.
fn correct_harm(judged: &mut [Judged]) -> Result<usize> {
    let p: Vec<f64> = judged.iter().filter_map(|j| j.p_harm).collect();
    if p.is_empty() {
        return Ok(0);
    }
    let gates = u32::try_from(p.len()).unwrap_or(u32::MAX);
    let mut adjusted = adjust_p(&p, Adjust::Holm)?.into_iter();
    for one in judged.iter_mut().filter(|j| j.p_harm.is_some()) {
        one.p_harm = adjusted.next();
        let Some(p) = one.p_harm else { continue };
        one.finding.correction = if gates > 1 { Correction::Holm { gates } } else { Correction::None };
        let harmed = p < one.alpha;
        match one.finding.verdict {
            Verdict::Marginal | Verdict::Insufficient if harmed => {
                one.finding.verdict = Verdict::Fail;
                one.finding.why =
                    format!("{}; worse than stable (p {p:.2e} < {})", one.finding.why, one.alpha);
            }
            Verdict::Marginal => {
                one.finding.why = format!(
                    "{}; nor proven worse (p {p:.2e}): more samples would tell",
                    one.finding.why.replacen("Halt on", "Hold", 1)
                );
            }
            Verdict::Pass if harmed => {
                one.finding.why = format!("{}; worse than stable, within the margin", one.finding.why);
            }
            _ => {}
        }
    }
    Ok(p.len())
}

impl Whole {
    fn caveats(&self, options: &Options) -> Vec<String> {
        let mut notes = Vec::new();
        if self.dimensions.iter().any(|dimension| !dimension.mix.even) {
            notes.push(
                "the arms hold different people: the comparison of all traffic together is not held against the canary, \
                 nor does it speak for it; comparisons within segments are"
                    .to_owned(),
            );
        }
        if !self.segments.is_empty() {
            let [mut all, mut small] = [0, 0];
            for answer in &self.segments {
                all += answer.n_canary;
                small += if answer.verdict == Verdict::Insufficient { answer.n_canary } else { 0 };
            }
            #[allow(clippy::cast_precision_loss)] // rows
            let part = notation::percent(small as f64 / (all as f64).max(1.0), 1);
            if small > 0 {
                notes.push(format!(
                    "{part} of the canary's rows are in segments without enough data; they are shown, and {}",
                    if options.segments_must == SegmentPolicy::Pass {
                        "hold the verdict up (--segments-must not-fail lets it stand without them)"
                    } else {
                        "the verdict says nothing about them"
                    }
                ));
            }
        }
        if !self.triggers.is_empty() {
            notes.push(
                "triggers are limits: they are not corrected for one another, and hold at one look; where their data is too \
                 little they say so"
                    .to_owned(),
            );
        }
        if self.judged.is_empty() {
            return notes;
        }
        match &options.unit {
            Some(unit) => notes.push(format!("one observation for each {unit}: the mean of its rows")),
            None => notes.push(
                "rows are taken as independent; where users stick to a version, name the user's column with --unit".to_owned(),
            ),
        }
        notes.push(
            "one look at the planned end: judging the same rollout again and again voids these p-values (serin run watches \
             with tests that stay valid)"
                .to_owned(),
        );
        if options.timestamp.is_some() {
            notes.push(
                "points of one series go together in time; the tests take them as independent".to_owned(),
            );
        }
        notes
    }

    /// How many tests were corrected for, in words.
    pub fn multiplicity(&self) -> String {
        let harm = match self.family {
            0 => "none was tested".to_owned(),
            n => format!("Holm over {n} tests (metrics in all traffic and in every segment)"),
        };
        let metrics = format!("passing: none, everything asked for must be proven; failing: {harm}");
        match (self.judged.is_empty(), self.triggers.is_empty()) {
            (true, _) => "triggers: none".to_owned(),
            (false, true) => metrics,
            (false, false) => format!("{metrics}; triggers: none"),
        }
    }

    fn document(&self) -> serde_json::Value {
        let mixes: Vec<&super::segment::Mix> =
            self.dimensions.iter().map(|dimension| &dimension.mix).collect();
        json!({
            "judge": JUDGE, "verdict": self.verdict, "because": self.because, "score": self.score,
            "thresholds": {"pass": self.thresholds.pass, "fail": self.thresholds.fail},
            "multiplicity": self.multiplicity(),
            "metrics": self.judged, "segments": self.segments, "balance": mixes, "triggers": self.triggers,
            "notes": self.notes,
        })
    }
}
