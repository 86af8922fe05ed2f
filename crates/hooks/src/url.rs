//! A hook that is a URL: a POST of JSON.

use outbound::{Client, HeaderMap, HeaderName, HeaderValue, Question, Scrub, shown};

use super::{Call, Calling, DeployHook};

/// Enough to show what a refusal says.
const EXCERPT: usize = 4 << 10;

/// Anything but 2xx is a failure; a redirect is one as well, since what it leads to may be a login page.
pub struct Post {
    pub web: Client,
    pub url: String,
}

impl DeployHook for Post {
    fn call<'a>(&'a self, call: &'a Call) -> Calling<'a> {
        Box::pin(async move {
            let (url, mut headers) = self.web.url_with_credentials(&self.url)?;
            headers.extend(idempotency(call.key.as_deref()));
            let question = Question::post_json(&url, call.body.to_string()).with(headers);
            let asked = async {
                let reply = self.web.send(question).await?;
                if reply.status.is_success() {
                    return Ok(());
                }
                let answer = reply.beginning(EXCERPT).await;
                Err(answer.refusal(&Scrub::default()))
            };
            outbound::within(&shown(&url), call.timeout, asked).await
        })
    }
}

/// What a hook knows a repeated call by.
fn idempotency(key: Option<&str>) -> HeaderMap {
    let value = key.and_then(|key| HeaderValue::from_str(key).ok());
    value.map(|value| (HeaderName::from_static("idempotency-key"), value)).into_iter().collect()
}
