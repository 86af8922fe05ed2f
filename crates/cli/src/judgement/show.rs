//! Serin's own judgement for people.

use judge::JUDGE;

use super::own::Judged;
use super::segment::{Answer, Dimension};
use super::whole::Whole;
use super::{Verdict, short, trigger};

pub fn text(whole: &Whole) -> String {
    let together: Vec<&Judged> = whole.judged.iter().filter(|j| j.segment.is_none()).collect();
    let mut out = metrics(&together);
    if !whole.triggers.is_empty() {
        out += if out.is_empty() { "" } else { "\n" };
        out += &trigger::text(&whole.triggers);
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
    let width = judged.iter().map(|j| j.finding.gate.len()).max().unwrap_or(0);
    let mut out = String::new();
    for j in judged {
        let f = &j.finding;
        out += &format!("{:width$}  {:12}  {}\n", f.gate, f.verdict.as_str(), f.why);
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
        out += &format!("{:width$}                ({})\n", "", facts.join(", "));
    }
    out
}

/// A line for each segment, and why where it did not pass.
fn segments(dimension: &Dimension, whole: &Whole) -> String {
    let answers: Vec<&Answer> = whole
        .segments
        .iter()
        .filter(|answer| dimension.segments.iter().any(|segment| segment.name == answer.segment))
        .collect();
    let width = answers.iter().map(|answer| answer.segment.len()).max().unwrap_or(0);
    let mut out = format!("by {}: {}\n", dimension.name, dimension.mix.why());
    for answer in answers {
        out += &format!(
            "  {:width$}  {:12}  n {} / {}\n",
            answer.segment,
            answer.verdict.as_str(),
            answer.n_canary,
            answer.n_control
        );
        let own = whole.judged.iter().filter(|j| j.segment.as_ref() == Some(&answer.segment));
        for j in own.filter(|j| j.finding.verdict != Verdict::Pass) {
            out += &format!("  {:width$}    {:12}{}\n", "", j.finding.verdict.as_str(), j.finding.why);
        }
    }
    out
}
