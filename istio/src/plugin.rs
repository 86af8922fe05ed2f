//! The object that installs the filter, kept as the controller wants it.

use std::path::Path as FilePath;
use std::sync::{Arc, Mutex, PoisonError};

use kube::api::DynamicObject;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Api, Client, Config};
use tokio::sync::watch;

use crate::document::{LeaseAddress, plugin_config};
use crate::keeper::{self, Patience};
use crate::place::{Kind, Place};

/// The object that installs the filter; policies are written into it, the newest always first.
#[derive(Clone, Debug)]
pub struct Plugin {
    place: Place,
    lease: LeaseAddress,
    wanted: watch::Sender<Option<String>>,
    standing: Shared,
}

/// How the object stands, for metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The generation that was last written, or found written.
    pub generation: u64,
    /// How often a policy was written.
    pub written: u64,
    /// How often somebody else had changed it, and it was put right.
    pub repaired: u64,
    /// How often it could not be read or written.
    pub failed: u64,
    /// Why it cannot be kept now; `None`: it is as wanted.
    pub error: Option<String>,
}

/// The same, shared by the task that writes and its readers.
#[derive(Clone, Debug, Default)]
pub struct Shared(Arc<Mutex<Standing>>);

/// Why there is nothing to write into.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// Where the API server is is not known.
    #[error(
        "the Kubernetes API server cannot be found: {0}; run in a pod with a service account, or name a kubeconfig (--kubeconfig, KUBECONFIG)"
    )]
    Unconfigured(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The API server did not answer, or refused.
    #[error(
        "{place} cannot be read: {source}; may the service account get and patch {kind}s in its namespace?"
    )]
    Unread {
        /// Which object.
        place: Place,
        /// What kind.
        kind: Kind,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// It is not there.
    #[error(
        "there is neither a TrafficExtension nor a WasmPlugin {0}; install the filter first, at weight 0 (istio/trafficextension.yaml, \
         before Istio 1.30 istio/wasmplugin.yaml)"
    )]
    Absent(Place),
    /// Two filters would decide.
    #[error(
        "there is both a TrafficExtension and a WasmPlugin {0}, and two filters would decide; delete one of them"
    )]
    Twice(Place),
    /// It installs something else.
    #[error("the TrafficExtension {0} has no spec.wasm: it installs no filter of ours")]
    NotWasm(Place),
}

impl Plugin {
    /// A client of the API server that this kubeconfig names; without one, of the environment's: the file in `KUBECONFIG`, else the
    /// pod's service account.
    ///
    /// # Errors
    /// Where none is to be had.
    pub async fn client(kubeconfig: Option<&FilePath>) -> Result<Client, PluginError> {
        Self::client_of(kubeconfig, None).await
    }

    /// The same of a context of the kubeconfig; `None`: of the present one.
    ///
    /// # Errors
    /// Where none is to be had, or the context is not there.
    pub async fn client_of(
        kubeconfig: Option<&FilePath>,
        context: Option<&str>,
    ) -> Result<Client, PluginError> {
        let options =
            KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
        let config = match (kubeconfig, context) {
            (Some(path), _) => {
                of_file(path, &options).await.map_err(|error| PluginError::Unconfigured(error.into()))?
            }
            (None, Some(_)) => Config::from_kubeconfig(&options)
                .await
                .map_err(|error| PluginError::Unconfigured(error.into()))?,
            (None, None) => Config::infer().await.map_err(|error| PluginError::Unconfigured(error.into()))?,
        };
        Client::try_from(config).map_err(|error| PluginError::Unconfigured(error.into()))
    }

    /// Finds the object, and keeps it from now on in a task of its own. Nothing is written before the first policy.
    ///
    /// # Errors
    /// When the object is not there, is there twice, or cannot be read.
    pub async fn keep(client: Client, place: Place, lease: LeaseAddress) -> Result<Self, PluginError> {
        Self::kept(client, place, lease, Patience::default()).await
    }

    /// Is the object there, and one that a policy can be written into? What is not answered is no error here.
    ///
    /// # Errors
    /// When the object is not there, is there twice, or has no place for a policy.
    pub async fn check(client: &Client, place: &Place) -> Result<(), PluginError> {
        match find(client, place).await {
            Ok(_) | Err(PluginError::Unread { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn kept(
        client: Client,
        place: Place,
        lease: LeaseAddress,
        patience: Patience,
    ) -> Result<Self, PluginError> {
        let (kind, object) = find(&client, &place).await?;
        let (wanted, seen) = watch::channel(None);
        let standing = Shared::default();
        tracing::info!("policies are written into the {kind} {place}");
        tokio::spawn(keeper::keep(object, kind, place.clone(), seen, standing.clone(), patience));
        Ok(Self { place, lease, wanted, standing })
    }

    /// Which object it is.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// Has the policy written, in place of one that is not written yet; returns at once.
    ///
    /// # Errors
    /// When the text is no JSON.
    pub fn publish(&self, policy: &str) -> Result<(), serde_json::Error> {
        let config = plugin_config(policy, &self.lease)?;
        self.wanted.send_replace(Some(config.to_string()));
        Ok(())
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing.change(|standing| standing.clone())
    }
}

impl Shared {
    pub fn change<T>(&self, change: impl FnOnce(&mut Standing) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn of_file(path: &FilePath, options: &KubeConfigOptions) -> Result<Config, KubeconfigError> {
    let kubeconfig = Kubeconfig::read_from(path)?;
    Config::from_custom_kubeconfig(kubeconfig, options).await
}

async fn find(client: &Client, place: &Place) -> Result<(Kind, Api<DynamicObject>), PluginError> {
    let mut found = None;
    for kind in Kind::ALL {
        let api = kind.api(client.clone(), &place.namespace);
        // A kind that is not served answers 404 as well.
        let object = match api.get_opt(&place.name).await {
            Ok(Some(object)) => object,
            Ok(None) => continue,
            Err(source) => {
                return Err(PluginError::Unread { place: place.clone(), kind, source: Box::new(source) });
            }
        };
        if kind == Kind::TrafficExtension && object.data.pointer("/spec/wasm").is_none() {
            return Err(PluginError::NotWasm(place.clone()));
        }
        if found.replace((kind, api)).is_some() {
            return Err(PluginError::Twice(place.clone()));
        }
    }
    found.ok_or_else(|| PluginError::Absent(place.clone()))
}
