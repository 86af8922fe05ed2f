//! The task that keeps the object as it is wanted.

use std::time::Duration;

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch as Operations, PatchOperation, ReplaceOperation};
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::document::version;
use crate::place::{Kind, Place};
use crate::plugin::Shared;

/// Under this name the object's managed fields say who wrote them.
const MANAGER: &str = "serin";

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// So often the object is looked at when nothing is to be written.
    pub look: Duration,
    /// One question may take so long.
    pub answer: Duration,
    /// After a failure it is tried again, at first so soon.
    pub again: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            look: Duration::from_secs(5),
            answer: Duration::from_secs(5),
            again: Duration::from_millis(100),
        }
    }
}

/// What became of one try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    /// It was there already.
    Unchanged,
    Written,
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{0}")]
    Refused(#[from] kube::Error),
    #[error(
        "it is there no more; install it again, and where it was made anew as another kind, restart serin run"
    )]
    Absent,
    #[error("the API server did not answer within {} ms, or is busy and asks to wait longer (429)", .0.as_millis())]
    Silent(Duration),
    #[error(
        "another controller writes it: it holds incarnation {} and generation {}, which are above ours; one controller may write a plugin",
        .0.0, .0.1
    )]
    Ahead((u64, u64)),
    #[error("the policy is no JSON: {0}")]
    NoPolicy(#[from] serde_json::Error),
}

/// Writes what is wanted, and looks now and then whether it still stands. Ends with whoever wants something.
pub async fn keep(
    api: Api<DynamicObject>,
    kind: Kind,
    place: Place,
    mut wanted: watch::Receiver<Option<String>>,
    standing: Shared,
    patience: Patience,
) {
    // The last policy that was seen in the object: what differs from it later was changed by somebody else.
    let mut kept: Option<String> = None;
    let mut wait = patience.look;
    loop {
        let changed = timeout(wait, wanted.changed()).await;
        if matches!(changed, Ok(Err(_))) {
            return;
        }
        let Some(text) = wanted.borrow_and_update().clone() else { continue };
        match write(&api, kind, &place.name, &text, patience.answer).await {
            Ok(done) => {
                wait = patience.look;
                let repaired = done == Done::Written && kept.as_ref() == Some(&text);
                if repaired {
                    tracing::warn!("{place}: somebody else changed the policy; it was put right");
                }
                let again = standing.change(|standing| {
                    standing.generation = serde_json::from_str(&text).map_or(0, |policy| version(&policy).1);
                    standing.written += u64::from(done == Done::Written);
                    standing.repaired += u64::from(repaired);
                    standing.error.take()
                });
                if again.is_some() {
                    tracing::info!("{place}: the policy can be written again");
                }
                kept = Some(text);
            }
            Err(failed) => {
                let error = failed.to_string();
                wait = if wait == patience.look { patience.again } else { (wait * 2).min(patience.look / 2) };
                let news = standing.change(|standing| {
                    standing.failed += 1;
                    standing.error.replace(error.clone()).as_ref() != Some(&error)
                });
                if news {
                    tracing::error!("{place}: the policy cannot be written: {error}");
                }
            }
        }
    }
}

/// The whole policy takes the place of what stands there: keys that were left over would make the filter refuse it.
async fn write(
    api: &Api<DynamicObject>,
    kind: Kind,
    name: &str,
    wanted: &str,
    within: Duration,
) -> Result<Done, Failed> {
    let silent = |_| Failed::Silent(within);
    let wanted: Value = serde_json::from_str(wanted)?;
    let object = timeout(within, api.get_opt(name)).await.map_err(silent)??.ok_or(Failed::Absent)?;
    let present = kind.policy(&object);
    if present == Some(&wanted) {
        return Ok(Done::Unchanged);
    }
    if let Some(theirs) = present.map(version).filter(|theirs| *theirs > version(&wanted)) {
        return Err(Failed::Ahead(theirs));
    }
    // With the version that was read, the API server refuses (409) what somebody changed meanwhile.
    let read = object.metadata.resource_version.map(|version| {
        PatchOperation::Replace(ReplaceOperation {
            path: PointerBuf::from_tokens(["metadata", "resourceVersion"]),
            value: version.into(),
        })
    });
    let path = PointerBuf::from_tokens(kind.path().iter().copied());
    let add = PatchOperation::Add(AddOperation { path, value: wanted });
    let patch = Patch::<()>::Json(Operations(read.into_iter().chain([add]).collect()));
    let by = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    timeout(within, api.patch(name, &by, &patch)).await.map_err(silent)??;
    Ok(Done::Written)
}
