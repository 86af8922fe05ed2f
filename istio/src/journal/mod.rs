//! What was decided, kept in ConfigMaps beside the Lease: another replica goes on from there.
//!
//! Pages of rows are written under names of their own and never changed. One object, the head, says which of them hold. It
//! is replaced under the version that was read, so a change is whole or not at all, and whoever was deposed is refused.

mod error;
mod head;
mod left;
mod objects;
mod pages;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::leader::{Hold, LeaseName, Replica};
pub use error::JournalError;
use head::{Head, PageName, PolicyName};
use left::LeftOver;
use pages::Page;
pub use pages::Rows;

/// One question may take so long.
const ANSWER: Duration = Duration::from_secs(2);

/// What may pass is tried again after this.
const AGAIN: Duration = Duration::from_millis(300);

/// Pages may go while they are read, since the leader goes on: then it is read again.
const TRIES: usize = 5;

/// The journal as the leader writes it; cheap to clone, all clones are one.
#[derive(Clone)]
pub struct Journal {
    api: Api<ConfigMap>,
    namespace: String,
    name: String,
    own: Replica,
    hold: Hold,
    written: Arc<Mutex<Written>>,
    /// Numbers of pages, none of them twice.
    next: Arc<AtomicU64>,
    left: Arc<LeftOver>,
}

/// What is in the cluster, as far as it is known.
#[derive(Default)]
struct Written {
    version: Option<String>,
    head: Head,
    pages: Vec<Page<PageName>>,
    /// The page of the policy before the last: somebody may be about to read it.
    former: Option<PageName>,
    /// Heads whose writing was not answered: one of them may be there, or come yet.
    unsettled: Vec<(Head, Vec<Page<PageName>>)>,
    /// Pages that were made since a head was last written for sure: no head may ever name them.
    made: Vec<PageName>,
}

impl Written {
    /// The objects of pages that no head names, since this one was written for sure.
    fn unnamed(&mut self, head: &Head) -> Vec<String> {
        let policies = [&head.policy, &self.head.policy].into_iter().flatten().map(|policy| &policy.page);
        let named: Vec<&PageName> = head.pages.iter().chain(policies).chain(&self.former).collect();
        let made = std::mem::take(&mut self.made);
        let unnamed = made.iter().filter(|page| !named.contains(page));
        unnamed.flat_map(|page| page.objects().collect::<Vec<_>>()).collect()
    }
}

