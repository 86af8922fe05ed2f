//! Who may ask for policies and leases, on a real Envoy.

use std::path::Path;

use envoy::bootstrap::{Authority, Credentials, TokenFile};

use tests::{EnvoyOptions, Models, Serin, a_core, get, until};

const ROLLOUT: &str = "\
apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: ranker}
spec:
  stable: {version: v1}
  canary: {version: v2}
  stages: [{weight: 50%, bake: 10m, deadline: 1h}, {weight: 100%, bake: 10m}]
";

/// Puts a file in place of the one before, as whoever renews secrets does.
fn replace(file: &Path, text: &str) {
    let beside = file.with_extension("new");
    std::fs::write(&beside, text).expect("a file");
    std::fs::rename(&beside, file).expect("renamed");
}

/// How many of forty users meet the canary.
async fn on_canary(serin: &Serin) -> usize {
    let mut canary = 0;
    for user in 0..40 {
        let user = format!("user-{user}");
        let answer = get(serin.envoy().addr, "/", &[("x-user-id", &user)]).await.expect("an answer");
        canary += usize::from(answer.model() == Some("v2"));
    }
    canary
}

async fn until_canary(serin: &Serin, what: &str, wanted: bool) {
    until(what, async || {
        let canary = on_canary(serin).await;
        if (canary > 0) == wanted { Ok(()) } else { Err(format!("{canary} of 40 users meet the canary")) }
    })
    .await;
}

/// Waits for this many more answers to questions for a lease.
async fn renewed(serin: &Serin, more: u64) {
    let now = async || serin.envoy().counted().await.gauge("lease_renewed_total", &[]).unwrap_or(0);
    let before = now().await;
    until("the lease to be renewed", async || {
        let now = now().await;
        if now >= before + more { Ok(()) } else { Err(format!("{before}, then {now}")) }
    })
    .await;
}

/// Is anything refused for want of a credential?
async fn refused(serin: &Serin) -> u64 {
    let page = reqwest::get(serin.url("/metrics")).await.expect("an answer").text().await.expect("a page");
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix("serin_refused_requests_total{reason=\"credentials\"} "));
    line.and_then(|n| n.parse().ok()).expect("the counter")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_let_in_by_its_token_and_only_for_as_long_as_that_stands() {
    let _core = a_core().await;
    let dir = tempfile::tempdir().expect("a folder");
    let (ours, theirs) = (dir.path().join("tokens"), dir.path().join("token"));
    let (first, second, wrong) =
        ("first-0123456789abcdef", "second-0123456789abcdef", "wrong-0123456789abcdef");
    replace(&ours, first);
    // As an editor leaves it.
    replace(&theirs, &format!("{wrong}\n"));
    let token = TokenFile { file: theirs.clone(), watch: Some(dir.path().join("token.json")) };
    replace(&dir.path().join("token.json"), &token.secret().to_string());
    let credentials = Credentials { token: Some(token), tls: None };
    let models = Models::plain().await;
    let arguments = ["--proxy-token-file".to_owned(), ours.display().to_string()];
    let serin =
        Serin::start_with(&models, EnvoyOptions { credentials, ..EnvoyOptions::default() }, &arguments).await;

    until("a refusal", async || if refused(&serin).await > 0 { Ok(()) } else { Err("none") }).await;
    serin.apply(ROLLOUT).await;
    assert!(!serin.log().contains("ECDS stream opened"), "a stranger is no node");
    assert_eq!(on_canary(&serin).await, 0);

    replace(&theirs, first);
    until_canary(&serin, "the canary, by the right token", true).await;
    renewed(&serin, 3).await;

    // Changed without a gap: both stand, the proxy takes the new one, the old one goes.
    replace(&ours, &format!("{first}\n{second}\n"));
    replace(&theirs, second);
    renewed(&serin, 3).await;
    replace(&ours, second);
    until("the stream of the old token to be broken off", async || {
        let opened = serin.log().matches("ECDS stream opened").count();
        if opened >= 2 { Ok(()) } else { Err(opened) }
    })
    .await;
    renewed(&serin, 3).await;
    assert!(on_canary(&serin).await > 0);

    // Taken back: nobody vouches for what this proxy runs any more.
    let before = refused(&serin).await;
    replace(&ours, wrong);
    until_canary(&serin, "stable alone, as the lease runs out", false).await;
    assert!(refused(&serin).await > before);
    assert!(
        ![first, second, wrong].iter().any(|token| serin.log().contains(token)),
        "no token is in the log"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_both_sides_know_each_other() {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
    let _core = a_core().await;
    let dir = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        std::fs::write(dir.path().join(name), text).expect("a file");
        dir.path().join(name)
    };
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    // Envoy takes a certificate whose issuer bears its own name for self-signed.
    params.distinguished_name.push(DnType::CommonName, "authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority =
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
    let signed = |name: &str| {
        let params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &authority).expect("a certificate").pem(), key.serialize_pem())
    };
    let ca = write("ca.pem", &authority.pem());
    let [controller, proxy] = ["127.0.0.1", "envoy-1"].map(|name| {
        let (certificate, key) = signed(name);
        (write(&format!("{name}.pem"), &certificate), write(&format!("{name}.key"), &key))
    });
    let tls = Some(Authority { ca: ca.clone(), name: None, certificate: Some(proxy) });
    let credentials = Credentials { token: None, tls };
    let arguments = [("--tls-cert", &controller.0), ("--tls-key", &controller.1), ("--tls-client-ca", &ca)]
        .map(|(option, file)| format!("{option}={}", file.display()));
    let models = Models::plain().await;
    let serin =
        Serin::start_with(&models, EnvoyOptions { credentials, ..EnvoyOptions::default() }, &arguments).await;
    serin.apply(ROLLOUT).await;
    until_canary(&serin, "the canary", true).await;
    renewed(&serin, 3).await;
    let clear = reqwest::get(serin.url("/v1/lease?incarnation=1&generation=1")).await.expect("an answer");
    assert_eq!(clear.status().as_u16(), 401, "in the clear nobody is a proxy");
    assert!(clear.text().await.expect("a text").contains("serin bootstrap --ca"));
}
