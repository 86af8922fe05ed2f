//! The probability of being the best, by quadrature.

use statrs::distribution::{Beta, Continuous, StudentsT};

use super::Known;
use crate::JudgeError;
use crate::anytime::Better;
use crate::error::{finite, positive};

/// Each law is taken as far as this many standard deviations from its mean; of the longest tail that comes up, the
/// exponential one, 2e-5 lie beyond.
const REACH: f64 = 10.0;
/// Nodes per law on either side.
const STEPS: i32 = 40;
/// Scores a mean's spread takes to be known at all.
const FEWEST_SCORES: f64 = 4.0;

/// What is believed of a version's value after what it showed.
#[derive(Clone, Debug, PartialEq)]
pub struct Posterior {
    law: Law,
    mean: f64,
    sd: f64,
}

#[derive(Clone, Debug, PartialEq)]
enum Law {
    Beta(Beta),
    Student(StudentsT),
}

impl Posterior {
    /// Beta(a, b), of a rate.
    ///
    /// # Errors
    /// `a` or `b` below 1, where the density has no bound, or not finite.
    pub fn beta(a: f64, b: f64) -> Result<Self, JudgeError> {
        for (what, got) in [("a", a), ("b", b)] {
            finite(what, got)?;
            if got < 1.0 {
                return Err(JudgeError::OutOfRange { what, got, rule: "1 or more" });
            }
        }
        let law = Beta::new(a, b).map_err(|_| JudgeError::NotFinite { what: "a and b", index: 0 })?;
        let mean = a / (a + b);
        Ok(Self { law: Law::Beta(law), mean, sd: (mean * (1.0 - mean) / (a + b + 1.0)).sqrt() })
    }

    /// Student's t around `mean`, of a mean that `df` + 1 scores tell to within `scale`.
    ///
    /// # Errors
    /// `mean` not finite, `scale` not above 0, or `df` below 3.
    pub fn student(mean: f64, scale: f64, df: f64) -> Result<Self, JudgeError> {
        finite("mean", mean)?;
        positive("scale", scale)?;
        if df.is_nan() || df < FEWEST_SCORES - 1.0 {
            return Err(JudgeError::OutOfRange { what: "df", got: df, rule: "3 or more" });
        }
        let law =
            StudentsT::new(mean, scale, df).map_err(|_| JudgeError::NotFinite { what: "scale", index: 0 })?;
        Ok(Self { law: Law::Student(law), mean, sd: scale * (df / (df - 2.0)).sqrt() })
    }

    /// Of the rates of several versions.
    ///
    /// All begin from one prior: a single event at the rate of all of them together, Beta(1, 1/rate - 1). The usual
    /// Beta(1, 1) takes it that half of the requests fail, so of rare events it would hold every version of which little
    /// is known for bad, and keep it from being known.
    ///
    /// # Errors
    /// A mean outside 0 to 1, or nothing known at all.
    pub fn of_rates(known: &[Known]) -> Result<Vec<Self>, JudgeError> {
        let all: f64 = known.iter().map(|known| known.n).sum();
        positive("requests", all)?;
        let events: f64 = known.iter().map(|known| known.n * known.mean).sum();
        let prior = (all / events.max(1.0) - 1.0).max(1.0);
        known
            .iter()
            .map(|Known { n, mean, .. }| {
                if !(0.0..=1.0).contains(mean) {
                    return Err(JudgeError::OutOfRange { what: "a rate", got: *mean, rule: "from 0 to 1" });
                }
                Self::beta(1.0 + n * mean, prior + n * (1.0 - mean))
            })
            .collect()
    }

    /// Of the means of several versions' scores: Student's t, from the prior that says nothing of mean and spread.
    ///
    /// # Errors
    /// Fewer than four scores of a version, or a mean that is not finite.
    pub fn of_means(known: &[Known]) -> Result<Vec<Self>, JudgeError> {
        // Scores that are all alike still leave a little room for doubt.
        let scale = |known: &Known| (known.variance / known.n).sqrt().max(1e-9 * known.mean.abs().max(1e-9));
        known.iter().map(|known| Self::student(known.mean, scale(known), known.n - 1.0)).collect()
    }

