//! Samples from a file: CSV with a header, or one JSON object per line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Result, anyhow, bail};
use serde_json::Value;

use crate::client;

/// One arm's rows.
pub struct Table {
    /// Where it came from, for messages.
    file: String,
    /// Names of the columns in their order.
    names: Vec<String>,
    /// Each row's line in the file, and its cells in the order of the columns.
    rows: Vec<(u64, Vec<Cell>)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Cell {
    Number(f64),
    /// Empty, NaN or null.
    Missing,
    Text(String),
}

/// What the cells of one unit come to.
#[derive(Clone, Debug, Default)]
struct Unit {
    sum: f64,
    numbers: u32,
    text: Option<String>,
}

impl Unit {
    fn add(&mut self, cell: &Cell) {
        match cell {
            Cell::Number(value) => {
                self.sum += value;
                self.numbers += 1;
            }
            Cell::Text(text) => {
                self.text.get_or_insert_with(|| text.clone());
            }
            Cell::Missing => {}
        }
    }

    fn cell(self) -> Cell {
        match self.text {
            Some(text) => Cell::Text(text),
            None if self.numbers > 0 => Cell::Number(self.sum / f64::from(self.numbers)),
            None => Cell::Missing,
        }
    }
}

impl Table {
    /// Reads a file; the first character tells JSON from CSV.
    pub fn read(path: &Path) -> Result<Self> {
        let text = client::read(path)?;
        Self::parse(&path.display().to_string(), &text)
    }

    pub fn parse(file: &str, text: &str) -> Result<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let table = match text.trim_start().chars().next() {
            None => bail!("{file} is empty; give a header and at least one row, or one JSON object per line"),
            Some('[') => bail!(
                "{file} is one JSON array; write one object per line instead (jq -c '.[]' {file} > rows.jsonl)"
            ),
            Some('{') => json_lines(file, text)?,
            Some(_) => csv_rows(file, text)?,
        };
        if table.rows.is_empty() {
            bail!("{file} has a header and no rows; give at least one row of samples");
        }
        Ok(table)
    }

