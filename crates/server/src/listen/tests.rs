//! Real sockets, and peers that do what no decent one does. Deadlines are for a machine that hangs, not measures.

use std::future::Future;

use axum::body::Bytes;
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

const DEADLINE: Duration = Duration::from_secs(30);

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("in time")
}

struct Served {
    address: SocketAddr,
    refused_requests: RefusedRequests,
    stop: watch::Sender<bool>,
    serving: tokio::task::JoinHandle<()>,
}

fn endless() -> Body {
    let chunks = futures::stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 65_536])));
    Body::from_stream(chunks)
}

async fn served(room: usize, patience: ConnectionTimeouts, tls: Option<Tls>) -> Served {
    let router =
        Router::new().route("/", get(|| async { "here" })).route("/endless", get(|| async { endless() }));
    let router = router.route(api::path::LEASE, get(|| async { "here" }));
    let socket = listen("--http", "127.0.0.1:0".parse().expect("an address")).await.expect("a port");
    let address = socket.local_addr().expect("its address");
    let refused_requests = RefusedRequests::default();
    let (stop, stopped) = watch::channel(false);
    let port = Port { socket, router, tls, room, patience, refused_requests: refused_requests.clone() };
    Served { address, refused_requests, stop, serving: tokio::spawn(port.serve(stopped)) }
}

async fn connect(served: &Served) -> TcpStream {
    soon(TcpStream::connect(served.address)).await.expect("a connection")
}

/// Asks for a path over a connection that is kept, and reads the head and the body of a short answer.
async fn ask(stream: &mut TcpStream, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    soon(stream.write_all(request.as_bytes())).await.expect("sent");
    let mut text = String::new();
    while !text.ends_with("here") {
        let mut some = [0; 1_024];
        let n = soon(stream.read(&mut some)).await.expect("an answer");
        assert!(n > 0, "the connection ended after {text:?}");
        text.push_str(&String::from_utf8_lossy(&some[..n]));
    }
    text
}

/// Waits until the other side has ended the connection.
async fn ends(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // A reset is an end as well.
    let _ = soon(stream.read_to_end(&mut rest)).await;
}

#[tokio::test]
async fn who_comes_when_there_is_no_room_is_sent_away_and_who_is_there_stays() {
    let served = served(2, ConnectionTimeouts::default(), None).await;
    let mut first = connect(&served).await;
    let mut second = connect(&served).await;
    ask(&mut first, "/").await;
    ask(&mut second, "/").await;
    for _ in 0..50 {
        ends(&mut connect(&served).await).await;
    }
    assert!(
        served.refused_requests.render(0).contains("{reason=\"connections\"} 50"),
        "{}",
        served.refused_requests.render(0)
    );
    ask(&mut first, "/").await;
    drop(second);
    // Its place is free as soon as its end is seen.
    soon(async {
        loop {
            let mut third = connect(&served).await;
            let _ = third.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
            let mut some = [0; 64];
            if matches!(third.read(&mut some).await, Ok(n) if n > 0) {
                return;
            }
        }
    })
    .await;
}

/// A fleet's leases, or a stranger's, take every place there is, again and again; a person is answered at once all the same.
#[tokio::test]
async fn a_flood_of_leases_locks_nobody_out() {
    let served = served(16, ConnectionTimeouts::default(), None).await;
    let mut flood = Vec::new();
    for round in 0..4 {
        for n in 0..16 {
            let mut lease = connect(&served).await;
            if n % 4 > 0 {
                ask(&mut lease, api::path::LEASE).await;
            }
            flood.push(lease);
        }
        let mut person = connect(&served).await;
        ask(&mut person, "/").await;
        ask(&mut person, "/").await;
        assert!(!served.refused_requests.render(0).contains("connections\"} 1"), "round {round}");
    }
    // Those that idle for longest have gone, and were told so.
    ends(&mut flood[0]).await;
    let mut last = flood.pop().expect("the last");
    ask(&mut last, api::path::LEASE).await;
}

#[tokio::test]
async fn who_asks_nothing_or_half_a_thing_is_let_go() {
    let short = Duration::from_millis(200);
    let served =
        served(16, ConnectionTimeouts { idle: short, head: short, ..ConnectionTimeouts::default() }, None)
            .await;
    let mut silent = connect(&served).await;
    let mut half = connect(&served).await;
    half.write_all(b"GET / HTTP/1.1\r\nhost: loc").await.expect("sent");
    let mut preface = connect(&served).await;
    preface.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("sent");
    let mut asked = connect(&served).await;
    ask(&mut asked, "/").await;
    for stream in [&mut silent, &mut half, &mut preface, &mut asked] {
        ends(stream).await;
    }
    // A head without end is no head.
    let mut long = connect(&served).await;
    let head = format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(200_000));
    let _ = long.write_all(head.as_bytes()).await;
    ends(&mut long).await;
}

