//! Warming the canary before its first request: the hook, or requests of our own.

use std::time::Duration;

use manifest::WarmUpHow;
use rollout::WarmUpRequest;
use serde_json::json;

use crate::hook::Hooks;

/// Warms the canary; `Err` says in one sentence why it is not warm.
pub async fn run(hooks: &Hooks, request: &WarmUpRequest) -> Result<(), String> {
    let WarmUpRequest { rollout, stable, canary, hook: terms } = request;
    let timeout = Duration::from_millis(terms.timeout_ms);
    match &terms.how {
        WarmUpHow::Url(url) => {
            let body = json!({"rollout": rollout, "stable": stable, "canary": canary});
            hooks.post(url, &body, None, timeout).await
        }
        WarmUpHow::Command(words) => {
            let env = [("SERIN_ROLLOUT", &**rollout), ("SERIN_STABLE", stable), ("SERIN_CANARY", canary)];
            hooks.command(words, &env, timeout).await
        }
        WarmUpHow::Requests { url, count, body } => {
            match tokio::time::timeout(timeout, requests(hooks.client(), url, *count, body.as_deref())).await
            {
                Ok(done) => done,
                Err(_) => {
                    Err(format!("{url} did not answer {count} requests within {} s", timeout.as_secs()))
                }
            }
        }
    }
}

/// One after the other: what is cold is not to be flooded. The first failure ends it.
async fn requests(client: &reqwest::Client, url: &str, count: u32, body: Option<&str>) -> Result<(), String> {
    for at in 1..=count {
        let request = match body {
            None => client.get(url),
            Some(body) => client.post(url).header("content-type", "application/json").body(body.to_owned()),
        };
        let failed = |what: String| Err(format!("request {at} of {count} to {url}: {what}"));
        match request.send().await {
            Err(error) => return failed(error.to_string()),
            Ok(answer) if !answer.status().is_success() => return failed(answer.status().to_string()),
            // The whole answer: a model that streams is warm at its end.
            Ok(answer) => {
                if let Err(error) = answer.bytes().await {
                    return failed(error.to_string());
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use axum::extract::State;
    use axum::http::StatusCode;
    use manifest::WarmUpHow;
    use tokio::net::TcpListener;

    use super::*;

    /// Fails from a request on; counts all.
    async fn server(fails_from: u32) -> (String, Arc<AtomicU32>) {
        let seen = Arc::new(AtomicU32::new(0));
        let answer = async move |State(seen): State<Arc<AtomicU32>>| {
            let at = seen.fetch_add(1, Ordering::Relaxed) + 1;
            if at >= fails_from { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
        };
        let router = axum::Router::new().fallback(answer).with_state(seen.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/warm", listener.local_addr().expect("its address"));
        tokio::spawn(axum::serve(listener, router).into_future());
        (url, seen)
    }

    async fn check(hook: &str, fails_from: u32, asked: u32, expected: Result<(), &str>) {
        let (url, seen) = server(fails_from).await;
        let text = format!(
            "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {{name: ranker}}\nspec:\n  stable: {{version: v1}}\n  canary: {{version: v2}}\n  warmUpHook: {}\n",
            hook.replace("URL", &format!("'{url}'"))
        );
        let plan = manifest::load(&text).unwrap_or_else(|problems| panic!("{problems}")).plan;
        let request = WarmUpRequest {
            rollout: "ranker".to_owned(),
            stable: "v1".to_owned(),
            canary: "v2".to_owned(),
            hook: plan.warm_up_hook.expect("it"),
        };
        assert!(!matches!(&request.hook.how, WarmUpHow::Command(words) if words.is_empty()));
        match (run(&Hooks::any(), &request).await, expected) {
            (Ok(()), Ok(())) => {}
            (Err(error), Err(part)) => assert!(error.contains(part), "{part:?} is missing in: {error}"),
            (found, expected) => panic!("{hook}: {found:?}, not {expected:?}"),
        }
        assert_eq!(seen.load(Ordering::Relaxed), asked, "{hook}");
    }

    #[tokio::test]
    async fn what_warms_is_done_whole_or_says_where_it_broke() {
        check("{requests: {url: URL, count: 20}}", 100, 20, Ok(())).await;
        check("{requests: {url: URL, count: 3, body: '{\"x\": 1}'}}", 100, 3, Ok(())).await;
        check("{requests: {url: URL, count: 20}}", 4, 4, Err("request 4 of 20")).await;
        check("{requests: {url: 'http://127.0.0.1:1/', count: 2}}", 4, 0, Err("request 1 of 2")).await;
        check("{url: URL}", 100, 1, Ok(())).await;
        check("{url: URL}", 1, 1, Err("503")).await;
        check("{command: [sh, -c, 'test $SERIN_CANARY = v2 && test $SERIN_STABLE = v1']}", 1, 0, Ok(()))
            .await;
        check("{command: [sh, -c, 'echo no gpu >&2; exit 3']}", 1, 0, Err("no gpu")).await;
        check("{command: [sleep, '60'], timeout: 10ms}", 1, 0, Err("did not end within")).await;
    }
}
