//! `serin run`: the parts put together.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use envoy::stats::Admin;
use envoy::{Ecds, EcdsFile, Resource};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::doors::{Doors, TurnedAway};
use crate::engine::{Engine, Inputs, Scribe};
use crate::hook::{Hooks, Programs};
use crate::lease::Leases;
use crate::publish::{Publisher, Target};
use crate::scrape::Scraper;
use crate::server::{self, Api};
use crate::specification::Readers;
use crate::traffic::TrafficLog;
use crate::webhook::Deliveries;
use sources::{Hosts, Secrets, Sources};
use store::{Archive, Store};

/// What the operator says; every field is an option of `serin run`.
pub struct Config {
    /// Where the API, the lease and the metrics are served.
    pub http: SocketAddr,
    /// Where Envoys fetch the policy (ECDS over gRPC).
    pub ecds: SocketAddr,
    /// The state, a SQLite file.
    pub store: PathBuf,
    /// How long runs are kept after another has followed them, in milliseconds.
    pub keep_ms: u64,
    /// The filter, at the path where Envoy finds it.
    pub wasm: PathBuf,
    /// The admin addresses of the Envoys whose counters are evidence, each with its region before it (`eu-west=http://...`)
    /// or without.
    pub envoy_admins: Vec<String>,
    /// Also write the policy into this directory.
    pub ecds_file: Option<PathBuf>,
    /// Keep each rollout's counts in this directory.
    pub record: Option<PathBuf>,
    /// How often counters are read.
    pub period: Duration,
    /// How often each Envoy asks whether its policy still stands, in milliseconds.
    pub lease_interval_ms: u32,
    /// The secrets that rollouts may name.
    pub secrets: Secrets,
    /// The hosts that sources of rollouts may be asked at.
    pub source_hosts: Hosts,
    /// The programs that hooks of rollouts may run.
    pub hook_commands: Vec<String>,
    /// What the controller is called besides localhost and its address.
    pub allowed_hosts: Vec<sources::Host>,
}

/// Serves until it is told to stop.
///
/// # Errors
/// When the store, an address or an option cannot be used, and when a part of the process fails.
pub async fn run(config: Config) -> Result<()> {
    let wasm = std::path::absolute(&config.wasm)?;
    let mut store = Store::open(&config.store)?;
    store.keep_ms = config.keep_ms;
    let archive = Archive::of(&config.store);
    let incarnation = store.incarnation;
    let admins = config
        .envoy_admins
        .iter()
        .map(|told| admin(told))
        .collect::<Result<Vec<_>, _>>()
        .context("--envoy-admin")?;

    let ecds = Ecds::new(Resource::local(&wasm), incarnation);
    let mut targets: Vec<Box<dyn Target>> = Vec::new();
    if let Some(directory) = &config.ecds_file {
        let file = EcdsFile::new(directory, Resource::local(&wasm), incarnation);
        file.prepare().await.context("--ecds-file")?;
        targets.push(Box::new(file));
    }
    targets.push(Box::new(ecds.clone()));
    let (scraper, refusals, accepted) = Scraper::new(admins.clone(), config.period, incarnation);
    // A policy that travels as a file is acknowledged by nobody; what Envoy accepted is then read from its admin.
    let nodes = if config.ecds_file.is_some() { accepted } else { ecds.nodes() };

    let lease = Leases::new(incarnation, config.lease_interval_ms.saturating_mul(5));
    let publisher = Publisher::new(targets, incarnation, config.lease_interval_ms);
    let sources = Sources::new(config.secrets, config.source_hosts)?;
    let hooks = Hooks::new(reqwest::Client::new(), Programs::named(config.hook_commands));
    let store = Scribe::new(store)?;
    let (mut engine, views) = Engine::open(store, publisher, lease.clone(), sources.clone(), hooks)?;
    if let Some(directory) = &config.record {
        engine.record(TrafficLog::new(directory).context("--record")?);
    }
    engine.ask_at(admins.into_iter().map(|(_, admin)| admin).collect());
    let (triggers, pulse) = (engine.trigger_views(), engine.pulse.clone());

    let ecds_socket = listen("--ecds", config.ecds).await?;
    let http_socket = listen("--http", config.http).await?;
    tracing::info!("serin {} incarnation {incarnation}", env!("CARGO_PKG_VERSION"));
    tracing::info!("http on {}, ecds on {}", config.http, config.ecds);

    let (commands, commanded) = mpsc::channel(64);
    let (counted, increments) = mpsc::channel(16);
    let (stop, stopped) = watch::channel(false);
    let router = server::router(Api {
        commands,
        views,
        triggers,
        lease,
        archive,
        pulse,
        sources,
        deliveries: Deliveries::default(),
        readers: Readers::default(),
        doors: Doors::new(config.http, config.allowed_hosts, TurnedAway::default()),
    });
    let stops = |mut stopped: watch::Receiver<bool>| async move {
        // The sender going away is a stop as well.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    tokio::spawn(scraper.run(counted, engine.wanted()));
    let mut serving_ecds = tokio::spawn(ecds.serve(ecds_socket, stops(stopped.clone())));
    let mut serving_http = tokio::spawn(
        axum::serve(http_socket, router).with_graceful_shutdown(stops(stopped.clone())).into_future(),
    );
    let inputs = Inputs { commands: commanded, increments, nodes, refusals };
    let mut running = tokio::spawn(engine.run(inputs, stops(stopped)));

    // Whatever ends first ends the process: half a controller must not look like a whole one.
    tokio::select! {
        () = signal() => tracing::info!("stopping; proxies keep their policy until its lease runs out"),
        ended = &mut serving_ecds => ended?.context("the ECDS server failed")?,
        ended = &mut serving_http => ended?.context("the HTTP server failed")?,
        ended = &mut running => ended?.context("the engine failed")?,
    }
    stop.send_replace(true);
    if !running.is_finished() {
        let _ = tokio::time::timeout(Duration::from_secs(5), running).await;
    }
    Ok(())
}

/// An Envoy's admin address, with its region before it where the operator says so (`eu-west=http://...`).
fn admin(told: &str) -> Result<(Option<String>, Admin), envoy::stats::ReadError> {
    match told.split_once('=').filter(|(region, _)| !region.contains("://")) {
        Some((region, url)) => Ok((Some(region.to_owned()), Admin::new(url)?)),
        None => Ok((None, Admin::new(told)?)),
    }
}

async fn listen(option: &str, address: std::net::SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{option}: cannot listen on {address}; is another serin running there?"))
}

async fn signal() {
    let mut term = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(term) => term,
        Err(_) => return std::future::pending().await,
    };
    tokio::select! {
        _ = term.recv() => {}
        result = tokio::signal::ctrl_c() => if result.is_err() { std::future::pending::<()>().await },
    }
}
