use std::collections::BTreeSet;
use std::sync::Arc;

use reqwest::{Client, Url};

use super::{Labels, ReadError, Snapshot, admin, exposition};
use crate::clock::{monotonic_ns, unix_ms};

/// A sidecar's page has some hundred KiB; whoever sends more than this is not one.
const LONGEST: usize = 64 << 20;

/// A page for Prometheus with the counters of one Envoy: its own `/stats/prometheus`, or the merged one of Istio's agent
/// (port 15020).
#[derive(Clone, Debug)]
pub struct Metrics {
    source: String,
    /// The name, and the address where that is another.
    shown: String,
    url: Url,
    client: Client,
}

impl Metrics {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// When `url` is no `http://HOST:PORT/PATH`.
    pub fn new(url: &str) -> Result<Self, ReadError> {
        Self::named(url, url)
    }

    /// The same of a proxy that has a better name than its address.
    ///
    /// # Errors
    /// When `url` is no `http://HOST:PORT/PATH`.
    pub fn named(name: &str, url: &str) -> Result<Self, ReadError> {
        let address = || ReadError::Page(url.to_owned());
        let parsed = Url::parse(url)
            .ok()
            .filter(|url| url.scheme() == "http" && url.has_host() && url.path().len() > 1)
            .ok_or_else(address)?;
        let client = admin::client().map_err(|_| address())?;
        let shown = if name == url { name.to_owned() } else { format!("{name} ({url})") };
        Ok(Self { source: name.to_owned(), shown, url: parsed, client })
    }

    /// Its name, else the address as given; what [`Snapshot::source`] will say.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Reads everything of ours, of the counters those in scope (pairs of rollout and version; `None`: all that have labels),
    /// and what Envoy itself counts of these clusters, answer times excepted. Such a page does not say whose it is:
    /// [`Snapshot::node`] is the name.
    ///
    /// # Errors
    /// When nobody answers, or what is no such page, or one on which two versions cannot be told apart.
    pub async fn read_with(
        &self,
        clusters: &BTreeSet<String>,
        scope: Option<&Arc<BTreeSet<(String, String)>>>,
    ) -> Result<Snapshot, ReadError> {
        let page = self.page().await?;
        let (unix_ms, monotonic_ns) = (unix_ms(), monotonic_ns());
        let foreign = |why: String| ReadError::Foreign(self.shown.clone(), why);
        let labels = Labels::new(scope.map(Arc::as_ref), clusters);
        let mut snapshot = Snapshot {
            source: self.source.clone(),
            node: self.source.clone(),
            unix_ms,
            monotonic_ns,
            scope: scope.cloned(),
            ..Snapshot::default()
        };
        let mut lines = 0_usize;
        for line in page.lines() {
            lines += usize::from(line.starts_with("# TYPE ") || line.contains("envoy_"));
            if !Labels::wants(line.trim_start()) {
                continue;
            }
            let Some(sample) = exposition::line(line) else { continue };
            let label = |name: &str| {
                sample.labels.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_ref())
            };
            labels
                .take(&mut snapshot, sample.name, label, sample.value)
                .map_err(|why| foreign(why.to_string()))?;
        }
        if lines == 0 {
            return Err(foreign("it shows no metric in Prometheus' text format".to_owned()));
        }
        // Istio's agent answers with its own metrics where it cannot read its Envoy, and ends as usual an answer that broke off. The age
        // comes after the counters.
        if snapshot.age.is_none() || !page.ends_with('\n') {
            let why = "it lacks envoy_server_uptime: Istio's agent could not read its Envoy, or the page was cut off";
            return Err(foreign(why.to_owned()));
        }
        labels.finish(&mut snapshot);
        Ok(snapshot)
    }

    async fn page(&self) -> Result<String, ReadError> {
        let silent = |error: reqwest::Error| ReadError::NoPage(self.shown.clone(), admin::root_cause(&error));
        let foreign = |why: String| ReadError::Foreign(self.shown.clone(), why);
        let mut response = self.client.get(self.url.clone()).send().await.map_err(silent)?;
        if !response.status().is_success() {
            return Err(foreign(format!("it answers {}", response.status())));
        }
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(silent)? {
            if body.len() + part.len() > LONGEST {
                return Err(foreign(format!("its page is longer than {} MiB", LONGEST >> 20)));
            }
            body.extend_from_slice(&part);
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// What is read of a page; `Err`: a part of why it is no reading.
    async fn check(page: &str, expected: Result<(), &str>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let answer =
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{page}", page.len());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a reader");
            let _question = stream.read(&mut [0; 4_096]).await.expect("a question");
            stream.write_all(answer.as_bytes()).await.expect("an answer");
        });
        let metrics = Metrics::new(&format!("http://{address}/stats/prometheus")).expect("an address");
        let read =
            metrics.read_with(&BTreeSet::new(), None).await.map(drop).map_err(|error| error.to_string());
        match (read, expected) {
            (Ok(()), Ok(())) => {}
            (Err(error), Err(part)) => assert!(error.contains(part), "{part:?} is missing in {error}"),
            (read, expected) => panic!("{page}: {read:?}, not {expected:?}"),
        }
    }

    /// Istio's agent answers so where it cannot read its Envoy: every counter would have begun anew.
    #[tokio::test]
    async fn a_page_without_its_envoy_is_no_reading() {
        let agent = "# TYPE istio_agent_process_open_fds gauge\nistio_agent_process_open_fds 7\n";
        let envoy = "# TYPE envoy_server_uptime gauge\nenvoy_server_uptime 12\n";
        check(&format!("{agent}{envoy}"), Ok(())).await;
        check(agent, Err("could not read its Envoy")).await;
        check(&format!("{agent}{}", envoy.trim_end()), Err("cut off")).await;
        check("<html></html>", Err("no metric")).await;
    }
}
