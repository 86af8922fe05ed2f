//! The object of Kubernetes that a rollout is kept by.

use manifest::typed::Rollout;
use serde::{Deserialize, Serialize};

/// The annotation of an applied document that names the object it was made of.
pub const OBJECT_ANNOTATION: &str = "serin.dev/object";

/// The object of Kubernetes that a rollout is kept by: what is applied under its name comes from there alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectView {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID: one that was deleted and made again is another.
    pub uid: String,
    /// A digest of the specification that was applied last.
    pub digest: String,
}

impl ObjectView {
    /// The value of [`OBJECT_ANNOTATION`].
    #[must_use]
    pub fn annotation(&self) -> String {
        let Self { namespace, name, uid, digest } = self;
        format!("{namespace}/{name}/{uid}/{digest}")
    }

    /// The object that a document was made of; `None`: a person applied it.
    #[must_use]
    pub fn of(document: &Rollout) -> Option<Self> {
        let mut parts =
            document.metadata.annotations.get(OBJECT_ANNOTATION)?.splitn(4, '/').map(str::to_owned);
        Some(Self {
            namespace: parts.next()?,
            name: parts.next()?,
            uid: parts.next()?,
            digest: parts.next()?,
        })
    }

    /// The same of a text as it was applied.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        // What objects become is JSON; nothing else is read twice.
        text.contains(OBJECT_ANNOTATION)
            .then(|| serde_json::from_str(text).ok().as_ref().and_then(Self::of))?
    }

    /// How a person changes or deletes it.
    #[must_use]
    pub fn command(&self, verb: &str) -> String {
        format!("kubectl -n {} {verb} rollouts.serin.dev {}", self.namespace, self.name)
    }

    /// Why a document that comes from `other` may not take the place of what this object, or a person, has applied under the
    /// name; `None`: it may.
    #[must_use]
    pub fn keeps_out(present: Option<&Self>, other: Option<&Self>, name: &str) -> Option<String> {
        match (present, other) {
            (Some(present), Some(other)) if present.namespace == other.namespace => None,
            (None, None) => None,
            (Some(present), Some(_)) => Some(format!(
                "the name {name} is taken by the Rollout in namespace {}, and names are the controller's, whatever the namespace; \
                 give this Rollout another name",
                present.namespace
            )),
            (Some(present), None) => Some(format!(
                "{name} is kept by a Rollout of Kubernetes in namespace {}; change it there: {} (where its namespace is not kept any \
                 more: serin delete {name})",
                present.namespace,
                present.command("edit")
            )),
            (None, Some(_)) => Some(format!(
                "a rollout {name} was applied by a person (serin apply), and would be taken over; delete it first (serin delete \
                 {name}), or give this Rollout another name"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(namespace: &str) -> ObjectView {
        ObjectView {
            namespace: namespace.to_owned(),
            name: "ranker".to_owned(),
            uid: "0b1c".to_owned(),
            digest: "ab12".to_owned(),
        }
    }

    #[test]
    fn it_is_read_from_the_document_it_was_written_into() {
        let document = |annotation: &str| {
            format!(
                r#"{{"apiVersion": "serin.dev/v1alpha1", "kind": "Rollout", "metadata": {{"name": "ranker", "annotations": {{"serin.dev/object": "{annotation}"}}}}, "spec": {{"stable": {{"version": "v1"}}, "canary": {{"version": "v2"}}}}}}"#
            )
        };
        assert_eq!(ObjectView::of_text(&document(&object("models").annotation())), Some(object("models")));
        assert_eq!(ObjectView::of_text(&document("models")), None);
        assert_eq!(ObjectView::of_text("metadata: {annotations: {serin.dev/object: a/b/c/d}}"), None);
    }

    #[test]
    fn nobody_takes_over_what_another_keeps() {
        let (here, there) = (object("models"), object("search"));
        let check = |present, other, part: Option<&str>| {
            let why = ObjectView::keeps_out(present, other, "ranker");
            assert_eq!(why.is_some(), part.is_some(), "{why:?}");
            assert!(why.zip(part).is_none_or(|(why, part)| why.contains(part)));
        };
        check(None, None, None);
        check(Some(&here), Some(&here), None);
        check(Some(&here), Some(&there), Some("another name"));
        check(Some(&here), None, Some("kubectl -n models edit rollouts.serin.dev ranker"));
        check(None, Some(&here), Some("serin delete ranker"));
    }
}
