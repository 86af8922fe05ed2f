//! Names of members that formats know.

macro_rules! keys {
    ($($key:ident = $name:literal,)*) => {
        /// A part of a path: a member that some format knows, any element of a list, or what nobody knows.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) enum Key {
            /// A member that no format asks for.
            #[default]
            Unknown,
            /// An element of a list.
            At,
            $($key,)*
        }

        impl Key {
            pub fn of(name: &[u8]) -> Self {
                match name {
                    $($name => Self::$key,)*
                    _ => Self::Unknown,
                }
            }
        }
    };
}

keys! {
    Audio = b"audio",
    CacheCreation = b"cache_creation_input_tokens",
    CacheRead = b"cache_read_input_tokens",
    Choices = b"choices",
    CompletionTokens = b"completion_tokens",
    Content = b"content",
    ContentBlock = b"content_block",
    Data = b"data",
    Delta = b"delta",
    Details = b"details",
    Embedding = b"embedding",
    Error = b"error",
    FinishReason = b"finish_reason",
    FunctionCall = b"function_call",
    GeneratedText = b"generated_text",
    GeneratedTokens = b"generated_tokens",
    IncompleteDetails = b"incomplete_details",
    Index = b"index",
    InputLength = b"input_length",
    InputTokens = b"input_tokens",
    Message = b"message",
    Object = b"object",
    Output = b"output",
    OutputTokens = b"output_tokens",
    Outputs = b"outputs",
    PartialJson = b"partial_json",
    PredictedTokens = b"predicted_n",
    Predictions = b"predictions",
    PromptTokens = b"prompt_tokens",
    PromptTokensTimed = b"prompt_n",
    Reason = b"reason",
    Reasoning = b"reasoning",
    ReasoningContent = b"reasoning_content",
    Refusal = b"refusal",
    Response = b"response",
    Status = b"status",
    Stop = b"stop",
    StopReason = b"stop_reason",
    StopType = b"stop_type",
    StoppedLimit = b"stopped_limit",
    Text = b"text",
    TextOutput = b"text_output",
    Thinking = b"thinking",
    Timings = b"timings",
    Token = b"token",
    TokensEvaluated = b"tokens_evaluated",
    TokensPredicted = b"tokens_predicted",
    ToolCalls = b"tool_calls",
    Type = b"type",
    Usage = b"usage",
    XGroq = b"x_groq",
}
