//! Whom figures and versions are asked of: one file per provider, and one line in [`of_figures`].

mod http;
mod mlflow;
mod prometheus;

use std::pin::Pin;

use manifest::{Range, Source};

use crate::Pair;
use crate::access::Access;
use crate::web::Web;

pub use mlflow::Registry;

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
    fn ask<'a>(&'a self, asking: &'a Asking<'a>) -> Answering<'a, Self::Answer>;

    /// Does it know what it would have answered earlier? Then [`Provider::before`] is asked.
    fn remembers(&self) -> bool {
        false
    }

    /// The numbers it gave over a time before now.
    fn before<'a>(&'a self, _range: Range, _asking: &'a Asking<'a>) -> Answering<'a, Vec<f64>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// What a question needs beside its provider.
pub struct Asking<'a> {
    pub web: &'a Web,
    /// The provider's, its secrets read.
    pub access: &'a Access,
    pub now_ms: u64,
}

/// The provider of a figure; `None`: figures are pushed, nobody is asked.
pub fn of_figures(source: &Source) -> Option<&dyn Provider<Answer = Pair>> {
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
