//! What is said of what is tried between runs by itself.

use std::fmt::Write as _;

use manifest::ExerciseKind;
use manifest::Plan;
use manifest::{Percent, Span};

pub(crate) fn practice(text: &mut String, plan: &Plan) -> std::fmt::Result {
    let Some(practice) = &plan.practice else { return Ok(()) };
    writeln!(text)?;
    writeln!(text, "Between runs, by itself:")?;
    if let Some(drill) = &practice.drill {
        let exposed = match drill.weight_ppm {
            0 => "nobody is exposed".to_owned(),
            ppm => format!(
                "{} of the traffic meets the canary, unless that was rolled back",
                Percent::from_ppm(ppm)
            ),
        };
        let limit = Span::from_ms(drill.limit_ms);
        writeln!(
            text,
            "  {}: the rollback path is tried; {exposed}; every way back must be done within {limit}.",
            drill.timetable.words()
        )?;
    }
    if let Some(parity) = &practice.parity {
        let (share, time) = (Percent::from_ppm(parity.share_ppm), Span::from_ms(parity.duration_ms));
        let how = match (parity.deployed, parity.until_evidence) {
            (false, true) => format!(
                "{share} of stable's traffic is counted apart, until there is evidence, {time} at most"
            ),
            (false, false) => format!("{share} of stable's traffic is counted apart, for {time}"),
            (true, true) => format!(
                "{share} of the traffic goes to the canary's route, until there is evidence, {time} at most"
            ),
            (true, false) => format!("{share} of the traffic goes to the canary's route, for {time}"),
        };
        writeln!(text, "  {}: stable is judged against itself; {how}.", parity.timetable.words())?;
    }
    let scheduled = ExerciseKind::ALL.into_iter().filter(|what| practice.timetable(*what).is_some());
    let late = scheduled.filter_map(|what| Some((what, practice.timetable(what)?.within_ms()?)));
    for (what, within_ms) in late {
        let (what, within) = (what.words(), Span::from_ms(within_ms));
        writeln!(
            text,
            "  A {what} that something is in the way of begins up to {within} late, else it is missed."
        )?;
    }
    match &plan.windows {
        Some(windows) if !windows.freezes.is_empty() && !practice.during_freezes => {
            writeln!(text, "  Not in freezes; and whatever exposes somebody only in the windows.")
        }
        Some(_) => writeln!(text, "  Whatever exposes somebody only in the windows."),
        None => Ok(()),
    }
}
