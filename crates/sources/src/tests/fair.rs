//! A server that hangs holds those who ask it, and nobody else.

use super::*;

/// Hangs below `/hole`, and answers `{"a": 1}` elsewhere.
async fn half_a_server() -> String {
    let router = axum::Router::new().fallback(async |request: Request| {
        if request.uri().path().starts_with("/hole") {
            std::future::pending::<()>().await;
        }
        r#"{"a": 1}"#
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let host = listener.local_addr().expect("its address").to_string();
    tokio::spawn(axum::serve(listener, router).into_future());
    host
}

fn source(host: &str, path: &str, timeout_ms: u64) -> Source {
    let mut source = http(format!("http://{host}{path}"), "/a");
    source.access.timeout = Some(Span::from_ms(timeout_ms));
    Source::Http(source)
}

/// Waits until whoever asks has all the places it can have: the next question is not even asked, and says so, because
/// waiting is part of the time it has.
async fn full(sources: &Sources, host: &str, asker: Requester<'_>) {
    loop {
        match sources.ask(&source(host, "/x", 50), asker, WHEN).await {
            Err(error) if error.contains("was not asked within 50ms") => {
                return assert!(error.contains(asker.name), "{error}");
            }
            _ => tokio::task::yield_now().await,
        }
    }
}

#[tokio::test]
async fn forty_questions_that_hang_delay_nobody_elses() {
    let host = half_a_server().await;
    let sources = sources();
    let asker = |name, purpose| Requester { name, purpose };
    let mut hanging = tokio::task::JoinSet::new();
    for at in 0..40 {
        for purpose in [Purpose::Prove, Purpose::Protect] {
            let (sources, source) = (sources.clone(), source(&host, &format!("/hole/{at}"), 60_000));
            hanging
                .spawn(async move { sources.ask(&source, Requester { name: "noisy", purpose }, WHEN).await });
        }
    }
    for purpose in [Purpose::Prove, Purpose::Protect] {
        full(&sources, &host, asker("noisy", purpose)).await;
    }
    for purpose in [Purpose::Prove, Purpose::Protect] {
        // The same server, another rollout.
        let said = sources.ask(&source(&host, "/x", 10_000), asker("victim", purpose), WHEN).await;
        assert_eq!(said.expect("an answer").canary, Some(1.0), "{purpose:?}");
    }
    hanging.abort_all();
}

/// Gates that hang do not hold a guardrail of their own rollout.
#[tokio::test]
async fn what_protects_does_not_wait_for_what_proves() {
    let host = half_a_server().await;
    let sources = sources();
    let mut hanging = tokio::task::JoinSet::new();
    for at in 0..40 {
        let (sources, source) = (sources.clone(), source(&host, &format!("/hole/{at}"), 60_000));
        hanging.spawn(async move { sources.ask(&source, ASKER, WHEN).await });
    }
    full(&sources, &host, ASKER).await;
    let guard = Requester { purpose: Purpose::Protect, ..ASKER };
    let said = sources.ask(&source(&host, "/x", 10_000), guard, WHEN).await;
    assert_eq!(said.expect("an answer").canary, Some(1.0));
    hanging.abort_all();
}
