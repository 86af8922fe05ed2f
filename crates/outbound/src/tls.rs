//! Whom an answer is believed to come from, and who is asking.

use std::sync::Arc;

use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::resolve::Resolver;
use crate::secret::Text;

/// Terms of their own, such as a source's; their texts read.
#[derive(Default)]
pub struct Terms {
    /// The authorities that are trusted, as PEM; `None`: those of the system.
    pub ca: Option<Text>,
    /// A certificate that is shown, with its key.
    pub certificate: Option<(Text, Text)>,
    /// The name the server's certificate bears; `None`: the URL's host.
    pub server_name: Option<String>,
    /// Believes anybody.
    pub skip_verify: bool,
}

/// Whom the system trusts. A container without certificates still asks over plain HTTP.
#[must_use]
pub fn system() -> Arc<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let causes: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        tracing::warn!(
            "no certificate authority is known ({}), so an https:// source is trusted by its own `ca` alone; install \
             ca-certificates, or name a file of them in SSL_CERT_FILE",
            causes.join(", ")
        );
    }
    Arc::new(roots)
}

/// Ways to the servers that these terms are for.
pub fn connector(
    roots: &Arc<RootCertStore>,
    terms: Option<&Terms>,
    resolver: Resolver,
) -> Result<HttpsConnector<HttpConnector<Resolver>>, String> {
    let mut http = HttpConnector::new_with_resolver(resolver);
    http.enforce_http(false);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be used: {error}"))?;
    let Some(terms) = terms else {
        let config = config.with_root_certificates(roots.clone()).with_no_client_auth();
        return Ok(HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http));
    };
    let config = if terms.skip_verify {
        config.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
    } else {
        let trusted = match &terms.ca {
            None => roots.clone(),
            Some(pem) => Arc::new(authorities(pem)?),
        };
        config.with_root_certificates(trusted)
    };
    let config = match &terms.certificate {
        None => config.with_no_client_auth(),
        Some((chain, key)) => {
            let chain = certificates("access.tls.certificate", chain)?;
            let key = PrivateKeyDer::from_pem_slice(key.reveal().as_bytes())
                .map_err(|_| "access.tls.key holds no private key in PEM".to_owned())?;
            config
                .with_client_auth_cert(chain, key)
                .map_err(|error| format!("access.tls.key does not go with its certificate: {error}"))?
        }
    };
    let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
    Ok(match &terms.server_name {
        None => builder.enable_http1().wrap_connector(http),
        Some(name) => {
            let name = ServerName::try_from(name.clone())
                .map_err(|_| format!("access.tls.serverName is {name:?}, which is no host name"))?;
            builder
                .with_server_name_resolver(FixedServerNameResolver::new(name))
                .enable_http1()
                .wrap_connector(http)
        }
    })
}

fn authorities(pem: &Text) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("access.tls.ca", pem)? {
        roots
            .add(certificate)
            .map_err(|error| format!("access.tls.ca holds what is no authority: {error}"))?;
    }
    Ok(roots)
}

fn certificates(field: &str, pem: &Text) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.reveal().as_bytes()).collect();
    match read {
        Ok(found) if !found.is_empty() => Ok(found),
        // The reader's own words may repeat what it read.
        Ok(_) | Err(_) => Err(format!("{field} holds no certificate in PEM")),
    }
}

/// Believes any certificate, but not a stranger to its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
