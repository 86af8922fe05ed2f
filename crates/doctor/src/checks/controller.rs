//! The controller's Deployment, what it may do, and versions.

use serde_json::Value;

use super::filter::{PLUGINS, ours};
use super::{helm, say, workload};
use crate::arguments::Arguments;
use crate::report::Found;
use crate::snapshot::{Snapshot, items, name_of, namespace_of, shown, text};

/// Deployments and StatefulSets: a controller alone is the one, several are the other.
fn workloads(snapshot: &Snapshot) -> Result<Vec<(&'static str, &Value)>, String> {
    let mut all = Vec::new();
    for kind in ["Deployment", "StatefulSet"] {
        all.extend(snapshot.objects(kind)?.iter().map(|one| (kind, one)));
    }
    Ok(all)
}

pub fn controller(snapshot: &Snapshot, found: &mut Found) -> Result<(), String> {
    let all = workloads(snapshot)?;
    let ours: Vec<_> =
        all.into_iter().filter_map(|(kind, one)| Some((kind, one, Arguments::of(one)?))).collect();
    if !ours.iter().any(|(_, one, _)| namespace_of(one) == snapshot.namespace) {
        found.fault(
            format!("namespace {}", snapshot.namespace),
            say(
                "no Deployment and no StatefulSet in it runs `serin run`",
                "nobody decides, and leases end: canaries have no traffic",
                format!(
                    "helm install serin istio/chart --namespace {}; or name its namespace: --namespace",
                    snapshot.namespace
                ),
            ),
        );
    }
    for (kind, one, words) in &ours {
        let object = shown(kind, one);
        let ready = one.pointer("/status/readyReplicas").and_then(Value::as_i64).unwrap_or(0);
        if ready == 0 {
            found.fault(
                object.clone(),
                say(
                    "none of its pods is ready",
                    "while no controller is there nothing is decided; while its store cannot be written nothing rises",
                    format!(
                        "kubectl -n {0} describe pod -l app={1}; kubectl -n {0} logs {2}/{1} -c serin",
                        namespace_of(one),
                        name_of(one),
                        kind.to_lowercase()
                    ),
                ),
            );
        }
        let writes = words.gives("--istio-plugin");
        if writes
            && one.pointer("/spec/template/spec/automountServiceAccountToken") == Some(&Value::Bool(false))
        {
            found.fault(
                object.clone(),
                say(
                    "it is to write the plugin, and has no token of its service account",
                    "it does not start",
                    format!(
                        "kubectl -n {} patch {} {} -p '{}'",
                        namespace_of(one),
                        kind.to_lowercase(),
                        name_of(one),
                        r#"{"spec":{"template":{"spec":{"automountServiceAccountToken":true}}}}"#
                    ),
                ),
            );
        }
        let evidence = ["--prometheus", "--proxy-metrics", "--envoy-admin"];
        if evidence.iter().any(|name| words.gives(name)) {
            continue;
        }
        if words.more {
            found.unseen(format!("{object}: its counters may be named by envFrom (SERIN_PROMETHEUS_URL)"));
        } else {
            found.fault(
                object,
                say(
                    "it is told of no counters (--prometheus, --proxy-metrics)",
                    "no gate has evidence, so no rollout goes on",
                    helm(snapshot, "--set evidence.prometheus.url=URL"),
                ),
            );
        }
    }
    for (namespace, name) in &snapshot.plugins {
        let place = format!("{namespace}/{name}");
        let named = |words: &Arguments| {
            let all = words.values("--istio-plugin");
            all.into_iter()
                .any(|value| value == place || value.split_once('=').is_some_and(|(_, value)| value == place))
        };
        let writers: Vec<String> =
            ours.iter().filter(|(_, _, words)| named(words)).map(|(kind, one, _)| shown(kind, one)).collect();
        let hidden = ours
            .iter()
            .find(|(_, _, words)| words.hides("--istio-plugin") || words.more && writers.is_empty());
        if let Some((kind, one, _)) = hidden {
            found.unseen(format!(
                "does {} write the plugin {place}? SERIN_ISTIO_PLUGIN may stand in a ConfigMap or Secret",
                shown(kind, one)
            ));
            continue;
        }
        match writers.as_slice() {
            [] if !ours.is_empty() => found.warning(
                format!("plugin {place}"),
                say(
                    "no controller writes it (--istio-plugin)",
                    "its policy stays as it was applied: a rollout reaches none of its sidecars",
                    format!("{}, or add --istio-plugin={place} to the controller", helm(snapshot, "--set plugin.write=true")),
                ),
            ),
            [] | [_] => {}
            more => found.fault(
                format!("plugin {place}"),
                say(
                    format!("{} controllers write it: {}", more.len(), more.join(", ")),
                    "the one with the lower generation can neither raise nor write, and says so; the other decides alone",
                    "let one of them write it",
                ),
            ),
        }
    }
    Ok(())
}

