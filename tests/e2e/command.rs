//! The `serin` command as a person types it.

use api::{PhaseName, RunView};
use tests::{EnvoyOptions, Models, Serin, a_core, get, tools, until};

const MINIMAL: &str = "apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: ranker}
spec:
  stable: {version: v1}
  canary: {version: v2}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_is_applied_followed_and_aborted() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let serin = Serin::start(&models, EnvoyOptions::default()).await;
    assert!(MINIMAL.lines().count() <= 10);

    let text = serin.apply(MINIMAL).await;
    assert!(text.contains("serin get ranker -w"), "{text}");
    serin.until("ranker", "the first stage", |view| view.is(PhaseName::Progressing)).await;

    let (code, text) = serin.command(&["get"]).await;
    assert!(code == 0 && text.contains("NAME") && text.contains("ranker"), "{text}");
    let (code, text) = serin.command(&["get", "ranker"]).await;
    assert!(code == 0 && text.contains("v1 -> v2") && text.contains("Progressing"), "{text}");
    let (code, text) = serin.command(&["get", "ranker", "-o", "json"]).await;
    let view: RunView = serde_json::from_str(&text).expect("a run");
    assert!(code == 0 && view.run.weight_ppm > 0, "{text}");

    let again = serin.file("again.yaml", MINIMAL);
    let (code, text) = serin.command(&["apply", "-f", &again]).await;
    assert!(code == 0 && text.contains("unchanged"), "{text}");
    let other = serin.file("other.yaml", &MINIMAL.replace("v2", "v3"));
    let (code, text) = serin.command(&["apply", "-f", &other]).await;
    assert!(code == 1 && text.contains("serin abort ranker"), "{text}");

    let (code, text) = serin.command(&["abort", "ranker", "--reason", "seen enough"]).await;
    assert_eq!(code, 0, "{text}");
    let (code, text) = serin.command(&["get", "ranker", "-w"]).await;
    assert!(code == 1 && text.contains("RolledBack") && text.contains("seen enough"), "{text}");
    let (code, text) = serin.command(&["promote", "ranker"]).await;
    assert!(code == 1 && text.contains("over"), "{text}");

    let (code, text) = serin.command(&["delete", "ranker", "--reason", "retired"]).await;
    assert!(code == 0 && text.contains("serin history ranker"), "{text}");
    let (code, text) = serin.command(&["get", "ranker"]).await;
    assert!(code == 1 && text.contains("no rollout"), "{text}");
    // Its requests are nobody's now: the proxies neither assign nor tag them.
    until("an answer without a version", async || {
        let answer = get(serin.envoy().addr, "/", &[]).await.map_err(|error| error.to_string())?;
        match answer.version() {
            None if answer.status == 200 => Ok(()),
            _ => Err(format!("{answer:?}")),
        }
    })
    .await;

    serin.apply(MINIMAL).await;
    let (code, text) = serin.command(&["get", "ranker", "--run", "1"]).await;
    assert!(code == 0 && text.contains("seen enough"), "{text}");
    let (code, text) = serin.command(&["history", "ranker", "--run", "1"]).await;
    assert!(code == 0 && text.contains("delete") && text.contains("retired"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_with_its_remedy() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let serin = Serin::start(&models, EnvoyOptions::default()).await;
    let bad = serin
        .file("bad.yaml", &MINIMAL.replace("canary: {version: v2}", "canary: {version: v2}\n  stagse: []"));
    for command in ["lint", "apply"] {
        let (code, text) = serin.command(&[command, "-f", &bad]).await;
        assert!(code == 1 && text.contains("stagse") && text.contains("line 7"), "{command}: {text}");
    }
    let (code, text) = serin.command(&["abort", "nobody"]).await;
    assert!(code == 1 && text.contains("nobody"), "{text}");
    let (code, text) = serin.command(&["get", "nobody"]).await;
    assert!(code == 1 && text.contains("nobody"), "{text}");
    let (code, text) = serin.command(&["get", "--server", "http://127.0.0.1:1"]).await;
    assert!(code == 3 && text.contains("serin run"), "{text}");
    let (code, text) = serin.command(&["apply", "-f", "nothing.yaml"]).await;
    assert!(code == 3 && text.contains("nothing.yaml"), "{text}");
    let (code, text) = serin.command(&["get", "--server", "127.0.0.1:1"]).await;
    assert!(code == 3 && text.contains("http://127.0.0.1:1"), "{text}");
    // Apart from what says what became of a rollout.
    let (code, text) = serin.command(&["get", "--wach"]).await;
    assert!(code == 64 && text.contains("--watch"), "{code}: {text}");
    assert_eq!(serin.command(&["--help"]).await.0, 0);
}

/// `serin explain ... | head`: nobody reads it any more, which is no fault.
#[test]
fn a_reader_may_leave() {
    use std::process::{Command, Stdio};
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = Command::new(tools::serin());
    let output = command.args(["explain", "--schema"]).stdout(writer).stderr(Stdio::piped()).output();
    let output = output.expect("serin runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(141) && said.is_empty(), "{:?}: {said}", output.status);
}

/// What `serin bootstrap` prints is a configuration that Envoy takes.
#[tokio::test(flavor = "multi_thread")]
async fn the_printed_bootstrap_is_one_envoy_takes() {
    let _core = a_core().await;
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("envoy.yaml");
    let output = tokio::process::Command::new(tools::serin())
        .args(["bootstrap", "--stable", "127.0.0.1:8001", "--canary", "127.0.0.1:8002", "--wasm"])
        .arg(tools::wasm())
        .output()
        .await
        .expect("serin runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::write(&file, output.stdout).expect("a file");
    let output = tokio::process::Command::new(tools::envoy())
        .args(["--mode", "validate", "-c"])
        .arg(&file)
        .output()
        .await
        .expect("envoy runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The annotated example is one a person can apply.
#[tokio::test(flavor = "multi_thread")]
async fn the_annotated_example_is_in_order() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/rollout.yaml");
    let output = tokio::process::Command::new(tools::serin()).args(["lint", "-f", file]).output().await;
    let output = output.expect("serin runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("fine") && !text.contains("error"), "{text}");
}
