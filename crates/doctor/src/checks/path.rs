//! The sidecars that decide: which they are, and what stands around the filter there.

use serde_json::{Value, json};

use super::filter::{Plugin, ours};
use super::say;
use crate::report::Found;
use crate::snapshot::{Snapshot, fits, items, labels_of, name_of, namespace_of, shown, text};

/// Does this EnvoyFilter put our filter into the chain?
pub fn installs(filter: &Value) -> bool {
    items(filter, "/spec/configPatches").any(|patch| {
        text(patch, "/applyTo") == "HTTP_FILTER" && patch.to_string().contains("\"root_id\":\"serin\"")
    })
}

/// What decides in a pod, for people.
fn deciders(snapshot: &Snapshot, plugins: &[Plugin<'_>], pod: &Value) -> Result<Vec<String>, String> {
    let (namespace, labels) = (namespace_of(pod), labels_of(pod));
    let here = |object: &Value| [namespace, &snapshot.root_namespace].contains(&namespace_of(object));
    let plugins = plugins.iter().filter(|plugin| here(plugin.object) && fits(plugin.selector(), labels));
    let mut found: Vec<String> = plugins.map(Plugin::shown).collect();
    for filter in snapshot.objects("EnvoyFilter")?.iter().filter(|filter| here(filter) && installs(filter)) {
        if fits(filter.pointer("/spec/workloadSelector/labels").unwrap_or(&Value::Null), labels) {
            found.push(shown("EnvoyFilter", filter));
        }
    }
    Ok(found)
}

pub fn one_filter(snapshot: &Snapshot, found: &mut Found) -> Result<(), String> {
    let plugins = ours(snapshot)?;
    for pod in snapshot.objects("Pod")? {
        let deciders = deciders(snapshot, &plugins, pod)?;
        if deciders.len() > 1 {
            found.fault(
                shown("Pod", pod),
                say(
                    format!("{} filters decide in it: {}", deciders.len(), deciders.join(", ")),
                    "they undo each other's choice, and count every request twice",
                    "delete all but one, or narrow their selectors",
                ),
            );
        }
    }
    Ok(())
}

/// The pods of a plugin, where it selects by labels.
fn of<'s>(snapshot: &'s Snapshot, plugin: &Plugin<'s>) -> Result<Vec<&'s Value>, String> {
    snapshot.pods(namespace_of(plugin.object), plugin.selector())
}

pub fn pods(snapshot: &Snapshot, found: &mut Found) -> Result<(), String> {
    for plugin in ours(snapshot)? {
        let selector = plugin.selector();
        if !selector.is_object() {
            continue;
        }
        let namespace = namespace_of(plugin.object);
        let pods = of(snapshot, &plugin)?;
        if pods.is_empty() {
            let labels = json!({"spec": {"template": {"metadata": {"labels": selector}}}});
            found.fault(
                plugin.shown(),
                say(
                    format!("no pod of {namespace} has the labels {selector}"),
                    "the filter runs nowhere: every request goes to stable, uncounted",
                    format!("kubectl -n {namespace} patch deployment CALLER -p '{labels}'"),
                ),
            );
        }
        for pod in pods {
            let containers = items(pod, "/spec/containers").chain(items(pod, "/spec/initContainers"));
            let mut names = containers.map(|container| text(container, "/name"));
            if !names.any(|name| name == "istio-proxy") {
                found.fault(
                    shown("Pod", pod),
                    say(
                        "it is to decide, and has no sidecar",
                        "its requests go by no filter: to whatever the Service picks, uncounted",
                        format!(
                            "kubectl label namespace {namespace} istio-injection=enabled, and restart the pod"
                        ),
                    ),
                );
            }
        }
    }
    Ok(())
}

/// The headers that the plugin's policy sets; the usual one where there is none yet.
fn headers(plugin: &Plugin<'_>) -> Vec<String> {
    let policy = plugin.policy().and_then(Result::ok);
    let mut headers: Vec<String> =
        policy.iter().flat_map(|policy| &policy.rollouts).map(|rollout| rollout.header.clone()).collect();
    headers.sort();
    headers.dedup();
    if headers.is_empty() { vec!["x-serin-arm".to_owned()] } else { headers }
}

pub fn early_removal(snapshot: &Snapshot, found: &mut Found) -> Result<(), String> {
    for plugin in ours(snapshot)? {
        let namespace = namespace_of(plugin.object);
        for header in headers(&plugin) {
            let removes = |filter: &&Value| {
                [namespace, &snapshot.root_namespace].contains(&namespace_of(filter))
                    && fits(
                        filter.pointer("/spec/workloadSelector/labels").unwrap_or(&Value::Null),
                        plugin.selector(),
                    )
                    && items(filter, "/spec/configPatches")
                        .any(|patch| removed(patch).any(|name| name == header))
            };
            if !snapshot.objects("EnvoyFilter")?.iter().any(|filter| removes(&filter)) {
                found.fault(
                    plugin.shown(),
                    say(
                        format!("no EnvoyFilter takes a client's own {header} off in its pods"),
                        "where the module could not be fetched, or a VM has trapped, whoever sends that header chooses the version; istiod counts such a sidecar as fine",
                        "kubectl apply -f istio/envoyfilter-early-removal.yaml, for this namespace, header and selector",
                    ),
                );
            }
        }
    }
    Ok(())
}

/// Headers that a patch removes before anything reads them.
fn removed(patch: &Value) -> impl Iterator<Item = &str> {
    let extensions = items(patch, "/patch/value/typed_config/early_header_mutation_extensions");
    extensions
        .flat_map(|extension| items(extension, "/typed_config/mutations"))
        .map(|mutation| text(mutation, "/remove"))
}

pub fn egress(snapshot: &Snapshot, found: &mut Found) -> Result<(), String> {
    for plugin in ours(snapshot)? {
        let namespace = namespace_of(plugin.object);
        let applies = |sidecar: &&Value| {
            let selector = sidecar.pointer("/spec/workloadSelector/labels").unwrap_or(&Value::Null);
            [namespace, &snapshot.root_namespace].contains(&namespace_of(sidecar))
                && fits(selector, plugin.selector())
        };
        // One of the namespace takes the place of the root's.
        let all: Vec<&Value> = snapshot.objects("Sidecar")?.iter().filter(applies).collect();
        let own: Vec<&Value> =
            all.iter().copied().filter(|sidecar| namespace_of(sidecar) == namespace).collect();
        for sidecar in if own.is_empty() { all } else { own } {
            let mut hosts = items(sidecar, "/spec/egress")
                .flat_map(|egress| items(egress, "/hosts"))
                .filter_map(Value::as_str)
                .peekable();
            let controller = &snapshot.namespace;
            let lets = |host: &str| {
                let (within, name) = host.split_once('/').unwrap_or(("*", host));
                let within =
                    within == "*" || within == controller || (within == "." && namespace == controller);
                within && (name == "*" || name.contains(controller.as_str()))
            };
            if hosts.peek().is_some() && !hosts.any(lets) {
                found.fault(
                    shown("Sidecar", sidecar),
                    say(
                        format!("its egress hides the namespace {controller}"),
                        "sidecars have no cluster for their lease: it ends, and with it the canary's traffic",
                        format!(
                            "kubectl -n {} patch sidecar {} --type=json -p '[{{\"op\":\"add\",\"path\":\"/spec/egress/0/hosts/-\",\"value\":\"{controller}/*\"}}]'",
                            namespace_of(sidecar),
                            name_of(sidecar)
                        ),
                    ),
                );
            }
        }
    }
    Ok(())
}

pub fn tags(snapshot: &Snapshot, found: &mut Found) -> Result<(), String> {
    let lacks = |config: &str| -> Vec<&str> {
        let listed = config.split_once("extraStatTags").map(|(_, rest)| rest).unwrap_or_default();
        let words: Vec<&str> = listed.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
        tally::TAGS.into_iter().filter(|tag| !words.contains(tag)).collect()
    };
    let mesh = snapshot.object("ConfigMap", &snapshot.root_namespace, "istio")?;
    let of_mesh = lacks(mesh.map(|mesh| text(mesh, "/data/mesh")).unwrap_or_default());
    for plugin in ours(snapshot)? {
        let namespace = namespace_of(plugin.object);
        for pod in of(snapshot, &plugin)? {
            let own = text(pod, "/metadata/annotations/proxy.istio.io~1config");
            // The annotation's list takes the place of the mesh's.
            let lacking = if own.contains("extraStatTags") { lacks(own) } else { of_mesh.clone() };
            if !lacking.is_empty() {
                found.fault(
                    shown("Pod", pod),
                    say(
                        format!("its proxy makes no labels of: {}", lacking.join(", ")),
                        "every counter has one long name of its own in Prometheus: rules and dashboards see nothing, and versions may be taken for one another",
                        format!("kubectl -n {namespace} patch deployment CALLER --patch-file istio/stats-tags.yaml (its pods restart)"),
                    ),
                );
            }
        }
    }
    Ok(())
}