pub fn rights(snapshot: &Snapshot, found: &mut Found) -> Result<(), String> {
    // Whose rights, and to what, is known from these.
    workloads(snapshot)?;
    ours(snapshot)?;
    for (right, may) in &snapshot.rights {
        let of = match right.group {
            "" => right.resource.to_owned(),
            group => format!("{}.{group}", right.resource),
        };
        let what =
            format!("{} {of}{}{}", right.verb, if right.name.is_empty() { "" } else { "/" }, right.name);
        let place = if right.namespace.is_empty() { "all namespaces" } else { &right.namespace };
        let harm = match (right.group, right.resource) {
            ("serin.dev" | "events.k8s.io", _) => {
                "what is applied as a Rollout is not taken, or nobody is told of it"
            }
            ("coordination.k8s.io", _) | (_, "configmaps") => {
                "no replica leads, or what it decides is lost with it: nothing is decided"
            }
            ("apps" | "discovery.k8s.io", _) => "a version that is handed back or kept warm is not changed",
            (_, "pods") => {
                "the sidecars of pods:// are not found, or a workload's pods are not: counts are missing"
            }
            _ => "weights cannot change, and serin_plugin_failing is 1",
        };
        let remedy = match right.group {
            "extensions.istio.io" => format!(
                "kubectl apply -f istio/plugin-rbac.yaml (names adapted), or {}",
                helm(snapshot, "--set rbac.create=true")
            ),
            _ => format!(
                "{}, or a Role with what istio/README.md lists",
                helm(snapshot, "--set rbac.create=true")
            ),
        };
        match (may, right.needed) {
            (Err(why), _) => found.unseen(format!("may the controller {what} in {place}? {why}")),
            (Ok(false), true) => found.fault(
                "the controller's service account",
                say(format!("it may not {what} in {place}"), harm, remedy),
            ),
            (Ok(true), false) => found.warning(
                "the controller's service account",
                say(
                    format!("it may {what} in {place}, which it never needs"),
                    "whoever gets at the controller gets that too",
                    format!("kubectl get rolebindings,clusterrolebindings -A -o wide | grep {}: remove what is not the chart's", snapshot.namespace),
                ),
            ),
            _ => {}
        }
    }
    Ok(())
}

/// Major and minor of a release in an image's tag.
fn release(image: &str) -> Option<(u32, u32)> {
    let (_, tag) = image.rsplit_once('/').unwrap_or(("", image)).1.rsplit_once(':')?;
    let mut numbers = tag.trim_start_matches('v').split(['.', '-']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

pub fn versions(snapshot: &Snapshot, found: &mut Found) -> Result<(), String> {
    let all = workloads(snapshot)?;
    let images = |one: &Value| -> Vec<String> {
        items(one, "/spec/template/spec/containers")
            .map(|container| text(container, "/image").to_owned())
            .collect()
    };
    let program = release(&format!("serin:{}", snapshot.program_version));
    for (kind, one) in all.iter().filter(|(_, one)| Arguments::of(one).is_some()) {
        for image in images(one).iter().filter(|image| !image.contains("proxyv2")) {
            match release(image) {
                None => {}
                theirs if theirs == program => {}
                Some((major, minor)) => found.warning(
                    shown(kind, one),
                    say(
                        format!("it runs {major}.{minor}, and this serin is {}", snapshot.program_version),
                        "answers of another release are read as far as they are understood",
                        format!(
                            "use the serin of the controller: kubectl -n {} exec {} -c serin -- serin doctor",
                            snapshot.namespace,
                            workload(snapshot)
                        ),
                    ),
                ),
            }
        }
        for plugin in ours(snapshot)? {
            let filter = text(plugin.wasm, "/url").strip_prefix("oci://").and_then(release);
            let controller = images(one).iter().find_map(|image| release(image));
            if let (Some(filter), Some(controller)) = (filter, controller)
                && filter < controller
            {
                found.warning(
                    plugin.shown(),
                    say(
                        format!(
                            "the filter is {}.{}, and the controller {}.{}",
                            filter.0, filter.1, controller.0, controller.1
                        ),
                        "an older filter refuses a policy with fields it does not know",
                        format!(
                            "take the filter of the controller's release: {}",
                            helm(snapshot, "--set plugin.url=URL,plugin.sha256=DIGEST")
                        ),
                    ),
                );
            }
        }
    }
    let istiods: Vec<&Value> =
        all.iter().map(|(_, one)| *one).filter(|one| namespace_of(one) == snapshot.root_namespace).collect();
    let istiod = istiods.iter().find(|one| text(one, "/spec/template/metadata/labels/app") == "istiod");
    let Some(release) = istiod.and_then(|one| images(one).iter().find_map(|image| release(image))) else {
        found.unseen(format!(
            "Istio's version: no Deployment of istiod with a release in its image is in {}",
            snapshot.root_namespace
        ));
        return Ok(());
    };
    if release < (1, 25) {
        found.fault(
            "istiod",
            say(
                format!("it is {}.{}", release.0, release.1),
                "before 1.25 a sidecar whose module cannot be fetched does not start",
                "upgrade Istio to 1.25 or later, or take the fast lane (istio/README.md)",
            ),
        );
    }
    let api = snapshot.api.as_ref().map_err(Clone::clone)?;
    let extension = PLUGINS.first().map_or("", |(kind, _)| kind);
    if release >= (1, 30) && !api.served.iter().any(|served| served.ends_with(extension)) {
        found.warning(
            "the API server",
            say(
                format!("istiod is {}.{}, and TrafficExtension is not served", release.0, release.1),
                "Istio's definitions are older than istiod",
                "apply the definitions of that release: helm upgrade istio-base istio/base -n istio-system",
            ),
        );
    }
    Ok(())
}
