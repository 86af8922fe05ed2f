//! KServe: InferenceService and LLMInferenceService.

use manifest::Percent;

use crate::draft::{Draft, Made};
use crate::place::{Document, Place};
use crate::report::Ledger;
use crate::routes::{Target, climb, names, of_targets};
use crate::source::Kind;
use crate::text::{label, of_uri, share, tag};
use crate::{Given, common, routes};

const PODS: &str = "Serin owns no pods: the service stays what it is";

pub(crate) fn service(document: &Document, ledger: &mut Ledger) -> Option<Made> {
    let root = document.place();
    let mode = root.at("metadata").at("annotations").at("serving.kserve.io/deploymentMode");
    let spec = root.at("spec");
    let predictor = spec.at("predictor");
    let raw = mode.text().is_some_and(|mode| ["RawDeployment", "Standard"].contains(&mode.as_str()));
    let mut draft = Draft::new(&root, ledger);
    common(&root, ledger);
    draft.hosts = names(&document.name, document.namespace.as_deref());
    draft.hosts.extend(names(&format!("{}-predictor", document.name), document.namespace.as_deref()));
    let percent = predictor.at("canaryTrafficPercent");
    check(&mode, raw, &spec, ledger);
    let canaries = spec.at("canary").items();
    let version = version(&predictor);
    if canaries.is_empty() {
        match version {
            Some((version, at)) if version != draft.stable => {
                ledger.carried(&at, format!("the new version is called {version}"));
                draft.canary = version;
            }
            _ => ledger.approximated(
                &predictor.at("(version)"),
                "nothing tells its name: it is called canary",
                "write `canary.version`",
            ),
        }
        let what = "which version serves today is not written: it is called stable";
        ledger.approximated(&spec.at("(stable)"), what, "write its name in `stable.version`");
        let from = percent.number().and_then(|percent| share(percent, 100.0));
        match from {
            Some(from) if percent.is_there() && from.ppm() == 1_000_000 => {
                ledger.approximated(
                    &percent,
                    "all traffic is there: the stages are those of Serin's default preset",
                    "write `stages`",
                );
            }
            Some(from) => climb(&mut draft, from, &percent, ledger),
            None if percent.is_there() => {
                ledger.lost(
                    &percent,
                    "it is not a percentage from 0 to 100",
                    "write the first stage's weight",
                );
            }
            None => {
                let what =
                    "it says no share: KServe goes over at once, Serin by the stages of its default preset";
                ledger.approximated(&predictor.at("(canaryTrafficPercent)"), what, "write `stages`");
            }
        }
    } else {
        if percent.is_there() {
            ledger.lost(&percent, "`spec.canary` goes before", "leave it out");
        }
        list(&mut draft, &predictor, &canaries, version.map(|(version, _)| version), ledger);
    }
    for component in ["transformer", "explainer"] {
        let place = spec.at(component).at("canaryTrafficPercent");
        if place.is_there() && place.number() == percent.number() {
            ledger.carried(&place, "the same share as the predictor's");
        } else if place.is_there() {
            ledger.lost(
                &place,
                "it differs from the predictor's share, and a rollout has one",
                "write a rollout of its own",
            );
        }
    }
    for (name, component) in spec.fields() {
        if name != "canary" {
            rest(&component, ledger);
        }
    }
    draft.finish(ledger)
}

/// What was not spoken of says nothing of traffic.
fn rest(at: &Place<'_>, ledger: &mut Ledger) {
    let below = at.fields();
    if ledger.is_said(at) {
        return;
    }
    if at.path.matches('.').count() < 3 && below.iter().any(|(_, place)| ledger.says_below(place)) {
        below.iter().for_each(|(_, place)| rest(place, ledger));
    } else {
        ledger.ignored(at, PODS);
    }
}

fn version<'a>(predictor: &Place<'a>) -> Option<(String, Place<'a>)> {
    let mut models = vec![predictor.at("model")];
    models.extend(predictor.fields().into_iter().map(|(_, place)| place).filter(Place::is_map));
    for model in models {
        let uri = model.at("storageUri");
        if let Some(version) = uri.text().and_then(|uri| of_uri(&uri)) {
            return Some((version, uri));
        }
        let path = model.down("storage.path");
        if let Some(version) = path.text().and_then(|path| of_uri(&path)) {
            return Some((version, path));
        }
    }
    let images = predictor.at("containers").items();
    images.iter().map(|container| container.at("image")).find_map(|image| Some((tag(&image.text()?)?, image)))
}

/// The list of v0.20: versions by the names of their predictors.
fn list<'a>(
    draft: &mut Draft<'a>,
    predictor: &Place<'a>,
    canaries: &[Place<'a>],
    stable: Option<String>,
    ledger: &mut Ledger,
) {
    let named = predictor.at("name").text().or(stable).unwrap_or_else(|| "stable".to_owned());
    let shares: f64 = canaries.iter().filter_map(|canary| canary.at("trafficPercent").number()).sum();
    if shares > 100.0 {
        let what = format!("the shares add up to {shares}, and KServe refuses more than 100");
        ledger.error("refused", &predictor.at("(canary)"), what, "write smaller shares");
    }
    let mut targets =
        vec![Target { name: named, weight: (100.0 - shares).max(0.0) + 1e3, at: predictor.at("(share)") }];
    for canary in canaries {
        let inner = canary.at("predictor");
        let name = inner.at("name").text().or_else(|| version(&inner).map(|(version, _)| version));
        let percent = canary.at("trafficPercent");
        let weight = percent.number().unwrap_or(0.0).max(0.0);
        ledger.carried(&inner.at("name"), "the new version's name");
        let others = inner.fields().into_iter().filter(|(name, _)| name != "name");
        others.for_each(|(_, field)| ledger.ignored(&field, PODS));
        let at = if percent.is_there() { percent } else { canary.at("(trafficPercent)") };
        targets.push(Target { name: name.unwrap_or_else(|| "canary".to_owned()), weight, at });
    }
    ledger.ignored(&predictor.at("name"), "the old version's name");
    if let ([_, canary], Some(version)) =
        (targets.as_slice(), targets.first().map(|target| target.name.clone()))
    {
        draft.stable = label(&version).unwrap_or_else(|| "stable".to_owned());
        draft.canary = label(&canary.name).unwrap_or_else(|| "canary".to_owned());
        let from = share(canary.weight, 100.0).unwrap_or_else(|| Percent::from_ppm(0));
        climb(draft, from, &canary.at, ledger);
    } else {
        of_targets(draft, &targets, ledger);
    }
}

