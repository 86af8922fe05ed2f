//! When is it time again?
//!
//! Times of the week follow the wall clock of a place. A time that the clocks leave out comes as much later as they were
//! put forward; one that they show twice comes once, the first time.

use serde::{Deserialize, Serialize};

use crate::window::{Day, days_in_words};
use crate::zone::{Local, Zone, place};

/// When something is done regularly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timetable {
    /// The time zone, such as Europe/Berlin; `None`: the fixed offset applies.
    pub time_zone: Option<String>,
    /// The fixed offset: minutes that local time is ahead of UTC.
    pub utc_offset_minutes: i16,
    /// Its times.
    pub times: Times,
}

/// The times of a timetable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Times {
    /// So long after it was last done, in milliseconds.
    Every(u64),
    /// At times of the week.
    Weekly {
        /// Which; at least one.
        at: Vec<TimeOfWeek>,
        /// How late it may be, in milliseconds.
        within_ms: u64,
    },
}

/// A time of the week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeOfWeek {
    /// On which days.
    pub days: Vec<Day>,
    /// In minutes after midnight.
    pub minute: u16,
}

const WEEK_MINUTES: u32 = 7 * 1_440;

impl Timetable {
    /// The first time after a moment, in milliseconds since 1970; when it is done every so often, reckoned from that
    /// moment. `None`: nobody here knows the time zone.
    #[must_use]
    pub fn first_after(&self, unix_ms: u64) -> Option<u64> {
        match &self.times {
            Times::Every(ms) => Some(unix_ms.saturating_add(*ms)),
            Times::Weekly { at, .. } => {
                let today = self.zone()?.local(unix_ms)?.day;
                let around = today.saturating_sub(1)..=today.saturating_add(8);
                self.moments(at, around)?.into_iter().filter(|moment| *moment > unix_ms).min()
            }
        }
    }

    /// Of times of the week the last one until a moment.
    #[must_use]
    pub fn last_until(&self, unix_ms: u64) -> Option<u64> {
        let Times::Weekly { at, .. } = &self.times else { return None };
        let today = self.zone()?.local(unix_ms)?.day;
        let around = today.saturating_sub(8)..=today.saturating_add(1);
        self.moments(at, around)?.into_iter().filter(|moment| *moment <= unix_ms).max()
    }

    /// How late it may be, in milliseconds; `None`: as late as need be.
    #[must_use]
    pub const fn within_ms(&self) -> Option<u64> {
        match &self.times {
            Times::Every(_) => None,
            Times::Weekly { within_ms, .. } => Some(*within_ms),
        }
    }

    /// The shortest time between two, in milliseconds, changes of the clocks aside.
    #[must_use]
    pub fn shortest_gap_ms(&self) -> u64 {
        let at = match &self.times {
            Times::Every(ms) => return *ms,
            Times::Weekly { at, .. } => at,
        };
        let mut minutes: Vec<u32> = at.iter().flat_map(TimeOfWeek::minutes_of_week).collect();
        minutes.sort_unstable();
        minutes.dedup();
        let around = minutes.first().map(|first| first + WEEK_MINUTES);
        let next = minutes.iter().skip(1).copied().chain(around);
        let gaps = minutes.iter().zip(next).map(|(one, next)| next - one);
        u64::from(gaps.min().unwrap_or(WEEK_MINUTES)) * 60_000
    }

    /// Its times in words: "every 7d", "Mon 09:00, Europe/Berlin".
    #[must_use]
    pub fn words(&self) -> String {
        let at = match &self.times {
            Times::Every(ms) => return format!("every {}", notation::span(*ms)),
            Times::Weekly { at, .. } => at,
        };
        let times = at.iter().map(|time| {
            let (hour, minute) = (time.minute / 60, time.minute % 60);
            format!("{} {hour:02}:{minute:02}", days_in_words(&time.days))
        });
        let times: Vec<String> = times.collect();
        format!("{}, {}", times.join("; "), self.place())
    }

    /// A moment by its wall clock: "Mon 2026-11-30 09:00 Europe/Berlin".
    #[must_use]
    pub fn shown(&self, unix_ms: u64) -> String {
        match self.zone().and_then(|zone| zone.local(unix_ms)) {
            Some(local) => format!("{} {local} {}", Day::of(local.day).short(), self.place()),
            None => format!("{} s after 1970", unix_ms / 1_000),
        }
    }

    fn place(&self) -> String {
        place(self.time_zone.as_deref(), self.utc_offset_minutes)
    }

    fn zone(&self) -> Option<Zone> {
        Zone::of(self.time_zone.as_deref(), self.utc_offset_minutes)
    }

    fn moments(&self, at: &[TimeOfWeek], days: std::ops::RangeInclusive<u32>) -> Option<Vec<u64>> {
        let zone = self.zone()?;
        let on = |day: u32| at.iter().filter(move |time| time.days.contains(&Day::of(day)));
        let times = days.flat_map(|day| on(day).map(move |time| Local { day, minute: time.minute.into() }));
        Some(times.filter_map(|local| zone.moment(local)).collect())
    }
}

impl TimeOfWeek {
    fn minutes_of_week(&self) -> impl Iterator<Item = u32> {
        let on = Day::ALL.iter().zip(0..).filter(|(day, _)| self.days.contains(day));
        on.map(|(_, day)| day * 1_440 + u32::from(self.minute))
    }
}

#[cfg(test)]
mod tests;
