//! What is allowed of sources and probably not wished.

use crate::gate::Unread;
use crate::plan::Insufficient;
use crate::problem::Problem;
use crate::source::Source;

/// Whoever ends a run for what its source does lets the source decide.
pub(super) fn unread(
    at: &str,
    (what, name): (&str, &str),
    no_data: Unread,
    on_error: Unread,
) -> Option<Problem> {
    let policies = [("noData", no_data), ("onError", on_error)];
    let (field, _) = policies.into_iter().find(|(_, unread)| unread.action == Insufficient::Rollback)?;
    Some(Problem::warning(
        format!("{}.{field}", at.trim_end_matches(".source")),
        format!("a source of {what} {name} that is away rolls a healthy canary back"),
        "write `action: pause`, or leave it out to hold",
    ))
}

/// Parts of header names that hold secrets more often than not.
const SECRETIVE: [&str; 4] = ["token", "secret", "password", "api-key"];

pub(super) fn asked(at: &str, source: &Source) -> Vec<Problem> {
    let mut found = Vec::new();
    let Some((access, url)) = source.access().zip(source.url()) else { return found };
    let at = format!("{at}.{}.access", source.kind());
    for (name, value) in &access.headers {
        let lower = name.to_ascii_lowercase();
        if value.secret().is_none() && SECRETIVE.iter().any(|part| lower.contains(part)) {
            found.push(Problem::warning(
                format!("{at}.headers.{name}"),
                "it looks like a secret, and everybody who may see the rollout can read it",
                "write {secret: NAME}, a name the controller's operator offers",
            ));
        }
    }
    let secrets = access.secrets();
    let sent = secrets.iter().find(|(field, _)| !field.starts_with("tls."));
    if let Some((field, _)) = sent.filter(|_| url.starts_with("http://")) {
        found.push(Problem::warning(
            format!("{at}.{field}"),
            "it travels in the clear: the url begins with http://",
            "ask over https://, or leave it to a network nobody listens to",
        ));
    }
    if access.tls.as_ref().is_some_and(|tls| tls.insecure_skip_verify) {
        found.push(Problem::warning(
            format!("{at}.tls.insecureSkipVerify"),
            "anybody between the controller and the source can answer in its place, and read what is sent",
            "name the authority that signed its certificate: `ca: {secret: NAME}` or `ca: {value: PEM}`",
        ));
    }
    found
}