fn check(mode: &Place<'_>, raw: bool, spec: &Place<'_>, ledger: &mut Ledger) {
    for component in ["predictor", "transformer", "explainer"] {
        let percent = spec.at(component).at("canaryTrafficPercent");
        if !percent.is_there() {
            continue;
        }
        if raw {
            let mode = mode.text().unwrap_or_default();
            let what = format!(
                "in deployment mode {mode} KServe ignores it, without an error: all traffic goes over at once"
            );
            ledger.error(
                "ignored",
                &percent,
                what,
                "use the mode Knative, or the list `spec.canary` of v0.20",
            );
        }
        if percent.number() == Some(0.0) {
            let what = "0 keeps all traffic on the version before: it goes back, and does not promote";
            ledger.warning("pinned", &percent, what, "remove the field to promote");
        }
        if percent.number().is_none_or(|percent| !(0.0..=100.0).contains(&percent)) {
            ledger.error("refused", &percent, "it is not a percentage from 0 to 100", "write a whole number");
        }
    }
    if spec.at("canary").is_list() && !raw {
        let what = "KServe takes this list in deployment mode Standard alone";
        ledger.error("refused", &spec.at("canary"), what, "set serving.kserve.io/deploymentMode: Standard");
    }
}

/// Members of one group share traffic by weight; each is a document of its own.
pub(crate) fn llm_service(
    document: &Document,
    given: &Given,
    used: &mut Vec<usize>,
    ledger: &mut Ledger,
) -> Vec<Made> {
    if used.contains(&document.number) {
        return Vec::new();
    }
    let root = document.place();
    let route = root.down("spec.router.route");
    let http = route.at("http");
    let rules = http.down("spec.rules");
    let mut made = Vec::new();
    if rules.is_list() {
        made.extend(routes::rules(&root, &rules, &[], ledger));
    }
    let group = route.at("group").text();
    let members: Vec<&Document> = match &group {
        Some(group) => given
            .of(Kind::LlmInferenceService)
            .filter(|other| other.namespace == document.namespace)
            .filter(|other| other.place().down("spec.router.route.group").text().as_ref() == Some(group))
            .collect(),
        None => vec![document],
    };
    for member in &members {
        used.push(member.number);
    }
    let weight = route.at("weight");
    match (&group, members.as_slice()) {
        (Some(group), [_, _, ..]) => {
            let targets: Vec<Target<'_>> = members
                .iter()
                .map(|member| {
                    let at = member.place().down("spec.router.route.weight");
                    let weight = at.number().unwrap_or(1.0).max(0.0);
                    Target { name: member.name.clone(), weight, at }
                })
                .collect();
            let mut draft = Draft::new(&root, ledger);
            if let Some(name) = crate::text::rollout_name(group) {
                draft.name = name;
            }
            for member in &members {
                let place = member.place().down("spec.router.route.group");
                ledger.carried(&place, format!("the rollout is that of the group {group}"));
            }
            of_targets(&mut draft, &targets, ledger);
            made.extend(draft.finish(ledger));
        }
        (Some(group), _) => {
            let what =
                format!("no other member of the group {group} was given, and one alone is split with nobody");
            ledger.lost(&weight, what.clone(), "give the files of all members");
            ledger.lost(&route.at("group"), what, "give the files of all members");
        }
        (None, _) if weight.is_there() => {
            ledger.error(
                "refused",
                &weight,
                "a weight without a group, and KServe refuses that",
                "write `group`",
            );
            ledger.lost(&weight, "it has no group", "write `group`, and give the files of all members");
        }
        (None, _) if made.is_empty() => {
            let what = "no traffic of it is split, so there is nothing to roll out";
            ledger.lost(&route.at("(split)"), what, "give the members of a group, with their weights");
        }
        (None, _) => {}
    }
    for member in members {
        let place = member.place();
        common(&place, ledger);
        for field in ["name", "namespace"] {
            let place = place.at("metadata").at(field);
            if !ledger.is_said(&place) {
                ledger.ignored(&place, "what it is named by");
            }
        }
        for (_, field) in place.at("spec").fields() {
            rest_of_llm(&field, ledger);
        }
    }
    made
}

fn rest_of_llm(at: &Place<'_>, ledger: &mut Ledger) {
    if ledger.is_said(at) {
        return;
    }
    let below = at.fields();
    if below.iter().any(|(_, place)| ledger.says_below(place)) {
        below.iter().for_each(|(_, place)| rest_of_llm(place, ledger));
    } else if !at.items().iter().any(|place| ledger.says_below(place)) {
        ledger.ignored(at, PODS);
    }
}
