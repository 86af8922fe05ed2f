//! Routes that match the header, and the subsets they lead to.

use std::collections::BTreeSet;

use serde_json::Value;

use super::filter::ours;
use super::{helm, say};
use crate::report::Found;
use crate::snapshot::{Snapshot, items, name_of, namespace_of, service_of, shown, text};

/// What the policies say of a service: the header, and the arms that a header may name.
struct Wanted {
    rollout: String,
    header: String,
    arms: BTreeSet<String>,
    /// Name and namespace.
    service: (String, String),
}

fn wanted(snapshot: &Snapshot) -> Result<Vec<Wanted>, String> {
    let mut wanted = Vec::new();
    for plugin in ours(snapshot)? {
        let Some(Ok(policy)) = plugin.policy() else { continue };
        for rollout in &policy.rollouts {
            let hosts = rollout.scope.iter().flat_map(|scope| &scope.authority);
            let mut services: Vec<_> =
                hosts.filter_map(|host| service_of(host, namespace_of(plugin.object))).collect();
            services.sort();
            services.dedup();
            let others = rollout.arms.others.iter().map(|other| other.name.to_string());
            let arms: BTreeSet<String> = std::iter::once("canary".to_owned()).chain(others).collect();
            wanted.extend(services.into_iter().map(|service| Wanted {
                rollout: rollout.name.clone(),
                header: rollout.header.clone(),
                arms: arms.clone(),
                service,
            }));
        }
    }
    Ok(wanted)
}

fn is_of(routes: &Value, wanted: &Wanted) -> bool {
    items(routes, "/spec/hosts")
        .filter_map(Value::as_str)
        .any(|host| service_of(host, namespace_of(routes)).as_ref() == Some(&wanted.service))
}

/// Arms that a route of a VirtualService is for, by the header's value.
fn arms_of<'r>(route: &'r Value, header: &'r str) -> impl Iterator<Item = &'r str> {
    let path = format!("/headers/{header}/exact");
    items(route, "/match").map(move |matching| text(matching, &path)).filter(|arm| !arm.is_empty())
}

pub fn routes(snapshot: &Snapshot, found: &mut Found) -> Result<(), String> {
    let wanted = wanted(snapshot)?;
    let services = snapshot.objects("VirtualService")?;
    for routes in services {
        let own = wanted.iter().filter(|wanted| is_of(routes, wanted));
        let mut headers: BTreeSet<&str> = own.map(|wanted| wanted.header.as_str()).collect();
        if routes.to_string().contains("x-serin-arm") {
            headers.insert("x-serin-arm");
        }
        if !headers.is_empty() {
            virtual_service(snapshot, routes, &headers, found)?;
        }
    }
    let http_routes = snapshot.objects("HTTPRoute")?;
    for wanted in &wanted {
        let mut arms: BTreeSet<&str> = BTreeSet::new();
        for routes in services.iter().filter(|routes| is_of(routes, wanted)) {
            arms.extend(items(routes, "/spec/http").flat_map(|route| arms_of(route, &wanted.header)));
        }
        let (name, namespace) = &wanted.service;
        let parents = |route: &&Value| {
            items(route, "/spec/parentRefs").any(|parent| text(parent, "/name") == name)
                || name_of(route) == name
        };
        for route in http_routes.iter().filter(|route| namespace_of(route) == namespace).filter(parents) {
            arms.extend(http_route(snapshot, route, &wanted.header, found)?);
        }
        for arm in wanted.arms.iter().filter(|arm| !arms.contains(arm.as_str())) {
            found.fault(
                format!("Service {namespace}/{name}"),
                say(
                    format!("no route matches {}: {arm}", wanted.header),
                    "requests that the filter assigns to it go to stable, and are counted as its own: the gates compare stable with itself",
                    // Helm replaces a list whole: --set services[0] would drop what else stands there.
                    format!(
                        "add the route of istio/virtualservice.yaml for {arm} before the last one (rollout {}); with the chart write into its values, in services, in the entry of {{name: {name}, namespace: {namespace}}}, arms: [{}], and {}",
                        wanted.rollout,
                        wanted.arms.iter().cloned().collect::<Vec<_>>().join(", "),
                        helm(snapshot, "--values VALUES.yaml")
                    ),
                ),
            );
        }
    }
    Ok(())
}

/// To which arm's pods a header's value leads; the filter marks the baseline and shadowed requests too, and stable answers both.
fn answers(arm: &str) -> &str {
    match arm {
        "baseline" | "shadow" => "stable",
        arm => arm,
    }
}

