//! Hooks of the user's own: URLs that lead elsewhere, and programs that do not end.

use std::path::Path;
use std::sync::{Arc, Mutex};

use api::PhaseName::HandBack;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;

use tests::{EnvoyOptions, Models, Seen, Serin, a_core, until};

/// A deploy tool behind a login page, which answers every stranger 200.
async fn behind_a_login() -> (String, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let answer = async |State(seen): State<Arc<Mutex<Vec<String>>>>, request: Request| -> Response {
        let path = request.uri().path().to_owned();
        seen.lock().expect("not poisoned").push(path.clone());
        match path.as_str() {
            "/login" => "please sign in".into_response(),
            "/delete" => StatusCode::OK.into_response(),
            _ => (StatusCode::FOUND, [("location", "/login")]).into_response(),
        }
    };
    let router = axum::Router::new().fallback(answer).with_state(seen.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    tokio::spawn(axum::serve(listener, router).into_future());
    (url, seen)
}

fn spec(more: &str) -> String {
    format!(
        "apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {{name: ranker}}
spec:
  stable: {{version: v1}}
  canary: {{version: v2}}
  stages: [{{weight: 100%, bake: 1s, gates: []}}]
{more}"
    )
}

fn message(view: &Seen) -> &str {
    &view.run.message
}

/// The login page's 200 is nobody's success: stable serves v1, and v1 is not handed over to be deleted.
#[tokio::test(flavor = "multi_thread")]
async fn a_redirected_hook_hands_nothing_back() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let serin = Serin::start(&models, EnvoyOptions::default()).await;
    let (tool, seen) = behind_a_login().await;
    serin
        .apply(&spec(&format!(
            "  handBack: {{hook: {{url: '{tool}/promote'}}}}\n  after: {{succeeded: {{url: '{tool}/delete'}}}}\n"
        )))
        .await;
    let view = serin.until("ranker", "the hand-back to fail", |view| message(view).contains("failed")).await;
    assert!(view.is(HandBack) && view.run.stable == "v1", "{view}");
    assert!(
        message(&view).contains("302") && message(&view).contains("to /login; redirects are not followed"),
        "{view}"
    );
    let seen = seen.lock().expect("not poisoned").clone();
    assert!(seen.iter().all(|path| path == "/promote"), "{seen:?}");
}

/// The ids that a program has written down, a line each.
async fn ids(file: &Path, count: usize) -> Vec<String> {
    until("the program to run", async || {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let ids: Vec<String> = text.lines().map(str::to_owned).collect();
        if ids.len() >= count { Ok(ids) } else { Err(text) }
    })
    .await
}

/// Is a process gone? What nobody has asked for its status is, too.
fn is_gone(id: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_none_or(|rest| rest.is_empty() || rest.starts_with(" Z"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_takes_too_long_is_ended_with_all_it_started_and_learns_no_secret() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let options = ["--hook-command", "sh"].map(str::to_owned);
    let serin = Serin::start_with(&models, EnvoyOptions::default(), &options).await;
    let folder = tempfile::tempdir().expect("a folder");
    let (file, env) = (folder.path().join("ids"), folder.path().join("env"));
    let script = format!(
        "env > {env}; echo $$ >> {file}; sh -c \"echo \\$\\$ >> {file}; sleep 600\" & wait",
        env = env.display(),
        file = file.display()
    );
    serin.apply(&spec(&format!("  warmUpHook: {{command: [sh, -c, '{script}'], timeout: 2s}}\n"))).await;
    let ids = ids(&file, 2).await;
    let view =
        serin.until("ranker", "the warm-up to fail", |view| message(view).contains("did not end")).await;
    assert!(message(&view).contains("ended with all that it had started"), "{view}");
    until("all of it to be gone", async || match ids.iter().find(|id| !is_gone(id)) {
        None => Ok(()),
        Some(id) => Err(id.clone()),
    })
    .await;
    let env = std::fs::read_to_string(env).expect("it wrote them");
    assert!(env.contains("SERIN_CANARY=v2") && env.contains("PATH="), "{env}");
    // CARGO_MANIFEST_DIR and its like are there when a test is run by cargo.
    let strange = env
        .lines()
        .find(|line| line.starts_with("CARGO") || line.starts_with("RUST") || line.starts_with("SERIN_BIN"));
    assert_eq!(strange, None, "{env}");
}

/// A stop in the middle of a hook waits for it, and what came of it is known to the next start.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_the_hook_that_is_under_way() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let options = ["--hook-command", "sh"].map(str::to_owned);
    let mut serin = Serin::start_with(&models, EnvoyOptions::default(), &options).await;
    let folder = tempfile::tempdir().expect("a folder");
    let (begun, go, done) =
        (folder.path().join("begun"), folder.path().join("go"), folder.path().join("done"));
    let script = format!(
        "echo x >> {}; while [ ! -e {} ]; do sleep 0.1; done; echo x >> {}",
        begun.display(),
        go.display(),
        done.display()
    );
    serin.apply(&spec(&format!("  warmUpHook: {{command: [sh, -c, '{script}'], timeout: 5m}}\n"))).await;
    ids(&begun, 1).await;
    serin.ask_to_stop();
    // It is told to stop, and serves its proxies until the program has ended.
    until(
        "the stop to be heard",
        async || {
            if serin.log().contains("stopping") { Ok(()) } else { Err("not yet") }
        },
    )
    .await;
    assert!(!done.exists());
    std::fs::write(&go, "").expect("a file");
    serin.stopped().await;
    assert!(done.exists(), "it was waited for");
    serin.run().await;
    serin.until("ranker", "its way up", |view| view.run.weight_ppm != 0).await;
    assert_eq!(std::fs::read_to_string(&begun).expect("it").lines().count(), 1, "it is not called again");
}
