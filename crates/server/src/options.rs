//! What the options of `serin run` name, read as a leader needs it. A replica reads them before it follows, so that what is wrong
//! is said when it starts, and not when it is to lead.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::sources::{Hosts, Sources};
use anyhow::{Context as _, Result, anyhow};
use envoy::stats::{Admin, Metrics, ReadError};
use envoy::{EcdsFile, Resource};
use hooks::{Hooks, Programs};
use istio::{Plugin, Selection};
use outbound::RootCertStore;
use scrape::prometheus::Prometheus;
use scrape::{Behind, Placed, Reader, Signals};
use store::TrafficLog;

use crate::Config;

/// So long a start waits for the API server.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where counters are read.
pub enum Page {
    /// The pods of a selection.
    Pods(String),
    /// Every address of a name.
    Behind(Behind),
    /// One page.
    One(Metrics),
}

/// All of them, with nothing used or asked for but what an API server says of the plugins.
///
/// # Errors
/// What is wrong with which option.
pub async fn check(config: &Config) -> Result<()> {
    let roots = outbound::system();
    let kubeconfig = config.plugins.kubeconfig.as_deref();
    admins(config)?;
    for (_, page) in pages(config)? {
        if let Page::Pods(address) = page {
            let context = address.parse::<Selection>().map_err(|why| anyhow!(why))?.context;
            Plugin::client_of(kubeconfig, context.as_deref()).await.context("--proxy-metrics")?;
        }
    }
    if !config.prometheus.urls.is_empty() {
        drop(prometheus(config, &roots)?);
    }
    drop((sources(config, &roots)?, hooks(config, &roots)?));
    if let Some(directory) = &config.record {
        TrafficLog::new(directory).context("--record")?;
    }
    if let Some(directory) = &config.ecds_file {
        let file = EcdsFile::new(directory, Resource::local(&std::path::absolute(&config.wasm)?), 0);
        file.prepare().await.context("--ecds-file")?;
    }
    if config.plugins.rollouts.is_some() {
        Plugin::client(kubeconfig).await.context("--kubernetes-rollouts")?;
    }
    plugins(config, kubeconfig).await.context("--istio-plugin")
}

async fn plugins(config: &Config, kubeconfig: Option<&Path>) -> Result<()> {
    if config.plugins.places.is_empty() {
        return Ok(());
    }
    let client = Plugin::client(kubeconfig).await?;
    for place in &config.plugins.places {
        // An API server that is away is no mistake of whoever wrote the option.
        if let Ok(found) = tokio::time::timeout(PATIENCE, Plugin::check(&client, place)).await {
            found?;
        }
    }
    Ok(())
}

/// The Envoys at whose admin port counters are read.
pub fn admins(config: &Config) -> Result<Vec<(Option<String>, Admin)>> {
    let admins = config.envoy_admins.iter().map(|told| placed(told, Admin::new));
    admins.collect::<Result<_, ReadError>>().context("--envoy-admin")
}

/// The pages that counters are read from.
pub fn pages(config: &Config) -> Result<Vec<(Option<String>, Page)>> {
    let page = |address: &str| -> Result<Page> {
        if address.starts_with(Selection::SCHEME) {
            address.parse::<Selection>().map_err(|why| anyhow!(why))?;
            Ok(Page::Pods(address.to_owned()))
        } else if address.starts_with("dns://") {
            Ok(Page::Behind(Behind::new(address)?))
        } else {
            Ok(Page::One(Metrics::new(address)?))
        }
    };
    let read = whole_addresses(&config.proxy_metrics).into_iter().map(|told| {
        let (region, address) = region_of(&told);
        Ok((region, page(address).context("--proxy-metrics")?))
    });
    read.collect()
}

/// The Prometheus that is asked for counters.
pub fn prometheus(config: &Config, roots: &Arc<RootCertStore>) -> Result<(Prometheus, Signals)> {
    Prometheus::new(&config.prometheus, config.period, roots)
        .map_err(|error| anyhow!(error))
        .context("--prometheus")
}

/// Where figures of the user's own come from.
pub fn sources(config: &Config, roots: &Arc<RootCertStore>) -> Result<Sources> {
    Sources::new(config.secrets.clone(), roots.clone(), config.source_hosts.clone())
}

/// Whoever calls hooks.
pub fn hooks(config: &Config, roots: &Arc<RootCertStore>) -> Result<Hooks> {
    let terms = &config.hooks;
    let programs = Programs::named(terms.commands.clone(), terms.env.clone());
    Hooks::new(roots.clone(), Hosts::clone(&terms.hosts), programs).map_err(|error| anyhow!(error))
}

/// The address of an Envoy, with its region before it where the operator says so (`eu-west=http://...`).
fn placed<R>(
    told: &str,
    read: impl Fn(&str) -> Result<R, ReadError>,
) -> Result<(Option<String>, R), ReadError> {
    let (region, address) = region_of(told);
    Ok((region, read(address)?))
}

/// What stands before an address, and the address.
fn region_of(told: &str) -> (Option<String>, &str) {
    match told.split_once('=').filter(|(region, _)| !region.contains("://")) {
        Some((region, address)) => (Some(region.to_owned()), address),
        None => (None, told),
    }
}

