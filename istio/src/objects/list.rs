//! What objects say of their rollouts, for whoever cannot ask the controller.

use kube::api::{DynamicObject, ListParams};
use kube::{Api, Client, ResourceExt as _};

use super::status::Status;
use super::watch::resource;

/// An object, as a person looks at it.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What the controller said last.
    pub status: Status,
}

/// All Rollouts of the cluster that whoever asks may see, or those of a name.
///
/// # Errors
/// When the API server refuses or does not answer.
pub async fn list(client: &Client, name: Option<&str>) -> Result<Vec<Listed>, kube::Error> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource());
    let params = name.map_or_else(ListParams::default, |name| {
        ListParams::default().fields(&format!("metadata.name={name}"))
    });
    let found = api.list(&params).await?;
    Ok(found.items.into_iter().map(listed).collect())
}

fn listed(object: DynamicObject) -> Listed {
    let status = object.data.get("status").cloned();
    Listed {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        status: status.and_then(|status| serde_json::from_value(status).ok()).unwrap_or_default(),
    }
}
