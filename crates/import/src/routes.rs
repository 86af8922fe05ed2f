//! Weights that stand in routes: HTTPRoute of the Gateway API, VirtualService of Istio.

mod istio;

use manifest::Percent;
use manifest::typed::Challenger;

pub(crate) use istio::{of_rollout, virtual_service};

use crate::common;
use crate::draft::{Draft, Made};
use crate::place::{Document, Place};
use crate::report::Ledger;
use crate::text::{label, rollout_name, share};

/// Where a part of the requests goes.
pub(crate) struct Target<'a> {
    pub(crate) name: String,
    pub(crate) weight: f64,
    /// Where its weight stands, or would.
    pub(crate) at: Place<'a>,
}

/// The names a service is called by.
pub(crate) fn names(service: &str, namespace: Option<&str>) -> Vec<String> {
    let mut names = vec![service.to_owned()];
    if let Some(namespace) = namespace.filter(|_| !service.contains('.')) {
        names.extend(["", ".svc", ".svc.cluster.local"].map(|rest| format!("{service}.{namespace}{rest}")));
    }
    names
}

/// The way up from a share: there, and on by the stages of Serin's default preset.
pub(crate) fn climb(draft: &mut Draft<'_>, from: Percent, at: &Place<'_>, ledger: &mut Ledger) {
    if from.ppm() == 0 {
        let what =
            "nobody is exposed yet: the stages are those of Serin's default preset (5%, 25%, 50%, 100%)";
        return ledger.approximated(at, what, "write `stages` where others are meant");
    }
    let what = format!(
        "the first stage is at {from}; what follows is not written there and is taken from Serin's default preset (5%, 25%, 50%, 100%)"
    );
    ledger.approximated(at, what, "write `stages` where others are meant");
    draft.rise_to(from);
    draft.bake(600_000);
    for percent in [50_000, 250_000, 500_000, 1_000_000].map(Percent::from_ppm) {
        if percent > from {
            draft.rise_to(percent);
            draft.bake(if percent.ppm() < 1_000_000 { 600_000 } else { 300_000 });
        }
    }
}

/// The version with most of the traffic is stable, the next is the new one; further ones are on trial beside it.
pub(crate) fn of_targets(draft: &mut Draft<'_>, targets: &[Target<'_>], ledger: &mut Ledger) {
    let total: f64 = targets.iter().map(|target| target.weight).sum();
    let mut order: Vec<&Target<'_>> = targets.iter().collect();
    order.sort_by(|one, other| other.weight.total_cmp(&one.weight));
    let [stable, canary, rest @ ..] = order.as_slice() else { return };
    let name =
        |target: &Target<'_>, otherwise: &str| label(&target.name).unwrap_or_else(|| otherwise.to_owned());
    (draft.stable, draft.canary) = (name(stable, "stable"), name(canary, "canary"));
    let mut taken = vec![draft.stable.clone(), draft.canary.clone()];
    let mut unique = |version: String| {
        let mut number = 2;
        let mut name = version.clone();
        while taken.contains(&name) {
            name = format!("{}-{number}", version.chars().take(58).collect::<String>());
            number += 1;
        }
        taken.push(name.clone());
        name
    };
    if draft.stable == draft.canary {
        draft.canary = format!("{}-new", draft.canary.chars().take(58).collect::<String>());
    }
    let what = format!("{} has most of the traffic and is stable", stable.name);
    ledger.approximated(&stable.at, what, "exchange the versions where another one is");
    let from =
        share(canary.weight, if total > 0.0 { total } else { 1.0 }).unwrap_or_else(|| Percent::from_ppm(0));
    if rest.is_empty() {
        return climb(draft, from, &canary.at, ledger);
    }
    ledger.approximated(
        &canary.at,
        format!("{} is a version on trial, from {from}", canary.name),
        "write `stages`",
    );
    for target in rest {
        let wished = rollout_name(&target.name).unwrap_or_default().replace('.', "-");
        let arm: String = wished.chars().take(12).collect();
        let arm = arm.trim_matches('-').to_owned();
        let taken = |name: &str| draft.arms.iter().any(|known| known.name == name);
        let mut called = if arm.is_empty() || arm == "stable" || arm == "canary" {
            format!("{arm}-b")
        } else {
            arm.clone()
        };
        let mut number = 2;
        while taken(&called) {
            called = format!("{arm}-{number}");
            number += 1;
        }
        let part = share(target.weight, if total > 0.0 { total } else { 1.0 })
            .unwrap_or_else(|| Percent::from_ppm(0));
        let what = format!(
            "{} ({part}) is the arm {called}; all versions on trial have the same weight, by preset ab-n",
            target.name
        );
        ledger.approximated(&target.at, what, "write `stages` and `choose`");
        draft.arms.push(Challenger { name: called, version: unique(name(target, "other")) });
    }
}

