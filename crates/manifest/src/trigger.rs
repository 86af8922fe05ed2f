//! The trigger as meant: what in a model registry begins which rollout.

use serde::{Deserialize, Serialize};

use crate::amount::Span;
use crate::compile::{Check, compile};
use crate::lines::Lines;
use crate::plan::Supersede;
use crate::problem::{Problem, Problems};
use crate::source::Access;
use crate::typed::{self, API_VERSION, TRIGGER};
use crate::{lint, read};

/// A trigger that can be kept.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Trigger {
    /// Its name.
    pub name: String,
    /// The name of the rollout it begins.
    pub rollout: String,
    /// The model it waits for; `None`: versions are named by webhooks and people alone.
    pub mlflow: Option<Mlflow>,
    /// Who may say that something has changed; `None`: nobody.
    pub webhook: Option<Webhook>,
    /// What becomes of a version that comes while a run lasts.
    pub supersede: Supersede,
    template: typed::Rollout,
}

/// A model of an MLflow registry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mlflow {
    /// The registered model's name.
    pub model: String,
    /// The workspace it is in; `None`: the server's default.
    pub workspace: Option<String>,
    /// What means "go".
    pub when: When,
    /// How it is asked; `None`: it is not.
    pub poll: Option<Poll>,
}

/// How a registry is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Poll {
    /// The tracking server's address.
    pub url: String,
    /// Credentials, certificates and timeout.
    pub access: Access,
    /// How often, in milliseconds.
    pub every_ms: u64,
}

/// What means "go".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum When {
    /// The version that carries this alias.
    Alias(String),
    /// The newest version with this tag.
    Tag {
        /// Its key.
        key: String,
        /// Its value; `None`: any.
        value: Option<String>,
    },
    /// The newest version in this stage.
    Stage(String),
    /// The newest version there is.
    Created,
}

impl Mlflow {
    /// The workspace of a server that has only one, and of whoever names none.
    pub const DEFAULT_WORKSPACE: &str = "default";

    /// Is what happened in a workspace about this model's? `None`: the server names none.
    #[must_use]
    pub fn is_in(&self, workspace: Option<&str>) -> bool {
        let named = |name: Option<&str>| name.unwrap_or(Self::DEFAULT_WORKSPACE).to_owned();
        named(self.workspace.as_deref()) == named(workspace)
    }
}

/// Who may say that something has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Webhook {
    /// The name of the secret deliveries are signed with; `None`: unsigned deliveries are accepted.
    pub secret: Option<String>,
    /// How far a delivery's time may be from ours, in milliseconds.
    pub tolerance_ms: u64,
}

/// Registries are asked no more often than this.
const LEAST_EVERY_MS: u64 = 5_000;

impl Trigger {
    /// The document of the rollout that one of the registry's versions begins. `stable`: the version behind the
    /// stable route; `None`: as the template says.
    #[must_use]
    pub fn document_for(&self, version: &str, stable: Option<&str>) -> typed::Rollout {
        let mut rollout = self.template.clone();
        rollout.spec.canary.version = self.version(version);
        if let Some(stable) = stable {
            stable.clone_into(&mut rollout.spec.stable.version);
        }
        rollout
    }

    /// The document for some version that stable does not serve.
    #[must_use]
    pub fn sample(&self) -> typed::Rollout {
        let version = if self.version("1") == self.first_stable() { "2" } else { "1" };
        self.document_for(version, None)
    }

    /// What one of the registry's versions is called as a version of the rollout.
    #[must_use]
    pub fn version(&self, version: &str) -> String {
        let model = self.mlflow.as_ref().map_or("", |mlflow| mlflow.model.as_str());
        self.template.spec.canary.version.replace("{{version}}", version).replace("{{model}}", model)
    }

    /// The version behind the stable route before the first run.
    #[must_use]
    pub fn first_stable(&self) -> &str {
        &self.template.spec.stable.version
    }
}

/// Is this the text of a trigger? Anything else is taken for a rollout.
#[must_use]
pub fn is_trigger(text: &str) -> bool {
    Lines::of(text).text("kind") == Some(TRIGGER)
}

/// Reads a trigger from YAML, checks it, and warns of what its template is warned of.
///
/// # Errors
/// Every problem that keeps it from being kept, each with its line, its field and its remedy.
pub fn load_trigger(text: &str) -> Result<(Trigger, Vec<Problem>), Problems> {
    let lines = Lines::of(text);
    let typed: typed::Trigger = read::parse(text, &lines, &crate::trigger_schema())?;
    let mut check = Check::default();
    let trigger = meant(&typed, &mut check);
    let plan = match compile(&trigger.sample()) {
        Ok(plan) => Some(plan),
        Err(found) => {
            check.problems.extend(found.0.into_iter().map(of_template));
            None
        }
    };
    match plan {
        Some(plan) if check.problems.is_empty() => {
            let warnings = lint::warnings(&trigger.sample(), &plan);
            Ok((trigger, read::located(warnings.into_iter().map(of_template).collect(), &lines)))
        }
        _ => Err(Problems(read::located(check.problems, &lines))),
    }
}

