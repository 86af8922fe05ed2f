//! Answers of two versions to the same inputs, input by input.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use judge::classical::cosine_similarity;

use super::Table;

/// A figure for each input that both files have, and how many inputs the canary and stable have alone.
type Pairs = (Vec<f64>, [usize; 2]);

/// The cosine of each input's two vectors.
pub fn cosines(column: &str, id: &str, control: &Table, canary: &Table) -> Result<Pairs> {
    let (stable, values) = (control.vectors(column)?, canary.vectors(column)?);
    paired(id, (control, stable), (canary, values), |input, a, b| {
        cosine_similarity(a, b).with_context(|| format!("column {column:?} of input {input:?}"))
    })
}

/// How far apart each input's two answers are: numbers by their difference, labels by 0 or 1.
pub fn differences(column: &str, id: &str, control: &Table, canary: &Table) -> Result<Pairs> {
    if !control.is_text(column)? && !canary.is_text(column)? {
        let (stable, values) = (control.column(column)?, canary.column(column)?);
        let known = |values: Vec<f64>| values.into_iter().map(|v| (!v.is_nan()).then_some(v)).collect();
        return paired(id, (control, known(stable)), (canary, known(values)), |_, a, b| Ok((a - b).abs()));
    }
    let known = |labels: Vec<String>| labels.into_iter().map(|l| (!l.is_empty()).then_some(l)).collect();
    let (stable, values) = (known(control.labels(column)?), known(canary.labels(column)?));
    paired(id, (control, stable), (canary, values), |_, a, b| Ok(f64::from(u8::from(a != b))))
}

/// Values of an arm, with its table.
type Arm<'a, T> = (&'a Table, Vec<Option<T>>);

fn paired<T>(
    id: &str,
    control: Arm<'_, T>,
    canary: Arm<'_, T>,
    of: impl Fn(&str, &T, &T) -> Result<f64>,
) -> Result<Pairs> {
    let files = (control.0.file(), canary.0.file());
    let (stable, values) = (by_id(id, control)?, by_id(id, canary)?);
    let mut pairs = Vec::new();
    for (input, value) in &values {
        if let Some(other) = stable.get(input) {
            pairs.push(of(input, value, other)?);
        }
    }
    if pairs.is_empty() {
        bail!(
            "{} and {} share no input by column {id:?}; score the same inputs with both versions",
            files.0,
            files.1
        );
    }
    let alone = [values.len() - pairs.len(), stable.len() - pairs.len()];
    Ok((pairs, alone))
}

fn by_id<T>(id: &str, (table, values): Arm<'_, T>) -> Result<BTreeMap<String, T>> {
    let mut inputs = BTreeMap::new();
    for (input, value) in table.labels(id)?.into_iter().zip(values) {
        let Some(value) = value else { continue };
        if inputs.contains_key(&input) {
            bail!("{}: column {id:?} holds {input:?} twice; give each input once", table.file());
        }
        inputs.insert(input, value);
    }
    Ok(inputs)
}
