//! The wall clock of several places, on ordinary days and on those on which it is changed.

use super::*;
use crate::tests::{at, windows};

/// At each moment: open (`""`), or how the reason ends.
#[track_caller]
fn check(lines: &str, moments: &[(&str, &str)]) {
    let windows = windows(lines);
    for (moment, expected) in moments {
        let said = windows.open_at(at(moment));
        let why = said.as_ref().err().map_or("", |closed| closed.why.as_str());
        assert!(
            why.ends_with(expected) && why.is_empty() == expected.is_empty(),
            "{moment}: {why:?}, not {expected:?}"
        );
        if let Some(opens) = said.err().and_then(|closed| closed.opens_unix_ms) {
            assert_eq!(windows.open_at(opens), Ok(()), "{moment}: it opens when it says");
            assert!(windows.open_at(opens - 1).is_err(), "{moment}: and not before");
        }
    }
}

const OFFICE: &str =
    "timeZone: Europe/Berlin, open: [{days: [mon, tue, wed, thu, fri], from: '09:00', to: '17:00'}]";
const NIGHT: &str = "timeZone: Europe/Berlin, open: [{from: '01:30', to: '02:30'}]";

#[test]
fn summer_and_winter_have_the_same_office_hours() {
    check(
        OFFICE,
        &[
            // A Friday in winter, UTC+1.
            ("2026-03-27T07:59:59Z", "outside its windows until Friday 2026-03-27 09:00 Europe/Berlin"),
            ("2026-03-27T08:00:00Z", ""),
            ("2026-03-27T15:59:59Z", ""),
            ("2026-03-27T16:00:00Z", "until Monday 2026-03-30 09:00 Europe/Berlin"),
            // The Monday after it is summer, UTC+2.
            ("2026-03-30T06:59:59Z", "until Monday 2026-03-30 09:00 Europe/Berlin"),
            ("2026-03-30T07:00:00Z", ""),
            ("2026-03-30T15:00:00Z", "until Tuesday 2026-03-31 09:00 Europe/Berlin"),
        ],
    );
    let opens = windows(OFFICE).open_at(at("2026-03-27T16:00:00Z")).expect_err("closed").opens_unix_ms;
    assert_eq!(opens, Some(at("2026-03-30T07:00:00Z")), "an hour earlier by UTC");
}

/// On 2026-03-29 Berlin's clocks go from 02:00 to 03:00.
#[test]
fn nothing_is_open_in_an_hour_that_is_left_out() {
    check(
        NIGHT,
        &[
            ("2026-03-29T00:29:00Z", "until Sunday 2026-03-29 01:30 Europe/Berlin"),
            ("2026-03-29T00:30:00Z", ""),
            ("2026-03-29T00:59:59Z", ""),
            ("2026-03-29T01:00:00Z", "until Monday 2026-03-30 01:30 Europe/Berlin"),
        ],
    );
    let inside = "timeZone: Europe/Berlin, open: [{from: '02:00', to: '02:45'}]";
    check(inside, &[("2026-03-29T00:00:00Z", "until Monday 2026-03-30 02:00 Europe/Berlin")]);
    let across = "timeZone: Europe/Berlin, open: [{from: '02:15', to: '04:00'}]";
    check(
        across,
        &[
            ("2026-03-29T00:59:59Z", "until Sunday 2026-03-29 03:00 Europe/Berlin"),
            ("2026-03-29T01:00:00Z", ""),
            ("2026-03-29T02:00:00Z", "until Monday 2026-03-30 02:15 Europe/Berlin"),
        ],
    );
}

