//! Reads an installation. What cannot be read is kept as the reason.

#![allow(clippy::indexing_slicing, reason = "a JSON value is indexed by name, and what is not there is null")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use api::path::METRICS;
use doctor::{Api, Clock, KINDS, Page, Part, Proxy, Right, Snapshot};
use istio::{Client, Deed, Plugin, installation};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::prometheus;
use crate::args::{Doctor, doctor::Part as Left};

/// So many pages are asked for at once: they pass through the API server.
const AT_ONCE: usize = 16;

/// Asks over plain HTTP, as our own API and Prometheus inside a cluster speak.
pub struct Web(reqwest::Client);

impl Web {
    fn new() -> Result<Self> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).no_proxy().build();
        Ok(Self(client.context("no HTTP client")?))
    }

    /// The text of an answer, and its `Date`.
    pub async fn get(&self, url: &str, query: &[(&str, &str)]) -> Result<(String, Option<String>), String> {
        if url.starts_with("https://") {
            return Err(format!("{url}: doctor speaks plain HTTP; forward its port: kubectl port-forward"));
        }
        let told = |error: reqwest::Error| format!("{url}: {}", with_causes(&error.without_url()));
        let address =
            reqwest::Url::parse_with_params(url, query).map_err(|error| format!("{url}: {error}"))?;
        let answer = self.0.get(address).send().await.map_err(told)?;
        let date = answer.headers().get("date").and_then(|date| date.to_str().ok()).map(str::to_owned);
        let status = answer.status();
        let text = answer.text().await.map_err(told)?;
        // A refused query says why in its body.
        if status.is_success() || text.starts_with('{') {
            Ok((text, date))
        } else {
            Err(format!("{url} answers {status}"))
        }
    }
}

/// An error of the client says what was tried, and its causes why that failed.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// By how much a clock is ahead that said a whole second just now.
pub fn ahead_ms(date: &str) -> Option<i64> {
    let said_ms = i64::try_from(sources::moment::http_date_ms(date)?).ok()?;
    let now_ms = i64::try_from(crate::clock::unix_ms()).ok()?;
    // It said the second's beginning.
    let ahead = said_ms + 500 - now_ms;
    Some(if ahead.abs() <= 1_000 { 0 } else { ahead })
}

/// Reads all of it.
///
/// # Errors
/// When it is not known where the API server is.
pub async fn snapshot(options: &Doctor) -> Result<Snapshot> {
    let (client, web) = (Plugin::client(options.kubeconfig.as_deref()).await?, Web::new()?);
    let without: BTreeSet<Part> = options.without.iter().copied().map(part).collect();
    let mut clocks = Vec::new();
    if let Ok(Some(date)) = installation::date(&client).await
        && let Some(ahead_ms) = ahead_ms(&date)
    {
        clocks.push(Clock { of: "the API server".to_owned(), ahead_ms });
    }
    let own = of([&options.namespace]);
    let mut workloads = Vec::new();
    for kind in ["Deployment", "StatefulSet"] {
        // What cannot be read is read again below, and said then.
        workloads.extend(installation::objects(&client, kind, &own).await.unwrap_or_default());
    }
    let plugins = plugins(options, &workloads);
    let mut namespaces = of([&options.namespace, &options.istio_namespace]);
    namespaces.extend(plugins.iter().map(|(namespace, _)| namespace.clone()));
    let mut objects = read(&client, &["TrafficExtension", "WasmPlugin"], &namespaces).await;
    namespaces.extend(services(&objects));
    let rest: Vec<&'static str> = KINDS.into_iter().filter(|kind| !objects.contains_key(kind)).collect();
    objects.extend(read(&client, &rest, &namespaces).await);
    let callers: BTreeSet<String> = plugins.iter().map(|(namespace, _)| namespace.clone()).collect();
    let proxies = match without.contains(&Part::Proxies) {
        true => Vec::new(),
        false => proxies(options, &client, &web, &objects, &plugins).await,
    };
    let controller = match &options.controller {
        _ if without.contains(&Part::Controller) => Err("left out".to_owned()),
        None => {
            Err("its address is not known: --controller URL (kubectl port-forward), or --without controller"
                .to_owned())
        }
        Some(url) => {
            web.get(&format!("{}{METRICS}", url.trim_end_matches('/')), &[]).await.map(|(text, _)| Page(text))
        }
    };
    let prometheus = match &options.prometheus {
        _ if without.contains(&Part::Prometheus) => Err("left out".to_owned()),
        None => {
            Err("its address is not known: --prometheus URL (kubectl port-forward), or --without prometheus"
                .to_owned())
        }
        Some(url) => {
            let namespaces = callers.iter().cloned().collect::<Vec<_>>().join("|");
            prometheus::ask(&web, url, &namespaces, &mut clocks).await
        }
    };
    let rights = match without.contains(&Part::Rights) {
        true => Vec::new(),
        false => rights(&client, options, &objects, &plugins).await,
    };
    Ok(Snapshot {
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
        namespace: options.namespace.clone(),
        root_namespace: options.istio_namespace.clone(),
        plugins,
        api: installation::served(&client).await.map(|served| Api { served }),
        objects,
        rights,
        proxies,
        controller,
        prometheus,
        clocks,
        without,
    })
}

