//! From an expression to the numbers that pass.

use super::read::Expr;

/// The numbers between two limits, these included.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Range {
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
}

/// What passes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Meaning {
    /// Of each field of the result (mostly: of the result itself, whose path is empty), the numbers that pass. All must.
    pub(crate) ranges: Vec<(Vec<String>, Range)>,
    /// Does it say whether no data passes?
    pub(crate) no_data: Option<bool>,
    /// It passes, or does not, whatever is measured.
    pub(crate) always: Option<bool>,
    /// Is it asked of every one of several numbers (`true`), or of any (`false`)?
    pub(crate) every: Option<bool>,
    /// Does it look into a list of numbers, `result[0]`, which fails on an empty one?
    pub(crate) indexed: bool,
}

/// What an expression lets pass, or with `negated` what it does not.
pub(crate) fn meaning(expr: &Expr, negated: bool) -> Result<Meaning, String> {
    match expr {
        Expr::Flag(flag) => Ok(Meaning { always: Some(*flag != negated), ..Meaning::default() }),
        Expr::Not(inner) => meaning(inner, !negated),
        Expr::Binary(sign, left, right) if sign == "&&" || sign == "||" => {
            let (left, right) = (meaning(left, negated)?, meaning(right, negated)?);
            if (sign == "&&") == negated { any(left, right) } else { both(left, right) }
        }
        Expr::Binary(sign, left, right) => comparison(sign, left, right, negated),
        Expr::Choice(condition, yes, no) => {
            let condition = meaning(condition, false)?;
            let is_no_data = condition.ranges.is_empty() && condition.always.is_none();
            let (Some(none), true) = (condition.no_data, is_no_data) else {
                return Err(
                    "a choice on something other than whether there is data is not understood".to_owned()
                );
            };
            let (without, with) = if none { (yes, no) } else { (no, yes) };
            let without = meaning(without, negated)?;
            let mut with = meaning(with, negated)?;
            with.no_data = Some(without.always.ok_or("without data it asks for something else")?);
            with.indexed = false;
            Ok(with)
        }
        Expr::Call(name, arguments) => call(name, arguments, negated),
        Expr::Result(_) => Err("it asks whether the result is true, and not which number it is".to_owned()),
        Expr::Number(_) | Expr::Text(_) | Expr::Nil | Expr::Element => Err("it compares nothing".to_owned()),
    }
}

fn call(name: &str, arguments: &[Expr], negated: bool) -> Result<Meaning, String> {
    match (name, arguments) {
        ("isNaN" | "isNil", [Expr::Result(path)]) => {
            Ok(Meaning { no_data: Some(!negated), indexed: is_indexed(path), ..Meaning::default() })
        }
        // An infinite number is a bad one or none, as the limit says.
        ("isInf", [Expr::Result(_)]) => Ok(Meaning { no_data: Some(!negated), ..Meaning::default() }),
        ("all" | "any" | "none" | "one", [Expr::Result(_), each]) => {
            let (inner, every) = match (name, negated) {
                ("all", false) => (false, true),
                ("all", true) => (true, false),
                ("any", false) => (false, false),
                ("any", true) | ("none", false) => (true, true),
                ("none", true) => (false, false),
                _ => return Err(format!("{name}() is not understood")),
            };
            let mut each = meaning(each, inner)?;
            each.every = Some(every);
            // `all` of nothing is true, and `any` of nothing is not.
            each.no_data = each.no_data.or(Some(every));
            Ok(each)
        }
        _ => Err(format!("{name}() is not understood")),
    }
}

/// A side of a comparison.
enum Side {
    Number(f64),
    /// What is measured, with what stands in its place where there is no data.
    Measured(Vec<String>, Option<f64>),
    Length,
    Nil,
}

fn side(expr: &Expr) -> Result<Side, String> {
    match expr {
        Expr::Number(number) => Ok(Side::Number(*number)),
        Expr::Nil => Ok(Side::Nil),
        Expr::Element => Ok(Side::Measured(Vec::new(), None)),
        Expr::Result(path) => Ok(Side::Measured(path.clone(), None)),
        Expr::Call(name, arguments) => match (name.as_str(), arguments.as_slice()) {
            ("asFloat" | "asInt" | "float" | "int", [inner]) => side(inner),
            ("default", [inner, Expr::Number(number)]) => match side(inner)? {
                Side::Measured(path, _) => Ok(Side::Measured(path, Some(*number))),
                other => Ok(other),
            },
            ("len", [Expr::Result(_)]) => Ok(Side::Length),
            _ => Err(format!("{name}() is not understood")),
        },
        Expr::Text(text) => Err(format!("it compares with the text {text:?}, and Serin reads numbers")),
        Expr::Flag(flag) => Err(format!("it compares with {flag}, and Serin reads numbers")),
        _ => Err("a part of it is not understood".to_owned()),
    }
}

