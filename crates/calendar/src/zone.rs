//! The wall clock of a place: everything that is asked of the database of time zones.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};

/// What the wall clock shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Local {
    /// Days since 1970-01-01.
    pub(crate) day: u32,
    /// Minutes after midnight.
    pub(crate) minute: u32,
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = date(self.day).unwrap_or(Date::ZERO);
        write!(f, "{date} {:02}:{:02}", self.minute / 60, self.minute % 60)
    }
}

pub(crate) struct Zone(TimeZone);

impl Zone {
    /// By its name, or by its distance from UTC.
    pub(crate) fn of(name: Option<&str>, utc_offset_minutes: i16) -> Option<Self> {
        match name {
            Some(name) => Self::named(name),
            None => Self::fixed(utc_offset_minutes),
        }
    }

    /// By its name in the database that is compiled in, whatever other databases there are.
    fn named(name: &str) -> Option<Self> {
        TimeZoneDatabase::bundled().get(name).ok().map(Self)
    }

    fn fixed(minutes: i16) -> Option<Self> {
        Offset::from_seconds(i32::from(minutes) * 60).ok().map(|offset| Self(TimeZone::fixed(offset)))
    }

    pub(crate) fn local(&self, unix_ms: u64) -> Option<Local> {
        let shown = self.0.to_datetime(timestamp(unix_ms)?);
        Some(Local { day: number(shown.date())?, minute: minute(shown.time()) })
    }

    /// Every moment at which the wall clock shows this: none on a day it leaves it out, two on a day it repeats it.
    pub(crate) fn moments(&self, day: u32, minute: u32) -> Vec<u64> {
        let Some(shown) = clock(day, minute) else { return Vec::new() };
        let zoned = self.0.to_ambiguous_timestamp(shown);
        let both = [zoned.earlier(), zoned.later()];
        let mut moments: Vec<u64> = both.into_iter().flatten().filter_map(unix_ms).collect();
        // Of a time that is left out, both are beside it.
        moments.retain(|at| self.local(*at) == Some(Local { day, minute }));
        moments.dedup();
        moments
    }

    /// The moment at which the wall clock shows this: of two the first; of one that is left out as much later as the
    /// clocks were put forward.
    pub(crate) fn moment(&self, local: Local) -> Option<u64> {
        let shown = clock(local.day, local.minute)?;
        self.0.to_ambiguous_timestamp(shown).compatible().ok().and_then(unix_ms)
    }

    /// The moments of this day at which the clocks are changed.
    pub(crate) fn changes(&self, day: u32) -> Vec<u64> {
        // No place is a whole day away from UTC.
        let at = |day: u32| timestamp(u64::from(day) * DAY_MS);
        let Some((from, to)) = at(day.saturating_sub(1)).zip(at(day + 2)) else { return Vec::new() };
        let changes =
            self.0.following(from).map(|change| change.timestamp()).take_while(|change| *change < to);
        let on_day = |at: &u64| self.local(*at).is_some_and(|local| local.day == day);
        changes.filter_map(unix_ms).filter(on_day).collect()
    }
}

const DAY_MS: u64 = 86_400_000;

/// "Europe/Berlin", "UTC", "UTC+02:00".
pub(crate) fn place(name: Option<&str>, utc_offset_minutes: i16) -> String {
    match (name, utc_offset_minutes) {
        (Some(zone), _) => zone.to_owned(),
        (None, 0) => "UTC".to_owned(),
        (None, minutes) => {
            let (sign, minutes) = (if minutes < 0 { '-' } else { '+' }, minutes.unsigned_abs());
            format!("UTC{sign}{:02}:{:02}", minutes / 60, minutes % 60)
        }
    }
}

/// Minutes that local time is ahead of UTC, of `UTC`, `+02:00`, `-05:30`. `None`: it is no such distance.
#[must_use]
pub fn offset(text: &str) -> Option<i16> {
    if matches!(text, "UTC" | "Z") {
        return Some(0);
    }
    let (sign, rest) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(rest), _) => (1, rest),
        (None, Some(rest)) => (-1, rest),
        (None, None) => return None,
    };
    let minutes = i16::try_from(crate::window::minute_of(rest)?).ok()?;
    (minutes <= 14 * 60).then_some(sign * minutes)
}

/// The name of a time zone as the database writes it; `None`: there is no such time zone.
#[must_use]
pub fn known(name: &str) -> Option<String> {
    let zone = TimeZoneDatabase::bundled().get(name).ok()?;
    zone.iana_name().map(str::to_owned)
}

/// A time zone whose name ends in this, as people write cities: `Europe/Berlin` for `berlin`. `None`: there is none.
#[must_use]
pub fn like(name: &str) -> Option<String> {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['-', ' '], "_");
    let wanted = plain(name.rsplit('/').next().unwrap_or(name));
    let all = TimeZoneDatabase::bundled();
    let names: Vec<String> = all.available().map(|name| name.to_string()).collect();
    names.into_iter().find(|known| plain(known.rsplit('/').next().unwrap_or(known)) == wanted)
}

/// Days since 1970-01-01 of a date in one of the forms that jiff reads.
pub(crate) fn day(text: &str) -> Option<u32> {
    number(text.parse().ok()?)
}

/// Days since the Monday before.
pub(crate) fn weekday(day: u32) -> usize {
    let weekday = date(day).unwrap_or(EPOCH).weekday();
    usize::try_from(weekday.to_monday_zero_offset()).unwrap_or(0)
}

fn number(date: Date) -> Option<u32> {
    u32::try_from(date.duration_since(EPOCH).as_hours() / 24).ok()
}

const EPOCH: Date = Date::constant(1970, 1, 1);

fn date(day: u32) -> Option<Date> {
    EPOCH.checked_add(jiff::Span::new().try_days(i64::from(day)).ok()?).ok()
}

/// 24:00 is midnight of the next day.
fn clock(day: u32, minute: u32) -> Option<DateTime> {
    let (day, minute) = (day + minute / 1_440, minute % 1_440);
    let time = Time::new(i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?, 0, 0).ok()?;
    Some(date(day)?.to_datetime(time))
}

fn minute(time: Time) -> u32 {
    u32::try_from(time.hour()).unwrap_or(0) * 60 + u32::try_from(time.minute()).unwrap_or(0)
}

fn timestamp(unix_ms: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(unix_ms).ok()?).ok()
}

fn unix_ms(at: Timestamp) -> Option<u64> {
    u64::try_from(at.as_millisecond()).ok()
}
