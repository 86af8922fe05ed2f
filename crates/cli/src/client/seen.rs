//! What an act is meant for: a person means what was seen, and the controller refuses what has moved on.

use anyhow::Result;
use api::{NO_RUN, Refusal, RunView};

use super::connection::{Client, refusal};
use crate::args::ActPrecondition;

/// A client that says what is seen of a rollout: what its user says, or what is there now. Of a rollout that is not there
/// it says nothing.
pub async fn seen(client: &Client, name: &str, meant: &ActPrecondition) -> Result<Client> {
    saying(client, name, meant, None).await
}

/// The same of a rollout that need not be there yet.
pub async fn at_seen_revision(client: &Client, name: &str, meant: &ActPrecondition) -> Result<Client> {
    saying(client, name, meant, Some(NO_RUN)).await
}

async fn saying(
    client: &Client,
    name: &str,
    meant: &ActPrecondition,
    absent: Option<&str>,
) -> Result<Client> {
    let seen = match &meant.revision {
        Some(revision) => Some(revision.clone()),
        None => match refusal(client.get(&api::path::rollout(name)).await)? {
            Ok(answer) => Some(answer.read::<RunView>()?.revision),
            Err(Refusal::Unknown(_)) => absent.map(str::to_owned),
            Err(refusal) => return Err(refusal.into()),
        },
    };
    // A controller of an earlier release tells of no revision.
    Ok(client.with_precondition(seen.filter(|seen| !seen.is_empty()), meant.idempotency_key.clone()))
}
