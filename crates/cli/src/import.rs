//! `serin import`: what a rollout of another tool is in Serin, and what is wrong with its gates.

use std::process::ExitCode;

use import::{Fate, Imported, Text, Weight};
use serde_json::{Value, json};

use crate::args::{Form, Import};
use crate::client;

pub fn import(options: &Import) -> anyhow::Result<ExitCode> {
    let mut texts = Vec::new();
    for file in client::files_of(&options.file)? {
        let name =
            if file.as_os_str() == "-" { "standard input".to_owned() } else { file.display().to_string() };
        texts.push(Text { file: name, text: client::read(&file)? });
    }
    let imported = import::import(&texts);
    let fine = is_fine(&imported, options);
    match (options.output, options.check) {
        (Form::Json, _) => println!("{}", serde_json::to_string_pretty(&as_json(&imported))?),
        (Form::Yaml, true) => print!("{}", checked(&imported)),
        (Form::Yaml, false) => {
            eprint!("{}", reported(&imported));
            if fine || !options.strict {
                print!("{}", rollouts(&imported));
            } else if !imported.rollouts.is_empty() {
                eprintln!("serin import: something is lost, and --strict prints no rollout then");
            }
        }
    }
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Is it what was asked for?
fn is_fine(imported: &Imported, options: &Import) -> bool {
    let wrong = imported.findings.iter().any(|finding| finding.severity == Weight::Error);
    let made = !imported.rollouts.is_empty() || options.check;
    imported.refused.is_empty()
        && made
        && !(options.check && wrong)
        && !(options.strict && imported.count(Fate::Lost) > 0)
}

fn rollouts(imported: &Imported) -> String {
    imported.rollouts.iter().map(|made| made.yaml.as_str()).collect::<Vec<_>>().join("---\n")
}

/// What became of every field.
fn reported(imported: &Imported) -> String {
    let mut said = String::new();
    for note in &imported.notes {
        said.push_str(&format!("{note}\n"));
    }
    said.push_str(&wrong(imported));
    let names: Vec<&str> = imported.rollouts.iter().map(|made| made.name.as_str()).collect();
    let made = if names.is_empty() { "no rollout".to_owned() } else { names.join(", ") };
    let [lost, approximated, carried, ignored] =
        [Fate::Lost, Fate::Approximated, Fate::Carried, Fate::Ignored].map(|fate| imported.count(fate));
    said.push_str(&format!(
        "{made}: {carried} fields carried over, {approximated} approximated, {ignored} ignored, {lost} lost\n"
    ));
    said
}

/// What could not be read, and what is wrong where it comes from.
fn wrong(imported: &Imported) -> String {
    let mut said = String::new();
    for refused in &imported.refused {
        let line = refused.line.map_or(String::new(), |line| format!(":{line}"));
        said.push_str(&format!("error {}{line}: {}; {}\n", refused.file, refused.what, refused.remedy));
    }
    for finding in &imported.findings {
        said.push_str(&format!("{finding}\n"));
    }
    said
}

fn checked(imported: &Imported) -> String {
    let of = |weight: Weight| imported.findings.iter().filter(|finding| finding.severity == weight).count();
    let errors = of(Weight::Error) + imported.refused.len();
    format!("{}{errors} errors, {} warnings\n", wrong(imported), of(Weight::Warning))
}

fn as_json(imported: &Imported) -> Value {
    let rollouts: Vec<Value> = imported
        .rollouts
        .iter()
        .map(|made| json!({"name": made.name, "rollout": made.rollout, "yaml": made.yaml}))
        .collect();
    json!({
        "rollouts": rollouts,
        "notes": imported.notes,
        "findings": imported.findings,
        "refused": imported.refused,
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const CANARY: &str = "apiVersion: flagger.app/v1beta1\nkind: Canary\nmetadata: {name: ranker}\nspec:\n  targetRef: {name: ranker}\n  \
        service: {port: 80}\n  analysis:\n    interval: 1m\n    threshold: 3\n    stepWeight: 10\n    maxWeight: 50\n    metrics:\n      \
        - {name: request-success-rate, thresholdRange: {min: 99}}\n";

    fn imported(text: &str) -> Imported {
        import::import(&[Text { file: "a.yaml".to_owned(), text: text.to_owned() }])
    }

    fn options(strict: bool, check: bool) -> Import {
        Import { file: vec![PathBuf::from("-")], strict, check, output: Form::Yaml }
    }

    #[test]
    fn what_is_printed_can_be_linted() {
        let found = imported(&format!("{CANARY}---\n{}", CANARY.replace("ranker", "search")));
        let printed = rollouts(&found);
        let documents = manifest::documents(&printed);
        assert_eq!(documents.len(), 2, "{printed}");
        for document in documents {
            manifest::load(&document.text).unwrap_or_else(|problems| panic!("{problems}"));
        }
        let said = reported(&found);
        assert!(said.contains("a.yaml:8: Canary ranker: spec.analysis.interval"), "{said}");
        assert!(said.contains("ranker, search: "), "{said}");
        assert_eq!(as_json(&found)["rollouts"][1]["name"], "search");
    }

    #[test]
    fn what_ends_in_an_error_is_what_was_asked_to() {
        let alerting = format!("{CANARY}    alerts: [{{name: slack}}]\n");
        let never = CANARY.replace("min: 99", "min: 0.99");
        for (text, strict, check, fine) in [
            (CANARY, false, false, true),
            (CANARY, true, false, true),
            (CANARY, false, true, true),
            (&alerting, false, false, true),
            (&alerting, true, false, false),
            (&never, false, false, true),
            (&never, false, true, false),
            ("kind: Service\n", false, false, false),
            ("kind: Service\n", false, true, false),
            ("a: [\n", false, true, false),
        ] {
            assert_eq!(is_fine(&imported(text), &options(strict, check)), fine, "{strict} {check} {text}");
        }
        assert!(
            checked(&imported(&never)).contains("error [unit] a.yaml:13"),
            "{}",
            checked(&imported(&never))
        );
        assert!(checked(&imported("kind: Service\n")).contains("give a Rollout"));
    }
}
