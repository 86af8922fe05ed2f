//! What was decided, kept in ConfigMaps beside the Lease: another replica goes on from there.
//!
//! Pages of rows are written under names of their own and never changed. One object, the head, says which of them hold. It
//! is replaced under the version that was read, so a change is whole or not at all, and whoever was deposed is refused.

mod head;
mod pages;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::leader::{Hold, LeaseName, Replica};
use head::{Head, PageName, PolicyName};
use pages::Page;
pub use pages::Rows;

/// One question may take so long.
const ANSWER: Duration = Duration::from_secs(2);

/// Pages may go while they are read, since the leader goes on: then it is read again.
const TRIES: usize = 5;

/// Why nothing was written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another replica decides now, or may.
    #[error("another replica leads by now ({0}): this one decides nothing any more")]
    Deposed(String),
    /// The Lease was not renewed in time.
    #[error(
        "the Lease was not renewed in time, so another replica may lead: nothing rises until the API server answers"
    )]
    Unsure,
    /// The API server refused.
    #[error("the API server of Kubernetes: {0}")]
    Refused(#[from] kube::Error),
    /// It did not answer.
    #[error("the API server of Kubernetes did not answer within {} ms", .0.as_millis())]
    Silent(Duration),
    /// An object of a page is not there.
    #[error("the ConfigMap {0} of the journal is missing")]
    Missing(String),
    /// What is there cannot be read.
    #[error("the journal in the cluster is damaged: {0}")]
    Damaged(String),
}

/// The journal as the leader writes it; cheap to clone, all clones are one.
#[derive(Clone)]
pub struct Journal {
    api: Api<ConfigMap>,
    name: String,
    own: Replica,
    hold: Hold,
    written: Arc<Mutex<Written>>,
    /// Numbers of pages, none of them twice.
    next: Arc<AtomicU64>,
}

/// What is in the cluster, as far as it is known.
#[derive(Default)]
struct Written {
    version: Option<String>,
    head: Head,
    pages: Vec<Page<PageName>>,
    /// Heads whose writing was not answered: one of them may be there, or come yet.
    unsettled: Vec<(Head, Vec<Page<PageName>>)>,
}

/// What the replica before left.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// The form of the rows; 0: there was no journal.
    pub form: i64,
    /// All of them.
    pub rows: BTreeMap<String, Arc<str>>,
}

/// What changes together.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// The form of the rows.
    pub form: i64,
    /// What the whole mesh is to know.
    pub mesh: Value,
    /// Rows as they are from now on; `None`: it is gone.
    pub rows: Vec<(String, Option<String>)>,
}

/// What a replica that follows is to serve.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Followed {
    /// How often it was written, in which term.
    pub at: (u64, u64),
    /// What the whole mesh is to know.
    pub mesh: Value,
    /// The policy, where it is another than the one that was read before, with incarnation and generation.
    pub policy: Option<(u64, u64, Vec<u8>)>,
}

impl Journal {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(client: Client, lease: &LeaseName, own: Replica, hold: Hold) -> Self {
        Self {
            api: Api::namespaced(client, &lease.namespace),
            name: format!("{}-journal", lease.name),
            own,
            hold,
            written: Arc::default(),
            next: Arc::default(),
        }
    }

    /// What is there to be served since `before`; `None`: nothing was ever written.
    ///
    /// # Errors
    /// When the API server does not answer, or something of it is missing.
    pub async fn look(&self, before: Option<(u64, u64)>) -> Result<Option<Followed>, JournalError> {
        let Some((head, _)) = self.head().await? else { return Ok(None) };
        let mut policy = None;
        if let Some(named) = &head.policy
            && before.is_none_or(|before| before < (named.incarnation, named.generation))
        {
            let content = self.page(&named.page).await?;
            policy = Some((named.incarnation, named.generation, content));
        }
        Ok(Some(Followed { at: (head.term, head.writes), mesh: head.mesh, policy }))
    }

