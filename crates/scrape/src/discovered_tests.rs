use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use futures::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use crate::Increments;
use crate::{Discovery, Found, Proxy, Scraper, Signals, Trouble, TroubleKind, Wanted};

/// Proxies that a test sets.
#[derive(Clone)]
struct Roll(Arc<Mutex<Result<Found, String>>>);

impl Roll {
    /// `NAME IDENTITY ADDRESS`, and ` leaves` behind it.
    fn set(&self, port: u16, proxies: &[&str]) {
        let one = |words: &&str| {
            let words: Vec<&str> = words.split(' ').collect();
            let page = format!("http://{}:{port}/stats/prometheus", words[2]);
            let proxy = Proxy { page, identity: words[1].to_owned(), leaving: words.len() > 3 };
            (words[0].to_owned(), proxy)
        };
        let proxies: BTreeMap<String, Proxy> = proxies.iter().map(one).collect();
        let trouble = proxies.is_empty().then(|| "there is no such pod".to_owned());
        *self.0.lock().expect("not poisoned") =
            Ok(Found { proxies: Arc::new(proxies), complete: true, trouble });
    }
}

impl Discovery for Roll {
    fn told(&self) -> &str {
        "pods://models/app=a"
    }

    fn every(&self) -> Duration {
        Duration::ZERO
    }

    fn find(&self) -> BoxFuture<'_, Result<Found, String>> {
        let found = self.0.lock().expect("not poisoned").clone();
        Box::pin(std::future::ready(found))
    }
}

/// Sidecars at every address of this machine's own.
struct Sidecars {
    port: u16,
    roll: Roll,
    down: Arc<Mutex<BTreeSet<&'static str>>>,
    /// What stands on their pages.
    page: Arc<Mutex<BTreeMap<&'static str, String>>>,
    looks: mpsc::Receiver<Increments>,
    signals: Signals,
    _wanted: watch::Sender<Wanted>,
}

fn page(extra: &str) -> String {
    format!("# TYPE envoy_server_uptime gauge\nenvoy_server_uptime{{}} 50\n{extra}")
}

impl Sidecars {
    async fn start() -> Self {
        let down: Arc<Mutex<BTreeSet<&'static str>>> = Arc::default();
        let pages: Arc<Mutex<BTreeMap<&'static str, String>>> = Arc::default();
        let (refused, written) = (down.clone(), pages.clone());
        let router = axum::Router::new().fallback(move |headers: HeaderMap| async move {
            let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
            let host = host.split(':').next().unwrap_or_default();
            if refused.lock().expect("not poisoned").contains(host) {
                return (StatusCode::SERVICE_UNAVAILABLE, String::new());
            }
            let known = written.lock().expect("not poisoned").get(host).cloned();
            (StatusCode::OK, known.unwrap_or_else(|| page("serin_policy_generation{} 3\n")))
        });
        let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        tokio::spawn(axum::serve(listener, router).into_future());
        let roll = Roll(Arc::new(Mutex::new(Err("not asked yet".to_owned()))));
        let (scraper, signals) = Scraper::new(Vec::new(), Duration::from_millis(50));
        let region = Some("eu".to_owned());
        let scraper = scraper.discover(vec![(region, Arc::new(roll.clone()))]);
        let (out, looks) = mpsc::channel(1);
        let mut wanted = Wanted::default();
        wanted.note_published(3, BTreeMap::new());
        let (tell, wanted) = watch::channel(wanted);
        tokio::spawn(scraper.run(out, wanted));
        Self { port, roll, down, page: pages, looks, signals, _wanted: tell }
    }

    fn set(&self, proxies: &[&str]) {
        self.roll.set(self.port, proxies);
    }

    /// Looks until what each lacks is as wanted; all that was lacking in between.
    async fn until(&mut self, expected: &[(&str, &str)]) -> Vec<String> {
        let mut lacked = Vec::new();
        let waited = tokio::time::timeout(Duration::from_secs(60), async {
            while let Some(look) = self.looks.recv().await {
                let now: BTreeMap<&str, &str> = look
                    .sources
                    .iter()
                    .map(|source| (source.address.as_str(), source.lacks.as_deref().unwrap_or_default()))
                    .collect();
                let fits = now.len() == expected.len()
                    && expected.iter().all(|(name, lacks)| match now.get(name) {
                        Some(found) => found.contains(lacks) && lacks.is_empty() == found.is_empty(),
                        None => false,
                    });
                if fits {
                    return;
                }
                lacked
                    .extend(now.values().filter(|lacks| !lacks.is_empty()).map(|lacks| (*lacks).to_owned()));
            }
        });
        if waited.await.is_err() {
            panic!("{expected:?} never came; lacked meanwhile: {lacked:?}");
        }
        lacked
    }
}

