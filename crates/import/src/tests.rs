//! Golden reports, and what holds of any document.

mod any;
mod flagger;
mod seeds;
mod shapes;

use super::*;

/// What is made of one text; every rollout of it can be run, and is called as one may be called.
#[track_caller]
fn made(text: &str) -> Imported {
    of(&[("a.yaml", text)])
}

#[track_caller]
fn of(texts: &[(&str, &str)]) -> Imported {
    let texts: Vec<Text> = texts
        .iter()
        .map(|(file, text)| Text { file: (*file).to_owned(), text: (*text).to_owned() })
        .collect();
    let imported = import(&texts);
    for made in &imported.rollouts {
        if let Err(problems) = manifest::load(&made.yaml) {
            panic!("{problems}\n{}", made.yaml);
        }
        assert_eq!(manifest::unusable_name(&made.name), None, "{}", made.name);
    }
    imported
}

/// Is this said of a field, with this fate?
#[track_caller]
fn noted(imported: &Imported, fate: Fate, field: &str, part: &str) {
    let fits = |note: &&Note| note.fate == fate && note.field == field && note.what.contains(part);
    if imported.notes.iter().find(fits).is_none() {
        let all: Vec<String> = imported.notes.iter().map(Note::to_string).collect();
        panic!("no {fate} {field}: {part}\n{}", all.join("\n"));
    }
}

#[track_caller]
fn found(imported: &Imported, rule: &str, line: u64) {
    if !imported.findings.iter().any(|finding| finding.rule == rule && finding.line == line) {
        let all: Vec<String> = imported.findings.iter().map(Finding::to_string).collect();
        panic!("no {rule} in line {line}\n{}", all.join("\n"));
    }
}

fn report(imported: &Imported) -> String {
    let mut said: Vec<String> = imported.rollouts.iter().map(|made| made.yaml.clone()).collect();
    said.push("== became".to_owned());
    said.extend(imported.notes.iter().filter(|note| note.fate != Fate::Ignored).map(Note::to_string));
    said.push("== wrong".to_owned());
    said.extend(imported.findings.iter().map(Finding::to_string));
    said.extend(imported.refused.iter().map(|refused| format!("{refused:?}")));
    said.join("\n")
}
