//! The task that keeps objects and controller in step: few requests at once, each bounded, none that the controller waits for.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use api::Refusal;
use futures::StreamExt as _;
use kube::api::DynamicObject;
use kube::runtime::watcher::Event;
use kube::{Client, ResourceExt as _};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::events::Announcer;
use super::known::{Due, Known};
use super::news::{News, news};
use super::port::{Controller, Views};
use super::report::{self, Taken};
use super::settle::{Done, Settler, Work, keeps};
use super::status::Status;
use super::watch::{Key, Namespaces, Watch, watch};

/// So many objects are worked on at once, besides those that end.
const AT_ONCE: usize = 8;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// One request to the API server may take so long.
    pub answer: Duration,
    /// After a failure it is tried again, at first so soon.
    pub again: Duration,
    /// A status is written so often at most.
    pub report: Duration,
    /// And so often where only figures and sentences differ that change all the time.
    pub figures: Duration,
    /// What was refused because of what runs is asked for again so often.
    pub refused: Duration,
    /// An object that is to go is held so long at most while its traffic cannot be ended.
    pub end: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(5),
            again: Duration::from_millis(250),
            report: Duration::from_secs(1),
            figures: Duration::from_secs(60),
            refused: Duration::from_secs(10),
            end: Duration::from_secs(120),
        }
    }
}

struct Job {
    key: Key,
    /// It ends what an object keeps: that takes no other's place.
    ends: bool,
}

struct Keeper {
    settler: Settler,
    known: BTreeMap<Key, Known>,
    /// Each counts by itself: one that cannot be had holds up no other.
    watches: Vec<Watch>,
    jobs: JoinSet<Done>,
    /// What each of them works on.
    at_work: HashMap<Id, Job>,
    announcer: Announcer,
}

/// Keeps the Rollouts of some namespaces, for ever.
pub async fn keep(
    client: Client,
    namespaces: Namespaces,
    controller: Arc<dyn Controller>,
    patience: Patience,
) {
    let mut views = controller.views();
    let (mut told, watches) = watch(&client, &namespaces, patience.again);
    let mut keeper = Keeper {
        announcer: Announcer::new(client.clone()),
        settler: Settler { client, controller, patience },
        known: BTreeMap::new(),
        watches,
        jobs: JoinSet::new(),
        at_work: HashMap::new(),
    };
    loop {
        let present = views.borrow_and_update().clone();
        let next = keeper.work(&present);
        tokio::select! {
            event = told.next() => match event {
                None => return,
                Some((index, Ok(event))) => keeper.hear(index, event, &present),
                Some((index, Err(error))) => {
                    if let Some(watch) = keeper.watches.get_mut(index) {
                        watch.fail(&error);
                    }
                }
            },
            changed = views.changed() => if changed.is_err() { return },
            Some(done) = keeper.jobs.join_next_with_id() => keeper.hear_of_job(done),
            () = sleep_until(next) => {}
        }
    }
}

impl Keeper {
    /// What the API server tells.
    fn hear(&mut self, index: usize, event: Event<DynamicObject>, views: &Views) {
        match event {
            Event::Init => {
                if let Some(watch) = self.watches.get_mut(index) {
                    watch.begin_list();
                }
            }
            Event::InitApply(object) => {
                if let (Some(key), Some(watch)) = (key(&object), self.watches.get_mut(index)) {
                    watch.lists(key);
                }
                self.learn(object, views);
            }
            Event::Apply(object) => self.learn(object, views),
            Event::Delete(object) => {
                if let Some(known) = key(&object).and_then(|key| self.known.get_mut(&key)) {
                    known.gone = true;
                    known.begin_to_go(Instant::now());
                }
            }
            Event::InitDone => self.miss(index, views),
        }
    }

