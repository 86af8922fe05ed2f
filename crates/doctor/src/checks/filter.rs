//! The object that installs the filter, and the policy in it.

use serde_json::Value;
use split::Splitter;
use split::policy::Policy;

use super::{helm, say};
use crate::report::Found;
use crate::snapshot::{Snapshot, items, name_of, namespace_of, shown, text};

/// The kinds by which istiod installs a filter, and where the module is named in each.
pub const PLUGINS: [(&str, &str); 2] = [("TrafficExtension", "/spec/wasm"), ("WasmPlugin", "/spec")];

/// An object that installs our filter.
#[derive(Clone, Copy)]
pub struct Plugin<'s> {
    pub kind: &'static str,
    pub object: &'s Value,
    /// The part that names the module.
    pub wasm: &'s Value,
}

impl<'s> Plugin<'s> {
    pub fn shown(&self) -> String {
        shown(self.kind, self.object)
    }

    /// Labels of the pods it is for; null: all.
    pub fn selector(&self) -> &'s Value {
        self.object.pointer("/spec/selector/matchLabels").unwrap_or(&Value::Null)
    }

    fn resource(&self) -> String {
        format!(
            "-n {} patch {} {}",
            namespace_of(self.object),
            self.kind.to_lowercase(),
            name_of(self.object)
        )
    }

    /// A command that changes a field beside the module's address.
    fn set(&self, field: &str, value: &Value) -> String {
        let inner = serde_json::json!({ field: value });
        let spec = if self.kind == "WasmPlugin" { inner } else { serde_json::json!({ "wasm": inner }) };
        format!("kubectl {} --type=merge -p '{}'", self.resource(), serde_json::json!({ "spec": spec }))
    }

    /// The policy in it, as a sidecar reads it; `None`: there is none.
    pub fn policy(&self) -> Option<Result<Policy, String>> {
        let config = self.wasm.get("pluginConfig").filter(|config| !config.is_null())?;
        let policy: Result<Policy, _> = serde_json::from_value(config.clone());
        Some(policy.map_err(|error| error.to_string()).and_then(|policy| {
            Splitter::compile(&policy).map_err(|error| error.to_string())?;
            Ok(policy)
        }))
    }
}

/// Every object of the kinds that installs our filter, of those asked for and of others.
pub fn ours(snapshot: &Snapshot) -> Result<Vec<Plugin<'_>>, String> {
    let mut found = Vec::new();
    for (kind, wasm) in PLUGINS {
        for object in snapshot.objects(kind)? {
            let Some(wasm) = object.pointer(wasm) else { continue };
            let asked = snapshot
                .plugins
                .iter()
                .any(|(namespace, name)| namespace == namespace_of(object) && name == name_of(object));
            if asked || text(wasm, "/pluginName") == "serin" {
                found.push(Plugin { kind, object, wasm });
            }
        }
    }
    Ok(found)
}

pub fn kinds(snapshot: &Snapshot, found: &mut Found) -> Result<(), String> {
    let api = snapshot.api.as_ref().map_err(Clone::clone)?;
    let served = |kind: &str| api.served.iter().any(|served| served.ends_with(&format!("/{kind}")));
    if !PLUGINS.iter().any(|(kind, _)| served(kind)) {
        found.fault(
            "the API server",
            say(
                "it serves neither TrafficExtension nor WasmPlugin",
                "without Istio's kinds the filter cannot be installed by istiod",
                "install Istio 1.25 or later: istioctl install; or take Envoys without Istio: serin bootstrap",
            ),
        );
    }
    Ok(())
}

pub fn present(snapshot: &Snapshot, found: &mut Found) -> Result<(), String> {
    if snapshot.plugins.is_empty() {
        let fast_lane = snapshot.objects("EnvoyFilter")?.iter().any(super::path::installs);
        if !fast_lane {
            found.fault(
                "the filter",
                say(
                    "no object installs it",
                    "no request is assigned and none is counted",
                    format!(
                        "{} (docs/kubernetes-install.md), or name it: --plugin NAMESPACE/NAME",
                        helm(snapshot, "--set plugin.enabled=true,plugin.url=URL,plugin.sha256=DIGEST")
                    ),
                ),
            );
        }
        return Ok(());
    }
    for (namespace, name) in &snapshot.plugins {
        let mut there = Vec::new();
        for (kind, _) in PLUGINS {
            there.extend(snapshot.object(kind, namespace, name)?.map(|_| kind));
        }
        let object = format!("plugin {namespace}/{name}");
        match there.as_slice() {
            [] => found.fault(
                object,
                say(
                    "there is neither a TrafficExtension nor a WasmPlugin of this name",
                    "no request is assigned and none is counted; serin run --istio-plugin does not start without it",
                    format!(
                        "{}, or kubectl apply --server-side -f istio/trafficextension.yaml",
                        helm(snapshot, "--set plugin.enabled=true,plugin.url=URL,plugin.sha256=DIGEST")
                    ),
                ),
            ),
            [_] => {}
            _ => found.fault(
                object,
                say(
                    "there is both a TrafficExtension and a WasmPlugin",
                    "istiod makes the one of the other, so the filter stands in the chain twice: two decide, and every request is counted twice",
                    format!("kubectl -n {namespace} delete wasmplugin {name}"),
                ),
            ),
        }
    }
    Ok(())
}

