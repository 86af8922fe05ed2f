//! Serin's own judgement for people.

use judge::JUDGE;

use super::own::Judged;
use super::segment::{Answer, Dimension};
use super::whole::Whole;
use super::{Verdict, alert, short};
use crate::table::{Side, columns};

/// What it is about, the answer, and why.
pub const COLUMNS: [Side; 3] = [Side::Left; 3];

pub fn text(whole: &Whole) -> String {
    let together: Vec<&Judged> = whole.judged.iter().filter(|j| j.segment.is_none()).collect();
    let mut out = metrics(&together);
    if !whole.triggers.is_empty() {
        out += if out.is_empty() { "" } else { "\n" };
        out += &alert::text(&whole.triggers);
    }
    for dimension in &whole.dimensions {
        out += "\n";
        out += &segments(dimension, whole);
    }
    out += &format!("\n{}", whole.verdict);
    match whole.score {
        Some(score) => {
            let thresholds = whole.thresholds;
            out += &format!(
                ": score {score:.1} of 100 (pass from {}, fail up to {})",
                thresholds.pass, thresholds.fail
            );
            out += if whole.because.is_empty() { "" } else { "; " };
        }
        None if whole.because.is_empty() => out += ": no trigger was set off",
        None => out += ": ",
    }
    out += &listed(&whole.because);
    out += "\n";
    for note in &whole.notes {
        out += &format!("note: {note}\n");
    }
    out += &format!("multiplicity: {}\njudge: {JUDGE}\n", whole.multiplicity());
    out
}

/// Some of many, and how many more.
fn listed(phrases: &[String]) -> String {
    const SHOWN: usize = 5;
    let more = phrases.len().saturating_sub(SHOWN);
    let shown = phrases.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
    if more > 0 { format!("{shown}; and {more} more") } else { shown }
}

fn metrics(judged: &[&Judged]) -> String {
    let mut rows = Vec::new();
    for j in judged {
        let f = &j.finding;
        rows.push([f.gate.clone(), f.verdict.as_str().to_owned(), f.why.clone()]);
        let mut facts = vec![format!("n {} / {}", f.n_canary, f.n_control), j.test.to_owned()];
        if let Some(interval) = f.interval {
            facts.push(format!("difference in [{}, {}]", short(interval.lo), short(interval.hi)));
        }
        if let Some(effect) = &f.effect {
            facts.push(format!("{} {}", effect.name, short(effect.value)));
        }
        if let Some([canary, stable]) = j.p99 {
            facts.push(format!("p99 {} / {}", short(canary), short(stable)));
        }
        facts.push(format!("weight {}", short(j.weight)));
        if j.missing != [0, 0] {
            facts.push(format!("missing {} / {}", j.missing[0], j.missing[1]));
        }
        rows.push([String::new(), String::new(), format!("({})", facts.join(", "))]);
    }
    columns(COLUMNS, rows)
}

/// A line for each segment, and why where it did not pass.
fn segments(dimension: &Dimension, whole: &Whole) -> String {
    let answers: Vec<&Answer> = whole
        .segments
        .iter()
        .filter(|answer| dimension.segments.iter().any(|segment| segment.name == answer.segment))
        .collect();
    let mut rows = Vec::new();
    for answer in answers {
        rows.push([
            format!("  {}", answer.segment),
            answer.verdict.as_str().to_owned(),
            format!("n {} / {}", answer.n_canary, answer.n_control),
        ]);
        let own = whole.judged.iter().filter(|j| j.segment.as_ref() == Some(&answer.segment));
        for j in own.filter(|j| j.finding.verdict != Verdict::Pass) {
            rows.push([String::new(), format!("  {}", j.finding.verdict.as_str()), j.finding.why.clone()]);
        }
    }
    format!("by {}: {}\n{}", dimension.name, dimension.mix.why(), columns(COLUMNS, rows))
}
