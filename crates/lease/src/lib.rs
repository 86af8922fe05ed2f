//! The controller's side of the dead-man's switch: is the policy a proxy runs still good?

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use store::Mesh;
use tally::lease::{Answer, LeaseStatus, Question};

/// A controller whose engine has not come round for this long gives no lease.
const ENGINE_SILENT_MS: u64 = 10_000;

/// Proxies are remembered for this long after they last asked.
const REMEMBERED_NS: u64 = 600_000_000_000;

/// Those that no longer ask are looked for this often: strangers without end cost no more than that.
const PRUNE_NS: u64 = 10_000_000_000;

/// So many proxies are remembered; those that are known stay so.
const MOST_REMEMBERED: usize = 20_000;

/// Generations whose documents are known by their digests.
const DIGESTS: usize = 256;

/// Which policies a lease is given for; written by the engine, read by the API.
#[derive(Clone, Debug)]
pub struct Leases(Arc<Mutex<LeaseState>>, Arc<Mutex<KnownProxies>>);

/// Proxies that asked lately.
#[derive(Debug, Default)]
struct KnownProxies {
    told: BTreeMap<String, LastAnswer>,
    /// When those that no longer ask were last forgotten.
    pruned_ns: u64,
}

/// A policy that a proxy runs, as (incarnation, generation), and the proxy. A generation of [`UNKNOWN_DOCUMENT`] is a document that is
/// none of ours under a number that is.
pub type RunningPolicy = ((u64, u64), String);

/// Above every generation.
pub const UNKNOWN_DOCUMENT: u64 = u64::MAX;

/// What a proxy was last told.
#[derive(Clone, Debug)]
struct LastAnswer {
    answer: Answer,
    at_monotonic_ns: u64,
}

/// Which policies a lease is given for now.
#[derive(Clone, Debug)]
struct LeaseState {
    incarnation: u64,
    /// As published: no proxy can run a later one.
    generation: u64,
    /// As decided; it can be ahead of what is published.
    mesh: Mesh,
    ttl_ms: u32,
    engine_monotonic_ns: u64,
    /// The highest that a proxy runs and that was never decided here.
    ahead: Option<RunningPolicy>,
    /// The documents of the last generations by their digests, those that processes before this one published included.
    digests: BTreeMap<u64, Vec<u64>>,
    /// The first generation that this process published.
    first: Option<u64>,
}

/// Names of proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseAnswers {
    /// Told that what they run of a rollout stands.
    pub renewed: Vec<String>,
    /// Told that it is taken back.
    pub revoked: Vec<String>,
}

impl Leases {
    /// Gives no lease yet.
    pub fn new(incarnation: u64, ttl_ms: u32) -> Self {
        let vouched = LeaseState {
            incarnation,
            generation: 0,
            mesh: Mesh::default(),
            ttl_ms,
            engine_monotonic_ns: clock::monotonic_ns(),
            ahead: None,
            digests: BTreeMap::new(),
            first: None,
        };
        Self(Arc::new(Mutex::new(vouched)), Arc::default())
    }

    /// The engine came round.
    pub fn note_alive(&self) {
        self.change(|vouched| vouched.engine_monotonic_ns = clock::monotonic_ns());
    }

    /// How long the engine has not come round, in milliseconds.
    pub fn silent_ms(&self) -> u64 {
        let vouched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clock::monotonic_ns().saturating_sub(vouched.engine_monotonic_ns) / 1_000_000
    }

    /// What processes before this one published, each as generation and digest.
    pub fn note_earlier(&self, published: &[(u64, u64)]) {
        self.change(|vouched| {
            published.iter().for_each(|(generation, digest)| vouched.note(*generation, *digest))
        });
    }

