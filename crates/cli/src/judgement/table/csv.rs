//! Rows from text with a header, divided by whatever the file divides by.

use std::collections::BTreeSet;

use anyhow::{Result, anyhow, bail};

use super::{Row, Table};

/// What columns may be divided by.
const DIVIDERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Records by which the divider is told.
const LOOK: usize = 50;

const REMEDY: &str = "begin the file with a line that says it, such as sep=;";

pub fn table(file: &str, text: &str) -> Result<Table> {
    // Excel's own way of saying it.
    let (said, text, before) = match text.split_once('\n') {
        Some((first, rest)) => match said(first) {
            Some(divider) => (Some(divider), rest, 1),
            None => (None, text, 0),
        },
        None => (None, text, 0),
    };
    let divider = match said {
        Some(divider) => divider,
        None => told(file, text)?,
    };
    let mut reader = reader(text, divider);
    let mut names: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    let mut rows: Vec<Row> = Vec::new();
    for record in reader.records() {
        let at = |position: Option<&csv::Position>| before + position.map_or(0, csv::Position::line);
        let record = record.map_err(|error| anyhow!("{file}:{}: {error}", at(error.position())))?;
        let line = at(record.position());
        if record.len() != names.len() {
            let name = name(divider);
            let hint = if names.len() == 1 {
                format!("; if they are divided by something else, {REMEDY}")
            } else {
                String::new()
            };
            bail!(
                "{file}:{line}: {} cells under {} columns; quote cells that hold a {name}, and leave empty cells empty{hint}",
                record.len(),
                names.len()
            );
        }
        rows.push(Row { line, cells: record.iter().map(Into::into).collect() });
    }
    if names.len() > 1 && names.last().is_some_and(String::is_empty) && rows.iter().all(ends_empty) {
        // A divider at the end of every line.
        names.pop();
        rows.iter_mut().for_each(|row| drop(row.cells.pop()));
    }
    check_names(file, before + 1, &names)?;
    Ok(Table::new(file, names, rows, Some(char::from(divider))))
}

fn ends_empty(row: &Row) -> bool {
    row.cells.last().is_none_or(|cell| cell.is_empty())
}

fn reader(text: &str, divider: u8) -> csv::Reader<&[u8]> {
    let mut builder = csv::ReaderBuilder::new();
    builder.trim(csv::Trim::All).flexible(true).delimiter(divider).from_reader(text.as_bytes())
}

/// The divider of `sep=;`.
fn said(line: &str) -> Option<u8> {
    let line = line.trim_end_matches('\r').trim_matches('"');
    let divider = line.strip_prefix("sep=").or_else(|| line.strip_prefix("SEP="))?;
    match divider.as_bytes() {
        [divider] => Some(*divider),
        _ => (divider == "\\t").then_some(b'\t'),
    }
}

/// The divider by which the header has several columns and the first rows as many.
fn told(file: &str, text: &str) -> Result<u8> {
    let columns = |divider: u8| {
        let mut reader = reader(text, divider);
        let header = reader.headers().map_or(0, csv::StringRecord::len);
        let alike =
            reader.records().take(LOOK).all(|record| record.is_ok_and(|record| record.len() == header));
        (header, alike)
    };
    let several: Vec<(u8, bool)> = DIVIDERS
        .into_iter()
        .map(|divider| (divider, columns(divider)))
        .filter(|(_, (header, _))| *header > 1)
        .map(|(divider, (_, alike))| (divider, alike))
        .collect();
    match several.as_slice() {
        [] => return Ok(b','),
        [(divider, _)] => return Ok(*divider),
        _ => {}
    }
    let alike: Vec<u8> = several.iter().filter(|(_, alike)| *alike).map(|(divider, _)| *divider).collect();
    match alike.as_slice() {
        [divider] => Ok(*divider),
        [a, b, ..] => {
            bail!("{file}:1: columns may be divided by a {} or by a {}; {REMEDY}", name(*a), name(*b))
        }
        [] => Ok(several.first().map_or(b',', |(divider, _)| *divider)),
    }
}

const fn name(divider: u8) -> &'static str {
    match divider {
        b',' => "comma",
        b';' => "semicolon",
        b'\t' => "tab",
        b'|' => "bar",
        _ => "divider",
    }
}

fn check_names(file: &str, line: u64, names: &[String]) -> Result<()> {
    if names.iter().all(|name| name.parse::<f64>().is_ok()) {
        bail!("{file}:{line}: the first line holds numbers; begin with a header that names the columns");
    }
    let mut seen = BTreeSet::new();
    for (at, name) in names.iter().enumerate() {
        // The first column without a name is the index that pandas and R write.
        if name.is_empty() && (at > 0 || names.len() == 1) {
            bail!("{file}:{line}: column {} has no name; name it, or remove the extra separator", at + 1);
        }
        if !seen.insert(name) {
            bail!("{file}:{line}: two columns are called {name:?}; rename one");
        }
    }
    Ok(())
}
