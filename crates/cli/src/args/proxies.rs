//! How proxies prove who they are.

use std::path::PathBuf;

use controller::TlsFiles;
use envoy::bootstrap::{Authority, Credentials, TokenFile};

#[derive(Debug, clap::Args)]
pub struct Proxies {
    /// A file whose lines are the tokens that proxies may show; it is read again when it changes. Without it, and without
    /// --tls-client-ca, whoever reaches the ECDS address is taken for a proxy
    #[arg(long, env = "SERIN_PROXY_TOKEN_FILE", value_name = "FILE")]
    pub proxy_token_file: Option<PathBuf>,
    /// Speak TLS at the ECDS address, where the lease is served as well, with this certificate (PEM); read again when it
    /// changes
    #[arg(long, env = "SERIN_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, env = "SERIN_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Let in only proxies with a certificate of these authorities (PEM)
    #[arg(long, env = "SERIN_TLS_CLIENT_CA", value_name = "FILE", requires = "tls_cert")]
    pub tls_client_ca: Option<PathBuf>,
}

impl Proxies {
    /// The files of TLS.
    pub fn tls(self) -> Option<TlsFiles> {
        let Self { tls_cert, tls_key, tls_client_ca, .. } = self;
        Some(TlsFiles { certificate: tls_cert?, key: tls_key?, client_ca: tls_client_ca })
    }
}

/// What an Envoy shows the controller.
#[derive(Debug, clap::Args)]
pub struct Shows {
    /// The token to show the controller, in a file at the path where Envoy finds it: the token and nothing else. Envoy reads
    /// it when it starts
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Write this file too: with it Envoy reads the token again whenever its file is replaced by a rename
    #[arg(long, value_name = "FILE", requires = "token_file")]
    pub token_watch: Option<PathBuf>,
    /// Speak TLS to the controller, which has a certificate of these authorities (PEM); the lease is then asked at the ECDS
    /// address
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// What the controller's certificate is made out to. Default: the host of the ECDS address
    #[arg(long, value_name = "NAME", requires = "ca")]
    pub ca_name: Option<String>,
    /// This Envoy's own certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "ca", requires = "key")]
    pub cert: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
}

impl Shows {
    /// The same for the bootstrap, with absolute paths.
    pub fn credentials(&self) -> std::io::Result<Credentials> {
        let absolute = |path: &Option<PathBuf>| path.as_ref().map(std::path::absolute).transpose();
        let watch = absolute(&self.token_watch)?;
        let token = absolute(&self.token_file)?.map(|file| TokenFile { file, watch });
        let certificate = absolute(&self.cert)?.zip(absolute(&self.key)?);
        let tls = absolute(&self.ca)?.map(|ca| Authority { ca, name: self.ca_name.clone(), certificate });
        Ok(Credentials { token, tls })
    }
}
