//! What a cell says: a number, yes or no, nothing, or text. As pandas, R, databases and spreadsheets write them.

/// What they write where there is nothing, in small letters; a cell that is empty is so, too.
const MISSING: [&str; 17] = [
    "nan", "-nan", "na", "<na>", "n/a", "null", "none", "nil", "nat", "\\n", "#n/a", "#na", "#n/a n/a",
    "#div/0!", "1.#qnan", "-1.#ind", "1.#ind",
];
/// Of these, what is nothing as a label, too: NA is Namibia, and None may be a name.
const NO_LABEL: [&str; 5] = ["nan", "null", "<na>", "#n/a", "\\n"];

/// A cell where a number is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    Missing,
    Number(f64),
    Flag(bool),
    /// A number with a comma in it: `12,5`, or `1,234`.
    Comma,
    Text,
}

pub fn is_missing(text: &str) -> bool {
    text.is_empty() || is_one_of(text, &MISSING)
}

fn is_one_of(text: &str, known: &[&str]) -> bool {
    known.iter().any(|known| text.eq_ignore_ascii_case(known))
}

impl Cell {
    pub fn of(text: &str) -> Self {
        if is_missing(text) {
            return Self::Missing;
        }
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => return Self::Number(value),
            Ok(_) => return Self::Text,
            Err(_) => {}
        }
        if let Some(flag) = flag(text) {
            return Self::Flag(flag);
        }
        if with_comma(text).is_some() { Self::Comma } else { Self::Text }
    }
}

fn flag(text: &str) -> Option<bool> {
    let is = |known: [&str; 4]| is_one_of(text, &known);
    if is(["true", "t", "yes", "y"]) {
        return Some(true);
    }
    is(["false", "f", "no", "n"]).then_some(false)
}

/// The number of `12,5`, its comma read as the decimal mark.
pub fn with_comma(text: &str) -> Option<f64> {
    let (whole, rest) = text.split_once(',')?;
    let plain =
        !rest.contains([',', '.']) && !whole.contains('.') && rest.starts_with(|c: char| c.is_ascii_digit());
    let value: f64 = format!("{whole}.{rest}").parse().ok()?;
    (plain && value.is_finite()).then_some(value)
}

/// Can the comma be nothing but a decimal mark? `1,234` may be a thousand and more.
pub fn surely_decimal(text: &str) -> bool {
    let Some((whole, rest)) = text.split_once(',') else { return false };
    let whole = whole.trim_start_matches(['+', '-']);
    rest.len() != 3 || whole.is_empty() || whole.len() > 3 || whole.starts_with('0')
}

/// A cell as a label: numbers and booleans in one form, so that `1` and `1.0`, `True` and `true` are one; empty where there
/// is none.
pub fn label(text: &str) -> String {
    if text.is_empty() || is_one_of(text, &NO_LABEL) {
        return String::new();
    }
    if is_one_of(text, &["true", "false"]) {
        return text.to_ascii_lowercase();
    }
    // Not what a number would lose: leading zeros, a sign, or digits beyond 2^53.
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.starts_with(|c: char| c.is_ascii_digit())
        && (!digits.starts_with('0') || digits.len() == 1 || digits.starts_with("0."));
    match text.parse::<f64>() {
        Ok(value) if plain && value.abs() < 9e15 => (value + 0.0).to_string(),
        _ => text.to_owned(),
    }
}