#[tokio::test]
async fn who_does_not_read_is_left() {
    let stalled = Duration::from_millis(300);
    let served = served(1, ConnectionTimeouts { stalled, ..ConnectionTimeouts::default() }, None).await;
    let mut slow = connect(&served).await;
    slow.write_all(b"GET /endless HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("sent");
    // Whoever comes next has its place, without a byte being read of the first.
    soon(async {
        loop {
            let mut next = connect(&served).await;
            let _ = next.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
            let mut some = [0; 64];
            if matches!(next.read(&mut some).await, Ok(n) if n > 0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_stop_waits_for_nobody_who_stays() {
    let served = served(16, ConnectionTimeouts::default(), None).await;
    let mut reading = connect(&served).await;
    reading.write_all(b"GET /endless HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("sent");
    let mut idle = connect(&served).await;
    ask(&mut idle, "/").await;
    served.stop.send_replace(true);
    soon(served.serving).await.expect("it ends");
    ends(&mut idle).await;
}

mod certified {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

    use super::*;
    use crate::listen::tls::TlsFiles;

    struct Authority(CertifiedIssuer<'static, KeyPair>);

    impl Authority {
        fn new() -> Self {
            let mut params = CertificateParams::new(Vec::new()).expect("parameters");
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            Self(
                CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"))
                    .expect("an authority"),
            )
        }

        /// A certificate and its key, in PEM.
        fn signs(&self, name: &str) -> (String, String) {
            let params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
            let key = KeyPair::generate().expect("a key");
            (params.signed_by(&key, &self.0).expect("a certificate").pem(), key.serialize_pem())
        }

        /// The same for a workload of these identities.
        fn signs_for(&self, ids: &[&str]) -> (String, String) {
            let mut params = CertificateParams::new(Vec::new()).expect("parameters");
            let uri = |id: &&str| SanType::URI((*id).try_into().expect("ASCII"));
            params.subject_alt_names = ids.iter().map(uri).collect();
            let key = KeyPair::generate().expect("a key");
            (params.signed_by(&key, &self.0).expect("a certificate").pem(), key.serialize_pem())
        }

        /// Asks as somebody who trusts this authority; returns what is answered, or "" where nobody is let in.
        async fn asks(&self, served: &Served, own: Option<&(String, String)>) -> String {
            let mut roots = RootCertStore::empty();
            roots.add(self.0.der().clone()).expect("an authority");
            let provider = std::sync::Arc::new(crypto::ring::default_provider());
            let config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .expect("TLS")
                .with_root_certificates(roots);
            let config = match own {
                None => config.with_no_client_auth(),
                Some((certificate, key)) => config
                    .with_client_auth_cert(
                        vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM")],
                        PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM"),
                    )
                    .expect("a client"),
            };
            let connector = TlsConnector::from(std::sync::Arc::new(config));
            let name = "serin.test".try_into().expect("a name");
            let Ok(mut stream) = soon(connector.connect(name, connect(served).await)).await else {
                return String::new();
            };
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
            let mut text = Vec::new();
            let _ = soon(stream.read_to_end(&mut text)).await;
            String::from_utf8_lossy(&text).into_owned()
        }
    }

    #[tokio::test]
    async fn who_has_no_certificate_of_ours_is_not_let_in_and_files_are_read_anew() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = |name: &str| dir.path().join(name);
        let write = |name: &str, text: &str| std::fs::write(path(name), text).expect("a file");
        let (ours, other) = (Authority::new(), Authority::new());
        let (certificate, key) = ours.signs("serin.test");
        write("cert", &certificate);
        write("key", &key);
        write("ca", &ours.0.pem());
        let files = |client_ca| TlsFiles {
            certificate: path("cert"),
            key: path("key"),
            client_ca,
            client_ids: Vec::new(),
        };
        let open =
            served(16, ConnectionTimeouts::default(), Some(Tls::open(files(None)).expect("TLS"))).await;
        assert!(ours.asks(&open, None).await.ends_with("here"));
        assert_eq!(other.asks(&open, None).await, "", "a client knows whom it talks to");

        let mutual =
            served(16, ConnectionTimeouts::default(), Some(Tls::open(files(Some(path("ca")))).expect("TLS")))
                .await;
        assert!(ours.asks(&mutual, Some(&ours.signs("envoy-1"))).await.ends_with("here"));
        for own in [None, Some(other.signs("envoy-1"))] {
            assert_eq!(ours.asks(&mutual, own.as_ref()).await, "");
        }
        // In the clear nobody is answered.
        let mut clear = connect(&mutual).await;
        clear.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("sent");
        let mut text = Vec::new();
        let _ = soon(clear.read_to_end(&mut text)).await;
        assert!(!String::from_utf8_lossy(&text).contains("here"));

        // Half of a new pair changes nothing; the whole of it is in force without a restart.
        let (certificate, key) = other.signs("serin.test");
        write("cert", &certificate);
        assert!(ours.asks(&open, None).await.ends_with("here"));
        write("key", &key);
        soon(async {
            while !other.asks(&open, None).await.ends_with("here") {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    }

    #[tokio::test]
    async fn of_those_certified_only_the_named_workloads_are_let_in() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = |name: &str| dir.path().join(name);
        let (ours, other) = (Authority::new(), Authority::new());
        let (certificate, key) = ours.signs("serin.test");
        for (name, text) in [("cert", certificate), ("key", key), ("ca", ours.0.pem())] {
            std::fs::write(path(name), text).expect("a file");
        }
        let client_ids = ["spiffe://cluster.local/ns/models/sa/*", "spiffe://cluster.local/ns/edge/sa/gate"];
        let files = TlsFiles {
            certificate: path("cert"),
            key: path("key"),
            client_ca: Some(path("ca")),
            client_ids: client_ids.iter().map(|id| id.parse().expect("an identity")).collect(),
        };
        let served = served(16, ConnectionTimeouts::default(), Some(Tls::open(files).expect("TLS"))).await;
        let of = |authority: &Authority, ids: &[&str]| authority.signs_for(ids);
        for id in ["spiffe://cluster.local/ns/models/sa/storefront", "spiffe://cluster.local/ns/edge/sa/gate"]
        {
            assert!(ours.asks(&served, Some(&of(&ours, &[id]))).await.ends_with("here"), "{id}");
            // Whoever writes the name himself is not certified.
            assert_eq!(ours.asks(&served, Some(&of(&other, &[id]))).await, "", "{id}");
        }
        for ids in [
            &["spiffe://cluster.local/ns/edge/sa/other"][..],
            &["spiffe://other.domain/ns/models/sa/storefront"],
            &["spiffe://cluster.local/ns/models/sa/a", "spiffe://cluster.local/ns/other/sa/a"],
            &[],
        ] {
            assert_eq!(ours.asks(&served, Some(&of(&ours, ids))).await, "", "{ids:?}");
        }
        assert_eq!(ours.asks(&served, Some(&ours.signs("envoy-1"))).await, "", "a name of a host");
        assert_eq!(ours.asks(&served, None).await, "");
    }

    #[tokio::test]
    async fn files_that_cannot_be_used_are_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = |name: &str| dir.path().join(name);
        let ours = Authority::new();
        let (certificate, key) = ours.signs("serin.test");
        let (_, other_key) = ours.signs("serin.test");
        for (name, text) in [
            ("cert", &*certificate),
            ("key", &key),
            ("other", &other_key),
            ("empty", ""),
            ("nonsense", "-----BEGIN X"),
        ] {
            std::fs::write(path(name), text).expect("a file");
        }
        for (certificate, key, client_ca, part) in [
            ("missing", "key", None, "missing cannot be read"),
            ("cert", "missing", None, "missing cannot be read"),
            ("empty", "key", None, "empty holds no certificate"),
            ("cert", "empty", None, "empty holds no private key"),
            ("cert", "other", None, "do not belong together"),
            ("cert", "key", Some("empty"), "empty holds no certificate"),
            ("cert", "key", Some("missing"), "missing cannot be read"),
        ] {
            let files = TlsFiles {
                certificate: path(certificate),
                key: path(key),
                client_ca: client_ca.map(path),
                client_ids: Vec::new(),
            };
            let error = format!("{:#}", Tls::open(files).err().expect("an error"));
            assert!(error.contains(part), "{error}");
        }
    }
}
