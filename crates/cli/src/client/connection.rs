//! One way to ask a controller.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use api::{EXPECT_HEADER, KEY_HEADER, Problem, Refusal, USER_HEADER};
use istio::{Service, ServiceName};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::args;

/// The controller answers sooner, or not at all.
const TIMEOUT: Duration = Duration::from_secs(15);

/// A controller, and who asks it.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    server: String,
    /// The way to a controller in Kubernetes; `None`: it is at the address.
    service: Option<Arc<Service>>,
    user: String,
    /// Of what acts are meant, and under which key; `None`: each has one of its own.
    seen: Option<String>,
    key: Option<String>,
}

/// Where a controller is unless it is said.
const ADDRESS: &str = "http://127.0.0.1:7070";

/// The service to ask: the one that is named, or, as a plugin of kubectl, the usual one unless an address is named.
fn in_kubernetes(server: &args::Server) -> Option<ServiceName> {
    let called = || std::env::args_os().next().map(PathBuf::from);
    let is_plugin =
        || called().is_some_and(|called| called.file_stem().is_some_and(|name| name == "kubectl-serin"));
    let usual = || (server.server.is_none() && is_plugin()).then(ServiceName::default);
    server.kubernetes.clone().or_else(usual)
}

/// `localhost:7070` means `http://localhost:7070`.
fn with_scheme(server: &str) -> String {
    let server = server.trim_end_matches('/');
    if server.contains("://") { server.to_owned() } else { format!("http://{server}") }
}

impl Client {
    pub fn new(server: &args::Server) -> Self {
        let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
        Self {
            http: plain(),
            server: with_scheme(server.server.as_deref().unwrap_or(ADDRESS)),
            service: in_kubernetes(server).map(|name| Arc::new(Service::new(name, TIMEOUT))),
            user: user.unwrap_or_else(|| "somebody".to_owned()),
            seen: None,
            key: None,
        }
    }

    /// The same, for acts that are meant for what was seen.
    pub fn with_precondition(&self, seen: Option<String>, key: Option<String>) -> Self {
        Self { seen, key, ..self.clone() }
    }

    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.answer(self.request(Method::GET, path).timeout(TIMEOUT)).await
    }

    pub async fn get_with(&self, path: &str, query: &impl Serialize) -> Result<Answer> {
        self.answer(self.request(Method::GET, path).query(query).timeout(TIMEOUT)).await
    }

    pub async fn post(&self, path: &str, body: &impl Serialize) -> Result<Answer> {
        self.answer(self.request(Method::POST, path).json(body).timeout(TIMEOUT)).await
    }

    /// A document as its user wrote it.
    pub async fn post_text(&self, path: &str, query: &impl Serialize, text: String) -> Result<Answer> {
        self.answer(
            self.request(Method::POST, path)
                .query(query)
                .header(CONTENT_TYPE, "application/yaml")
                .body(text)
                .timeout(TIMEOUT),
        )
        .await
    }

    pub async fn delete(&self, path: &str, query: &impl Serialize) -> Result<Answer> {
        self.answer(self.request(Method::DELETE, path).query(query).timeout(TIMEOUT)).await
    }

    /// An answer as it comes; it takes as long as it takes.
    pub async fn stream(&self, path: &str, query: &impl Serialize) -> Result<Response> {
        accepted(self.sent(self.request(Method::GET, path).query(query)).await?).await
    }

    /// Where the controller's word is kept when it cannot be asked.
    pub fn service(&self) -> Option<&Service> {
        self.service.as_deref()
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Answer> {
        let answer = accepted(self.sent(request).await?).await?;
        Ok(Answer(answer.json().await.unwrap_or_default()))
    }

    async fn sent(&self, request: RequestBuilder) -> Result<Response> {
        let Some(service) = &self.service else {
            return request.send().await.context(
                "the controller does not answer; is `serin run` up, and is --server (or SERIN_SERVER) its address?",
            );
        };
        let request = request.build()?;
        let path = request.url().query().map_or_else(
            || request.url().path().to_owned(),
            |query| format!("{}?{query}", request.url().path()),
        );
        let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default().to_vec();
        let mut asked = http::Request::builder().method(request.method()).uri(path).body(body)?;
        asked.headers_mut().clone_from(request.headers());
        Ok(service.ask(asked).await?.into())
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let acts = method != Method::GET;
        let mut request =
            self.http.request(method, format!("{}{path}", self.server)).header(USER_HEADER, &self.user);
        if acts {
            request = request.header(KEY_HEADER, self.key.clone().unwrap_or_else(a_key));
            if let Some(seen) = &self.seen {
                request = request.header(EXPECT_HEADER, seen);
            }
        }
        request
    }
}

/// As the controller itself asks: no proxy of the environment stands between, and a redirect is an answer, since a command
/// that was redirected has done nothing.
fn plain() -> reqwest::Client {
    let made = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
    // It fails without TLS or a resolver alone, and this one has neither of its own.
    made.unwrap_or_default()
}

/// A key nobody else has: what the standard library seeds its hash maps with comes from the system's random source.
fn a_key() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

/// What a controller answered.
pub struct Answer(Value);

impl Answer {
    /// It, as one of the forms of `api`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        T::deserialize(&self.0)
            .context("the controller's answer is not understood; is this command much older?")
    }

    /// It in one line, with what only a newer command understands.
    pub fn line(&self) -> String {
        self.0.to_string() + "\n"
    }

    /// The same for people.
    pub fn pretty(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(&self.0)? + "\n")
    }
}

/// Tells a refusal, which is an answer, from what went wrong.
pub fn refusal<T>(result: Result<T>) -> Result<Result<T, Refusal>> {
    match result {
        Ok(done) => Ok(Ok(done)),
        Err(error) => error.downcast::<Refusal>().map(Err),
    }
}

/// What is refused is an error of its own: `main` shows it as it is.
async fn accepted(answer: Response) -> Result<Response> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let problem: Problem = answer.json().await.unwrap_or_default();
    match Refusal::of(status.as_u16(), problem) {
        Refusal::Failed(error) => bail!("the controller answered {status}: {error}"),
        refusal if refusal.text().is_empty() => bail!("the controller answered {status}: "),
        refusal => Err(refusal.into()),
    }
}
