//! Serin's own judgement of one metric, for one look at the end: is the canary proven not worse, or proven worse?

use anyhow::{Result, bail};
use judge::JudgeError;
use judge::anytime::Better;
use judge::classical::Test;
use judge::classical::{
    Alternative, Margin, Method, fisher_exact, is_constant, mann_whitney_u, moments, quantile,
    two_proportion_z, welch_t,
};
use judge::verdict::{Correction, Finding};

use super::rule::TestName;
use super::{FixedRules, Kind, Rule, Serialize, Table, Verdict, short};

/// What one metric came to.
#[derive(Debug, Serialize)]
pub struct Judged {
    /// One part of the traffic; `None`: all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment: Option<String>,
    #[serde(flatten)]
    pub finding: Finding,
    kind: &'static str,
    pub test: &'static str,
    pub weight: f64,
    pub critical: bool,
    /// p-value that the canary is worse than stable at all, adjusted over all metrics.
    pub p_harm: Option<f64>,
    /// Cells without a value, left out: canary, stable.
    pub missing: [usize; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99: Option<[f64; 2]>,
    #[serde(skip)]
    pub alpha: f64,
}

/// What one metric is judged on.
pub struct Samples {
    /// As it stands in reports: the metric, and the segment where it is one.
    pub name: String,
    pub segment: Option<String>,
    pub kind: Kind,
    /// Values with NaN where one is missing.
    pub canary: Vec<f64>,
    pub stable: Vec<f64>,
    /// Fewer values than this in an arm are insufficient.
    pub fewest: u64,
}

/// What a column holds; rates must be of 0 and 1.
pub fn kind(rule: &Rule, control: &Table, canary: &Table) -> Result<Kind> {
    let (stable, _) = present(control.column(&rule.name)?);
    let (values, _) = present(canary.column(&rule.name)?);
    let kind = rule.kind_of(&values, &stable);
    if kind == Kind::Rate && rule.test == Some(TestName::MannWhitney) {
        bail!(
            "--metric {}: ranks say nothing of a rate; leave test=mann-whitney out, for the exact test of rates",
            rule.name
        );
    }
    if kind == Kind::Latency {
        control.times(&rule.name)?;
        canary.times(&rule.name)?;
    }
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
    Ok(kind)
}

pub fn one(rule: &Rule, samples: Samples, seed: u64) -> Judged {
    let Samples { name, segment, kind, canary, stable, fewest } = samples;
    let (stable, missing0) = present(stable);
    let (values, missing1) = present(canary);
    let test = rule.test_of(kind, seed);
    let rules = FixedRules {
        name: name.clone(),
        better: rule.better,
        margin: rule.margin,
        alpha: rule.alpha,
        test,
        min_samples: fewest,
        correction: Correction::None,
    };
    let mut finding = judge::gate::fixed_finding(&values, &stable, &rules);
    let mut small = false;
    let enough = values.len().min(stable.len()) as u64 >= fewest.max(2);
    let p_harm = match harm(rule, kind, test, &values, &stable) {
        _ if !enough => None,
        Ok((p, rare)) => {
            small = rare;
            Some(p)
        }
        Err(_) => None,
    };
    let constant = values.iter().chain(&stable).all(|v| Some(v) == values.first());
    let undecided = finding.verdict == Verdict::Fail;
    if undecided && constant {
        finding.verdict = Verdict::Insufficient;
        finding.why = format!(
            "Wait for {name}: every value of both arms is {}; {} values in the smaller arm are too few to prove what never \
             happened",
            short(values.first().copied().unwrap_or_default()),
            values.len().min(stable.len())
        );
    } else if undecided && small {
        finding.verdict = Verdict::Insufficient;
        finding.why = format!(
            "Wait for {name}: fewer than 5 events are expected in the smaller arm, too few to prove that nothing is wrong"
        );
    } else if undecided {
        // Not proven good; whether it is proven bad is known after the correction.
        finding.verdict = Verdict::Marginal;
    }
    let p99 = (kind == Kind::Latency)
        .then(|| Some([quantile(&values, 0.99).ok()?, quantile(&stable, 0.99).ok()?]))
        .flatten();
    Judged {
        segment,
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
            Test::Rates => "exact score",
            Test::Bootstrap { .. } => "bootstrap",
        },
        weight: rule.weight,
        critical: rule.critical,
        p_harm,
        missing: [missing1, missing0],
        p99,
        alpha: rule.alpha,
    }
}

fn present(values: Vec<f64>) -> (Vec<f64>, usize) {
    let all = values.len();
    let values: Vec<f64> = values.into_iter().filter(|v| !v.is_nan()).collect();
    let missing = all - values.len();
    (values, missing)
}

/// The p-value of "the canary is not worse at all", and whether events are too rare for a normal approximation.
fn harm(
    rule: &Rule,
    kind: Kind,
    test: Test,
    canary: &[f64],
    stable: &[f64],
) -> Result<(f64, bool), JudgeError> {
    let worse = if rule.better == Better::Lower { Alternative::Greater } else { Alternative::Less };
    if kind == Kind::Rate {
        let count = |values: &[f64]| values.iter().filter(|v| **v == 1.0).count() as u64;
        let (k1, k0, n1, n0) = (count(canary), count(stable), canary.len() as u64, stable.len() as u64);
        let z = two_proportion_z(k1, n1, k0, n0, worse, true)?;
        if !z.small {
            return Ok((z.p, false));
        }
        return Ok((fisher_exact([[k1, n1 - k1], [k0, n0 - k0]], worse)?, true));
    }
    if is_constant(canary) || is_constant(stable) {
        // Without spread no mean is proven anything; ranks still tell a canary that broke, beyond the margin.
        let margin = match rule.margin {
            Margin::Absolute(points) => points,
            Margin::Relative(share) => (share * moments(stable)?.mean).abs(),
        };
        let shift = if rule.better == Better::Lower { margin } else { -margin };
        let edge: Vec<f64> = stable.iter().map(|value| value + shift).collect();
        return Ok((mann_whitney_u(canary, &edge, worse, Method::Auto)?.p, false));
    }
    match test {
        Test::MannWhitney => Ok((mann_whitney_u(canary, stable, worse, Method::Auto)?.p, false)),
        Test::WelchT | Test::Rates | Test::Bootstrap { .. } => Ok((welch_t(canary, stable, worse)?.p, false)),
    }
}