pub(crate) fn http_route(document: &Document, ledger: &mut Ledger) -> Vec<Made> {
    let root = document.place();
    common(&root, ledger);
    let spec = root.at("spec");
    let mut hosts = hosts(&spec.at("hostnames"), ledger);
    for parent in spec.at("parentRefs").items() {
        // A route of the mesh is about a service.
        match (parent.at("kind").text().as_deref(), parent.at("name").text()) {
            (Some("Service"), Some(service)) => {
                let namespace = parent.at("namespace").text().or_else(|| document.namespace.clone());
                hosts.extend(names(&service, namespace.as_deref()));
                ledger.carried(&parent, "`match.authority`: the service's names");
            }
            _ => ledger.ignored(&parent, "the filter is where the gateway's Envoy is"),
        }
    }
    rules(&root, &spec.at("rules"), &hosts, ledger)
}

/// The rollouts of the rules of an HTTPRoute.
pub(crate) fn rules<'a>(
    root: &Place<'a>,
    rules: &Place<'a>,
    hosts: &[String],
    ledger: &mut Ledger,
) -> Vec<Made> {
    let mut made: Vec<Made> = Vec::new();
    let listed = rules.items();
    let splits = listed.iter().any(|rule| rule.at("backendRefs").items().len() > 1);
    for rule in &listed {
        let backends = rule.at("backendRefs").items();
        let targets = backends.iter().map(|backend| backend_target(backend, ledger)).collect::<Vec<_>>();
        let mirrors: Vec<Place<'a>> = rule
            .at("filters")
            .items()
            .into_iter()
            .filter(|filter| filter.at("requestMirror").is_there())
            .collect();
        for filter in rule.at("filters").items() {
            if !filter.at("requestMirror").is_there() {
                ledger.ignored(&filter, "the route stays, and does it still");
            }
        }
        if targets.len() < 2 && mirrors.is_empty() {
            let chosen =
                |part: &Place<'a>| part.at("headers").is_there() || part.at("queryParams").is_there();
            if splits && rule.at("matches").items().iter().any(chosen) {
                unsplit(&rule.at("matches"), targets.first(), ledger);
            }
            for field in ["matches", "backendRefs", "timeouts", "retry", "sessionPersistence", "name"] {
                if !ledger.says_below(&rule.at(field)) {
                    ledger.ignored(&rule.at(field), "nothing is split there");
                }
            }
            continue;
        }
        let mut draft = Draft::new(root, ledger);
        draft.hosts = hosts.to_vec();
        path_of(&mut draft, &rule.at("matches"), ledger);
        ledger.ignored_all(rule, &["timeouts", "retry", "name"], "the route stays, and does it still");
        let persistence = rule.at("sessionPersistence");
        if persistence.is_there() {
            let what = "users stay with a version by a key of their requests, and no cookie is set";
            ledger.lost(&persistence, what, "write `assignment: {mode: sticky, keys: [...]}`");
        }
        of_targets(&mut draft, &targets, ledger);
        for mirror in mirrors {
            let to = mirror.at("requestMirror");
            let fraction = to.at("fraction");
            let percent = match (to.at("percent").number(), fraction.at("numerator").number()) {
                (Some(percent), _) => percent,
                (None, Some(part)) => 100.0 * part / fraction.at("denominator").number().unwrap_or(100.0),
                (None, None) => 100.0,
            };
            let target = to.down("backendRef.name").text();
            mirrored(&mut draft, &mirror, percent, target, targets.len() < 2, ledger);
        }
        made.extend(draft.finish(ledger));
        same_requests(&made, root, ledger);
    }
    if made.is_empty() {
        nothing_split(root, rules, ledger);
    }
    made
}

/// Chosen requests that one version gets alone.
fn unsplit(matches: &Place<'_>, target: Option<&Target<'_>>, ledger: &mut Ledger) {
    let name = target.map_or("one version", |target| target.name.as_str());
    let what = format!("these requests go to {name}, without a split");
    ledger.lost(matches, what, "write the rule in `overrides`");
}

