//! From chances to shares, within what is allowed.

/// A share at most doubles from one allocation to the next; it falls at once.
const RISE: u32 = 2;
/// Shares are multiples of a tenth of the floor.
const STEPS: u32 = 10;

/// Between what shares may lie, in parts per million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The least share of each version on trial.
    pub floor_ppm: u32,
    /// The largest share of all of them together.
    pub ceiling_ppm: u32,
    /// The largest share of one.
    pub each_ppm: u32,
}

/// A version on trial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Version {
    /// Its share now, in parts per million.
    pub share_ppm: u32,
    /// Its chance of being the best of all, those not on trial included.
    pub best: f64,
    /// May its share rise?
    pub rises: bool,
}

/// The next shares: the ceiling times each chance, but the floor at least, and no more than twice the present one.
///
/// What the floor lends to hopeless versions is taken from the others in proportion, so all together stay below the
/// ceiling; and so they do at every step, because falling is not delayed as rising is.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and a million
pub fn shares(range: Range, versions: &[Version]) -> Vec<u32> {
    let Range { floor_ppm, ceiling_ppm, each_ppm } = range;
    let floor = f64::from(floor_ppm);
    let above = |version: &Version| {
        (f64::from(ceiling_ppm) * version.best).min(f64::from(each_ppm.max(floor_ppm))).max(floor) - floor
    };
    let wanted: f64 = versions.iter().map(above).sum();
    let room = (f64::from(ceiling_ppm) - floor * versions.len() as f64).max(0.0);
    let scale = if wanted > room { room / wanted } else { 1.0 };
    let step = (floor_ppm / STEPS).max(1);
    let next = |version: &Version| {
        let share = floor_ppm + (scale * above(version)) as u32 / step * step;
        let most = if version.rises { version.share_ppm.saturating_mul(RISE) } else { version.share_ppm };
        share.min(most)
    };
    versions.iter().map(next).collect()
}
