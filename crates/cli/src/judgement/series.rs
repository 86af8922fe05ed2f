//! Judgement after judgement of one canary, as Kayenta's standalone analysis makes them.

use anyhow::{Result, bail};
use judge::kayenta::{ANALYSIS, Intervals, JUDGE, ScoreLabel, Thresholds, Window, judge_series};
use notation::duration;
use serde_json::json;

use super::analysis::Analysis;
use super::compat::{Once, once};
use super::config::CanaryConfig;
use super::{Judgement, Table, Verdict, short};
use crate::table::{Side, columns};

/// Points per arm below which a healthy canary fails a judgement in up to a quarter of cases.
const FEW: usize = 5;

/// An arm's rows with their moments, in seconds since 1970.
type Arm<'a> = (&'a Table, Vec<f64>);

/// One judgement of the series.
struct Made<'a> {
    window: Window,
    /// Rows seen: the canary's, the control's.
    rows: [usize; 2],
    once: Once<'a>,
}

/// How it came out.
struct Ended {
    verdict: Verdict,
    /// One sentence.
    why: String,
}

pub fn judgement(
    config: &CanaryConfig,
    thresholds: Thresholds,
    analysis: &Analysis,
    arms: &[Arm<'_>; 2],
    mut notes: Vec<String>,
) -> Result<Judgement> {
    let [control, canary] = arms;
    let offset_ms = to_f64(analysis.control_offset_ms);
    // Milliseconds since 1970, the control's as if it had been measured with the canary.
    let controls: Vec<f64> = control.1.iter().map(|s| s * 1e3 + offset_ms).collect();
    let canaries: Vec<f64> = canary.1.iter().map(|s| s * 1e3).collect();
    let (start, end) = covered(&controls, &canaries, analysis)?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // milliseconds, above 0
    let whole = (end - start - to_f64(analysis.begin_after_ms)).max(0.0) as u64;
    let intervals = Intervals {
        lifetime_ms: analysis.lifetime_ms.unwrap_or(whole),
        interval_ms: analysis.interval_ms,
        lookback_ms: analysis.lookback_ms,
        begin_after_ms: analysis.begin_after_ms,
    };
    if intervals.lifetime_ms == 0 {
        bail!("nothing is left to judge after --begin-after; shorten it, or give longer series");
    }
    let windows = intervals.windows()?;
    let mut made: Vec<Made<'_>> = Vec::new();
    for window in &windows {
        #[allow(clippy::cast_precision_loss)] // milliseconds below 2^53
        let (from, to) = (start + window.from_ms as f64, start + window.to_ms as f64);
        // Half a second of grace: a step is known from the rows' own times.
        if to > end + 500.0 {
            break;
        }
        let inside =
            |moments: &[f64]| -> Vec<bool> { moments.iter().map(|t| (from..to).contains(t)).collect() };
        let (in_control, in_canary) = (inside(&controls), inside(&canaries));
        let expected = analysis.step_ms.map_or(0, |step| points(to - from, step));
        let once = once(config, thresholds, |name| {
            Ok([
                seen(control.0.column_or_nothing(name)?, &in_control, expected),
                seen(canary.0.column_or_nothing(name)?, &in_canary, expected),
            ])
        })?;
        let rows = [&in_canary, &in_control].map(|inside| inside.iter().filter(|is| **is).count());
        let over = once.scored.score <= thresholds.marginal;
        made.push(Made { window: *window, rows, once });
        if over {
            break;
        }
    }
    let ended = ended(&made, windows.len(), thresholds)?;
    notes.extend(of_the_series(&made, windows.len(), analysis));
    let text = text(config, &intervals, &made, &ended, thresholds, &notes);
    let json = document(config, start, &made, &ended, thresholds, &notes);
    Ok(Judgement { verdict: ended.verdict, text, json })
}

#[allow(clippy::cast_precision_loss)] // milliseconds below 2^53
const fn to_f64(ms: u64) -> f64 {
    ms as f64
}

/// Where the analysis begins, and up to where there are rows of at least one arm (an arm that fell silent is judged).
fn covered(controls: &[f64], canaries: &[f64], analysis: &Analysis) -> Result<(f64, f64)> {
    let ends = |moments: &[f64]| Some((*moments.first()?, *moments.last()?));
    let (Some((a0, a1)), Some((b0, b1))) = (ends(controls), ends(canaries)) else {
        bail!("an arm has no rows; give at least one row of samples");
    };
    let mut gaps: Vec<f64> = [controls, canaries]
        .into_iter()
        .flat_map(|moments| moments.windows(2).filter_map(|pair| Some(pair.last()? - pair.first()?)))
        .filter(|gap| *gap > 0.0)
        .collect();
    gaps.sort_by(f64::total_cmp);
    let usual = gaps.get(gaps.len() / 2).copied().unwrap_or(60_000.0);
    // A point stands for the time up to the next one.
    let step = analysis.step_ms.map_or(usual, to_f64);
    if let Some(step_ms) = analysis.step_ms
        && usual < 0.75 * to_f64(step_ms)
    {
        bail!(
            "rows are {} apart and the step is {}: give --step {}, or average the rows of each step, since Kayenta judges \
             one value per step",
            duration(usual / 1e3),
            duration(step / 1e3),
            duration(usual / 1e3)
        );
    }
    Ok((analysis.start_ms.unwrap_or_else(|| a0.min(b0)), a1.max(b1) + step))
}

/// How many points of this step a stretch of time has.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // above 0
fn points(ms: f64, step_ms: u64) -> usize {
    (ms / to_f64(step_ms)).round() as usize
}

/// The values seen, filled up with NaN to the points expected.
fn seen(column: Vec<f64>, inside: &[bool], expected: usize) -> Vec<f64> {
    let mut values: Vec<f64> =
        column.into_iter().zip(inside).filter_map(|(value, inside)| inside.then_some(value)).collect();
    values.resize(values.len().max(expected), f64::NAN);
    values
}

fn ended(made: &[Made<'_>], planned: usize, thresholds: Thresholds) -> Result<Ended> {
    let Some(last) = made.last() else {
        let why = "the rows end before the first judgement does".to_owned();
        return Ok(Ended { verdict: Verdict::Insufficient, why });
    };
    let scores: Vec<f64> = made.iter().map(|made| made.once.scored.score).collect();
    let series = judge_series(&scores, thresholds)?;
    let score = short(last.once.scored.score);
    let of = format!("judgement {} of {planned}", made.len());
    let (verdict, why) = if series.stopped_at.is_some() {
        let why = format!(
            "{of} scored {score}, not above marginal {}: the analysis ends there",
            thresholds.marginal
        );
        (Verdict::Fail, why)
    } else if made.len() < planned {
        (Verdict::Insufficient, format!("all scores are above marginal, but the rows end after {of}"))
    } else if series.passed {
        (
            Verdict::Pass,
            format!("every score is above marginal, and the last, {score}, reaches pass {}", thresholds.pass),
        )
    } else {
        (Verdict::Fail, format!("the last score, {score}, does not reach pass {}", thresholds.pass))
    };
    Ok(Ended { verdict, why })
}

/// What compatibility keeps although it is unwise.
fn of_the_series(made: &[Made<'_>], planned: usize, analysis: &Analysis) -> Vec<String> {
    let mut notes = Vec::new();
    if planned > 1 {
        notes.push(format!(
            "compatibility: {planned} looks at one canary, and no correction for them: each is another chance to fail a \
             healthy one, and a pass says no more than the last look does (serin run watches with tests that stay valid)"
        ));
    }
    let few = made.iter().filter(|made| made.rows.iter().any(|rows| *rows < FEW)).count();
    if few > 0 {
        notes.push(format!(
            "compatibility: {few} judgements rest on fewer than {FEW} points of an arm, where a healthy canary fails in up \
             to a quarter of cases; lengthen --interval, or begin later"
        ));
    }
    if analysis.of_another_time() {
        notes.push(format!(
            "the control was measured {} earlier: another time has other users, and the judge cannot tell that from harm",
            duration(to_f64(analysis.control_offset_ms) / 1e3)
        ));
    }
    if let Some(last) = made.last() {
        let number = made.len();
        notes.extend(last.once.unwise.iter().map(|note| format!("judgement {number}: {note}")));
    }
    notes
}

fn text(
    config: &CanaryConfig,
    intervals: &Intervals,
    made: &[Made<'_>],
    ended: &Ended,
    thresholds: Thresholds,
    notes: &[String],
) -> String {
    let every = intervals.interval_ms.filter(|ms| (1..=intervals.lifetime_ms).contains(ms));
    let look = match intervals.lookback_ms {
        0 => "each of all since the start".to_owned(),
        back => format!("each of the last {}", duration(to_f64(back) / 1e3)),
    };
    let mut out = format!(
        "{}: judged as Kayenta does, every {} for {}, {look}\n\n",
        config.name,
        duration(to_f64(every.unwrap_or(intervals.lifetime_ms)) / 1e3),
        duration(to_f64(intervals.lifetime_ms) / 1e3),
    );
    let head = ["#", "from", "to", "points", "score", "answer", "not passed"].map(str::to_owned);
    let rows = made.iter().enumerate().map(|(at, made)| {
        let Made { window, rows, once } = made;
        let over = once.scored.score <= thresholds.marginal;
        let mut not_passed = once.not_passed().join(", ");
        if over {
            not_passed += if not_passed.is_empty() { "ends here" } else { "; ends here" };
        }
        [
            (at + 1).to_string(),
            offset(window.from_ms),
            offset(window.to_ms),
            format!("{} / {}", rows[0], rows[1]),
            short(once.scored.score),
            if once.scored.label == ScoreLabel::Marginal && over {
                "Fail"
            } else {
                once.scored.label.as_str()
            }
            .to_owned(),
            not_passed,
        ]
    });
    let sides = [Side::Right, Side::Right, Side::Right, Side::Right, Side::Right, Side::Left, Side::Left];
    out += &columns(sides, [head].into_iter().chain(rows));
    out += &format!(
        "\n{}: {} (pass from {}, above {} to go on)\n",
        ended.verdict, ended.why, thresholds.pass, thresholds.marginal
    );
    for note in notes {
        out += &format!("note: {note}\n");
    }
    out += &format!("judge: {JUDGE}, {ANALYSIS}\n");
    out
}

fn offset(ms: i64) -> String {
    #[allow(clippy::cast_precision_loss)] // milliseconds below 2^53
    let seconds = ms.abs() as f64 / 1e3;
    format!("{}{}", if ms < 0 { "-" } else { "" }, duration(seconds))
}

/// Named as the results of Kayenta's own analysis are, with each judgement's own result.
fn document(
    config: &CanaryConfig,
    start_ms: f64,
    made: &[Made<'_>],
    ended: &Ended,
    thresholds: Thresholds,
    notes: &[String],
) -> serde_json::Value {
    let scores: Vec<f64> = made.iter().map(|made| made.once.scored.score).collect();
    #[allow(clippy::cast_precision_loss)] // milliseconds below 2^53
    let judgements: Vec<serde_json::Value> = made
        .iter()
        .map(|made| {
            json!({
                "fromMs": start_ms + made.window.from_ms as f64,
                "toMs": start_ms + made.window.to_ms as f64,
                "judgeResult": made.once.document(config, thresholds),
            })
        })
        .collect();
    json!({
        "judgeName": JUDGE,
        "analysis": ANALYSIS,
        "config": config.name,
        "verdict": ended.verdict,
        "didPassThresholds": ended.verdict == Verdict::Pass,
        "hasWarnings": !notes.is_empty(),
        "canaryScores": scores,
        "canaryScoreMessage": ended.why,
        "thresholds": {"pass": thresholds.pass, "marginal": thresholds.marginal},
        "judgements": judgements,
        "notes": notes,
    })
}
