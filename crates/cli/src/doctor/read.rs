//! Reads an installation. What cannot be read is kept as the reason.

#![allow(clippy::indexing_slicing, reason = "a JSON value is indexed by name, and what is not there is null")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use api::path::METRICS;
use doctor::{Api, Arguments, Clock, KINDS, Page, Part, Proxy, Snapshot};
use istio::{Client, Plugin, installation};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{prometheus, rights};
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

    /// A page of metrics.
    async fn page(&self, url: &str) -> Result<Page, String> {
        let answer = self.ask(url, &[]).await?;
        match answer.is_success {
            true => Ok(Page(answer.text)),
            false => Err(format!("{url} answers {}", answer.status)),
        }
    }

    /// What it answers, whether it does what was asked or says why not.
    pub async fn ask(&self, url: &str, query: &[(&str, &str)]) -> Result<Answer, String> {
        if url.starts_with("https://") {
            return Err(format!("{url}: doctor speaks plain HTTP; forward its port: kubectl port-forward"));
        }
        let told = |error: reqwest::Error| format!("{url}: {}", with_causes(&error.without_url()));
        let address =
            reqwest::Url::parse_with_params(url, query).map_err(|error| format!("{url}: {error}"))?;
        let answer = self.0.get(address).send().await.map_err(told)?;
        let date = answer.headers().get("date").and_then(|date| date.to_str().ok()).map(str::to_owned);
        let (is_success, status) = (answer.status().is_success(), answer.status().to_string());
        Ok(Answer { is_success, status, text: answer.text().await.map_err(told)?, date })
    }
}

/// An answer over HTTP.
pub struct Answer {
    /// Was it done?
    pub is_success: bool,
    /// Its status, for people.
    pub status: String,
    pub text: String,
    /// Its `Date`.
    pub date: Option<String>,
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
    // Whoever has not answered once is not asked again: each question would be waited for.
    let mut silent = None;
    match installation::date(&client).await {
        Ok(date) => {
            if let Some(ahead_ms) = date.as_deref().and_then(ahead_ms) {
                clocks.push(Clock { of: "the API server".to_owned(), ahead_ms });
            }
        }
        Err(why) => silent = Some(why),
    }
    // What cannot be read is read again below, and said then.
    let own = read(&client, &["Deployment", "StatefulSet"], &of([&options.namespace]), &mut silent).await;
    let workloads: Vec<Value> = own.into_values().filter_map(Result::ok).flatten().collect();
    let plugins = plugins(options, &workloads);
    let mut namespaces = of([&options.namespace, &options.istio_namespace]);
    namespaces.extend(plugins.iter().map(|(namespace, _)| namespace.clone()));
    let mut objects = read(&client, &["TrafficExtension", "WasmPlugin"], &namespaces, &mut silent).await;
    namespaces.extend(services(&objects));
    let rest: Vec<&'static str> = KINDS.into_iter().filter(|kind| !objects.contains_key(kind)).collect();
    objects.extend(read(&client, &rest, &namespaces, &mut silent).await);
    let callers: BTreeSet<String> = plugins.iter().map(|(namespace, _)| namespace.clone()).collect();
    let proxies = async {
        match without.contains(&Part::Proxies) {
            true => Vec::new(),
            false => proxies(options, &client, &web, &objects, &plugins).await,
        }
    };
    let controller = async {
        match &options.controller {
            _ if without.contains(&Part::Controller) => Err("left out".to_owned()),
            None => Err(unnamed("controller")),
            Some(url) => web.page(&format!("{}{METRICS}", url.trim_end_matches('/'))).await,
        }
    };
    let prometheus = async {
        match &options.prometheus {
            _ if without.contains(&Part::Prometheus) => Err("left out".to_owned()),
            None => Err(unnamed("prometheus")),
            Some(url) => prometheus::ask(&web, url, &callers, &mut clocks).await,
        }
    };
    let rights = async {
        match without.contains(&Part::Rights) {
            true => Vec::new(),
            false => rights::ask(&client, &options.namespace, &objects, &plugins, silent.clone()).await,
        }
    };
    let api = async {
        match &silent {
            Some(why) => Err(why.clone()),
            None => installation::served(&client).await.map(|served| Api { served }),
        }
    };
    let (proxies, controller, prometheus, rights, api) =
        tokio::join!(proxies, controller, prometheus, rights, api);
    Ok(Snapshot {
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
        namespace: options.namespace.clone(),
        root_namespace: options.istio_namespace.clone(),
        plugins,
        api,
        objects,
        rights,
        proxies,
        controller,
        prometheus,
        clocks,
        without,
    })
}

