//! `serin run`: the parts put together.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use envoy::stats::Admin;
use envoy::{Ecds, EcdsFile, Resource};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::api::{self, Api};
use crate::args::Run;
use crate::engine::{Engine, Inputs};
use crate::hook::{Hooks, Programs};
use crate::lease::LeaseBook;
use crate::publish::Publisher;
use crate::scrape::Scraper;
use crate::sources::{Hosts, Secrets, Sources};
use crate::store::{Archive, Store};
use crate::traffic::TrafficLog;
use crate::webhook::Deliveries;

pub async fn run(options: Run) -> Result<ExitCode> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()),
        )
        .init();
    let wasm = std::path::absolute(&options.wasm)?;
    let mut store = Store::open(&options.store)?;
    store.keep_ms = options.keep.ms();
    let archive = Archive::of(&options.store);
    let incarnation = store.incarnation;
    let admins = options
        .envoy_admin
        .iter()
        .map(|told| admin(told))
        .collect::<Result<Vec<_>, _>>()
        .context("--envoy-admin")?;

    let ecds = Ecds::new(Resource::local(&wasm), incarnation);
    let file = match &options.ecds_file {
        Some(directory) => {
            let file = EcdsFile::new(directory, Resource::local(&wasm), incarnation);
            file.prepare().await.context("--ecds-file")?;
            Some(file)
        }
        None => None,
    };
    let (scraper, refusals, accepted) =
        Scraper::new(admins.clone(), Duration::from_millis(options.period_ms), incarnation);
    // A policy that travels as a file is acknowledged by nobody; what Envoy accepted is then read from its admin.
    let nodes = if file.is_some() { accepted } else { ecds.nodes() };

    let lease = LeaseBook::new(incarnation, options.lease_interval_ms.saturating_mul(5));
    let publisher = Publisher::new(ecds.clone(), file, incarnation, options.lease_interval_ms);
    let secrets = Secrets { dir: options.secret_dir, env_prefix: options.secret_env };
    let sources = Sources::new(secrets, Hosts(options.source_host))?;
    let hooks = Hooks::new(reqwest::Client::new(), Programs::named(options.hook_command));
    let (mut engine, views) = Engine::open(store, publisher, lease.clone(), sources.clone(), hooks)?;
    if let Some(directory) = &options.record {
        engine.record(TrafficLog::new(directory).context("--record")?);
    }
    engine.ask_at(admins.into_iter().map(|(_, admin)| admin).collect());
    let (triggers, pulse) = (engine.trigger_views(), engine.pulse.clone());

    let ecds_socket = listen("--ecds", options.ecds).await?;
    let http_socket = listen("--http", options.http).await?;
    tracing::info!("serin {} incarnation {incarnation}", env!("CARGO_PKG_VERSION"));
    tracing::info!("http on {}, ecds on {}", options.http, options.ecds);

    let (commands, commanded) = mpsc::channel(64);
    let (counted, increments) = mpsc::channel(16);
    let (stop, stopped) = watch::channel(false);
    let router = api::router(Api {
        commands,
        views,
        triggers,
        lease,
        archive,
        pulse,
        sources,
        deliveries: Deliveries::default(),
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
    Ok(ExitCode::SUCCESS)
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
