//! Times of the week in several places, on ordinary days and on those on which the clocks are changed.

use super::*;
use crate::tests::{at, timetable};

/// From each moment: the last time until it, and the first after it.
#[track_caller]
fn check(zone: &str, when: &str, moments: &[(&str, &str, &str)]) {
    let timetable = timetable(zone, when);
    for (moment, last, first) in moments {
        let now = at(moment);
        let found = (timetable.last_until(now), timetable.first_after(now));
        assert_eq!(found, (Some(at(last)), Some(at(first))), "{moment}");
        // The last time is the first after whatever is before it.
        assert_eq!(timetable.first_after(at(last) - 1), Some(at(last)), "{moment}");
    }
}

const BERLIN: &str = "timeZone: Europe/Berlin";

#[test]
fn times_of_the_week_follow_the_wall_clock() {
    let monday = "at: [{days: [mon], time: '09:00'}]";
    check(
        BERLIN,
        monday,
        &[
            // A Monday in winter, UTC+1; the clocks go forward on the Sunday before the second.
            ("2026-03-23T07:59:59Z", "2026-03-16T08:00:00Z", "2026-03-23T08:00:00Z"),
            ("2026-03-23T08:00:00Z", "2026-03-23T08:00:00Z", "2026-03-30T07:00:00Z"),
            ("2026-03-30T07:00:01Z", "2026-03-30T07:00:00Z", "2026-04-06T07:00:00Z"),
            // And back on 2026-10-25.
            ("2026-10-22T12:00:00Z", "2026-10-19T07:00:00Z", "2026-10-26T08:00:00Z"),
        ],
    );
    let twice = "at: [{days: [mon, thu], time: '22:00'}, {days: [sat], time: '24:00'}]";
    check(
        "utcOffset: '+05:30'",
        twice,
        &[
            ("2026-11-23T16:29:59Z", "2026-11-21T18:30:00Z", "2026-11-23T16:30:00Z"),
            ("2026-11-28T00:00:00Z", "2026-11-26T16:30:00Z", "2026-11-28T18:30:00Z"),
        ],
    );
}

#[test]
fn a_time_that_is_left_out_comes_later_and_one_that_comes_twice_comes_once() {
    let night = "at: [{time: '02:30'}]";
    check(
        BERLIN,
        night,
        &[
            // 02:30 is not on the clock that night; an hour later it is 03:30.
            ("2026-03-29T00:59:59Z", "2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z"),
            ("2026-03-29T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"),
            // 02:30 is on the clock at 00:30Z and again at 01:30Z.
            ("2026-10-25T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"),
            ("2026-10-25T01:45:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"),
        ],
    );
}

#[test]
fn in_words_and_how_close_two_of_them_are() {
    for (zone, when, words, gap_minutes) in [
        ("", "everyDays: 7", "every 7d", 10_080),
        ("", "at: [{days: [mon], time: '09:00'}]", "Mon 09:00, UTC", 10_080),
        (BERLIN, "at: [{time: '09:30'}]", "daily 09:30, Europe/Berlin", 1_440),
        (
            BERLIN,
            "at: [{days: [sun, mon], time: '23:30'}, {days: [mon], time: '00:15'}]",
            "Sun, Mon 23:30; Mon 00:15, Europe/Berlin",
            45,
        ),
    ] {
        let timetable = timetable(zone, when);
        assert_eq!(timetable.words(), words);
        assert_eq!(timetable.shortest_gap_ms(), gap_minutes * 60_000, "{words}");
    }
    let berlin = timetable(BERLIN, "everyDays: 7");
    assert_eq!(berlin.shown(at("2026-11-30T08:00:00Z")), "Mon 2026-11-30 09:00 Europe/Berlin");
    assert_eq!(berlin.first_after(5), Some(5 + 7 * 86_400_000));
}

#[test]
fn a_zone_nobody_knows_has_no_times() {
    let known = timetable(BERLIN, "at: [{time: '09:00'}]");
    let renamed = Timetable { time_zone: Some("Europe/Atlantis".to_owned()), ..known };
    assert_eq!((renamed.first_after(0), renamed.last_until(1 << 40)), (None, None));
}