    /// Everything, without taking over: what a store would have to fit with.
    ///
    /// # Errors
    /// When the API server does not answer, or something of it is missing.
    pub async fn read(&self) -> Result<Taken, JournalError> {
        let mut tries = 0;
        loop {
            let Some((head, _)) = self.head().await? else { return Ok(Taken::default()) };
            match self.all(&head).await {
                Ok((pages, _)) => return Ok(Taken { form: head.form, rows: rows(&pages) }),
                Err(JournalError::Missing(_)) if tries < TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// From now on this replica writes, and no other. Whoever wrote before is refused from here on.
    ///
    /// # Errors
    /// When the API server does not answer, something of it is missing, or others do not cease to write.
    pub async fn take_over(&self) -> Result<Taken, JournalError> {
        let mut tries = 0;
        loop {
            match self.try_to_take_over().await {
                Err(JournalError::Refused(kube::Error::Api(status)))
                    if (status.is_conflict() || status.is_already_exists()) && tries < TRIES =>
                {
                    tries += 1;
                }
                Err(JournalError::Missing(_)) if tries < TRIES => tries += 1,
                done => return done,
            }
        }
    }

    async fn try_to_take_over(&self) -> Result<Taken, JournalError> {
        let mut written = self.written.lock().await;
        let found = self.head().await?;
        let own = self.own.clone();
        let (before, version, pages, left) = match found {
            None => (Head::default(), None, Vec::new(), Vec::new()),
            Some((head, version)) => {
                let (pages, left) = self.all(&head).await?;
                (head, version, pages, left)
            }
        };
        let head = Head {
            term: before.term + 1,
            holder: own.identity,
            address: own.address,
            writes: before.writes + 1,
            ..before.clone()
        };
        let object = head.object(&self.name, version.clone())?;
        let parameters = PostParams::default();
        let put = match version {
            None => asked(self.api.create(&parameters, &object)).await?,
            Some(_) => asked(self.api.replace(&self.name, &parameters, &object)).await?,
        };
        let taken = Taken { form: before.form, rows: rows(&pages) };
        *written = Written { version: put.metadata.resource_version, head, pages, unsettled: Vec::new() };
        self.forget(left);
        Ok(taken)
    }

    /// Writes a change, all of it or nothing. After an error that is no refusal it may be there all the same: whoever
    /// writes the same rows again makes sure.
    ///
    /// # Errors
    /// When another leads, the Lease was not renewed, or the API server refuses or does not answer.
    pub async fn commit(&self, change: Change) -> Result<(), JournalError> {
        let mut written = self.settled().await?;
        let changes = change.rows.into_iter().map(|(key, row)| (key, row.map(Arc::from))).collect();
        let plan = pages::plan(&written.pages, changes);
        let mut pages = written.pages.clone();
        let mut left: Vec<PageName> = Vec::new();
        for place in plan.dropped.iter().rev().copied().filter(|place| *place < written.pages.len()) {
            left.push(pages.remove(place).name);
        }
        if !plan.rows.is_empty() {
            let name = self.put(written.head.term, &head::content(&plan.rows)?).await?;
            pages.push(Page { name, rows: plan.rows });
        }
        let head = Head {
            form: change.form,
            mesh: change.mesh,
            pages: pages.iter().map(|page| page.name.clone()).collect(),
            ..written.head.clone()
        };
        self.replace(&mut written, head, pages).await?;
        drop(written);
        self.forget(left.iter().flat_map(|page| page.objects().collect::<Vec<_>>()).collect());
        Ok(())
    }

    /// Keeps the policy that is published, for the replicas that follow. An earlier one than the last is passed over.
    ///
    /// # Errors
    /// As those of [`Journal::commit`].
    pub async fn publish(
        &self,
        incarnation: u64,
        generation: u64,
        policy: &[u8],
    ) -> Result<(), JournalError> {
        let mut written = self.settled().await?;
        let before = written.head.policy.clone();
        if before
            .as_ref()
            .is_some_and(|before| (before.incarnation, before.generation) >= (incarnation, generation))
        {
            return Ok(());
        }
        let page = self.put(written.head.term, policy).await?;
        let head =
            Head { policy: Some(PolicyName { page, incarnation, generation }), ..written.head.clone() };
        let pages = written.pages.clone();
        self.replace(&mut written, head, pages).await?;
        drop(written);
        // Somebody may be about to read the last one: that stays until the next.
        self.forget(before.iter().flat_map(|before| before.page.objects().collect::<Vec<_>>()).collect());
        Ok(())
    }

    /// What is in the cluster, known for sure; and this replica may write.
    async fn settled(&self) -> Result<tokio::sync::MutexGuard<'_, Written>, JournalError> {
        let mut written = self.written.lock().await;
        if !self.hold.is_sure() {
            return Err(JournalError::Unsure);
        }
        if !written.unsettled.is_empty() {
            self.settle(&mut written).await?;
        }
        Ok(written)
    }

    /// Reads the head: is it still ours, and was what was not answered written?
    async fn settle(&self, written: &mut Written) -> Result<(), JournalError> {
        let (head, version) = self.head().await?.ok_or_else(|| self.deposed("the journal was deleted"))?;
        if head.holder != self.own.identity || head.term != written.head.term {
            return Err(self.deposed(&head.holder));
        }
        if head != written.head {
            let ours = written.unsettled.iter().find(|(ours, _)| *ours == head);
            let Some((_, pages)) = ours else {
                return Err(self.deposed("somebody who changed the journal by hand"));
            };
            written.pages.clone_from(pages);
            written.head = head;
        }
        written.version = version;
        Ok(())
    }

    fn deposed(&self, by: &str) -> JournalError {
        self.hold.lost();
        JournalError::Deposed(by.to_owned())
    }

    /// Makes a change hold.
    async fn replace(
        &self,
        written: &mut Written,
        head: Head,
        pages: Vec<Page<PageName>>,
    ) -> Result<(), JournalError> {
        let head = Head { writes: written.head.writes + 1, ..head };
        for tried in [false, true] {
            // Writing the pages took its time.
            if !self.hold.is_sure() {
                return Err(JournalError::Unsure);
            }
            let object = head.object(&self.name, written.version.clone())?;
            written.unsettled.push((head.clone(), pages.clone()));
            match asked(self.api.replace(&self.name, &PostParams::default(), &object)).await {
                Ok(put) => {
                    *written = Written {
                        version: put.metadata.resource_version,
                        head,
                        pages,
                        unsettled: Vec::new(),
                    };
                    return Ok(());
                }
                // By another leader; or by ourselves, when an answer was lost on its way; or labels were put on it.
                Err(JournalError::Refused(kube::Error::Api(status))) if status.is_conflict() && !tried => {
                    self.settle(written).await?;
                    if written.head == head {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(JournalError::Unsure)
    }

    async fn put(&self, term: u64, content: &[u8]) -> Result<PageName, JournalError> {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let name = format!("{}-{term}-{number}", self.name);
        let (page, objects) = head::written(&self.name, name, content)?;
        for object in objects {
            let put = asked(self.api.create(&PostParams::default(), &object)).await;
            match put {
                // A try before this one arrived although its answer did not.
                Err(JournalError::Refused(kube::Error::Api(status))) if status.is_already_exists() => {}
                put => drop(put?),
            }
        }
        Ok(page)
    }

    async fn head(&self) -> Result<Option<(Head, Option<String>)>, JournalError> {
        let Some(object) = asked(self.api.get_opt(&self.name)).await? else { return Ok(None) };
        Ok(Some((Head::of(&object)?, object.metadata.resource_version)))
    }

    async fn page(&self, page: &PageName) -> Result<Vec<u8>, JournalError> {
        let mut objects = BTreeMap::new();
        for name in page.objects() {
            let object = asked(self.api.get_opt(&name)).await?;
            objects.insert(name.clone(), object.ok_or(JournalError::Missing(name))?);
        }
        head::read(page, |name| objects.get(name).cloned())
    }

    /// The pages of a head, and the objects that no head names.
    async fn all(&self, head: &Head) -> Result<(Vec<Page<PageName>>, Vec<String>), JournalError> {
        let label = format!("{}={}", head::LABEL, self.name);
        let found = asked(self.api.list(&ListParams::default().labels(&label))).await?;
        let objects: BTreeMap<String, ConfigMap> = found
            .items
            .into_iter()
            .filter_map(|object| Some((object.metadata.name.clone()?, object)))
            .collect();
        let mut pages = Vec::new();
        for name in &head.pages {
            let content = head::read(name, |name| objects.get(name).cloned())?;
            pages.push(Page { name: name.clone(), rows: head::rows(name, &content)? });
        }
        let named = head.pages.iter().chain(head.policy.iter().map(|policy| &policy.page));
        let mut kept: BTreeSet<String> = named.flat_map(|page| page.objects().collect::<Vec<_>>()).collect();
        kept.insert(self.name.clone());
        let left = objects.into_keys().filter(|name| !kept.contains(name)).collect();
        Ok((pages, left))
    }

    /// Deletes what no head names any more; what is not deleted now is deleted by the next to take over.
    fn forget(&self, objects: Vec<String>) {
        let api = self.api.clone();
        tokio::spawn(async move {
            for name in objects {
                if let Err(error) = asked(api.delete(&name, &DeleteParams::default())).await {
                    tracing::debug!("the ConfigMap {name} is left over: {error}");
                }
            }
        });
    }
}

fn rows(pages: &[Page<PageName>]) -> BTreeMap<String, Arc<str>> {
    pages::rows(pages).into_iter().filter_map(|(key, row)| Some((key, row?))).collect()
}

async fn asked<T>(question: impl Future<Output = kube::Result<T>>) -> Result<T, JournalError> {
    Ok(timeout(ANSWER, question).await.map_err(|_| JournalError::Silent(ANSWER))??)
}
