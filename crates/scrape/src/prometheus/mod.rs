//! Counters of all proxies by way of Prometheus, or of a server with its API: one question a look, whatever their number.
//!
//! The samples are asked for as they were scraped, with their times, and `tally::Follower` makes increments of them, so
//! restarts and gaps are what they are at the admin port; nothing is extrapolated.

mod answer;
#[cfg(test)]
#[path = "cost_tests.rs"]
mod cost;
mod fleet;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use envoy::stats::Labels;
use futures::future::join_all;
use hyper::body::Bytes;
use outbound::{
    Client, HeaderMap, HeaderName, HeaderValue, Host, Hosts, Question, RootCertStore, Text, Url, header,
};
use rollout::Now;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::Increments;
use crate::{Look, Signals, Wanted};
use fleet::{Fleet, Gathered};

/// For how long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// The counters of 5,000 sidecars with 300 series each are half of it.
const LONGEST: usize = 1 << 30;

/// Samples of a Prometheus whose clock is ahead by less than this are seen.
const AHEAD_MS: u64 = 60_000;

/// What a scrape takes, and what a little delay of it is.
const SLACK_MS: u64 = 5_000;

/// How often proxies are scraped while that is unknown.
pub const USUAL_INTERVAL: Duration = Duration::from_secs(15);
const USUAL_INTERVAL_MS: u64 = 15_000;

/// Differences between clocks below this are those of whole seconds.
const SAME_CLOCK_MS: u64 = 2_000;

/// Where counters are asked for, as the operator says it.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// The servers, each with a region before it or without.
    pub urls: Vec<String>,
    /// A file with a bearer token, read at each look.
    pub token_file: Option<PathBuf>,
    /// The tenant, for Mimir and its like (`X-Scope-OrgID`).
    pub tenant: Option<String>,
    /// The authorities that the servers' certificates are of, as PEM.
    pub ca_file: Option<PathBuf>,
    /// Further matchers of every query, such as `namespace="models"`.
    pub matchers: Option<String>,
}

/// Looks at all proxies by way of one or several servers.
pub struct Prometheus {
    servers: Vec<Server>,
    period: Duration,
    look: Look,
}

/// One server.
struct Server {
    region: Option<String>,
    /// For people, and in the place of proxies while there are none.
    name: String,
    url: Url,
    web: Client,
    terms: Terms,
    fleet: Fleet,
    /// By how much its clock is ahead of ours, in milliseconds.
    ahead_ms: i64,
    /// Since when it answers without a break, by `CLOCK_MONOTONIC`.
    answers_since_ns: Option<u64>,
}

impl Prometheus {
    /// Sends no query yet.
    ///
    /// # Errors
    /// When a URL is none, or TLS cannot be used.
    pub fn new(
        terms: &Terms,
        period: Duration,
        roots: &Arc<RootCertStore>,
    ) -> Result<(Self, Signals), String> {
        let servers: Result<Vec<Server>, String> =
            terms.urls.iter().map(|told| Server::new(told, terms, roots)).collect();
        let (look, signals) = Look::new(USUAL_INTERVAL * 3);
        Ok((Self { servers: servers?, period, look }, signals))
    }

    /// Runs until the receiver is closed.
    pub async fn run(mut self, out: mpsc::Sender<Increments>, wanted: watch::Receiver<Wanted>) {
        for server in &self.servers {
            self.look.expect(&server.name, server.region.as_deref());
        }
        let mut every = self.period;
        let mut ticks = tokio::time::interval(every);
        loop {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks.tick().await;
            let due_ns = clock::monotonic_ns();
            let wanted = wanted.borrow().clone();
            let asked = self.servers.iter_mut().map(|server| server.ask(&wanted));
            let answers = join_all(asked).await;
            for (server, answer) in self.servers.iter_mut().zip(answers) {
                take(&mut self.look, server, answer, &wanted);
            }
            // A look tells of one scrape of everybody: more often than that it tells of a part of them.
            let interval_ms = self.servers.iter().filter_map(|server| server.fleet.interval_ms).max();
            let interval = interval_ms.map_or(self.period, Duration::from_millis);
            self.look.stale_after(interval.max(self.period) * 3 + Duration::from_millis(SLACK_MS));
            let increments = Increments { due_ns, ..self.look.close() };
            if out.send(increments).await.is_err() {
                return;
            }
            if every != interval.max(self.period) {
                every = interval.max(self.period);
                ticks = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
            }
        }
    }
}

/// What a look found at one server.
struct Found {
    readings: fleet::Readings,
    /// Targets that Prometheus cannot scrape.
    failing: BTreeSet<String>,
    now: Now,
}

