//! Serin's own judgement for one look at the end: is the canary proven not worse, or proven worse?

use anyhow::{Result, bail};
use judge::anytime::Better;
use judge::classical::Test;
use judge::classical::{
    Alternative, Method, fisher_exact, mann_whitney_u, quantile, two_proportion_z, welch_t,
};
use judge::multiplicity::{Adjust, adjust_p};
use judge::score::{ScoreThresholds, WeightedGate, score};
use judge::verdict::{Correction, Finding};
use judge::{JUDGE, JudgeError};

use super::{FixedRules, Judgement, Kind, Options, Rule, Serialize, Table, Verdict, short};

/// What one metric came to.
#[derive(Debug, Serialize)]
struct Judged {
    #[serde(flatten)]
    finding: Finding,
    kind: &'static str,
    test: &'static str,
    weight: f64,
    critical: bool,
    /// p-value that the canary is worse than stable at all, adjusted over all metrics.
    p_harm: Option<f64>,
    /// Cells without a value, left out: canary, stable.
    missing: [usize; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    p99: Option<[f64; 2]>,
    #[serde(skip)]
    alpha: f64,
}

pub fn judgement(
    options: &Options,
    control: &Table,
    canary: &Table,
    mut notes: Vec<String>,
) -> Result<Judgement> {
    if options.metric.is_empty() {
        let columns: Vec<&str> =
            control.names().filter(|name| Some(*name) != options.timestamp.as_deref()).collect();
        bail!(
            "say what to judge: --metric NAME, or --config FILE; {} has: {}",
            control.file(),
            columns.join(", ")
        );
    }
    let rules: Vec<Rule> =
        options.metric.iter().map(|text| Rule::parse(text, options)).collect::<Result<_>>()?;
    for (at, rule) in rules.iter().enumerate() {
        if rules.iter().skip(at + 1).any(|other| other.name == rule.name) {
            bail!("--metric {} is given twice; give each column once", rule.name);
        }
    }
    let mut judged = Vec::new();
    for rule in &rules {
        judged.push(one(rule, options, control, canary)?);
    }
    correct_harm(&mut judged)?;
    let thresholds =
        ScoreThresholds { pass: options.pass.unwrap_or(95.0), fail: options.fail.unwrap_or(60.0) };
    let gates: Vec<WeightedGate> = judged
        .iter()
        .map(|j| WeightedGate { weight: j.weight, verdict: j.finding.verdict, critical: j.critical })
        .collect();
    let scored = score(&gates, thresholds)?;
    // One metric's score is 0 or 100 and hides the middle: its own answer says more.
    let verdict = match judged.as_slice() {
        [only] => only.finding.verdict,
        _ => scored.verdict,
    };
    notes.push(
        "one look at the planned end: judging the same rollout again and again voids these p-values (serin run watches \
         with tests that stay valid)"
            .to_owned(),
    );
    if options.timestamp.is_some() {
        notes.push("points of one series go together in time; the tests take them as independent".to_owned());
    }
    let text = text(&judged, scored.value, verdict, thresholds, &notes);
    let json = serde_json::json!({
        "judge": JUDGE, "verdict": verdict, "score": scored.value,
        "thresholds": {"pass": thresholds.pass, "fail": thresholds.fail},
        "multiplicity": "passing: none, all metrics must be proven; failing: Holm over the metrics",
        "metrics": judged, "notes": notes,
    });
    Ok(Judgement { verdict, text, json })
}

fn one(rule: &Rule, options: &Options, control: &Table, canary: &Table) -> Result<Judged> {
    let (stable, missing0) = present(control.column(&rule.name)?);
    let (values, missing1) = present(canary.column(&rule.name)?);
    let kind = rule.kind_of(&values, &stable);
    if kind == Kind::Rate {
        for (table, values) in [(control, &stable), (canary, &values)] {
            if let Some(other) = values.iter().find(|v| **v != 0.0 && **v != 1.0) {
                bail!(
                    "{}: column {:?} holds {other}, and a rate is counted from 0 and 1; use --kind mean for shares per \
                     interval",
                    table.file(),
                    rule.name
                );
            }
        }
    }
    let test = rule.test_of(kind, options.seed);
    let rules = FixedRules {
        name: rule.name.clone(),
        better: rule.better,
        margin: rule.margin,
        alpha: rule.alpha,
        test,
        min_samples: options.min_samples,
        correction: Correction::None,
    };
    let mut finding = judge::gate::fixed_finding(&values, &stable, &rules);
    let mut small = false;
    let p_harm = match harm(rule.better, kind, test, &values, &stable) {
        _ if matches!(finding.verdict, Verdict::Insufficient) => None,
        Ok((p, rare)) => {
            small = rare;
            Some(p)
        }
        Err(_) => None,
    };
    let constant = values.iter().chain(&stable).all(|v| Some(v) == values.first());
    if finding.verdict == Verdict::Error && constant && !values.is_empty() {
        finding.verdict = Verdict::Insufficient;
        finding.why = format!(
            "Wait for {}: every value of both arms is {}",
            rule.name,
            short(values.first().copied().unwrap_or_default())
        );
    } else if small && finding.verdict != Verdict::Insufficient {
        finding.verdict = Verdict::Insufficient;
        finding.why = format!(
            "Wait for {}: fewer than 5 events are expected in the smaller arm, too few to prove that nothing is wrong",
            rule.name
        );
    } else if finding.verdict == Verdict::Fail {
        // Not proven good; whether it is proven bad is known after the correction.
        finding.verdict = Verdict::Marginal;
    }
    let p99 = (kind == Kind::Latency)
        .then(|| Some([quantile(&values, 0.99).ok()?, quantile(&stable, 0.99).ok()?]))
        .flatten();
    Ok(Judged {
        finding,
        kind: match kind {
            Kind::Rate => "rate",
            Kind::Mean => "mean",
            Kind::Latency => "latency",
            Kind::Value => "value",
        },
        test: match test {
            Test::MannWhitney => "Mann-Whitney U",
            Test::WelchT => "Welch t",
            Test::Bootstrap { .. } => "bootstrap",
        },
        weight: rule.weight,
        critical: rule.critical,
        p_harm,
        missing: [missing1, missing0],
        p99,
        alpha: rule.alpha,
    })
}

fn present(values: Vec<f64>) -> (Vec<f64>, usize) {
    let all = values.len();
    let values: Vec<f64> = values.into_iter().filter(|v| !v.is_nan()).collect();
    let missing = all - values.len();
    (values, missing)
}

/// The p-value of "the canary is not worse at all", and whether events are too rare for a normal approximation.
fn harm(
    better: Better,
    kind: Kind,
    test: Test,
    canary: &[f64],
    stable: &[f64],
) -> Result<(f64, bool), JudgeError> {
    let worse = if better == Better::Lower { Alternative::Greater } else { Alternative::Less };
    if kind == Kind::Rate {
        let count = |values: &[f64]| values.iter().filter(|v| **v == 1.0).count() as u64;
        let (k1, k0, n1, n0) = (count(canary), count(stable), canary.len() as u64, stable.len() as u64);
        let z = two_proportion_z(k1, n1, k0, n0, worse, true)?;
        if !z.small {
            return Ok((z.p, false));
        }
        return Ok((fisher_exact([[k1, n1 - k1], [k0, n0 - k0]], worse)?, true));
    }
    match test {
        Test::MannWhitney => Ok((mann_whitney_u(canary, stable, worse, Method::Auto)?.p, false)),
        Test::WelchT | Test::Bootstrap { .. } => Ok((welch_t(canary, stable, worse)?.p, false)),
    }
}

/// Proven harm fails a metric that is not proven good. Holm's correction over all metrics: the chance that any healthy
/// one fails stays at alpha.
fn correct_harm(judged: &mut [Judged]) -> Result<()> {
    let p: Vec<f64> = judged.iter().filter_map(|j| j.p_harm).collect();
    if p.is_empty() {
        return Ok(());
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
    Ok(())
}

fn text(
    judged: &[Judged],
    value: f64,
    verdict: Verdict,
    thresholds: ScoreThresholds,
    notes: &[String],
) -> String {
    let width = judged.iter().map(|j| j.finding.gate.len()).max().unwrap_or(0);
    let mut out = String::new();
    for j in judged {
        let f = &j.finding;
        out += &format!("{:width$}  {:12}  {}\n", f.gate, f.verdict.as_str(), f.why);
        let mut facts = vec![format!("n {} / {}", f.n_canary, f.n_control), j.test.to_owned()];
        if let Some(interval) = f.interval {
            facts.push(format!("difference in [{}, {}]", short(interval.lo), short(interval.hi)));
        }
        if let Some(effect) = &f.effect {
            facts.push(format!("{} {}", effect.name, short(effect.value)));
        }
        if let Some([canary, stable]) = j.p99 {
            facts.push(format!("p99 {} / {}", short(canary), short(stable)));
        }
        facts.push(format!("weight {}", short(j.weight)));
        if j.missing != [0, 0] {
            facts.push(format!("missing {} / {}", j.missing[0], j.missing[1]));
        }
        out += &format!("{:width$}                ({})\n", "", facts.join(", "));
    }
    out += &format!(
        "\n{verdict}: score {value:.1} of 100 (pass from {}, fail up to {})\n",
        thresholds.pass, thresholds.fail
    );
    for note in notes {
        out += &format!("note: {note}\n");
    }
    out += &format!("judge: {JUDGE}\n");
    out
}