fn unnamed(what: &str) -> String {
    format!("its address is not known: --{what} URL (kubectl port-forward), or --without {what}")
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
    let controllers: Vec<Arguments> = workloads.iter().filter_map(Arguments::of).collect();
    let written = controllers.iter().flat_map(|given| given.values("--istio-plugin"));
    let written: Vec<istio::Place> = written.filter_map(|place| place.parse().ok()).collect();
    let places = if options.plugin.is_empty() { &written } else { &options.plugin };
    places.iter().map(|place| (place.namespace.clone(), place.name.clone())).collect()
}

/// By kind: its objects, or why they cannot be read.
pub type Objects = BTreeMap<&'static str, Result<Vec<Value>, String>>;

/// Is this why nothing was read: the API server did not answer in time?
pub fn is_silent(why: &str) -> bool {
    why.contains("did not answer within")
}

/// Reads these kinds at once; none, for that reason, where the API server was `silent` before.
async fn read(
    client: &Client,
    kinds: &[&'static str],
    namespaces: &BTreeSet<String>,
    silent: &mut Option<String>,
) -> Objects {
    if let Some(why) = silent {
        return kinds.iter().map(|kind| (*kind, Err(why.clone()))).collect();
    }
    let mut reading = JoinSet::new();
    for kind in kinds.iter().copied() {
        let (client, namespaces) = (client.clone(), namespaces.clone());
        reading.spawn(async move { (kind, installation::objects(&client, kind, &namespaces).await) });
    }
    let objects: Objects = reading.join_all().await.into_iter().collect();
    *silent = objects.values().filter_map(|read| read.as_ref().err()).find(|why| is_silent(why)).cloned();
    objects
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
            all.push(Proxy { name: url.clone(), page: web.page(url).await });
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

pub fn metadata<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get("metadata")?.get(field)?.as_str()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// An address at which every question is answered with this.
    async fn answering(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let _ = connection.read(&mut [0; 4096]).await;
                let _ = connection.write_all(answer.as_bytes()).await;
            }
        });
        url
    }

    #[tokio::test]
    async fn an_answer_is_what_was_asked_for_or_it_is_none() {
        const REFUSED: &str = "HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\n{\"status\": \"error\", \"error\": \"too many\"}";
        const HTML: &str = "HTTP/1.1 502 Bad Gateway\r\nconnection: close\r\n\r\n<html>";
        const PAGE: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nserin_leads 1\n";
        let web = Web::new().unwrap();
        let of = |page: Result<Page, String>| page.map(|page| page.0);
        assert_eq!(of(web.page(&answering(PAGE).await).await).as_deref(), Ok("serin_leads 1\n"));
        for (answer, page, query) in [(REFUSED, "403", "too many"), (HTML, "502", "502")] {
            let url = answering(answer).await;
            let said = of(web.page(&url).await).unwrap_err();
            assert!(said.contains(page), "{said}");
            let said = prometheus::ask(&web, &url, &BTreeSet::new(), &mut Vec::new()).await.unwrap_err();
            assert!(said.contains(query), "{said}");
        }
    }

    /// Each question to it would be waited for.
    #[tokio::test]
    async fn who_was_silent_is_not_asked_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let file = tempfile::NamedTempFile::new().unwrap();
        let config = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "a",
            "clusters": [{"name": "a", "cluster": {"server": server}}],
            "users": [{"name": "a", "user": {}}],
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        });
        std::fs::write(file.path(), config.to_string()).unwrap();
        let client = Plugin::client(Some(file.path())).await.unwrap();
        let why = "the API server did not answer within 10 s".to_owned();
        let namespaces = BTreeSet::from(["models".to_owned()]);
        let workload = serde_json::json!({
            "metadata": {"name": "serin", "namespace": "models"},
            "spec": {"template": {"spec": {"containers": [{"args": ["--ecds=x", "--kubernetes-lease=a/b"]}]}}},
        });
        let known = Objects::from([("Deployment", Ok(vec![workload]))]);
        let asking = async {
            let objects = read(&client, &KINDS, &namespaces, &mut Some(why.clone())).await;
            (objects, rights::ask(&client, "models", &known, &[], Some(why.clone())).await)
        };
        let (objects, rights) = tokio::select! {
            both = asking => both,
            _ = listener.accept() => panic!("it was asked again"),
        };
        assert!(rights.len() == 8 && rights.iter().all(|(_, may)| may.as_ref() == Err(&why)), "{rights:?}");
        assert_eq!(objects.len(), KINDS.len());
        assert!(objects.values().all(|read| read.as_ref().is_err_and(|error| *error == why)));
    }
}
