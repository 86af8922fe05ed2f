//! When may the canary's weight rise?
//!
//! Reckoned by the wall clock of a place. Its rules come from the database of time zones that is compiled in, so the same
//! build gives the same answer for ever; no clock and no file is read. On the day clocks go forward an hour of the wall
//! clock is missing and nothing is open in it; on the day they go back one comes twice and is open twice.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::zone::{self, Local, Zone, place};

/// The times at which the weight may rise by itself. It may always fall.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Windows {
    /// The time zone, such as Europe/Berlin; `None`: the fixed offset applies.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// The fixed offset: minutes that local time is ahead of UTC.
    pub utc_offset_minutes: i16,
    /// Open in any of these; none: always.
    pub open: Vec<Window>,
    /// Closed in any of these, even within a window.
    pub freezes: Vec<Freeze>,
}

/// A time of the week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// On which days it begins.
    pub days: Vec<Day>,
    /// When it begins, in minutes after midnight.
    pub from_minute: u16,
    /// When it ends, in minutes after midnight; not later than the beginning: on the next day.
    pub to_minute: u16,
}

/// Days on which no weight rises.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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

/// A time at which no weight rises.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Closed {
    /// Why, and until when: one English clause.
    pub why: String,
    /// When it is open again, in milliseconds since 1970; `None`: not within a year.
    pub opens_unix_ms: Option<u64>,
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

    /// Its first three letters.
    pub(crate) fn short(self) -> &'static str {
        self.name().get(..3).unwrap_or_default()
    }

    /// The weekday of a day since 1970-01-01.
    pub(crate) fn of(day: u32) -> Self {
        Self::ALL.get(zone::weekday(day)).copied().unwrap_or(Self::Mon)
    }
}

/// "Mon-Fri", "daily", "Mon, Thu".
pub(crate) fn days_in_words(days: &[Day]) -> String {
    let days: Vec<&str> = days.iter().map(|day| day.short()).collect();
    match days.as_slice() {
        all if all.len() == Day::ALL.len() => "daily".to_owned(),
        ["Mon", "Tue", "Wed", "Thu", "Fri"] => "Mon-Fri".to_owned(),
        some => some.join(", "),
    }
}

/// Minutes after midnight of `09:30`; `24:00` is the end of the day. `None`: it is no time of the day.
#[must_use]
pub fn minute_of(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(hours) || !digits(minutes) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let minute = hours * 60 + minutes;
    (minutes < 60 && minute <= 24 * 60).then_some(minute)
}

/// Days since 1970-01-01 of `2026-12-20`. `None`: it is no day of the calendar.
#[must_use]
pub fn day_of(text: &str) -> Option<u32> {
    // Jiff reads more than this one form, such as 20261220 and times of a day.
    let written = text.len() == "2026-12-20".len() && text.as_bytes().get(4) == Some(&b'-');
    written.then(|| zone::day(text)).flatten()
}

/// No freeze and no pause between two windows is looked beyond.
const HORIZON_DAYS: u32 = 366;

impl Windows {
    /// May the weight rise at this moment (milliseconds since 1970)?
    ///
    /// # Errors
    /// Why not, and until when.
    pub fn open_at(&self, unix_ms: u64) -> Result<(), Closed> {
        let zone = self.zone();
        let Some((zone, local)) = zone.as_ref().and_then(|zone| Some((zone, zone.local(unix_ms)?))) else {
            let name = self.time_zone.as_deref().unwrap_or_default();
            let why = format!("nobody here knows the time zone {name:?}, so its windows stay closed");
            return Err(Closed { why, opens_unix_ms: None });
        };
        if self.holds(local) {
            return Ok(());
        }
        let opens_unix_ms = self.opens(zone, unix_ms, local);
        let opens = opens_unix_ms
            .and_then(|at| zone.local(at))
            .map(|at| format!("{} {at} {}", Day::of(at.day).name(), self.place()));
        let frozen = self.frozen(local.day).map(|freeze| match freeze.reason.as_str() {
            "" => freeze.to.clone(),
            reason => format!("{} ({reason})", freeze.to),
        });
        let why = match (frozen, opens) {
            (Some(end), Some(opens)) => format!("frozen until the end of {end}; opens {opens}"),
            (Some(end), None) => {
                format!("frozen until the end of {end}, and outside its windows for a year and more")
            }
            (None, Some(opens)) => format!("outside its windows until {opens}"),
            (None, None) => "outside its windows for a year and more".to_owned(),
        };
        Err(Closed { why, opens_unix_ms })
    }

    /// Is a moment on a day on which nothing rises? Why, and until when: one English clause.
    #[must_use]
    pub fn frozen_at(&self, unix_ms: u64) -> Option<String> {
        let local = self.zone()?.local(unix_ms)?;
        self.frozen(local.day).map(|freeze| match freeze.reason.as_str() {
            "" => format!("frozen until the end of {}", freeze.to),
            reason => format!("frozen until the end of {} ({reason})", freeze.to),
        })
    }

    /// Is any of these times of the week (days, and a minute after midnight) in a window, freezes and changes of the clocks
    /// aside?
    #[must_use]
    pub fn opens_on(&self, days: &[Day], minute: u16) -> bool {
        // 1970-01-05 was a Monday.
        let week = (4..11).filter(|day| days.contains(&Day::of(*day)));
        week.map(|day| Local { day, minute: minute.into() }).any(|local| self.in_window(local))
    }

    /// Its times in words: "Mon-Fri 09:00-17:00, Europe/Berlin".
    #[must_use]
    pub fn words(&self) -> String {
        let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        let open = self.open.iter().map(|window| {
            let days = days_in_words(&window.days);
            format!("{days} {}-{}", clock(window.from_minute), clock(window.to_minute))
        });
        let open: Vec<String> = open.collect();
        let open = if open.is_empty() { "always".to_owned() } else { open.join("; ") };
        let freezes = self.freezes.iter().map(|freeze| match freeze.reason.as_str() {
            "" => format!(", but not up to {}", freeze.to),
            reason => format!(", but not up to {} ({reason})", freeze.to),
        });
        format!("{open} {}{}", self.place(), freezes.collect::<String>())
    }

    fn place(&self) -> String {
        place(self.time_zone.as_deref(), self.utc_offset_minutes)
    }

    fn zone(&self) -> Option<Zone> {
        Zone::of(self.time_zone.as_deref(), self.utc_offset_minutes)
    }

    /// The first moment after this one at which it is open.
    fn opens(&self, zone: &Zone, unix_ms: u64, local: Local) -> Option<u64> {
        for day in local.day..=local.day + HORIZON_DAYS {
            // It can open at midnight, after a freeze; when a window begins; and when the clocks are changed.
            let begins = self.open.iter().map(|window| u32::from(window.from_minute)).chain([0]);
            let mut moments: Vec<u64> = begins.flat_map(|minute| zone.moments(day, minute)).collect();
            moments.extend(zone.changes(day));
            moments.sort_unstable();
            let open = |at: &u64| *at > unix_ms && zone.local(*at).is_some_and(|local| self.holds(local));
            if let Some(at) = moments.into_iter().find(open) {
                return Some(at);
            }
        }
        None
    }

    fn holds(&self, local: Local) -> bool {
        self.frozen(local.day).is_none() && self.in_window(local)
    }

    fn frozen(&self, day: u32) -> Option<&Freeze> {
        self.freezes.iter().find(|freeze| (freeze.from_day..=freeze.to_day).contains(&day))
    }

    fn in_window(&self, Local { day: today, minute }: Local) -> bool {
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

#[cfg(test)]
mod tests;
