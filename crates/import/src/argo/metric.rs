//! A metric of a template, as gates.

mod check;

pub(super) use check::unresolved;

use manifest::typed::{Gate, Level};
use manifest::{Insufficient, OnFail, OnMarginal, Quantity};

use super::provider::{self, Asked};
use super::{Args, Reading};
use crate::condition::{Meaning, Range, meaning, read};
use crate::draft::{Draft, push_it, pushed};
use crate::place::Place;
use crate::promql;
use crate::report::Ledger;
use crate::text::{duration, span};

/// What passes and what fails of one figure, on one side.
struct Side {
    upper: bool,
    pass: f64,
    /// Beyond it the gate fails; `None`: nothing fails on this side, Argo pauses there.
    fail: Option<f64>,
}

/// The conditions of a metric.
#[derive(Default)]
pub(super) struct Conditions {
    pub(super) success: Option<Meaning>,
    /// What does not fail.
    pub(super) bearable: Option<Meaning>,
    /// What of it is not understood.
    unclear: Option<String>,
}

/// The gates of a metric; their names.
pub(super) fn gates<'a>(
    draft: &mut Draft<'a>,
    at: &Place<'a>,
    args: &Args,
    advisory: bool,
    background: bool,
    reading: &mut Reading<'a, '_>,
) -> Vec<String> {
    let ledger = &mut *reading.ledger;
    let name = at.at("name").text().unwrap_or_else(|| "metric".to_owned());
    ledger.carried(&at.at("name"), format!("gate {name}"));
    let mut frame = frame(at, args, advisory, background, ledger);
    frame.name.clone_from(&name);
    let conditions = conditions(at, args, ledger);
    let asked = provider::asked(at, args, &conditions, ledger);
    check::metric(at, args, &conditions, &asked, &frame, ledger);
    let mut names = Vec::new();
    let filter = match &asked {
        Asked::Prometheus(source) if conditions.says_nothing() => promql::filter(&source.query),
        _ => None,
    };
    if let (Some(filter), Asked::Prometheus(source)) = (filter, asked.clone()) {
        let what = format!(
            "the limit at the end of the query ({} {}) is the gate's: Argo's own gate has no condition and always passes",
            filter.sign, filter.limit
        );
        ledger.approximated(&at.down("provider.prometheus.query"), what, "check that this is what was meant");
        let asked = Asked::Prometheus(Box::new(manifest::Prometheus { query: filter.query, ..*source }));
        let side = Side { upper: filter.sign.starts_with('<'), pass: filter.limit, fail: Some(filter.limit) };
        names.extend(asked.source(&[], None).map(|source| draft.gate(frame.with(&side, source), at)));
        return names;
    }
    if let Asked::Judge(why, scores) = &asked {
        let gate = match scores {
            Some((pass, marginal)) => {
                let side = Side { upper: false, pass: *pass, fail: Some(marginal.min(*pass)) };
                frame.with(&side, manifest::Source::Push(manifest::Push {}))
            }
            None => frame.pushed(&name),
        };
        let gate = draft.gate(gate, at);
        ledger.lost(&at.down("provider.(asked)"), why.clone(), &push_it(&draft.name, &gate));
        for (_, field) in at.at("provider").fields() {
            for (_, below) in field.fields() {
                if !ledger.says_below(&below) {
                    ledger.lost(&below, why.clone(), "see its gate");
                }
            }
            if !ledger.says_below(&field) {
                ledger.lost(&field, why.clone(), "see its gate");
            }
        }
        names.push(gate);
        return names;
    }
    if conditions.never_fails() {
        let what = "it is not a gate: it passes whatever is measured, so none is made of it";
        ledger.lost(at, what, "write a gate with a limit of its own where one was meant");
        return names;
    }
    if let Some(why) = conditions.unclear {
        let gate = draft.gate(frame.pushed(&name), at);
        ledger.lost(&at.at("(condition)"), why, &push_it(&draft.name, &gate));
        if let Asked::Nobody(why) = asked {
            ledger.lost(&at.at("provider"), why, "see its gate");
        }
        return vec![gate];
    }
    let figures = figures(&conditions);
    let several = figures.iter().map(|(_, sides, _)| sides.len()).sum::<usize>() > 1;
    for (path, sides, every) in figures {
        for side in sides {
            let every = every.map(|every| every == side.upper);
            let source = asked.source(&path, every);
            let mut gate = match source {
                Some(source) => frame.with(&side, source),
                None => frame.with(&side, manifest::Source::Push(manifest::Push {})),
            };
            let ending = if side.upper { "max" } else { "min" };
            gate.name = match (several, path.last()) {
                (false, _) => name.clone(),
                (true, Some(field)) => format!("{name}-{field}-{ending}"),
                (true, None) => format!("{name}-{ending}"),
            };
            names.push(draft.gate(gate, at));
        }
    }
    if let Asked::Nobody(why) = &asked
        && let Some(first) = names.first()
    {
        let remedy = push_it(&draft.name, first).replace(" (1 passes, 0 fails)", "");
        ledger.lost(&at.at("provider"), why.clone(), &remedy);
    }
    names
}

