//! Proxies prove who they are: by a token that the operator gave them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Response as HttpResponse, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ring::digest::{SHA256, digest};
use tokio::sync::watch;

use super::{RefusalReason, RefusedRequest, RefusedRequests};

/// The file is looked at this often.
const LOOK: Duration = Duration::from_secs(1);
/// A shorter token can be guessed.
const SHORTEST: usize = 16;

/// A token's digest: the time of comparing digests does not tell how much of a guess is right.
type Digest = Vec<u8>;

/// The tokens that proxies may have; several while they are being changed.
#[derive(Clone, Debug)]
pub struct Tokens(watch::Receiver<BTreeSet<Digest>>);

impl Tokens {
    /// Reads the file, and again whenever it changes. A line is a token; those that are empty or begin with `#` are none.
    ///
    /// # Errors
    /// When it holds no token that could be used.
    pub fn open(file: PathBuf) -> Result<Self> {
        let read = |file: &Path| {
            std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
        };
        let mut text = read(&file)?;
        let (sender, receiver) = watch::channel(tokens(&file, &text)?);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                if sender.is_closed() {
                    return;
                }
                let looked = file.clone();
                let now = match tokio::task::spawn_blocking(move || read(&looked)).await {
                    Ok(Ok(now)) if now != text => now,
                    _ => continue,
                };
                match tokens(&file, &now) {
                    Ok(tokens) => {
                        tracing::info!("{} tokens of proxies were read anew", tokens.len());
                        sender.send_replace(tokens);
                    }
                    Err(error) => tracing::error!("the tokens from before are kept: {error:#}"),
                }
                text = now;
            }
        });
        Ok(Self(receiver))
    }

    /// Resolves when a token is taken back.
    async fn withdrawn(&self, token: Digest) {
        let mut tokens = self.0.clone();
        if tokens.wait_for(|tokens| !tokens.contains(&token)).await.is_err() {
            // The receivers are gone: the process ends.
            std::future::pending().await
        }
    }
}

fn tokens(file: &Path, text: &str) -> Result<BTreeSet<Digest>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut found = BTreeSet::new();
    for line in lines {
        if line.len() < SHORTEST || !line.bytes().all(|byte| byte.is_ascii_graphic()) {
            bail!(
                "{}: a token has at least {SHORTEST} letters, digits and signs and no spaces; make one with \
                 `openssl rand -hex 32`",
                file.display()
            );
        }
        found.insert(hash(line));
    }
    if found.is_empty() {
        bail!("{} holds no token; write one on a line, made with `openssl rand -hex 32`", file.display());
    }
    Ok(found)
}

fn hash(token: &str) -> Digest {
    digest(&SHA256, token.as_bytes()).as_ref().to_vec()
}

/// What proxies must show.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// `None`: no token.
    pub tokens: Option<Tokens>,
    /// They show a certificate, which can be done at one port only: at other ports no client is a proxy.
    pub certificate_elsewhere: bool,
    pub refused_requests: RefusedRequests,
}

impl Proxies {
    /// The token it shows; `None`: none is asked for.
    fn shown(&self, headers: &HeaderMap) -> Result<Option<Digest>, &'static str> {
        let Some(tokens) = &self.tokens else {
            return if self.certificate_elsewhere {
                Err(
                    "proxies are asked for a certificate: ask at the ECDS port, over TLS (serin bootstrap --ca)",
                )
            } else {
                Ok(None)
            };
        };
        let said = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = said.and_then(|said| said.strip_prefix("Bearer "));
        let Some(token) = token.map(str::trim) else {
            return Err("a proxy shows a token of --proxy-token-file as `authorization: Bearer TOKEN`: \
                        give Envoy one (serin bootstrap --token-file)");
        };
        let token = hash(token);
        if tokens.0.borrow().contains(&token) {
            Ok(Some(token))
        } else {
            Err(
                "this token is none of --proxy-token-file; give Envoy one that is, and let both stand there while \
                 proxies change",
            )
        }
    }
}

/// The middleware: around what is the proxies' alone.
pub async fn prove(State(proxies): State<Proxies>, request: Request, next: Next) -> Response {
    match proxies.shown(request.headers()) {
        Ok(None) => next.run(request).await,
        Ok(Some(token)) => {
            let response = next.run(request).await;
            match proxies.tokens {
                // A stream goes on only for as long as its token stands.
                Some(tokens) => response.map(|body| {
                    Body::new(super::revocable::RevocableBody::new(body, async move {
                        tokens.withdrawn(token).await
                    }))
                }),
                None => response,
            }
        }
        Err(why) => {
            proxies.refused_requests.count(RefusalReason::Credentials);
            refusal(request.headers(), why)
        }
    }
}

fn refusal(headers: &HeaderMap, why: &'static str) -> Response {
    let grpc = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if !grpc {
        return RefusedRequest::new(StatusCode::UNAUTHORIZED, RefusalReason::Credentials, why.to_owned())
            .into_response();
    }
    // UNAUTHENTICATED, as gRPC says it.
    let status = HttpResponse::builder().header(CONTENT_TYPE, "application/grpc").header("grpc-status", "16");
    let response = status.header("grpc-message", why.replace('%', "%25")).body(Body::empty());
    response.unwrap_or_else(|_| StatusCode::UNAUTHORIZED.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<usize, &str>) {
        match (tokens(Path::new("/etc/tokens"), text), expected) {
            (Ok(found), Ok(n)) => assert_eq!(found.len(), n, "{text:?}"),
            (Err(error), Err(part)) => {
                let error = format!("{error:#}");
                assert!(error.contains(part) && error.contains("/etc/tokens"), "{error}");
                assert!(
                    text.trim().is_empty() || !error.contains(text.trim()),
                    "a token is never shown: {error}"
                );
            }
            (found, expected) => panic!("{text:?}: {found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn a_line_is_a_token() {
        let token = "0123456789abcdef";
        check(token, Ok(1));
        check(&format!("# the old one\n{token}\n\n  {token}x \r\n{token}\n"), Ok(2));
        check("", Err("openssl rand"));
        check("# nothing\n", Err("openssl rand"));
        check("short", Err("at least 16"));
        check("0123456789 abcdefgh", Err("no spaces"));
    }
}