/// Does a destination name an arm: by its subset, or as the Service `NAME-ARM`?
fn is_of_arm(subset: &str, host: &str, arm: &str) -> bool {
    let service = host.split('.').next().unwrap_or_default();
    match subset {
        "" => service.strip_suffix(arm).is_some_and(|rest| rest.ends_with('-')),
        subset => subset == arm,
    }
}

fn virtual_service(
    snapshot: &Snapshot,
    routes: &Value,
    headers: &BTreeSet<&str>,
    found: &mut Found,
) -> Result<(), String> {
    let (object, namespace) = (shown("VirtualService", routes), namespace_of(routes));
    let edit = format!("kubectl -n {namespace} edit virtualservice {}", name_of(routes));
    let all: Vec<&Value> = items(routes, "/spec/http").collect();
    for (index, route) in all.iter().enumerate() {
        let called = match text(route, "/name") {
            "" => format!("route {}", index + 1),
            name => format!("route {name}"),
        };
        let weights: Vec<i64> =
            items(route, "/route").filter_map(|to| to.get("weight").and_then(Value::as_i64)).collect();
        let destinations = items(route, "/route").count();
        if destinations > 1 {
            found.fault(
                object.clone(),
                say(
                    format!("{called} still shares traffic by weights ({weights:?})"),
                    "the filter assigns, and this route shares again: users move between versions, and counts are of the wrong one",
                    format!("{edit}: one destination, the subset of its arm, without a weight"),
                ),
            );
        }
        let (subset, host) =
            (text(route, "/route/0/destination/subset"), text(route, "/route/0/destination/host"));
        for header in headers {
            for arm in arms_of(route, header) {
                let meant = answers(arm);
                if destinations <= 1 && !is_of_arm(subset, host, meant) {
                    let to = if subset.is_empty() { host } else { subset };
                    found.fault(
                        object.clone(),
                        say(
                            format!("{called} matches {header}: {arm} and leads to {to:?}, not to {meant}"),
                            "what is counted as that version is answered by another: the gates judge the wrong one",
                            format!("{edit}: the destination's subset is {meant}"),
                        ),
                    );
                }
            }
        }
        let sum: i64 = weights.iter().sum();
        if !weights.is_empty() && destinations > 1 && sum != 100 || weights.iter().any(|weight| *weight < 0) {
            found.fault(
                object.clone(),
                say(
                    format!("the weights of {called} sum to {sum}"),
                    "the API server takes that; Istio shares in another proportion than is written, or refuses the route",
                    format!("{edit}: leave weights out"),
                ),
            );
        }
        let unconditional = items(route, "/match").next().is_none();
        if unconditional && index + 1 < all.len() {
            found.fault(
                object.clone(),
                say(
                    format!("{called} matches everything, and others stand behind it"),
                    "routes behind it are never reached: no request gets to the canary",
                    format!("{edit}: put it last"),
                ),
            );
        }
        if index + 1 == all.len() && !(unconditional && is_of_arm(subset, host, "stable")) {
            found.fault(
                object.clone(),
                say(
                    "the last route is not an unconditional one to stable",
                    "requests that carry no arm get an error, or go to any pod of the Service, the canary's too",
                    format!("{edit}: end with a route to the subset stable, without match"),
                ),
            );
        }
        let to = items(route, "/route").map(|to| to.pointer("/destination").unwrap_or(&Value::Null));
        for destination in to.chain(route.get("mirror")) {
            let subset = text(destination, "/subset");
            if !subset.is_empty() && !has_subset(snapshot, namespace, destination, subset)? {
                found.fault(
                    object.clone(),
                    say(
                        format!(
                            "{called} leads to the subset {subset} of {}, which no DestinationRule defines",
                            text(destination, "/host")
                        ),
                        "the API server takes that, and proxies answer 503 to every request of that route",
                        "kubectl apply -f istio/destinationrule.yaml, with that host and subset",
                    ),
                );
            }
        }
    }
    Ok(())
}

fn has_subset(
    snapshot: &Snapshot,
    namespace: &str,
    destination: &Value,
    subset: &str,
) -> Result<bool, String> {
    let service = service_of(text(destination, "/host"), namespace);
    let rules = snapshot.objects("DestinationRule")?.iter();
    let mut rules = rules.filter(|rule| {
        text(rule, "/spec/host") == text(destination, "/host")
            || (service.is_some() && service_of(text(rule, "/spec/host"), namespace_of(rule)) == service)
    });
    Ok(rules.any(|rule| items(rule, "/spec/subsets").any(|one| text(one, "/name") == subset)))
}

/// Is a rule's match without a condition?
fn is_everything(matching: &Value) -> bool {
    let conditions = matching.as_object().into_iter().flatten();
    conditions.into_iter().all(|(name, value)| name == "path" && text(value, "/value") == "/")
}

