//! What is found harmful: all of it, and each by name, whatever is done about the others.

use manifest::Plan;

use crate::{CANARY, Evidence, Fired, GateEvidence, Scope};

impl Evidence {
    /// The gates that prove harm, the plainest first: the hard gates share the run's alpha, and it is enough that all of
    /// them together prove it (the weighted average of e-values, statistics B12). Each is here that
    /// does so by itself, or else the plainest; then those with more bad evaluations than they bear.
    #[must_use]
    pub fn harms(&self, plan: &Plan, scope: Scope) -> Vec<Fired> {
        let found = self.harmful(plan).into_iter();
        found
            .filter_map(|index| Some(Fired { index, verdict: self.verdict(plan, index, scope, true)? }))
            .collect()
    }

    /// The same, by index into the plan's gates.
    pub(crate) fn harmful(&self, plan: &Plan) -> Vec<usize> {
        let hard: Vec<usize> =
            plan.gates.iter().enumerate().filter(|(_, gate)| gate.hard).map(|(index, _)| index).collect();
        let log_e: Vec<f64> =
            hard.iter().map(|&index| self.gates.get(index).map_or(0.0, GateEvidence::harm)).collect();
        let too_bad = |index: usize| {
            let both = plan.gates.get(index).zip(self.gates.get(index));
            both.is_some_and(|(gate, seen)| seen.limit_reached(gate))
        };
        let mut found: Vec<usize> = together(plan.alpha.beside_stable(), &log_e)
            .into_iter()
            .filter_map(|at| hard.get(at).copied())
            .collect();
        let by_count: Vec<usize> =
            hard.into_iter().filter(|&index| too_bad(index) && !found.contains(&index)).collect();
        found.extend(by_count);
        found
    }

    /// The guardrails that are broken, the plainest first.
    #[must_use]
    pub fn all_broken(&self, plan: &Plan) -> Vec<Fired> {
        let found = self.broken_ones(plan).into_iter().filter_map(|index| {
            let guardrail = plan.guardrails.get(index)?;
            let verdict = self.guardrails.get(index)?.verdict(guardrail, CANARY, true);
            Some(Fired { index, verdict: self.explained(plan, guardrail.metric, verdict) })
        });
        found.collect()
    }

    /// The same, by index into the plan's guardrails.
    pub(crate) fn broken_ones(&self, plan: &Plan) -> Vec<usize> {
        // Those that are tested share the alpha; readings are counted, and spend none of it.
        let (tested, read): (Vec<usize>, Vec<usize>) = (0..plan.guardrails.len())
            .partition(|&index| plan.guardrails.get(index).is_some_and(|rail| rail.reads.is_none()));
        let log_e: Vec<f64> = tested
            .iter()
            .map(|&index| self.guardrails.get(index).map_or(0.0, crate::GuardrailEvidence::log_e))
            .collect();
        let by_count = |index: &usize| {
            let both = plan.guardrails.get(*index).zip(self.guardrails.get(*index));
            both.is_some_and(|(rail, evidence)| evidence.limit_reached(rail))
        };
        let by_test = together(plan.alpha.guardrails, &log_e).into_iter();
        by_test.filter_map(|at| tested.get(at).copied()).chain(read.into_iter().filter(by_count)).collect()
    }
}

/// One of several findings, which tells of the others.
pub fn acted_on(mut found: Vec<Fired>, at: usize, what: &str) -> Option<Fired> {
    if at >= found.len() {
        return None;
    }
    let mut fired = found.remove(at);
    for Fired { verdict, .. } in found {
        fired.verdict.why.push_str(&format!("; {what} {} fails too: {}", verdict.name, verdict.why));
    }
    Some(fired)
}

/// Of e-values (as ln) whose plain average, an e-value too, reaches 1/alpha: each that is found by itself, the largest
/// first; where none is, the largest.
///
/// By itself is found whose average with any of the others reaches 1/alpha as well (closed testing: Vovk and Wang,
/// "E-values: calibration, combination and applications", 2021), so that a healthy one is named in at most alpha of all
/// runs, however harmful the others are.
fn together(alpha: f64, log_e: &[f64]) -> Vec<usize> {
    // What is no number is no evidence, and takes none away from the others.
    let of = |at: usize| log_e.get(at).copied().filter(|e| !e.is_nan()).unwrap_or(f64::NEG_INFINITY);
    let mut order: Vec<usize> = (0..log_e.len()).collect();
    order.sort_by(|&a, &b| of(b).total_cmp(&of(a)));
    // Beyond e^700 no number is larger.
    let e = |at: usize| of(at).min(700.0).exp();
    let height = 1.0 / alpha;
    #[allow(clippy::cast_precision_loss)] // a handful
    let average = |sum: f64, n: usize| sum / n as f64 >= height;
    if order.is_empty() || !average(order.iter().map(|&at| e(at)).sum(), order.len()) {
        return Vec::new();
    }
    // Of all averages with others those with the smallest are the least.
    let by_itself = |&one: &usize| {
        let others = order.iter().rev().filter(|&&at| at != one);
        let mut sum = e(one);
        average(sum, 1)
            && others.enumerate().all(|(index, &at)| {
                sum += e(at);
                average(sum, index + 2)
            })
    };
    let found: Vec<usize> = order.iter().copied().filter(by_itself).collect();
    if found.is_empty() { order.into_iter().take(1).collect() } else { found }
}

/// Do all e-values together reach 1/alpha?
pub fn reached(alpha: f64, log_e: &[f64]) -> bool {
    !together(alpha, log_e).is_empty()
}

#[cfg(test)]
mod tests {
    use super::together;

    #[track_caller]
    fn check(e: &[f64], found: &[usize]) {
        let log_e: Vec<f64> = e.iter().map(|e| e.ln()).collect();
        assert_eq!(together(0.04, &log_e), found, "{e:?}");
    }

    #[test]
    fn all_that_prove_harm_are_found_and_no_others() {
        check(&[], &[]);
        check(&[24.0], &[]);
        check(&[25.5], &[0]);
        check(&[1.0, 51.0], &[1]);
        // Each by itself.
        check(&[60.0, 1e9, 1e5, 0.1], &[1, 2, 0]);
        check(&[30.0, 1e9, 1e5, 0.1], &[1, 2]);
        // None by itself: the plainest.
        check(&[40.0, 1.0, 45.0], &[2]);
        check(&[74.9, 0.3, 0.2], &[0]);
        check(&[26.0, 26.0, 26.0], &[0, 1, 2]);
        // Beyond all numbers, and no number.
        check(&[f64::INFINITY, 1.0], &[0]);
        check(&[f64::NAN, 1.0, 80.0], &[2]);
        check(&[f64::NAN, f64::NAN], &[]);
    }
}