fn take(look: &mut Look, server: &mut Server, answer: Result<Found, String>, wanted: &Wanted) {
    let region = server.region.clone();
    let Found { readings, failing, now } = match answer {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!("{error}");
            server.answers_since_ns = None;
            for proxy in server.fleet.names().chain([&server.name]) {
                look.fail(proxy, error.clone());
            }
            return;
        }
    };
    for proxy in &readings.twice {
        tracing::debug!("{proxy} is scraped by more than one job of {}: one of them is read", server.name);
    }
    for proxy in &readings.partial {
        look.fail(proxy, format!("{proxy}: a part of its newest scrape is missing"));
    }
    for snapshot in readings.snapshots {
        look.expect(&snapshot.source, region.as_deref());
        look.take(snapshot, wanted);
    }
    let interval_ms = server.fleet.interval_ms.unwrap_or(USUAL_INTERVAL_MS);
    // After a break of its own it has yet to scrape them.
    let since_ns = *server.answers_since_ns.get_or_insert(now.monotonic_ns);
    for (proxy, target) in server.fleet.silent(now, since_ns, 2 * interval_ms + SLACK_MS) {
        if failing.contains(&target) {
            look.fail(&proxy, format!("{proxy}: {} cannot scrape it (up is 0)", server.name));
        } else {
            server.fleet.forget(&proxy);
            look.retire(&proxy);
        }
    }
    if server.fleet.len() > 0 {
        look.forget(&server.name);
    } else {
        let why = "has no sample of the filter's (serin_policy_generation): does it scrape the proxies, and is their filter in \
                   place?";
        look.expect(&server.name, region.as_deref());
        look.fail(&server.name, format!("{} {why}", server.name));
    }
}

impl Server {
    fn new(told: &str, terms: &Terms, roots: &Arc<RootCertStore>) -> Result<Self, String> {
        let (region, url) = match told.split_once('=').filter(|(region, _)| !region.contains("://")) {
            Some((region, url)) => (Some(region.to_owned()), url),
            None => (None, told),
        };
        let parsed = Url::parse(url).map_err(|error| format!("{url:?} is no URL: {error}"))?;
        let host = parsed.host_str().unwrap_or_default();
        // The operator names it, so it is asked wherever it is; no other host is.
        let host: Host = host.parse().map_err(|why| format!("{url:?}: {why}"))?;
        let web = Client::new(roots.clone(), Hosts::new("--prometheus", vec![host]))?;
        let url = web.url(url)?;
        Ok(Self {
            region,
            name: outbound::shown(&url),
            url,
            web,
            terms: terms.clone(),
            fleet: Fleet::default(),
            ahead_ms: 0,
            answers_since_ns: None,
        })
    }

    async fn ask(&mut self, wanted: &Wanted) -> Result<Found, String> {
        let said = self.look(wanted).await;
        said.map_err(|error| format!("{} {error}", self.name))
    }

    async fn look(&mut self, wanted: &Wanted) -> Result<Found, String> {
        let headers = self.headers().await?;
        let tls = self.tls().await?;
        let mut gathered = Gathered::new(wanted);
        let query = self.counters(wanted);
        let body = self.post(&query, AHEAD_MS, &headers, tls.as_ref()).await?;
        // That of a large fleet takes seconds: proxies ask for their leases meanwhile.
        tokio::task::block_in_place(|| answer::read(&body, |series| gathered.take(&series)))?;
        drop(body);
        let mut failing = BTreeSet::new();
        let body = self.post(&format!("up{{{}}} == 0", self.matchers("")), 0, &headers, tls.as_ref()).await?;
        answer::read(&body, |series| failing.extend([fleet::whose(&series).0]))?;
        let now = clock::now();
        let ahead_ms = self.ahead_ms;
        let readings = tokio::task::block_in_place(|| self.fleet.settle(gathered, now, ahead_ms))?;
        Ok(Found { readings, failing, now })
    }

