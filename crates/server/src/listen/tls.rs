//! TLS for the port of the proxies: who we are, and by whose word proxies are who they say.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};
use tokio_rustls::server::TlsStream;

use super::identity::{WorkloadIdentity, Workloads};

/// Files are looked at this often: who renews certificates writes them anew.
const LOOK: Duration = Duration::from_secs(1);

/// Where certificate and key are, in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// Ours, with those between it and its authority.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Of the authorities whose certificates proxies must have; `None`: they need none.
    pub client_ca: Option<PathBuf>,
    /// Which of those workloads are let in; empty: all of them.
    pub client_ids: Vec<WorkloadIdentity>,
}

/// TLS as the files say it now.
#[derive(Clone)]
pub struct Tls(watch::Receiver<Arc<ServerConfig>>);

impl Tls {
    /// Reads the files, and again whenever they change.
    ///
    /// # Errors
    /// When they cannot be used; the error names the file.
    pub fn open(files: TlsFiles) -> Result<Self> {
        let mut read = contents(&files)?;
        let (sender, receiver) = watch::channel(Arc::new(config(&files, &read)?));
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                if sender.is_closed() {
                    return;
                }
                let looked = files.clone();
                let Ok(Ok(now)) = tokio::task::spawn_blocking(move || contents(&looked)).await else {
                    continue;
                };
                if now == read {
                    continue;
                }
                match config(&files, &now) {
                    Ok(config) => {
                        tracing::info!("certificates were read anew");
                        sender.send_replace(Arc::new(config));
                    }
                    // Half of them may be written: the next look finds both.
                    Err(error) => tracing::warn!("the certificates from before are kept: {error:#}"),
                }
                read = now;
            }
        });
        Ok(Self(receiver))
    }

    /// A connection, once both sides know whom they talk to.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = self.0.borrow().clone();
        TlsAcceptor::from(config).accept(stream).await
    }
}

/// The files' bytes: certificate, key, authorities.
type Contents = [Vec<u8>; 3];

fn contents(files: &TlsFiles) -> Result<Contents> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("{} cannot be read", path.display()));
    let authorities = files.client_ca.as_deref().map(read).transpose()?;
    Ok([read(&files.certificate)?, read(&files.key)?, authorities.unwrap_or_default()])
}

fn config(files: &TlsFiles, [certificate, key, authorities]: &Contents) -> Result<ServerConfig> {
    let chain = certificates(&files.certificate, certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .with_context(|| format!("{} holds no private key in PEM", files.key.display()))?;
    let provider = Arc::new(crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(path, authorities)? {
                roots.add(authority).with_context(|| format!("{} holds no authority", path.display()))?;
            }
            let certified = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
            let wanted = files.client_ids.clone();
            builder.with_client_cert_verifier(match wanted.is_empty() {
                true => certified,
                false => Arc::new(Workloads { certified, wanted }),
            })
        }
    };
    let both =
        || format!("{} and {} do not belong together", files.certificate.display(), files.key.display());
    let mut config = builder.with_single_cert(chain, key).with_context(both)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.with_context(|| format!("{} is no PEM", path.display()))?;
    if found.is_empty() {
        bail!("{} holds no certificate in PEM", path.display());
    }
    Ok(found)
}
