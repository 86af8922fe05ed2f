//! The guard before all gates: does traffic arrive in the configured shares?

use super::percent;
use crate::anytime::{EProcess, SampleRatio, threshold};
use crate::verdict::{Correction, Evidence, Finding, Verdict};
use crate::{JUDGE, JudgeError};

/// Judges the split of traffic at level `alpha` (0.001 is usual). A broken split is an Error, not a Fail:
/// judging must stop, for every comparison of arms assumes the split; it is no reason to roll back. The last
/// count is taken as the canary's, the sum of the others as stable's.
///
/// # Errors
/// `alpha` outside (0, 1).
pub fn split_finding(name: &str, guard: &SampleRatio, alpha: f64) -> Result<Finding, JudgeError> {
    let broken = guard.max_log_e() >= threshold(alpha)?;
    let (n_canary, others) = guard.counts().split_last().map_or((0, &[][..]), |(last, rest)| (*last, rest));
    let n_control = others.iter().fold(0u64, |sum, n| sum.saturating_add(*n));
    let all = n_canary.saturating_add(n_control);
    let configured = guard.shares().last().copied().unwrap_or(0.0);
    let measured = if all == 0 { 0.0 } else { n_canary as f64 / all as f64 };
    let e = guard.max_log_e();
    let numbers =
        format!("canary share {} of {all} against {} configured", percent(measured), percent(configured));
    let why = if broken {
        format!(
            "Stop judging on {name}: {numbers} (p {:.1e} < {alpha}); look for lost reports, retries or caching",
            guard.p_value()
        )
    } else {
        format!("Continue on {name}: {numbers}, no mismatch (p {:.3} >= {alpha})", guard.p_value())
    };
    Ok(Finding {
        judge: JUDGE.to_owned(),
        gate: name.to_owned(),
        verdict: if broken { Verdict::Error } else { Verdict::Pass },
        estimate: Some(measured),
        bound: Some(configured),
        interval: None,
        n_canary,
        n_control,
        effect: None,
        evidence: Some(Evidence::LogE(e)),
        evidence_no_harm: None,
        correction: Correction::None,
        why,
    })
}
