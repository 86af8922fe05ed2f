//! Rollouts that are kept by objects of Kubernetes.

use api::ObjectView;

use super::*;

fn object(uid: &str, digest: &str) -> ObjectView {
    let text = |text: &str| text.to_owned();
    ObjectView { namespace: text("models"), name: text("ranker"), uid: text(uid), digest: text(digest) }
}

fn document(canary: &str, of: &ObjectView) -> String {
    format!(
        r#"{{"apiVersion": "serin.dev/v1alpha1", "kind": "Rollout", "metadata": {{"name": "ranker", "annotations": {{"{}": "{}"}}}}, "spec": {{"stable": {{"version": "v1"}}, "canary": {{"version": "{canary}"}}}}}}"#,
        api::OBJECT_ANNOTATION,
        of.annotation()
    )
}

#[track_caller]
fn kept_by(engine: &Engine, expected: &ObjectView) {
    assert_eq!(engine.views.borrow()["ranker"].object.as_ref(), Some(expected));
}

/// An object that is made anew, or says the same otherwise, keeps what it kept: it is told from another by what was applied last.
#[tokio::test]
async fn an_object_that_says_the_same_keeps_its_run() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut first = engine(&file);
    let (begun, otherwise, anew) = (object("u1", "a"), object("u1", "b"), object("u2", "b"));
    apply(&mut first, &document("v2", &begun)).await.expect("begun");
    kept_by(&first, &begun);
    for next in [&otherwise, &anew] {
        let applied = apply(&mut first, &document("v2", next)).await.expect("unchanged");
        assert!(applied.unchanged && applied.run == 1, "{applied:?}");
        kept_by(&first, next);
    }
    let other = ObjectView { namespace: "search".to_owned(), ..begun };
    apply(&mut first, &document("v2", &other)).await.expect_err("the name is taken");
    apply(&mut first, &spec("v1", "v2", "")).await.expect_err("an object keeps it");

    // Rolled back, and made anew as it was: nothing begins, and nothing is refused.
    abort(&mut first).await;
    let again = object("u3", "b");
    apply(&mut first, &document("v2", &again)).await.expect("the same");
    kept_by(&first, &again);
    apply(&mut first, &document("v2", &object("u3", "c"))).await.expect_err("it was rolled back");
    kept_by(&first, &again);
    // It is written with the evidence at the latest.
    first.checkpoint(0);
    first.hear(std::time::Duration::from_secs(60));
    drop(first);
    kept_by(&engine(&file), &again);
}
