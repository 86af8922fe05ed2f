//! Rates, shares and harms as typed.

use anyhow::{Result, bail};

/// Requests a second, from `100`, `100/s`, `6000/m`, `1000/h` or `10M/d`.
pub fn per_second(text: &str) -> Result<f64, String> {
    let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
    let seconds = match unit {
        "s" | "sec" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(format!("{text:?} is no rate; write 100 (a second), 6000/m, 1000/h or 10M/d")),
    };
    let number = number.trim();
    let (number, many) = match number.strip_suffix('k') {
        Some(thousands) => (thousands, 1e3),
        None => number.strip_suffix('M').map_or((number, 1.0), |millions| (millions, 1e6)),
    };
    match number.parse::<f64>() {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(value * many / seconds),
        _ => Err(format!("{text:?} is no rate above 0; write 100 (a second), 6000/m, 1000/h or 10M/d")),
    }
}

/// A share between 0 and 1, from `1%` or `0.01`.
pub fn share(text: &str) -> Result<f64, String> {
    let value = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|value| value / 100.0),
        None => text.parse::<f64>(),
    };
    match value {
        Ok(value) if value > 0.0 && value < 1.0 => Ok(value),
        _ => Err(format!("{text:?} is no share between 0% and 100%; write 1% or 0.01")),
    }
}

/// A change of a rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Harm {
    /// Times stable's rate.
    Factor(f64),
    /// Stable's rate and this much more, or less.
    Points(f64),
}

impl Harm {
    /// `2x`, `+0.5%` or `-0.5%`.
    pub fn parse(text: &str) -> Result<Self> {
        let number = |text: &str| text.parse::<f64>().ok().filter(|value| value.is_finite());
        let points =
            |text: &str| text.strip_suffix('%').and_then(number).map(|value| Self::Points(value / 100.0));
        let harm = match text.strip_suffix('x') {
            Some(factor) => number(factor).filter(|factor| *factor > 0.0 && *factor != 1.0).map(Self::Factor),
            None if text.starts_with(['+', '-']) => points(text),
            None => None,
        };
        let Some(harm) = harm else {
            bail!(
                "--harm {text:?} is no change; write 2x (twice as often), +0.5% or -0.5% (points more or less)"
            );
        };
        Ok(harm)
    }

    /// The rate it makes of `base`.
    pub fn of(self, base: f64) -> Result<f64> {
        let harmed = match self {
            Self::Factor(factor) => base * factor,
            Self::Points(points) => base + points,
        };
        if !(harmed > 0.0 && harmed < 1.0) || harmed == base {
            bail!(
                "the harm makes {} of {}; it must be another share between 0 % and 100 %",
                notation::percent(harmed, 3),
                notation::percent(base, 3)
            );
        }
        Ok(harmed)
    }
}
