//! `serin apply`: one rollout, or a folder of them.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use api::{Applied, ApplyQuery, TriggerApplied, TriggerQuery, path};

use super::files::{Placed, read_documents};
use super::seen::at_seen_revision;
use super::{Answer, Client, refusal};
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
    let items: Vec<Item> = read_documents(&options.file)?.into_iter().map(Item::of).collect();
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
    let client = Client::new(&options.server);
    let mut refused = bad.len();
    let mut done: BTreeMap<&'static str, usize> = BTreeMap::new();
    for item in items.iter().filter(|item| !bad.contains_key(&item.place)) {
        match refusal(send(&client, &options, item).await)? {
            Ok(answer) => *done.entry(show(&options, item, &answer, several)?).or_default() += 1,
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

async fn send(client: &Client, options: &args::Apply, item: &Item) -> Result<Answer> {
    let args::Apply { again, dry_run, .. } = *options;
    if item.trigger {
        return client.post_text(path::TRIGGERS, &TriggerQuery { dry_run }, item.text.clone()).await;
    }
    let query = ApplyQuery { again, dry_run };
    if dry_run || item.problems.is_some() {
        return client.post_text(path::ROLLOUTS, &query, item.text.clone()).await;
    }
    let client = at_seen_revision(client, &item.name, &options.meant).await?;
    client.post_text(path::ROLLOUTS, &query, item.text.clone()).await
}

/// Says the outcome of a document, and returns it in one word.
fn show(options: &args::Apply, item: &Item, answer: &Answer, several: bool) -> Result<&'static str> {
    let (warnings, word, line, changes) = if item.trigger {
        let kept: TriggerApplied = answer.read()?;
        let (word, line) = trigger_said(&kept, options.dry_run);
        (kept.warnings, word, format!("{}: {line}", kept.name), Vec::new())
    } else {
        let applied: Applied = answer.read()?;
        let (word, line) = said(&applied, options.dry_run);
        let line = format!("{}: {line}", applied.name);
        // Of many nobody wants to be told how each is looked at.
        let line = if several || options.dry_run { line } else { format!("{line}; {}", next(&applied)) };
        (applied.warnings, word, line, applied.changes)
    };
    for warning in warnings {
        let whose = if several { format!("{}: ", item.name) } else { String::new() };
        eprintln!("{whose}{warning}");
    }
    println!("{line}");
    for change in changes {
        println!("  {change}");
    }
    Ok(word)
}

/// The outcome of it in one word, for counting, and in a few. `dry_run`: what would.
pub fn said(applied: &Applied, dry_run: bool) -> (&'static str, String) {
    let run = applied.run;
    match applied {
        Applied { unchanged: true, .. } => ("unchanged", format!("unchanged, this is run {run}")),
        Applied { rescheduled: true, .. } if dry_run => (
            "to be rescheduled",
            format!("run {run} would stay as it is, practice would have another timetable"),
        ),
        Applied { rescheduled: true, .. } => {
            ("rescheduled", format!("run {run} stays as it is, practice has another timetable"))
        }
        Applied { queued: true, .. } if dry_run => {
            ("to be queued", format!("would be queued, to begin when run {run} is over"))
        }
        Applied { queued: true, .. } => ("queued", format!("queued, it begins when run {run} is over")),
        Applied { replaces: Some(old), .. } if dry_run => {
            ("to begin", format!("would begin as run {run}, and abort run {old}"))
        }
        Applied { replaces: Some(old), .. } => ("begun", format!("begun as run {run} in place of run {old}")),
        _ if dry_run => ("to begin", format!("would begin as run {run}")),
        _ => ("begun", format!("begun as run {run}")),
    }
}

/// How it is looked at.
pub fn next(applied: &Applied) -> String {
    if applied.unchanged || applied.queued || applied.rescheduled {
        return format!("see: serin get {}", applied.name);
    }
    format!("follow it: serin get {} -w", applied.name)
}

/// As [`said`].
fn trigger_said(kept: &TriggerApplied, dry_run: bool) -> (&'static str, String) {
    let rollout = &kept.rollout;
    match (kept.unchanged, dry_run) {
        (true, _) => ("unchanged", format!("unchanged, it begins {rollout} by itself")),
        (false, true) => ("to be kept", format!("would be kept, to begin {rollout} by itself")),
        (false, false) => {
            ("kept", format!("kept, it begins {rollout} by itself; see: serin trigger get {}", kept.name))
        }
    }
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
            let (word, line) = said(&applied, dry_run);
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
