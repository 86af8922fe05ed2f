//! One question over HTTP or HTTPS, and its answer.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as Legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::percent_decode_str;
use rustls::RootCertStore;
use url::Url;

use crate::hosts::Hosts;
use crate::resolve::Resolver;
use crate::secret::Scrub;
use crate::tls::{self, Terms};

type Connected = Legacy<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>;

/// The client. Cheap to clone.
///
/// Redirects are not followed, proxies of the environment are not used, and a connection leads to an address that was
/// checked against the hosts that may be asked.
#[derive(Clone)]
pub struct Client {
    roots: Arc<RootCertStore>,
    /// For whoever has no terms of their own.
    plain: Connected,
    hosts: Arc<Hosts>,
    resolver: Resolver,
}

/// A question.
pub struct Question<'a> {
    method: Method,
    url: &'a Url,
    headers: HeaderMap,
    body: Bytes,
    tls: Option<&'a Terms>,
}

impl<'a> Question<'a> {
    /// A GET.
    #[must_use]
    pub fn get(url: &'a Url) -> Self {
        Self { method: Method::GET, url, headers: HeaderMap::new(), body: Bytes::new(), tls: None }
    }

    /// A POST of a text in JSON.
    #[must_use]
    pub fn post_json(url: &'a Url, body: String) -> Self {
        let mut question = Self { method: Method::POST, body: body.into(), ..Self::get(url) };
        question.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        question
    }

    /// A POST of the fields of a form.
    #[must_use]
    pub fn post_form(url: &'a Url, fields: &[(&str, &str)]) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let mut question = Self { method: Method::POST, body: body.into(), ..Self::get(url) };
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        question.headers.insert(CONTENT_TYPE, kind);
        question
    }

    /// With these headers as well.
    #[must_use]
    pub fn with(mut self, headers: HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }

    /// With certificates of its own; `None`: with those of the system.
    #[must_use]
    pub fn over(mut self, tls: Option<&'a Terms>) -> Self {
        self.tls = tls;
        self
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, or the beginning of it.
    pub body: Bytes,
}

/// An answer whose body is still to come.
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    headers: HeaderMap,
    body: Incoming,
}

impl Client {
    /// Trusts these authorities where a question has no terms of its own.
    ///
    /// # Errors
    /// When TLS cannot be used.
    pub fn new(roots: Arc<RootCertStore>, hosts: Hosts) -> Result<Self, String> {
        let hosts = Arc::new(hosts);
        let resolver = Resolver::new(hosts.clone());
        let plain = connected(tls::connector(&roots, None, resolver.clone())?);
        Ok(Self { roots, plain, hosts, resolver })
    }

    /// Reads a URL as a person wrote it, and whether it may be asked.
    ///
    /// # Errors
    /// When it is none, has credentials in it, or may not be asked.
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

    /// The same where nothing but the URL can hold credentials: they are sent as basic authentication.
    ///
    /// # Errors
    /// When it is none, or may not be asked.
    pub fn url_with_credentials(&self, text: &str) -> Result<(Url, HeaderMap), String> {
        let mut headers = HeaderMap::new();
        // A text that is no URL is refused below.
        let Ok(mut url) = Url::parse(text) else { return Ok((self.url(text)?, headers)) };
        if !url.username().is_empty() || url.password().is_some() {
            let plain = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
            let pair = format!("{}:{}", plain(url.username()), plain(url.password().unwrap_or_default()));
            let basic = HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(pair)));
            let mut basic = basic.map_err(|error| error.to_string())?;
            basic.set_sensitive(true);
            headers.insert(AUTHORIZATION, basic);
            let bare = url.set_username("").and_then(|()| url.set_password(None));
            bare.map_err(|()| format!("{} cannot hold credentials", shown(&url)))?;
        }
        Ok((self.url(url.as_str())?, headers))
    }

    /// Asks, and reads the whole answer; one longer than `longest` bytes is an error. Takes no longer than `patience`.
    ///
    /// # Errors
    /// Why there is no answer, in one sentence that names the URL.
    pub async fn ask(
        &self,
        question: Question<'_>,
        patience: Duration,
        longest: usize,
    ) -> Result<Answer, String> {
        let url = shown(question.url);
        let asked = async { self.send(question).await?.whole(longest).await };
        within(&url, patience, asked).await
    }

    /// Asks; whoever calls bounds the time. The error does not name the URL.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn send(&self, question: Question<'_>) -> Result<Reply, String> {
        let client = match question.tls {
            None => self.plain.clone(),
            // Made anew: certificates are replaced while this process lives.
            Some(terms) => connected(tls::connector(&self.roots, Some(terms), self.resolver.clone())?),
        };
        let asked = client.request(request(question)?).await;
        let (head, body) = asked.map_err(|error| format!("does not answer: {}", all(&error)))?.into_parts();
        Ok(Reply { status: head.status, headers: head.headers, body })
    }
}

