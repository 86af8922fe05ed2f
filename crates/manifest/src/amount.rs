//! Shares, times, limits and margins, as people write them: `5%`, `0.1%`, `10m`, `1h30m`, `500ms`, `1.5x`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A share of the traffic in exact parts per million, written as a percentage: `5%`, `0.1%`, `0.0001%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u32);

/// A length of time in milliseconds, written with units: `500ms`, `30s`, `10m`, `2h`, `1h30m`, `1d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(u64);

/// A limit: a share (`0.1%`), a time (`500ms`) or a plain number (`0.65`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quantity {
    /// 0 to 1, written as a percentage.
    Share(f64),
    /// Milliseconds, written with units.
    Time(f64),
    /// A number without a unit.
    Plain(f64),
}

/// A distance from stable's value: a factor (`1.5x`), a part of it (`20%`), or percentage points (`0.5pp`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Margin {
    /// `1.5x`: one and a half times stable's value.
    Factor(f64),
    /// `20%`: stable's value and a fifth of it more, or less where smaller is worse.
    Part(f64),
    /// `0.5pp`: stable's share and half a percentage point more (0.005), or less where smaller is worse.
    Points(f64),
}

/// Text that is not the amount it should be; says what would be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {wanted}")]
pub struct NotAnAmount {
    text: String,
    wanted: &'static str,
}

impl NotAnAmount {
    pub(crate) fn new(text: &str, wanted: &'static str) -> Self {
        Self { text: text.to_owned(), wanted }
    }
}

const PERCENT: &str = "a percentage from 0% to 100% in steps of 0.0001%, such as 5% or 0.1%";
const SPAN: &str = "a time such as 500ms, 30s, 10m or 1h30m";
const QUANTITY: &str = "a limit such as 0.1% (a share), 500ms (a time) or 0.65 (a plain number)";
const MARGIN: &str =
    "a margin such as 1.5x (a factor on stable's value), 20% (a part of it) or 0.5pp (percentage points)";

impl Percent {
    /// A share of `ppm` parts per million, at most everything.
    #[must_use]
    pub const fn from_ppm(ppm: u32) -> Self {
        Self(if ppm > split::MILLION { split::MILLION } else { ppm })
    }

    /// In parts per million.
    #[must_use]
    pub const fn ppm(self) -> u32 {
        self.0
    }

    /// As a share of 1.
    #[must_use]
    pub fn share(self) -> f64 {
        f64::from(self.0) / f64::from(split::MILLION)
    }
}

impl Span {
    /// A time of `ms` milliseconds.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// In milliseconds.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.0
    }
}

/// A finite number that is not negative, in plain decimal notation.
fn number(text: &str) -> Option<f64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|value: &f64| plain && value.is_finite())
}

impl FromStr for Percent {
    type Err = NotAnAmount;

    fn from_str(text: &str) -> Result<Self, NotAnAmount> {
        let wrong = || NotAnAmount { text: text.to_owned(), wanted: PERCENT };
        let digits = text.strip_suffix('%').ok_or_else(wrong)?;
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        // Read as whole numbers: 0.1 % is exactly 1,000 parts per million, which no binary fraction is.
        if whole.is_empty() || whole.len() > 3 || fraction.len() > 4 || number(digits).is_none() {
            return Err(wrong());
        }
        let ppm: u32 = format!("{whole}{fraction:0<4}").parse().map_err(|_| wrong())?;
        if ppm <= split::MILLION { Ok(Self(ppm)) } else { Err(wrong()) }
    }
}

impl FromStr for Span {
    type Err = NotAnAmount;

    fn from_str(text: &str) -> Result<Self, NotAnAmount> {
        let wrong = || NotAnAmount { text: text.to_owned(), wanted: SPAN };
        let mut rest = text;
        let mut total = 0_u64;
        let mut last_unit = u64::MAX;
        while !rest.is_empty() || last_unit == u64::MAX {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
            let (count, after) = rest.split_at(digits);
            let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
            let (unit, after) = after.split_at(letters);
            let unit = match unit {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return Err(wrong()),
            };
            // Units fall, each at most once: `1h30m`, not `30m1h`.
            if unit >= last_unit {
                return Err(wrong());
            }
            let count: u64 = count.parse().map_err(|_| wrong())?;
            total = count.checked_mul(unit).and_then(|ms| total.checked_add(ms)).ok_or_else(wrong)?;
            last_unit = unit;
            rest = after;
        }
        // A year: longer is a slip of the pen, and sums of such times cannot overflow.
        if total <= 366 * 86_400_000 { Ok(Self(total)) } else { Err(wrong()) }
    }
}