fn of<const N: usize>(names: [&String; N]) -> BTreeSet<String> {
    names.into_iter().cloned().collect()
}

const fn part(left: Left) -> Part {
    match left {
        Left::Controller => Part::Controller,
        Left::Prometheus => Part::Prometheus,
        Left::Proxies => Part::Proxies,
        Left::Rights => Part::Rights,
        Left::Versions => Part::Versions,
    }
}

/// Those that were named, else those that the controller writes.
fn plugins(options: &Doctor, workloads: &[Value]) -> Vec<(String, String)> {
    let written = workloads.iter().flat_map(|one| given(one, "--istio-plugin="));
    let written: Vec<istio::Place> = written.filter_map(|place| place.parse().ok()).collect();
    let places = if options.plugin.is_empty() { &written } else { &options.plugin };
    places.iter().map(|place| (place.namespace.clone(), place.name.clone())).collect()
}

/// What a workload's containers are given by an argument (`--name=`), which names several with commas.
fn given<'w>(workload: &'w Value, argument: &'static str) -> impl Iterator<Item = &'w str> {
    let containers = workload.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    let arguments =
        containers.into_iter().flatten().filter_map(|container| container["args"].as_array()).flatten();
    arguments.filter_map(move |given| given.as_str()?.strip_prefix(argument)).flat_map(|all| all.split(','))
}

type Objects = BTreeMap<&'static str, Result<Vec<Value>, String>>;

