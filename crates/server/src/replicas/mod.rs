//! Several controllers of which one decides: until a replica leads it serves what the leader decided, and once another leads
//! it begins anew.

mod follow;
mod forward;
pub mod page;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use axum::Router;
use axum::extract::Request;
use controller::engine::Leadership;
use envoy::{Ecds, Resource};
use istio::Plugin;
use istio::journal::{Change, Journal, JournalError};
use istio::leader::{Election, Hold, LeaseName, Patience, Replica, Standing};
use lease::Leases;
use store::{Sent, Store};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::ServiceExt as _;

use crate::Config;
use crate::access::RequestGuard;
use crate::entrance::{Entrance, Serving};
use crate::listen::listen;
use crate::serve::Ground;
use crate::stopping::{signalled, stops};
use follow::Follower;

/// How several controllers share the work.
#[derive(Clone, Debug)]
pub struct ReplicaTerms {
    /// Who holds it decides.
    pub lease: LeaseName,
    /// Where the others reach this one's API; `None`: at the address of --http.
    pub address: Option<String>,
    /// Names the API server; `None`: the environment does.
    pub kubeconfig: Option<PathBuf>,
}

/// What a leader has beside what a controller alone has.
pub struct Lead {
    pub journal: Journal,
    pub hold: Hold,
    pub standing: watch::Receiver<Standing>,
    /// Incarnation and generation of what the leader before published last.
    pub published: Option<(u64, u64)>,
    stop: watch::Sender<bool>,
    election: JoinHandle<()>,
}

impl Lead {
    /// The process ends: another may lead at once.
    pub async fn give_back(self) {
        self.stop.send_replace(true);
        let _ = tokio::time::timeout(Patience::default().answer * 3, self.election).await;
    }
}

/// What is served at a port, whichever it is now.
pub struct Doors {
    people: watch::Sender<Router>,
    proxies: watch::Sender<Router>,
    pub serving: Serving,
}

impl Doors {
    /// From now on this is served.
    pub fn show(&self, people: Router, proxies: Router) {
        let _ = self.people.send_replace(people);
        let _ = self.proxies.send_replace(proxies);
    }
}

/// Serves whatever router is there when a request comes.
fn front(now: watch::Receiver<Router>) -> Router {
    Router::new().fallback(move |request: Request| {
        let router = now.borrow().clone();
        async move { router.oneshot(request).await }
    })
}

/// Serves until it is told to stop, as a follower and as the leader.
pub async fn run(config: Config, terms: ReplicaTerms) -> Result<()> {
    let signalled = signalled();
    let own = Replica { identity: identity(), address: address(&terms, config.http)? };
    let client = Plugin::client(terms.kubeconfig.as_deref()).await.context("--kubernetes-lease")?;
    let election = Election::new(client.clone(), &terms.lease, own.clone(), Patience::default());
    let (hold, mut standing) = (election.hold(), election.standing());
    let journal = Journal::new(client, &terms.lease, own.clone(), hold.clone());
    let mut store = Store::open(&config.store)?;
    store.keep_ms = config.keep_ms;
    // Said at once, and not when it is to lead.
    if let Ok(there) = journal.read().await
        && there.form > 0
    {
        store.fits(there.rows.iter().map(|(key, row)| (&**key, &**row)))?;
    }
    let ecds = Ecds::new(Resource::local(&std::path::absolute(&config.wasm)?), 0);
    let lease = Leases::new(0, config.lease_interval_ms.saturating_mul(5));
    let mut entrance = Entrance::open(&config)?;
    let (close, closed) = watch::channel(false);
    let follower = Follower {
        own: own.clone(),
        lease: lease.clone(),
        ecds: ecds.clone(),
        journal: journal.clone(),
        standing: standing.clone(),
        guard: RequestGuard::new(config.http, config.names(), entrance.refused_requests.clone()),
        proxies: entrance.proxies.clone(),
        read: Arc::default(),
    };
    let ecds_routes = || ecds.clone().routes(closed.clone()).into_axum_router();
    let (people, of_people) = watch::channel(follower.router());
    let (proxies, of_proxies) = watch::channel(follower.of_proxies(ecds_routes(), entrance.here.clone()));
    let sockets = [listen("--ecds", config.ecds).await?, listen("--http", config.http).await?];
    let serving = entrance.serve(sockets, front(of_proxies), front(of_people), &closed);
    tracing::info!(
        "http on {}, ecds on {}; this replica is {}, at {}",
        config.http,
        config.ecds,
        own.identity,
        own.address
    );
    let (stop, stopped) = watch::channel(false);
    let election = tokio::spawn(election.run(stopped));
    let lead = Lead { journal, hold, standing: standing.clone(), published: None, stop, election };

    let following = tokio::spawn(follower.follow());
    tokio::select! {
        () = stops(signalled.clone()) => {
            tracing::info!("stopping; this replica follows, so nothing changes");
            lead.give_back().await;
            close.send_replace(true);
            return Ok(());
        }
        leads = standing.wait_for(|standing| standing.leads) => drop(leads.context("the Lease is asked for no more")?),
    }
    following.abort();
    tracing::info!("this replica leads");
    let taken = tokio::select! {
        taken = take_over(&mut store, &lead.journal) => taken,
        () = stops(signalled.clone()) => {
            tracing::info!("stopping; this replica has decided nothing yet");
            lead.give_back().await;
            close.send_replace(true);
            return Ok(());
        }
    };
    let published = match taken {
        Ok(published) => published,
        Err(error) => {
            lead.give_back().await;
            return if leads_no_more(&error) { begin_anew() } else { Err(error) };
        }
    };
    lease.begin_incarnation(store.incarnation);
    ecds.begin_incarnation(store.incarnation);
    let doors = Doors { people, proxies, serving };
    let lead = Some(Lead { published, ..lead });
    let ground = Ground { store, ecds, lease, entrance, close, signalled, doors: Some(doors), lead };
    crate::serve::lead(config, ground).await
}