/// Of two rollouts that take the same requests, the first by name gets them.
fn same_requests(made: &[Made], root: &Place<'_>, ledger: &mut Ledger) {
    let scope = |made: &Made| made.rollout.spec.scope.clone();
    if let [before @ .., last] = made
        && before.iter().any(|other| scope(other) == scope(last))
    {
        let what = "the rollouts of two of its rules take the same requests, and only one of them gets them";
        ledger.lost(&root.at("(match)"), what, "narrow one of them by `match`, or leave it out");
    }
}

fn nothing_split(root: &Place<'_>, rules: &Place<'_>, ledger: &mut Ledger) {
    for field in ["name", "namespace"] {
        ledger.ignored(&root.at("metadata").at(field), "what it is named by");
    }
    let what = "no rule of it sends requests to two versions, so there is nothing to roll out";
    ledger.lost(&rules.at("(split)"), what, "give a route with two weighted destinations");
}

/// Copies, before anybody is exposed.
fn mirrored(
    draft: &mut Draft<'_>,
    at: &Place<'_>,
    percent: f64,
    to: Option<String>,
    alone: bool,
    ledger: &mut Ledger,
) {
    let Some(shadow) = share(percent, 100.0).filter(|share| share.ppm() > 0) else {
        return ledger.ignored(at, "nothing is copied");
    };
    if let Some(version) = to.as_deref().and_then(label).filter(|version| alone && *version != draft.stable) {
        draft.canary = version;
    }
    let stage = crate::draft::Stage {
        weight: Percent::from_ppm(0),
        shadow: Some(shadow),
        bake_ms: 600_000,
        approval: false,
        gates: Vec::new(),
    };
    if draft.stages.is_empty() {
        for percent in [50_000, 250_000, 500_000, 1_000_000].map(Percent::from_ppm) {
            draft.rise_to(percent);
            draft.bake(600_000);
        }
    }
    if draft.stages.first().is_some_and(|stage| stage.shadow.is_none()) {
        draft.stages.insert(0, stage);
        ledger.approximated(at, format!("a first stage with `shadow: {shadow}`"), "");
    } else {
        ledger.lost(at, "another copy is made already", "keep one");
    }
}

fn backend_target<'a>(backend: &Place<'a>, ledger: &mut Ledger) -> Target<'a> {
    let weight = backend.at("weight");
    let name = backend.at("name").text().unwrap_or_else(|| "backend".to_owned());
    for (name, field) in backend.fields() {
        if name != "weight" {
            ledger.ignored(&field, "its route stays: it matches the filter's header, with no weight");
        }
    }
    let at = if weight.is_there() { weight.clone() } else { backend.at("(weight)") };
    Target { name, weight: weight.number().unwrap_or(1.0).max(0.0), at }
}

fn hosts(at: &Place<'_>, ledger: &mut Ledger) -> Vec<String> {
    let mut hosts = Vec::new();
    for host in at.items() {
        match host.text() {
            Some(name) if name == "*" => ledger.ignored(&host, "it fits every host"),
            Some(name) if !name.contains('*') && !name.is_empty() => {
                ledger.carried(&host, "`match.authority`");
                hosts.push(name);
            }
            _ => ledger.lost(&host, "a host with a wildcard is none in `match.authority`", "name the hosts"),
        }
    }
    hosts
}

/// The one beginning of a path that a rule fits.
fn path_of(draft: &mut Draft<'_>, matches: &Place<'_>, ledger: &mut Ledger) {
    let listed = matches.items();
    for (index, item) in listed.iter().enumerate() {
        for (name, field) in item.fields() {
            let path = field.at("value").text();
            let prefix = field.at("type").text().is_none_or(|kind| kind == "PathPrefix");
            match (name.as_str(), path) {
                ("path", Some(path)) if prefix && path == "/" => ledger.ignored(&field, "it fits everything"),
                ("path", Some(path))
                    if field.at("type").text().as_deref() == Some("Exact") && listed.len() == 1 =>
                {
                    draft.prefix = Some(path);
                    let what = "`match.pathPrefix`: also what is below this path";
                    ledger.approximated(&field, what, "see that no other requests fit");
                }
                ("path", Some(path)) if prefix && index == 0 && listed.len() == 1 => {
                    draft.prefix = Some(path);
                    ledger.carried(&field, "`match.pathPrefix`");
                }
                _ => {
                    let what = "a rollout is told by its hosts and one path's beginning, and not by this";
                    ledger.lost(
                        &field,
                        what,
                        "see that no other requests fit `match`, or leave others to their routes",
                    );
                }
            }
        }
    }
}
