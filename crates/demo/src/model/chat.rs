//! The answer of a language model, as `OpenAI`'s chat completions have it, whole or as a stream of events.

use std::time::Duration;

use http::{HeaderValue, Response, StatusCode, header};
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::behaviour::Draw;
use super::reply::{self, Reply};

/// A stream comes in so many parts at most, with some tokens each: an event a token would be the load of five streams.
const PARTS: u32 = 5;

/// Tokens of the question.
const PROMPT_TOKENS: u32 = 12;

const REFUSAL: &str = "I'm sorry, but I can't help with that.";

/// Answers a question at the pace of the draw.
pub fn answer(draw: &Draw, is_streamed: bool) -> Response<Reply> {
    let usage = json!({
        "prompt_tokens": PROMPT_TOKENS, "completion_tokens": draw.tokens, "total_tokens": PROMPT_TOKENS + draw.tokens,
    });
    let parts = draw.tokens.clamp(1, PARTS);
    let said: Vec<Value> = (0..parts).map(|part| said(draw, part, parts)).collect();
    if !is_streamed {
        let message = if draw.refuses {
            json!({"role": "assistant", "content": null, "refusal": REFUSAL})
        } else {
            json!({"role": "assistant", "content": "shoes ".repeat(draw.tokens as usize), "refusal": null})
        };
        let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
        let body = json!({"object": "chat.completion", "choices": [choice], "usage": usage});
        return reply::json(StatusCode::OK, &body);
    }
    let mut events: Vec<(Duration, Bytes)> = Vec::new();
    for (part, delta) in said.iter().enumerate() {
        // The first part is there when the model begins to answer.
        let pause = if part == 0 {
            Duration::ZERO
        } else {
            draw.token_time * draw.tokens / parts.max(2).saturating_sub(1)
        };
        events.push((
            pause,
            event(&json!([{"index": 0, "delta": delta, "finish_reason": null}]), &Value::Null),
        ));
    }
    let mut last = event(&json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]), &Value::Null).to_vec();
    last.extend_from_slice(&event(&json!([]), &usage));
    last.extend_from_slice(b"data: [DONE]\n\n");
    events.push((Duration::ZERO, last.into()));
    let mut response = Response::new(Reply::paced(events));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

/// One of the parts that the answer comes in.
fn said(draw: &Draw, part: u32, parts: u32) -> Value {
    if draw.refuses {
        return json!({"refusal": if part == 0 { REFUSAL } else { " " }});
    }
    let tokens = draw.tokens * (part + 1) / parts - draw.tokens * part / parts;
    json!({"content": "shoes ".repeat(tokens as usize)})
}

fn event(choices: &Value, usage: &Value) -> Bytes {
    let chunk = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "ranker", "choices": choices, "usage": usage});
    format!("data: {chunk}\n\n").into()
}
