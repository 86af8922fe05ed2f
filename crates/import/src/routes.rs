//! Weights that stand in routes: HTTPRoute of the Gateway API, VirtualService of Istio.

use manifest::Percent;
use manifest::typed::{Challenger, Clusters, Condition};

use crate::argo::test_of;
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
    ledger.ignored(&spec.at("parentRefs"), "the filter is where the gateway's Envoy is");
    let hosts = hosts(&spec.at("hostnames"), ledger);
    rules(&root, &spec.at("rules"), &hosts, ledger)
}

/// The rollouts of the rules of an HTTPRoute.
pub(crate) fn rules<'a>(
    root: &Place<'a>,
    rules: &Place<'a>,
    hosts: &[String],
    ledger: &mut Ledger,
) -> Vec<Made> {
    let mut made = Vec::new();
    let listed = rules.items();
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
            for field in ["matches", "backendRefs", "timeouts", "retry", "sessionPersistence", "name"] {
                ledger.ignored(&rule.at(field), "nothing is split there");
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
    }
    if made.is_empty() {
        nothing_split(root, rules, ledger);
    }
    made
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

/// The hosts of a VirtualService whose weights a rollout of another tool writes.
pub(crate) fn of_rollout(document: &Document, ledger: &mut Ledger) -> Vec<String> {
    let root = document.place();
    common(&root, ledger);
    let spec = root.at("spec");
    ledger.ignored(&root.down("metadata.name"), "what it is named by");
    ledger.ignored(&root.down("metadata.namespace"), "where it is named");
    for (name, field) in spec.fields() {
        if name != "hosts" {
            ledger.ignored(
                &field,
                "the rollout writes its weights; in Serin the routes match the filter's header instead",
            );
        }
    }
    let found = hosts(&spec.at("hosts"), ledger);
    let namespace = document.namespace.as_deref();
    found.iter().flat_map(|host| names(host, namespace.filter(|_| !host.contains('.')))).collect()
}

pub(crate) fn virtual_service(document: &Document, ledger: &mut Ledger) -> Vec<Made> {
    let root = document.place();
    common(&root, ledger);
    let spec = root.at("spec");
    ledger.ignored_all(&spec, &["gateways", "exportTo"], "the filter is where the Envoy is");
    let hosts = hosts(&spec.at("hosts"), ledger);
    let mut made = Vec::new();
    for list in ["tcp", "tls"] {
        for rule in spec.at(list).items() {
            let routes = rule.at("route").items();
            if routes.len() > 1 {
                ledger.lost(
                    &rule,
                    "Serin splits HTTP and gRPC, and no bare connections",
                    "leave it to Istio's weights",
                );
            } else {
                ledger.ignored(&rule, "nothing is split there");
            }
        }
    }
    let listed = spec.at("http").items();
    for rule in &listed {
        let routes = rule.at("route").items();
        let mirror = rule.at("mirror");
        let mirrors = rule.at("mirrors").items();
        let copies = mirror.is_there() || !mirrors.is_empty();
        if routes.len() < 2 && !copies {
            for (_, field) in rule.fields() {
                ledger.ignored(&field, "nothing is split there");
            }
            continue;
        }
        let targets: Vec<Target<'_>> = routes.iter().map(|route| destination(route, ledger)).collect();
        let mut draft = Draft::new(&root, ledger);
        draft.hosts = hosts.clone();
        istio_match(&mut draft, &rule.at("match"), ledger);
        let rest = [
            "name",
            "timeout",
            "retries",
            "fault",
            "corsPolicy",
            "headers",
            "rewrite",
            "redirect",
            "directResponse",
            "delegate",
        ];
        ledger.ignored_all(rule, &rest, "the route stays, and does it still");
        of_targets(&mut draft, &targets, ledger);
        clusters(&mut draft, document, &routes, &targets);
        if mirror.is_there() {
            let percent =
                rule.down("mirrorPercentage.value").number().or_else(|| rule.at("mirrorPercent").number());
            ledger.carried(&rule.at("mirrorPercentage"), "`shadow`");
            ledger.carried(&rule.at("mirrorPercent"), "`shadow`");
            let to = mirror.at("subset").text().or_else(|| mirror.at("host").text());
            mirrored(&mut draft, &mirror, percent.unwrap_or(100.0), to, targets.len() < 2, ledger);
        }
        for mirror in mirrors {
            let percent = mirror.down("percentage.value").number().unwrap_or(100.0);
            let to =
                mirror.down("destination.subset").text().or_else(|| mirror.down("destination.host").text());
            mirrored(&mut draft, &mirror, percent, to, targets.len() < 2, ledger);
        }
        made.extend(draft.finish(ledger));
    }
    if made.is_empty() {
        nothing_split(&root, &spec.at("http"), ledger);
    }
    made
}

fn destination<'a>(route: &Place<'a>, ledger: &mut Ledger) -> Target<'a> {
    let weight = route.at("weight");
    let to = route.at("destination");
    let name =
        to.at("subset").text().or_else(|| to.at("host").text()).unwrap_or_else(|| "backend".to_owned());
    ledger.ignored(&to, "its route stays: it matches the filter's header, with no weight");
    ledger.ignored(&route.at("headers"), "the route stays, and does it still");
    let at = if weight.is_there() { weight.clone() } else { route.at("(weight)") };
    Target { name, weight: weight.number().unwrap_or(0.0).max(0.0), at }
}

/// As Envoy calls them, where a port is written and the host is a service of the cluster.
fn clusters(draft: &mut Draft<'_>, document: &Document, routes: &[Place<'_>], targets: &[Target<'_>]) {
    let cluster = |version: &str| {
        let at = targets.iter().position(|target| label(&target.name).as_deref() == Some(version))?;
        let to = routes.get(at)?.at("destination");
        let (host, port) = (to.at("host").text()?, to.down("port.number").text()?);
        let host = match (host.contains('.'), &document.namespace) {
            (true, _) => host,
            (false, Some(namespace)) => format!("{host}.{namespace}.svc.cluster.local"),
            (false, None) => return None,
        };
        Some(format!("outbound|{port}|{}|{host}", to.at("subset").text().unwrap_or_default()))
    };
    if let (Some(stable), Some(canary)) = (cluster(&draft.stable), cluster(&draft.canary)) {
        draft.clusters = Some(Clusters { stable: Some(stable), canary: Some(canary) });
    }
}

fn istio_match(draft: &mut Draft<'_>, at: &Place<'_>, ledger: &mut Ledger) {
    let listed = at.items();
    for item in &listed {
        for (name, field) in item.fields() {
            let prefix = field.at("prefix").text().filter(|_| name == "uri");
            match prefix {
                Some(prefix) if prefix == "/" => ledger.ignored(&field, "it fits everything"),
                Some(prefix) if listed.len() == 1 => {
                    draft.prefix = Some(prefix);
                    ledger.carried(&field, "`match.pathPrefix`");
                }
                _ if name == "name" => ledger.ignored(&field, "its name"),
                _ => {
                    let known: Option<Condition> = test_of(&field);
                    let what = if known.is_some() || prefix.is_some() {
                        "a rollout is told by its hosts and one path's beginning, and this is more"
                    } else {
                        "a rollout is told by its hosts and one path's beginning, and not by this"
                    };
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
