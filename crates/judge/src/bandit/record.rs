//! What versions showed beside each other while their shares changed.

use std::collections::BTreeMap;

/// What one version's requests came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Sample {
    /// How many.
    pub n: f64,
    /// The sum of their scores; of a rate, how many events.
    pub sum: f64,
    /// The sum of the squares.
    pub squares: f64,
}

impl Sample {
    /// Requests and events of a rate.
    #[must_use]
    pub const fn rate(n: u64, k: u64) -> Self {
        Self { n: n as f64, sum: k as f64, squares: k as f64 }
    }

    fn add(&mut self, other: Self) {
        self.n += other.n;
        self.sum += other.sum;
        self.squares += other.squares;
    }
}

/// What is known of a version's value, from so many requests' worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Known {
    /// Requests that would tell as much if all had come at one time.
    pub n: f64,
    /// The mean.
    pub mean: f64,
    /// The variance of a single one.
    pub variance: f64,
}

/// What is remembered from one allocation to the next: half of it is gone after 24 of them, so that a version is known by
/// what it does, not by what it did long ago.
const KEPT: f64 = 0.971_531_941_153_606; // 2^(-1/24)

/// What versions showed beside each other, in strata of constant shares.
///
/// Under changing shares plain sums deceive: a version that had a large share in a bad hour looks bad. Within a stratum
/// all versions see the same moments in the same proportion; over strata each version's means are averaged with weights that
/// are the same for all, those of Mantel and Haenszel (1959) for any number of versions, w = 1/(1/n_1 + 1/n_2 + ...). A
/// version's values then rest on (sum w)^2 / sum (w^2/n) requests' worth (Kish, "Survey Sampling", 1965); of a single
/// stratum that is n.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Record<K: Ord> {
    /// Sum of w.
    weight: f64,
    versions: BTreeMap<K, Told>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Told {
    /// Of the stratum that is not over yet.
    open: Sample,
    /// Sum of w mean.
    mean: f64,
    /// Sum of w variance.
    variance: f64,
    /// Sum of w^2/n.
    inverse: f64,
}

impl<K: Ord + Copy> Record<K> {
    /// Of nothing yet.
    #[must_use]
    pub fn new(versions: impl IntoIterator<Item = K>) -> Self {
        let told = |version| (version, Told::default());
        Self { weight: 0.0, versions: versions.into_iter().map(told).collect() }
    }

    /// Adds what a version did; all of them at the same moments. One that is not in the record changes nothing.
    pub fn add(&mut self, version: K, sample: Sample) {
        if let Some(told) = self.versions.get_mut(&version) {
            told.open.add(sample);
        }
    }

    /// A version is out.
    pub fn leave(&mut self, version: K) {
        self.versions.remove(&version);
    }

    /// Shares change: what comes is another stratum. One in which a version did nothing compares nothing, and is lost.
    pub fn new_shares(&mut self) {
        self.close();
        self.versions.values_mut().for_each(|told| told.open = Sample::default());
    }

    /// An allocation is due: the present stratum is taken in, and what was before it fades. One in which a version did
    /// nothing goes on.
    pub fn close(&mut self) {
        let inverse: f64 = self.versions.values().map(|told| 1.0 / told.open.n).sum();
        if !(inverse.is_finite() && inverse > 0.0) {
            return;
        }
        let w = 1.0 / inverse;
        self.weight = KEPT * self.weight + w;
        for told in self.versions.values_mut() {
            let Sample { n, sum, squares } = std::mem::take(&mut told.open);
            let mean = sum / n;
            told.mean = KEPT * told.mean + w * mean;
            told.variance = KEPT * told.variance + w * (squares / n - mean * mean).max(0.0);
            told.inverse = KEPT * KEPT * told.inverse + w * w / n;
        }
    }

    /// What is known of a version; `None`: nothing, or it is out.
    #[must_use]
    pub fn known(&self, version: K) -> Option<Known> {
        let told = self.versions.get(&version)?;
        (self.weight > 0.0).then(|| Known {
            n: self.weight * self.weight / told.inverse,
            mean: told.mean / self.weight,
            variance: told.variance / self.weight,
        })
    }
}