/// What all gates of a metric have in common.
pub(super) struct Frame {
    name: String,
    gate: Gate,
    /// How many measurements there are, if they end.
    pub(super) count: Option<u32>,
    pub(super) failure_limit: i64,
    pub(super) inconclusive_limit: i64,
    pub(super) background: bool,
}

impl Frame {
    fn with(&self, side: &Side, source: manifest::Source) -> Gate {
        let mut gate = Gate { name: self.name.clone(), source: Some(source), ..self.gate.clone() };
        let pass = Some(Quantity::Plain(side.pass));
        let fail = side.fail.filter(|fail| (fail - side.pass).abs() > 0.0).map(Quantity::Plain);
        if side.upper {
            (gate.max, gate.fail_above) = (pass, fail);
        } else {
            (gate.min, gate.fail_below) = (pass, fail);
        }
        if side.fail.is_none() {
            gate.on_fail = Some(OnFail::Pause);
        }
        if fail.is_none() {
            (gate.on_marginal, gate.marginal_limit) = (None, None);
        }
        gate
    }

    fn pushed(&self, name: &str) -> Gate {
        Gate { every: self.gate.every, level: self.gate.level, ..pushed(name) }
    }
}

/// Times and counts.
fn frame(at: &Place<'_>, args: &Args, advisory: bool, background: bool, ledger: &mut Ledger) -> Frame {
    let mut gate = Gate { level: advisory.then_some(Level::Advisory), ..Gate::default() };
    let interval = at.at("interval");
    match filled(&interval, args).map(|text| (duration(&text), text)) {
        Some((Some(ms), _)) if ms > 0 => {
            ledger.carried(&interval, format!("`every: {}`", span(ms)));
            gate.every = Some(span(ms));
        }
        Some((_, text)) => {
            ledger.lost(
                &interval,
                format!("{text:?} is not a duration"),
                "write `every`; it is read once a minute",
            );
        }
        None => {}
    }
    let delay = at.at("initialDelay");
    if let Some(text) = filled(&delay, args) {
        match duration(&text) {
            Some(ms) => {
                let what = format!(
                    "`startAfter: {}`, from the beginning of the stage, not of the analysis",
                    span(ms)
                );
                ledger.approximated(&delay, what, "");
                gate.start_after = Some(span(ms));
            }
            None => ledger.lost(&delay, format!("{text:?} is not a duration"), "write `startAfter`"),
        }
    }
    let count = whole(&at.at("count"), args, ledger);
    let good = whole(&at.at("consecutiveSuccessLimit"), args, ledger).filter(|good| *good > 0);
    let failure_limit = whole(&at.at("failureLimit"), args, ledger);
    let endless = count.is_none_or(|count| count <= 0) && interval.is_there();
    let consecutive = good.or(count.filter(|count| *count > 0)).unwrap_or(if endless { 3 } else { 1 });
    gate.consecutive = Some(small(consecutive.max(1)));
    let what = format!("`consecutive: {consecutive}`: so many good readings in a row");
    ledger.carried(&at.at("consecutiveSuccessLimit"), what.clone());
    if good.is_some() {
        ledger.ignored(&at.at("count"), "the good readings in a row decide");
    } else if at.at("count").is_there() {
        ledger.approximated(&at.at("count"), format!("{what}, where Argo bears failures among them"), "");
    } else if endless {
        let what = "it is measured without end: three good readings in a row pass a stage, and bad ones are counted in each";
        ledger.approximated(&interval, what, "write `consecutive`");
    }
    match failure_limit.unwrap_or(0) {
        limit if limit < 0 => {
            let what = "its failures do not count: `level: advisory`, reported, and decides nothing";
            ledger.approximated(&at.at("failureLimit"), what, "");
            gate.level = Some(Level::Advisory);
        }
        limit => {
            gate.failure_limit = Some(small(limit));
            ledger.carried(
                &at.at("failureLimit"),
                format!("`failureLimit: {limit}`: so many bad readings are borne"),
            );
        }
    }
    let inconclusive = whole(&at.at("inconclusiveLimit"), args, ledger).unwrap_or(0);
    gate.on_marginal = Some(OnMarginal::Escalate);
    gate.marginal_limit = Some(small(inconclusive.max(0)));
    let what = format!(
        "`marginalLimit: {inconclusive}` and `onMarginal: escalate`: so many between good and bad are borne, then a person is asked"
    );
    ledger.carried(&at.at("inconclusiveLimit"), what);
    let errors = whole(&at.at("consecutiveErrorLimit"), args, ledger);
    if let Some(limit) = errors {
        let what = format!(
            "`onError: {{limit: {limit}, action: pause}}`: Argo would abort, though nothing is known of the new version"
        );
        ledger.approximated(
            &at.at("consecutiveErrorLimit"),
            what,
            "write `action: rollback` where that is wished",
        );
        let limit = Some(small(limit.max(0)));
        gate.on_error = Some(manifest::typed::Unread { limit, action: Some(Insufficient::Pause) });
    }
    Frame {
        name: String::new(),
        gate,
        count: (!endless).then(|| small(count.unwrap_or(1).max(1))),
        failure_limit: failure_limit.unwrap_or(0),
        inconclusive_limit: inconclusive,
        background,
    }
}