    fn ln_density(&self, x: f64) -> f64 {
        match &self.law {
            Law::Beta(law) => law.ln_pdf(x),
            Law::Student(law) => law.ln_pdf(x),
        }
    }

    /// Where the law has to be looked at.
    fn nodes(&self) -> impl Iterator<Item = f64> + '_ {
        let step = REACH / f64::from(STEPS);
        let (lo, hi) = match self.law {
            Law::Beta(_) => (0.0, 1.0),
            Law::Student(_) => (f64::NEG_INFINITY, f64::INFINITY),
        };
        (-STEPS..=STEPS).map(move |at| (self.mean + f64::from(at) * step * self.sd).clamp(lo, hi))
    }
}

/// Each version's probability of having the best value of all; they add up to 1.
///
/// P(i) is the integral of f_i(x) times the chance that every other one is worse than x. By Simpson's rule on the nodes
/// of all laws together, so that each is seen at its own scale, however narrow beside another; the distribution functions
/// are summed up on the same nodes. Better than 1e-5 against the closed form for two Betas.
///
/// # Errors
/// No version at all.
pub fn chances(posteriors: &[Posterior], better: Better) -> Result<Vec<f64>, JudgeError> {
    if posteriors.is_empty() {
        return Err(JudgeError::Empty { what: "versions" });
    }
    let mut nodes: Vec<f64> = posteriors.iter().flat_map(Posterior::nodes).collect();
    nodes.sort_by(f64::total_cmp);
    nodes.dedup();
    let laws: Vec<Vec<Cell>> = posteriors.iter().map(|posterior| cells(posterior, &nodes)).collect();
    let worse = |below: f64| if better == Better::Lower { 1.0 - below } else { below };
    let chance = |own: usize| -> f64 {
        let of_cell = |(index, cell): (usize, &Cell)| {
            let others = laws.iter().enumerate().filter(|(at, _)| *at != own);
            let others = others.filter_map(|(_, law)| law.get(index)).map(|cell| cell.below.map(worse));
            let [from, middle, to] = others.fold(cell.density, times);
            cell.width / 6.0 * (from + 4.0 * middle + to)
        };
        laws.get(own).map_or(0.0, |law| law.iter().enumerate().map(of_cell).sum())
    };
    let all: Vec<f64> = (0..laws.len()).map(chance).collect();
    let sum: f64 = all.iter().sum();
    Ok(all.into_iter().map(|chance| chance / sum).collect())
}

/// A law between two nodes: at its beginning, its middle and its end.
struct Cell {
    width: f64,
    density: [f64; 3],
    /// The distribution function.
    below: [f64; 3],
}

fn times([a, b, c]: [f64; 3], [d, e, f]: [f64; 3]) -> [f64; 3] {
    [a * d, b * e, c * f]
}

fn cells(posterior: &Posterior, nodes: &[f64]) -> Vec<Cell> {
    let ends = || nodes.iter().zip(nodes.iter().skip(1));
    let points = ends().map(|(&from, &to)| (to - from, [from, 0.5 * (from + to), to]));
    let ln: Vec<(f64, [f64; 3])> =
        points.map(|(width, points)| (width, points.map(|x| posterior.ln_density(x)))).collect();
    let top = ln.iter().flat_map(|(_, ln)| ln).copied().fold(f64::NEG_INFINITY, f64::max);
    let mut before = 0.0;
    let mut cells: Vec<Cell> = ln
        .into_iter()
        .map(|(width, ln)| {
            let density = ln.map(|ln| (ln - top).exp());
            let [from, middle, to] = density;
            // The parabola through the three points, to its middle and to its end.
            let half = (width / 24.0 * (5.0 * from + 8.0 * middle - to)).max(0.0);
            let whole = width / 6.0 * (from + 4.0 * middle + to);
            let below = [before, before + half, before + whole];
            before += whole;
            Cell { width, density, below }
        })
        .collect();
    for cell in &mut cells {
        cell.density = cell.density.map(|density| density / before);
        cell.below = cell.below.map(|below| (below / before).min(1.0));
    }
    cells
}