pub fn module(snapshot: &Snapshot, found: &mut Found) -> Result<(), String> {
    for plugin in ours(snapshot)? {
        let get = |field: &str| plugin.wasm.get(field).and_then(Value::as_str).unwrap_or_default();
        let mut fault = |holds: bool, what: String, why: &str, mend: String| {
            if !holds {
                found.fault(plugin.shown(), say(what, why, mend));
            }
        };
        let strategy = get("failStrategy");
        fault(
            strategy == "FAIL_OPEN",
            format!(
                "failStrategy is {}",
                if strategy.is_empty() { "FAIL_CLOSE, the default" } else { strategy }
            ),
            "when the module cannot be fetched, istio-agent answers 403 to every request",
            plugin.set("failStrategy", &"FAIL_OPEN".into()),
        );
        let url = get("url");
        fault(
            !url.starts_with("file://"),
            format!("url is {url}"),
            "every write to the object, so every change of weight, rebuilds all VMs",
            format!(
                "serve it: oci:// or https://, then {}",
                plugin.set("url", &"oci://REGISTRY/serin/filter:TAG".into())
            ),
        );
        fault(
            !url.starts_with("http://"),
            format!("url is {url}"),
            "whoever is on the way may give another module",
            format!(
                "serve it: oci:// or https://, then {}",
                plugin.set("url", &"oci://REGISTRY/serin/filter:TAG".into())
            ),
        );
        fault(
            get("sha256").len() == 64 || url.starts_with("file://") || url.contains("@sha256:"),
            "sha256 is not set".to_owned(),
            "another module may come under the same name, and a registry that is down stops a sidecar's start",
            plugin.set("sha256", &"DIGEST".into()),
        );
        fault(
            get("imagePullPolicy") != "Always",
            "imagePullPolicy is Always".to_owned(),
            "each change of weight pulls the image again, and waits for it",
            plugin.set("imagePullPolicy", &"IfNotPresent".into()),
        );
        fault(
            get("pluginName") == "serin",
            format!("pluginName is {:?}", get("pluginName")),
            "the module knows its root context as serin alone",
            plugin.set("pluginName", &"serin".into()),
        );
        let modes: Vec<&str> = items(plugin.object, "/spec/match").map(|item| text(item, "/mode")).collect();
        fault(
            !modes.is_empty() && modes.iter().all(|mode| *mode == "CLIENT"),
            format!("match says the modes {modes:?}"),
            "the filter runs in the caller's sidecar and again in the model's: two decide, and every request is counted twice",
            format!(
                "kubectl {} --type=merge -p '{}'",
                plugin.resource(),
                r#"{"spec":{"match":[{"mode":"CLIENT"}]}}"#
            ),
        );
        let chosen = plugin.selector().as_object().is_some_and(|labels| !labels.is_empty());
        fault(
            chosen
                || plugin.object.pointer("/spec/targetRefs").is_some()
                || plugin.object.pointer("/spec/targetRef").is_some(),
            "it has no selector".to_owned(),
            "every pod of the namespace decides, so two on a path may",
            format!(
                "kubectl {} --type=merge -p '{}'",
                plugin.resource(),
                r#"{"spec":{"selector":{"matchLabels":{"serin.dev/decide":"true"}}}}"#
            ),
        );
    }
    Ok(())
}

pub fn policy(snapshot: &Snapshot, found: &mut Found) -> Result<(), String> {
    for plugin in ours(snapshot)? {
        let policy = match plugin.policy() {
            None => continue,
            Some(Ok(policy)) => policy,
            Some(Err(error)) => {
                let path = if plugin.kind == "WasmPlugin" {
                    "/spec/pluginConfig"
                } else {
                    "/spec/wasm/pluginConfig"
                };
                found.fault(
                    plugin.shown(),
                    say(
                        format!("the filter refuses its policy: {error}"),
                        "sidecars keep the policy of before, and Kubernetes shows nothing of it",
                        format!(
                            "kubectl {} --type=json -p '[{{\"op\":\"remove\",\"path\":\"{path}\"}}]'; the controller then writes it anew",
                            plugin.resource()
                        ),
                    ),
                );
                continue;
            }
        };
        let exposes = policy.rollouts.iter().any(|rollout| rollout.arms.exposes());
        match &policy.lease {
            None if exposes => found.warning(
                plugin.shown(),
                say(
                    "its policy has traffic for a new version, and no lease",
                    "when the controller is gone, nothing takes that traffic back",
                    "let the controller write it: serin run --istio-plugin",
                ),
            ),
            Some(lease) => {
                let host = lease.cluster.rsplit('|').next().unwrap_or_default();
                let known = crate::snapshot::service_of(host, "");
                let (name, namespace) = known.unwrap_or_default();
                let outbound = lease.cluster.starts_with("outbound|");
                if outbound && snapshot.object("Service", &namespace, &name)?.is_none() {
                    found.fault(
                        plugin.shown(),
                        say(
                            format!("its lease is asked for at {host}, and there is no Service {namespace}/{name}"),
                            "every sidecar's lease ends, and with it the canary's traffic",
                            "start the controller with --istio-lease SERVICE.NAMESPACE.svc.cluster.local:7070, as its Service is called",
                        ),
                    );
                }
            }
            None => {}
        }
    }
    Ok(())
}