    pub fn file(&self) -> &str {
        &self.file
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// A column's values in the order of the rows, NaN where one is missing.
    pub fn column(&self, name: &str) -> Result<Vec<f64>> {
        let place = self.place(name)?;
        self.cells(place)
            .map(|(line, cell)| match cell {
                Cell::Number(value) => Ok(*value),
                Cell::Missing => Ok(f64::NAN),
                Cell::Text(text) => Err(anyhow!(
                    "{}:{line}: column {name:?} holds {text:?}; give a number, or leave it empty where there is none",
                    self.file
                )),
            })
            .collect()
    }

    /// A column of moments, in seconds; in rising order, or it is an error.
    pub fn moments(&self, name: &str) -> Result<Vec<f64>> {
        let place = self.place(name)?;
        let mut last = f64::NEG_INFINITY;
        self.cells(place)
            .map(|(line, cell)| {
                let seconds = match cell {
                    // Milliseconds since 1970 are above this from 1971 on, seconds until the year 5138.
                    Cell::Number(value) if *value > 1e11 => Some(value / 1e3),
                    Cell::Number(value) => Some(*value),
                    Cell::Text(text) => rfc3339(text),
                    Cell::Missing => None,
                };
                let Some(seconds) = seconds else {
                    bail!(
                        "{}:{line}: column {name:?} holds no time; give seconds or milliseconds since 1970, or \
                         2026-01-31T12:00:00Z",
                        self.file
                    );
                };
                if seconds < last {
                    bail!("{}:{line}: column {name:?} goes back in time; sort the rows by it", self.file);
                }
                last = seconds;
                Ok(seconds)
            })
            .collect()
    }

    /// A column as text: what a row belongs to. Empty where there is none.
    pub fn labels(&self, name: &str) -> Result<Vec<String>> {
        let place = self.place(name)?;
        let text = |cell: &Cell| match cell {
            Cell::Number(value) => value.to_string(),
            Cell::Missing => String::new(),
            Cell::Text(text) => text.clone(),
        };
        Ok(self.cells(place).map(|(_, cell)| text(cell)).collect())
    }

    /// A column of vectors, written `[0.1, 0.2]`; `None` where there is none.
    pub fn vectors(&self, name: &str) -> Result<Vec<Option<Vec<f64>>>> {
        let place = self.place(name)?;
        self.cells(place)
            .map(|(line, cell)| match cell {
                Cell::Missing => Ok(None),
                Cell::Text(text) => {
                    serde_json::from_str(text).map(Some).map_err(|_| self.no_vector(line, name))
                }
                Cell::Number(_) => Err(self.no_vector(line, name)),
            })
            .collect()
    }

    fn no_vector(&self, line: u64, name: &str) -> anyhow::Error {
        anyhow!(
            "{}:{line}: column {name:?} holds no vector; write \"[0.1, 0.2]\", in quotes in a CSV",
            self.file
        )
    }

    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    pub fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// One row for each value of a column: the mean of the numbers of its rows, and the first of their texts.
    pub fn by_unit(&self, name: &str) -> Result<Self> {
        let labels = self.labels(name)?;
        let mut places = BTreeMap::<&str, usize>::new();
        let mut units: Vec<(u64, Vec<Unit>)> = Vec::new();
        for ((line, cells), label) in self.rows.iter().zip(&labels) {
            if label.is_empty() {
                bail!(
                    "{}:{line}: column {name:?} is empty; every row needs its unit, such as a user",
                    self.file
                );
            }
            let next = units.len();
            let place = *places.entry(label).or_insert(next);
            if place == next {
                units.push((*line, vec![Unit::default(); self.names.len()]));
            }
            let Some((_, unit)) = units.get_mut(place) else { continue };
            for (cell, sum) in cells.iter().zip(unit) {
                sum.add(cell);
            }
        }
        let rows = units.into_iter().map(|(line, cells)| (line, cells.into_iter().map(Unit::cell).collect()));
        Ok(Self { file: self.file.clone(), names: self.names.clone(), rows: rows.collect() })
    }

    fn place(&self, name: &str) -> Result<usize> {
        let found = self.names.iter().position(|known| known == name);
        found
            .ok_or_else(|| anyhow!("{} has no column {name:?}; it has: {}", self.file, self.names.join(", ")))
    }

    fn cells(&self, place: usize) -> impl Iterator<Item = (u64, &Cell)> {
        self.rows.iter().map(move |(line, cells)| (*line, cells.get(place).unwrap_or(&Cell::Missing)))
    }
}

fn csv_rows(file: &str, text: &str) -> Result<Table> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let names: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    check_names(file, &names)?;
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            match error.kind() {
                csv::ErrorKind::UnequalLengths { expected_len, len, .. } => anyhow!(
                    "{file}:{line}: {len} cells under {expected_len} columns; quote cells that hold a comma, and \
                     leave empty cells empty"
                ),
                _ => anyhow!("{file}:{line}: {error}"),
            }
        })?;
        let line = record.position().map_or(0, csv::Position::line);
        rows.push((line, record.iter().map(cell_of_text).collect()));
    }
    Ok(Table { file: file.to_owned(), names, rows })
}

fn check_names(file: &str, names: &[String]) -> Result<()> {
    if names.iter().all(|name| name.parse::<f64>().is_ok()) {
        bail!("{file}:1: the first line holds numbers; begin with a header that names the columns");
    }
    let mut seen = BTreeSet::new();
    for name in names {
        if name.is_empty() {
            bail!("{file}:1: a column has no name; name it, or remove the extra comma");
        }
        if !seen.insert(name) {
            bail!("{file}:1: two columns are called {name:?}; rename one");
        }
    }
    Ok(())
}

fn cell_of_text(text: &str) -> Cell {
    if text.is_empty() || text.eq_ignore_ascii_case("nan") || text.eq_ignore_ascii_case("null") {
        return Cell::Missing;
    }
    match text {
        "true" => Cell::Number(1.0),
        "false" => Cell::Number(0.0),
        _ => match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Cell::Number(value),
            _ => Cell::Text(text.to_owned()),
        },
    }
}

fn json_lines(file: &str, text: &str) -> Result<Table> {
    let mut names: Vec<String> = Vec::new();
    let mut rows = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let number = at as u64 + 1;
        let object: serde_json::Map<String, Value> = serde_json::from_str(line)
            .map_err(|error| anyhow!("{file}:{number}: {error}; write one whole JSON object per line"))?;
        let mut cells = vec![Cell::Missing; names.len()];
        for (name, value) in object {
            let cell = match value {
                Value::Number(value) => value.as_f64().map_or(Cell::Missing, Cell::Number),
                Value::Null => Cell::Missing,
                Value::Bool(value) => Cell::Number(f64::from(u8::from(value))),
                Value::String(text) => Cell::Text(text),
                other => Cell::Text(other.to_string()),
            };
            match names.iter().position(|known| *known == name) {
                Some(place) => {
                    if let Some(slot) = cells.get_mut(place) {
                        *slot = cell;
                    }
                }
                None => {
                    names.push(name);
                    cells.push(cell);
                }
            }
        }
        rows.push((number, cells));
    }
    Ok(Table { file: file.to_owned(), names, rows })
}

