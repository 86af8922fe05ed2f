//! `serin run`: the parts put together.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use envoy::{Ecds, EcdsFile, Resource};
use futures::future::BoxFuture;
use istio::Plugin;
use istio::objects::Patience;
use tokio::sync::{mpsc, watch};

use crate::access::RequestGuard;
use crate::cluster::{InCluster, PodsOf};
use crate::entrance::Entrance;
use crate::listen::listen;
use crate::listen::tls::TlsFiles;
use crate::objects::{self, Objects};
use crate::options::{self, Page};
use crate::replicas::{self, ByLease, Doors, Lead, ReplicaTerms};
use crate::server::{self, Api, Exports};
use crate::stopping::{signalled, stops};
use crate::webhook::Deliveries;
use controller::engine::{self, Engine, Inputs, StoreWriter, Succession};
use controller::health::Health;
use controller::publish::{BackgroundTarget, Followers, Publisher, Target};
use controller::specification::SpecificationReaders;
use lease::Leases;
use scrape::Increments;
use scrape::prometheus;
use scrape::{Discovery, Placed, Scraper, Signals, Wanted};
use sources::{Hosts, Secrets};
use store::TrafficLog;
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
    /// The pages for Prometheus of the Envoys whose counters are evidence, with or without a region before each.
    pub proxy_metrics: Vec<String>,
    /// Where counters are asked for in the place of both.
    pub prometheus: prometheus::Terms,
    /// Also write the policy into this directory.
    pub ecds_file: Option<PathBuf>,
    /// Also write the policy into these plugins of Istio.
    pub plugins: Plugins,
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
    /// What hooks of rollouts may do.
    pub hooks: HookTerms,
    /// What the controller is called besides localhost and its address.
    pub allowed_hosts: Vec<sources::Host>,
    /// How proxies prove who they are.
    pub proxies: ProxyTerms,
    /// There are other replicas, of which one decides.
    pub replicas: Option<ReplicaTerms>,
}

/// What hooks of rollouts may do.
#[derive(Clone, Debug)]
pub struct HookTerms {
    /// The programs they may run.
    pub commands: Vec<String>,
    /// The variables of this process that such a program is given beside the usual ones.
    pub env: Vec<String>,
    /// The hosts at which they may be called, and endpoints asked for their version.
    pub hosts: Hosts,
}

/// The objects of Kubernetes by which istiod takes the policy to the proxies.
#[derive(Clone, Debug)]
pub struct Plugins {
    /// Which.
    pub places: Vec<istio::Place>,
    /// Where their proxies ask for their lease.
    pub lease: istio::LeaseAddress,
    /// Names the API server; `None`: the environment does.
    pub kubeconfig: Option<PathBuf>,
    /// Take rollouts from the objects of Kubernetes in these namespaces; `None`: from people alone.
    pub rollouts: Option<istio::objects::Namespaces>,
    /// The namespaces where rollouts may change what runs.
    pub workloads: Vec<String>,
}

impl Config {
    /// What the controller is called besides localhost and its address.
    pub fn names(&self) -> Vec<sources::Host> {
        let mut names = self.allowed_hosts.clone();
        if !self.plugins.places.is_empty() {
            // Sidecars ask for their lease by this name.
            names.extend(self.plugins.lease.host.parse());
        }
        names
    }
}

impl Plugins {
    async fn keep(self) -> Result<Vec<Plugin>> {
        let mut kept = Vec::new();
        if self.places.is_empty() {
            return Ok(kept);
        }
        let client = Plugin::client(self.kubeconfig.as_deref()).await?;
        for place in self.places {
            kept.push(Plugin::keep(client.clone(), place, self.lease.clone()).await?);
        }
        Ok(kept)
    }
}

/// How proxies prove who they are at the ECDS port, and when they ask for their lease.
#[derive(Clone, Debug, Default)]
pub struct ProxyTerms {
    /// Its lines are the tokens they may have.
    pub token_file: Option<PathBuf>,
    /// TLS at the ECDS port, where the lease is served as well.
    pub tls: Option<TlsFiles>,
}

/// What reads the counters, whichever way, until the receiver is closed.
type Counts =
    Box<dyn FnOnce(mpsc::Sender<Increments>, watch::Receiver<Wanted>) -> BoxFuture<'static, ()> + Send>;

/// Programs that are killed are gone after this.
const PROGRAMS: Duration = Duration::from_secs(2);

/// What a controller decides on, whether it is alone or was led until now.
pub struct Ground {
    pub store: Store,
    pub ecds: Ecds,
    pub lease: Leases,
    pub entrance: Entrance,
    pub close: watch::Sender<bool>,
    /// Is the process to end?
    pub signalled: watch::Receiver<bool>,
    /// They are served already.
    pub doors: Option<Doors>,
    /// There are other replicas.
    pub lead: Option<Lead>,
}