/// On 2026-10-25 Berlin's clocks go from 03:00 back to 02:00.
#[test]
fn an_hour_that_comes_twice_is_open_twice() {
    check(
        NIGHT,
        &[
            ("2026-10-24T23:30:00Z", ""),
            ("2026-10-25T00:29:59Z", ""),
            ("2026-10-25T00:30:00Z", "until Sunday 2026-10-25 02:00 Europe/Berlin"),
            ("2026-10-25T01:00:00Z", ""),
            ("2026-10-25T01:29:59Z", ""),
            ("2026-10-25T01:30:00Z", "until Monday 2026-10-26 01:30 Europe/Berlin"),
        ],
    );
}

#[test]
fn midnight_may_be_left_out_and_nights_go_on() {
    // On 2026-03-29 Beirut's clocks go from 00:00 to 01:00.
    check(
        "timeZone: Asia/Beirut, freezes: [{from: 2026-03-20, to: 2026-03-28, reason: audit}]",
        &[
            (
                "2026-03-28T21:59:59Z",
                "frozen until the end of 2026-03-28 (audit); opens Sunday 2026-03-29 01:00 Asia/Beirut",
            ),
            ("2026-03-28T22:00:00Z", ""),
        ],
    );
    check(
        "timeZone: America/New_York, open: [{days: [fri], from: '22:00', to: '04:00'}]",
        &[
            ("2026-11-28T02:59:00Z", "until Friday 2026-11-27 22:00 America/New_York"),
            ("2026-11-28T03:00:00Z", ""),
            ("2026-11-28T08:59:00Z", ""),
            ("2026-11-28T09:00:00Z", "until Friday 2026-12-04 22:00 America/New_York"),
        ],
    );
}

#[test]
fn a_freeze_goes_before_a_window_and_says_when_that_opens() {
    let lines = format!("{OFFICE}, freezes: [{{from: 2026-12-21, to: 2027-01-01}}]");
    check(
        &lines,
        &[
            (
                "2026-12-22T10:00:00Z",
                "frozen until the end of 2027-01-01; opens Monday 2027-01-04 09:00 Europe/Berlin",
            ),
            ("2026-12-19T10:00:00Z", "outside its windows until Monday 2027-01-04 09:00 Europe/Berlin"),
        ],
    );
    let ever = "freezes: [{from: 2026-01-01, to: 2036-01-01}]";
    check(
        ever,
        &[(
            "2026-05-01T00:00:00Z",
            "frozen until the end of 2036-01-01, and outside its windows for a year and more",
        )],
    );
}

#[test]
fn a_distance_from_utc_and_an_older_store_still_count() {
    check(
        "utcOffset: '-05:30', open: [{from: '09:00', to: '10:00'}]",
        &[
            ("2026-07-01T14:29:00Z", "until Wednesday 2026-07-01 09:00 UTC-05:30"),
            ("2026-07-01T14:30:00Z", ""),
        ],
    );
    let stored = r#"{"utc_offset_minutes":0,"open":[],"freezes":[]}"#;
    let windows: Windows = serde_json::from_str(stored).expect("an older store");
    assert_eq!(windows.open_at(0), Ok(()));
    let renamed = Windows { time_zone: Some("Europe/Atlantis".to_owned()), ..windows };
    let closed = renamed.open_at(0).expect_err("nobody knows it");
    assert!(closed.why.contains("Europe/Atlantis") && closed.opens_unix_ms.is_none(), "{closed:?}");
}

#[test]
fn windows_in_words() {
    let freeze = "freezes: [{from: 2026-12-21, to: 2027-01-01, reason: holidays}]";
    for (lines, expected) in [
        (OFFICE.to_owned(), "Mon-Fri 09:00-17:00 Europe/Berlin"),
        (
            "open: [{days: [sat, sun], from: '22:00', to: '04:00'}, {from: '12:00', to: '13:00'}]".to_owned(),
            "Sat, Sun 22:00-04:00; daily 12:00-13:00 UTC",
        ),
        (
            format!("timeZone: asia/kolkata, {freeze}"),
            "always Asia/Kolkata, but not up to 2027-01-01 (holidays)",
        ),
    ] {
        assert_eq!(windows(&lines).words(), expected);
    }
}
