//! What does this rollout of another tool mean in Serin?
//!
//! ```text
//! texts -> [ Document ] -> Draft -> manifest::load -> Made, YAML that `serin lint` accepts
//!               |            |
//!               +- Ledger <--+   every field is carried, approximated, ignored or lost, and none is forgotten
//! ```
//!
//! [`import`] reads the manifests of Argo Rollouts, Flagger, KServe, the Gateway API and Istio. It says of every field what
//! became of it, and of the gates it meets what is wrong with them where they come from ([`Finding`]). A gate that Serin
//! cannot ask for becomes one that waits for a pushed figure: none is lost without a trace.

mod argo;
mod condition;
mod draft;
mod flagger;
mod kserve;
mod place;
mod promql;
mod report;
mod routes;
mod source;
mod text;
mod tree;

pub use draft::Made;
pub use report::{Fate, Finding, Note, Weight};
pub use source::Refused;

use place::{Document, Place};
use report::Ledger;
use source::{Kind, SUPPORTED};

/// A text with manifests, one or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// How its file is called in reports.
    pub file: String,
    /// YAML or JSON.
    pub text: String,
}

/// What was made of some texts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imported {
    /// The rollouts, each of which [`manifest::load`] reads.
    pub rollouts: Vec<Made>,
    /// What became of every field, document by document.
    pub notes: Vec<Note>,
    /// What is wrong with the gates and steps where they come from.
    pub findings: Vec<Finding>,
    /// What could not be read.
    pub refused: Vec<Refused>,
}

impl Imported {
    /// How many fields met this fate.
    #[must_use]
    pub fn count(&self, fate: Fate) -> usize {
        self.notes.iter().filter(|note| note.fate == fate).count()
    }
}

/// All documents that were given together: a rollout finds its templates among them.
pub(crate) struct Given {
    documents: Vec<(Kind, Document)>,
}

impl Given {
    pub(crate) fn of(&self, kind: Kind) -> impl Iterator<Item = &Document> + Clone {
        self.documents.iter().filter(move |(known, _)| *known == kind).map(|(_, document)| document)
    }
}

/// Makes rollouts of the manifests of other tools. The texts belong together: templates are looked for in all of them.
#[must_use]
pub fn import(texts: &[Text]) -> Imported {
    let (documents, mut refused) = source::read(texts);
    let given = Given { documents };
    let mut ledger = Ledger::default();
    let mut rollouts = Vec::new();
    let mut used: Vec<usize> = Vec::new();
    for (kind, document) in &given.documents {
        match kind {
            Kind::ArgoRollout | Kind::ArgoCanary | Kind::ArgoSteps => {
                rollouts.extend(argo::rollout(*kind, document, &given, &mut used, &mut ledger));
            }
            Kind::FlaggerCanary | Kind::FlaggerSpec => {
                rollouts.extend(flagger::canary(*kind, document, &given, &mut used, &mut ledger));
            }
            Kind::InferenceService => rollouts.extend(kserve::service(document, &mut ledger)),
            Kind::LlmInferenceService => {
                rollouts.extend(kserve::llm_service(document, &given, &mut used, &mut ledger))
            }
            _ => {}
        }
    }
    for (kind, document) in &given.documents {
        let alone = !used.contains(&document.number);
        match kind {
            Kind::ArgoTemplate | Kind::ArgoMetrics if alone => {
                rollouts.extend(argo::template_alone(*kind, document, &given, &mut used, &mut ledger));
            }
            Kind::FlaggerTemplate if alone => flagger::template_alone(document, &mut ledger),
            Kind::HttpRoute if alone => rollouts.extend(routes::http_route(document, &mut ledger)),
            Kind::VirtualService if alone => rollouts.extend(routes::virtual_service(document, &mut ledger)),
            Kind::Own | Kind::Other => refused.extend(other(*kind, document, &given, &mut ledger)),
            _ => {}
        }
    }
    for (kind, document) in &given.documents {
        match kind {
            Kind::Own | Kind::Other => {}
            _ => ledger.sweep(document, tool(*kind)),
        }
    }
    unique(&mut rollouts);
    let order = |file: &str| texts.iter().position(|text| text.file == file);
    ledger.notes.sort_by_key(|note| (order(&note.file), note.line));
    ledger.findings.sort_by_key(|finding| (finding.severity, order(&finding.file), finding.line));
    Imported { rollouts, notes: ledger.notes, findings: ledger.findings, refused }
}

/// What says nothing of a rollout stands beside what does; alone it is a mistake.
fn other(kind: Kind, document: &Document, given: &Given, ledger: &mut Ledger) -> Option<Refused> {
    let place = document.place();
    let beside = given.documents.iter().any(|(kind, _)| !matches!(kind, Kind::Own | Kind::Other));
    if kind == Kind::Other && beside {
        ledger.ignored(&place, "it says nothing of how traffic goes over");
        return None;
    }
    let (what, remedy) = match kind {
        Kind::Own => ("it is Serin's already".to_owned(), "check it with `serin lint -f FILE`".to_owned()),
        _ => {
            let group = place.at("apiVersion").text().map_or(String::new(), |group| format!(" ({group})"));
            (format!("{}{group} cannot be imported", document.kind), format!("give a {SUPPORTED}"))
        }
    };
    Some(Refused { file: document.file.clone(), line: Some(place.line()), what, remedy })
}

const fn tool(kind: Kind) -> &'static str {
    match kind {
        Kind::FlaggerCanary | Kind::FlaggerSpec | Kind::FlaggerTemplate => "Flagger",
        Kind::InferenceService | Kind::LlmInferenceService => "KServe",
        Kind::HttpRoute => "the Gateway API",
        Kind::VirtualService => "Istio",
        _ => "Argo Rollouts",
    }
}

/// Two rollouts of one name would be one.
fn unique(rollouts: &mut [Made]) {
    for at in 1..rollouts.len() {
        let (before, rest) = rollouts.split_at_mut(at);
        let Some(made) = rest.first_mut() else { continue };
        let place = |made: &Made| made.rollout.metadata.namespace.clone();
        let taken = |name: &str| before.iter().any(|known| known.name == name && place(known) == place(made));
        let mut number = 2;
        let mut name = made.name.clone();
        while taken(&name) {
            name = format!("{}-{number}", made.name.chars().take(58).collect::<String>());
            number += 1;
        }
        if name != made.name {
            let line = |name: &str| format!("  name: {name}\n");
            made.yaml = made.yaml.replacen(&line(&made.name), &line(&name), 1);
            made.rollout.metadata.name.clone_from(&name);
            made.name = name;
        }
    }
}

/// Fields that say nothing of a rollout in any kind.
pub(crate) fn common(place: &Place<'_>, ledger: &mut Ledger) {
    ledger.ignored_all(place, &["apiVersion", "kind"], "it names the kind");
    ledger.ignored(&place.at("status"), "it is what was, not what is wished");
    let metadata = place.at("metadata");
    for (name, field) in metadata.fields() {
        if !["name", "namespace"].contains(&name.as_str()) {
            ledger.ignored(&field, "it says nothing of how traffic goes over");
        }
    }
}

#[cfg(test)]
mod tests;
