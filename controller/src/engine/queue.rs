//! Specifications that wait for the present run of their name to be over.

use api::{QueuedView, Refusal};
use manifest::{Plan, Supersede};
use rollout::{Admission, Event, Human, fleet};

use super::Engine;
use super::journal::Wish;
use store::Queued;

/// One that waits.
pub struct QueuedRun {
    pub queued: Queued,
    /// `None`: this serin cannot read it.
    plans: Option<Vec<Plan>>,
}

impl QueuedRun {
    /// As it was stored, perhaps by an earlier serin.
    pub fn stored(mut queued: Queued) -> Self {
        let plans = match manifest::load(&queued.spec) {
            Ok(loaded) => Some(loaded.plans().to_vec()),
            Err(problems) => {
                queued.refused.get_or_insert_with(|| problems.to_string());
                None
            }
        };
        Self { queued, plans }
    }

    pub fn view(&self) -> QueuedView {
        let first = self.plans.iter().flatten().next();
        let version = |of: fn(&Plan) -> &String| first.map(of).cloned().unwrap_or_default();
        QueuedView {
            stable: version(|plan| &plan.stable),
            canary: version(|plan| &plan.canary),
            who: self.queued.who.clone(),
            unix_ms: self.queued.unix_ms,
            refused: self.queued.refused.clone(),
        }
    }
}

impl Engine {
    /// Lets a plan wait, in place of what waited under its name; says what that was.
    pub(super) fn wait(
        &mut self,
        name: &str,
        plans: Vec<Plan>,
        text: &str,
        who: String,
    ) -> Result<Option<String>, Refusal> {
        let queued = Queued {
            name: name.to_owned(),
            spec: text.to_owned(),
            who,
            unix_ms: clock::unix_ms(),
            refused: None,
        };
        self.wish(Wish::Queue(queued.clone())).map_err(|error| Refusal::unwritten(&error))?;
        let replaced = self.waiting.insert(name.to_owned(), QueuedRun { queued, plans: Some(plans) });
        self.show_applied(name, &[]);
        Ok(replaced.map(|old| format!("it takes the place of {}, which waited", old.view().canary)))
    }

    /// Nothing waits under this name any more; says what did.
    pub(super) fn withdraw(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        if !self.waiting.contains_key(name) {
            return Ok(None);
        }
        self.wish(Wish::Unqueue(name.to_owned())).map_err(|error| Refusal::unwritten(&error))?;
        let old = self.waiting.remove(name);
        self.show_applied(name, &[]);
        Ok(old.map(|old| format!("{}, which waited, is withdrawn", old.view().canary)))
    }

    /// Those whose turn has come begin.
    pub(super) async fn serve_all(&mut self) {
        let open = self.waiting.iter().filter(|(_, waiting)| waiting.queued.refused.is_none());
        let names: Vec<String> = open.map(|(name, _)| name.clone()).collect();
        for name in names {
            self.serve(&name).await;
        }
    }

    /// Lets what waits under a name begin, if its turn has come. What replaces the present run waits like the others
    /// and finds its turn at once, so a crash between the end of the one and the beginning of the other loses neither.
    pub(super) async fn serve(&mut self, name: &str) {
        // At most: the end of the present run, then the beginning of the next.
        for _ in 0..2 {
            let Some(waiting) = self.waiting.get(name).filter(|waiting| waiting.queued.refused.is_none())
            else {
                return;
            };
            let Some(plans) = waiting.plans.clone() else { return };
            let (text, who) = (waiting.queued.spec.clone(), waiting.queued.who.clone());
            let present = self.applied(name);
            match fleet::admit(&self.states(&present), &plans, false) {
                Admission::Queue => return,
                Admission::Replace => {
                    let canary = plans.first().map_or("another", |plan| &plan.canary);
                    let human = Human { who, reason: format!("{canary} takes its place") };
                    let abort = |index| (index, Event::Abort(human.clone()));
                    let events = (0..present.len()).map(abort).collect();
                    if let Err(error) = self.try_together(&present, events).await {
                        return self.unwritten(&error);
                    }
                }
                Admission::Begin { .. } if waits_for_kept(&plans) && self.keeps_old(name) => return,
                Admission::Begin { run, epoch } => {
                    let human = Human { who, reason: String::new() };
                    if let Err(refusal) = self.begin(name, plans, &text, human, (run, epoch), None).await {
                        tracing::error!(rollout = name, "what waits cannot begin: {refusal:?}");
                    }
                    return;
                }
                Admission::Practice => {
                    if let Err(refusal) =
                        self.reschedule(name, &plans, &text, &Human { who, reason: String::new() }).await
                    {
                        tracing::error!(rollout = name, "{refusal:?}");
                        return;
                    }
                    if let Err(refusal) = self.withdraw(name) {
                        tracing::error!(rollout = name, "{refusal:?}");
                    }
                    return;
                }
                Admission::Unchanged => {
                    self.carry_object(&present, &text);
                    if let Err(refusal) = self.withdraw(name) {
                        tracing::error!(rollout = name, "{refusal:?}");
                    }
                    return;
                }
                Admission::Refused(why) => return self.not_taken(name, why),
            }
        }
    }

    /// Its turn came and it is not to begin: it stays where people see why.
    fn not_taken(&mut self, name: &str, why: String) {
        let Some(waiting) = self.waiting.get_mut(name) else { return };
        tracing::error!(rollout = name, "what waited does not begin: {why}");
        waiting.queued.refused = Some(why);
        let queued = waiting.queued.clone();
        if let Err(error) = self.wish(Wish::Queue(queued)) {
            tracing::error!("the store cannot be written: {error:#}");
        }
        self.show_applied(name, &[]);
    }
}

/// Does it leave what is kept warm its time? What takes another's place does not.
fn waits_for_kept(plans: &[Plan]) -> bool {
    plans.iter().all(|plan| plan.supersede == Supersede::Queue)
}
