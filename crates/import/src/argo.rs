//! Argo Rollouts: a Rollout, with the analyses it names.

mod analysis;
mod args;
mod metric;
mod pauses;
mod provider;
mod spec;
mod steps;

pub(crate) use steps::STEP_KINDS;

use crate::draft::{Draft, Made};
use crate::place::{Document, Place};
use crate::report::Ledger;
use crate::source::Kind;
use crate::{Given, common};

pub(crate) use args::Args;
pub(crate) use steps::test_of;

/// What is at hand while a rollout is read.
pub(crate) struct Reading<'a, 'b> {
    pub(crate) given: &'a Given,
    /// Documents that were used, by number.
    pub(crate) used: &'b mut Vec<usize>,
    pub(crate) ledger: &'b mut Ledger,
    /// What arguments may be taken from: the rollout itself.
    pub(crate) root: Place<'a>,
}

pub(crate) fn rollout<'a>(
    kind: Kind,
    document: &'a Document,
    given: &'a Given,
    used: &mut Vec<usize>,
    ledger: &mut Ledger,
) -> Option<Made> {
    let root = document.place();
    let mut draft = Draft::new(&root, ledger);
    let mut reading = Reading { given, used, ledger, root: root.clone() };
    match kind {
        Kind::ArgoRollout => {
            common(&root, reading.ledger);
            spec::spec(&mut draft, &root.at("spec"), &mut reading);
        }
        Kind::ArgoCanary => {
            partial(&root, "strategy.canary of a Rollout", reading.ledger);
            steps::canary(&mut draft, &root, None, &mut reading);
        }
        _ => {
            partial(&root, "steps of a Rollout", reading.ledger);
            steps::steps(&mut draft, &root, 100.0, None, &mut reading);
        }
    }
    draft.finish(ledger)
}

fn partial(root: &Place<'_>, what: &str, ledger: &mut Ledger) {
    // Said of the first field: of the whole it would stand for all below it.
    let first = root.fields().into_iter().map(|(_, field)| field).chain(root.items()).next();
    if let Some(first) = first {
        let at = first.at("(its kind)");
        ledger.approximated(
            &at,
            format!("it names no kind, and is taken for the {what}"),
            "give the whole document",
        );
    }
}

/// A template that no rollout names: its gates, in stages of Serin's own.
pub(crate) fn template_alone<'a>(
    kind: Kind,
    document: &'a Document,
    given: &'a Given,
    used: &mut Vec<usize>,
    ledger: &mut Ledger,
) -> Option<Made> {
    let root = document.place();
    if given.of(Kind::ArgoRollout).next().is_some() {
        common(&root, ledger);
        ledger.ignored(&root.at("metadata").at("name"), "the template's name");
        ledger.ignored(&root.at("metadata").at("namespace"), "the template's namespace");
        let what = "no rollout that was given names this template";
        ledger.lost(&root.at("spec"), what, "name it in an analysis, or import it alone");
        ledger.warning("template-unused", &root.at("spec"), what, "name it by `templateName` in an analysis");
        return None;
    }
    let mut draft = Draft::new(&root, ledger);
    let mut reading = Reading { given, used, ledger, root: root.clone() };
    if kind == Kind::ArgoMetrics {
        partial(&root, "metrics of an AnalysisTemplate", reading.ledger);
        let metrics = root.items();
        analysis::metrics(
            &mut draft,
            &metrics,
            &Args { alone: true, ..Args::default() },
            &[],
            false,
            &mut reading,
        );
    } else {
        common(&root, reading.ledger);
        let args = Args { alone: true, ..Args::default() };
        analysis::template(&mut draft, document, &args, &[], false, &mut reading);
    }
    if draft.gates.is_empty() && kind == Kind::ArgoTemplate {
        ledger.lost(&root.at("spec").at("metrics"), "no gate is left of it", "see the notes on its metrics");
    }
    draft.finish(ledger)
}
