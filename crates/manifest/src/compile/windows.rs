//! When the weight may rise.

use super::Check;
use crate::typed;
use calendar::{Day, Freeze, Window, Windows, day_of, known, like, minute_of, offset as utc_offset};

fn time_zone(check: &mut Check, name: &str) -> String {
    known(name).unwrap_or_else(|| {
        let remedy = match like(name) {
            Some(like) => format!("write {like}, if that is meant"),
            None => "write its name in the IANA database, such as Europe/Berlin or UTC".to_owned(),
        };
        check.refuse("spec.windows.timeZone", format!("{name:?} is no time zone"), remedy);
        name.to_owned()
    })
}

pub(super) fn windows(check: &mut Check, written: &typed::Windows) -> Windows {
    let offset = written.utc_offset.as_deref().unwrap_or("UTC");
    let utc_offset_minutes = utc_offset(offset).unwrap_or_else(|| {
        let what = format!("{offset:?} is not a distance from UTC");
        check.refuse(
            "spec.windows.utcOffset",
            what,
            "write UTC, or hours and minutes such as '+02:00' (in quotes)",
        );
        0
    });
    let time_zone = written.time_zone.as_deref().map(|name| time_zone(check, name));
    if time_zone.is_some() && written.utc_offset.is_some() {
        let remedy = "keep `timeZone`, which knows of daylight saving";
        check.refuse("spec.windows.utcOffset", "timeZone is given as well", remedy);
    }
    let open = written.open.iter().enumerate().map(|(index, window)| {
        let at = format!("spec.windows.open[{index}]");
        let mut minute = |field: &str, text: &str| {
            minute_of(text).unwrap_or_else(|| {
                let what = format!("{text:?} is not a time of day");
                check.refuse(
                    format!("{at}.{field}"),
                    what,
                    "write hours and minutes, such as '09:30' (in quotes)",
                );
                0
            })
        };
        Window {
            days: if window.days.is_empty() { Day::ALL.to_vec() } else { window.days.clone() },
            from_minute: minute("from", &window.from),
            to_minute: minute("to", &window.to),
        }
    });
    let open = open.collect();
    let freezes = written.freezes.iter().enumerate().map(|(index, freeze)| {
        let at = format!("spec.windows.freezes[{index}]");
        let mut day = |field: &str, text: &str| {
            day_of(text).unwrap_or_else(|| {
                let what = format!("{text:?} is not a day");
                check.refuse(format!("{at}.{field}"), what, "write year, month and day, such as 2026-12-20");
                0
            })
        };
        let (from_day, to_day) = (day("from", &freeze.from), day("to", &freeze.to));
        if to_day < from_day {
            check.refuse(format!("{at}.to"), "it ends before it begins", "exchange the two");
        }
        Freeze { from_day, to_day, to: freeze.to.clone(), reason: freeze.reason.clone().unwrap_or_default() }
    });
    Windows { time_zone, utc_offset_minutes, open, freezes: freezes.collect() }
}
