//! A controller as the objects see it, which does as it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::{Applied, ObjectView, PhaseName, Refusal, RunView};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::super::{Answered, Controller, Patience, Views, keep};

pub const PATIENCE: Patience = Patience {
    answer: Duration::from_secs(30),
    again: Duration::from_millis(5),
    report: Duration::from_millis(5),
    figures: Duration::from_millis(5),
    refused: Duration::from_millis(50),
    end: Duration::from_secs(60),
};

/// A controller whose runs begin when they are applied.
#[derive(Clone, Debug)]
pub struct Fake {
    pub views: watch::Sender<Views>,
    /// What was asked: apply, abort, delete.
    asked: Arc<Mutex<Vec<String>>>,
    /// It answers nothing any more.
    pub stuck: Arc<Mutex<bool>>,
    /// It fails once, as nothing should.
    pub panics: Arc<Mutex<bool>>,
    /// So many aborts it takes until a rollout is over.
    pub aborts: usize,
    /// And so many are left, by name.
    left: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Fake {
    pub fn new() -> Self {
        Self {
            views: watch::Sender::new(Views::default()),
            asked: Arc::default(),
            stuck: Arc::default(),
            panics: Arc::default(),
            aborts: 1,
            left: Arc::default(),
        }
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("not poisoned").clone()
    }

    pub fn change(&self, name: &str, change: impl FnOnce(&mut RunView)) {
        self.views.send_modify(|views| {
            let views: &mut BTreeMap<_, _> = Arc::make_mut(views);
            let mut view = views.get(name).map(|view| RunView::clone(view)).unwrap_or_default();
            change(&mut view);
            views.insert(name.to_owned(), Arc::new(view));
        });
    }

    fn says<T: Send + 'static>(
        &self,
        what: String,
        answer: impl FnOnce() -> Result<T, Refusal>,
    ) -> Answered<'_, T> {
        self.asked.lock().expect("not poisoned").push(what);
        let panics = std::mem::take(&mut *self.panics.lock().expect("not poisoned"));
        assert!(!panics, "as it was told");
        let answer = if *self.stuck.lock().expect("not poisoned") {
            Err(Refusal::Failed("the engine does not answer".to_owned()))
        } else {
            answer()
        };
        Box::pin(async move { answer })
    }

    pub fn keep(&self, server: kube::Client, namespaces: &str, patience: Patience) -> JoinHandle<()> {
        let namespaces = namespaces.parse().expect("namespaces");
        tokio::spawn(keep(server, namespaces, Arc::new(self.clone()), patience))
    }
}

impl Controller for Fake {
    fn apply(&self, text: String) -> Answered<'_, Applied> {
        let loaded = manifest::load(&text).expect("it was read before");
        let object = ObjectView::of_text(&text).expect("an object");
        let name = loaded.name().to_owned();
        self.says(format!("apply {} {}", object.namespace, loaded.plan.canary), || {
            let views = self.views.borrow().clone();
            let present = views.get(&name);
            if let Some(why) =
                present.and_then(|view| ObjectView::keeps_out(view.object.as_ref(), Some(&object), &name))
            {
                return Err(Refusal::Conflict(why));
            }
            if present.is_some_and(|view| view.run.phase == PhaseName::Progressing) {
                return Err(Refusal::Conflict("a run is under way".to_owned()));
            }
            self.left.lock().expect("not poisoned").insert(name.clone(), self.aborts);
            self.change(&name, |view| {
                view.object = Some(object);
                view.run.name.clone_from(&name);
                view.run.run += 1;
                view.run.phase = PhaseName::Progressing.into();
                view.run.canary.clone_from(&loaded.plan.canary);
                view.run.weight_ppm = 50_000;
            });
            Ok(Applied::default())
        })
    }

    fn abort<'a>(&'a self, name: &'a str, _: &'a str) -> Answered<'a, ()> {
        self.says(format!("abort {name}"), || {
            let mut left = self.left.lock().expect("not poisoned");
            let Some(left) = left.get_mut(name).filter(|left| **left > 0) else {
                return Err(Refusal::Conflict(format!("{name} is over")));
            };
            *left -= 1;
            self.change(name, |view| {
                if view.run.phase != PhaseName::Succeeded {
                    view.run.phase = PhaseName::RolledBack.into();
                }
                view.run.weight_ppm *= u32::from(*left > 0);
            });
            Ok(())
        })
    }

    fn delete<'a>(&'a self, name: &'a str, _: &'a str) -> Answered<'a, ()> {
        self.says(format!("delete {name}"), || {
            if self.left.lock().expect("not poisoned").get(name).is_some_and(|left| *left > 0) {
                return Err(Refusal::Conflict(format!("{name} is under way")));
            }
            self.views.send_modify(|views| {
                Arc::make_mut(views).remove(name);
            });
            Ok(())
        })
    }

    fn views(&self) -> watch::Receiver<Views> {
        self.views.subscribe()
    }
}

pub fn spec(canary: &str) -> Value {
    json!({"stable": {"version": "v1"}, "canary": {"version": canary}})
}

pub async fn until(what: &str, mut is: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if is() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("waited for {what}");
}
