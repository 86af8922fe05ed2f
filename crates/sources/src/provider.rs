//! Whom figures and versions are asked of: one file per provider, and one line in [`of_figures`].

mod http;
mod mlflow;
mod prometheus;

use std::pin::Pin;

use manifest::{Range, Source};
use outbound::{Answer, Client, HeaderMap, Question, Url};
use tokio::time::{Instant, timeout_at};

use crate::access::Access;
use crate::when::{SampleTime, When};

pub use mlflow::Registry;

/// An answer holds a figure or two; whoever sends more was asked the wrong question.
const LONGEST: usize = 4 << 20;

/// The figures of both versions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// The canary's; `None`: no data. It may be infinite, never NaN.
    pub canary: Option<f64>,
    /// Stable's, where it is asked for.
    pub stable: Option<f64>,
    /// Why there is no data, where more than that is known.
    pub why: Option<String>,
}

/// One figure.
#[derive(Clone, Debug, Default, PartialEq)]
struct Figure {
    value: Option<f64>,
    why: Option<String>,
}

impl Figure {
    /// NaN, such as 0/0 while nothing happens, is no data. The infinities are numbers: 1/0 is not nothing.
    fn of(value: f64) -> Self {
        Self { value: Some(value).filter(|value| !value.is_nan()), why: None }
    }

    /// A value that is one of now; else no data.
    fn at(value: f64, timely: SampleTime) -> Self {
        match timely {
            SampleTime::Yes => Self::of(value),
            SampleTime::No(why) => Self { value: None, why: Some(why) },
        }
    }
}

impl Figures {
    fn new(canary: Figure, stable: Figure) -> Self {
        Self { canary: canary.value, stable: stable.value, why: canary.why.or(stable.why) }
    }
}

/// Why there is no answer is said in one sentence.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = Result<T, String>> + Send + 'a>>;

/// Somebody who can be asked over HTTP.
pub trait Provider: Sync {
    /// What is asked for: a figure of each version, or the version that means "go".
    type Answer;

    /// The server, as a person wrote it.
    fn url(&self) -> &str;

    /// Credentials, certificates and patience, as a person wrote them.
    fn access(&self) -> &manifest::Access;

    /// Asks for what is so now.
    fn ask<'a>(&'a self, asking: &'a QueryContext<'a>) -> Answering<'a, Self::Answer>;

    /// Does it know what it would have answered earlier? Then [`Provider::before`] is asked.
    fn remembers(&self) -> bool {
        false
    }

    /// The numbers it gave over a time before now.
    fn before<'a>(&'a self, _range: Range, _asking: &'a QueryContext<'a>) -> Answering<'a, Vec<f64>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// What a question needs beside its provider.
pub struct QueryContext<'a> {
    pub web: &'a Client,
    /// The provider's, its secrets read.
    pub access: &'a Access,
    pub when: When,
    /// Of all its requests together.
    pub deadline: Instant,
}

impl QueryContext<'_> {
    /// One GET. Redirects are for the caller to refuse.
    async fn get(&self, url: &Url) -> Result<Answer, String> {
        self.get_with(url, HeaderMap::new()).await
    }

    /// The same with headers beside those of the access.
    async fn get_with(&self, url: &Url, headers: HeaderMap) -> Result<Answer, String> {
        let QueryContext { web, access, deadline, .. } = self;
        let question =
            Question::get(url).with(headers).with(access.headers.clone()).over(access.tls.as_ref());
        let asked = async { web.send(question).await?.whole(LONGEST).await };
        let shown = outbound::shown(url);
        match timeout_at(*deadline, asked).await {
            Ok(answer) => answer.map_err(|error| format!("{shown} {error}")),
            Err(_) => Err(format!("{shown} did not answer within {:?}", access.timeout)),
        }
    }
}

/// The provider of a figure; `None`: figures are pushed, nobody is asked.
pub fn of_figures(source: &Source) -> Option<&dyn Provider<Answer = Figures>> {
    match source {
        Source::Prometheus(source) => Some(source),
        Source::Http(source) => Some(source),
        Source::Push(_) => None,
    }
}

/// What becomes of a run that an older controller began with a `bearerTokenFile`.
fn refuse_file(bearer_token_file: Option<&String>) -> Result<(), String> {
    match bearer_token_file {
        None => Ok(()),
        Some(_) => Err(
            "bearerTokenFile is not read any more: apply the rollout again with `access: {bearer: {secret: NAME}}`"
                .to_owned(),
        ),
    }
}