impl FromStr for Quantity {
    type Err = NotAnAmount;

    fn from_str(text: &str) -> Result<Self, NotAnAmount> {
        #[allow(clippy::cast_precision_loss)] // below a year
        if let Some(value) = number(text) {
            Ok(Self::Plain(value))
        } else if let Some(value) = text.strip_suffix('%').and_then(number) {
            Ok(Self::Share(value / 100.0))
        } else if let Ok(span) = text.parse::<Span>() {
            Ok(Self::Time(span.ms() as f64))
        } else {
            Err(NotAnAmount { text: text.to_owned(), wanted: QUANTITY })
        }
    }
}

impl FromStr for Margin {
    type Err = NotAnAmount;

    fn from_str(text: &str) -> Result<Self, NotAnAmount> {
        if let Some(factor) = text.strip_suffix('x').and_then(number) {
            Ok(Self::Factor(factor))
        } else if let Some(part) = text.strip_suffix('%').and_then(number) {
            Ok(Self::Part(part / 100.0))
        } else if let Some(points) = text.strip_suffix("pp").and_then(number) {
            Ok(Self::Points(points / 100.0))
        } else {
            Err(NotAnAmount { text: text.to_owned(), wanted: MARGIN })
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Parts per million are ten-thousandths of a percent.
        write!(f, "{}%", notation::decimal(f64::from(self.0) / 1e4, 4))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&notation::span(self.0))
    }
}

/// A number of percent without a binary tail: 0.07 * 100 is 7, not 7.000000000000001.
fn hundredfold(share: f64) -> String {
    notation::decimal(100.0 * share, 8)
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(share) => write!(f, "{}%", hundredfold(*share)),
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            // whole, not negative, below a year
            Self::Time(ms) => Span(ms.round() as u64).fmt(f),
            Self::Plain(value) => value.fmt(f),
        }
    }
}

impl fmt::Display for Margin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Factor(factor) => write!(f, "{factor}x"),
            Self::Part(part) => write!(f, "{}%", hundredfold(*part)),
            Self::Points(points) => write!(f, "{}pp", hundredfold(*points)),
        }
    }
}

/// Text in, text out. A bare number is read as its digits, and refused where a unit is wanted: `5` could be 5 % or
/// five times everything.
macro_rules! as_text {
    ($($type:ident, $wanted:expr, $pattern:expr;)*) => {$(
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $type;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($wanted)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.trim().parse().map_err(E::custom)
                    }
                    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<$type, E> {
                        self.visit_str(&value.to_string())
                    }
                    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<$type, E> {
                        self.visit_str(&value.to_string())
                    }
                    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<$type, E> {
                        self.visit_str(&value.to_string())
                    }
                }
                deserializer.deserialize_any(Visitor)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern, "description": concat!("Written as ", $wanted, ".") })
            }
        }
    )*};
}
pub(crate) use as_text;

as_text! {
    Percent, "a percentage such as 5% or 0.1%", r"^[0-9]{1,3}(\.[0-9]{1,4})?%$";
    Span, "a time such as 500ms, 30s, 10m or 1h30m", "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";
    Margin, "a margin such as 1.5x, 20% or 0.5pp", r"^[0-9]+(\.[0-9]+)?(x|%|pp)$";
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Quantity;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(QUANTITY)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
                text.trim().parse().map_err(E::custom)
            }
            #[allow(clippy::cast_precision_loss)] // a limit
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Quantity, E> {
                Ok(Quantity::Plain(value as f64))
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Quantity, E> {
                if value.is_finite() {
                    Ok(Quantity::Plain(value))
                } else {
                    Err(E::custom("not a finite number"))
                }
            }
            #[allow(clippy::cast_precision_loss)] // a limit
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Quantity, E> {
                Ok(Quantity::Plain(value as f64))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(value) => serializer.serialize_f64(*value),
            Self::Share(_) | Self::Time(_) => serializer.collect_str(self),
        }
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A share (0.1%), a time (500ms) or a plain number (0.65).",
            "x-kubernetes-preserve-unknown-fields": true
        })
    }
}
