//! Samples from a file: CSV with a header, or one JSON object per line.

mod cell;
mod csv;
mod json;
#[cfg(test)]
mod tests;
mod time;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, anyhow, bail};

use crate::client;
use cell::Cell;
pub use time::{NoMoment, Zone, moment};

/// Beyond it, squares of numbers are none.
const LARGEST: f64 = 1e100;
/// No answer takes as long, be it in nanoseconds (11 days).
const LONGEST: f64 = 1e15;

/// One arm's rows.
pub struct Table {
    /// Where it came from, for messages.
    file: String,
    /// Names of the columns in their order.
    names: Vec<String>,
    rows: Vec<Row>,
    /// What its columns are divided by; `None`: nothing.
    divider: Option<char>,
    /// The first column with a number that surely has a decimal comma.
    commas: Option<usize>,
}

struct Row {
    /// Its line in the file.
    line: u64,
    /// In the order of the columns, as written; there may be fewer.
    cells: Vec<Box<str>>,
}

/// The moments of an arm, in rising order.
#[derive(Debug)]
pub struct Moments {
    /// Seconds since 1970.
    pub seconds: Vec<f64>,
    pub zone: Zone,
}

impl Table {
    /// Reads a file; the first character tells JSON from CSV.
    pub fn read(path: &Path) -> Result<Self> {
        let file = path.display().to_string();
        let text = client::read(path).map_err(|error| {
            let not_text = error
                .downcast_ref::<std::io::Error>()
                .is_some_and(|error| error.kind() == std::io::ErrorKind::InvalidData);
            if let Some(unpack) = packed(path) {
                return anyhow!("{file} is compressed; unpack it first ({unpack} {file})");
            }
            if not_text { anyhow!("{file} is no text in UTF-8; save it as \"CSV UTF-8\"") } else { error }
        })?;
        Self::parse(&file, &text)
    }

