//! What the objects of Kubernetes say of rollouts, when the controller cannot be asked.

use std::process::ExitCode;

use anyhow::{Result, anyhow};
use istio::Away;
use istio::objects::{Listed, list};

use super::Client;
use crate::table::Side::{Left, Right};
use crate::table::columns;

/// Shows what the controller wrote last, where it is away; any other error is that.
pub async fn instead(client: &Client, name: Option<&str>, error: anyhow::Error) -> Result<ExitCode> {
    let (Some(service), Some(away)) = (client.service(), error.downcast_ref::<Away>()) else {
        return Err(error);
    };
    let why = away.to_string();
    let found = match service.client().await {
        Ok(api_server) => list(api_server, name)
            .await
            .map_err(|also| anyhow!("{why}; and the Rollouts cannot be read: {also}"))?,
        Err(_) => return Err(error),
    };
    eprintln!(
        "warning: the controller cannot be asked ({why}); this is what it wrote into the Rollouts last, and traffic may have moved since"
    );
    print!("{}", shown(&found));
    match (name, found.is_empty()) {
        (Some(name), true) => Err(anyhow!("there is no Rollout {name:?}")),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn shown(found: &[Listed]) -> String {
    let head = ["NAMESPACE", "NAME", "PHASE", "STEP", "WEIGHT", "ACTUAL", "VERDICT", "MESSAGE"];
    let rows = found.iter().map(|Listed { namespace, name, status }| {
        let said = |field: &Option<String>| field.clone().unwrap_or_else(|| "-".to_owned());
        [
            namespace.clone(),
            name.clone(),
            said(&status.phase),
            said(&status.step),
            said(&status.weight),
            said(&status.actual_weight),
            said(&status.verdict),
            said(&status.message),
        ]
    });
    let sides = [Left, Left, Left, Right, Right, Right, Left, Left];
    columns(sides, std::iter::once(head.map(str::to_owned)).chain(rows))
}
