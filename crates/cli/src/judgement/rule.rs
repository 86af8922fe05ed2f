//! How one metric is judged, as typed and as meant.

use anyhow::{Context as _, Result, anyhow, bail};
use judge::anytime::Better;
use judge::classical::{Margin, Test};

use super::Options;

/// Which way a metric is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Side {
    HigherIsBetter,
    LowerIsBetter,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// 0 or 1 for each request
    Rate,
    /// A number whose mean matters
    Mean,
    /// A time, compared by rank
    Latency,
    /// Any number, compared by rank
    Value,
}

/// A test by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TestName {
    MannWhitney,
    Welch,
    Bootstrap,
}

/// How one metric is judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub name: String,
    pub better: Better,
    pub margin: Margin,
    /// `None`: by the values.
    pub kind: Option<Kind>,
    pub test: Option<TestName>,
    pub alpha: f64,
    pub weight: f64,
    pub critical: bool,
}

/// Resamples of the bootstrap: the interval's ends then vary by less than a hundredth of its width.
const RESAMPLES: u32 = 10_000;

impl Rule {
    /// Reads `NAME[,key=value]...`; what it does not say is as for all metrics.
    pub fn parse(text: &str, options: &Options) -> Result<Self> {
        let mut parts = text.split(',').map(str::trim);
        let name = parts.next().unwrap_or_default().to_owned();
        if name.is_empty() {
            bail!("--metric {text:?} names no column; write the column's name first");
        }
        let (mut side, mut margin, mut kind) = (options.direction, options.margin.clone(), options.kind);
        let (mut test, mut alpha) = (options.test, options.alpha.unwrap_or(0.05));
        let (mut weight, mut critical) = (1.0, false);
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let wrong = || format!("--metric {name}: {key}={value}");
            match key {
                "direction" => side = Some(choice(value).with_context(wrong)?),
                "kind" => kind = Some(choice(value).with_context(wrong)?),
                "test" => test = Some(choice(value).with_context(wrong)?),
                "margin" => margin = Some(value.to_owned()),
                "alpha" => alpha = number(value).with_context(wrong)?,
                "weight" => weight = number(value).with_context(wrong)?,
                "critical" if value.is_empty() || value == "true" => critical = true,
                "critical" if value == "false" => critical = false,
                _ => bail!(
                    "--metric {name}: {part:?} is unknown; known are direction, margin, kind, test, alpha, weight and \
                     critical"
                ),
            }
        }
        if !(alpha > 0.0 && alpha < 0.5) {
            bail!("--metric {name}: alpha is {alpha}; it must lie between 0 and 0.5, such as 0.05");
        }
        if !(weight >= 0.0 && weight.is_finite()) {
            bail!("--metric {name}: weight is {weight}; it must be 0 or more");
        }
        let side = match (side, kind) {
            (Some(side), _) => side,
            (None, Some(Kind::Latency)) => Side::LowerIsBetter,
            (None, _) => bail!(
                "--metric {name}: which way is it good? Say --direction higher_is_better or lower_is_better, or \
                 {name},direction=lower_is_better"
            ),
        };
        let better = if side == Side::HigherIsBetter { Better::Higher } else { Better::Lower };
        let margin = margin.as_deref().unwrap_or("5%");
        let margin =
            margin_of(margin, better).with_context(|| format!("--metric {name}: margin {margin:?}"))?;
        Ok(Self { name, better, margin, kind, test, alpha, weight, critical })
    }

    /// The kind as said, or as the values show.
    pub fn kind_of(&self, canary: &[f64], stable: &[f64]) -> Kind {
        let binary = |values: &[f64]| !values.is_empty() && values.iter().all(|v| *v == 0.0 || *v == 1.0);
        self.kind.unwrap_or(if binary(canary) && binary(stable) { Kind::Rate } else { Kind::Value })
    }

    pub fn test_of(&self, kind: Kind, seed: u64) -> Test {
        match self.test {
            Some(TestName::MannWhitney) => Test::MannWhitney,
            Some(TestName::Welch) => Test::WelchT,
            Some(TestName::Bootstrap) => Test::Bootstrap { resamples: RESAMPLES, seed },
            None if kind == Kind::Rate => Test::Rates,
            None if kind == Kind::Mean => Test::WelchT,
            None => Test::MannWhitney,
        }
    }
}

fn choice<T: clap::ValueEnum>(text: &str) -> Result<T> {
    T::from_str(text, false).map_err(|_| {
        let known: Vec<String> = T::value_variants()
            .iter()
            .filter_map(|value| Some(value.to_possible_value()?.get_name().to_owned()))
            .collect();
        anyhow!("{text:?} is unknown; known are {}", known.join(", "))
    })
}

pub fn number(text: &str) -> Result<f64> {
    text.parse::<f64>().ok().filter(|value| value.is_finite()).ok_or_else(|| anyhow!("{text:?} is no number"))
}

/// `5%`, `1.2x` (or `0.9x` where higher is better), or a number in the metric's unit.
fn margin_of(text: &str, better: Better) -> Result<Margin> {
    let margin = if let Some(part) = text.strip_suffix('%') {
        Margin::Relative(number(part)? / 100.0)
    } else if let Some(factor) = text.strip_suffix('x') {
        let factor = number(factor)?;
        Margin::Relative(if better == Better::Lower { factor - 1.0 } else { 1.0 - factor })
    } else {
        Margin::Absolute(number(text)?)
    };
    let (Margin::Relative(value) | Margin::Absolute(value)) = margin;
    if value < 0.0 {
        bail!(
            "it would ask the canary to be better; use 5%, 1.2x (lower is better), 0.9x (higher is better) or 0.01"
        );
    }
    Ok(margin)
}