/// Bounds the time of a question; errors begin with the URL.
///
/// # Errors
/// Those of the question, and its silence.
pub async fn within<T>(
    url: &str,
    patience: Duration,
    asked: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    match tokio::time::timeout(patience, asked).await {
        Ok(result) => result.map_err(|error| format!("{url} {error}")),
        Err(_) => Err(format!("{url} did not answer within {patience:?}")),
    }
}

impl Reply {
    /// Reads all of the answer, if it is no longer than so many bytes.
    ///
    /// # Errors
    /// When it is longer, or breaks off.
    pub async fn whole(self, longest: usize) -> Result<Answer, String> {
        let body = Limited::new(self.body, longest).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                let most = if longest < 1 << 20 {
                    format!("{} KiB", longest >> 10)
                } else {
                    format!("{} MiB", longest >> 20)
                };
                format!("answered more than {most}; ask for the one figure")
            } else {
                format!("broke off its answer: {}", all(&*error))
            }
        })?;
        Ok(Answer { status: self.status, headers: self.headers, body: body.to_bytes() })
    }

    /// Reads the beginning of the answer, up to so many bytes or to where it breaks off.
    pub async fn beginning(mut self, longest: usize) -> Answer {
        let mut body = Vec::new();
        while body.len() < longest
            && let Some(Ok(frame)) = self.body.frame().await
        {
            if let Some(data) = frame.data_ref() {
                body.extend(data.iter().take(longest - body.len()));
            }
        }
        Answer { status: self.status, headers: self.headers, body: body.into() }
    }

    /// Reads all of the answer and keeps nothing of it.
    ///
    /// # Errors
    /// When it breaks off.
    pub async fn drained(mut self) -> Result<(), String> {
        while let Some(frame) = self.body.frame().await {
            frame.map_err(|error| format!("broke off its answer: {}", all(&error)))?;
        }
        Ok(())
    }
}

impl Answer {
    /// Why an answer is no success, as the end of a sentence: its status with what it says, or where a redirect leads and
    /// what to do about it.
    #[must_use]
    pub fn refusal(&self, scrub: &Scrub) -> String {
        let status = self.status;
        if !status.is_redirection() {
            return format!("answered {status}, with {}", self.excerpt(scrub));
        }
        // The question of the address stays out, as everywhere: it may hold what only the two of them know.
        let to = self.headers.get(LOCATION).and_then(|to| to.to_str().ok()).map(|to| match Url::parse(to) {
            Ok(url) => shown(&url),
            Err(_) => to.split(['?', '#']).next().unwrap_or_default().chars().take(200).collect(),
        });
        let to = to.map(|to| format!(" to {to}")).unwrap_or_default();
        format!("answered {status}{to}; redirects are not followed: write the address it leads to")
    }

    /// The beginning of an answer that was not understood, for people.
    #[must_use]
    pub fn excerpt(&self, scrub: &Scrub) -> String {
        // Before anything is cut off: the half of a secret would not be known for one.
        let text = scrub.clean(&String::from_utf8_lossy(&self.body));
        let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect();
        if line.is_empty() { "nothing".to_owned() } else { format!("{line:?}") }
    }
}

fn connected(connector: HttpsConnector<HttpConnector<Resolver>>) -> Connected {
    Legacy::builder(TokioExecutor::new()).build(connector)
}

/// The URL for people: without the question.
#[must_use]
pub fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

fn request(question: Question<'_>) -> Result<Request<Full<Bytes>>, String> {
    let Question { method, url, headers, body, .. } = question;
    let mut bare = url.clone();
    bare.set_fragment(None);
    let request = Request::builder().method(method).uri(bare.as_str()).body(Full::new(body));
    let mut request = request.map_err(|error| error.to_string())?;
    let all = request.headers_mut();
    all.insert(ACCEPT, HeaderValue::from_static("application/json"));
    all.insert(USER_AGENT, HeaderValue::from_static(concat!("serin/", env!("CARGO_PKG_VERSION"))));
    all.extend(headers);
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
