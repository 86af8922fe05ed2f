//! The two ports, and what whoever comes in must show.

use anyhow::{Context as _, Result};
use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::access::{Proxies, RefusedRequests, Tokens};
use crate::listen::tls::Tls;
use crate::listen::{self, ConnectionTimeouts, Port};
use crate::serve::{Config, ProxyTerms};

/// Who comes in, and how.
pub struct Entrance {
    pub refused_requests: RefusedRequests,
    /// What proxies must show at the port of people.
    pub proxies: Proxies,
    /// And at their own.
    pub here: Proxies,
    pub proves: bool,
    tls: Option<Tls>,
}

/// The two ports, as long as they are served.
pub struct Serving {
    pub ecds: JoinHandle<()>,
    pub http: JoinHandle<()>,
}

impl Entrance {
    pub fn open(config: &Config) -> Result<Self> {
        let refused_requests = RefusedRequests::default();
        let ProxyTerms { token_file, tls } = config.proxies.clone();
        let tokens = token_file.map(Tokens::open).transpose().context("--proxy-token-file")?;
        let certified = tls.as_ref().is_some_and(|files| files.client_ca.is_some());
        let tls = tls.map(Tls::open).transpose().context("--tls-cert")?;
        let proxies =
            Proxies { tokens, certificate_elsewhere: certified, refused_requests: refused_requests.clone() };
        let here = Proxies { certificate_elsewhere: false, ..proxies.clone() };
        let proves = proxies.tokens.is_some() || certified;
        if !proves && !config.ecds.ip().is_loopback() {
            tracing::warn!(
                "--ecds {} can be reached from other machines, and whoever reaches it is taken for a proxy: give \
                 --proxy-token-file, or --tls-client-ca (docs/securing.md)",
                config.ecds
            );
        }
        Ok(Self { refused_requests, proxies, here, proves, tls })
    }

    /// Serves both ports until it is told to stop.
    pub fn serve(
        &mut self,
        [ecds, http]: [TcpListener; 2],
        of_proxies: Router,
        of_people: Router,
        closed: &watch::Receiver<bool>,
    ) -> Serving {
        let (people, mesh) = listen::rooms();
        let port = |socket, router, tls, room| Port {
            socket,
            router,
            tls,
            room,
            patience: ConnectionTimeouts::default(),
            refused_requests: self.refused_requests.clone(),
        };
        let proxies = port(ecds, of_proxies, self.tls.clone(), mesh).serve(closed.clone());
        let http = port(http, of_people, None, people).serve(closed.clone());
        Serving { ecds: tokio::spawn(proxies), http: tokio::spawn(http) }
    }
}
