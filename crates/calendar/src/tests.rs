//! Windows and timetables out of texts, as a document writes them.

use serde::Deserialize;

use crate::{
    Day, Freeze, TimeOfWeek, Times, Timetable, Window, Windows, day_of, known, like, minute_of, offset,
};

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Typed {
    time_zone: Option<String>,
    utc_offset: Option<String>,
    open: Vec<TypedWindow>,
    freezes: Vec<TypedFreeze>,
    every_days: Option<u64>,
    at: Vec<TypedTime>,
}

#[derive(Deserialize)]
struct TypedWindow {
    #[serde(default)]
    days: Vec<Day>,
    from: String,
    to: String,
}

#[derive(Deserialize)]
struct TypedFreeze {
    from: String,
    to: String,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
struct TypedTime {
    #[serde(default)]
    days: Vec<Day>,
    time: String,
}

fn typed(lines: &str) -> Typed {
    serde_saphyr::from_str(&format!("{{{lines}}}")).unwrap_or_else(|error| panic!("{lines}: {error}"))
}

impl Typed {
    fn place(&self) -> (Option<String>, i16) {
        let zone = self.time_zone.as_deref().map(|name| known(name).expect("a time zone"));
        (zone, self.utc_offset.as_deref().map_or(0, |text| offset(text).expect("a distance from UTC")))
    }
}

fn days(written: Vec<Day>) -> Vec<Day> {
    if written.is_empty() { Day::ALL.to_vec() } else { written }
}

fn minute(text: &str) -> u16 {
    minute_of(text).expect("a time of the day")
}

pub(crate) fn windows(lines: &str) -> Windows {
    let typed = typed(lines);
    let (time_zone, utc_offset_minutes) = typed.place();
    let open = typed.open.into_iter().map(|window| Window {
        days: days(window.days),
        from_minute: minute(&window.from),
        to_minute: minute(&window.to),
    });
    let freezes = typed.freezes.into_iter().map(|freeze| Freeze {
        from_day: day_of(&freeze.from).expect("a day"),
        to_day: day_of(&freeze.to).expect("a day"),
        to: freeze.to,
        reason: freeze.reason,
    });
    Windows { time_zone, utc_offset_minutes, open: open.collect(), freezes: freezes.collect() }
}

/// `place`: time zone or distance from UTC; `when`: `everyDays` or `at`.
pub(crate) fn timetable(place: &str, when: &str) -> Timetable {
    let typed =
        typed(&[place, when].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", "));
    let (time_zone, utc_offset_minutes) = typed.place();
    let at =
        typed.at.into_iter().map(|time| TimeOfWeek { days: days(time.days), minute: minute(&time.time) });
    let times = match typed.every_days {
        Some(days) => Times::Every(days * 86_400_000),
        None => Times::Weekly { at: at.collect(), within_ms: 3_600_000 },
    };
    Timetable { time_zone, utc_offset_minutes, times }
}

/// Milliseconds since 1970 of a moment as RFC 3339 writes it.
pub(crate) fn at(moment: &str) -> u64 {
    let moment: jiff::Timestamp = moment.parse().expect("a moment");
    u64::try_from(moment.as_millisecond()).expect("after 1970")
}

#[test]
fn what_is_no_time_no_day_and_no_place_is_none() {
    for text in ["", "9:30", "09:60", "24:01", "25:00", "09-30", "0a:00"] {
        assert_eq!(minute_of(text), None, "{text}");
    }
    assert_eq!((minute_of("00:00"), minute_of("24:00")), (Some(0), Some(1_440)));
    for text in ["", "2026-02-31", "20261220", "2026-12-20T10:00", "12/20/2026"] {
        assert_eq!(day_of(text), None, "{text}");
    }
    assert_eq!(day_of("1970-01-05"), Some(4));
    for text in ["", "02:00", "+2", "+15:00", "CET"] {
        assert_eq!(offset(text), None, "{text}");
    }
    assert_eq!((offset("UTC"), offset("-05:30")), (Some(0), Some(-330)));
    assert_eq!((known("europe/berlin").as_deref(), known("Atlantis")), (Some("Europe/Berlin"), None));
    assert_eq!(like("new york").as_deref(), Some("America/New_York"));
}