    /// What is not in the whole list of its namespace was deleted while nobody looked. Of a namespace that cannot be listed
    /// nothing is known to be gone.
    fn miss(&mut self, index: usize, views: &Views) {
        let Some(watch) = self.watches.get_mut(index) else { return };
        let listed = watch.end_list();
        let of_this = |namespace: &str| watch.holds(namespace);
        for (key, known) in self.known.iter_mut().filter(|(key, _)| of_this(&key.0)) {
            // Whoever waited for all to be known.
            known.look = Instant::now();
            if !listed.contains(key) && !known.gone {
                known.gone = true;
                known.begin_to_go(known.look);
            }
        }
        for view in views.values().filter(|view| !view.is_member()) {
            let Some(object) = view.object.as_ref().filter(|object| of_this(&object.namespace)) else {
                continue;
            };
            let key = (object.namespace.clone(), object.name.clone());
            if listed.contains(&key) || self.known.contains_key(&key) {
                continue;
            }
            let mut lost =
                DynamicObject::new(&object.name, &super::watch::resource()).within(&object.namespace);
            lost.metadata.uid = Some(object.uid.clone());
            tracing::warn!("the Rollout {}/{} is there no more: its traffic ends on stable", key.0, key.1);
            self.known.insert(key, Known { gone: true, ..Known::new(lost, None) });
        }
    }

    fn learn(&mut self, object: DynamicObject, views: &Views) {
        let Some(key) = key(&object) else { return };
        let told = views.get(&key.1).filter(|view| keeps(view, &key.0, &key.1)).cloned();
        let new = Known::new(object, told);
        match self.known.get_mut(&key) {
            Some(known) => {
                let (now, went, another) =
                    (Instant::now(), known.goes(), known.object.uid() != new.object.uid());
                if another {
                    (known.until, known.not_before, known.failures) = (None, now, 0);
                }
                (known.object, known.document) = (new.object, new.document);
                (known.status, known.gone, known.look) = (new.status, false, now);
                if known.goes() && (another || !went) {
                    known.begin_to_go(now);
                }
            }
            None => {
                self.known.insert(key, new);
            }
        }
    }

    /// What became of a job, if only that it failed as nothing should.
    fn hear_of_job(&mut self, done: Result<(Id, Done), JoinError>) {
        let id = done.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(Job { key, ends }) = self.at_work.remove(&id) else { return };
        match done {
            Ok((_, done)) => self.hear_of(&key, done),
            Err(error) if error.is_cancelled() => {
                if let Some(known) = self.known.get_mut(&key) {
                    known.busy = false;
                }
            }
            Err(error) => {
                tracing::error!("work on the Rollout {}/{} failed: {error}", key.0, key.1);
                self.hear_of(&key, Done::Again(error.to_string()));
            }
        }
        // What it keeps is to end since then, and waits for nothing that failed before.
        if let Some(known) = self.known.get_mut(&key).filter(|known| known.goes() && !ends) {
            known.begin_to_go(Instant::now());
        }
    }

    /// What became of some work.
    fn hear_of(&mut self, key: &Key, done: Done) {
        let patience = self.settler.patience;
        let Some(known) = self.known.get_mut(key) else { return };
        let now = Instant::now();
        known.busy = false;
        known.writing = None;
        known.not_before = now;
        known.look = now;
        if !matches!(done, Done::Again(_)) {
            known.failures = 0;
        }
        match done {
            Done::Taken { of, taken } => {
                known.asked = now;
                let accepted = |status: &Status| {
                    let mut all = status.conditions.iter();
                    all.find(|condition| condition.kind == report::ACCEPTED)
                        .map(|found| found.message.clone())
                };
                if let Taken::Refused(refusal) = &taken
                    && accepted(&known.status).as_deref() != Some(refusal.text())
                    && known.taken.as_ref().map(|(_, taken)| taken) != Some(&taken)
                {
                    let reason = report::reason(refusal);
                    let text = match refusal {
                        Refusal::Failed(why) => format!("Could not take the specification yet: {why}"),
                        refusal => format!("Refused the specification: {refusal}"),
                    };
                    self.announcer.announce(&known.object, News { reason, warning: true, text });
                }
                known.taken = Some((of, taken));
            }
            Done::Ended => {
                tracing::info!("the Rollout {}/{} has ended", key.0, key.1);
                if known.gone {
                    self.known.remove(key);
                } else {
                    // The watch tells what became of it.
                    known.not_before = now + patience.refused;
                }
            }
            Done::LetGo(why) => {
                let text = format!(
                    "Let go of it after {} s although its traffic could not be ended: {why}; see serin get {}",
                    patience.end.as_secs(),
                    key.1
                );
                tracing::error!("the Rollout {}/{}: {text}", key.0, key.1);
                self.announcer.announce(&known.object, News { reason: "LetGo", warning: true, text });
                // What it kept is tried for again when it is gone, though nobody waits for that.
                known.until = None;
                known.not_before = now + patience.refused;
            }
            Done::Reported(status) => {
                known.reported = now;
                known.status = *status;
                known.warned = None;
            }
            Done::Again(why) => {
                if known.fail(&why, now, &patience) {
                    tracing::warn!("the Rollout {}/{}, tried {} times: {why}", key.0, key.1, known.failures);
                } else {
                    tracing::debug!("the Rollout {}/{}: {why}", key.0, key.1);
                }
            }
        }
    }

