//! MLflow's model registry (<https://mlflow.org/docs/latest/api_reference/rest-api.html>): which version means "go"?

use manifest::{Mlflow, Poll, When};
use outbound::{HeaderMap, HeaderName, HeaderValue, Url};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Answering, Provider, QueryContext};

/// Versions asked for at once.
const PAGE: &str = "100";
/// Pages looked through for a version in a stage or with a tag of any value.
const PAGES: usize = 20;

/// A version, as far as it is needed; the rest is theirs to change.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Version {
    #[serde(deserialize_with = "text")]
    version: String,
    current_stage: String,
    status: String,
    tags: Vec<Tag>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tag {
    key: String,
    value: String,
}

#[derive(Default, Deserialize)]
struct OfAlias {
    model_version: Version,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Page {
    model_versions: Vec<Version>,
    next_page_token: Option<String>,
}

/// A version, whether it is written as a text or as a number.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    match Value::deserialize(from)? {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(serde::de::Error::custom(format!("version is {other}, neither text nor number"))),
    }
}

/// What MLflow answers when it does not answer.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Fault {
    error_code: String,
    message: String,
}

/// A registry that is asked, rather than one that tells by itself.
pub struct Registry<'a> {
    mlflow: &'a Mlflow,
    poll: &'a Poll,
}

impl<'a> Registry<'a> {
    /// `None`: it tells by itself.
    pub fn of(mlflow: &'a Mlflow) -> Option<Self> {
        Some(Self { mlflow, poll: mlflow.poll.as_ref()? })
    }
}

impl Provider for Registry<'_> {
    /// The version that means "go"; `None`: none does.
    type Answer = Option<String>;

    fn url(&self) -> &str {
        &self.poll.url
    }

    fn access(&self) -> &manifest::Access {
        &self.poll.access
    }

    fn ask<'a>(&'a self, asking: &'a QueryContext<'a>) -> Answering<'a, Option<String>> {
        let question = Question { asking, url: self.url(), workspace: self.mlflow.workspace.as_deref() };
        let Mlflow { model, when, .. } = self.mlflow;
        Box::pin(async move {
            match when {
                When::Alias(alias) => question.of_alias(model, alias).await,
                when => question.of_search(model, when).await,
            }
        })
    }
}

/// One way to ask, for several requests.
struct Question<'a> {
    asking: &'a QueryContext<'a>,
    url: &'a str,
    workspace: Option<&'a str>,
}

impl Question<'_> {
    async fn of_alias(&self, model: &str, alias: &str) -> Result<Option<String>, String> {
        let url = self.place("registered-models/alias", &[("name", model), ("alias", alias)])?;
        match self.ask::<OfAlias>(&url).await? {
            // What is still being uploaded, or failed to be, is not meant yet.
            Ok(OfAlias { model_version }) => Ok(Some(model_version)
                .filter(Version::is_ready)
                .map(|model_version| model_version.version)
                .filter(|version| !version.is_empty())),
            // Nobody carries the alias yet. Which code that has depends on MLflow's store; a model that is not there
            // is another matter, and a fault of the trigger.
            Err(fault) if fault.is_about_alias(alias) => Ok(None),
            Err(fault) => Err(refused(&url, &fault)),
        }
    }

    async fn of_search(&self, model: &str, when: &When) -> Result<Option<String>, String> {
        let mut filter = format!("name={}", quoted(model));
        if let When::Tag { key, value: Some(value) } = when {
            filter.push_str(&format!(" and tags.`{key}`={}", quoted(value)));
        }
        let mut token: Option<String> = None;
        for _ in 0..PAGES {
            let mut query =
                vec![("filter", filter.as_str()), ("max_results", PAGE), ("order_by", "version_number DESC")];
            query.extend(token.as_deref().map(|token| ("page_token", token)));
            let url = self.place("model-versions/search", &query)?;
            let page = self.ask::<Page>(&url).await?.map_err(|fault| refused(&url, &fault))?;
            let fitting = page.model_versions.iter().filter(|version| version.fits(when));
            // Newest first is what was asked for; not every store keeps to it.
            if let Some(newest) = fitting.max_by_key(|version| version.number()) {
                return Ok(Some(newest.version.clone()));
            }
            match page.next_page_token.filter(|token| !token.is_empty()) {
                Some(next) => token = Some(next),
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The outer error: there is no answer; the inner one: MLflow says no.
    async fn ask<T: for<'de> Deserialize<'de>>(&self, url: &Url) -> Result<Result<T, Fault>, String> {
        let access = self.asking.access;
        let answer = self.asking.get_with(url, self.header()?).await?;
        let (shown, excerpt) = (outbound::shown(url), || answer.excerpt(&access.scrub));
        if answer.status.is_success() {
            return match serde_json::from_slice(&answer.body) {
                Ok(answer) => Ok(Ok(answer)),
                Err(error) => Err(format!(
                    "{shown} answered what no MLflow answers ({error}): {}; is the url the tracking server's own?",
                    excerpt()
                )),
            };
        }
        match serde_json::from_slice::<Fault>(&answer.body) {
            Ok(fault) if !fault.error_code.is_empty() => Ok(Err(fault)),
            _ => Err(format!("{shown} {}", answer.refusal(&access.scrub))),
        }
    }

    /// How MLflow is told of a workspace.
    fn header(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        if let Some(workspace) = self.workspace {
            let value = HeaderValue::from_str(workspace).map_err(|_| "spec.mlflow.workspace is no name")?;
            headers.insert(HeaderName::from_static("x-mlflow-workspace"), value);
        }
        Ok(headers)
    }

    /// `{server}/api/2.0/mlflow/{what}?...`; the server may be behind a path.
    fn place(&self, what: &str, query: &[(&str, &str)]) -> Result<Url, String> {
        let mut url = self.asking.web.url(self.url)?;
        let path = format!("{}/api/2.0/mlflow/{what}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url.query_pairs_mut().extend_pairs(query);
        Ok(url)
    }
}

impl Fault {
    /// Does it say that nobody carries this alias? Its words are `alias` and the alias's name.
    fn is_about_alias(&self, alias: &str) -> bool {
        let apart = |sign: char| sign.is_whitespace() || "'\"`.,;:()".contains(sign);
        let has = |word: &str| self.message.split(apart).any(|one| one.eq_ignore_ascii_case(word));
        has("alias") && self.message.contains(alias) && !self.message.contains("Registered Model with")
    }
}

impl Version {
    /// Neither still being uploaded, nor failed.
    fn is_ready(&self) -> bool {
        self.status.is_empty() || self.status == "READY"
    }

    fn number(&self) -> u64 {
        self.version.parse().unwrap_or(0)
    }

    fn fits(&self, when: &When) -> bool {
        self.is_ready()
            && match when {
                When::Created => true,
                When::Stage(stage) => self.current_stage.eq_ignore_ascii_case(stage),
                When::Tag { key, value } => self
                    .tags
                    .iter()
                    .any(|tag| tag.key == *key && value.as_ref().is_none_or(|value| tag.value == *value)),
                When::Alias(_) => false,
            }
    }
}

fn refused(url: &Url, fault: &Fault) -> String {
    format!("{} says {}: {}", outbound::shown(url), fault.error_code, fault.message)
}

/// A text in MLflow's search language, which knows no escapes.
fn quoted(text: &str) -> String {
    if text.contains('\'') { format!("\"{text}\"") } else { format!("'{text}'") }
}

#[cfg(test)]
mod tests;