    /// The query for all samples since the last look, and a little more: what came late is there then.
    fn counters(&self, wanted: &Wanted) -> String {
        let labels = Labels::new(Some(&wanted.scope), &wanted.clusters);
        let of = |values: BTreeSet<&str>| values.into_iter().map(quoted).collect::<Vec<_>>().join("|");
        let rollouts = of(wanted.scope.iter().map(|(rollout, _)| rollout.as_str()).collect());
        // What is not there fits an empty alternative. Versions are told apart when samples are read: a target's own label `version`, as
        // Istio's pods often have one, would hide its gauges.
        let matchers = format!(r#"__name__=~"{}",rollout=~"|{rollouts}""#, labels.names());
        let interval_ms = self.fleet.interval_ms.unwrap_or(2 * USUAL_INTERVAL_MS);
        format!("{{{}}}[{}ms]", self.matchers(&matchers), AHEAD_MS + 2 * interval_ms + SLACK_MS)
    }

    fn matchers(&self, ours: &str) -> String {
        let all = [Some(ours).filter(|ours| !ours.is_empty()), self.terms.matchers.as_deref()];
        all.into_iter().flatten().collect::<Vec<_>>().join(",")
    }

    async fn post(
        &mut self,
        query: &str,
        ahead_ms: u64,
        headers: &HeaderMap,
        tls: Option<&outbound::Terms>,
    ) -> Result<Bytes, String> {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/api/v1/query", url.path().trim_end_matches('/')));
        let asked_ms = clock::unix_ms();
        let at_ms = asked_ms.saturating_add_signed(self.ahead_ms) + ahead_ms;
        let time = format!("{}.{:03}", at_ms / 1_000, at_ms % 1_000);
        let question = Question::post_form(&url, &[("query", query), ("time", &time)]);
        let question = question.with(headers.clone()).over(tls);
        let asked = async { self.web.send(question).await?.whole(LONGEST).await };
        let answer = tokio::time::timeout(PATIENCE, asked)
            .await
            .map_err(|_| format!("did not answer within {PATIENCE:?}"))??;
        self.clocks(answer.headers.get(header::DATE), asked_ms, clock::unix_ms());
        // A refusal of the query itself comes as an answer of its own.
        if !answer.status.is_success() && !answer.body.starts_with(b"{") {
            return Err(answer.refusal(&outbound::Scrub::default()));
        }
        Ok(answer.body)
    }

    /// Compares the clocks by the time its answer bears.
    fn clocks(&mut self, date: Option<&HeaderValue>, asked_ms: u64, answered_ms: u64) {
        let said = date.and_then(|date| date.to_str().ok()).and_then(sources::moment::http_date_ms);
        let Some(said_ms) = said else { return };
        let ahead_ms = skew(said_ms, asked_ms, answered_ms);
        if ahead_ms != 0 && self.ahead_ms == 0 {
            tracing::warn!(
                "the clock of {} is {} s off this machine's: samples are dated by ours",
                self.name,
                ahead_ms / 1_000
            );
        }
        self.ahead_ms = ahead_ms;
    }

    async fn headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        if let Some(file) = &self.terms.token_file {
            let token = tokio::fs::read_to_string(file).await;
            let token = token.map_err(|error| {
                format!("is not asked: --prometheus-token-file {}: {error}", file.display())
            })?;
            let value = HeaderValue::from_str(&format!("Bearer {}", token.trim()));
            let mut value =
                value.map_err(|_| "is not asked: the token holds signs no header may hold".to_owned())?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        if let Some(tenant) = &self.terms.tenant {
            let value = HeaderValue::from_str(tenant);
            let value =
                value.map_err(|_| "is not asked: --prometheus-tenant is no value of a header".to_owned())?;
            headers.insert(HeaderName::from_static("x-scope-orgid"), value);
        }
        Ok(headers)
    }

    async fn tls(&self) -> Result<Option<outbound::Terms>, String> {
        let Some(file) = &self.terms.ca_file else { return Ok(None) };
        let ca = tokio::fs::read_to_string(file).await;
        let ca = ca.map_err(|error| format!("is not asked: --prometheus-ca {}: {error}", file.display()))?;
        Ok(Some(outbound::Terms { ca: Some(Text::new(ca)), ..outbound::Terms::default() }))
    }
}

/// A text as an expression that fits only itself, within quotes of PromQL.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    text.chars().map(|c| if plain(c) { c.to_string() } else { format!(r"\\{c}") }).collect()
}

/// By how much a clock is ahead that said a whole second between two moments of ours; 0 where it may be the same.
fn skew(said_ms: u64, asked_ms: u64, answered_ms: u64) -> i64 {
    let ahead = said_ms.saturating_sub(answered_ms);
    let behind = asked_ms.saturating_sub(said_ms + 1_000);
    if ahead >= SAME_CLOCK_MS {
        i64::try_from(ahead).unwrap_or(0)
    } else if behind >= SAME_CLOCK_MS {
        i64::try_from(behind).map_or(0, |behind| -behind)
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_by_the_letter() {
        assert_eq!(quoted("search.eu-1_b+"), r"search\\.eu-1_b\\+");
    }

    #[test]
    fn clocks_are_compared_as_far_as_whole_seconds_tell() {
        for (said_ms, ahead_ms) in [
            (10_000, 0),
            (9_000, 0),
            (11_000, 0),
            (13_000, 2_900),
            (40_000, 29_900),
            (6_000, -3_000),
            (1, -8_999),
        ] {
            assert_eq!(skew(said_ms, 10_000, 10_100), ahead_ms, "{said_ms}");
        }
    }
}
