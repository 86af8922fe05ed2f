//! `serin lint` and `serin explain`: what a file means and everything that is wrong with it, without a controller.

use std::process::ExitCode;

use crate::clock;
use manifest::{Document, Plan, Problem, Severity};
use split::Overlap;

use crate::args;
use crate::client;

pub fn lint(options: &args::Lint) -> anyhow::Result<ExitCode> {
    let placed = client::read_documents(&options.file)?;
    let several = placed.len() > 1;
    let mut all_fine = true;
    let mut plans: Vec<Plan> = Vec::new();
    for client::Placed { place, document } in placed {
        plans.extend(manifest::load(&document.text).iter().flat_map(|loaded| loaded.plans().to_vec()));
        let (said, fine) = linted(&document, options.rate);
        for line in said.lines() {
            if several {
                print!("{place}: ");
            }
            println!("{line}");
        }
        all_fine &= fine;
    }
    claimed_twice(plans).iter().for_each(|said| println!("{said}"));
    Ok(if all_fine { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Rollouts of several documents that claim the same requests; those of one fleet are of one document.
fn claimed_twice(mut plans: Vec<Plan>) -> Vec<String> {
    plans.sort_by(|one, other| one.name.cmp(&other.name));
    let fleet = |plan: &Plan| plan.member.as_ref().map(|member| member.fleet.clone());
    let mut said = Vec::new();
    for (at, later) in plans.iter().enumerate() {
        let others =
            plans.iter().take(at).filter(|other| fleet(other).is_none() || fleet(other) != fleet(later));
        for first in others {
            let part = match first.takes_of(later) {
                Overlap::Nothing => continue,
                Overlap::Some => "some",
                Overlap::All => "all",
            };
            said.push(format!(
                "warning: {}: spec.match: {} takes {part} of its requests: rollouts come in the order of their names, and the \
                 first that matches gets a request",
                later.name, first.name
            ));
        }
    }
    said
}

pub fn explain(options: &args::Explain) -> anyhow::Result<ExitCode> {
    let Some(file) = &options.file else {
        let schema = match options.schema {
            Some(args::Kind::Trigger) => manifest::trigger_schema(),
            _ => manifest::schema(),
        };
        println!("{}", serde_json::to_string_pretty(&schema)?);
        return Ok(ExitCode::SUCCESS);
    };
    let text = client::read(file)?;
    match explained(&text, options.rate) {
        Ok(said) => {
            print!("{said}");
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            println!("{problems}");
            Ok(ExitCode::from(1))
        }
    }
}

/// Every problem on its own line, then what the file is when it can be run.
fn linted(document: &Document, rate: Option<f64>) -> (String, bool) {
    let text = &document.text;
    if manifest::is_trigger(text) {
        return linted_trigger(document);
    }
    let problems: Vec<Problem> =
        manifest::lint(text, rate).into_iter().map(|problem| problem.within(document)).collect();
    let mut lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    let fine = problems.iter().all(|problem| problem.severity == Severity::Warning);
    if fine && let Ok(loaded) = manifest::load(text) {
        lines.extend(loaded.plans().iter().map(|plan| {
            let (name, stages) = (&plan.name, plan.stages.len());
            format!("{name}: {} -> {}, {stages} stages: fine", plan.stable, plan.canary)
        }));
    }
    (lines.join("\n"), fine)
}

fn linted_trigger(document: &Document) -> (String, bool) {
    match manifest::load_trigger(&document.text) {
        Ok((trigger, warnings)) => {
            if let Some(problem) = manifest::unusable_name(&trigger.name) {
                return (problem.to_string(), false);
            }
            let warnings = warnings.into_iter().map(|problem| problem.within(document).to_string());
            let mut lines: Vec<String> = warnings.collect();
            lines.push(format!("{}: begins {} by itself: fine", trigger.name, trigger.rollout));
            (lines.join("\n"), true)
        }
        Err(problems) => (problems.within(document).to_string(), false),
    }
}

fn explained(text: &str, rate: Option<f64>) -> Result<String, manifest::Problems> {
    manifest::load(text).map(|loaded| {
        let mut said = explain::document(&loaded, rate);
        if let Some(windows) = &loaded.plan.windows {
            said.push_str(&match windows.open_at(clock::unix_ms()) {
                Ok(()) => "Now its windows are open.\n".to_owned(),
                Err(closed) => format!("Now it is {}.\n", closed.why),
            });
        }
        said
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {name: ranker}\nspec:\n  stable: {version: v1}\n  canary: {version: v2}\n";

    #[track_caller]
    fn check(text: &str, rate: Option<f64>, fine: bool, holds: &[&str], lacks: &[&str]) {
        let (said, found) = linted(&Document { line: 1, text: text.to_owned() }, rate);
        assert_eq!(found, fine, "{said}");
        for part in holds {
            assert!(said.contains(part), "{part:?} is missing in:\n{said}");
        }
        for part in lacks {
            assert!(!said.contains(part), "{part:?} stands in:\n{said}");
        }
    }

    #[test]
    fn a_file_is_linted_with_and_without_a_rate() {
        let short = format!(
            "{MINIMAL}  stages:\n    - {{weight: 20%, bake: 1m}}\n    - {{weight: 100%, bake: 1m}}\n"
        );
        check(MINIMAL, None, true, &["ranker: v1 -> v2", "fine"], &["error", "warning"]);
        check(&short, None, true, &["warning (line 8): spec.stages[0].weight", "fine"], &["per second"]);
        check(&short, Some(0.5), true, &["0.5 requests per second", "spec.stages[0]", "fine"], &["error"]);
        check(&short, Some(100_000.0), true, &["fine"], &["per second"]);
        check(&MINIMAL.replace("v2", "v1"), Some(5.0), false, &["error", "canary"], &["fine"]);
        check(&MINIMAL.replace("canary", "canry"), None, false, &["line 6", "canary"], &["fine"]);
        check("", None, false, &["the text is empty"], &["fine"]);
        let second = Document { line: 7, text: format!("\n{}", MINIMAL.replace("canary", "canry")) };
        assert!(linted(&second, None).0.contains("(line 13)"), "by the line of the file");
    }

    #[test]
    fn rollouts_over_the_same_requests_are_told_of() {
        let plan = |name: &str, more: &str| {
            let text = format!("{MINIMAL}{more}").replace("ranker", name);
            manifest::load(&text).expect("a rollout").plan
        };
        let plans = vec![
            plan("c", ""),
            plan("a", "  match: {pathPrefix: /a}\n"),
            plan("b", "  match: {pathPrefix: /b}\n"),
        ];
        let said = claimed_twice(plans).join("\n");
        assert!(
            said.contains("c: spec.match: a takes some") && said.contains("c: spec.match: b takes some"),
            "{said}"
        );
        assert_eq!(said.lines().count(), 2, "{said}");
        let said = claimed_twice(vec![plan("b", ""), plan("a", "")]).join("\n");
        assert!(said.contains("b: spec.match: a takes all"), "{said}");
    }

    #[test]
    fn a_file_is_explained_or_refused() {
        let said = explained(MINIMAL, Some(100.0)).expect("a rollout");
        assert!(
            said.starts_with("ranker: from v1 to v2") && said.contains("100 requests per second"),
            "{said}"
        );
        assert!(!explained(MINIMAL, None).expect("a rollout").contains("per second"));
        assert!(explained(&MINIMAL.replace("canary", "canry"), None).is_err());
        let own = format!("{MINIMAL}  gates:\n    - {{name: accuracy, source: {{push: {{}}}}, min: 0.9}}\n");
        let said = explained(&own, Some(100.0)).expect("a rollout");
        assert!(said.contains("until accuracy pass") && !said.contains("canary requests"), "{said}");
    }
}
