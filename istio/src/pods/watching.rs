//! The task that follows the pods: a list, then a watch from where it ended, and again where that breaks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use kube::Client;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::core::Request;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::pod::{Page, Told, one_for_each_address};
use super::{Known, Pod, Selection, WatchPatience};
use crate::refusal;

/// So many pods are asked for at once.
const PART: u32 = 500;

/// Changes within this time after an event are reported with it.
const GATHER: Duration = Duration::from_millis(20);

/// What broke.
#[derive(Debug, thiserror::Error)]
enum Broken {
    /// What is known is too old to go on from.
    #[error("the API server has forgotten since when it was watched (410)")]
    Forgotten,
    #[error("the API server did not answer within {} s", .0.as_secs())]
    Silent(Duration),
    #[error("{0}")]
    Refused(String),
}

/// The state of the task.
pub struct Watching {
    client: Client,
    selection: Arc<Selection>,
    patience: WatchPatience,
    tell: watch::Sender<Known>,
    /// Those that run, by uid.
    pods: BTreeMap<String, Pod>,
    /// Those that the selection fits and that do not.
    others: BTreeMap<String, ()>,
    /// From where a watch goes on; `None`: a list comes first.
    version: Option<String>,
}

impl Watching {
    pub fn new(
        client: Client,
        selection: Arc<Selection>,
        patience: WatchPatience,
        tell: watch::Sender<Known>,
    ) -> Self {
        let (pods, others) = (BTreeMap::new(), BTreeMap::new());
        Self { client, selection, patience, tell, pods, others, version: None }
    }

    /// Runs until nobody wants to know.
    pub async fn run(mut self) {
        let mut wait = self.patience.again;
        let tell = self.tell.clone();
        loop {
            let worked = tokio::select! {
                worked = self.follow() => worked,
                () = tell.closed() => return,
            };
            match worked {
                // The API server ends each watch in time.
                Ok(()) => wait = self.patience.again,
                Err(Broken::Forgotten) => {
                    self.version = None;
                    wait = self.patience.again;
                }
                Err(broken) => {
                    self.trouble(&broken);
                    wait = (wait * 2).min(self.patience.again * 100);
                }
            }
            tokio::select! {
                () = sleep(wait) => {}
                () = tell.closed() => return,
            }
        }
    }

    async fn follow(&mut self) -> Result<(), Broken> {
        let from = match self.version.clone() {
            Some(version) => version,
            None => self.list().await?,
        };
        let terms = WatchParams {
            label_selector: Some(self.selection.labels.clone()),
            timeout: Some(u32::try_from(self.patience.silence.as_secs()).unwrap_or(60).clamp(1, 290)),
            bookmarks: true,
            ..WatchParams::default()
        };
        let request = Request::new(self.selection.url_path()).watch(&terms, &from);
        let request = request.map_err(|error| Broken::Refused(error.to_string()))?;
        let within = self.patience.answer;
        let events = timeout(within, self.client.request_events::<Told>(request)).await;
        let events =
            events.map_err(|_| Broken::Silent(within))?.map_err(|error| self.broken("watch", &error))?;
        let mut events = Box::pin(events);
        self.tell();
        // It ends by itself before that, where the connection is alive.
        let silence = self.patience.silence * 2;
        loop {
            let Ok(event) = timeout(silence, events.try_next()).await else {
                return Err(Broken::Silent(silence));
            };
            // A workload that is rolled out tells of hundreds at once.
            let until = Instant::now() + GATHER;
            let mut event = Some(event);
            let ended = loop {
                match event.take() {
                    Some(Ok(Some(event))) => self.take(event)?,
                    Some(Ok(None)) => break Some(Ok(())),
                    Some(Err(error)) => break Some(Err(self.broken("watch", &error))),
                    None => break None,
                }
                event = timeout_at(until, events.try_next()).await.ok();
            };
            self.tell();
            if let Some(ended) = ended {
                return ended;
            }
        }
    }

    fn take(&mut self, event: WatchEvent<Told>) -> Result<(), Broken> {
        match event {
            WatchEvent::Added(told) | WatchEvent::Modified(told) => {
                self.version = Some(told.metadata.resource_version.clone());
                self.put(told);
            }
            WatchEvent::Deleted(told) => {
                self.version = Some(told.metadata.resource_version.clone());
                self.pods.remove(&told.metadata.uid);
                self.others.remove(&told.metadata.uid);
            }
            WatchEvent::Bookmark(mark) => self.version = Some(mark.metadata.resource_version),
            WatchEvent::Error(status) if status.code == 410 => return Err(Broken::Forgotten),
            WatchEvent::Error(status) => {
                self.version = None;
                return Err(Broken::Refused(status.message.clone()));
            }
        }
        Ok(())
    }

    fn put(&mut self, told: Told) {
        let uid = told.metadata.uid.clone();
        match told.pod() {
            Some(pod) => {
                self.others.remove(&uid);
                self.pods.insert(uid, pod);
            }
            None => {
                self.pods.remove(&uid);
                self.others.insert(uid, ());
            }
        }
    }

    /// Asks for all of them, part by part. What is known stands until all parts are there.
    async fn list(&mut self) -> Result<String, Broken> {
        let request = Request::new(self.selection.url_path());
        let mut terms = ListParams {
            label_selector: Some(self.selection.labels.clone()),
            limit: Some(PART),
            ..ListParams::default()
        };
        let (mut pods, mut others) = (BTreeMap::new(), BTreeMap::new());
        let version = loop {
            let asked = request.list(&terms).map_err(|error| Broken::Refused(error.to_string()))?;
            let within = self.patience.answer;
            let page = timeout(within, self.client.request::<Page>(asked)).await;
            let page =
                page.map_err(|_| Broken::Silent(within))?.map_err(|error| self.broken("list", &error))?;
            for told in page.items {
                let uid = told.metadata.uid.clone();
                match told.pod() {
                    Some(pod) => drop(pods.insert(uid, pod)),
                    None => drop(others.insert(uid, ())),
                }
            }
            if page.metadata.r#continue.is_empty() {
                break page.metadata.resource_version;
            }
            terms.continue_token = Some(page.metadata.r#continue);
        };
        (self.pods, self.others) = (pods, others);
        self.version = Some(version.clone());
        self.tell();
        Ok(version)
    }

    fn broken(&self, verb: &str, error: &kube::Error) -> Broken {
        match error {
            kube::Error::Api(status) if status.code == 410 => Broken::Forgotten,
            _ => Broken::Refused(refusal::words(error, verb, "pods", self.selection.namespace.as_deref())),
        }
    }

    fn tell(&self) {
        let pods = one_for_each_address(&self.pods);
        self.tell.send_if_modified(|known| {
            let same = known.pods.as_deref() == Some(&pods)
                && known.others == self.others.len()
                && known.trouble.is_none();
            if known.trouble.is_some() {
                tracing::debug!("{}: the API server answers again", self.selection);
            }
            if !same {
                *known = Known { pods: Some(Arc::new(pods)), others: self.others.len(), trouble: None };
            }
            !same
        });
    }

    fn trouble(&self, broken: &Broken) {
        let words = broken.to_string();
        self.tell.send_if_modified(|known| {
            let news = known.trouble.as_ref() != Some(&words);
            if news {
                let kept = known.pods.as_ref().map_or(0, |pods| pods.len());
                tracing::debug!("{}: {words}; {kept} pods are known", self.selection);
                known.trouble = Some(words);
            }
            news
        });
    }
}
