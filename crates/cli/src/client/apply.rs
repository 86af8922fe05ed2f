//! `serin apply`: one rollout, or a folder of them.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use reqwest::Client;
use serde_json::Value;

use super::files::{Placed, gather};
use super::view::{Applied, Trigger};
use super::{refused_or, send};
use crate::args;

/// What a document is, as far as it can be read without a controller.
struct Item {
    place: String,
    text: String,
    trigger: bool,
    /// What it is called; where it cannot be read, where it stands.
    name: String,
    /// What is wrong with it.
    problems: Option<String>,
}

impl Item {
    fn of(placed: Placed) -> Self {
        let Placed { place, document } = placed;
        let trigger = manifest::is_trigger(&document.text);
        let name = if trigger {
            manifest::load_trigger(&document.text).map(|(trigger, _)| trigger.name)
        } else {
            manifest::load(&document.text).map(|loaded| loaded.name().to_owned())
        };
        let (name, problems) = match name {
            Ok(name) => (name, None),
            Err(problems) => (place.clone(), Some(problems.within(&document).to_string())),
        };
        Self { place, text: document.text.clone(), trigger, name, problems }
    }
}

pub async fn apply(options: args::Apply) -> Result<ExitCode> {
    let items: Vec<Item> = gather(&options.file)?.into_iter().map(Item::of).collect();
    // Of one alone the controller says what is wrong.
    let several = items.len() > 1;
    let bad = if several { faults(&items) } else { BTreeMap::new() };
    for (place, why) in &bad {
        why.lines().for_each(|line| eprintln!("{place}: {line}"));
    }
    if !bad.is_empty() && !options.keep_going {
        let (bad, all) = (bad.len(), items.len());
        eprintln!(
            "nothing was applied: {bad} of {all} documents are wrong; mend them, or apply the others with --keep-going"
        );
        return Ok(ExitCode::from(1));
    }
    let mut refused = bad.len();
    let mut done: BTreeMap<&'static str, usize> = BTreeMap::new();
    for item in items.iter().filter(|item| !bad.contains_key(&item.place)) {
        let answer = send(Client::new().post(url(&options, item)).body(item.text.clone())).await?;
        match refused_or(answer).await? {
            Ok(answer) => *done.entry(said(&options, item, answer, several)?).or_default() += 1,
            Err(why) if several => {
                println!("{}: refused: {why}", item.name);
                refused += 1;
            }
            Err(why) => {
                eprintln!("{why}");
                refused += 1;
            }
        }
    }
    if several {
        let done = done.iter().map(|(what, n)| format!("{n} {what}"));
        let all: Vec<String> = done.chain((refused > 0).then(|| format!("{refused} refused"))).collect();
        println!("{} documents: {}", items.len(), all.join(", "));
    }
    Ok(ExitCode::from(u8::from(refused > 0)))
}

/// What is wrong with documents, by where they stand: with each by itself, and two of one name.
fn faults(items: &[Item]) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for (at, item) in items.iter().enumerate() {
        let same = |before: &&Item| {
            before.problems.is_none() && (before.trigger, &before.name) == (item.trigger, &item.name)
        };
        let twice = items.iter().take(at).find(same).map(|before| {
            format!("error: metadata.name: {:?} stands in {} as well; rename one", item.name, before.place)
        });
        if let Some(why) = item.problems.clone().or(twice) {
            found.insert(item.place.clone(), why);
        }
    }
    found
}

fn url(options: &args::Apply, item: &Item) -> String {
    let server = &options.server.server;
    if item.trigger {
        return format!("{server}/v1/triggers?dry_run={}", options.dry_run);
    }
    format!("{server}/v1/rollouts?again={}&dry_run={}", options.again, options.dry_run)
}

/// Says what became of a document, and returns it in one word.
fn said(options: &args::Apply, item: &Item, answer: Value, several: bool) -> Result<&'static str> {
    let (warnings, word, line, changes) = if item.trigger {
        let kept: Trigger = serde_json::from_value(answer)?;
        let (word, line) = kept.said(options.dry_run);
        (kept.warnings, word, format!("{}: {line}", kept.name), Vec::new())
    } else {
        let applied: Applied = serde_json::from_value(answer)?;
        let (word, line) = applied.said(options.dry_run);
        let line = format!("{}: {line}", applied.name);
        // Of many nobody wants to be told how each is looked at.
        let line = if several || options.dry_run { line } else { format!("{line}; {}", applied.next()) };
        (applied.warnings, word, line, applied.changes)
    };
    for warning in warnings {
        let whose = if several { format!("{}: ", item.name) } else { String::new() };
        eprintln!("{whose}{warning}");
    }
    println!("{line}");
    for change in changes {
        println!("  {}", change.line());
    }
    Ok(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(texts: &[&str]) -> Vec<Item> {
        let placed = texts.iter().zip(1..).map(|(text, number)| {
            let text = text.replace("HEAD", "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata:");
            Placed { place: format!("{number}.yaml"), document: manifest::Document { line: 10, text } }
        });
        placed.map(Item::of).collect()
    }

    #[test]
    fn what_is_wrong_is_found_before_anything_is_applied() {
        let fine = "HEAD {name: a}\nspec: {stable: {version: v1}, canary: {version: v2}}\n";
        let items = items(&[fine, &fine.replace("canary", "canry"), &fine.replace("v2", "v3"), fine]);
        let names: Vec<&str> = items.iter().map(|item| item.name.as_str()).collect();
        assert_eq!(names[..2], ["a", "2.yaml"]);
        let found = faults(&items);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["2.yaml", "3.yaml", "4.yaml"]);
        assert!(found["2.yaml"].contains("(line 13)"), "by the line of the file: {}", found["2.yaml"]);
        assert!(found["3.yaml"].contains("\"a\" stands in 1.yaml as well"), "{}", found["3.yaml"]);
    }

    #[test]
    fn what_became_of_it_is_one_line() {
        #[track_caller]
        fn check(json: &str, dry_run: bool, expected: (&str, &str)) {
            let applied: Applied = serde_json::from_str(json).expect("an answer");
            let (word, line) = applied.said(dry_run);
            assert_eq!((word, line.as_str()), expected);
        }
        check(r#"{"run":3,"later":1}"#, false, ("begun", "begun as run 3"));
        check(r#"{"run":3}"#, true, ("to begin", "would begin as run 3"));
        check(r#"{"run":3,"unchanged":true}"#, false, ("unchanged", "unchanged, this is run 3"));
        check(r#"{"run":3,"unchanged":true}"#, true, ("unchanged", "unchanged, this is run 3"));
        check(r#"{"run":3,"queued":true}"#, false, ("queued", "queued, it begins when run 3 is over"));
        check(
            r#"{"run":3,"queued":true}"#,
            true,
            ("to be queued", "would be queued, to begin when run 3 is over"),
        );
        check(r#"{"run":4,"replaces":3}"#, true, ("to begin", "would begin as run 4, and abort run 3"));
        let practice = "run 3 stays as it is, practice has another timetable";
        check(r#"{"run":3,"rescheduled":true}"#, false, ("rescheduled", practice));
    }
}
