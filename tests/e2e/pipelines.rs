//! What a pipeline does: a folder is applied, asked about beforehand, waited for, tried once more.

use tests::{EnvoyOptions, Models, Serin, a_core};

fn rollout(name: &str, canary: &str, more: &str) -> String {
    format!(
        "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {{name: {name}}}\nspec:\n  stable: {{version: v1}}\n  canary: {{version: {canary}}}\n  match: {{pathPrefix: /{name}}}\n{more}"
    )
}

const TRIGGER: &str = "apiVersion: serin.dev/v1alpha1\nkind: Trigger\nmetadata: {name: registry}\nspec:\n  webhook: {unsigned: true}\n  template:\n    metadata: {name: third}\n    spec: {stable: {version: v6}, canary: {version: 'v{{version}}'}}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_applied_whole_or_not_at_all_and_its_ends_are_waited_for() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let serin = Serin::start(&models, EnvoyOptions::default()).await;
    let folder = std::path::PathBuf::from(serin.file("folder", "")).with_file_name("rollouts");
    std::fs::create_dir(&folder).expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("a file");
    let folder_name = folder.display().to_string();
    let apply = async |more: &[&str]| {
        let arguments: Vec<&str> = ["apply", "-f", &folder_name].iter().chain(more).copied().collect();
        serin.command(&arguments).await
    };
    write(
        "a.yaml",
        &format!("{}---\n{}", rollout("first", "v2", ""), rollout("second", "v2", "  canry: 1\n")),
    );

    // A typo in one applies none.
    let (code, text) = apply(&[]).await;
    assert!(
        code == 1 && text.contains("a.yaml:8: error (line 16)") && text.contains("nothing was applied"),
        "{text}"
    );
    let (_, text) = serin.command(&["get"]).await;
    assert!(text.contains("0 rollouts"), "{text}");

    write("a.yaml", &format!("{}---\n{}", rollout("first", "v2", ""), rollout("second", "v2", "")));
    let (code, text) = apply(&["--dry-run"]).await;
    assert!(
        code == 0 && text.contains("first: would begin as run 1") && text.contains("2 to begin"),
        "{text}"
    );
    let (_, text) = serin.command(&["get"]).await;
    assert!(text.contains("0 rollouts"), "asking changes nothing: {text}");

    let (code, text) = apply(&[]).await;
    assert!(code == 0 && text.contains("second: begun as run 1") && text.contains("2 begun"), "{text}");
    let (code, text) = apply(&[]).await;
    assert!(code == 0 && text.contains("first: unchanged, this is run 1"), "{text}");

    // Another version is refused while one is under way; the others are applied all the same.
    write("b.yml", &rollout("third", "v2", ""));
    write("a.yaml", &format!("{}---\n{}", rollout("first", "v3", ""), rollout("second", "v2", "")));
    let (code, text) = apply(&["--dry-run"]).await;
    assert!(
        code == 1 && text.contains("first: refused: first is ") && text.contains("third: would begin"),
        "{text}"
    );
    let (code, text) = apply(&[]).await;
    assert!(
        code == 1 && text.contains("first: refused: ") && text.contains("third: begun as run 1"),
        "{text}"
    );
    let queued = serin.file("queued.yaml", &rollout("first", "v3", "  supersede: queue\n"));
    let (code, text) = serin.command(&["apply", "--dry-run", "-f", &queued]).await;
    assert!(code == 0 && text.contains("would be queued, to begin when run 1 is over"), "{text}");
    assert!(text.contains("spec.canary.version: v2 -> v3"), "field by field: {text}");

    // The end is waited for; the other end and the timeout have codes of their own.
    let (code, text) = serin.command(&["wait", "first", "--timeout", "1s"]).await;
    assert!(code == 2 && text.contains("not promoted in time"), "{text}");
    let (code, text) = serin.command(&["retry", "first", "--reason", "why not"]).await;
    assert!(code == 1 && text.contains("is under way"), "{text}");
    let waits = serin.command(&["wait", "first", "--run", "1"]);
    let aborts = serin.command(&["abort", "first", "--reason", "seen enough"]);
    let ((code, text), (aborted, _)) = tokio::join!(waits, aborts);
    assert!((code, aborted) == (1, 0) && text.contains("first run 1: RolledBack"), "{text}");
    let (code, text) = serin.command(&["get", "--needs-attention"]).await;
    assert!(code == 0 && text.contains("! first") && !text.contains("second "), "{text}");

    let (code, text) = serin.command(&["retry", "first", "--reason", "the index was cold"]).await;
    assert!(code == 0 && text.contains("first: begun as run 2"), "{text}");
    let (code, text) = serin.command(&["wait", "first", "--run", "1", "--for", "rolled-back"]).await;
    assert!(code == 0, "the run before it is as it was: {text}");
    let (_, text) = serin.command(&["history", "first", "--run", "2"]).await;
    assert!(text.contains("the index was cold"), "{text}");
    let (code, text) = serin.command(&["wait", "fourth"]).await;
    assert!(code == 3 && text.contains("fourth"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn triggers_stand_beside_rollouts() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let serin = Serin::start(&models, EnvoyOptions::default()).await;
    let file = serin.file("all.yaml", &format!("# both\n---\n{}---\n{TRIGGER}", rollout("first", "v2", "")));
    for (more, trigger) in [
        (vec!["--dry-run"], "registry: would be kept, to begin third by itself"),
        (vec![], "registry: kept, it begins third by itself"),
        (vec![], "registry: unchanged, it begins third by itself"),
    ] {
        let arguments: Vec<&str> = ["apply", "-f", &file].into_iter().chain(more).collect();
        let (code, text) = serin.command(&arguments).await;
        assert!(code == 0 && text.contains(trigger) && text.contains("2 documents: "), "{text}");
    }
    let (code, text) = serin.command(&["lint", "-f", &file]).await;
    assert!(code == 0 && text.contains("all.yaml:2: first: v1 -> v2"), "{text}");
}
