//! A replica that follows: proxies get from it what the leader published, and people are led on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::{Check, Readiness, path};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use controller::publish::Served;
use envoy::Ecds;
use istio::journal::{Followed, Journal};
use istio::leader::{Patience, Replica, Standing};
use lease::Leases;
use tally::lease::Question;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::{forward, page};
use crate::access::{self, Proxies, RequestGuard, prove};
use crate::{metrics, server};

/// The journal's head is looked at this often: a watch ends, expires and hangs unseen, and a look does not.
const LOOK: Duration = Duration::from_millis(300);

/// What a replica that follows knows.
#[derive(Clone)]
pub struct Follower {
    pub own: Replica,
    pub lease: Leases,
    pub ecds: Ecds,
    pub journal: Journal,
    pub standing: watch::Receiver<Standing>,
    pub guard: RequestGuard,
    pub proxies: Proxies,
    /// When the journal was last read, and why it was not since.
    pub read: Arc<Mutex<Read>>,
}

#[derive(Debug, Default)]
pub struct Read {
    at: Option<Instant>,
    error: Option<String>,
    /// Why what was read last means nothing here; nothing is vouched for until that is over.
    unreadable: Option<String>,
}

impl Follower {
    pub fn router(&self) -> Router {
        Router::new()
            .route(path::HEALTHZ, get(|| async { "ok\n" }))
            .route(path::READYZ, get(ready))
            .route(path::METRICS, get(metrics))
            .route(path::LEASE, get(lease).layer(from_fn_with_state(self.proxies.clone(), prove)))
            .route(
                &path::lease_of("{document}"),
                get(lease_of).layer(from_fn_with_state(self.proxies.clone(), prove)),
            )
            .fallback(forward::forward)
            .with_state(self.clone())
            .layer(from_fn_with_state(self.guard.clone(), access::guard))
    }

    pub fn of_proxies(&self, ecds: Router, here: Proxies) -> Router {
        let lease = Router::new()
            .route(path::LEASE, get(lease))
            .route(&path::lease_of("{document}"), get(lease_of))
            .with_state(self.clone());
        ecds.merge(lease).layer(from_fn_with_state(here, prove))
    }

    /// Serves what the leader decides, until it is told to stop.
    pub async fn follow(self) {
        let mut known: Option<(u64, u64)> = None;
        loop {
            match self.journal.look(known).await {
                Ok(followed) => {
                    self.note(None);
                    let taken = followed.map_or(Ok(()), |followed| self.take(followed, &mut known));
                    self.note_unreadable(taken.err());
                }
                Err(error) => {
                    let error = error.to_string();
                    if self.note(Some(error.clone())) {
                        tracing::warn!("what the leader decides is not known: {error}");
                    }
                }
            }
            // Silence is honest where nobody leads, or nobody knows what was decided.
            if self.wrong().is_none() {
                self.lease.note_alive();
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// First what nobody vouches for any more, then what is published.
    pub(super) fn take(&self, followed: Followed, known: &mut Option<(u64, u64)>) -> Result<(), String> {
        // Null: nothing was decided yet.
        if !followed.mesh.is_null() {
            let mesh = serde_json::from_value(followed.mesh)
                .map_err(|error| format!("what the leader took back cannot be read: {error}"))?;
            self.lease.revoke(&mesh);
        }
        let Some((incarnation, generation, text)) = followed.policy else { return Ok(()) };
        let served: Served = serde_json::from_slice(&text)
            .map_err(|error| format!("the leader's policy cannot be read: {error}"))?;
        self.lease.begin_incarnation(incarnation);
        self.lease.note_published(generation, served.ttl_ms, &served.digests);
        self.ecds.begin_incarnation(incarnation);
        self.ecds.publish(generation, served.documents());
        // Until it is served it is asked for again.
        *known = Some((incarnation, generation));
        Ok(())
    }

    fn note_unreadable(&self, why: Option<String>) {
        let why = why.map(|why| format!("{why}; use the release of the leader"));
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = why.as_ref().filter(|why| read.unreadable.as_ref() != Some(why)) {
            tracing::error!("{why}");
        }
        read.unreadable = why;
    }

    /// Returns whether that is news.
    pub(super) fn note(&self, error: Option<String>) -> bool {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if error.is_none() {
            read.at = Some(Instant::now());
        }
        let news = read.error != error;
        read.error = error;
        news
    }

    /// Why it does not know what is in force.
    fn wrong(&self) -> Option<String> {
        let patience = Patience::default();
        let standing = self.standing.borrow();
        if !standing.is_current(&patience) {
            return Some(format!("no leader was heard of for {} s", patience.grace.as_secs()));
        }
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.unreadable.is_some() {
            return read.unreadable.clone();
        }
        let old = read.at.is_none_or(|at| at.elapsed() >= patience.grace);
        old.then(|| {
            format!("the journal cannot be read: {}", read.error.as_deref().unwrap_or("no answer yet"))
        })
    }

    /// Who leads, as far as it is known.
    pub fn leader(&self) -> Option<Replica> {
        self.standing.borrow().leader.clone().filter(|leader| leader.identity != self.own.identity)
    }
}

async fn ready(State(follower): State<Follower>) -> Response {
    let leader = follower.leader();
    let who = leader.map_or_else(
        || "nobody leads".to_owned(),
        |leader| format!("this replica follows; {} leads, at {}", leader.identity, leader.address),
    );
    let mut check = Check::of("leader", follower.wrong());
    check.why.get_or_insert(who);
    let readiness = Readiness::of(vec![check]);
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}

async fn metrics(State(follower): State<Follower>) -> Response {
    let text = page::render(&follower.standing.borrow())
        + &follower.guard.refused_requests.render(follower.ecds.refused());
    ([("content-type", metrics::CONTENT_TYPE)], text).into_response()
}

async fn lease(State(follower): State<Follower>, question: Query<Question>) -> Response {
    server::leased(&follower.lease, &follower.guard.refused_requests, &question, None)
}

async fn lease_of(
    State(follower): State<Follower>,
    Path(document): Path<String>,
    question: Query<Question>,
) -> Response {
    let document = u64::from_str_radix(&document, 16).ok();
    server::leased(&follower.lease, &follower.guard.refused_requests, &question, document)
}

/// A connection, if it comes within a time.
pub async fn within<T>(time: Duration, what: impl Future<Output = std::io::Result<T>>) -> Option<T> {
    timeout(time, what).await.ok()?.ok()
}