/// Seconds since 1970 of `2026-01-31T12:00:00[.5](Z|+01:00)`.
pub fn rfc3339(text: &str) -> Option<f64> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let mut parts = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let zone = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at(zone);
    let offset = match zone {
        "Z" | "z" => 0.0,
        _ => {
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let offset = hours.parse::<f64>().ok()? * 3600.0 + minutes.parse::<f64>().ok()? * 60.0;
            if zone.starts_with('-') { -offset } else { offset }
        }
    };
    let mut clock = clock.splitn(3, ':').map(|part| part.parse::<f64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    // Days from the civil calendar with the year beginning in March, so that leap days come last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * m + 2) / 5 + day
        - 1
        - 719_468;
    #[allow(clippy::cast_precision_loss)] // days of a calendar
    let days = days as f64;
    Some(days * 86_400.0 + hour * 3600.0 + minute * 60.0 + second - offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, column: &str, parts: &[&str]) {
        let error = match Table::parse("x.csv", text) {
            Ok(table) => table.column(column).expect_err("accepted").to_string(),
            Err(error) => error.to_string(),
        };
        for part in parts {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn bad_input_names_file_line_column_and_remedy() {
        refused("", "a", &["x.csv is empty", "header"]);
        refused("a,b\n", "a", &["no rows"]);
        refused("1,2\n3,4\n", "a", &["x.csv:1", "header"]);
        refused("a,a\n1,2\n", "a", &["x.csv:1", "two columns", "rename"]);
        refused("a,\n1,2\n", "a", &["x.csv:1", "no name"]);
        refused("a,b\n1,2\n3\n", "a", &["x.csv:3", "1 cells under 2 columns"]);
        refused("a\n1\nfast\n", "a", &["x.csv:3", "\"a\"", "\"fast\"", "number"]);
        refused("a\n1\ninf\n", "a", &["x.csv:3", "\"inf\""]);
        refused("a\n1\n", "b", &["no column \"b\"", "it has: a"]);
        refused("[1]", "a", &["one JSON array", "jq"]);
        refused("{\"a\":1}\n{\"a\":\n", "a", &["x.csv:2", "one whole JSON object per line"]);
        refused("{\"a\":1}\n{\"a\":\"x\"}\n", "a", &["x.csv:2", "\"a\"", "\"x\""]);
    }

    #[track_caller]
    fn read(text: &str, column: &str, expected: &[f64]) {
        let values = Table::parse("x", text).unwrap().column(column).unwrap();
        let same = |(a, b): (&f64, &f64)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        assert!(values.len() == expected.len() && values.iter().zip(expected).all(same), "{values:?}");
    }

    #[test]
    fn both_forms_are_read() {
        read("a,b\n1,x\n2.5,y\n", "a", &[1.0, 2.5]);
        read("a,b\n1,\n2, 7 \n3,NaN\n", "b", &[f64::NAN, 7.0, f64::NAN]);
        read("\u{feff}a\r\n1e-3\r\n", "a", &[1e-3]);
        read("ok\ntrue\nfalse\n", "ok", &[1.0, 0.0]);
        read("{\"a\":1}\n\n{\"b\":2,\"a\":null}\n{\"a\":true}\n", "a", &[1.0, f64::NAN, 1.0]);
        read("{\"a\":1}\n{\"b\":2,\"a\":3}\n", "b", &[f64::NAN, 2.0]);
    }

    #[test]
    fn moments_are_read() {
        let of = |text: &str| Table::parse("x", text).unwrap().moments("t");
        let noon = 1_769_860_800.0;
        assert_eq!(of("t\n2026-01-31T12:00:00Z\n2026-01-31T13:00:00.5+01:00\n").unwrap(), [noon, noon + 0.5]);
        assert_eq!(of("t\n1769860800\n1769860801\n").unwrap(), [noon, noon + 1.0]);
        assert_eq!(of("t\n1769860800000\n").unwrap(), [noon]);
        assert!(of("t\n2\n1\n").unwrap_err().to_string().contains("x:3: column \"t\" goes back in time"));
        assert!(of("t\nnoon\n").unwrap_err().to_string().contains("2026-01-31T12:00:00Z"));
    }
}
