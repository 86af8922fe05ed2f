//! Requests that warm the canary, straight to it.

use outbound::{Client, Question, Scrub, shown};

use super::{Call, Calling, DeployHook};

/// Enough to show what a refusal says.
const EXCERPT: usize = 4 << 10;

/// One after the other: what is cold is not to be flooded. The first failure ends it.
pub struct Requests {
    pub web: Client,
    pub url: String,
    pub count: u32,
    /// A POST of this JSON; `None`: a GET.
    pub body: Option<String>,
}

impl DeployHook for Requests {
    fn call<'a>(&'a self, call: &'a Call) -> Calling<'a> {
        Box::pin(async move {
            let (url, headers) = self.web.url_with_credentials(&self.url)?;
            let (shown, count) = (shown(&url), self.count);
            let all = async {
                for at in 1..=count {
                    let question = match &self.body {
                        None => Question::get(&url),
                        Some(body) => Question::post_json(&url, body.clone()),
                    };
                    let done = self.one(question.with(headers.clone())).await;
                    done.map_err(|why| format!("request {at} of {count} to {shown}: {why}"))?;
                }
                Ok(())
            };
            match tokio::time::timeout(call.timeout, all).await {
                Ok(done) => done,
                Err(_) => Err(format!(
                    "{shown} did not answer {count} requests within {} s",
                    call.timeout.as_secs()
                )),
            }
        })
    }
}

impl Requests {
    async fn one(&self, question: Question<'_>) -> Result<(), String> {
        let reply = self.web.send(question).await?;
        if reply.status.is_success() {
            // The whole answer: a model that streams is warm at its end.
            return reply.drained().await;
        }
        let answer = reply.beginning(EXCERPT).await;
        Err(answer.refusal(&Scrub::default()))
    }
}
