//! How good predictions of a class are, once the truth is known: how often probabilities come true, and how well they order.

use super::{Alternative, Method, mann_whitney_u};
use crate::JudgeError;
use crate::error::sample;

/// The squared distance of each probability from its outcome, 0 or 1: their mean is the Brier score (Brier,
/// "Verification of forecasts expressed in terms of probability", 1950), from 0, the best, to 1.
///
/// # Errors
/// Lengths that differ, nothing given, or a probability outside 0 to 1.
pub fn brier_terms(probabilities: &[f64], came_true: &[bool]) -> Result<Vec<f64>, JudgeError> {
    checked(probabilities, came_true)?;
    let outcome = |yes: &bool| f64::from(u8::from(*yes));
    Ok(probabilities.iter().zip(came_true).map(|(p, yes)| (p - outcome(yes)).powi(2)).collect())
}

/// Expected calibration error: the distance between mean probability and share that came true, over bins of equal width,
/// weighted by the predictions in each (Naeini et al., 2015). Above 0 by chance alone where there are few.
///
/// # Errors
/// As [`brier_terms`], or no bins.
pub fn expected_calibration_error(
    probabilities: &[f64],
    came_true: &[bool],
    bins: usize,
) -> Result<f64, JudgeError> {
    checked(probabilities, came_true)?;
    if bins == 0 {
        return Err(JudgeError::Empty { what: "bins" });
    }
    let mut sums = vec![(0.0, 0.0); bins];
    for (p, yes) in probabilities.iter().zip(came_true) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a probability times a handful
        let bin = ((p * bins as f64) as usize).min(bins - 1);
        if let Some((probability, share)) = sums.get_mut(bin) {
            *probability += p;
            *share += f64::from(u8::from(*yes));
        }
    }
    let apart: f64 = sums.iter().map(|(probability, share)| (probability - share).abs()).sum();
    Ok(apart / probabilities.len() as f64)
}

/// The area under the ROC curve: the probability that one that came true has the higher score, ties counting half.
///
/// # Errors
/// Lengths that differ, scores that are not finite, or all of one kind.
pub fn roc_auc(scores: &[f64], came_true: &[bool]) -> Result<f64, JudgeError> {
    if scores.len() != came_true.len() {
        return Err(JudgeError::Mismatch { what: "scores and outcomes" });
    }
    let of = |wanted: bool| -> Vec<f64> {
        scores.iter().zip(came_true).filter(|(_, yes)| **yes == wanted).map(|(score, _)| *score).collect()
    };
    let method = Method::Asymptotic { continuity: false };
    match mann_whitney_u(&of(true), &of(false), Alternative::TwoSided, method) {
        Ok(compared) => Ok(compared.effect),
        // All scores are equal: every pair is a tie.
        Err(JudgeError::Constant { .. }) => Ok(0.5),
        Err(error) => Err(error),
    }
}

fn checked(probabilities: &[f64], came_true: &[bool]) -> Result<(), JudgeError> {
    if probabilities.len() != came_true.len() {
        return Err(JudgeError::Mismatch { what: "probabilities and outcomes" });
    }
    match sample("probabilities", probabilities)?.iter().find(|p| !(0.0..=1.0).contains(*p)) {
        Some(&got) => Err(JudgeError::OutOfRange { what: "probability", got, rule: "from 0 to 1" }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, expected: f64) {
        assert!((got - expected).abs() < 1e-12, "{got} {expected}");
    }

    /// By hand, and as scikit-learn's `roc_auc_score` and `brier_score_loss` have it.
    #[test]
    fn small_samples_by_hand() {
        let (p, y) = ([0.1, 0.4, 0.35, 0.8], [false, false, true, true]);
        near(roc_auc(&p, &y).unwrap(), 0.75);
        near(brier_terms(&p, &y).unwrap().iter().sum::<f64>() / 4.0, 0.158_125);
        // Bins [0.1], [0.4, 0.35], [0.8] of five: 0.1 + |0.75 - 1| + 0.2, over 4.
        near(expected_calibration_error(&p, &y, 5).unwrap(), (0.1 + 0.4 + 0.65 + 0.2) / 4.0);
        near(expected_calibration_error(&p, &y, 2).unwrap(), (0.15 + 0.2) / 4.0);
        near(expected_calibration_error(&[1.0, 0.0], &[true, false], 10).unwrap(), 0.0);
        near(roc_auc(&[0.5, 0.5], &[true, false]).unwrap(), 0.5);
    }

    #[test]
    fn what_is_no_probability_is_refused() {
        assert!(brier_terms(&[1.2], &[true]).is_err());
        assert!(brier_terms(&[0.2], &[]).is_err());
        assert!(expected_calibration_error(&[0.2], &[true], 0).is_err());
        assert!(expected_calibration_error(&[], &[], 10).is_err());
        assert!(roc_auc(&[0.2, 0.3], &[true, true]).is_err());
    }
}
