//! What is tried between runs by itself.

use super::Check;
use crate::amount::{Percent, Span};
use crate::gate::Gate;
use crate::practice::{
    DrillPractice, MOST_DRILLED_PPM, MOST_SHARED_PPM, PARITY_MS, ParityPractice, Practice,
};
use crate::typed;
use calendar::{Day, Windows, minute_of};
use calendar::{TimeOfWeek, Times, Timetable};

/// More often than this it would be tried all the time, in milliseconds.
const OFTENEST_MS: u64 = 1_000;

/// How late one may begin when nobody says, in milliseconds.
const WITHIN_MS: u64 = 3_600_000;

const AT: &str = "spec.practice";

pub(super) fn practice(
    check: &mut Check,
    written: &typed::Practice,
    windows: Option<&Windows>,
    gates: &[Gate],
) -> Box<Practice> {
    if written.drill.is_none() && written.aa.is_none() {
        check.refuse(AT, "neither drill nor aa is set", "name drill or aa, or leave the field out");
    }
    Box::new(Practice {
        drill: written.drill.as_ref().map(|written| drill(check, written, windows)),
        parity: written.aa.as_ref().map(|written| parity(check, written, windows, gates)),
        during_freezes: written.during_freezes.unwrap_or(false),
    })
}

fn drill(check: &mut Check, written: &typed::DrillPractice, windows: Option<&Windows>) -> DrillPractice {
    let at = format!("{AT}.drill");
    let weight_ppm = written.weight.map_or(0, Percent::ppm);
    if weight_ppm > MOST_DRILLED_PPM {
        let remedy = format!("write {} or less", Percent::from_ppm(MOST_DRILLED_PPM));
        check.refuse(format!("{at}.weight"), "a drill proves the way back, not the version", remedy);
    }
    let limit_ms = super::span(written.limit, 30_000);
    if limit_ms == 0 {
        check.refuse(format!("{at}.limit"), "nothing comes back in no time", "write a time such as 30s");
    }
    let when = (written.every, written.at.as_slice(), written.within);
    DrillPractice { timetable: timetable(check, &at, when, windows), weight_ppm, limit_ms }
}

fn parity(
    check: &mut Check,
    written: &typed::AaPractice,
    windows: Option<&Windows>,
    gates: &[Gate],
) -> ParityPractice {
    let at = format!("{AT}.aa");
    let deployed = written.deployed.unwrap_or(false);
    let usual = if deployed { MOST_DRILLED_PPM } else { MOST_SHARED_PPM };
    let share_ppm = written.share.map_or(usual, Percent::ppm);
    if share_ppm == 0 || share_ppm > MOST_SHARED_PPM {
        let remedy = format!("write more than 0% and at most {}", Percent::from_ppm(MOST_SHARED_PPM));
        let what = format!("{} cannot be the second part's share", Percent::from_ppm(share_ppm));
        check.refuse(format!("{at}.share"), what, remedy);
    }
    let duration_ms = super::span(written.duration, 3_600_000);
    if !PARITY_MS.contains(&duration_ms) {
        let (least, most) = (Span::from_ms(*PARITY_MS.start()), Span::from_ms(*PARITY_MS.end()));
        let what = format!("{} is too short or too long", Span::from_ms(duration_ms));
        check.refuse(format!("{at}.duration"), what, format!("write {least} to {most}"));
    }
    if gates.iter().all(|gate| gate.metric().is_external()) {
        let what = "no gate compares what the proxies count, so there is nothing to find equal";
        check.refuse(&at, what, "add a gate such as error_rate, or leave the field out");
    }
    let when = (written.every, written.at.as_slice(), written.within);
    ParityPractice {
        timetable: timetable(check, &at, when, windows),
        duration_ms,
        until_evidence: written.until_evidence.unwrap_or(written.duration.is_none()),
        share_ppm,
        deployed,
    }
}

/// `every`, `at` and `within` as written.
type When<'a> = (Option<Span>, &'a [typed::TimeOfWeek], Option<Span>);

fn timetable(
    check: &mut Check,
    field: &str,
    (every, at, within): When<'_>,
    windows: Option<&Windows>,
) -> Timetable {
    let times = match every {
        Some(_) if !at.is_empty() => {
            check.refuse(format!("{field}.at"), "every is given as well", "keep one of the two");
            Times::Every(WITHIN_MS)
        }
        Some(every) => {
            if every.ms() < OFTENEST_MS {
                let what = "it would be tried all the time";
                check.refuse(format!("{field}.every"), what, "write a time such as 7d");
            }
            if within.is_some() {
                let what = "what is done `every` so often is never too late";
                check.refuse(format!("{field}.within"), what, "leave it out, or name times with `at`");
            }
            Times::Every(every.ms())
        }
        None if at.is_empty() => {
            let remedy = "write every: 7d, or at: [{days: [mon], time: '09:00'}]";
            check.refuse(field, "neither every nor at is set", remedy);
            Times::Every(WITHIN_MS)
        }
        None => {
            if within.is_some_and(|within| within.ms() == 0) {
                let what = "nothing begins at the very moment it is due";
                check.refuse(format!("{field}.within"), what, "write a time such as 1h");
            }
            let times = at
                .iter()
                .enumerate()
                .map(|(index, time)| time_of_week(check, &format!("{field}.at[{index}].time"), time));
            Times::Weekly { at: times.collect(), within_ms: super::span(within, WITHIN_MS) }
        }
    };
    Timetable {
        time_zone: windows.and_then(|windows| windows.time_zone.clone()),
        utc_offset_minutes: windows.map_or(0, |windows| windows.utc_offset_minutes),
        times,
    }
}

fn time_of_week(check: &mut Check, field: &str, written: &typed::TimeOfWeek) -> TimeOfWeek {
    let minute = minute_of(&written.time).unwrap_or_else(|| {
        let what = format!("{:?} is not a time of day", written.time);
        check.refuse(field, what, "write hours and minutes, such as '09:30' (in quotes)");
        0
    });
    let days = if written.days.is_empty() { Day::ALL.to_vec() } else { written.days.clone() };
    TimeOfWeek { days, minute }
}
