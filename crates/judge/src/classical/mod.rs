//! Tests for one look, planned beforehand. Looking repeatedly voids them: that is what [`crate::anytime`] is for.
//!
//! `x` is the canary's sample and `y` the stable's wherever the two are not named otherwise.

mod bootstrap;
mod calibration;
mod cluster;
mod distance;
mod effect;
mod hodges_lehmann;
mod kolmogorov;
mod ks;
mod mann_whitney;
mod non_inferiority;
mod proportions;
mod rates;
mod sample;
mod welch;

pub use bootstrap::bootstrap_mean_diff_ci;
pub use calibration::{brier_terms, expected_calibration_error, roc_auc};
pub use cluster::{ClusteredDifference, ClusteredMean, GroupSums, clustered_difference, clustered_mean};
pub use distance::{JensenShannon, cosine_similarity, js_divergence, psi, psi_null};
pub use effect::{cohens_d, common_language, hedges_g};
pub use hodges_lehmann::{Shift, ShiftRoot, hodges_lehmann_ci, shift_score};
pub use kolmogorov::kolmogorov_sf;
pub use ks::{Ks, KsMethod, ks_2samp, ks_bins};
pub use mann_whitney::{MannWhitney, Method, mann_whitney_bins, mann_whitney_u};
pub use non_inferiority::{Margin, NonInferiority, Test, non_inferiority};
pub use proportions::{ProportionZ, fisher_exact, two_proportion_z};
pub use rates::{rates_ci95, rates_p};
pub use sample::{Moments, is_constant, moments, quantile};
pub use welch::{WelchT, welch_t, welch_t_from};

/// Which deviation counts, as seen from the first sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Alternative {
    /// The first sample differs.
    TwoSided,
    /// The first sample tends to smaller values.
    Less,
    /// The first sample tends to larger values.
    Greater,
}

impl Alternative {
    /// The p-value of a statistic that is standard normal under the null hypothesis.
    pub(crate) fn normal_p(self, z: f64) -> f64 {
        use crate::special::normal_cdf;
        match self {
            Self::TwoSided => (2.0 * normal_cdf(-z.abs())).min(1.0),
            Self::Less => normal_cdf(z),
            Self::Greater => normal_cdf(-z),
        }
    }
}