#[tokio::test]
async fn a_pod_that_leaves_is_waited_for_by_nobody_and_missed_by_nobody() {
    let mut sidecars = Sidecars::start().await;
    sidecars.until(&[("pods://models/app=a", "not asked yet")]).await;
    sidecars.set(&["models/a 1 127.0.0.1", "models/b 2 127.0.0.2"]);
    sidecars.until(&[("models/a", ""), ("models/b", "")]).await;
    assert_eq!(sidecars.signals.nodes.borrow().0.len(), 2);
    assert!(sidecars.signals.nodes.borrow().0.values().all(|node| node.region == "eu"));
    // Its end is announced: it is read, and acknowledges nothing.
    sidecars.set(&["models/a 1 127.0.0.1", "models/b 2 127.0.0.2 leaves"]);
    let mut nodes = sidecars.signals.nodes.clone();
    let left = nodes.wait_for(|nodes| nodes.0.len() == 1);
    tokio::time::timeout(Duration::from_secs(60), left).await.expect("in time").expect("a look");
    sidecars.until(&[("models/a", ""), ("models/b", "")]).await;
    // It ends, and nothing is lost.
    sidecars.down.lock().expect("not poisoned").insert("127.0.0.2");
    assert_eq!(sidecars.until(&[("models/a", "")]).await, Vec::<String>::new());
    // It comes back with its page (it was not ready for a while), and another leaves without a word.
    sidecars.down.lock().expect("not poisoned").clear();
    sidecars.set(&["models/b 2 127.0.0.2"]);
    let lacked = sidecars.until(&[("models/b", "")]).await;
    let begins = |lacks: &String| lacks.contains("first reading") || lacks.contains("never answered");
    assert!(lacked.iter().all(begins), "{lacked:?}");
    // Scaled to nothing: that nobody is there is said.
    sidecars.set(&[]);
    sidecars.until(&[("pods://models/app=a", "there is no such pod")]).await;
}

#[tokio::test]
async fn a_pod_of_the_same_name_or_the_same_address_is_another() {
    let mut sidecars = Sidecars::start().await;
    sidecars.set(&["models/a-0 1 127.0.0.1"]);
    sidecars.until(&[("models/a-0", "")]).await;
    // Made anew: its counters begin anew, and nothing of them is of the one before.
    sidecars.set(&["models/a-0 2 127.0.0.2"]);
    sidecars.until(&[("models/a-0", "first reading")]).await;
    sidecars.until(&[("models/a-0", "")]).await;
    // Its address goes to another.
    sidecars.set(&["models/b-0 3 127.0.0.2"]);
    sidecars.until(&[("models/b-0", "first reading")]).await;
    sidecars.until(&[("models/b-0", "")]).await;
}

#[tokio::test]
async fn a_filter_that_is_absent_or_refuses_is_named() {
    let mut sidecars = Sidecars::start().await;
    let refusals = |n: u32| {
        page(&format!(
            "serin_policy_generation{{}} 2\nserin_policy_incarnation{{}} 0\n\
             serin_policy_refused_total{{reason=\"weight\"}} {n}\n"
        ))
    };
    sidecars.page.lock().expect("not poisoned").extend([("127.0.0.1", page("")), ("127.0.0.2", refusals(4))]);
    sidecars.set(&["models/a 1 127.0.0.1", "models/b 2 127.0.0.2", "models/c 3 127.0.0.3"]);
    let mut troubles = sidecars.signals.troubles.clone();
    let kinds = |all: &Vec<Trouble>| -> Vec<(String, TroubleKind)> {
        all.iter().map(|trouble| (trouble.proxy.clone(), trouble.kind)).collect()
    };
    let expected =
        [("models/a".to_owned(), TroubleKind::NoFilter), ("models/b".to_owned(), TroubleKind::Refuses)];
    let told =
        troubles.wait_for(|all| kinds(all).iter().filter(|(name, _)| name != "models/c").eq(expected.iter()));
    tokio::pin!(told);
    let found = loop {
        tokio::select! {
            told = &mut told => break told.expect("looks").clone(),
            look = sidecars.looks.recv() => assert!(look.is_some()),
        }
    };
    assert!(found[1].text.contains("weight"), "{found:?}");
    let node = sidecars.signals.nodes.borrow().0["models/b"].clone();
    assert!(node.refused.is_some_and(|refused| refused.generation == 3), "of what is published");
}
