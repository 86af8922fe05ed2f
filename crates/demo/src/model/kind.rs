//! What kind of model the sample servers are: what they are asked, and at which path.

use clap::ValueEnum;
use serde::Serialize;

/// A kind of model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// It answers with a score and a label, as JSON.
    #[default]
    Predict,
    /// It answers with a text, token by token, as `OpenAI`'s chat completions stream it.
    Chat,
}

/// Where chats are asked for.
pub(crate) const CHAT: &str = "/v1/chat/completions";

impl ModelKind {
    /// The path of a question.
    pub fn path(self) -> &'static str {
        match self {
            Self::Predict => "/v1/predict",
            Self::Chat => CHAT,
        }
    }

    /// The body of one, in JSON.
    pub(crate) fn question(self, user: u32) -> String {
        match self {
            Self::Predict => format!("{{\"user\":{user}}}"),
            Self::Chat => format!(
                "{{\"model\":\"ranker\",\"stream\":true,\"stream_options\":{{\"include_usage\":true}},\"user\":\"{user}\",\
                 \"messages\":[{{\"role\":\"user\",\"content\":\"Which shoes?\"}}]}}"
            ),
        }
    }
}
