//! From text to a rollout as typed.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::lines::Lines;
use crate::problem::{Problem, Problems};
use crate::typed::Rollout;
use crate::{Plan, compile, lint, preset, shape};

/// A rollout that can be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// As typed.
    pub typed: Rollout,
    /// As meant; of a fleet its first member, as if it were by itself.
    pub plan: Plan,
    /// The members of a fleet, region by region in the order of the waves, in each model by model; else none.
    pub members: Vec<Plan>,
    /// What is allowed and probably not wished.
    pub warnings: Vec<Problem>,
}

/// Reads a rollout from YAML (or JSON, which is YAML), checks it, and warns.
///
/// # Errors
/// Every problem that keeps it from being run, each with its line, its field and its remedy.
pub fn load(text: &str) -> Result<Loaded, Problems> {
    let lines = Lines::of(text);
    let typed: Rollout = parse(text, &lines, &crate::schema())?;
    let empty = empty_lists(&lines, &typed);
    if !empty.is_empty() {
        return Err(Problems(located(empty, &lines)));
    }
    let (plans, warnings) = match compile::fleet(&typed) {
        Some(fleet) => {
            let fleet = fleet.map_err(|problems| Problems(located(problems.0, &lines)))?;
            let warnings = lint::fleet_warnings(&typed, &fleet);
            (fleet.members.into_iter().map(|member| member.plan).collect(), warnings)
        }
        None => {
            let plan = compile::compile(&typed).map_err(|problems| Problems(located(problems.0, &lines)))?;
            let warnings = lint::warnings(&typed, &plan);
            (vec![plan], warnings)
        }
    };
    let warnings = located(warnings, &lines);
    let Some(plan) = plans.first().cloned() else {
        let remedy = "name a model or a region, or leave the field out";
        return Err(Problems(vec![Problem::error("spec", "there is nothing to roll out", remedy)]));
    };
    let members = if plan.member.is_some() { plans } else { Vec::new() };
    Ok(Loaded { typed, plan: Plan { member: None, ..plan }, members, warnings })
}

/// Lists that are written and empty although the preset has something there: they would change nothing.
fn empty_lists(lines: &Lines, typed: &Rollout) -> Vec<Problem> {
    let preset = typed.spec.preset.as_deref().unwrap_or(preset::DEFAULT);
    let Some(base) = preset::find(preset) else { return Vec::new() };
    let lists = [
        ("gates", base.gates.len()),
        ("guardrails", base.guardrails.len()),
        ("models", base.models.len()),
        ("arms", base.arms.len()),
        ("overrides", base.overrides.len()),
        ("cohorts", base.cohorts.len()),
    ];
    let empty =
        lists.into_iter().filter(|&(name, of_preset)| of_preset > 0 && lines.is_empty_list("spec", name));
    empty
        .map(|(name, of_preset)| {
            let remedy = match name {
                "gates" | "guardrails" => {
                    "leave it out, or switch them off one by one: `{name: NAME, level: off}`"
                }
                _ => "leave it out, or name another preset",
            };
            let what = format!("it is empty, and the {of_preset} of preset {preset} would hold all the same");
            Problem::error(format!("spec.{name}"), what, remedy)
        })
        .collect()
}

impl Loaded {
    /// What runs: the members of a fleet, or the one plan.
    #[must_use]
    pub fn plans(&self) -> &[Plan] {
        if self.members.is_empty() { std::slice::from_ref(&self.plan) } else { &self.members }
    }

    /// The name it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.typed.metadata.name
    }
}

/// Gives problems their lines, and puts them in the order of the text.
pub(crate) fn located(mut problems: Vec<Problem>, lines: &Lines) -> Vec<Problem> {
    for problem in &mut problems {
        problem.line = lines.line(&problem.field);
    }
    problems.sort_by_key(|problem| problem.line);
    problems
}

/// Has it a scheme we speak, and a host?
pub(crate) fn is_url(url: &str) -> bool {
    let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    host.is_some_and(|host| !host.is_empty() && !host.starts_with('/'))
}

/// What reading may cost: of aliases of aliases, a few lines stand for millions.
pub(crate) fn bounds() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 200_000,
            max_nodes: 100_000,
            max_aliases: 1_000,
            max_anchors: 1_000,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 20_000,
        },
    }
}

/// Reads the form alone.
pub(crate) fn parse<T: DeserializeOwned>(text: &str, lines: &Lines, schema: &Value) -> Result<T, Problems> {
    if text.trim().is_empty() {
        let remedy = "write a rollout: apiVersion, kind, metadata and spec";
        return Err(Problems(vec![Problem::error("", "the text is empty", remedy)]));
    }
    serde_saphyr::from_str_with_options(text, bounds()).map_err(|error| {
        // The reader stops at the first thing it cannot take; the schema knows of all the others too.
        let problems = lines.root().map(|root| shape::problems(root, schema)).unwrap_or_default();
        let problems = located(problems, lines);
        if !problems.is_empty() {
            return Problems(problems);
        }
        let line = error.location().map(|location| location.line());
        let field = line.and_then(|line| lines.field(line)).unwrap_or_default().to_owned();
        let what = error.without_snippet().to_string();
        let remedy = "compare with `serin explain --schema`";
        Problems(vec![Problem { line, ..Problem::error(field, what, remedy) }])
    })
}