/// The store has what the leader before decided, and what is decided from now on is written to the cluster first. Returns
/// what that leader published last.
async fn take_over(store: &mut Store, journal: &Journal) -> Result<Option<(u64, u64)>> {
    let taken = journal.take_over().await?;
    if taken.form == 0 {
        let all = store.all_rows()?;
        tracing::info!(
            "the cluster has no journal yet: it begins with what is in the store, {} rows",
            all.rows.len()
        );
        journal.begin(change(all)?).await?;
    } else {
        store.take_over(taken.form, taken.rows.iter().map(|(key, row)| (&**key, &**row)))?;
    }
    let (journal, runtime) = (journal.clone(), tokio::runtime::Handle::current());
    store.replicate(Box::new(move |sent| Ok(runtime.block_on(journal.commit(change(sent)?))?)))?;
    Ok(taken.policy)
}

/// Did another lead before this one had taken over?
fn leads_no_more(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(JournalError::Deposed(_) | JournalError::Unsure))
}

/// The engine asks by this whether it may decide.
pub struct ByLease(pub Hold);

impl Leadership for ByLease {
    fn is_sure(&self) -> bool {
        self.0.is_sure()
    }

    fn lost(&self) {
        self.0.lost();
    }
}

fn change(sent: Sent) -> Result<Change> {
    Ok(Change { form: sent.form, mesh: serde_json::to_value(sent.mesh)?, rows: sent.rows })
}

/// Another leads. Nothing of this process may go on, so it is another process from here on: a follower.
pub fn begin_anew() -> Result<()> {
    use std::os::unix::process::CommandExt as _;
    tracing::warn!("another replica leads, or may: this one begins anew, as a follower");
    let program = std::env::current_exe()?;
    let error = std::process::Command::new(program).args(std::env::args_os().skip(1)).exec();
    bail!("another replica leads, and this one cannot begin anew: {error}; start it again")
}

/// No other process has it, one in the same pod included.
fn identity() -> String {
    use std::hash::{BuildHasher as _, Hasher as _};
    let name = ["POD_NAME", "HOSTNAME"].iter().find_map(|name| std::env::var(name).ok());
    let mark = std::hash::RandomState::new().build_hasher().finish() & 0xffff_ffff;
    format!("{}_{mark:08x}", name.filter(|name| !name.is_empty()).unwrap_or_else(|| "serin".to_owned()))
}

/// Where the other replicas reach this one.
fn address(terms: &ReplicaTerms, http: SocketAddr) -> Result<String> {
    match &terms.address {
        Some(address) if address.starts_with("http://") => Ok(address.trim_end_matches('/').to_owned()),
        Some(address) => {
            bail!(
                "--kubernetes-address {address:?} is no address; write http://HOST:PORT, such as http://10.0.0.7:7070"
            )
        }
        None if http.ip().is_unspecified() => bail!(
            "--http {http} does not say where the other replicas reach this one; give --kubernetes-address, such as \
             http://$(POD_IP):{}",
            http.port()
        ),
        None => Ok(format!("http://{http}")),
    }
}

#[cfg(test)]
mod tests;