impl Ground {
    fn alone(config: &Config) -> Result<Self> {
        let wasm = std::path::absolute(&config.wasm)?;
        let mut store = Store::open(&config.store)?;
        store.keep_ms = config.keep_ms;
        let incarnation = store.incarnation;
        Ok(Self {
            store,
            ecds: Ecds::new(Resource::local(&wasm), incarnation),
            lease: Leases::new(incarnation, config.lease_interval_ms.saturating_mul(5)),
            entrance: Entrance::open(config)?,
            close: watch::Sender::new(false),
            signalled: signalled(),
            doors: None,
            lead: None,
        })
    }
}

/// Serves until it is told to stop.
///
/// # Errors
/// When the store, an address or an option cannot be used, and when a part of the process fails.
pub async fn run(config: Config) -> Result<()> {
    match config.replicas.clone() {
        Some(terms) => {
            options::check(&config).await?;
            replicas::run(config, terms).await
        }
        None => {
            let ground = Ground::alone(&config)?;
            lead(config, ground).await
        }
    }
}

/// Decides and publishes.
pub async fn lead(config: Config, ground: Ground) -> Result<()> {
    let Ground { store, ecds, lease, mut entrance, close, signalled, doors, lead } = ground;
    let wasm = std::path::absolute(&config.wasm)?;
    let archive = Archive::of(&config.store);
    let incarnation = store.incarnation;
    let admins = options::admins(&config)?;
    let (kubeconfig, rollouts) = (config.plugins.kubeconfig.clone(), config.plugins.rollouts.clone());
    let changeable = config.plugins.workloads.clone();
    let mut pages = Vec::new();
    let mut discoveries: Vec<(Option<String>, Arc<dyn Discovery>)> = Vec::new();
    for (region, page) in options::pages(&config)? {
        match page {
            Page::Pods(address) => {
                let pods = PodsOf::watch(&address, kubeconfig.as_deref()).await.context("--proxy-metrics")?;
                discoveries.push((region, Arc::new(pods)));
            }
            Page::Behind(behind) => discoveries.push((region, Arc::new(behind))),
            Page::One(page) => pages.push((region, page)),
        }
    }
    let readers: Vec<Placed> =
        admins.iter().cloned().map(options::reader).chain(pages.into_iter().map(options::reader)).collect();

    let mut targets: Vec<Box<dyn Target>> = Vec::new();
    if let Some(directory) = &config.ecds_file {
        let file = EcdsFile::new(directory, Resource::local(&wasm), incarnation);
        file.prepare().await.context("--ecds-file")?;
        targets.push(Box::new(BackgroundTarget::new("--ecds-file", file)?));
    }
    targets.push(Box::new(ecds.clone()));
    if let Some(lead) = &lead {
        targets.push(Box::new(Followers::new(lead.journal.clone(), incarnation)));
    }
    let by_istiod = !config.plugins.places.is_empty();
    let allowed_hosts = config.names();
    let plugins = config.plugins.clone().keep().await.context("--istio-plugin")?;
    targets.extend(plugins.iter().cloned().map(|plugin| Box::new(plugin) as Box<dyn Target>));
    let roots = outbound::system();
    let asks = !config.prometheus.urls.is_empty();
    let proxies = if asks { config.prometheus.urls.len() } else { readers.len() + discoveries.len() };
    let (counts, signals): (Counts, Signals) = if asks {
        let (prometheus, signals) = options::prometheus(&config, &roots)?;
        (Box::new(|out, wanted| Box::pin(prometheus.run(out, wanted))), signals)
    } else {
        let (scraper, signals) = Scraper::new(readers, config.period);
        let scraper = scraper.discover(discoveries);
        (Box::new(|out, wanted| Box::pin(scraper.run(out, wanted))), signals)
    };
    let Signals { refusals, nodes: accepted, troubles } = signals;
    // A policy that travels as a file or by istiod is acknowledged by nobody, and one that another replica serves not here; what
    // Envoy accepted is then read from it.
    let elsewhere = config.ecds_file.is_some() || by_istiod || lead.is_some() && proxies > 0;
    let connected = ecds.nodes();
    let nodes = if elsewhere { accepted } else { connected.clone() };

    let publisher = Publisher::new(targets, incarnation, config.lease_interval_ms);
    let (sources, hooks) = (options::sources(&config, &roots)?, options::hooks(&config, &roots)?);
    let hooks = hooks.within(Arc::new(InCluster::new(changeable, kubeconfig.clone())));
    let store = StoreWriter::new(store)?;
    let calls = hooks.clone();
    let (mut engine, views) = Engine::open(store, publisher, lease.clone(), sources.clone(), hooks)?;
    if let Some(directory) = &config.record {
        engine.record(TrafficLog::new(directory).context("--record")?);
    }
    let health = Health::new(
        proxies,
        if asks { config.period.max(prometheus::USUAL_INTERVAL) } else { config.period },
    );
    engine.send_health(health.clone());
    engine.ask_at(admins.into_iter().map(|(_, admin)| admin).collect());
    let (triggers, metrics) = (engine.trigger_views(), engine.metrics.clone());

    if entrance.proves {
        engine.believe_proxies();
    }
    if let Some(lead) = &lead {
        let leadership = Box::new(ByLease(lead.hold.clone()));
        engine.takes_over(Succession { leadership, published: lead.published });
    }
    let sockets = match doors {
        Some(_) => None,
        None => Some([listen("--ecds", config.ecds).await?, listen("--http", config.http).await?]),
    };
    tracing::info!("serin {} incarnation {incarnation}", env!("CARGO_PKG_VERSION"));
    tracing::info!("http on {}, ecds on {}", config.http, config.ecds);

    let (commands, commanded) = mpsc::channel(64);
    let (counted, increments) = mpsc::channel(16);
    let (stop, stopped) = watch::channel(false);
    let closed = close.subscribe();
    let api = Api {
        commands,
        views,
        triggers,
        lease,
        archive,
        metrics,
        sources,
        deliveries: Deliveries::default(),
        readers: SpecificationReaders::default(),
        guard: RequestGuard::new(config.http, allowed_hosts, entrance.refused_requests.clone()),
        exports: Exports::default(),
        health,
        proxies: entrance.proxies.clone(),
        ecds: ecds.clone(),
        plugins: plugins.into(),
        troubles,
        kept: rollouts.clone(),
        standing: lead.as_ref().map(|lead| lead.standing.clone()),
    };
    let mut keeping = None;
    if let Some(namespaces) = rollouts {
        let client = Plugin::client(kubeconfig.as_deref()).await.context("--kubernetes-rollouts")?;
        let objects = Objects {
            commands: api.commands.clone(),
            views: api.views.clone(),
            readers: api.readers.clone(),
        };
        let kept = istio::objects::keep(client, namespaces, Arc::new(objects), Patience::default());
        keeping = Some(tokio::spawn(kept));
    }
    tokio::spawn(counts(counted, engine.wanted()));
    let here = entrance.here.clone();
    let of_proxies = server::of_proxies(api.clone(), ecds.routes(closed.clone()).into_axum_router(), here);
    let of_people = server::router(api);
    let mut serving = match (doors, sockets) {
        (Some(doors), _) => {
            doors.show(of_people, of_proxies);
            doors.serving
        }
        (None, Some(sockets)) => entrance.serve(sockets, of_proxies, of_people, &closed),
        (None, None) => bail!("nothing is served"),
    };
    let inputs = Inputs { commands: commanded, increments, nodes, connected, refusals };
    let mut running = tokio::spawn(engine.run(inputs, stops(stopped)));

    // Whatever ends first ends the process: half a controller must not look like a whole one.
    tokio::select! {
        () = stops(signalled) => tracing::info!("stopping; proxies keep their policy until its lease runs out"),
        ended = &mut serving.ecds => ended.context("the ECDS server failed")?,
        ended = &mut serving.http => ended.context("the HTTP server failed")?,
        ended = &mut running => ended?.context("the engine failed")?,
        why = objects::kept_no_more(keeping) => {
            // It ends with the engine, which says more.
            if let Ok(ended) = tokio::time::timeout(Duration::from_secs(1), &mut running).await {
                ended?.context("the engine failed")?;
            }
            return Err(why);
        }
        () = deposed(lead.as_ref()) => {
            // Programs would outlive this process, which is another from here on, and act beside those of the new leader.
            running.abort();
            if tokio::time::timeout(PROGRAMS, calls.end()).await.is_err() {
                tracing::error!("programs of hooks may be running still");
            }
            return replicas::begin_anew();
        }
    }
    // The engine first: while it waits for hooks that are under way, what comes of them is published and vouched for.
    stop.send_replace(true);
    if !running.is_finished() {
        let _ = tokio::time::timeout(engine::GRACE + Duration::from_secs(5), running).await;
    }
    if let Some(lead) = lead {
        lead.give_back().await;
    }
    close.send_replace(true);
    Ok(())
}

/// Resolves when another replica leads.
async fn deposed(lead: Option<&Lead>) {
    match lead {
        Some(lead) => lead.hold.over().await,
        None => std::future::pending().await,
    }
}
