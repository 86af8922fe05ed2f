//! The objects of a journal: pages that are made and read, and deleted when no head names them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, ListParams, PostParams};
use tokio::time::timeout;

use super::head::{self, Head, PageName};
use super::pages::Page;
use super::{ANSWER, Journal, JournalError, TRIES, Written};

/// Names of pages that are taken may be many, one after the other: then a page is named so far from them.
const APART: u64 = 1_000_000;

impl Journal {
    pub(super) async fn put(&self, written: &mut Written, content: &[u8]) -> Result<PageName, JournalError> {
        let mut tries = 0;
        loop {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            let name = format!("{}-{}-{number}", self.name, written.head.term);
            let (page, objects) = head::written(&self.name, name, content)?;
            if self.make(written, &page, objects).await? {
                return Ok(page);
            }
            if tries == TRIES {
                return Err(JournalError::Taken(page.name));
            }
            tries += 1;
            // What is there is of an earlier life of the journal, or somebody else's, and there may be more of it.
            self.next.fetch_add(APART, Ordering::SeqCst);
        }
    }

    /// Makes the objects of a page. False: one of them is there, with something else in it.
    async fn make(
        &self,
        written: &mut Written,
        page: &PageName,
        objects: Vec<ConfigMap>,
    ) -> Result<bool, JournalError> {
        let mut first = true;
        for (name, object) in page.objects().zip(objects) {
            // Even one whose answer is lost may be there.
            let made = self.asked("create", self.api.create(&PostParams::default(), &object)).await;
            let taken = match &made {
                Err(error) if error.is_conflict() => {
                    // A try before this one may have arrived although its answer did not.
                    let there = self.asked("get", self.api.get_opt(&name)).await?;
                    self.left.holds(&name) || there.is_none_or(|there| !head::is_same(&there, &object))
                }
                _ => false,
            };
            if taken {
                return Ok(false);
            }
            if std::mem::take(&mut first) {
                written.made.push(page.clone());
            }
            if let Err(error) = made
                && !error.is_conflict()
            {
                return Err(error);
            }
        }
        Ok(true)
    }

    pub(super) async fn head(&self) -> Result<Option<(Head, Option<String>)>, JournalError> {
        let Some(object) = self.asked("get", self.api.get_opt(&self.name)).await? else { return Ok(None) };
        Ok(Some((Head::of(&object)?, object.metadata.resource_version)))
    }

    pub(super) async fn page(&self, page: &PageName) -> Result<Vec<u8>, JournalError> {
        let mut objects = BTreeMap::new();
        for name in page.objects() {
            let object = self.asked("get", self.api.get_opt(&name)).await?;
            objects.insert(name.clone(), object.ok_or(JournalError::Missing(name))?);
        }
        head::read(page, |name| objects.get(name).cloned())
    }

    /// The pages of a head, and the objects that no head names.
    pub(super) async fn all(&self, head: &Head) -> Result<(Vec<Page<PageName>>, Vec<String>), JournalError> {
        let label = format!("{}={}", head::LABEL, self.name);
        let found = self.asked("list", self.api.list(&ListParams::default().labels(&label))).await?;
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

    /// `verb`: what is asked, as a role would grant it.
    pub(super) async fn asked<T>(
        &self,
        verb: &'static str,
        question: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, JournalError> {
        let answer = timeout(ANSWER, question).await.map_err(|_| JournalError::Silent(ANSWER))?;
        answer.map_err(|error| JournalError::Refused { error, verb, namespace: self.namespace.clone() })
    }

    /// Deletes what no head names any more. What is not deleted now is tried again with the next, and by whoever takes over.
    pub(super) fn forget(&self, objects: Vec<String>) {
        if !self.left.add(objects) {
            return;
        }
        let journal = self.clone();
        tokio::spawn(async move {
            // Whoever deletes already goes on with these.
            journal.left.ask();
            while journal.left.is_asked()
                && let Ok(turn) = journal.left.turn.try_lock()
            {
                journal.left.begin();
                journal.delete_left_over().await;
                drop(turn);
            }
        });
    }

    async fn delete_left_over(&self) {
        let parameters = DeleteParams::default();
        for name in self.left.names() {
            match self.asked("delete", self.api.delete(&name, &parameters)).await {
                Ok(_) => self.left.is_gone(&name),
                Err(error) if error.is_missing() => self.left.is_gone(&name),
                // The others would be refused as well, and wait for it as long.
                Err(error) => return self.left.stays(&error),
            }
        }
    }
}
