use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use tokio::sync::{mpsc, watch};

use super::super::{Scraper, Wanted};
use super::*;
use crate::Increments;

#[test]
fn names_are_read_as_written() {
    let of = |told: &str| Behind::new(told).ok().map(|behind| (behind.host, behind.port, behind.path));
    assert_eq!(
        of("dns://serin-sidecars.models:15020/stats/prometheus"),
        Some(("serin-sidecars.models".to_owned(), 15_020, "stats/prometheus".to_owned()))
    );
    for told in ["dns://host/stats", "dns://:1/x", "dns://host:99999/x", "http://host:1/x", "dns://a b:1/x"] {
        assert!(Behind::new(told).is_err(), "{told}");
    }
}

/// Addresses that a test sets.
#[derive(Clone)]
struct Book(Arc<Mutex<Result<Vec<IpAddr>, String>>>);

impl Book {
    fn set(&self, known: Result<&[&str], &str>) {
        let addresses = |all: &[&str]| all.iter().map(|ip| ip.parse().expect("an address")).collect();
        *self.0.lock().expect("not poisoned") = known.map(addresses).map_err(str::to_owned);
    }
}

impl Names for Book {
    fn look_up<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, String>> {
        let known = self.0.lock().expect("not poisoned").clone();
        Box::pin(std::future::ready(known))
    }
}

#[tokio::test]
async fn a_pod_of_two_families_is_read_once() {
    let book = Book(Arc::new(Mutex::new(Ok(Vec::new()))));
    let behind = Behind::new("dns://pods:1/x").expect("a name").asks(Arc::new(book.clone()), Duration::ZERO);
    for (addresses, expected) in [
        (&["10.0.0.1", "fd00::1"][..], &["http://10.0.0.1:1/x"][..]),
        (&["fd00::1"], &["http://[fd00::1]:1/x"]),
    ] {
        book.set(Ok(addresses));
        let pages = behind.pages().await.expect("addresses");
        assert_eq!(pages.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    }
}

/// The first look that is as wanted.
async fn until(
    looks: &mut mpsc::Receiver<Increments>,
    what: &str,
    fits: impl Fn(&BTreeMap<String, String>) -> bool,
) {
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        let mut last = BTreeMap::new();
        while let Some(look) = looks.recv().await {
            let short = |address: &str| {
                address.split('/').nth(2).and_then(|at| at.split(':').next()).unwrap_or(address).to_owned()
            };
            last = look
                .sources
                .iter()
                .map(|source| (short(&source.address), source.lacks.clone().unwrap_or_default()))
                .collect();
            if fits(&last) {
                return;
            }
        }
        panic!("no more looks; the last one: {last:?}");
    });
    waited.await.unwrap_or_else(|_| panic!("{what} never came"));
}

#[tokio::test]
async fn pods_that_come_are_read_and_pods_that_go_are_closed() {
    let down: Arc<Mutex<Vec<&'static str>>> = Arc::default();
    let refused = down.clone();
    let router = axum::Router::new().fallback(move |headers: HeaderMap| async move {
        let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
        if refused.lock().expect("not poisoned").iter().any(|down| host.starts_with(down)) {
            return (StatusCode::SERVICE_UNAVAILABLE, String::new());
        }
        let page =
            "# TYPE envoy_server_uptime gauge\nenvoy_server_uptime{} 50\nserin_policy_generation{} 3\n";
        (StatusCode::OK, page.to_owned())
    });
    // Every address of this machine's own leads there.
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    tokio::spawn(axum::serve(listener, router).into_future());

    let book = Book(Arc::new(Mutex::new(Ok(Vec::new()))));
    book.set(Ok(&["127.0.0.1"]));
    let behind = Behind::new(&format!("dns://sidecars:{port}/stats/prometheus")).expect("a name");
    let behind = behind.asks(Arc::new(book.clone()), Duration::from_millis(50));
    let (scraper, _signals) = Scraper::new(Vec::new(), Duration::from_millis(50));
    let scraper = scraper.discover(vec![(None, Arc::new(behind))]);
    let (out, mut looks) = mpsc::channel(1);
    let (_wanted, wanted) = watch::channel(Wanted::default());
    tokio::spawn(scraper.run(out, wanted));
    let whole = |known: &BTreeMap<String, String>, names: &[&str]| {
        known.keys().map(String::as_str).eq(names.iter().copied()) && known.values().all(String::is_empty)
    };
    until(&mut looks, "the first pod", |known| whole(known, &["127.0.0.1"])).await;
    book.set(Ok(&["127.0.0.1", "127.0.0.2"]));
    until(&mut looks, "a second pod", |known| whole(known, &["127.0.0.1", "127.0.0.2"])).await;
    // A resolver that fails takes nobody away, and a pod that leaves is read for as long as it answers.
    book.set(Err("no resolver"));
    until(&mut looks, "both still", |known| whole(known, &["127.0.0.1", "127.0.0.2"])).await;
    book.set(Ok(&["127.0.0.1"]));
    until(&mut looks, "both still", |known| whole(known, &["127.0.0.1", "127.0.0.2"])).await;
    down.lock().expect("not poisoned").push("127.0.0.2");
    until(&mut looks, "what is lost to be told", |known| {
        known.get("127.0.0.2").is_some_and(|lacks| lacks.contains("went away"))
    })
    .await;
    until(&mut looks, "the one that is left", |known| whole(known, &["127.0.0.1"])).await;
}
