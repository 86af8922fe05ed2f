//! Rollouts that are kept by objects of Kubernetes.

use std::collections::BTreeMap;

use super::*;

/// Who deletes beside an object would see it come back; where nobody looks at the object any more, nobody else could delete it.
#[tokio::test]
async fn what_an_object_keeps_is_deleted_there_as_long_as_that_is_looked_at() {
    let object =
        ObjectView { namespace: "models".to_owned(), name: "ranker".to_owned(), ..ObjectView::default() };
    let view = RunView { object: Some(object), ..RunView::default() };
    let views: Views = Arc::new(BTreeMap::from([("ranker".to_owned(), Arc::new(view))]));
    let refused = Some((409, "kubectl -n models delete rollouts.serin.dev ranker"));
    for (kept, expected) in [
        (Some("models"), refused),
        (Some("search,models"), refused),
        (Some("all"), refused),
        (Some("search"), None),
        (None, None),
    ] {
        let mut here = served("127.0.0.1:7070", &[]);
        here.api.views = watch::channel(views.clone()).1;
        here.api.kept = kept.map(|kept| kept.parse().expect("namespaces"));
        let commanded = std::mem::replace(&mut here.commanded, mpsc::channel(1).1);
        let mut here = Served { commanded, ..with(here.api) };
        check(&mut here, "DELETE /v1/rollouts/ranker\nhost: localhost\nserin-user: ben", expected).await;
    }
}