/// Addresses were taken apart at commas, and several labels of pods have commas between them.
fn whole_addresses(told: &[String]) -> Vec<String> {
    let mut whole: Vec<String> = Vec::with_capacity(told.len());
    for part in told {
        let (_, address) = region_of(part);
        match whole.last_mut() {
            Some(last)
                if !address.contains("://") && region_of(last).1.starts_with(istio::Selection::SCHEME) =>
            {
                last.push(',');
                last.push_str(part);
            }
            _ => whole.push(part.clone()),
        }
    }
    whole
}

/// Something that reads one page, wherever it is.
pub fn reader((region, reader): (Option<String>, impl Reader + 'static)) -> Placed {
    (region, Arc::new(reader))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::path::PathBuf;

    use super::*;
    use crate::{HookTerms, Plugins, ProxyTerms, ReplicaTerms};

    #[test]
    fn addresses_are_whole_again_with_their_regions() {
        let told = "eu=pods://models/app=a,serin.dev/decide=true:1/x,http://10.0.0.7:1/x,us=pods://b@c/d=e,dns://f:1/x";
        let told: Vec<String> = told.split(',').map(str::to_owned).collect();
        let whole = whole_addresses(&told);
        assert_eq!(
            whole.iter().map(|told| region_of(told)).collect::<Vec<_>>(),
            [
                (Some("eu".to_owned()), "pods://models/app=a,serin.dev/decide=true:1/x"),
                (None, "http://10.0.0.7:1/x"),
                (Some("us".to_owned()), "pods://b@c/d=e"),
                (None, "dns://f:1/x"),
            ]
        );
        // What is no address goes on to be refused as one.
        let told = ["http://10.0.0.7:1/x", "10.0.0.8:1/x"].map(str::to_owned);
        assert_eq!(whole_addresses(&told), told);
    }

    fn config(dir: &std::path::Path) -> Config {
        let kubeconfig = dir.join("kubeconfig");
        let text = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "x", "users": [{"name": "x", "user": {}}],
            "clusters": [{"name": "x", "cluster": {"server": "http://127.0.0.1:1"}}],
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        });
        std::fs::write(&kubeconfig, text.to_string()).expect("written");
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        Config {
            http: any,
            ecds: any,
            store: dir.join("serin.db"),
            keep_ms: 1_000,
            wasm: PathBuf::from("/filter.wasm"),
            envoy_admins: Vec::new(),
            proxy_metrics: Vec::new(),
            prometheus: scrape::prometheus::Terms::default(),
            ecds_file: None,
            plugins: Plugins {
                places: Vec::new(),
                lease: "serin.serin-system.svc.cluster.local:7070".parse().expect("an address"),
                kubeconfig: Some(kubeconfig.clone()),
                rollouts: None,
                workloads: Vec::new(),
            },
            record: None,
            period: std::time::Duration::from_secs(1),
            lease_interval_ms: 1_000,
            secrets: ::sources::Secrets::default(),
            source_hosts: Hosts::default(),
            hooks: HookTerms { commands: Vec::new(), env: Vec::new(), hosts: Hosts::default() },
            allowed_hosts: Vec::new(),
            proxies: ProxyTerms::default(),
            replicas: Some(ReplicaTerms {
                lease: "serin-system/serin".parse().expect("a name"),
                address: None,
                kubeconfig: Some(kubeconfig),
            }),
        }
    }

    /// A replica that may follow for months does not find out when it is to lead.
    #[tokio::test]
    async fn what_only_a_leader_needs_is_read_before_the_lease_is_asked_for() {
        type Wrong = fn(&mut Config);
        let wrong: [(&str, Wrong); 8] = [
            ("--envoy-admin", |config| config.envoy_admins = vec!["ftp://nowhere".to_owned()]),
            ("--proxy-metrics", |config| config.proxy_metrics = vec!["pods://".to_owned()]),
            ("--proxy-metrics", |config| {
                config.proxy_metrics = vec!["pods://other@models/a=b:1/x".to_owned()]
            }),
            ("--proxy-metrics", |config| config.proxy_metrics = vec!["dns://nobody".to_owned()]),
            ("--prometheus", |config| config.prometheus.urls = vec!["nothing".to_owned()]),
            ("--ecds-file", |config| config.ecds_file = Some(PathBuf::from("/proc/none"))),
            ("--record", |config| config.record = Some(PathBuf::from("/proc/none"))),
            ("--secret-dir", |config| config.secrets.dir = Some(PathBuf::from("/proc/none"))),
        ];
        for (option, wrong) in wrong {
            let dir = tempfile::tempdir().expect("a folder");
            let mut config = config(dir.path());
            wrong(&mut config);
            let ends = tokio::time::timeout(std::time::Duration::from_secs(60), crate::run(config)).await;
            let why = ends.expect("it ends at once").expect_err("it is refused");
            assert!(format!("{why:#}").contains(option), "{option}: {why:#}");
        }
        // An API server that is away says nothing of a plugin.
        let dir = tempfile::tempdir().expect("a folder");
        let mut config = config(dir.path());
        config.plugins.places = vec!["models/serin".parse().expect("a place")];
        check(&config).await.expect("nothing is wrong");
    }
}