fn small(number: i64) -> u32 {
    u32::try_from(number.clamp(0, 10_000)).unwrap_or(0)
}

/// A text with its arguments; what is open is left as it is.
fn filled(at: &Place<'_>, args: &Args) -> Option<String> {
    let text = at.text()?;
    Some(args.fill(&text).unwrap_or(text))
}

/// A whole number, or the text of one.
#[allow(clippy::cast_possible_truncation)] // within bounds
fn whole(at: &Place<'_>, args: &Args, ledger: &mut Ledger) -> Option<i64> {
    let text = filled(at, args)?;
    match text.trim().parse::<f64>() {
        Ok(number) if number.fract() == 0.0 && number.abs() < 1e6 => Some(number as i64),
        _ => {
            ledger.lost(at, format!("{text:?} is not a whole number"), "write the number in the gate");
            None
        }
    }
}

impl Conditions {
    /// Has it none at all?
    pub(super) fn says_nothing(&self) -> bool {
        self.success.is_none() && self.bearable.is_none() && self.unclear.is_none()
    }

    /// Does every measurement pass?
    pub(super) fn never_fails(&self) -> bool {
        let always = |meaning: &Option<Meaning>| {
            meaning
                .as_ref()
                .is_none_or(|meaning| meaning.always == Some(true) || *meaning == Meaning::default())
        };
        self.unclear.is_none() && always(&self.success) && always(&self.bearable)
    }
}

fn conditions(at: &Place<'_>, args: &Args, ledger: &mut Ledger) -> Conditions {
    let mut conditions = Conditions::default();
    for (field, negated) in [("successCondition", false), ("failureCondition", true)] {
        let place = at.at(field);
        let Some(text) = place.text().filter(|text| !text.trim().is_empty()) else { continue };
        let meant = args
            .fill(&text)
            .map_err(|open| format!("{open} in it is known to nobody"))
            .and_then(|text| read(&text))
            .and_then(|expr| meaning(&expr, negated));
        match meant {
            Ok(meant) if meant.ranges.is_empty() && meant.always.is_none() => {
                conditions.unclear = Some(format!("{text}: it asks only whether there is data"));
            }
            Ok(meant) => {
                let what = if negated { "what fails" } else { "what passes" };
                ledger.carried(&place, format!("{what}: {text}"));
                if meant.no_data == Some(true) {
                    let what = format!(
                        "{text}: no data passes here; in Serin it is neither good nor bad, and is waited for"
                    );
                    ledger.approximated(
                        &place,
                        what,
                        "give the gate a longer `range`, or the stage a longer deadline",
                    );
                }
                if negated {
                    conditions.bearable = Some(meant);
                } else {
                    conditions.success = Some(meant);
                }
            }
            Err(why) => conditions.unclear = Some(format!("{text}: {why}")),
        }
    }
    if let Some(why) = &conditions.unclear {
        for field in ["successCondition", "failureCondition"] {
            let place = at.at(field);
            if place.is_there() {
                ledger.lost(&place, why.clone(), "see its gate");
            }
        }
    }
    conditions
}

/// Each figure, its sides, and whether it is asked of every one of several numbers.
fn figures(conditions: &Conditions) -> Vec<(Vec<String>, Vec<Side>, Option<bool>)> {
    let none = Meaning::default();
    let success = conditions.success.as_ref().filter(|meaning| meaning.always != Some(true));
    let bearable = conditions.bearable.as_ref().filter(|meaning| meaning.always != Some(true));
    let (success, bearable) = (success.or(bearable).unwrap_or(&none), bearable.or(success).unwrap_or(&none));
    let mut paths: Vec<&Vec<String>> = success.ranges.iter().map(|(path, _)| path).collect();
    paths.extend(bearable.ranges.iter().map(|(path, _)| path));
    let mut seen: Vec<&Vec<String>> = Vec::new();
    paths.retain(|path| {
        let new = !seen.contains(path);
        seen.push(path);
        new
    });
    let of = |meaning: &Meaning, path: &Vec<String>| {
        meaning.ranges.iter().find(|(known, _)| known == path).map_or(Range::default(), |(_, range)| *range)
    };
    let every = success.every.or(bearable.every);
    paths
        .into_iter()
        .map(|path| {
            let (pass, bear) = (of(success, path), of(bearable, path));
            let sides = [side(true, pass.max, bear.max, f64::min), side(false, pass.min, bear.min, f64::max)];
            (path.clone(), sides.into_iter().flatten().collect(), every)
        })
        .collect()
}

/// What fails does so even where it would pass.
fn side(upper: bool, pass: Option<f64>, bear: Option<f64>, stricter: fn(f64, f64) -> f64) -> Option<Side> {
    match (pass, bear) {
        (Some(pass), Some(bear)) => Some(Side { upper, pass: stricter(pass, bear), fail: Some(bear) }),
        (Some(pass), None) => Some(Side { upper, pass, fail: None }),
        (None, Some(bear)) => Some(Side { upper, pass: bear, fail: Some(bear) }),
        (None, None) => None,
    }
}
