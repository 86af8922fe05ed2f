//! When may the canary's weight rise?
//!
//! Reckoned in a fixed distance from UTC: a database of time zones would be the only thing in this crate that changes
//! without anybody changing it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The times at which the weight may rise by itself. It may always fall.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Windows {
    /// Minutes that local time is ahead of UTC.
    pub utc_offset_minutes: i16,
    /// Open in any of these; none: always.
    pub open: Vec<Window>,
    /// Closed in any of these, whatever is open.
    pub freezes: Vec<Freeze>,
}

/// A time of the week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Window {
    /// On which days it begins.
    pub days: Vec<Day>,
    /// When it begins, in minutes after midnight.
    pub from_minute: u16,
    /// When it ends, in minutes after midnight; not later than the beginning: on the next day.
    pub to_minute: u16,
}

/// Days on which nothing rises.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Freeze {
    /// The first day, in days since 1970-01-01.
    pub from_day: u32,
    /// The last day, included.
    pub to_day: u32,
    /// The last day, as people write it.
    pub to: String,
    /// Why; shown to people.
    pub reason: String,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)] // Monday to Sunday
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Day {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::Mon, Self::Tue, Self::Wed, Self::Thu, Self::Fri, Self::Sat, Self::Sun];

    /// The name of the day.
    const fn name(self) -> &'static str {
        match self {
            Self::Mon => "Monday",
            Self::Tue => "Tuesday",
            Self::Wed => "Wednesday",
            Self::Thu => "Thursday",
            Self::Fri => "Friday",
            Self::Sat => "Saturday",
            Self::Sun => "Sunday",
        }
    }

    /// The weekday of a day since 1970-01-01, which was a Thursday.
    fn of(day: u32) -> Self {
        let at = (day % 7 + 3) % 7;
        usize::try_from(at).ok().and_then(|at| Self::ALL.get(at)).copied().unwrap_or(Self::Mon)
    }
}

const MINUTES: u32 = 24 * 60;

/// Minutes ahead of UTC of `UTC`, `+02:00`, `-05:30`.
pub(crate) fn utc_offset(text: &str) -> Option<i16> {
    if matches!(text, "UTC" | "Z") {
        return Some(0);
    }
    let (sign, rest) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(rest), _) => (1, rest),
        (None, Some(rest)) => (-1, rest),
        (None, None) => return None,
    };
    let minutes = i16::try_from(minute_of(rest)?).ok()?;
    (minutes <= 14 * 60).then_some(sign * minutes)
}

/// Days since 1970-01-01 of `2026-12-20`.
pub(crate) fn day_of(text: &str) -> Option<u32> {
    let mut parts = text.split('-');
    let mut part = |digits: usize| -> Option<u32> {
        let part = parts.next().filter(|part| part.len() == digits)?;
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok()).flatten()
    };
    let (year, month, day) = (part(4)?, part(2)?, part(2)?);
    if parts.next().is_some() || !(1970..2970).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    let leap = |year: u32| (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    let length = |month: u32| match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap(year)),
        _ => 31,
    };
    if !(1..=length(month)).contains(&day) {
        return None;
    }
    let years: u32 = (1970..year).map(|year| 365 + u32::from(leap(year))).sum();
    Some(years + (1..month).map(length).sum::<u32>() + day - 1)
}

/// Minutes after midnight of `09:30`; `24:00` is the end of the day.
pub(crate) fn minute_of(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(hours) || !digits(minutes) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let minute = hours * 60 + minutes;
    (minutes < 60 && minute <= 24 * 60).then_some(minute)
}

impl Windows {
    /// May the weight rise at this moment (milliseconds since 1970)?
    ///
    /// # Errors
    /// Why not, and until when: one English clause.
    pub fn open_at(&self, unix_ms: u64) -> Result<(), String> {
        let minutes = i64::try_from(unix_ms / 60_000).unwrap_or(i64::MAX);
        let local = u32::try_from(minutes.saturating_add(self.utc_offset_minutes.into())).unwrap_or(0);
        if let Some(freeze) = self.frozen(local) {
            let reason =
                if freeze.reason.is_empty() { String::new() } else { format!(" ({})", freeze.reason) };
            return Err(format!("frozen until the end of {}{reason}", freeze.to));
        }
        if self.in_window(local) {
            return Ok(());
        }
        // A week has every window once.
        let next =
            (local..).take(8 * MINUTES as usize).find(|&at| self.in_window(at) && self.frozen(at).is_none());
        Err(match next {
            Some(at) => {
                let (day, minute) = (Day::of(at / MINUTES).name(), at % MINUTES);
                format!("outside its windows until {day} {:02}:{:02}", minute / 60, minute % 60)
            }
            None => "outside its windows for a week and more".to_owned(),
        })
    }

    fn frozen(&self, local: u32) -> Option<&Freeze> {
        let today = local / MINUTES;
        self.freezes.iter().find(|freeze| (freeze.from_day..=freeze.to_day).contains(&today))
    }

    fn in_window(&self, local: u32) -> bool {
        let (today, minute) = (local / MINUTES, local % MINUTES);
        let on = |window: &Window, day: u32| window.days.contains(&Day::of(day));
        self.open.is_empty()
            || self.open.iter().any(|window| {
                let (from, to) = (u32::from(window.from_minute), u32::from(window.to_minute));
                if from < to {
                    on(window, today) && (from..to).contains(&minute)
                } else {
                    (on(window, today) && minute >= from)
                        || (today > 0 && on(window, today - 1) && minute < to)
                }
            })
    }
}
