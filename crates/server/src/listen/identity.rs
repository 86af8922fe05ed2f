//! Which workloads are let in: those whose certificate bears one of the identities that the operator names.

use std::str::FromStr;
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};

/// SPIFFE identities of workloads: `spiffe://cluster.local/ns/models/sa/storefront`. A `*` stands for any characters of
/// one segment of the path, never for a `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadIdentity(String);

/// Why a text names no identity.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} names no workload; write spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT, where * stands for any characters of one segment of the path"
)]
pub struct NoIdentity(String);

impl FromStr for WorkloadIdentity {
    type Err = NoIdentity;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (domain, path) = text
            .strip_prefix("spiffe://")
            .and_then(|rest| rest.split_once('/'))
            .ok_or_else(|| NoIdentity(text.to_owned()))?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let segments = path.split('/').all(|segment| {
            !segment.is_empty()
                && segment.chars().all(|c| plain(c) || c == '*')
                && !matches!(segment, "." | "..")
        });
        // Whose trust domain it is is never left open.
        match !domain.is_empty() && domain.chars().all(plain) && segments {
            true => Ok(Self(text.to_owned())),
            false => Err(NoIdentity(text.to_owned())),
        }
    }
}

impl WorkloadIdentity {
    /// Is `name` one of these?
    fn is(&self, name: &str) -> bool {
        let (mut wanted, mut given) = (self.0.split('/'), name.split('/'));
        loop {
            match (wanted.next(), given.next()) {
                (None, None) => return true,
                (Some(wanted), Some(given)) if fits(wanted, given) => {}
                _ => return false,
            }
        }
    }
}

/// One segment. An empty one fits none but itself.
fn fits(wanted: &str, given: &str) -> bool {
    let Some((first, rest)) = wanted.split_once('*') else { return wanted == given };
    if given.is_empty() {
        return false;
    }
    let Some(mut given) = given.strip_prefix(first) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return given.ends_with(part);
        }
        match given.split_once(part) {
            Some((_, after)) => given = after,
            None => return false,
        }
    }
    true
}

/// Lets in who is certified, and is one of those workloads.
#[derive(Debug)]
pub struct Workloads {
    pub certified: Arc<dyn ClientCertVerifier>,
    pub wanted: Vec<WorkloadIdentity>,
}

impl Workloads {
    /// A workload's certificate has exactly one name that is a URI (SPIFFE X.509-SVID, section 2).
    fn lets_in(&self, certificate: &CertificateDer<'_>) -> Result<(), String> {
        let certificate = webpki::EndEntityCert::try_from(certificate).map_err(|error| error.to_string())?;
        let mut names = certificate.valid_uri_names();
        let name = match (names.next(), names.next()) {
            (Some(name), None) => name,
            (None, _) => return Err("its certificate names no workload (no URI)".to_owned()),
            (Some(_), Some(_)) => return Err("its certificate has more than one URI".to_owned()),
        };
        match self.wanted.iter().any(|wanted| wanted.is(name)) {
            true => Ok(()),
            false => Err(format!("its certificate is of {name}, which --tls-client-id does not name")),
        }
    }
}

impl ClientCertVerifier for Workloads {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.certified.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let certified = self.certified.verify_client_cert(certificate, between, now)?;
        match self.lets_in(certificate) {
            Ok(()) => Ok(certified),
            Err(why) => {
                Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(NotLetIn(why))))))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.certified.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.certified.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.certified.supported_verify_schemes()
    }
}

/// Why one is not let in.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotLetIn(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wanted: &str, name: &str, expected: bool) {
        let identity: WorkloadIdentity = wanted.parse().expect("an identity");
        assert_eq!(identity.is(name), expected, "{wanted} and {name}");
    }

    #[test]
    fn an_identity_is_whole_and_a_star_stays_in_its_segment() {
        const OURS: &str = "spiffe://cluster.local/ns/models/sa/storefront";
        check(OURS, OURS, true);
        check("spiffe://cluster.local/ns/models/sa/*", OURS, true);
        check("spiffe://cluster.local/ns/*/sa/*", OURS, true);
        check("spiffe://cluster.local/ns/models/sa/store*", OURS, true);
        check("spiffe://cluster.local/ns/models/sa/*front", OURS, true);
        check("spiffe://cluster.local/ns/models/sa/s*re*t", OURS, true);
        check("spiffe://cluster.local/ns/models/sa/s*x*t", OURS, false);
        check("spiffe://cluster.local/ns/models/sa/store", OURS, false);
        check("spiffe://cluster.local/ns/models/*", OURS, false);
        check("spiffe://cluster.local/ns/models/sa/*", "spiffe://cluster.local/ns/models/sa/a/b", false);
        check("spiffe://cluster.local/ns/models/sa/*", "spiffe://cluster.local/ns/models/sa/", false);
        check("spiffe://cluster.local/ns/models/sa/*", "spiffe://cluster.local/ns/models-2/sa/a", false);
        check("spiffe://cluster.local/ns/models/sa/*", "spiffe://cluster.local.evil/ns/models/sa/a", false);
        check("spiffe://cluster.local/ns/models/sa/*", "https://cluster.local/ns/models/sa/a", false);
    }

    #[test]
    fn what_names_no_workload_is_refused_with_the_form() {
        for wrong in [
            "",
            "storefront",
            "spiffe://",
            "spiffe://cluster.local",
            "spiffe://cluster.local/",
            "spiffe:///ns/models",
            "spiffe://*/ns/models/sa/a",
            "spiffe://cluster.local/ns//sa/a",
            "spiffe://cluster.local/ns/../sa/a",
            "https://cluster.local/ns/models/sa/a",
            "spiffe://cluster.local/ns/models/sa/a?b",
        ] {
            let error = wrong.parse::<WorkloadIdentity>().expect_err(wrong).to_string();
            assert!(error.contains("spiffe://TRUST-DOMAIN/ns/"), "{error}");
        }
    }
}
