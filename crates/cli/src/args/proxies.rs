//! Authentication between proxies and the controller.

use std::path::PathBuf;

use envoy::bootstrap::{Authority, Credentials, TokenFile};
use server::{TlsFiles, WorkloadIdentity};

#[derive(Debug, clap::Args)]
pub struct Proxies {
    /// File of tokens that proxies may use, one per line; read again when it changes. Without it and without
    /// --tls-client-ca, anyone who reaches the ECDS address counts as a proxy
    #[arg(long, env = "SERIN_PROXY_TOKEN_FILE", value_name = "FILE")]
    pub proxy_token_file: Option<PathBuf>,
    /// Serve the ECDS address over TLS with this certificate (PEM), and leases there too; read again when it changes
    #[arg(long, env = "SERIN_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, env = "SERIN_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Require proxies to have a certificate of these authorities (PEM)
    #[arg(long, env = "SERIN_TLS_CLIENT_CA", value_name = "FILE", requires = "tls_cert")]
    pub tls_client_ca: Option<PathBuf>,
    /// Let in only workloads of these SPIFFE identities, as in spiffe://cluster.local/ns/models/sa/storefront; a * stands for any
    /// characters of one segment of the path (`.../ns/models/sa/*`). Without it everybody whom --tls-client-ca certifies is let in
    #[arg(
        long,
        env = "SERIN_TLS_CLIENT_ID",
        value_name = "SPIFFE-ID",
        value_delimiter = ',',
        requires = "tls_client_ca"
    )]
    pub tls_client_id: Vec<WorkloadIdentity>,
}

impl Proxies {
    /// The TLS files.
    pub fn tls(self) -> Option<TlsFiles> {
        let Self { tls_cert, tls_key, tls_client_ca, tls_client_id, .. } = self;
        Some(TlsFiles {
            certificate: tls_cert?,
            key: tls_key?,
            client_ca: tls_client_ca,
            client_ids: tls_client_id,
        })
    }
}

/// How an Envoy authenticates to the controller.
#[derive(Debug, clap::Args)]
pub struct ControllerCredentials {
    /// File with the proxy's token and nothing else, at the path where Envoy finds it. Envoy reads it at its start
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Also write this file: with it Envoy reads the token again when its file is replaced by a rename
    #[arg(long, value_name = "FILE", requires = "token_file")]
    pub token_watch: Option<PathBuf>,
    /// Use TLS to the controller, and require its certificate to be of these authorities (PEM); leases then use the ECDS
    /// address
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Name in the controller's certificate. Default: the host of the ECDS address
    #[arg(long, value_name = "NAME", requires = "ca")]
    pub ca_name: Option<String>,
    /// This Envoy's own certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "ca", requires = "key")]
    pub cert: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
}

impl ControllerCredentials {
    /// For the bootstrap, with absolute paths.
    pub fn credentials(&self) -> std::io::Result<Credentials> {
        let absolute = |path: &Option<PathBuf>| path.as_ref().map(std::path::absolute).transpose();
        let watch = absolute(&self.token_watch)?;
        let token = absolute(&self.token_file)?.map(|file| TokenFile { file, watch });
        let certificate = absolute(&self.cert)?.zip(absolute(&self.key)?);
        let tls = absolute(&self.ca)?.map(|ca| Authority { ca, name: self.ca_name.clone(), certificate });
        Ok(Credentials { token, tls })
    }
}