    /// A policy goes out. Returns which of its digests are to be remembered over this process.
    ///
    /// A process begins with the generation that the one before it ended with. Where it is unknown what that one made of it,
    /// in the words of its release, proxies run documents of that number which nothing can be said of.
    pub fn note_published(&self, generation: u64, ttl_ms: u32, digests: &[u64]) -> Vec<(u64, u64)> {
        self.change(|vouched| {
            let first = *vouched.first.get_or_insert(generation);
            (vouched.generation, vouched.ttl_ms) = (generation, ttl_ms);
            if generation <= first && !vouched.digests.contains_key(&generation) {
                return Vec::new();
            }
            let is_new =
                |digest: &u64| vouched.digests.get(&generation).is_none_or(|known| !known.contains(digest));
            let new: Vec<(u64, u64)> =
                digests.iter().filter(|digest| is_new(digest)).map(|digest| (generation, *digest)).collect();
            new.iter().for_each(|(generation, digest)| vouched.note(*generation, *digest));
            new
        })
    }

    /// No lease is given for what was published before.
    pub fn begin_incarnation(&self, incarnation: u64) {
        self.change(|vouched| (vouched.incarnation, vouched.ahead) = (incarnation, None));
    }

    /// A proxy that asked about a policy above all that was decided here; told once.
    pub fn ahead(&self) -> Option<RunningPolicy> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).ahead.take()
    }

    /// What was taken back; proxies that ask from now on are told.
    pub fn revoke(&self, mesh: &Mesh) {
        self.change(|vouched| vouched.mesh.clone_from(mesh));
    }

    /// `document`: the digest of what the proxy runs; `None`: it does not say. A number whose document is another gets no
    /// lease. `None` is answered when the engine is stuck: no answer is then the right one.
    pub fn answer(&self, question: &Question, document: Option<u64>) -> Option<Answer> {
        let answer = {
            let mut vouched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let asked = (question.incarnation, question.generation);
            let decided = vouched.generation.max(vouched.mesh.generation);
            // Until something is published it is unknown which policies there are.
            let another = document.is_some_and(|document| {
                let known = vouched.digests.get(&asked.1).filter(|_| asked.0 == vouched.incarnation);
                known.is_some_and(|known| !known.contains(&document))
            });
            if another {
                vouched.ahead = Some(((asked.0, UNKNOWN_DOCUMENT), question.node.clone()));
            } else if vouched.generation > 0
                && asked > (vouched.incarnation, decided)
                && vouched.ahead.as_ref().is_none_or(|(known, _)| *known < asked)
            {
                vouched.ahead = Some((asked, question.node.clone()));
            }
            let silent_ms = clock::monotonic_ns().saturating_sub(vouched.engine_monotonic_ns) / 1_000_000;
            if silent_ms > ENGINE_SILENT_MS {
                tracing::error!(node = question.node, silent_ms, "the engine is stuck: no lease is renewed");
                return None;
            }
            let answer = vouched.answer(question);
            if another {
                Answer { lease: LeaseStatus::Unknown, revoked: Vec::new(), ..answer }
            } else {
                answer
            }
        };
        if answer.lease != LeaseStatus::Renew || !answer.revoked.is_empty() {
            let (lease, revoked) = (answer.lease, &answer.revoked);
            tracing::debug!(node = question.node, generation = question.generation, ?lease, ?revoked);
        }
        self.remember(question, answer.clone());
        Some(answer)
    }

    /// What the proxies that asked for this generation or a later one were last told of a rollout.
    pub fn answers_of(&self, rollout: &str, generation: u64) -> LeaseAnswers {
        let told = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = LeaseAnswers::default();
        for (node, told) in told.told.iter().filter(|(_, told)| told.answer.generation >= generation) {
            match told.answer.lease {
                LeaseStatus::Unknown => {}
                LeaseStatus::Renew if !told.answer.revoked.iter().any(|name| name == rollout) => {
                    found.renewed.push(node.clone());
                }
                LeaseStatus::Renew | LeaseStatus::Revoke => found.revoked.push(node.clone()),
            }
        }
        found
    }

    /// Is there room to remember what this proxy is told?
    pub fn has_room(&self, node: &str) -> bool {
        let told = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        told.told.len() < MOST_REMEMBERED || told.told.contains_key(node)
    }

    fn remember(&self, question: &Question, answer: Answer) {
        let mut remembered = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let KnownProxies { told, pruned_ns } = &mut *remembered;
        let now_ns = clock::monotonic_ns();
        if !told.contains_key(&question.node) {
            if now_ns.saturating_sub(*pruned_ns) >= PRUNE_NS {
                *pruned_ns = now_ns;
                told.retain(|_, told| now_ns.saturating_sub(told.at_monotonic_ns) < REMEMBERED_NS);
            }
            if told.len() >= MOST_REMEMBERED {
                return;
            }
        }
        told.insert(question.node.clone(), LastAnswer { answer, at_monotonic_ns: now_ns });
    }

    fn change<T>(&self, change: impl FnOnce(&mut LeaseState) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl LeaseState {
    fn note(&mut self, generation: u64, digest: u64) {
        let known = self.digests.entry(generation).or_default();
        if !known.contains(&digest) {
            known.push(digest);
        }
        while self.digests.len() > DIGESTS {
            self.digests.pop_first();
        }
    }

    /// A proxy hears of each of its policy's rollouts that was taken back since. One that only lags keeps all others; a
    /// filter of an earlier release knows no such grain, and is told that all of it is taken back.
    fn answer(&self, question: &Question) -> Answer {
        let &Question { incarnation, generation, by_rollout, .. } = question;
        let mut revoked: Vec<String> = Vec::new();
        let lease = if incarnation != self.incarnation || generation > self.generation {
            LeaseStatus::Unknown
        } else if generation < self.mesh.all_revoked_below {
            LeaseStatus::Revoke
        } else {
            revoked.extend(self.mesh.revoked_since(generation).map(str::to_owned));
            if revoked.is_empty() || by_rollout { LeaseStatus::Renew } else { LeaseStatus::Revoke }
        };
        if lease == LeaseStatus::Revoke {
            revoked.clear();
        }
        Answer { incarnation, generation, lease, ttl_ms: Some(self.ttl_ms), revoked }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Leases {
        fn vouched(&self) -> LeaseState {
            self.0.lock().expect("not poisoned").clone()
        }
    }

    #[test]
    fn a_number_with_another_document_is_vouched_for_by_nobody() {
        let leases = Leases::new(9, 5_000);
        leases.note_published(5, 5_000, &[55]);
        leases.note_published(6, 5_000, &[66, 67]);
        for (generation, document, lease, noticed) in [
            (6, None, LeaseStatus::Renew, false),
            (6, Some(66), LeaseStatus::Renew, false),
            (6, Some(67), LeaseStatus::Renew, false),
            (6, Some(55), LeaseStatus::Unknown, true),
            // As the process before may have said it.
            (5, Some(56), LeaseStatus::Renew, false),
            (4, Some(1), LeaseStatus::Renew, false),
            (7, Some(1), LeaseStatus::Unknown, true),
        ] {
            let question = Question { incarnation: 9, generation, node: "a".to_owned(), by_rollout: true };
            let answer = leases.answer(&question, document).expect("an answer");
            assert_eq!(
                (answer.lease, leases.ahead().is_some()),
                (lease, noticed),
                "{generation} {document:?}"
            );
        }
    }

    /// The process ends between a publication and the next: what it published is known by the one after it, and so is what
    /// that one makes of the same generation. Where nothing is known, nothing is held against a proxy.
    #[test]
    fn what_was_published_is_known_over_a_restart() {
        let before = Leases::new(9, 5_000);
        let mut kept = before.note_published(4, 5_000, &[44]);
        assert_eq!(kept, [], "the first is not known to be all there is of its number");
        kept.extend(before.note_published(5, 5_000, &[55, 56]));
        kept.extend(before.note_published(5, 5_000, &[55]));
        assert_eq!(kept, [(5, 55), (5, 56)]);
        let after = Leases::new(9, 5_000);
        after.note_earlier(&kept);
        assert_eq!(after.note_published(5, 5_000, &[57]), [(5, 57)], "in the words of another release");
        for (generation, document, lease) in [
            (5, 55, LeaseStatus::Renew),
            (5, 56, LeaseStatus::Renew),
            (5, 57, LeaseStatus::Renew),
            (5, 58, LeaseStatus::Unknown),
            (4, 1, LeaseStatus::Renew),
        ] {
            let question = Question { incarnation: 9, generation, node: "a".to_owned(), by_rollout: true };
            let answer = after.answer(&question, Some(document)).expect("an answer");
            assert_eq!(answer.lease, lease, "{generation} {document}");
            let another = after.ahead().map(|(shown, _)| shown == (9, UNKNOWN_DOCUMENT));
            assert_eq!(another, (lease == LeaseStatus::Unknown).then_some(true), "{generation} {document}");
        }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn who_asked_and_what_it_was_told() {
        let leases = Leases::new(9, 5_000);
        leases.note_published(5, 5_000, &[]);
        let ask = |node: &str, generation, by_rollout| {
            let question = Question { incarnation: 9, generation, node: node.to_owned(), by_rollout };
            leases.answer(&question, None).expect("an answer");
        };
        ask("a", 5, true);
        ask("b", 4, true);
        assert_eq!(leases.answers_of("ranker", 5), LeaseAnswers { renewed: names(&["a"]), revoked: vec![] });
        let mut mesh = Mesh { generation: 5, ..Mesh::default() };
        mesh.revoke("ranker", 6);
        leases.revoke(&mesh);
        ask("a", 5, true);
        ask("b", 5, false);
        assert_eq!(
            leases.answers_of("ranker", 5),
            LeaseAnswers { renewed: vec![], revoked: names(&["a", "b"]) }
        );
        // A filter of an earlier release loses every canary, ours one alone.
        assert_eq!(
            leases.answers_of("other", 5),
            LeaseAnswers { renewed: names(&["a"]), revoked: names(&["b"]) }
        );
    }

    #[test]
    fn strangers_without_end_are_answered_and_those_who_are_known_stay_so() {
        let leases = Leases::new(9, 5_000);
        leases.note_published(5, 5_000, &[]);
        let ask = |node: String| {
            leases.answer(&Question { incarnation: 9, generation: 5, node, by_rollout: true }, None)
        };
        assert!(ask("known".to_owned()).is_some());
        for stranger in 0..MOST_REMEMBERED + 100 {
            assert!(ask(format!("stranger-{stranger}")).is_some());
        }
        let told = leases.answers_of("ranker", 5).renewed;
        assert_eq!((told.len(), told.contains(&"known".to_owned())), (MOST_REMEMBERED, true));
        assert!(leases.has_room("known") && !leases.has_room("another"));
    }

    #[test]
    fn what_stands_is_renewed_and_what_was_taken_back_is_revoked() {
        let revoked_below = BTreeMap::from([("ranker".to_owned(), 5), ("search".to_owned(), 4)]);
        let mesh = Mesh { incarnation: 9, generation: 6, all_revoked_below: 2, revoked_below };
        let engine_monotonic_ns = 0;
        let ttl_ms = 5_000;
        let vouched = LeaseState {
            incarnation: 9,
            generation: 5,
            mesh,
            ttl_ms,
            engine_monotonic_ns,
            ..Leases::new(9, 1).vouched()
        };
        for (incarnation, generation, by_rollout, lease, revoked) in [
            (9, 5, true, LeaseStatus::Renew, &[][..]),
            (9, 4, true, LeaseStatus::Renew, &["ranker"]),
            (9, 3, true, LeaseStatus::Renew, &["ranker", "search"]),
            (9, 1, true, LeaseStatus::Revoke, &[]),
            (9, 5, false, LeaseStatus::Renew, &[]),
            (9, 4, false, LeaseStatus::Revoke, &[]),
            (9, 6, true, LeaseStatus::Unknown, &[]),
            (8, 5, true, LeaseStatus::Unknown, &[]),
            (10, 1, true, LeaseStatus::Unknown, &[]),
        ] {
            let question = Question { incarnation, generation, node: String::new(), by_rollout };
            let answer = vouched.answer(&question);
            assert_eq!((answer.lease, answer.revoked), (lease, names(revoked)), "{question:?}");
        }
    }
}