async fn read(client: &Client, kinds: &[&'static str], namespaces: &BTreeSet<String>) -> Objects {
    let mut reading = JoinSet::new();
    for kind in kinds.iter().copied() {
        let (client, namespaces) = (client.clone(), namespaces.clone());
        reading.spawn(async move { (kind, installation::objects(&client, kind, &namespaces).await) });
    }
    reading.join_all().await.into_iter().collect()
}

/// Namespaces of the services that policies speak of: their routes and pods are there.
fn services(objects: &Objects) -> BTreeSet<String> {
    let plugins = objects.values().filter_map(|read| read.as_ref().ok()).flatten();
    let hosts = plugins.flat_map(|plugin| {
        let policy =
            plugin.pointer("/spec/wasm/pluginConfig").or_else(|| plugin.pointer("/spec/pluginConfig"));
        let rollouts = policy.and_then(|policy| policy["rollouts"].as_array()).into_iter().flatten();
        rollouts
            .filter_map(|rollout| rollout.pointer("/match/authority")?.as_array())
            .flatten()
            .filter_map(Value::as_str)
    });
    // NAME.NAMESPACE.svc...
    let namespaces = hosts.filter_map(|host| {
        let mut parts = host.split('.').skip(1);
        parts.next().filter(|_| parts.next() == Some("svc")).map(str::to_owned)
    });
    namespaces.collect()
}

/// The pages that were named, else those of the pods that decide.
async fn proxies(
    options: &Doctor,
    client: &Client,
    web: &Web,
    objects: &Objects,
    plugins: &[(String, String)],
) -> Vec<Proxy> {
    if !options.proxy_metrics.is_empty() {
        let mut all = Vec::new();
        for url in &options.proxy_metrics {
            all.push(Proxy { name: url.clone(), page: web.get(url, &[]).await.map(|(text, _)| Page(text)) });
        }
        return all;
    }
    let get = |kind: &str| objects.get(kind).and_then(|read| read.as_deref().ok()).unwrap_or_default();
    let mut reading = JoinSet::new();
    let mut pods = BTreeSet::new();
    for plugin in get("TrafficExtension").iter().chain(get("WasmPlugin")) {
        let at = |field| metadata(plugin, field).unwrap_or_default();
        let Some(labels) = plugin.pointer("/spec/selector/matchLabels").and_then(Value::as_object) else {
            continue;
        };
        if !plugins.iter().any(|(namespace, name)| namespace == at("namespace") && name == at("name")) {
            continue;
        }
        let chosen = get("Pod").iter().filter(|pod| {
            let worn = pod.pointer("/metadata/labels");
            metadata(pod, "namespace") == Some(at("namespace"))
                && labels.iter().all(|(name, value)| worn.and_then(|worn| worn.get(name)) == Some(value))
        });
        pods.extend(
            chosen
                .filter_map(|pod| metadata(pod, "name"))
                .map(|name| (at("namespace").to_owned(), name.to_owned())),
        );
    }
    let places = Arc::new(Semaphore::new(AT_ONCE));
    for (namespace, pod) in pods {
        let (client, places) = (client.clone(), places.clone());
        reading.spawn(async move {
            // Never closed.
            let _place = places.acquire().await;
            let page = installation::page(&client, &namespace, &pod, "15020/proxy/stats/prometheus").await;
            Proxy { name: format!("{namespace}/{pod}"), page: page.map(Page) }
        });
    }
    let mut all = reading.join_all().await;
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

fn metadata<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get("metadata")?.get(field)?.as_str()
}

/// What the controller needs where it writes a plugin, and what it never does.
async fn rights(
    client: &Client,
    options: &Doctor,
    objects: &Objects,
    plugins: &[(String, String)],
) -> Vec<(Right, Result<bool, String>)> {
    let of = |kind: &str| objects.get(kind).and_then(|read| read.as_deref().ok()).unwrap_or_default();
    let mut workloads = of("Deployment").iter().chain(of("StatefulSet"));
    let runs = |one: &&Value| {
        metadata(one, "namespace") == Some(&options.namespace) && one.to_string().contains("--ecds")
    };
    let controller = workloads.find(runs);
    let account = controller.and_then(|one| one.pointer("/spec/template/spec/serviceAccountName")?.as_str());
    let account = account.unwrap_or("serin");
    let mut rights = controller.map(rollouts).unwrap_or_default();
    for (namespace, name) in plugins {
        let served = |kind: &str| {
            objects.get(kind).and_then(|read| read.as_deref().ok()).is_some_and(|all| {
                all.iter().any(|one| {
                    metadata(one, "namespace") == Some(namespace) && metadata(one, "name") == Some(name)
                })
            })
        };
        let resource = if served("WasmPlugin") { "wasmplugins" } else { "trafficextensions" };
        for verb in ["get", "patch"] {
            let group = "extensions.istio.io";
            rights.push(Right {
                verb,
                group,
                resource,
                namespace: namespace.clone(),
                name: name.clone(),
                needed: true,
            });
        }
        let never = |verb, group, resource| Right {
            verb,
            group,
            resource,
            namespace: namespace.clone(),
            name: String::new(),
            needed: false,
        };
        rights.push(never("list", "", "secrets"));
        rights.push(never("create", "", "pods"));
    }
    let mut asked = Vec::new();
    for right in rights {
        let deed = Deed {
            verb: right.verb,
            group: right.group,
            resource: right.resource,
            namespace: &right.namespace,
            name: &right.name,
        };
        let may = installation::may(client, (&options.namespace, account), deed).await;
        asked.push((right, may));
    }
    asked
}

/// What a controller needs that takes rollouts from objects.
fn rollouts(controller: &Value) -> Vec<Right> {
    let needs = |namespace: &str| {
        [
            ("list", "serin.dev", "rollouts"),
            ("watch", "serin.dev", "rollouts"),
            ("patch", "serin.dev", "rollouts"),
            ("patch", "serin.dev", "rollouts/status"),
            ("create", "events.k8s.io", "events"),
        ]
        .map(|(verb, group, resource)| Right {
            verb,
            group,
            resource,
            namespace: if namespace == "all" { String::new() } else { namespace.to_owned() },
            name: String::new(),
            needed: true,
        })
    };
    given(controller, "--kubernetes-rollouts=").flat_map(needs).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_takes_objects_needs_their_rights() {
        for (argument, namespaces) in [
            ("--kubernetes-rollouts=models,search", &["models", "search"][..]),
            ("--kubernetes-rollouts=all", &[""]),
            ("--istio-plugin=models/serin", &[]),
        ] {
            let args = ["run", argument, "--ecds=0.0.0.0:7071"];
            let controller = json!({"spec": {"template": {"spec": {"containers": [{"args": args}]}}}});
            let rights = rollouts(&controller);
            let found: BTreeSet<&str> = rights.iter().map(|right| right.namespace.as_str()).collect();
            assert_eq!(found, namespaces.iter().copied().collect(), "{argument}");
            assert_eq!(rights.len(), 5 * namespaces.len(), "{argument}");
        }
    }
}