/// What the replica before left.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// The form of the rows; 0: there was no journal.
    pub form: i64,
    /// All of them.
    pub rows: BTreeMap<String, Arc<str>>,
    /// Incarnation and generation of the policy that was published last; it may be above what the rows tell of.
    pub policy: Option<(u64, u64)>,
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
            namespace: lease.namespace.clone(),
            name: format!("{}-journal", lease.name),
            own,
            hold,
            written: Arc::default(),
            next: Arc::default(),
            left: Arc::default(),
        }
    }

    /// What is there to be served since `before`; `None`: nothing was ever written.
    ///
    /// # Errors
    /// When the API server does not answer, or something of it is missing.
    pub async fn look(&self, before: Option<(u64, u64)>) -> Result<Option<Followed>, JournalError> {
        let mut tries = 0;
        loop {
            let Some((head, _)) = self.head().await? else { return Ok(None) };
            let mut policy = None;
            if let Some(named) = &head.policy
                && before.is_none_or(|before| before < (named.incarnation, named.generation))
            {
                match self.page(&named.page).await {
                    Ok(content) => policy = Some((named.incarnation, named.generation, content)),
                    // The leader went on meanwhile.
                    Err(JournalError::Missing(_)) if tries < TRIES => {
                        tries += 1;
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            }
            return Ok(Some(Followed { at: (head.term, head.writes), mesh: head.mesh, policy }));
        }
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
                Ok((pages, _)) => return Ok(taken(&head, &pages)),
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
                Err(error)
                    if (error.is_conflict() || matches!(error, JournalError::Missing(_)))
                        && tries < TRIES =>
                {
                    tries += 1;
                }
                Err(error) if error.may_pass() => self.waits(&error).await?,
                done => return done,
            }
        }
    }

    /// As [`Journal::commit`], again and again while what refuses may pass and this replica leads.
    ///
    /// # Errors
    /// As those of [`Journal::commit`].
    pub async fn begin(&self, change: Change) -> Result<(), JournalError> {
        loop {
            match self.commit(change.clone()).await {
                Err(error) if error.may_pass() => self.waits(&error).await?,
                done => return done,
            }
        }
    }

    async fn waits(&self, error: &JournalError) -> Result<(), JournalError> {
        tracing::warn!("the journal is not taken over yet: {error}");
        tokio::time::sleep(AGAIN).await;
        if self.hold.is_sure() { Ok(()) } else { Err(JournalError::Unsure) }
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
        // Reading took its time; whoever leads by now must not be deposed.
        if !self.hold.is_sure() {
            return Err(JournalError::Unsure);
        }
        let parameters = PostParams::default();
        let put = match version {
            None => self.asked("create", self.api.create(&parameters, &object)).await?,
            Some(_) => self.asked("update", self.api.replace(&self.name, &parameters, &object)).await?,
        };
        let taken = taken(&before, &pages);
        *written = Written { version: put.metadata.resource_version, head, pages, ..Written::default() };
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
            let name = self.put(&mut written, &head::content(&plan.rows)?).await?;
            pages.push(Page { name, rows: plan.rows });
        }
        let head = Head {
            form: change.form,
            mesh: head::raised(&written.head.mesh, change.mesh),
            pages: pages.iter().map(|page| page.name.clone()).collect(),
            ..written.head.clone()
        };
        self.replace(&mut written, head, pages).await?;
        drop(written);
        self.forget(left.iter().flat_map(|page| page.objects().collect::<Vec<_>>()).collect());
        Ok(())
    }

    /// Keeps the policy that is published, for the replicas that follow, and what the whole mesh is to know with it: that
    /// may be more than was ever committed. An earlier one than the last is passed over.
    ///
    /// # Errors
    /// As those of [`Journal::commit`].
    pub async fn publish(
        &self,
        incarnation: u64,
        generation: u64,
        policy: &[u8],
        mesh: Value,
    ) -> Result<(), JournalError> {
        let mut written = self.settled().await?;
        let before = written.head.policy.clone();
        if before
            .as_ref()
            .is_some_and(|before| (before.incarnation, before.generation) >= (incarnation, generation))
        {
            return Ok(());
        }
        let page = self.put(&mut written, policy).await?;
        let head = Head {
            policy: Some(PolicyName { page, incarnation, generation }),
            mesh: head::raised(&written.head.mesh, mesh),
            ..written.head.clone()
        };
        let pages = written.pages.clone();
        self.replace(&mut written, head, pages).await?;
        // Somebody may be about to read the last one: that stays until the next.
        let former = std::mem::replace(&mut written.former, before.map(|before| before.page));
        drop(written);
        self.forget(former.iter().flat_map(|page| page.objects().collect::<Vec<_>>()).collect());
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
            match self.asked("update", self.api.replace(&self.name, &PostParams::default(), &object)).await {
                Ok(put) => {
                    self.forget(written.unnamed(&head));
                    *written = Written {
                        version: put.metadata.resource_version,
                        head,
                        pages,
                        former: written.former.take(),
                        ..Written::default()
                    };
                    return Ok(());
                }
                // By another leader; or by ourselves, when an answer was lost on its way; or labels were put on it.
                Err(error) if error.is_conflict() && !tried => {
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
}

fn taken(head: &Head, pages: &[Page<PageName>]) -> Taken {
    let rows = pages::rows(pages).into_iter().filter_map(|(key, row)| Some((key, row?))).collect();
    let policy = head.policy.as_ref().map(|policy| (policy.incarnation, policy.generation));
    Taken { form: head.form, rows, policy }
}
