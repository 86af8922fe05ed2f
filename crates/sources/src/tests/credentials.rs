//! Credentials: sent where they belong, and shown nowhere.

use super::*;

/// A folder of secrets.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, text) in [("token", "s3cr\"et\n"), ("empty", " \n"), ("lines", "a\nb"), ("password", "p:ss")] {
        std::fs::write(dir.path().join(name), text).expect("a file");
    }
    dir
}

fn header(name: &str, value: Value) -> manifest::Access {
    manifest::Access { headers: BTreeMap::from([(name.to_owned(), value)]), ..manifest::Access::default() }
}

fn bearer(name: &str) -> manifest::Access {
    manifest::Access { bearer: Some(secret(name)), ..manifest::Access::default() }
}

#[tokio::test]
async fn credentials_travel_in_their_header_alone() {
    let dir = folder();
    let basic = Basic { user: "anna".to_owned(), password: secret("password") };
    let basic = manifest::Access { basic: Some(basic), ..manifest::Access::default() };
    type Sent = Result<(&'static str, &'static str), &'static str>;
    // (access, the header and what it holds, or what the error says)
    let cases: [(manifest::Access, Sent); 9] = [
        (manifest::Access::default(), Ok(("authorization", ""))),
        (bearer("token"), Ok(("authorization", "Bearer s3cr\"et"))),
        (basic, Ok(("authorization", "Basic YW5uYTpwOnNz"))),
        (header("X-Scope-OrgID", Value::Value("team-a".to_owned())), Ok(("x-scope-orgid", "team-a"))),
        (header("X-Key", Value::Secret("token".to_owned())), Ok(("x-key", "s3cr\"et"))),
        (
            header("X-Key", Value::Secret("lines".to_owned())),
            Err("access.headers.X-Key holds signs no HTTP header"),
        ),
        (bearer("empty"), Err("\"empty\" is empty")),
        (bearer("absent"), Err("\"absent\" is not offered")),
        (bearer("../token"), Err("is not offered")),
    ];
    for (access, expected) in cases {
        // It repeats what it was sent, as some do.
        let stand_in = StandIn::new(500, "no: Bearer s3cr\"et, YW5uYTpwOnNz, p:ss");
        let host = stand_in.start().await;
        let source = Http { access, ..http(format!("http://{host}/q?key=1"), "/a") };
        let error = figures(&offering(dir.path()), Source::Http(source)).await.expect_err("it answers 500");
        match expected {
            Ok((name, value)) => {
                let asked = stand_in.asked();
                let [(place, headers)] = asked.as_slice() else { panic!("{asked:?}") };
                assert_eq!(place, "/q?key=1");
                let sent = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
                assert_eq!(sent, value);
                let secret = value.trim_start_matches("Bearer ").trim_start_matches("Basic ");
                if !secret.is_empty() && secret != "team-a" {
                    assert!(error.contains("***") && !error.contains(secret), "{error}");
                    assert!(!error.contains(&secret.replace('"', "\\\"")), "{error}");
                }
            }
            Err(part) => {
                assert!(error.contains(part), "{part:?} is missing in: {error}");
                assert!(stand_in.asked().is_empty(), "nothing was sent");
            }
        }
    }
}

/// The half of a secret, where an answer is cut off, is not shown either.
#[tokio::test]
async fn a_repeated_secret_is_taken_out_before_the_answer_is_cut() {
    let dir = folder();
    // Letters alone: digits could be the port of the stand-in.
    let secret = "opensesame".repeat(10);
    std::fs::write(dir.path().join("long"), &secret).expect("a file");
    let host = StandIn::new(500, &format!("{}{secret}", "x".repeat(150))).start().await;
    let source = Http { access: bearer("long"), ..http(format!("http://{host}"), "/a") };
    let error = figures(&offering(dir.path()), Source::Http(source)).await.expect_err("it answers 500");
    assert!(error.contains("xxx***") && !error.contains("open"), "{error}");
}

#[tokio::test]
async fn a_url_with_credentials_and_an_old_token_file_are_not_asked() {
    for (source, parts) in [
        (http("http://anna:pw@127.0.0.1:1/".to_owned(), "/a"), ["http://127.0.0.1:1", "credentials"]),
        (
            Http {
                bearer_token_file: Some("/etc/hostname".to_owned()),
                ..http("http://127.0.0.1:1".to_owned(), "/a")
            },
            ["bearerTokenFile", "{secret: NAME}"],
        ),
    ] {
        let said = figures(&sources(), Source::Http(source)).await;
        assert!(!format!("{said:?}").contains("pw@"));
        judge("old", said, Err(&parts));
    }
}

#[test]
fn a_plan_is_refused_for_what_the_operator_does_not_offer() {
    let dir = folder();
    let secrets = Secrets { dir: Some(dir.path().to_owned()), env_prefix: None };
    let sources = of(secrets, &["*.example.com"]).expect("sources");
    let plan = |host: &str, secret: &str| {
        let text = format!(
            "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {{name: r}}\nspec:\n  stable: {{version: v1}}\n  \
             canary: {{version: v2}}\n  gates:\n  - name: q\n    max: 1\n    source: {{prometheus: {{url: \
             'https://{host}', query: up, access: {{bearer: {{secret: {secret}}}}}}}}}\n"
        );
        manifest::load(&text).expect("a plan").plan
    };
    assert_eq!(sources.allow(&plan("{{canary}}.example.com", "token")), Ok(()));
    let refused = sources.allow(&plan("example.org", "tokens")).expect_err("it is not offered");
    assert_eq!(
        refused,
        "gate q: source.prometheus.url: nobody may be asked at \"example.org\"; the controller's --source-host names \
         *.example.com\ngate q: source.prometheus.access.bearer.secret: the secret \"tokens\" is not offered; the \
         controller's operator can add it as a file of that name in --secret-dir"
    );
    let absent = Secrets { dir: Some(dir.path().join("absent")), env_prefix: None };
    assert!(of(absent, &[]).is_err());
}