    /// Begins what is to be done now; when there may be more. What ends comes first: a slow API server and many objects that are
    /// waited for hold nothing of it up.
    fn work(&mut self, views: &Views) -> Instant {
        let now = Instant::now();
        let first = self.work_on(views, now, true);
        self.work_on(views, now, false).min(first)
    }

    fn work_on(&mut self, views: &Views, now: Instant, ends: bool) -> Instant {
        let mut next = now + Duration::from_secs(5);
        let mut done_with = Vec::new();
        let mut places = AT_ONCE.saturating_sub(self.at_work.values().filter(|job| !job.ends).count());
        for (key, known) in self.known.iter_mut().filter(|(_, known)| known.goes() == ends) {
            let view = views.get(&key.1).filter(|view| keeps(view, &key.0, &key.1));
            let same = match (&known.seen, view) {
                (Some(seen), Some(view)) => Arc::ptr_eq(seen, view),
                (seen, view) => seen.is_none() && view.is_none(),
            };
            if !same {
                // All views are made anew whenever one run begins or ends.
                let rests = if known.seen.is_some() == view.is_some() {
                    self.settler.patience.report
                } else {
                    Duration::ZERO
                };
                known.look = known.look.min(known.looked + rests);
                if now < known.look {
                    next = next.min(known.look);
                    continue;
                }
            }
            if now < known.look {
                next = next.min(known.look);
                continue;
            }
            known.looked = now;
            known.look = now + Duration::from_secs(3600);
            known.seen = view.cloned();
            if let Some(view) = view
                && known.told.as_ref().is_none_or(|told| !Arc::ptr_eq(told, view))
            {
                for news in news(known.told.as_deref(), view) {
                    self.announcer.announce(&known.object, news);
                }
            }
            known.told = view.cloned();
            if known.gone && view.is_none() && !known.busy {
                done_with.push(key.clone());
                continue;
            }
            if known.busy {
                continue;
            }
            let complete = self.watches.iter().any(|watch| watch.listed && watch.holds(&key.0));
            match known.due(now, view, complete, &self.settler.patience) {
                Due::Nothing => {}
                Due::At(at) => {
                    known.look = at.max(now + Duration::from_millis(10));
                    next = next.min(known.look);
                }
                Due::Now(work) => {
                    if !ends && places == 0 {
                        // Whoever ends makes room, and wakes this.
                        known.look = now;
                        break;
                    }
                    places = places.saturating_sub(1);
                    known.busy = true;
                    let writes = matches!(work, Work::Report(_));
                    let (settler, object, gone) = (self.settler.clone(), known.object.clone(), known.gone);
                    let job = self.jobs.spawn(settler.settle(object, gone, work));
                    self.at_work.insert(job.id(), Job { key: key.clone(), ends });
                    known.writing = writes.then_some(job);
                }
            }
        }
        for key in done_with {
            self.known.remove(&key);
        }
        next
    }
}

fn key(object: &DynamicObject) -> Option<Key> {
    Some((object.namespace()?, object.metadata.name.clone()?))
}