fn comparison(sign: &str, left: &Expr, right: &Expr, negated: bool) -> Result<Meaning, String> {
    let (left, right) = (side(left)?, side(right)?);
    let (measured, sign, other) = match (left, right) {
        (Side::Number(number), measured) => (measured, mirrored(sign), Side::Number(number)),
        (measured, other) => (measured, sign, other),
    };
    let sign = if negated { opposite(sign) } else { sign };
    match (measured, other) {
        (Side::Measured(path, default), Side::Number(number)) => {
            let range = match sign {
                "<" | "<=" => Range { min: None, max: Some(number) },
                ">" | ">=" => Range { min: Some(number), max: None },
                "==" => Range { min: Some(number), max: Some(number) },
                _ => return Err(format!("every number but {number} would pass")),
            };
            let no_data = default.map(|value| range.holds(value, sign.ends_with('=')));
            let indexed = is_indexed(&path) && default.is_none();
            let path = if path == ["0"] { Vec::new() } else { path };
            Ok(Meaning { ranges: vec![(path, range)], no_data, indexed, ..Meaning::default() })
        }
        // Is there anything at all?
        (Side::Length, Side::Number(number)) => {
            let none = match (sign, number) {
                ("==", 0.0) | ("<", 1.0) | ("<=", 0.0) => true,
                ("!=", 0.0) | (">", 0.0) | (">=", 1.0) => false,
                _ => return Err("the number of results is a condition, and Serin reads one".to_owned()),
            };
            Ok(Meaning { no_data: Some(none), ..Meaning::default() })
        }
        (Side::Measured(path, _), Side::Nil) => {
            Ok(Meaning { no_data: Some(sign == "=="), indexed: is_indexed(&path), ..Meaning::default() })
        }
        (Side::Measured(..), Side::Measured(..)) => {
            Err("it compares two figures: compare them in the query".to_owned())
        }
        _ => Err("it compares nothing that is measured".to_owned()),
    }
}

fn is_indexed(path: &[String]) -> bool {
    path.first().is_some_and(|step| step.starts_with(|c: char| c.is_ascii_digit()))
}

fn mirrored(sign: &str) -> &str {
    match sign {
        "<" => ">",
        "<=" => ">=",
        ">" => "<",
        ">=" => "<=",
        same => same,
    }
}

fn opposite(sign: &str) -> &str {
    match sign {
        "<" => ">=",
        "<=" => ">",
        ">" => "<=",
        ">=" => "<",
        "==" => "!=",
        _ => "==",
    }
}

impl Range {
    /// Is a number in it; on its edge only with `edge`?
    pub(crate) fn holds(self, value: f64, edge: bool) -> bool {
        let within = |beyond: bool, at: f64| beyond || edge && (value - at).abs() <= 0.0;
        self.min.is_none_or(|min| within(value > min, min))
            && self.max.is_none_or(|max| within(value < max, max))
    }
}

fn both(left: Meaning, right: Meaning) -> Result<Meaning, String> {
    match (left.always, right.always) {
        (Some(false), _) | (_, Some(true)) => return Ok(left),
        (_, Some(false)) | (Some(true), _) => return Ok(right),
        (None, None) => {}
    }
    let (empty, full) = (left.ranges.is_empty(), right.ranges.is_empty());
    if empty && left.no_data == Some(true) || full && right.no_data == Some(true) {
        return Err("it passes only where there is no data".to_owned());
    }
    let mut ranges = left.ranges;
    for (path, range) in right.ranges {
        match ranges.iter_mut().find(|(known, _)| *known == path) {
            Some((_, known)) => {
                known.min = larger(known.min, range.min);
                known.max = smaller(known.max, range.max);
            }
            None => ranges.push((path, range)),
        }
    }
    let no_data = match (left.no_data, right.no_data) {
        (Some(one), Some(other)) => Some(one && other),
        (one, other) => one.or(other),
    };
    // What is asked first guards what stands behind it.
    let guarded = empty && left.no_data == Some(false);
    let indexed = left.indexed || right.indexed && !guarded;
    Ok(Meaning { ranges, no_data, always: None, every: left.every.or(right.every), indexed })
}

fn any(left: Meaning, right: Meaning) -> Result<Meaning, String> {
    match (left.always, right.always) {
        (Some(true), _) | (_, Some(false)) => return Ok(left),
        (_, Some(true)) | (Some(false), _) => return Ok(right),
        (None, None) => {}
    }
    for (one, other) in [(&left, &right), (&right, &left)] {
        if one.ranges.is_empty() {
            if one.no_data != Some(true) {
                return Err("it passes whatever the number is, as long as there is one".to_owned());
            }
            let guarded = std::ptr::eq(one, &left) && !one.indexed;
            let indexed = other.indexed && !guarded || one.indexed;
            return Ok(Meaning { no_data: Some(true), indexed, ..other.clone() });
        }
    }
    let ([(path, one)], [(other_path, other)]) = (left.ranges.as_slice(), right.ranges.as_slice()) else {
        return Err("one of several figures is enough for it".to_owned());
    };
    if path != other_path {
        return Err("one of two figures is enough for it".to_owned());
    }
    let range = match (one.min, one.max, other.min, other.max) {
        (None, Some(one), None, Some(other)) => Range { min: None, max: Some(one.max(other)) },
        (Some(one), None, Some(other), None) => Range { min: Some(one.min(other)), max: None },
        _ => return Err("numbers on both sides of a gap pass".to_owned()),
    };
    let no_data = left.no_data.or(right.no_data);
    let indexed = left.indexed || right.indexed;
    Ok(Meaning {
        ranges: vec![(path.clone(), range)],
        no_data,
        always: None,
        every: left.every.or(right.every),
        indexed,
    })
}

fn larger(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.max(other)),
        (one, other) => one.or(other),
    }
}

fn smaller(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
