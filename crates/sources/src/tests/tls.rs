//! TLS, with an authority of our own.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::WebPkiClientVerifier;

use super::*;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for this name, and its key.
    fn signs(&self, name: &str, purpose: ExtendedKeyUsagePurpose) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.0).expect("a certificate"), key)
    }

    /// A server for this name; it asks for a certificate of `clients`, if that is given. Returns its port.
    async fn serves(&self, name: &str, clients: Option<&Self>) -> u16 {
        let (certificate, key) = self.signs(name, ExtendedKeyUsagePurpose::ServerAuth);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("TLS");
        let config = match clients {
            None => config.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.0.der().clone()).expect("an authority");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                config.with_client_cert_verifier(verifier.build().expect("a verifier"))
            }
        };
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = config.with_single_cert(vec![certificate.der().clone()], key.into()).expect("a server");
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let router = StandIn::new(200, r#"{"a":7}"#).router();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, router) = (acceptor.clone(), router.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = hyper_util::service::TowerToHyperService::new(router);
                    let stream = hyper_util::rt::TokioIo::new(stream);
                    // The client may be gone before the end.
                    let _ =
                        hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await;
                });
            }
        });
        port
    }
}

#[tokio::test]
async fn whom_a_source_is_trusted_by_and_who_asks() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let plain = ours.serves("localhost", None).await;
    let renamed = ours.serves("prometheus", None).await;
    let mutual = ours.serves("localhost", Some(&theirs)).await;
    let (certificate, key) = theirs.signs("serin", ExtendedKeyUsagePurpose::ClientAuth);
    let (stranger, strange_key) = ours.signs("serin", ExtendedKeyUsagePurpose::ClientAuth);

    let dir = tempfile::tempdir().expect("a folder");
    for (name, text) in [
        ("ours", ours.pem()),
        ("both", format!("{}{}", theirs.pem(), ours.pem())),
        ("theirs", theirs.pem()),
        ("certificate", certificate.pem()),
        ("key", key.serialize_pem()),
        ("stranger", stranger.pem()),
        ("strange-key", strange_key.serialize_pem()),
        ("nonsense", "-----BEGIN CERTIFICATE-----\nb3VyIHNlY3JldA".to_owned()),
    ] {
        std::fs::write(dir.path().join(name), text).expect("a file");
    }
    let ca = |name: &str| Tls { ca: Some(Value::Secret(name.to_owned())), ..Tls::default() };
    let shows = |certificate: &str, key: &str| Tls {
        certificate: Some(Value::Secret(certificate.to_owned())),
        key: Some(secret(key)),
        ..ca("ours")
    };
    let inline = Tls { ca: Some(Value::Value(ours.pem())), ..Tls::default() };
    let named = Tls { server_name: Some("prometheus".to_owned()), ..ca("ours") };
    let anybody = Tls { insecure_skip_verify: true, ..Tls::default() };
    let number = Ok(Some(7.0));
    type Said = Result<Option<f64>, &'static [&'static str]>;
    let cases: [(&str, u16, Option<Tls>, Said); 14] = [
        ("the system knows no such authority", plain, None, Err(&["localhost", "certificate"])),
        ("its authority is named", plain, Some(ca("ours")), number),
        ("in the rollout itself", plain, Some(inline), number),
        ("among others", plain, Some(ca("both")), number),
        ("another authority", plain, Some(ca("theirs")), Err(&["localhost", "certificate"])),
        ("no authority at all", plain, Some(ca("nonsense")), Err(&["access.tls.ca", "PEM"])),
        ("anybody", plain, Some(anybody.clone()), number),
        ("another name", renamed, Some(ca("ours")), Err(&["localhost", "certificate"])),
        ("the name it bears", renamed, Some(named), number),
        ("anybody, under any name", renamed, Some(anybody), number),
        ("nothing is shown", mutual, Some(ca("ours")), Err(&["localhost"])),
        ("a certificate is shown", mutual, Some(shows("certificate", "key")), number),
        ("a stranger's", mutual, Some(shows("stranger", "strange-key")), Err(&["localhost"])),
        (
            "with another's key",
            mutual,
            Some(shows("certificate", "strange-key")),
            Err(&["access.tls.key", "go with"]),
        ),
    ];
    for (case, port, tls, expected) in cases {
        let mut source = http(format!("https://localhost:{port}/"), "/a");
        source.access.tls = tls;
        let said = figures(&offering(dir.path()), Source::Http(source)).await;
        assert!(!format!("{said:?}").contains("BEGIN"), "{case}: {said:?}");
        judge(case, said, expected);
    }
}
