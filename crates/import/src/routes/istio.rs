//! VirtualService of Istio.

use manifest::typed::{Clusters, Condition};

use super::{Target, hosts, mirrored, names, nothing_split, of_targets, same_requests, unsplit};
use crate::argo::test_of;
use crate::common;
use crate::draft::{Draft, Made};
use crate::place::{Document, Place};
use crate::report::Ledger;
use crate::text::label;

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
    let mut made: Vec<Made> = Vec::new();
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
    let splits = listed.iter().any(|rule| rule.at("route").items().len() > 1);
    for rule in &listed {
        let routes = rule.at("route").items();
        let mirror = rule.at("mirror");
        let mirrors = rule.at("mirrors").items();
        let copies = mirror.is_there() || !mirrors.is_empty();
        if routes.len() < 2 && !copies {
            let chosen =
                |part: &Place<'_>| part.at("headers").is_there() || part.at("queryParams").is_there();
            if splits && rule.at("match").items().iter().any(chosen) {
                let targets: Vec<Target<'_>> =
                    routes.iter().map(|route| destination(route, ledger)).collect();
                unsplit(&rule.at("match"), targets.first(), ledger);
            }
            for (_, field) in rule.fields() {
                if !ledger.says_below(&field) {
                    ledger.ignored(&field, "nothing is split there");
                }
            }
            for route in &routes {
                ledger.ignored(&route.at("weight"), "nothing is split there");
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
        same_requests(&made, &root, ledger);
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