    pub fn parse(file: &str, text: &str) -> Result<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let table = match text.trim_start().chars().next() {
            None => bail!("{file} is empty; give a header and at least one row, or one JSON object per line"),
            Some('[') => bail!(
                "{file} is one JSON array; write one object per line instead (jq -c '.[]' {file} > rows.jsonl)"
            ),
            Some('{') => json::table(file, text)?,
            Some(_) => csv::table(file, text)?,
        };
        if table.rows.is_empty() {
            bail!("{file} has a header and no rows; give at least one row of samples");
        }
        Ok(table)
    }

    fn new(file: &str, names: Vec<String>, rows: Vec<Row>, divider: Option<char>) -> Self {
        let mut table = Self { file: file.to_owned(), names, rows, divider, commas: None };
        // Where a comma divides columns or nothing does, one within a cell says nothing about other columns.
        if divider == Some(';') {
            let with_comma =
                |place: &usize| table.cells(*place).any(|(_, text)| Cell::of(text) == Cell::Comma);
            table.commas = (0..table.names.len()).find(with_comma);
        }
        table
    }

    pub fn file(&self) -> &str {
        &self.file
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str).filter(|name| !name.is_empty())
    }

    /// A column's values in the order of the rows, NaN where one is missing; one that is missing everywhere is an error.
    pub fn column(&self, name: &str) -> Result<Vec<f64>> {
        let values = self.column_or_nothing(name)?;
        if values.iter().all(|value| value.is_nan()) {
            bail!(
                "{}: column {name:?} holds no value in any of its {} rows; name another column, or export it again",
                self.file,
                values.len()
            );
        }
        Ok(values)
    }

    /// The same, where a column without any value is an answer, too.
    pub fn column_or_nothing(&self, name: &str) -> Result<Vec<f64>> {
        let place = self.place(name)?;
        let commas = self.has_decimal_commas(place, name)?;
        let (mut flag, mut number) = (None, None);
        self.cells(place)
            .map(|(line, text)| {
                let value = match Cell::of(text) {
                    Cell::Missing => return Ok(f64::NAN),
                    Cell::Number(value) => value,
                    Cell::Flag(value) => {
                        flag = flag.or(Some(text));
                        f64::from(u8::from(value))
                    }
                    Cell::Comma if commas => cell::with_comma(text).unwrap_or(f64::NAN),
                    Cell::Comma | Cell::Text => {
                        let remedy = if text.parse::<f64>().is_ok() {
                            "give the largest number that counts"
                        } else {
                            "give a number without unit or thousands separator"
                        };
                        bail!(
                            "{}:{line}: column {name:?} holds {text:?}; {remedy}, or leave it empty where there is none",
                            self.file
                        )
                    }
                };
                if value.abs() > LARGEST {
                    bail!(
                        "{}:{line}: column {name:?} holds {value:e}, and numbers beyond {LARGEST:e} cannot be averaged; leave \
                         it empty where there is none",
                        self.file
                    );
                }
                if value != 0.0 && value != 1.0 {
                    number = number.or(Some(text));
                }
                if let (Some(flag), Some(number)) = (flag, number) {
                    bail!(
                        "{}:{line}: column {name:?} holds {flag:?} and {number:?}; give either numbers, or only true and \
                         false",
                        self.file
                    );
                }
                Ok(value)
            })
            .collect()
    }

    /// A column of answer times; one below 0, or beyond any answer, is refused.
    pub fn times(&self, name: &str) -> Result<Vec<f64>> {
        let values = self.column(name)?;
        let wrong = values.iter().zip(self.lines()).find(|(value, _)| **value < 0.0 || **value > LONGEST);
        if let Some((value, line)) = wrong {
            bail!(
                "{}:{line}: column {name:?} holds {value:e}, which is no answer time; leave it empty where there is none, or \
                 say kind=value of what is no time",
                self.file
            );
        }
        Ok(values)
    }

    /// Are the commas in a column's numbers decimal marks? An error where that cannot be told.
    fn has_decimal_commas(&self, place: usize, name: &str) -> Result<bool> {
        let find = |is: &dyn Fn(&str) -> bool| self.cells(place).find(|(_, text)| is(text));
        let comma = find(&|text| Cell::of(text) == Cell::Comma);
        let point = find(&|text| text.contains('.') && matches!(Cell::of(text), Cell::Number(_)));
        match (comma, point) {
            (None, None) => Ok(false),
            (Some((_, comma)), Some((line, point))) => bail!(
                "{}:{line}: column {name:?} holds {comma:?} and {point:?}; write all numbers with one decimal mark and \
                 without thousands separators",
                self.file
            ),
            (None, Some((line, point))) => {
                let Some(other) = self.commas.and_then(|other| self.names.get(other)) else {
                    return Ok(false);
                };
                bail!(
                    "{}:{line}: column {name:?} holds {point:?}, and column {other:?} has decimal commas; write both with \
                     one decimal mark",
                    self.file
                )
            }
            (Some((line, comma)), None) => {
                if self.divider == Some(';')
                    || find(&|text| Cell::of(text) == Cell::Comma && cell::surely_decimal(text)).is_some()
                {
                    return Ok(true);
                }
                bail!(
                    "{}:{line}: column {name:?} holds {comma:?}, and whether its comma marks thousands or decimals cannot be \
                     told; write 1234 or 1.234",
                    self.file
                )
            }
        }
    }

    /// A column of moments; in rising order, or it is an error.
    pub fn moments(&self, name: &str) -> Result<Moments> {
        let place = self.place(name)?;
        let mut first: Option<(&str, Zone)> = None;
        let mut last = f64::NEG_INFINITY;
        let mut seconds = Vec::with_capacity(self.rows.len());
        for (line, text) in self.cells(place) {
            let (now, zone) = moment(text).map_err(|why| {
                let (what, file) = (wrong_moment(text, why), &self.file);
                anyhow!("{file}:{line}: column {name:?} {what}")
            })?;
            let (before, known) = *first.get_or_insert((text, zone));
            if zone != known {
                bail!(
                    "{}:{line}: column {name:?} holds {before:?} and {text:?}, of which one names no zone; write one for \
                     each, such as Z or +01:00",
                    self.file
                );
            }
            if now < last {
                bail!("{}:{line}: column {name:?} goes back in time; sort the rows by it", self.file);
            }
            last = now;
            seconds.push(now);
        }
        Ok(Moments { seconds, zone: first.map_or(Zone::Said, |(_, zone)| zone) })
    }

    /// A column as text: what a row belongs to. Empty where there is none.
    pub fn labels(&self, name: &str) -> Result<Vec<String>> {
        let place = self.place(name)?;
        Ok(self.cells(place).map(|(_, text)| cell::label(text)).collect())
    }

    /// Does a column hold something that is no number?
    pub fn is_text(&self, name: &str) -> Result<bool> {
        let place = self.place(name)?;
        Ok(self.cells(place).any(|(_, text)| Cell::of(text) == Cell::Text))
    }

    /// A column of vectors, written `[0.1, 0.2]`; `None` where there is none.
    pub fn vectors(&self, name: &str) -> Result<Vec<Option<Vec<f64>>>> {
        let place = self.place(name)?;
        self.cells(place)
            .map(|(line, text)| {
                if cell::is_missing(text) {
                    return Ok(None);
                }
                serde_json::from_str(text).map(Some).map_err(|_| {
                    anyhow!(
                        "{}:{line}: column {name:?} holds no vector; write \"[0.1, 0.2]\", in quotes in a CSV",
                        self.file
                    )
                })
            })
            .collect()
    }

    /// The line of each row in its file.
    pub fn lines(&self) -> impl Iterator<Item = u64> {
        self.rows.iter().map(|row| row.line)
    }

    /// The same rows with further columns of numbers, or others in place of those of the same name; NaN is nothing.
    pub fn with(&self, columns: &[(&str, Vec<f64>)]) -> Self {
        let kept = |name: &String| !columns.iter().any(|(other, _)| other == name);
        let places: Vec<usize> =
            self.names.iter().enumerate().filter(|(_, name)| kept(name)).map(|(at, _)| at).collect();
        let old = places.iter().filter_map(|at| self.names.get(*at).cloned());
        let names = old.chain(columns.iter().map(|(name, _)| (*name).to_owned())).collect();
        let rows = self.rows.iter().enumerate().map(|(number, row)| {
            let old = places.iter().map(|at| row.cells.get(*at).cloned().unwrap_or_default());
            let new = columns.iter().map(|(_, values)| match values.get(number) {
                Some(value) if !value.is_nan() => value.to_string().into(),
                _ => "".into(),
            });
            Row { line: row.line, cells: old.chain(new).collect() }
        });
        Self::new(&self.file, names, rows.collect(), self.divider)
    }

    pub fn row_count(&self) -> usize {
        self.rows.len()
    }

    pub fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// One row for each value of a column: the mean of the numbers of its rows, and the first of their texts.
    pub fn by_unit(&self, name: &str) -> Result<Self> {
        let place = self.place(name)?;
        let mut places = BTreeMap::<String, usize>::new();
        let mut units: Vec<Row> = Vec::new();
        let mut of_row = Vec::with_capacity(self.rows.len());
        for (line, text) in self.cells(place) {
            if cell::is_missing(text) {
                bail!(
                    "{}:{line}: column {name:?} is empty; every row needs its unit, such as a user",
                    self.file
                );
            }
            let next = units.len();
            let unit = *places.entry(cell::label(text)).or_insert(next);
            if unit == next {
                units.push(Row { line, cells: Vec::with_capacity(self.names.len()) });
            }
            of_row.push(unit);
        }
        for (at, column) in self.names.iter().enumerate() {
            // A column that cannot be read stays as it is, and is refused where it is asked for.
            let values = if at == place { None } else { self.column_or_nothing(column).ok() };
            let cells = match values {
                Some(values) => means(&of_row, &values, units.len()),
                None => firsts(&of_row, self.cells(at).map(|(_, text)| text), units.len()),
            };
            units.iter_mut().zip(cells).for_each(|(unit, cell)| unit.cells.push(cell));
        }
        Ok(Self::new(&self.file, self.names.clone(), units, self.divider))
    }

    fn place(&self, name: &str) -> Result<usize> {
        let found = self.names.iter().position(|known| known == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = self.names().collect();
            anyhow!("{} has no column {name:?}; it has: {}", self.file, names.join(", "))
        })
    }

    fn cells(&self, place: usize) -> impl Iterator<Item = (u64, &str)> {
        self.rows.iter().map(move |row| (row.line, row.cells.get(place).map_or("", |cell| &**cell)))
    }
}

