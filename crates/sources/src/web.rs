//! One GET, over HTTP or HTTPS.

use std::error::Error;
use std::sync::Arc;

use http::header::{ACCEPT, HeaderMap, HeaderValue, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::RootCertStore;
use url::Url;

use super::access::Access;
use super::hosts::Hosts;
use super::secrets::Scrub;
use super::tls;

/// An answer holds a figure or two; whoever sends more was asked the wrong question.
const LONGEST: usize = 4 << 20;

type Connected = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

#[derive(Clone)]
pub struct Web {
    roots: Arc<RootCertStore>,
    /// For sources without terms of their own.
    client: Connected,
    hosts: Arc<Hosts>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

impl Web {
    /// Trusts these authorities where a source names none.
    pub fn new(roots: Arc<RootCertStore>, hosts: Hosts) -> Result<Self, String> {
        let client = connected(tls::connector(&roots, None)?);
        Ok(Self { roots, client, hosts: Arc::new(hosts) })
    }

    /// Reads a URL as a person wrote it, and whether it may be asked.
    pub fn url(&self, text: &str) -> Result<Url, String> {
        let url = Url::parse(text).map_err(|error| format!("{text:?} is no URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(format!("{text:?} is no URL to ask; write http:// or https:// and a host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(format!(
                "{} has credentials in its URL; write `access: {{basic: ...}}`",
                shown(&url)
            ));
        }
        self.hosts.allow(&url)?;
        Ok(url)
    }

    /// One GET. Redirects are for the caller to refuse: credentials go to the host that was named, and no further.
    pub async fn get(&self, url: &Url, access: &Access) -> Result<Answer, String> {
        let request = request(url, &access.headers).map_err(|error| format!("{}: {error}", shown(url)))?;
        let client = match &access.tls {
            None => self.client.clone(),
            // Made anew: certificates are replaced while this process lives.
            Some(terms) => connected(tls::connector(&self.roots, Some(terms))?),
        };
        let asked = async {
            let answer =
                client.request(request).await.map_err(|error| format!("does not answer: {}", all(&error)))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), LONGEST).collect().await;
            let body = body.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    format!("answered more than {} MiB; ask for the one figure", LONGEST >> 20)
                } else {
                    format!("broke off its answer: {}", all(&*error))
                }
            })?;
            Ok(Answer { status, body: body.to_bytes() })
        };
        match tokio::time::timeout(access.timeout, asked).await {
            Ok(result) => result.map_err(|error: String| format!("{} {error}", shown(url))),
            Err(_) => Err(format!("{} did not answer within {:?}", shown(url), access.timeout)),
        }
    }
}

impl Answer {
    /// What to do about a redirect.
    pub fn redirected(&self) -> &'static str {
        if self.status.is_redirection() {
            "; redirects are not followed: write the address it leads to"
        } else {
            ""
        }
    }

    /// The beginning of an answer that was not understood, for people.
    pub fn excerpt(&self, scrub: &Scrub) -> String {
        // Before anything is cut off: the half of a secret would not be known for one.
        let text = scrub.clean(&String::from_utf8_lossy(&self.body));
        let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect();
        if line.is_empty() { "nothing".to_owned() } else { format!("{line:?}") }
    }
}

fn connected(connector: HttpsConnector<HttpConnector>) -> Connected {
    Client::builder(TokioExecutor::new()).build(connector)
}

/// The URL for people: without the question.
pub fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

fn request(url: &Url, headers: &HeaderMap) -> Result<Request<Empty<Bytes>>, String> {
    let mut bare = url.clone();
    bare.set_fragment(None);
    let mut request = Request::get(bare.as_str()).body(Empty::new()).map_err(|error| error.to_string())?;
    let all = request.headers_mut();
    all.insert(ACCEPT, HeaderValue::from_static("application/json"));
    all.insert(USER_AGENT, HeaderValue::from_static(concat!("serin/", env!("CARGO_PKG_VERSION"))));
    all.extend(headers.clone());
    Ok(request)
}

/// An error with all its causes, as one sentence.
fn all(error: &(dyn Error + 'static)) -> String {
    let mut causes = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        // Some repeat what they wrap.
        if !causes.iter().any(|known| known.contains(&text)) {
            causes.push(text);
        }
        next = cause.source();
    }
    causes.join(": ")
}