/// A problem of the rollout as a problem of the trigger it stands in.
fn of_template(mut problem: Problem) -> Problem {
    problem.field = format!("spec.template.{}", problem.field);
    problem
}

fn meant(typed: &typed::Trigger, check: &mut Check) -> Trigger {
    for (field, written, known) in
        [("apiVersion", &typed.api_version, API_VERSION), ("kind", &typed.kind, TRIGGER)]
    {
        if written != known {
            check.refuse(field, format!("{written:?} is not known here"), format!("write {known}"));
        }
    }
    let pattern = &typed.spec.template.spec.canary.version;
    if !pattern.contains("{{version}}") {
        check.refuse(
            "spec.template.spec.canary.version",
            format!("{pattern:?} is the same for every version of the registry"),
            "write '{{version}}', or a name around it such as 'v{{version}}' (in quotes)",
        );
    }
    let asked = typed.spec.mlflow.as_ref().is_some_and(|mlflow| mlflow.url.is_some());
    if typed.spec.mlflow.is_some() && !asked && typed.spec.webhook.is_none() {
        check.refuse(
            "spec.mlflow",
            "the registry is not polled, and no webhook reports new versions",
            "add mlflow.url, the tracking server's address, or a webhook",
        );
    }
    let mut spec = typed.spec.template.spec.clone();
    let supersede = *spec.supersede.get_or_insert(Supersede::Queue);
    Trigger {
        name: check.label("metadata.name", &typed.metadata.name),
        rollout: typed.spec.template.metadata.name.clone(),
        mlflow: typed.spec.mlflow.as_ref().map(|written| mlflow(written, check)),
        webhook: typed.spec.webhook.as_ref().map(|written| webhook(written, check)),
        supersede,
        template: typed::Rollout {
            api_version: API_VERSION.to_owned(),
            kind: typed::KIND.to_owned(),
            metadata: typed.spec.template.metadata.clone(),
            spec,
        },
    }
}

fn mlflow(written: &typed::Mlflow, check: &mut Check) -> Mlflow {
    if written.model.is_empty() {
        check.refuse("spec.mlflow.model", "it is empty", "write the registered model's name");
    }
    let when = when(&written.when, check);
    if matches!(when, When::Stage(_)) && written.url.is_none() {
        check.refuse(
            "spec.mlflow.url",
            "MLflow sends no webhooks for stages",
            "add the tracking server's address, so that it can be polled; or use an alias",
        );
    }
    let every_ms = written.every.map_or(60_000, Span::ms);
    if every_ms < LEAST_EVERY_MS {
        let what = format!("{} is too often", Span::from_ms(every_ms));
        check.refuse("spec.mlflow.every", what, "write 5s or more");
    }
    if let Some(url) = &written.url {
        crate::compile::asked(check, "spec.mlflow", url, &written.access);
    }
    let access = written.access.clone();
    let poll = written.url.clone().map(|url| Poll { url, access, every_ms });
    if let Some(workspace) = &written.workspace
        && (workspace.is_empty() || !workspace.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        check.refuse("spec.mlflow.workspace", "it is no name", "write the workspace's name, or leave it out");
    }
    Mlflow { model: written.model.clone(), workspace: written.workspace.clone(), when, poll }
}

fn when(written: &typed::When, check: &mut Check) -> When {
    let typed::When { alias, tag, stage, created } = written.clone();
    let tag = tag.map(|tag| When::Tag { key: tag.key, value: tag.value });
    let created = created.unwrap_or(false).then_some(When::Created);
    let named = [alias.map(When::Alias), tag, stage.map(When::Stage), created];
    let mut named = named.into_iter().flatten();
    let (Some(when), None) = (named.next(), named.next()) else {
        check.refuse(
            "spec.mlflow.when",
            "it is not exactly one of alias, tag, stage and created",
            "keep one, such as `when: {alias: challenger}`",
        );
        return When::Created;
    };
    match &when {
        When::Alias(word) | When::Stage(word) | When::Tag { key: word, .. } if word.is_empty() => {
            let remedy = "write the alias, the tag's key or the stage";
            check.refuse("spec.mlflow.when", "the name is empty", remedy);
        }
        When::Tag { key, value }
            if key.contains(['`', '"']) || value.as_ref().is_some_and(|value| value.contains('\'')) =>
        {
            check.refuse(
                "spec.mlflow.when.tag",
                "it holds a quotation mark, and MLflow's search has no way to write that",
                "use a tag without quotation marks",
            );
        }
        _ => {}
    }
    when
}

fn webhook(written: &typed::Webhook, check: &mut Check) -> Webhook {
    if written.secret.is_some() == written.unsigned.unwrap_or(false) {
        check.refuse(
            "spec.webhook",
            "it is not exactly one of secret and unsigned",
            "name the secret deliveries are signed with, or write `unsigned: true` where nobody else can reach us",
        );
    }
    if let Some(name) = &written.secret {
        crate::compile::secret(check, "spec.webhook.secret", name);
    }
    Webhook { secret: written.secret.clone(), tolerance_ms: written.tolerance.map_or(300_000, Span::ms) }
}

#[cfg(test)]
mod tests;