/// The command that unpacks a compressed file; `None`: it is none.
fn packed(path: &Path) -> Option<&'static str> {
    use std::io::Read as _;
    let mut head = [0; 4];
    std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut head)).ok()?;
    match head {
        [0x1f, 0x8b, ..] => Some("gunzip"),
        [0x28, 0xb5, 0x2f, 0xfd] => Some("unzstd"),
        [b'P', b'K', 3, 4] => Some("unzip"),
        _ => None,
    }
}

/// What is wrong with a cell where a time is asked for, and what would be right.
fn wrong_moment(text: &str, why: NoMoment) -> String {
    let give = "give 2026-01-31T12:00:00Z, or a number since 1970";
    match why {
        NoMoment::Unreadable => format!("holds {text:?}, which is no time; {give}"),
        NoMoment::Implausible => format!(
            "holds {text:?}, which is no time from 1990 to 2099, be it in seconds, milliseconds, microseconds or \
             nanoseconds; {give}"
        ),
    }
}

/// The mean of each unit's values, empty where it has none.
fn means(of_row: &[usize], values: &[f64], units: usize) -> Vec<Box<str>> {
    let mut sums = vec![(0.0, 0u32); units];
    for (unit, value) in of_row.iter().zip(values).filter(|(_, value)| !value.is_nan()) {
        if let Some((sum, n)) = sums.get_mut(*unit) {
            *sum += value;
            *n += 1;
        }
    }
    let mean = |(sum, n): (f64, u32)| if n > 0 { (sum / f64::from(n)).to_string() } else { String::new() };
    sums.into_iter().map(|sum| mean(sum).into()).collect()
}

/// The first of each unit's texts that says something.
fn firsts<'a>(of_row: &[usize], texts: impl Iterator<Item = &'a str>, units: usize) -> Vec<Box<str>> {
    let mut first: Vec<Box<str>> = vec!["".into(); units];
    for (unit, text) in of_row.iter().zip(texts) {
        if let Some(slot) = first.get_mut(*unit).filter(|slot| slot.is_empty() && !cell::is_missing(text)) {
            *slot = text.into();
        }
    }
    first
}
