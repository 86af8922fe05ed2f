//! B4: asymptotic confidence sequences, for means and for ratios of sums per user.
//!
//! Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and asymptotic confidence
//! sequences", Annals of Statistics 2024. Valid as the sample grows: use a burn-in (500 observations for
//! scores), and not for rare 0/1 events, where the level was measured as high as 0.7.

use crate::JudgeError;
use crate::error::{finite, fraction, not_negative, positive};
use crate::verdict::Interval;

/// Half-width after `t` observations with standard deviation `sd`:
/// sd sqrt(2 (t rho2 + 1)/(t^2 rho2) ln(sqrt(t rho2 + 1)/alpha)).
///
/// # Errors
/// `t` 0, `sd` negative, `rho2` not above 0, `alpha` outside (0, 1).
pub fn asymptotic_radius(t: u64, sd: f64, rho2: f64, alpha: f64) -> Result<f64, JudgeError> {
    not_negative("sd", sd)?;
    positive("rho2", rho2)?;
    fraction("alpha", alpha)?;
    if t == 0 {
        return Err(JudgeError::TooFew { what: "observations", got: 0, need: 1 });
    }
    let t = t as f64;
    let scale = t * rho2 + 1.0;
    Ok(sd * (2.0 * scale / (t * t * rho2) * (0.5 * scale.ln() - alpha.ln())).sqrt())
}

/// The rho^2 that makes the sequence tightest near `t` observations:
/// (-alpha^2 - 2 ln alpha + ln(1 - 2 ln alpha - alpha^2)) / t.
///
/// # Errors
/// `t` 0 or `alpha` outside (0, 1).
pub fn asymptotic_rho2(t: u64, alpha: f64) -> Result<f64, JudgeError> {
    fraction("alpha", alpha)?;
    if t == 0 {
        return Err(JudgeError::TooFew { what: "observations", got: 0, need: 1 });
    }
    let base = -alpha * alpha - 2.0 * alpha.ln();
    Ok((base + (1.0 + base).ln()) / t as f64)
}

/// Sums over users of a ratio metric sum(y)/sum(x), e.g. revenue y over requests x. Mergeable.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RatioSums {
    users: u64,
    y: f64,
    x: f64,
    yy: f64,
    xx: f64,
    xy: f64,
}

impl RatioSums {
    /// Adds one user's sums. A plain mean of y is the ratio with x = 1.
    ///
    /// # Errors
    /// A value not finite, or x negative; the state is then unchanged.
    pub fn update(&mut self, y: f64, x: f64) -> Result<(), JudgeError> {
        finite("y", y)?;
        not_negative("x", x)?;
        let more = Self { users: 1, y, x, yy: y * y, xx: x * x, xy: x * y };
        finite("square of y or x", more.yy + more.xx + more.xy)?;
        self.merge(&more);
        Ok(())
    }

    /// Adds other users.
    pub fn merge(&mut self, other: &Self) {
        self.users = self.users.saturating_add(other.users);
        self.y += other.y;
        self.x += other.x;
        self.yy += other.yy;
        self.xx += other.xx;
        self.xy += other.xy;
    }

    /// Users seen.
    pub fn users(&self) -> u64 {
        self.users
    }

    /// The ratio; `None` while the denominator is 0.
    pub fn estimate(&self) -> Option<f64> {
        (self.x > 0.0).then(|| self.y / self.x)
    }

    /// Standard deviation of a user's influence on the ratio, (y - R x)/mean(x) (delta method);
    /// `None` before two users or while the denominator is 0.
    pub fn influence_sd(&self) -> Option<f64> {
        let ratio = self.estimate().filter(|_| self.users >= 2)?;
        let n = self.users as f64;
        let squares = self.yy - 2.0 * ratio * self.xy + ratio * ratio * self.xx;
        Some((squares.max(0.0) / (n - 1.0)).sqrt() / (self.x / n))
    }

    /// Confidence sequence of the ratio, tightest near `planned` users.
    ///
    /// # Errors
    /// `planned` 0, `alpha` outside (0, 1), or fewer than two users with a positive denominator.
    pub fn interval(&self, alpha: f64, planned: u64) -> Result<Interval, JudgeError> {
        let (Some(mid), Some(sd)) = (self.estimate(), self.influence_sd()) else {
            return Err(JudgeError::TooFew { what: "users", got: self.users, need: 2 });
        };
        let radius = asymptotic_radius(self.users, sd, asymptotic_rho2(planned, alpha)?, alpha)?;
        Ok(Interval { lo: mid - radius, hi: mid + radius, level: 1.0 - alpha, anytime: true })
    }
}

/// Confidence sequence of canary ratio - stable ratio: half of `alpha` per arm, radii added.
///
/// # Errors
/// As [`RatioSums::interval`].
pub fn ratio_difference(
    canary: &RatioSums,
    stable: &RatioSums,
    alpha: f64,
    planned: (u64, u64),
) -> Result<Interval, JudgeError> {
    let one = canary.interval(alpha / 2.0, planned.0)?;
    let other = stable.interval(alpha / 2.0, planned.1)?;
    Ok(Interval { lo: one.lo - other.hi, hi: one.hi - other.lo, level: 1.0 - alpha, anytime: true })
}
