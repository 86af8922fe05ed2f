//! Proxies that do not do what all should, by name: for metrics and people.

use std::collections::BTreeMap;
use std::time::Duration;

use envoy::stats::Snapshot;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::Wanted;

/// A policy needs so long to come to a proxy where istiod is busy; whoever has not got it then lags.
const ON_ITS_WAY: Duration = Duration::from_secs(15);

/// A proxy in trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Its name.
    pub proxy: String,
    /// What kind.
    pub kind: TroubleKind,
    /// For people.
    pub text: String,
}

/// What a proxy does not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TroubleKind {
    /// It could not be read.
    Silent,
    /// It answers, and shows no filter.
    NoFilter,
    /// Its filter refused a policy, and runs an older one.
    Refuses,
    /// It runs an older policy for long.
    Lags,
}

impl TroubleKind {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Silent, Self::NoFilter, Self::Refuses, Self::Lags];

    /// Its value as a label.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::NoFilter => "no_filter",
            Self::Refuses => "refuses",
            Self::Lags => "lags",
        }
    }
}

/// Those of all proxies.
pub struct Troubles {
    known: BTreeMap<String, (TroubleKind, String)>,
    /// The generation published last, and when that was seen.
    newest: Option<(u64, Instant)>,
    tell: watch::Sender<Vec<Trouble>>,
}

impl Troubles {
    pub fn new() -> (Self, watch::Receiver<Vec<Trouble>>) {
        let (tell, told) = watch::channel(Vec::new());
        (Self { known: BTreeMap::new(), newest: None, tell }, told)
    }

    /// A proxy was read.
    pub fn read(&mut self, snapshot: &Snapshot, wanted: &Wanted, refused: &BTreeMap<String, u64>) {
        let newest = wanted.newest().unwrap_or(0);
        let since = match self.newest {
            Some((known, since)) if known >= newest => since,
            _ => self.newest.insert((newest, Instant::now())).1,
        };
        let source = &snapshot.source;
        let holds = snapshot.accepted_generation(wanted.incarnation);
        // By ECDS the filter comes with the first policy.
        if newest == 0 {
            return self.forget(source);
        }
        if !snapshot.runs_filter() {
            let text = "its page answers, and shows no filter: no serin_policy_generation";
            return self.set(source, TroubleKind::NoFilter, text.to_owned());
        }
        if holds >= Some(newest) {
            return self.forget(source);
        }
        if let Some(text) = refusal(refused) {
            return self.set(source, TroubleKind::Refuses, text);
        }
        let refuses = self.known.get(source).is_some_and(|(kind, _)| *kind == TroubleKind::Refuses);
        if refuses {
            return;
        }
        if since.elapsed() < ON_ITS_WAY {
            return self.forget(source);
        }
        let runs = holds.map_or("none of ours".to_owned(), |holds| format!("generation {holds}"));
        self.set(source, TroubleKind::Lags, format!("it runs {runs}, and {newest} is published"));
    }

    pub fn set(&mut self, proxy: &str, kind: TroubleKind, text: String) {
        self.known.insert(proxy.to_owned(), (kind, text));
    }

    pub fn forget(&mut self, proxy: &str) {
        self.known.remove(proxy);
    }

    /// Ends a look.
    pub fn tell(&self) {
        let one = |(proxy, (kind, text)): (&String, &(TroubleKind, String))| Trouble {
            proxy: proxy.clone(),
            kind: *kind,
            text: text.clone(),
        };
        let all: Vec<Trouble> = self.known.iter().map(one).collect();
        self.tell.send_if_modified(|told| {
            let news = *told != all;
            *told = all;
            news
        });
    }
}

/// What a filter's new refusals mean; one of a policy that is older than its own is none.
pub fn refusal(refused: &BTreeMap<String, u64>) -> Option<String> {
    let reasons: Vec<&str> = refused.keys().map(String::as_str).filter(|reason| *reason != "stale").collect();
    (!reasons.is_empty()).then(|| format!("its filter refused a policy ({})", reasons.join(", ")))
}