/// Arms that an HTTPRoute matches.
fn http_route<'r>(
    snapshot: &Snapshot,
    route: &'r Value,
    header: &str,
    found: &mut Found,
) -> Result<Vec<&'r str>, String> {
    let (object, namespace) = (shown("HTTPRoute", route), namespace_of(route));
    let edit = format!("kubectl -n {namespace} edit httproute {}", name_of(route));
    let mut arms = Vec::new();
    let mut rest_to = None;
    for rule in items(route, "/spec/rules") {
        let headers = items(rule, "/matches").flat_map(|matching| items(matching, "/headers"));
        let own: Vec<&str> = headers
            .filter(|one| text(one, "/name").eq_ignore_ascii_case(header))
            .map(|one| text(one, "/value"))
            .collect();
        let backends: Vec<&Value> = items(rule, "/backendRefs").collect();
        let to = text(rule, "/backendRefs/0/name");
        if backends.len() > 1 {
            found.fault(
                object.clone(),
                say(
                    "a rule still shares traffic by weights of its backends",
                    "the filter assigns, and this rule shares again: users move between versions, and counts are of the wrong one",
                    format!("{edit}: one backend for each arm"),
                ),
            );
        }
        for arm in &own {
            let meant = answers(arm);
            if backends.len() <= 1 && !is_of_arm("", to, meant) {
                found.fault(
                    object.clone(),
                    say(
                        format!("a rule matches {header}: {arm} and leads to {to:?}, not to a Service NAME-{meant}"),
                        "what is counted as that version is answered by another: the gates judge the wrong one",
                        format!("{edit}: the backend of {arm} is the Service of {meant}"),
                    ),
                );
            }
        }
        arms.extend(own);
        // The order of rules does not matter: the one that matches most is taken.
        if items(rule, "/matches").all(is_everything) {
            rest_to = Some(to);
        }
        let mirrors = items(rule, "/filters").filter_map(|one| one.pointer("/requestMirror/backendRef"));
        for backend in backends.into_iter().chain(mirrors) {
            let within = Some(text(backend, "/namespace")).filter(|within| !within.is_empty());
            let (within, name) = (within.unwrap_or(namespace), text(backend, "/name"));
            let is_service = matches!(text(backend, "/kind"), "" | "Service");
            // Of other namespaces not all are read.
            if is_service && within == namespace && snapshot.object("Service", within, name)?.is_none() {
                found.fault(
                    object.clone(),
                    say(
                        format!("a rule leads to the Service {within}/{name}, which is not there"),
                        "every request of that rule is answered 500",
                        format!("kubectl -n {within} expose deployment DEPLOYMENT --name {name} --port PORT"),
                    ),
                );
            }
        }
    }
    if !rest_to.is_some_and(|to| is_of_arm("", to, "stable")) {
        found.fault(
            object,
            say(
                "no rule without conditions leads to stable",
                "requests that carry no arm get an error, or go to the canary's pods too",
                format!("{edit}: end with a rule to the Service NAME-stable, without matches"),
            ),
        );
    }
    Ok(arms)
}

pub fn subsets(snapshot: &Snapshot, found: &mut Found) -> Result<(), String> {
    let wanted = wanted(snapshot)?;
    for rule in snapshot.objects("DestinationRule")? {
        let Some(service) = service_of(text(rule, "/spec/host"), namespace_of(rule)) else { continue };
        if !wanted.iter().any(|wanted| wanted.service == service) {
            continue;
        }
        let (name, namespace) = &service;
        let Some(selector) = snapshot
            .object("Service", namespace, name)?
            .and_then(|service| service.pointer("/spec/selector"))
        else {
            // Endpoints by hand, or a ServiceEntry.
            continue;
        };
        let pods = snapshot.pods(namespace, selector)?;
        for subset in items(rule, "/spec/subsets") {
            let labels = subset.pointer("/labels").unwrap_or(&Value::Null);
            let (arm, object) = (text(subset, "/name"), shown("DestinationRule", rule));
            if pods.iter().any(|pod| crate::snapshot::fits(labels, crate::snapshot::labels_of(pod))) {
                continue;
            }
            let what =
                format!("no pod of Service {namespace}/{name} has the labels of the subset {arm} ({labels})");
            let patch = serde_json::json!({"spec": {"template": {"metadata": {"labels": labels}}}});
            let mend = format!(
                "kubectl -n {namespace} patch deployment DEPLOYMENT-OF-{} -p '{patch}'",
                arm.to_uppercase()
            );
            match arm {
                "stable" => found.fault(object, say(what, "every request is answered 503", mend)),
                _ => found.warning(
                    object,
                    say(what, "a rollout to it would answer 503 to its share of the requests", mend),
                ),
            }
        }
    }
    Ok(())
}
