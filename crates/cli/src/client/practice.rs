//! Practice that begins by itself, as lines for a terminal.

use std::fmt::Write as _;

use api::{ExerciseKind, OpenEnum, PracticeView, RunView};
use manifest::Span;

/// One line for each kind of exercise; those of a fleet's members after their names.
pub fn lines(out: &mut String, view: &RunView, now_ms: u64) {
    for known in &view.practice {
        // Writing to a String does not fail.
        let _ = writeln!(out, "  {}", line(view, known, now_ms));
    }
    for member in &view.members {
        for known in &member.practice {
            let _ = writeln!(out, "  {}: {}", member.run.name, line(member, known, now_ms));
        }
    }
}

fn line(view: &RunView, known: &PracticeView, now_ms: u64) -> String {
    let PracticeView { exercise, when, next_unix_ms, next, late, missed, overdue } = known;
    let what = words(exercise);
    let passed_ms = match exercise.known() {
        Some(ExerciseKind::Parity) => view.parity_passed_unix_ms,
        _ => view.drill_passed_unix_ms,
    };
    let passed = passed_ms.map_or("none has passed yet".to_owned(), |ms| {
        format!("the last passed {} ago", roughly(now_ms.saturating_sub(ms)))
    });
    let next = match (next, next_unix_ms) {
        (Some(next), Some(ms)) if *ms <= now_ms => format!("due since {next}"),
        (Some(next), _) => format!("next {next}"),
        (None, _) => "never due".to_owned(),
    };
    let late = late.as_ref().map(|why| match missed {
        true => format!("; the last was missed: {why}"),
        false => format!("; waits: {why}"),
    });
    let overdue = if *overdue { "; OVERDUE" } else { "" };
    format!("{what} {when}: {next}; {passed}{}{overdue}", late.unwrap_or_default())
}

/// What is tried, in a word.
pub fn words(exercise: &OpenEnum<ExerciseKind>) -> String {
    exercise.known().map_or_else(|| exercise.to_string(), |exercise| exercise.words().to_owned())
}

/// A time in its largest unit: "3d", "5h".
fn roughly(ms: u64) -> Span {
    let unit = [86_400_000, 3_600_000, 60_000, 1_000].into_iter().find(|unit| ms >= *unit).unwrap_or(1_000);
    Span::from_ms(ms - ms % unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;

    #[track_caller]
    fn check(json: &str, expected: &str) {
        let view: RunView = serde_json::from_str(json).expect("a view");
        let mut out = String::new();
        lines(&mut out, &view, 10 * DAY);
        assert_eq!(out, expected);
    }

    #[test]
    fn when_it_is_due_and_when_it_last_passed_is_one_line() {
        check(
            &format!(
                r#"{{"practice":[{{"exercise":"drill","when":"Mon 09:00, UTC","next":"Mon 1970-01-12 09:00 UTC","next_unix_ms":{}}},
                     {{"exercise":"parity","when":"every 30d","next":"Sat 1970-01-10 09:00 UTC","next_unix_ms":{},
                       "late":"run 3 is under way","overdue":true,"later":1}}],
                     "drill_passed_unix_ms":{}}}"#,
                11 * DAY,
                9 * DAY,
                7 * DAY - 5
            ),
            "  drill Mon 09:00, UTC: next Mon 1970-01-12 09:00 UTC; the last passed 3d ago\n  A/A check every 30d: due since \
             Sat 1970-01-10 09:00 UTC; none has passed yet; waits: run 3 is under way; OVERDUE\n",
        );
        check(
            &format!(
                r#"{{"members":[{{"name":"shop.eu","practice":[{{"exercise":"drill","when":"every 7d","next":"x","next_unix_ms":{},
                     "late":"frozen","missed":true}}]}}]}}"#,
                11 * DAY
            ),
            "  shop.eu: drill every 7d: next x; none has passed yet; the last was missed: frozen\n",
        );
        check("{}", "");
    }
}
