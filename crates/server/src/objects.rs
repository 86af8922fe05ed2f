//! What Rollouts of Kubernetes ask of the controller: the commands that a person gives.

use std::fmt;

use anyhow::{Error, anyhow};
use api::Applied;
use controller::engine::{Act, Command, Conditions, Views};
use controller::specification::{Specification, SpecificationReaders};
use istio::objects::{Answered, Controller};
use rollout::Human;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::server::asked;

/// Who it is in the history.
const WHO: &str = "kubernetes";

/// The engine, as objects see it.
pub struct Objects {
    pub commands: mpsc::Sender<Command>,
    pub views: watch::Receiver<Views>,
    pub readers: SpecificationReaders,
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects").finish_non_exhaustive()
    }
}

fn human(why: &str) -> Human {
    Human { who: WHO.to_owned(), reason: why.to_owned() }
}

impl Controller for Objects {
    fn apply(&self, text: String) -> Answered<'_, Applied> {
        Box::pin(async move {
            let spec = Box::new(self.readers.read(move || Specification::read(text)).await?);
            let (who, conditions) = (WHO.to_owned(), Conditions::default());
            asked(&self.commands, |answer| Command::Apply {
                spec,
                who,
                again: false,
                dry_run: false,
                conditions,
                answer,
            })
            .await
        })
    }

    fn abort<'a>(&'a self, name: &'a str, why: &'a str) -> Answered<'a, ()> {
        Box::pin(async move {
            let (name, act, human, conditions) =
                (name.to_owned(), Act::Abort, human(why), Conditions::default());
            asked(&self.commands, |answer| Command::Act { name, act, human, conditions, answer })
                .await
                .map(|_| ())
        })
    }

    fn delete<'a>(&'a self, name: &'a str, why: &'a str) -> Answered<'a, ()> {
        Box::pin(async move {
            let (name, human, conditions) = (name.to_owned(), human(why), Conditions::default());
            asked(&self.commands, |answer| Command::Delete { name, human, conditions, answer }).await
        })
    }

    fn views(&self) -> watch::Receiver<Views> {
        self.views.clone()
    }
}

/// Resolves when objects and engine are kept in step no more, and says why; never where nobody keeps them.
pub async fn kept_no_more(keeping: Option<JoinHandle<()>>) -> Error {
    match keeping {
        None => std::future::pending().await,
        Some(keeping) => match keeping.await {
            Ok(()) => anyhow!("Rollouts of Kubernetes are kept no more: nobody tells of them"),
            Err(error) => Error::new(error).context("Rollouts of Kubernetes are kept no more"),
        },
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_half_that_ended_is_noticed() {
        for (kept, why) in [
            (tokio::spawn(async { panic!("as it was told") }), "panicked"),
            (tokio::spawn(async {}), "nobody tells of them"),
        ] {
            let said = format!("{:#}", kept_no_more(Some(kept)).await);
            assert!(said.contains(why), "{said}");
        }
        assert!(kept_no_more(None).now_or_never().is_none());
        let keeps = tokio::spawn(std::future::pending());
        assert!(kept_no_more(Some(keeps)).now_or_never().is_none());
    }
}
